//! What a decision costs: `cargo bench -p temoin-core`. Reading the facts from JSON, which every caller from outside
//! pays before, is the baseline in the same run.
//!
//! The site has a line with five packs in force: France, its parent, two trades and an overlay.

use divan::{Bencher, black_box};
use temoin_core::decide::{announcement, decide, explain, stakes};
use temoin_core::facts::Facts;
use temoin_core::pack;
use temoin_core::policy::Policy;
use temoin_core::sampling::Draw;

const SITE: &str = include_str!("five-packs.toml");
const FACTS: &str = include_str!("five-packs.json");

fn main() {
    look();
    divan::main();
}

/// That it measures what it says.
fn look() {
    let decision = explain(&facts(), &policy());
    let packs: std::collections::BTreeSet<&str> = decision
        .purposes
        .values()
        .flat_map(|verdict| verdict.rules.iter())
        .filter_map(|rule| Some(rule.split_once('/')?.0))
        .collect();
    assert_eq!(packs.len(), 5, "{packs:?}");
    assert!(decision.record, "{decision:?}");
}

fn policy() -> Policy {
    Policy::load(("five-packs.toml", SITE), pack::shipped()).expect("a readable policy")
}

fn facts() -> Facts {
    Facts::from_json(FACTS).expect("readable facts")
}

/// The baseline.
#[divan::bench]
fn reading_the_facts_from_json(bencher: Bencher) {
    bencher.bench(|| Facts::from_json(black_box(FACTS)));
}

/// Verdict and reason of every purpose, announcement and dates.
#[divan::bench]
fn decision(bencher: Bencher) {
    let (facts, policy) = (facts(), policy());
    bencher.bench(|| decide(black_box(&facts), black_box(&policy)));
}

/// The same with the rules that reached every value.
#[divan::bench]
fn decision_explained(bencher: Bencher) {
    let (facts, policy) = (facts(), policy());
    bencher.bench(|| explain(black_box(&facts), black_box(&policy)));
}

/// Which lots must be drawn.
#[divan::bench]
fn lots_to_draw(bencher: Bencher) {
    let (mut facts, policy) = (facts(), policy());
    facts.sampling = Default::default();
    assert_eq!(stakes(&facts, &policy).len(), 1);
    bencher.bench(|| stakes(black_box(&facts), black_box(&policy)));
}

/// What the hook says before an agent is known.
#[divan::bench]
fn announcement_at_the_hook(bencher: Bencher) {
    let (mut facts, policy) = (facts(), policy());
    facts.legs.truncate(1);
    facts.legs[0].heard = None;
    bencher.bench(|| announcement(black_box(&facts), black_box(&policy)));
}

/// One lot: the keyed draw, judged against a rate.
#[divan::bench]
fn one_lot(bencher: Bencher) {
    let key = [7; 32];
    bencher.bench(|| Draw::keyed(black_box(&key), "autumn", black_box("1795282732.220")).is_below(200));
}

/// Reading the policy and twenty packs: once a start.
#[divan::bench(sample_count = 20)]
fn policy_load(bencher: Bencher) {
    bencher.bench(|| Policy::load(black_box(("five-packs.toml", SITE)), pack::shipped()));
}
