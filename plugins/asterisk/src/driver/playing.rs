//! A prompt on its way to the customer, and how it ended.
//!
//! Asterisk says `done` for a prompt that was played to its end, for one that was stopped and for one whose listener
//! hung up. So the time played decides, by Asterisk's own clock on both ends.

use std::time::Duration;

use jiff::Timestamp;
use temoin_core::event::Playback;
use temoin_core::id::{CallId, OrderNo};

/// Two clocks of one machine, one of them read in whole milliseconds: a prompt may seem so much shorter than it was.
const CLOCKS: Duration = Duration::from_millis(20);
/// A prompt that was ordered.
pub(super) struct Playing {
    pub(super) call: CallId,
    pub(super) order: OrderNo,
    length: Duration,
    started: Option<Timestamp>,
    stopped: bool,
}

impl Playing {
    pub(super) fn new(call: CallId, order: OrderNo, length: Duration) -> Self {
        Self { call, order, length, started: None, stopped: false }
    }

    /// It began.
    pub(super) fn begin(&mut self, at: Timestamp) {
        self.started = Some(at);
    }

    /// We stopped it: from now on nobody can tell a natural end from ours.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Heard is only what was played for at least its own length and stopped by nobody.
    pub(super) fn outcome(&self, failed: bool, at: Timestamp) -> Playback {
        let played = self.started.map(|started| at.duration_since(started));
        let played = played.and_then(|played| Duration::try_from(played).ok()).unwrap_or_default();
        match () {
            () if failed => Playback::Failed,
            () if self.stopped || self.started.is_none() => Playback::Cut,
            () if played + CLOCKS < self.length => Playback::Cut,
            () => Playback::Heard,
        }
    }
}
