//! Stories that hold, and stories that do not.

use std::collections::BTreeMap;

use super::*;
use crate::id::CallId;
use crate::segment::Deadlines;

/// Announced at 0, decided and opened at 10 s, recorded from 10.05 s, stopped and closed at 20 s.
struct Told {
    lines: Vec<Line>,
    millis: u64,
    flags: Vec<Flag>,
    from: Option<i64>,
}

impl Told {
    fn new() -> Self {
        let mut told = Self { lines: Vec::new(), millis: 9_950, flags: Vec::new(), from: Some(10_050) };
        told.say(0, None, arrived(Direction::Inbound));
        told.say(1_000, None, announced("quality"));
        told.decide(10_000, "ok");
        told.own(10_000, What::Opened { purposes: vec!["quality".into()] });
        told.own(10_055, What::Recording);
        told
    }

    fn say(&mut self, at: i64, segment: Option<SegmentId>, what: What) {
        let line = self.lines.len() as u64 + 1;
        self.lines.push((line, Entry { at: ms(at), call: Some(CallId("c".into())), segment, what }));
    }

    fn own(&mut self, at: i64, what: What) {
        self.say(at, Some(id()), what);
    }

    fn decide(&mut self, at: i64, reason: &str) {
        let reasons: BTreeMap<_, _> = [("quality".to_owned(), reason.to_owned())].into();
        let record = reason == "ok";
        self.say(at, None, What::Decided { record, agents: Vec::new(), reasons });
    }

    fn stop(&mut self, at: i64, until: i64, ending: Ending, cut_tail: bool) {
        self.own(at, What::Stopping { ending, until: ms(until), cut_tail });
    }

    fn close(&mut self, until: i64, ending: Ending, cut_tail: bool) {
        let closing = Closing {
            from: self.from.map(ms),
            until: ms(until),
            cut_tail,
            kept: vec!["quality".into()],
            ending,
            flags: self.flags.clone(),
            retention: Deadlines::default(),
        };
        self.own(until + 20, What::Closed(closing));
        let note = KeptNote {
            millis: self.millis,
            sha256: String::new(),
            cipher_sha256: String::new(),
            flags: self.flags.clone(),
        };
        self.own(until + 5_000, What::Kept(note));
    }

    fn judged(&self) -> Judgement {
        judge(&self.lines, id(), 0)
    }
}

fn arrived(direction: Direction) -> What {
    What::Arrived { line: "l".into(), direction, policy: String::new(), config: String::new() }
}

fn announced(purpose: &str) -> What {
    What::Announced { purposes: vec![purpose.into()], language: "fr".into(), version: "1".into() }
}

fn ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_793_600_000_000 + ms).expect("an instant")
}

fn id() -> SegmentId {
    SegmentId::new(ms(0), [1; 10])
}

/// Ended by a staff representative who came at 20 s, as it ought to be.
fn represented(kept: u64) -> Told {
    let mut told = Told { millis: kept, ..Told::new() };
    told.decide(20_004, "exempt-leg");
    told.stop(20_004, 20_000, Ending::Stranger, true);
    told.close(20_000, Ending::Stranger, true);
    told.decide(30_000, "ok");
    told.say(40_000, None, What::Ended);
    told
}

#[test]
fn a_sound_story_holds() {
    let mut told = Told::new();
    told.stop(20_003, 20_000, Ending::Code, false);
    told.decide(20_003, "agent-stop");
    told.close(20_000, Ending::Paused, false);
    let judgement = told.judged();
    assert_eq!(judgement.breaches, []);
    assert_eq!(judgement.unseen, None);
    assert_eq!(judgement.span, Some(Span { from: ms(10_050), until: ms(20_000) }));
    assert_eq!(represented(9_850).judged().breaches, []);
}

#[test]
fn what_is_kept_after_an_exempt_one_came_is_found_to_the_millisecond() {
    let end = |millis| Breach::AfterEnd { at: ms(19_900), millis, reason: "stranger".into() };
    for (kept, breaches) in [
        (9_851, vec![end(1)]),
        (9_954, vec![end(104)]),
        (9_955, vec![forbidden(20_004, 1, "exempt-leg"), end(105)]),
        (10_954, vec![forbidden(20_004, 1_000, "exempt-leg"), end(1_104)]),
    ] {
        assert_eq!(represented(kept).judged().breaches, breaches, "{kept} ms kept");
    }
}

fn forbidden(at: i64, millis: u64, reason: &str) -> Breach {
    Breach::Forbidden { at: ms(at), millis, reason: reason.into() }
}

/// The line that stops it is not there, or says something else than the decision.
#[test]
fn a_decision_holds_without_a_stop() {
    let mut told = Told { millis: 12_950, ..Told::new() };
    told.decide(22_000, "objected");
    told.close(23_000, Ending::HungUp, false);
    assert_eq!(told.judged().breaches, [forbidden(22_000, 1_000, "objected")]);
}

#[test]
fn what_was_opened_while_nothing_might_be_stored_is_found() {
    let mut told = Told::new();
    told.lines.truncate(2);
    told.decide(9_000, "exempt-leg");
    told.own(10_000, What::Opened { purposes: vec!["quality".into()] });
    told.close(20_000, Ending::HungUp, false);
    let breach = Breach::NeverAllowed { at: ms(9_000), millis: 9_950, reason: "exempt-leg".into() };
    assert_eq!(told.judged().breaches, [breach]);
}

#[test]
fn what_is_kept_from_before_its_opening_is_found() {
    let mut told = Told { from: Some(9_999), ..Told::new() };
    told.close(20_000, Ending::HungUp, false);
    assert_eq!(told.judged().breaches, [Breach::BeforeOpened { at: ms(10_000), millis: 1 }]);
}

#[test]
fn a_purpose_of_which_nobody_was_told_is_found_save_among_agents() {
    let not = Breach::NotAnnounced { at: ms(10_000), millis: 9_950, purpose: "quality".into() };
    for (direction, breaches) in [
        (Direction::Inbound, vec![not.clone()]),
        (Direction::Outbound, vec![not]),
        (Direction::Internal, vec![]),
    ] {
        let mut told = Told::new();
        told.close(20_000, Ending::HungUp, false);
        told.lines[0].1.what = arrived(direction);
        told.lines[1].1.what = announced("regulated-order");
        assert_eq!(told.judged().breaches, breaches, "{direction:?}");
        // Told too late.
        told.lines.insert(5, (6, Entry { what: announced("quality"), ..told.lines[1].1.clone() }));
        assert_eq!(told.judged().breaches, breaches, "{direction:?}, told in it");
    }
}

#[test]
fn what_a_law_demands_goes_on_unwatched_but_not_with_an_exempt_one() {
    for (reason, breaches) in
        [("not-heard", vec![]), ("exempt-leg", vec![forbidden(15_000, 5_000, "exempt-leg")])]
    {
        let mut told = Told { flags: vec![Flag::Unwatched], ..Told::new() };
        told.decide(15_000, reason);
        told.close(20_000, Ending::Gap, false);
        assert_eq!(told.judged().breaches, breaches, "{reason}");
        // One that nobody demands ends there.
        let mut told = Told::new();
        told.decide(15_000, reason);
        told.close(20_000, Ending::Gap, false);
        assert_eq!(told.judged().breaches, [forbidden(15_000, 5_000, reason)], "{reason}");
    }
    // Kept whole, because nobody knows when it began.
    let mut told = Told { flags: vec![Flag::Unwatched], from: None, ..Told::new() };
    told.decide(15_000, "not-heard");
    told.close(20_000, Ending::Gap, false);
    assert_eq!((told.judged().breaches, told.judged().unseen), (vec![], Some(Unseen::NoStart)));
    told.lines[5].1.what = represented(1).lines[5].1.what.clone();
    assert_eq!(told.judged().breaches, [forbidden(15_000, 9_950, "exempt-leg")]);
}

#[test]
fn another_purpose_s_reason_ends_nothing_that_goes_on_unwatched() {
    let mut told = Told { flags: vec![Flag::Unwatched], ..Told::new() };
    let reasons = [("quality", "prerequisite-missing"), ("training", "objected")];
    let reasons = reasons.map(|(purpose, reason)| (purpose.to_owned(), reason.to_owned())).into();
    told.say(15_000, None, What::Decided { record: false, agents: Vec::new(), reasons });
    told.close(20_000, Ending::Gap, false);
    assert_eq!(told.judged().breaches, []);
}

#[test]
fn what_is_erased_is_neither_sound_nor_broken() {
    let told = represented(9_850);
    // All of it; its opening; the decision before it.
    for (gone, erased) in [(0..told.lines.len(), 99), (3..4, 4), (2..3, 3)] {
        let lines: Vec<Line> =
            told.lines.iter().filter(|(line, _)| !in_range(*line, &gone)).cloned().collect();
        let judgement = judge(&lines, id(), erased);
        assert_eq!((judgement.breaches, judgement.unseen), (vec![], Some(Unseen::Erased)), "{gone:?}");
    }
    // Of a journal that forgot nothing this is a fault.
    let lines = [&told.lines[..3], &told.lines[4..]].concat();
    assert_eq!(judge(&lines, id(), 0).breaches, [Breach::Untold]);
    // What is left tells enough.
    let late = represented(9_955);
    assert_eq!(judge(&late.lines[2..], id(), 2).unseen, None);
    assert_eq!(judge(&late.lines[3..], id(), 3).breaches.len(), 2);
}

fn in_range(line: u64, gone: &std::ops::Range<usize>) -> bool {
    gone.contains(&(line as usize - 1))
}

#[test]
fn a_clock_that_was_set_is_told_and_the_stop_still_holds() {
    let mut told = Told { millis: 9_950, ..Told::new() };
    told.say(15_000, None, What::ClockSet { by_ms: -3_600_000 });
    told.decide(15_000 - 3_600_000, "not-heard");
    told.stop(15_000 - 3_600_000, 14_000, Ending::Gap, false);
    told.close(14_000, Ending::Gap, false);
    let judgement = told.judged();
    assert_eq!(judgement.unseen, Some(Unseen::ClockSet));
    let breach = Breach::AfterEnd { at: ms(14_000), millis: 6_000, reason: "gap".into() };
    assert_eq!(judgement.breaches, [breach]);
}

/// Only our clock was set, or the PBX's with it: nobody can say, so what was opened afterwards is not held against ours.
#[test]
fn after_a_clock_that_was_set_only_the_pbx_s_own_word_counts() {
    let mut told = Told { from: Some(10_000 - 3_600_000), ..Told::new() };
    told.lines.insert(2, (3, Entry { what: What::ClockSet { by_ms: 3_600_000 }, ..told.lines[0].1.clone() }));
    told.decide(15_000, "agent-stop");
    told.close(20_000 - 3_600_000, Ending::Paused, false);
    let judgement = told.judged();
    assert_eq!((judgement.breaches, judgement.unseen), (vec![], Some(Unseen::ClockSet)));
}

#[test]
fn the_time_of_an_exempt_one_runs_from_the_first_sign_to_the_next_decision() {
    let told = represented(9_850);
    let there = presences(&told.lines);
    let expected = Presence { from: ms(20_000), until: Some(ms(30_000)), lines: (6, 10) };
    assert_eq!(there, [expected]);
    assert_eq!(there[0].overlap(&told.judged()), Some(0));
    assert_eq!(there[0].overlap(&represented(9_950).judged()), Some(0));
    assert_eq!(there[0].overlap(&represented(10_950).judged()), Some(1_000));
    // He rings, then comes in; nobody tells when he left.
    let mut told = Told::new();
    told.decide(20_000, "exempt-rings");
    told.decide(21_000, "exempt-leg");
    assert_eq!(presences(&told.lines), [Presence { from: ms(20_000), until: None, lines: (6, u64::MAX) }]);
    assert_eq!(presences(&Told::new().lines), []);
}
