//! The only reader of the time, and of chance; and what tells that the machine's clock was set.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use temoin_core::ports::Clock;
use tokio::time::Instant;

/// A clock that is off by less was slewed, as NTP does, or this process was not scheduled for a moment.
const SLEWED: SignedDuration = SignedDuration::from_millis(500);
/// Two readings that lie farther apart tell nothing of each other.
const AT_ONCE: Duration = Duration::from_millis(50);
const TRIES: u8 = 10;
/// So long a clock that was set forwards is not believed: somebody is told, and can set it back. A disposal is planned a
/// day before its last moment, so that nothing is late.
const DISBELIEF: Duration = Duration::from_secs(12 * 3600);

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that nobody sets: begun with the machine's, then on by itself. For how long something lasts, not for when.
#[derive(Debug)]
pub struct SteadyClock {
    begun: (Timestamp, Instant),
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self { begun: (SystemClock.now(), Instant::now()) }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        let (wall, at) = self.begun;
        wall.saturating_add(at.elapsed()).unwrap_or(Timestamp::MAX)
    }
}

/// The machine's clock for what cannot be taken back: where it was set forwards, it is believed only after twelve hours.
#[derive(Debug)]
pub struct PatientClock<C = SystemClock> {
    clock: C,
    state: Mutex<Patience>,
}

#[derive(Debug)]
struct Patience {
    /// The last time that was believed.
    wall: Timestamp,
    at: Instant,
    /// Since when it is ahead.
    ahead: Option<Instant>,
}

impl Default for PatientClock {
    fn default() -> Self {
        Self::of(SystemClock)
    }
}

impl<C: Clock> PatientClock<C> {
    /// This one, with patience.
    pub fn of(clock: C) -> Self {
        let state = Patience { wall: clock.now(), at: Instant::now(), ahead: None };
        Self { clock, state: Mutex::new(state) }
    }
}

impl<C: Clock> Clock for PatientClock<C> {
    fn now(&self) -> Timestamp {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall, at) = (self.clock.now(), Instant::now());
        let steady = state.wall.saturating_add(at - state.at).unwrap_or(Timestamp::MAX);
        if wall.duration_since(steady) > SLEWED && at - *state.ahead.get_or_insert(at) < DISBELIEF {
            return steady;
        }
        *state = Patience { wall, at, ahead: None };
        wall
    }
}

/// Notices when a clock was set.
#[derive(Debug)]
pub struct Pace {
    wall: Timestamp,
    at: Instant,
}

/// A clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// By so much; negative: back.
    pub by: SignedDuration,
    /// When it was last looked at, by the clock as it was.
    pub last: Timestamp,
}

impl Pace {
    /// From now on.
    pub fn new(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), at: Instant::now() }
    }

    /// Whether it was set since the last look.
    pub fn look(&mut self, clock: &dyn Clock) -> Option<Set> {
        let read = || (Instant::now(), clock.now());
        // On a machine that is that busy the next look tells.
        let (before, wall) = (0..TRIES).map(|_| read()).find(|(before, _)| before.elapsed() < AT_ONCE)?;
        let expected = self.wall.saturating_add(before - self.at).ok()?;
        let set = Set { by: wall.duration_since(expected), last: self.wall };
        (self.wall, self.at) = (wall, before);
        (set.by.abs() > SLEWED).then_some(set)
    }
}

/// 32 bytes of chance.
pub fn chance() -> std::io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Tokio's own time, set by hand.
    #[derive(Clone)]
    struct Wall(Instant, Arc<Mutex<SignedDuration>>);

    impl Wall {
        fn new() -> Self {
            Self(Instant::now(), Arc::default())
        }

        fn set(&self, seconds: i64) {
            *self.1.lock().expect("free") = SignedDuration::from_secs(seconds);
        }
    }

    impl Clock for Wall {
        fn now(&self) -> Timestamp {
            at(0) + self.0.elapsed() + *self.1.lock().expect("free")
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_793_600_000 + seconds).expect("a time")
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_is_noticed_once() {
        let wall = Wall::new();
        let mut pace = Pace::new(&wall);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(pace.look(&wall), None, "time goes by");
        for (to, by) in [(3_600, 3_600), (-3_600, -7_200), (0, 3_600)] {
            let last = wall.now();
            tokio::time::advance(Duration::from_secs(1)).await;
            wall.set(to);
            assert_eq!(pace.look(&wall), Some(Set { by: SignedDuration::from_secs(by), last }), "to {to}");
            assert_eq!(pace.look(&wall), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_erases_does_not_believe_a_clock_that_was_set_forwards_at_once() {
        let wall = Wall::new();
        let patient = PatientClock::of(wall.clone());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(patient.now(), at(10));
        wall.set(86_400 * 365);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(patient.now(), at(3_610), "an hour has gone by, not a year");
        wall.set(-60);
        assert_eq!(patient.now(), at(3_550), "back is believed: it erases nothing early");
        wall.set(3_600);
        assert_eq!(patient.now(), at(3_550), "and from there");
        tokio::time::advance(DISBELIEF).await;
        assert_eq!(patient.now(), wall.now(), "nobody has set it back: it is right");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(patient.now(), wall.now());
    }
}
