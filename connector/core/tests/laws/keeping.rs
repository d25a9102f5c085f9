//! Law 4: nothing under a legal hold is disposed of, nothing is disposed of early, everything due is gone by its
//! `delete_by`.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use temoin_core::facts::{Facts, Leg};
use temoin_core::policy::Policy;
use temoin_core::retention::{Fate, History, LegalHold, Recording, fate};
use temoin_core::words::{LegKind, Purpose};

const SITE: &str = include_str!("../scripts/site.toml");

/// A line of each law, and what is recorded on it.
const RECORDED: [(&str, &str); 5] = [
    ("accueil", "quality"),
    ("berlin", "quality"),
    ("vente", "contract-proof"),
    ("bourse", "regulated-order"),
    ("assurance", "insurance-telesale"),
];

fn hours(n: i64) -> Timestamp {
    crate::start() + SignedDuration::from_hours(n)
}

fn with_fate<T>(
    policy: &Policy,
    which: usize,
    minutes: i64,
    holds: &[LegalHold],
    then: impl Fn(&Fate) -> T,
) -> T {
    let (line, purpose) = RECORDED[which];
    let facts = Facts {
        at: crate::start(),
        call_start: Some(crate::start()),
        line: line.into(),
        direction: None,
        queue: None,
        language: None,
        legs: vec![
            Leg::new("c", LegKind::Customer),
            Leg { agent: Some("amel".into()), ..Leg::new("amel-1", LegKind::Agent) },
        ],
        flags: BTreeSet::new(),
        sampling: Default::default(),
    };
    let purposes = BTreeSet::from([Purpose::parse(purpose).expect("a purpose")]);
    let end = crate::start() + SignedDuration::from_mins(minutes);
    let recording = Recording { facts: &facts, policy, purposes: &purposes, start: crate::start(), end };
    let history = History { holds: holds.to_vec(), ..History::default() };
    then(&fate(&recording, &history).expect("what may be recorded has dates"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_goes_early_or_under_a_hold_and_all_goes_in_time(
        which in 0..RECORDED.len(),
        minutes in 1_i64..300,
        holds in prop::collection::vec((0_i64..70_000, prop::option::of(1_i64..70_000)), 0..4),
    ) {
        let policy = Policy::load(("site.toml", SITE), temoin_core::pack::shipped()).expect("a readable site");
        let holds: Vec<LegalHold> = holds
            .into_iter()
            .map(|(from, lasts)| LegalHold { from: hours(from), release: lasts.map(|lasts| hours(from + lasts)) })
            .collect();
        let free = with_fate(&policy, which, minutes, &[], |fate| fate.object);
        let held = with_fate(&policy, which, minutes, &holds, |fate| (fate.object, fate.holds.clone()));
        let (dates, counted) = held;
        // In order, where they are known; and without a hold there always is an end.
        for of in [free, dates] {
            let known: Vec<_> = [of.not_before, of.scheduled, of.delete_by].into_iter().flatten().collect();
            prop_assert!(known.is_sorted(), "{of:?}");
        }
        prop_assert!(free.scheduled.is_some() && free.delete_by.is_some(), "{free:?}");
        prop_assert!(free.not_before.is_none_or(|early| early > crate::start()));
        // A hold never brings anything forward.
        prop_assert!(dates.scheduled.is_none_or(|scheduled| Some(scheduled) >= free.scheduled), "{dates:?} {free:?}");
        match dates.scheduled {
            // One that begins at the very instant finds nothing any more.
            Some(scheduled) => {
                for hold in holds.iter().filter(|hold| hold.from < scheduled) {
                    prop_assert!(!hold.is_in_force(scheduled), "{scheduled} lies in {hold:?}");
                }
            }
            None => prop_assert!(counted.iter().any(|hold| hold.release.is_none()), "kept for ever without a hold"),
        }
    }
}
