//! What the keeper remembers of segments from pass to pass: how long a file was last seen, and when to try again. Lost
//! at a restart, and found again by looking.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use temoin_core::id::SegmentId;
use temoin_core::ports::SegmentRecord;

/// All that is remembered.
#[derive(Debug, Default)]
pub struct Watches(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    segments: HashMap<SegmentId, Watch>,
    tidied: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Watch {
    lengths: [Option<u64>; 2],
    unchanged_since: Option<Timestamp>,
    failures: u32,
    rests_until: Option<Timestamp>,
}

/// What a look at a segment's files tells.
pub struct Look {
    /// For how long their lengths have been the same.
    pub unchanged: Duration,
    /// Whether they were others the time before.
    pub grew: bool,
}

impl Watches {
    /// Notes the lengths of a segment's files.
    pub fn look(&self, id: SegmentId, lengths: [Option<u64>; 2], now: Timestamp) -> Look {
        let mut memory = self.lock();
        let watch = memory.segments.entry(id).or_default();
        match watch.unchanged_since {
            Some(since) if watch.lengths == lengths && since <= now => {
                Look { unchanged: between(since, now), grew: false }
            }
            before => {
                let grew = before.is_some() && watch.lengths != lengths;
                (watch.lengths, watch.unchanged_since) = (lengths, Some(now));
                Look { unchanged: Duration::ZERO, grew }
            }
        }
    }

    /// Counts a failure; tells how many there were.
    pub fn failed(&self, id: SegmentId) -> u32 {
        let mut memory = self.lock();
        let watch = memory.segments.entry(id).or_default();
        watch.failures = watch.failures.saturating_add(1);
        watch.failures
    }

    /// Not before this pause is over again.
    pub fn rest(&self, id: SegmentId, now: Timestamp, pause: Duration) {
        self.lock().segments.entry(id).or_default().rests_until = now.checked_add(pause).ok();
    }

    /// Whether it is too early. A clock that was set back does not make anything rest longer than `longest`.
    pub fn is_resting(&self, id: SegmentId, now: Timestamp, longest: Duration) -> bool {
        let memory = self.lock();
        let until = memory.segments.get(&id).and_then(|watch| watch.rests_until);
        until.is_some_and(|until| now < until && between(now, until) <= longest)
    }

    /// Forgets all others.
    pub fn retain(&self, ids: &[SegmentId]) {
        let ids: std::collections::HashSet<_> = ids.iter().collect();
        self.lock().segments.retain(|id, _| ids.contains(id));
    }

    /// Whether it is time to look for what was left behind: at the first time, and after every `interval`.
    pub fn is_time_to_tidy(&self, now: Timestamp, interval: Duration) -> bool {
        let mut memory = self.lock();
        let due = memory.tidied.is_none_or(|last| last > now || between(last, now) >= interval);
        if due {
            memory.tidied = Some(now);
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long ago a segment ended; `None` where it has not.
pub fn since_end(row: &SegmentRecord, now: Timestamp) -> Option<Duration> {
    row.closing.as_ref().map(|closing| between(closing.until, now))
}

/// Zero where `until` is before `from`.
fn between(from: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(from).max(SignedDuration::ZERO)).unwrap_or_default()
}
