//! The whole program on fakes: calls by the ten thousand in small worlds, each with its own seed, a clock that goes as fast
//! as the worlds do, and everything going wrong that may go wrong.
//!
//! `core/tests/laws` holds single sessions against the laws; here everything runs that `temoin serve` runs (the calls, the
//! writer, the keeper, the sweeper), is killed and started again, beside a PBX that knows the truth. What is kept is
//! listened to: each sample says when it was heard.
//!
//! - `TEMOIN_SIM_CALLS=100000` plays so many calls, as `.ci/run` does; default 20,000.
//! - `TEMOIN_SIM_SEED=…` plays one world alone, and tells more. A failure prints the line to be typed.

#[path = "simulation/caller.rs"]
mod caller;
#[path = "simulation/chance.rs"]
mod chance;
#[path = "simulation/clock.rs"]
mod clock;
#[path = "simulation/oracle.rs"]
mod oracle;
#[path = "simulation/pbx/mod.rs"]
mod pbx;
#[path = "simulation/plant.rs"]
mod plant;
#[path = "simulation/shelf.rs"]
mod shelf;
#[path = "simulation/tape.rs"]
mod tape;
#[path = "simulation/truth.rs"]
mod truth;
#[path = "simulation/weather.rs"]
mod weather;
#[path = "simulation/world.rs"]
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chance::Chance;
use oracle::Seen;
use shelf::Wrong;
use world::Outcome;

/// Calls in a world.
const CALLS: usize = 250;
/// The seeds of all worlds come from this one.
const BASE: u64 = 0x7E40_1200_2026_1122;

#[test]
fn everything_holds_whatever_happens() {
    if let Some(seed) = number("TEMOIN_SIM_SEED") {
        return alone(seed);
    }
    let calls = number("TEMOIN_SIM_CALLS").unwrap_or(20_000) as usize;
    let mut seeds = Chance::new(BASE);
    let seeds: Vec<u64> = (0..calls.div_ceil(CALLS)).map(|_| seeds.next()).collect();
    let seen = play_all(&seeds);
    for (what, n) in &seen.0 {
        eprintln!("{n:>9} {what}");
    }
    // Nothing holds by never being tried: so many in a thousand calls, at the least.
    for (what, wanted) in REACHED {
        let n = seen.0.get(what).copied().unwrap_or_default();
        assert!(n * 1000 >= wanted * seen.0["calls"], "only {n} {what} in {} calls", seen.0["calls"]);
    }
    lots_fall_as_often_as_they_must(&seen, ("lots for quality", "drawn for quality"), 0.2);
    lots_fall_as_often_as_they_must(&seen, ("lots in the evening", "drawn in the evening"), 0.1);
}

/// What must be reached by a thousand calls.
const REACHED: [(&str, u64); 10] = [
    ("kept", 150),
    ("proven by their stories", 150),
    ("recordings beside somebody exempt", 5),
    ("erased", 10),
    ("ended by a gap", 8),
    ("objections", 50),
    ("lots for quality", 80),
    ("spans that were owed", 40),
    ("spans that a law demanded", 30),
    ("called", 20),
];

/// Within four standard deviations.
fn lots_fall_as_often_as_they_must(seen: &Seen, (lots, drawn): (&str, &str), rate: f64) {
    let [lots, drawn] = [lots, drawn].map(|what| seen.0.get(what).copied().unwrap_or_default() as f64);
    let (wanted, deviation) = (lots * rate, (lots * rate * (1.0 - rate)).sqrt());
    let off = (drawn - wanted).abs();
    assert!(off <= 4.0 * deviation + 1.0, "{drawn} of {lots} lots fell, and {wanted} should have");
}

/// A judge who sees nothing would prove nothing: each promise that the fakes break on purpose turns worlds red.
#[test]
fn what_is_wrong_is_seen() {
    let wrongs = [
        (Wrong::AmendsAreLost, "was to be erased"),
        (Wrong::AllAreDrawn, "it was not drawn"),
        (Wrong::NothingIsShredded, "the vault has"),
        (Wrong::HeardTooEarly, "its customer was told at"),
        (Wrong::PartiesAreNotTold, truth::STRANGER),
    ];
    for (wrong, expected) in wrongs {
        let mut seeds = Chance::new(BASE ^ 2);
        let mut worlds = (0..12).map(|_| world::play_wrong(seeds.next(), 60, Some(wrong)));
        let seen = worlds.any(|world| world.faults.iter().any(|fault| fault.contains(expected)));
        assert!(seen, "{wrong:?} is not seen");
    }
}

/// What fails can be played again: the same calls, the same faults, the same journal.
#[test]
fn a_seed_tells_the_whole_world() {
    let mut seeds = Chance::new(BASE ^ 1);
    for _ in 0..4 {
        let seed = seeds.next();
        let (once, again) = (world::play(seed, 120), world::play(seed, 120));
        assert_eq!(once.faults, again.faults, "seed {seed}");
        assert_eq!(once.trace, again.trace, "seed {seed}");
        assert_eq!(once.seen.0, again.seen.0, "seed {seed}");
    }
}

/// The world of a seed, and all that can be told of it.
fn alone(seed: u64) {
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_test_writer().finish();
    let _guard = tracing::subscriber::set_default(log);
    let outcome = world::play(seed, CALLS);
    eprintln!("{:#?}\n{}", outcome.seen, outcome.trace);
    assert!(outcome.faults.is_empty(), "{}", report(seed, &outcome));
}

/// All worlds, on as many threads as there are cores. Stops at the first that fails.
fn play_all(seeds: &[u64]) -> Seen {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let total: Mutex<(Seen, Option<String>)> = Mutex::default();
    let work = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::SeqCst))
            && !failed.load(Ordering::SeqCst)
        {
            let outcome = std::panic::catch_unwind(|| world::play(*seed, CALLS)).unwrap_or_else(|_| {
                Outcome { faults: vec!["the world panics; see above".into()], ..Outcome::default() }
            });
            let mut total = total.lock().expect("no other thread fell");
            total.0.add(&outcome.seen);
            if !outcome.faults.is_empty() {
                failed.store(true, Ordering::SeqCst);
                total.1.get_or_insert_with(|| report(*seed, &outcome));
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let (seen, report) = total.into_inner().expect("no thread fell");
    if let Some(report) = report {
        panic!("{report}");
    }
    seen
}

fn report(seed: u64, outcome: &Outcome) -> String {
    let shown: Vec<&str> = outcome.faults.iter().take(5).map(String::as_str).collect();
    format!(
        "{} faults in the world of seed {seed}; the first:\n{}\n\nalone: TEMOIN_SIM_SEED={seed} cargo test --test simulation everything_holds",
        outcome.faults.len(),
        shown.join("\n")
    )
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
