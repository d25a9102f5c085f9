//! A segment's life as the index tells it: which change moves a row where. Every store applies these, so that no two
//! stores can disagree; what a store adds is that it lasts.
//!
//! Each returns whether anything changed. What comes late, twice or out of order changes nothing.

use jiff::Timestamp;

use crate::ports::SegmentRecord;
use crate::segment::{Closing, Deadlines, Kept, Segment, State};

impl SegmentRecord {
    /// A segment that was just opened.
    pub fn open(segment: Segment) -> Self {
        Self {
            kept_for: segment.purposes.clone(),
            retention: segment.retention,
            segment,
            state: State::Open,
            closing: None,
            millis: None,
            sha256: None,
            sealed: None,
            flags: Vec::new(),
            disposed: None,
        }
    }

    /// `Open` → `Closed`, or `Doomed` where nothing is kept.
    pub fn close(&mut self, closing: Closing) -> bool {
        if self.state != State::Open {
            return false;
        }
        self.kept_for.retain(|purpose| closing.kept.contains(purpose));
        self.state = if self.kept_for.is_empty() { State::Doomed } else { State::Closed };
        self.retention = closing.retention;
        self.flags = closing.flags.clone();
        self.closing = Some(closing);
        true
    }

    /// Only these purposes remain, with these deadlines; none: → `Doomed`.
    pub fn amend(&mut self, purposes: &[String], retention: Deadlines) -> bool {
        if self.state == State::Disposed {
            return false;
        }
        let before = (self.kept_for.len(), self.state);
        self.kept_for.retain(|purpose| purposes.contains(purpose));
        if self.kept_for.is_empty() {
            self.state = State::Doomed;
        }
        let changed = before != (self.kept_for.len(), self.state);
        if changed {
            self.retention = retention;
        }
        changed
    }

    /// `Closed` → `Kept`.
    pub fn keep(&mut self, kept: Kept) -> bool {
        if self.state != State::Closed {
            return false;
        }
        self.state = State::Kept;
        self.millis = Some(kept.millis);
        self.sha256 = Some(kept.sha256);
        self.sealed = Some(kept.sealed);
        self.flags = kept.flags;
        true
    }

    /// `Doomed` → `Disposed`; the key goes with it.
    pub fn dispose(&mut self, at: Timestamp) -> bool {
        if self.state != State::Doomed {
            return false;
        }
        self.state = State::Disposed;
        self.sealed = None;
        self.disposed = Some(at);
        true
    }
}
