//! After a gap: what to do with segments that were open when the sidecar died.
//!
//! None is adopted. Audio up to the last certain moment is kept, the rest is cut off; what a law demands is kept whole
//! and flagged, because nobody watched: unless somebody is in the call who must never be recorded. When he came in
//! nobody knows, and no law overrides that.

use jiff::Timestamp;

use crate::journal::{Entry, What};
use crate::ports::SegmentRecord;
use crate::segment::{Closing, Ending, Flag};

/// How to close a segment that an earlier run left open. `story` is the journal of its call, `alive` the last moment at
/// which the earlier run is known to have watched and to have written down what it saw, `stopped` when every recorder
/// on the leg was stopped, or its call was found to be over; `stranger`, whether somebody is in the call now who must not
/// be recorded ([`Rules::is_stranger`](crate::session::Rules::is_stranger)).
pub fn close(
    record: &SegmentRecord,
    story: &[Entry],
    alive: Option<Timestamp>,
    stopped: Timestamp,
    stranger: bool,
) -> Closing {
    let segment = &record.segment;
    let own = || story.iter().filter(|entry| entry.segment == Some(segment.id));
    let recording = own().find(|entry| entry.what == What::Recording).map(|entry| entry.at);
    let Some(from) = recording else {
        return Closing {
            from: None,
            until: segment.opened,
            cut_tail: false,
            kept: Vec::new(),
            ending: Ending::NeverStarted,
            flags: Vec::new(),
            retention: segment.retention,
        };
    };
    let mut closing = Closing {
        from: Some(from),
        until: match segment.mandatory && !stranger {
            true => stopped,
            false => alive.unwrap_or(from).max(from).min(stopped),
        },
        cut_tail: false,
        kept: record.kept_for.clone(),
        ending: Ending::Gap,
        flags: if segment.mandatory { vec![Flag::Unwatched] } else { Vec::new() },
        retention: segment.retention,
    };
    // No times fit what a law demands where the clock was set back meanwhile: it is kept whole. But a stop that was
    // wanted tells its end by the clock by which it began.
    if segment.mandatory && !stranger && stopped <= from {
        if own().any(|entry| matches!(entry.what, What::Stopping { .. })) {
            closing.until = Timestamp::MAX;
        } else {
            closing.from = None;
        }
    }
    // A stop that was wanted holds, whether or not it was confirmed.
    for entry in own() {
        if let What::Stopping { ending, until, cut_tail } = entry.what {
            closing.ending = ending;
            closing.until = closing.until.min(until);
            closing.cut_tail |= cut_tail;
        }
    }
    closing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{CallId, SegmentId};
    use crate::segment::{Deadlines, Segment, State};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn open(mandatory: bool) -> SegmentRecord {
        let segment = Segment {
            id: SegmentId::new(at(0), [1; 10]),
            call: CallId("c".into()),
            opened: at(0),
            since: at(0),
            agents: vec!["amel".into()],
            purposes: vec!["regulated-order".into()],
            mandatory,
            basis: serde_json::Value::Null,
            retention: Deadlines::default(),
        };
        SegmentRecord {
            kept_for: segment.purposes.clone(),
            segment,
            state: State::Open,
            closing: None,
            retention: Deadlines::default(),
            millis: None,
            sha256: None,
            sealed: None,
            flags: Vec::new(),
            disposed: None,
        }
    }

    /// Recorded from the first second on; the run was last seen alive at 10, and all was stopped at 30.
    fn closed(mandatory: bool, alive: Option<i64>, stranger: bool, stopping: Option<(i64, bool)>) -> Closing {
        let record = open(mandatory);
        let entry = |second, what| Entry {
            at: at(second),
            call: Some(record.segment.call.clone()),
            segment: Some(record.segment.id),
            what,
        };
        let mut story = vec![entry(1, What::Recording)];
        story.extend(stopping.map(|(until, cut_tail)| {
            entry(until, What::Stopping { ending: Ending::Stranger, until: at(until), cut_tail })
        }));
        close(&record, &story, alive.map(at), at(30), stranger)
    }

    #[test]
    fn what_nobody_watched_is_kept_only_where_a_law_demands_it_and_no_stranger_is_there() {
        for (mandatory, alive, stranger, until) in [
            (false, Some(10), false, 10),
            (false, Some(10), true, 10),
            (true, Some(10), false, 30),
            // When he came in nobody knows, and no law overrides that.
            (true, Some(10), true, 10),
            // Nobody knows until when the earlier run watched: nothing is left but its first instant.
            (true, None, true, 1),
            (true, None, false, 30),
            (false, None, false, 1),
            // A clock that went back, and one that ran ahead.
            (true, Some(0), true, 1),
            (true, Some(99), true, 30),
        ] {
            let closing = closed(mandatory, alive, stranger, None);
            let case = format!("mandatory {mandatory}, alive {alive:?}, stranger {stranger}");
            assert_eq!((closing.from, closing.until), (Some(at(1)), at(until)), "{case}");
            assert_eq!((closing.ending, closing.cut_tail), (Ending::Gap, false), "{case}");
            assert_eq!(closing.flags.contains(&Flag::Unwatched), mandatory, "{case}");
            assert_eq!(closing.kept, ["regulated-order"], "{case}");
        }
    }

    #[test]
    fn a_stop_that_was_wanted_holds_beside_a_stranger_too() {
        for (stranger, until) in [(false, 20), (true, 10)] {
            let closing = closed(true, Some(10), stranger, Some((20, true)));
            assert_eq!(
                (closing.until, closing.ending, closing.cut_tail),
                (at(until), Ending::Stranger, true)
            );
        }
    }

    #[test]
    fn what_a_law_demands_is_kept_whole_where_the_clock_was_set_back() {
        for (mandatory, stranger, from) in
            [(true, false, None), (true, true, Some(at(1))), (false, false, Some(at(1)))]
        {
            let record = open(mandatory);
            let entry = Entry {
                at: at(1),
                call: Some(record.segment.call.clone()),
                segment: Some(record.segment.id),
                what: What::Recording,
            };
            let closing = close(&record, &[entry], Some(at(10)), at(-3600), stranger);
            assert_eq!(closing.from, from, "mandatory {mandatory}, stranger {stranger}");
            assert_eq!(closing.until, at(-3600));
        }
    }

    /// Somebody exempt had come in, the run died before its stop was confirmed, and he was gone when the next one looked.
    #[test]
    fn a_stop_that_was_wanted_holds_where_the_clock_was_set_back_too() {
        let record = open(true);
        let entry = |second, what| Entry {
            at: at(second),
            call: Some(record.segment.call.clone()),
            segment: Some(record.segment.id),
            what,
        };
        let stopping = What::Stopping { ending: Ending::Stranger, until: at(20), cut_tail: true };
        let story = [entry(1, What::Recording), entry(20, stopping)];
        let closing = close(&record, &story, Some(at(19)), at(-3600), false);
        assert_eq!((closing.from, closing.until), (Some(at(1)), at(20)));
        assert_eq!((closing.ending, closing.cut_tail), (Ending::Stranger, true));
    }

    #[test]
    fn what_was_never_recorded_has_nothing() {
        let closing = close(&open(true), &[], Some(at(10)), at(30), true);
        assert_eq!((closing.from, closing.ending), (None, Ending::NeverStarted));
        assert!(closing.kept.is_empty());
    }
}
