//! After a gap: what to do with segments that were open when the sidecar died.
//!
//! None is adopted. Audio up to the last certain moment is kept, the rest is cut off; what a law demands is kept whole
//! and flagged, because nobody watched.

use jiff::Timestamp;

use crate::ports::SegmentRecord;
use crate::segment::{Closing, Ending, Flag};

/// How to close a segment that an earlier run left open. `recording` is when its recorder was confirmed (from the
/// journal), `alive` the last moment at which the earlier run is known to have watched, `stopped` when every recorder
/// on the leg was stopped, or its call was found to be over.
pub fn close(
    record: &SegmentRecord,
    recording: Option<Timestamp>,
    alive: Option<Timestamp>,
    stopped: Timestamp,
) -> Closing {
    let segment = &record.segment;
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
    let certain = alive.unwrap_or(from).max(from).min(stopped);
    Closing {
        from: Some(from),
        until: if segment.mandatory { stopped } else { certain },
        cut_tail: false,
        kept: record.kept_for.clone(),
        ending: Ending::Gap,
        flags: if segment.mandatory { vec![Flag::Unwatched] } else { Vec::new() },
        retention: segment.retention,
    }
}
