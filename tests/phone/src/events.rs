//! The log of a phone: what it sent, received and decided, for the message of a failed test.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many events a phone remembers.
const MEMORY: usize = 2_000;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since the phone was bound.
    pub after: Duration,
    /// The number of the call, counted from 1 by each phone; 0 for what belongs to none.
    pub call: u32,
    /// `>` and a first line for a SIP message sent, `<` for one received, `x` for one lost on purpose, or a remark.
    pub what: String,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8.3} [{}] {}", self.after.as_secs_f64(), self.call, self.what)
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    begun: Instant,
    events: Mutex<VecDeque<Event>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), events: Mutex::default() }
    }

    pub(crate) fn note(&self, call: u32, what: impl Into<String>) {
        let mut events = self.events();
        if events.len() == MEMORY {
            events.pop_front();
        }
        events.push_back(Event { after: self.begun.elapsed(), call, what: what.into() });
    }

    pub(crate) fn all(&self) -> Vec<Event> {
        self.events().iter().cloned().collect()
    }

    /// The last lines of one call, and of what belongs to none (0: of all).
    pub(crate) fn tail(&self, call: u32) -> String {
        let events = self.events();
        let mut last: Vec<_> =
            events.iter().rev().filter(|e| call == 0 || e.call == 0 || e.call == call).take(12).collect();
        last.reverse();
        last.into_iter().map(|event| format!("\n  {event}")).collect()
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
