//! Legal holds: while one is in force, nothing it found is deleted (`FORMAT.md`, section 3.7).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Dates;
use crate::time::{self, day_after, whole};

/// A legal hold on an object: from an instant to its release, which does not belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalHold {
    /// Its beginning.
    #[serde(deserialize_with = "time::instant")]
    pub from: Timestamp,
    /// Its release; none while it is open.
    #[serde(default, deserialize_with = "time::optional_instant", skip_serializing_if = "Option::is_none")]
    pub release: Option<Timestamp>,
}

impl LegalHold {
    /// Whether it is in force at an instant.
    pub fn is_in_force(&self, at: Timestamp) -> bool {
        self.from <= at && self.release.is_none_or(|release| at < release)
    }
}

/// What holds do to an object.
pub(super) struct Held {
    pub(super) dates: Dates,
    /// The holds that found something.
    pub(super) holds: Vec<LegalHold>,
    /// The beginning of the first hold that came when the object was due: it, and those after it, find nothing.
    pub(super) void: Option<Timestamp>,
}

/// Holds in the order of their beginnings; those that overlap or touch are one, empty ones none.
pub(super) fn merge(holds: &[LegalHold]) -> Vec<LegalHold> {
    let in_seconds =
        |hold: &LegalHold| LegalHold { from: whole(hold.from), release: hold.release.map(whole) };
    let mut sorted: Vec<_> = holds.iter().map(in_seconds).collect();
    sorted.retain(|hold| hold.release.is_none_or(|release| hold.from < release));
    sorted.sort();
    let mut merged: Vec<LegalHold> = Vec::new();
    for hold in sorted {
        match merged.last_mut() {
            Some(last) if last.release.is_none_or(|release| hold.from <= release) => {
                last.release = last.release.and_then(|a| Some(a.max(hold.release?)));
            }
            _ => merged.push(hold),
        }
    }
    merged
}

/// Applies holds, merged, to the dates of an object.
pub(super) fn apply(mut dates: Dates, merged: &[LegalHold]) -> Held {
    let mut holds = Vec::new();
    let mut void = None;
    for hold in merged {
        if dates.scheduled.is_some_and(|scheduled| scheduled <= hold.from) {
            void = Some(hold.from);
            break;
        }
        holds.push(*hold);
        match (hold.release, dates.scheduled) {
            (None, _) => (dates.scheduled, dates.delete_by) = (None, None),
            (Some(release), Some(scheduled)) if scheduled < release => {
                dates.scheduled = Some(release);
                if dates.delete_by.is_some_and(|limit| limit <= release) {
                    dates.delete_by = Some(day_after(release));
                }
            }
            (Some(_), _) => {}
        }
    }
    Held { dates, holds, void }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold((from, release): (i64, i64)) -> LegalHold {
        let at = |second| Timestamp::from_second(second).expect("an instant");
        LegalHold { from: at(from), release: Some(at(release)) }
    }

    #[test]
    fn holds_that_overlap_or_touch_are_one_and_empty_ones_none() {
        for (holds, merged) in [
            (vec![(0, 10), (5, 20)], vec![(0, 20)]),
            (vec![(0, 20), (5, 10)], vec![(0, 20)]),
            (vec![(10, 20), (0, 10)], vec![(0, 20)]),
            (vec![(0, 10), (11, 20)], vec![(0, 10), (11, 20)]),
            (vec![(0, 10), (30, 30)], vec![(0, 10)]),
            (vec![(30, 29)], vec![]),
        ] {
            let all = |holds: &[(i64, i64)]| holds.iter().copied().map(hold).collect::<Vec<_>>();
            assert_eq!(merge(&all(&holds)), all(&merged), "{holds:?}");
        }
    }

    /// An open one has no end that another could touch: all that follow are in it.
    #[test]
    fn an_open_hold_takes_in_all_that_follow() {
        let open = LegalHold { release: None, ..hold((5, 6)) };
        assert_eq!(merge(&[hold((0, 4)), hold((20, 30)), open]), [hold((0, 4)), open]);
        assert_eq!(merge(&[hold((0, 10)), open]), [LegalHold { release: None, ..hold((0, 1)) }]);
    }
}
