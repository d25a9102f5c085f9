//! A clock that goes with the runtime's, which stands still until everybody waits; and that can be set forward and back.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use temoin_core::ports::Clock;

/// The machine's clock: of the PBX and of the sidecar.
#[derive(Debug)]
pub struct WorldClock {
    begun: tokio::time::Instant,
    base: Timestamp,
    ahead: Mutex<SignedDuration>,
    /// When it was set, and by how much.
    set: Mutex<Vec<(i64, SignedDuration)>>,
}

impl WorldClock {
    /// Shows `base` now.
    pub fn new(base: Timestamp) -> Self {
        Self { begun: tokio::time::Instant::now(), base, ahead: Mutex::default(), set: Mutex::default() }
    }

    /// Milliseconds since the world began, whatever the clock was set to: the time of the truth.
    pub fn ms(&self) -> i64 {
        self.begun.elapsed().as_millis() as i64
    }

    /// When the world reaches an instant, if nobody sets the clock.
    pub fn ms_of(&self, at: Timestamp) -> i64 {
        at.duration_since(self.base).as_millis() as i64
    }

    /// Somebody sets it.
    pub fn step(&self, by: SignedDuration) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) += by;
        self.set.lock().unwrap_or_else(PoisonError::into_inner).push((self.ms(), by));
    }

    /// Whether it was set in between.
    pub fn was_set(&self, from: i64, until: i64) -> bool {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        set.iter().any(|(at, _)| from <= *at && *at <= until)
    }

    /// Whether it was set in between by so little that nobody notices.
    pub fn was_nudged(&self, from: i64, until: i64) -> bool {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let unseen = SignedDuration::from_millis(500);
        set.iter().any(|(at, by)| from <= *at && *at <= until && by.abs() <= unseen)
    }
}

impl Clock for WorldClock {
    fn now(&self) -> Timestamp {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        self.base + SignedDuration::from_millis(self.ms()) + ahead
    }
}
