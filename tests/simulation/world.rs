//! One world: a sidecar, a PBX, some hundred calls, and bad weather; from its seed to its judgement.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use temoin_core::id::CallId;
use temoin_core::ports::{SegmentQuery, Store as _};
use temoin_core::segment::State;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::caller::{self, Manners};
use crate::chance::Chance;
use crate::clock::WorldClock;
use crate::oracle::{self, Seen};
use crate::pbx::Pbx;
use crate::plant::{Ground, SITE, Sidecar, rules};
use crate::shelf::{Disk, Wrong};
use crate::truth::LINES;
use crate::weather::{self, Weather};

/// What became of a world.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What must not be.
    pub faults: Vec<String>,
    /// What was reached.
    pub seen: Seen,
    /// A hash of all that was written down and kept: the same for the same seed.
    pub trace: String,
}

/// Plays the world of a seed.
pub fn play(seed: u64, calls: usize) -> Outcome {
    play_wrong(seed, calls, None)
}

/// The same with something that must not be.
pub fn play_wrong(seed: u64, calls: usize, wrong: Option<Wrong>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
    runtime.block_on(world(seed, calls, wrong))
}

/// Everything that waits is done within this.
const QUIET: Duration = Duration::from_secs(240);

async fn world(seed: u64, calls: usize, wrong: Option<Wrong>) -> Outcome {
    let mut chance = Chance::new(seed);
    let dir = folder();
    std::fs::create_dir(dir.path().join("spool")).expect("a folder");
    let midnight = chance.is(25);
    let mut weather = Weather::of(&mut chance);
    // Of a clock that is set, nobody can say when midnight is.
    weather.clock &= !midnight;
    let clock = Arc::new(WorldClock::new(beginning(&mut chance, midnight)));
    let pbx = Pbx::new(Arc::clone(&clock), dir.path().join("spool"), chance.branch());
    pbx.moods(|moods| moods.wrong = wrong);
    let key = [chance.next() as u8; 32];
    let other = SITE.replace("version = \"fr-1\"", "version = \"fr-2\"");
    let policies = [SITE, &other].map(|text| Arc::new(rules(text, key)));
    let (rules, _) = watch::channel(Arc::clone(&policies[0]));
    let ground = Ground { clock, disk: Arc::new(Disk::new(wrong)), pbx, rules, dir: dir.path().to_owned() };
    let sidecar = Sidecar::start(&ground);

    let left = Arc::new(AtomicUsize::new(calls));
    let over = || left.load(Ordering::SeqCst) == 0;
    let mut people = JoinSet::new();
    people.spawn(come(&ground, calls, chance.branch(), weather, Arc::clone(&left)));
    let raging = weather::rages(&ground, sidecar, weather, chance.branch(), policies, over);
    let sidecar = raging.await;
    let mut faults = Vec::new();
    while let Some(done) = people.join_next().await {
        if let Err(error) = done {
            faults.push(format!("a call of the world fell: {error}"));
        }
    }
    faults.extend(quiet(&ground).await);
    if sidecar.has_fallen() {
        faults.push("a task of the sidecar has fallen".into());
    }
    let mut outcome = oracle::judge(&ground).await;
    outcome.faults.splice(0..0, faults);
    if outcome.faults.is_empty() {
        outcome.faults = oracle::judge_retention(&ground, &mut chance).await;
    }
    outcome
}

/// Callers come, each by himself.
fn come(
    ground: &Ground,
    calls: usize,
    mut chance: Chance,
    weather: Weather,
    left: Arc<AtomicUsize>,
) -> impl Future<Output = ()> + use<> {
    let pbx = Arc::clone(&ground.pbx);
    async move {
        let mut people = JoinSet::new();
        let shares = [(30, LINES[0]), (12, LINES[1]), (22, LINES[2]), (26, LINES[3]), (10, LINES[4])];
        for number in 0..calls {
            sleep(Duration::from_millis(chance.range(5, 250))).await;
            let (line, own) = (chance.weighted(&shares), chance.branch());
            let (pbx, left, call) = (Arc::clone(&pbx), Arc::clone(&left), CallId(format!("c{number}")));
            let is_called = line.name == "accueil" && chance.is(20);
            let manners = Manners { foreign: weather.foreign };
            people.spawn(async move {
                let _left = Leaves(left);
                match is_called {
                    true => caller::called(pbx, call, line, own, manners).await,
                    false => caller::call(pbx, call, line, own, manners).await,
                }
            });
        }
        while let Some(done) = people.join_next().await {
            done.expect("a call goes on to its end");
        }
    }
}

/// One fewer, however it ended.
struct Leaves(Arc<AtomicUsize>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until nothing is under way any more; what is still there after the limit.
async fn quiet(ground: &Ground) -> Vec<String> {
    let limit = tokio::time::Instant::now() + QUIET;
    loop {
        let mut under_way = Vec::new();
        for state in [State::Open, State::Closed, State::Doomed] {
            let rows = ground.disk.store.segments(SegmentQuery::In(state, u32::MAX)).await.expect("segments");
            under_way.extend(rows.iter().map(|row| {
                format!(
                    "{} of {} is still {state:?} after everything was quiet",
                    row.segment.id, row.segment.call
                )
            }));
        }
        if under_way.is_empty() {
            // The last files, and the last words.
            sleep(Duration::from_secs(70)).await;
            return under_way;
        }
        if tokio::time::Instant::now() > limit {
            return under_way;
        }
        sleep(Duration::from_secs(2)).await;
    }
}

/// A working day; in some worlds the last minutes of one, and of a campaign.
fn beginning(chance: &mut Chance, midnight: bool) -> Timestamp {
    let text = if midnight { "2026-10-06T21:59:35Z" } else { "2026-10-05T08:30:00Z" };
    let start: Timestamp = text.parse().expect("an instant");
    start + SignedDuration::from_millis(chance.range(0, 20_000) as i64)
}

/// In memory, where there is such a place: nothing here waits for a real disk.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    made.or_else(|_| TempDir::new()).expect("a folder")
}
