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
