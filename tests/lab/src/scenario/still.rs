//! Whether the machine stood still. Scenarios are played in real time, with limits of 100 ms to two seconds; a machine that
//! wakes nobody for half a second, as a guest does whose host is busy, breaks them whatever the program does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A machine that woke somebody so late stood still.
pub(super) const STOOD_STILL: Duration = Duration::from_millis(250);

/// A machine that did not stand still for so long has come to rest.
const REST: Duration = Duration::from_secs(5);

/// Nobody waits longer for it to come to rest.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a watcher sleeps.
const SLEEP: Duration = Duration::from_millis(10);

/// Watches the machine, with a thread for each of its processors, until it is dropped.
#[derive(Debug)]
pub(super) struct Stillness {
    /// When somebody was woken too late, and by how much.
    seen: Arc<Mutex<Vec<(Instant, Duration)>>>,
    over: Arc<AtomicBool>,
}

impl Stillness {
    pub(super) fn watch() -> Self {
        let watch = Self { seen: Arc::default(), over: Arc::default() };
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let (seen, over) = (Arc::clone(&watch.seen), Arc::clone(&watch.over));
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let asleep = Instant::now();
                    thread::sleep(SLEEP);
                    let late = asleep.elapsed().saturating_sub(SLEEP);
                    if late >= STOOD_STILL {
                        seen.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), late));
                    }
                }
            });
        }
        watch
    }

    /// For how long it stood still at the worst, since an instant; `None`: it did not.
    pub(super) fn since(&self, from: Instant) -> Option<Duration> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|(at, _)| *at >= from).map(|(_, late)| *late).max()
    }

    /// Waits until it has come to rest, if it does.
    pub(super) async fn rest(&self) {
        let begun = Instant::now();
        let moves = || Instant::now().checked_sub(REST).is_some_and(|then| self.since(then).is_some());
        while moves() && begun.elapsed() < PATIENCE {
            tokio::time::sleep(SLEEP).await;
        }
    }
}

impl Drop for Stillness {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
