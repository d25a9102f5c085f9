//! The service manager's watchdog: fed only while everything that must go on goes on. One loop that is stuck starves
//! it, and the service manager starts the program anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The loops that must turn.
#[derive(Clone, Debug, Default)]
pub struct Watchdog(Arc<Mutex<BTreeMap<&'static str, Loop>>>);

#[derive(Debug)]
struct Loop {
    within: Duration,
    turned: Instant,
}

/// One loop's word that it turns.
#[derive(Clone, Debug)]
pub struct Turns {
    watchdog: Watchdog,
    name: &'static str,
}

impl Watchdog {
    /// A loop that must turn at least so often.
    pub fn watch(&self, name: &'static str, within: Duration) -> Turns {
        self.loops().insert(name, Loop { within, turned: Instant::now() });
        Turns { watchdog: self.clone(), name }
    }

    /// The loops that have not turned for too long.
    pub fn stuck(&self) -> Vec<&'static str> {
        let stuck = |(name, of): (&&'static str, &Loop)| (of.turned.elapsed() > of.within).then_some(*name);
        self.loops().iter().filter_map(stuck).collect()
    }

    /// Feeds as often as this, for as long as nothing is stuck. Never ends.
    pub async fn feed(&self, every: Duration, feed: impl Fn()) {
        let mut hungry = false;
        let mut times = tokio::time::interval(every);
        times.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            times.tick().await;
            let stuck = self.stuck();
            if stuck.is_empty() {
                feed();
            } else if !hungry {
                tracing::error!(?stuck, "stuck; the watchdog is not fed");
            }
            hungry = !stuck.is_empty();
        }
    }

    fn loops(&self) -> MutexGuard<'_, BTreeMap<&'static str, Loop>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    /// It has turned.
    pub fn turned(&self) {
        if let Some(of) = self.watchdog.loops().get_mut(self.name) {
            of.turned = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_stuck_loop_starves_it_and_one_that_goes_on_again_feeds_it() {
        let (watchdog, fed) = (Watchdog::default(), Arc::new(AtomicU32::new(0)));
        let quick = watchdog.watch("quick", Duration::from_secs(5));
        let slow = watchdog.watch("slow", Duration::from_secs(60));
        let feeding = tokio::spawn({
            let (watchdog, fed) = (watchdog.clone(), Arc::clone(&fed));
            let feed = move || {
                fed.fetch_add(1, Ordering::Relaxed);
            };
            async move { watchdog.feed(Duration::from_secs(1), feed).await }
        });
        let pass = async |seconds: u32, quick: Option<&Turns>| {
            let before = fed.load(Ordering::Relaxed);
            for _ in 0..seconds {
                tokio::time::sleep(Duration::from_secs(1)).await;
                quick.inspect(|quick| quick.turned());
            }
            fed.load(Ordering::Relaxed) - before
        };
        assert!(pass(20, Some(&quick)).await >= 19, "both go on");
        pass(6, None).await;
        assert_eq!(watchdog.stuck(), ["quick"]);
        assert_eq!(pass(20, None).await, 0, "one is stuck");
        quick.turned();
        assert!(pass(10, Some(&quick)).await >= 9, "it goes on again");
        pass(60, Some(&quick)).await;
        assert_eq!(watchdog.stuck(), ["slow"]);
        slow.turned();
        assert_eq!(watchdog.stuck(), Vec::<&str>::new());
        feeding.abort();
    }
}
