//! What becomes of a recording at the very instants at which something begins or ends.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use temoin_core::facts::Facts;
use temoin_core::policy::Policy;
use temoin_core::retention::{ErasureStatus, Fate, History, LegalHold, Recording, fate};
use temoin_core::words::Purpose;

use super::{Law, call, facts, quality};

/// Every recording is kept for thirty days.
const BARE: Law<'_> = Law { customer: "", employee: "", german_employee: "", trade: "", stratify: "" };
/// And survives a request to erase it.
const SURVIVES: Law<'_> = Law { customer: "erasure = \"keep\"", ..BARE };
/// As proof it is kept for sixty.
const SIXTY: Law<'_> = Law { trade: "retention = { min = \"60 days\" }", ..BARE };
const SECOND: SignedDuration = SignedDuration::from_secs(1);

fn proof() -> Purpose {
    Purpose::parse("contract-proof").expect("a purpose")
}

/// So many days after the recording.
fn day(days: i64) -> Timestamp {
    recorded().at + SignedDuration::from_hours(24 * days)
}

fn recorded() -> Facts {
    facts(&call("amel"))
}

fn kept(purposes: &[Purpose], policy: &Policy, history: &History<'_>) -> Fate {
    let (facts, purposes) = (recorded(), purposes.iter().cloned().collect());
    let (start, end) = (facts.at, facts.at + 60 * SECOND);
    let recording = Recording { facts: &facts, policy, purposes: &purposes, start, end };
    fate(&recording, history).expect("dates")
}

fn status(fate: &Fate) -> Option<ErasureStatus> {
    fate.erasure.as_ref().map(|erasure| erasure.status)
}

/// Changes of packs are applied in the order of time; at the instant of a request the change comes first.
#[test]
fn what_spares_a_recording_at_the_instant_of_the_request_counts() {
    let (bare, survives) = (BARE.policy(), SURVIVES.policy());
    let request = day(10);
    for (change, expected) in [
        (request - SECOND, ErasureStatus::Restricted),
        (request, ErasureStatus::Restricted),
        (request + SECOND, ErasureStatus::Erased),
    ] {
        let history =
            History { later: vec![(change, &survives)], erasure: Some(request), ..History::default() };
        assert_eq!(status(&kept(&[quality()], &bare, &history)), Some(expected), "{change}");
    }
}

/// The rules of all versions hold together: one of them that spares the recording is enough.
#[test]
fn one_pack_that_spares_a_recording_is_enough() {
    let laws = [BARE, SURVIVES].map(Law::policy);
    for (first, then) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let later = vec![(day(5), &laws[then])];
        let history = History { later, erasure: Some(day(10)), ..History::default() };
        let expected = if first + then > 0 { ErasureStatus::Restricted } else { ErasureStatus::Erased };
        assert_eq!(status(&kept(&[quality()], &laws[first], &history)), Some(expected), "{first}, {then}");
    }
}

/// What has ended is neither removed nor kept by a request; its last instant is one second before.
#[test]
fn a_purpose_that_ends_as_it_is_asked_for_has_ended() {
    let policy = SIXTY.policy();
    let purposes = [proof(), quality()];
    let end = kept(&purposes, &policy, &History::default()).purposes[&quality()].dates.delete_by;
    let end = end.expect("an end");
    for (request, removed) in [(end - SECOND, BTreeSet::from([quality()])), (end, BTreeSet::new())] {
        let history = History { erasure: Some(request), ..History::default() };
        let erasure = kept(&purposes, &policy, &history).erasure.expect("an answer");
        assert_eq!(erasure.removed, removed, "{request}");
        assert_eq!(erasure.kept, BTreeSet::from([proof()]), "{request}");
    }
}

/// No rule keeps what was removed; those that keep the rest are named as before.
#[test]
fn a_request_leaves_the_reasons_of_what_is_kept() {
    let policy = SIXTY.policy();
    let purposes = [proof(), quality()];
    let untouched = kept(&purposes, &policy, &History::default());
    let history = History { erasure: Some(day(10)), ..History::default() };
    let asked = kept(&purposes, &policy, &history);
    let of_proof = &asked.purposes[&proof()].because;
    assert!(!of_proof.delete_by.is_empty());
    assert_eq!(*of_proof, untouched.purposes[&proof()].because);
    assert!(!untouched.purposes[&quality()].because.delete_by.is_empty());
    assert_eq!(asked.purposes[&quality()].because, Default::default());
}

/// A legal hold keeps what a request would have erased until its release; those that found it are told.
#[test]
fn a_request_leaves_the_holds() {
    let hold = |from, release| LegalHold { from: day(from), release: Some(day(release)) };
    let holds = vec![hold(2, 3), hold(5, 12), hold(20, 25)];
    let history = History { erasure: Some(day(10)), holds: holds.clone(), ..History::default() };
    let fate = kept(&[quality()], &BARE.policy(), &history);
    assert_eq!(status(&fate), Some(ErasureStatus::Restricted));
    assert_eq!(fate.object.scheduled, Some(day(12)));
    assert_eq!(fate.holds, holds[..2]);
    assert_eq!(fate.void_holds, [day(20)]);
}

/// A minimum that ends with the maximum decides alone, so its rule is the one that is named.
#[test]
fn a_minimum_that_ends_with_the_maximum_is_the_reason() {
    let policy = Law { trade: "retention = { min = \"30 days\" }", ..BARE }.policy();
    let fate = kept(&[proof()], &policy, &History::default());
    let of_proof = &fate.purposes[&proof()];
    assert_eq!(of_proof.dates.scheduled, of_proof.dates.not_before);
    assert_eq!(of_proof.because.not_before.len(), 1);
    assert_eq!(of_proof.because.delete_by, of_proof.because.not_before);
}

/// One that ends before leaves the end to the maximum: each date has a rule of its own.
#[test]
fn a_minimum_before_the_maximum_is_the_reason_of_its_own_date() {
    let policy = Law { trade: "retention = { min = \"20 days\" }", ..BARE }.policy();
    let fate = kept(&[proof()], &policy, &History::default());
    let of_proof = &fate.purposes[&proof()];
    assert!(of_proof.dates.not_before < of_proof.dates.delete_by);
    let (minimum, maximum) = (&of_proof.because.not_before, &of_proof.because.delete_by);
    assert_eq!((minimum.len(), maximum.len()), (1, 1));
    assert_ne!(minimum, maximum);
}

/// A shorter maximum makes a recording due at the change. Whoever asks for erasure on that day moves that no further
/// back, or a hold that began before the change would find nothing.
#[test]
fn a_request_does_not_move_what_is_due_into_the_past() {
    let shorter = Law { trade: "retention = { max = \"10 days\" }", ..BARE }.policy();
    let history = History {
        later: vec![(day(15), &shorter)],
        holds: vec![LegalHold { from: day(12), release: None }],
        ..History::default()
    };
    let policy = SURVIVES.policy();
    let before = kept(&[proof()], &policy, &history);
    let dates = before.purposes[&proof()].dates;
    assert_eq!(dates.scheduled, Some(day(15)));
    let asked = kept(&[proof()], &policy, &History { erasure: Some(day(15) + SECOND), ..history });
    assert_eq!(status(&asked), Some(ErasureStatus::Restricted));
    assert_eq!(asked.purposes[&proof()].dates, dates);
    assert_eq!(
        (asked.object, &asked.holds, asked.void_holds.as_slice()),
        (before.object, &before.holds, &[][..])
    );
}

/// The instant of its release does not belong to a legal hold; that of its beginning does.
#[test]
fn a_hold_begins_with_its_first_instant_and_ends_before_its_last() {
    let at = |text: &str| text.parse().expect("an instant");
    let (from, release) = (at("2026-10-06T09:00:00Z"), at("2026-10-08T09:00:00Z"));
    let hold = LegalHold { from, release: Some(release) };
    assert!(hold.is_in_force(from) && hold.is_in_force(at("2026-10-08T08:59:59Z")));
    assert!(!hold.is_in_force(release) && !hold.is_in_force(at("2026-10-06T08:59:59Z")));
}
