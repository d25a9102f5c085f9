//! Plays many scenarios: benches beside each other as far as the machine allows, and on a bench everything at once that
//! needs no phone that another one is using.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::bench::Bench;
use super::file::Scenario;
use super::judge::{CallSeen, judge};
use super::sidecar::Sidecar;
use super::site::{Site, write_wav};
use super::stage::{Run, Stage, Stuck};
use super::still::{STOOD_STILL, Stillness};

/// So many benches are at work at once. More would be over sooner on two cores, and on a busy machine no PBX mixes whole.
const BENCHES: u32 = 2;
/// So many scenarios are played at once on one bench.
const AT_ONCE: usize = 6;
/// And so many when they are played again.
const AGAIN_AT_ONCE: usize = 2;

/// A machine that was late by so many milliseconds is told of.
const TELLING: u128 = 100;

/// What failed while the machine stood still is played again, on a machine that has come to rest and does nothing else; so
/// often all in all, and the last time counts.
const TURNS: u32 = 6;

/// Scenarios, and all that they need.
#[derive(Clone, Debug)]
pub struct Suite {
    /// What is played.
    pub scenarios: Vec<Scenario>,
    /// By whose policy.
    pub site: Site,
    /// By which program.
    pub sidecar: Sidecar,
    /// A bench that stays up afterwards, every phone of its house answering by itself.
    pub stays: Option<String>,
    /// The folder for all that remains: a folder for each bench (policy, logs, index, vault) and one for each scenario
    /// (recordings, the phones' events). Emptied as it is used.
    pub keep: PathBuf,
}

/// A bench that stayed up. Ends when it is dropped.
#[derive(Debug)]
pub struct Standing {
    bench: Arc<Bench>,
}

impl Standing {
    /// Where the PBX takes SIP: from a phone whose user name is `visitor`, as a customer's.
    pub fn sip(&self) -> SocketAddr {
        self.bench.sip()
    }

    /// The sidecar's configuration.
    pub fn config(&self) -> PathBuf {
        self.bench.folder.join("temoin.toml")
    }
}

/// What came of one scenario, or of one bench.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario's name, or `bench NAME`.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its sentence.
    pub why: String,
    /// How long it took.
    pub took: Duration,
    /// By how much a packet of the phones' sound left too late, at the worst: how busy the machine was. Nothing for a
    /// bench.
    pub latest: Duration,
    /// The calls, in order.
    pub calls: Vec<CallSeen>,
    /// All that was not as it must be; empty: all well.
    pub wrong: Vec<String>,
    /// Where to look.
    pub remains: PathBuf,
    /// It went wrong while the machine stood still for so long: that proves nothing, and it is played again.
    pub void: Option<Duration>,
}

impl Report {
    /// Everything was as it must be.
    pub fn is_well(&self) -> bool {
        self.wrong.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(still) = self.void {
            let still = still.as_millis();
            return write!(
                f,
                "{} ... void, and played again: the machine stood still for {still} ms",
                self.name
            );
        }
        let how = if self.is_well() { "ok" } else { "FAILED" };
        write!(f, "{} ... {how} ({:.1} s", self.name, self.took.as_secs_f64())?;
        // The first question of whoever reads a failure: was the machine too busy to be heard right?
        match self.latest.as_millis() {
            0..TELLING => write!(f, ")")?,
            late => write!(f, "; a packet left {late} ms late)")?,
        }
        if self.is_well() {
            return Ok(());
        }
        writeln!(f, "\n  {}\n  {}", self.title, self.why)?;
        for wrong in &self.wrong {
            writeln!(f, "  - {}", wrong.replace('\n', "\n    "))?;
        }
        write!(f, "  remains: {}", self.remains.display())
    }
}

impl Suite {
    /// Plays everything, telling each report as it comes; gives all that are not void, and the bench that stays, if it came
    /// up. Wants a multi-threaded runtime.
    pub async fn run(self, mut tell: impl FnMut(&Report)) -> (Vec<Report>, Option<Standing>) {
        let mut benches: BTreeMap<String, Vec<Scenario>> = BTreeMap::new();
        for scenario in &self.scenarios {
            benches.entry(scenario.bench.name.clone()).or_default().push(scenario.clone());
        }
        // The longest first.
        let mut benches: Vec<(String, Vec<Scenario>)> = benches.into_iter().collect();
        benches.sort_by_key(|(_, scenarios)| std::cmp::Reverse(scenarios.len()));
        let shared = Arc::new(self);
        let still = Arc::new(Stillness::watch());
        let places = Arc::new(Semaphore::new(BENCHES as usize));
        let (reports, mut told) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for (name, scenarios) in benches {
            let (suite, places, reports) = (Arc::clone(&shared), Arc::clone(&places), reports.clone());
            let still = Arc::clone(&still);
            tasks.spawn(async move { suite.on_benches(&name, scenarios, &places, &still, &reports).await });
        }
        drop(reports);
        let mut all = Vec::new();
        while let Some(report) = told.recv().await {
            tell(&report);
            if report.void.is_none() {
                // What failed once, and was not void, has failed.
                all.retain(|before: &Report| before.name != report.name || !before.is_well());
                all.push(report);
            }
        }
        let mut stays = None;
        while let Some(done) = tasks.join_next().await {
            stays = done.ok().flatten().or(stays);
        }
        (all, stays)
    }

    /// On a bench; what was void there on another. All of it, where the bench itself was void or is to stay up.
    async fn on_benches(
        &self,
        name: &str,
        mut scenarios: Vec<Scenario>,
        places: &Semaphore,
        still: &Stillness,
        reports: &mpsc::UnboundedSender<Report>,
    ) -> Option<Standing> {
        let whole = scenarios.iter().any(|scenario| scenario.bench.whole_machine);
        let mut turn = 1;
        loop {
            let again = turn > 1;
            let _places = places.acquire_many(if whole || again { BENCHES } else { 1 }).await.ok()?;
            if again {
                still.rest().await;
            }
            let (held, mut coming) = mpsc::unbounded_channel::<Report>();
            let hold = async {
                let mut void = BTreeSet::new();
                while let Some(mut report) = coming.recv().await {
                    let from = Instant::now().checked_sub(report.took).unwrap_or_else(Instant::now);
                    report.void =
                        still.since(from).max(Some(report.latest).filter(|late| *late >= STOOD_STILL));
                    report.void = report.void.filter(|_| turn < TURNS && !report.is_well());
                    if report.void.is_some() {
                        void.insert(report.name.clone());
                    }
                    let _ = reports.send(report);
                }
                void
            };
            let play = async {
                let held = held;
                let at_once = if again { AGAIN_AT_ONCE } else { AT_ONCE };
                self.on_bench(name, scenarios.clone(), at_once, &held).await
            };
            let (standing, void) = tokio::join!(play, hold);
            if void.is_empty() {
                if let Some(standing) = &standing {
                    standing.bench.open_house();
                }
                return standing;
            }
            let all = standing.is_some() || void.contains(&bench_name(name));
            scenarios.retain(|scenario| all || void.contains(&scenario.name));
            if let Some(standing) = standing {
                standing.bench.end().await;
            }
            turn += 1;
        }
    }

    async fn on_bench(
        &self,
        name: &str,
        scenarios: Vec<Scenario>,
        at_once: usize,
        reports: &mpsc::UnboundedSender<Report>,
    ) -> Option<Standing> {
        let begun = Instant::now();
        let folder = self.keep.join(format!("bench-{name}"));
        let report = |wrong: Vec<String>| {
            Report {
            name: bench_name(name),
            title: "What holds for every call".into(),
            why: "The spool is empty, the journal is whole, every file is a segment's, no person is in the log.".into(),
            took: begun.elapsed(),
            latest: Duration::ZERO,
            calls: Vec::new(),
            wrong,
            remains: folder.clone(),
            void: None,
        }
        };
        match Bench::start(&scenarios, &self.site, &self.sidecar, folder.clone()).await {
            Ok(bench) => {
                let bench = Arc::new(bench);
                self.play_all(&bench, scenarios, at_once, reports).await;
                let mut wrong = bench.settle().await;
                let stays = self.stays.as_deref() == Some(name);
                if !stays {
                    wrong.extend(bench.end().await);
                }
                let _ = reports.send(report(wrong));
                stays.then_some(Standing { bench })
            }
            Err(why) => {
                let _ = reports.send(report(vec![why]));
                None
            }
        }
    }

    async fn play_all(
        &self,
        bench: &Arc<Bench>,
        scenarios: Vec<Scenario>,
        at_once: usize,
        reports: &mpsc::UnboundedSender<Report>,
    ) {
        let mut waiting: VecDeque<Scenario> = scenarios.into();
        let mut busy: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
        let mut alone = false;
        let mut playing = JoinSet::new();
        loop {
            let mut later = VecDeque::new();
            while let Some(scenario) = waiting.pop_front() {
                let phones = scenario.extensions();
                let free = busy.values().all(|used| used.is_disjoint(&phones));
                let room = if scenario.alone { busy.is_empty() } else { !alone && busy.len() < at_once };
                if !(free && room) {
                    later.push_back(scenario);
                    continue;
                }
                alone = scenario.alone;
                busy.insert(scenario.name.clone(), phones);
                let (bench, remains) = (Arc::clone(bench), self.keep.join(&scenario.name));
                playing.spawn(async move { play(&bench, &scenario, remains).await });
            }
            waiting = later;
            match playing.join_next().await {
                Some(Ok(report)) => {
                    busy.remove(&report.name);
                    alone = alone && !busy.is_empty();
                    let _ = reports.send(report);
                }
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Some(Err(_)) | None => return,
            }
        }
    }
}

async fn play(bench: &Arc<Bench>, scenario: &Scenario, remains: PathBuf) -> Report {
    let begun = Instant::now();
    let (mut calls, mut wrong, mut latest) = (Vec::new(), Vec::new(), Duration::ZERO);
    let _ = fs::remove_dir_all(&remains);
    if let Err(error) = fs::create_dir_all(&remains) {
        wrong.push(format!("{}: {error}", remains.display()));
    }
    let mut copies = JoinSet::new();
    for copy in 0..scenario.copies {
        let (bench, scenario, remains) = (Arc::clone(bench), scenario.clone(), remains.clone());
        copies.spawn(async move { play_copy(&bench, &scenario, copy, &remains).await });
    }
    while let Some(copy) = copies.join_next().await {
        match copy {
            Ok(copy) => {
                calls.extend(copy.calls);
                wrong.extend(copy.wrong);
                latest = latest.max(copy.latest);
            }
            Err(error) => wrong.push(format!("a copy of the script broke off: {error}")),
        }
    }
    if let Some(drawn) = scenario.drawn {
        let kept = |call: &&CallSeen| {
            call.story["segments"].as_array().into_iter().flatten().any(|segment| segment["state"] == "kept")
        };
        let seen = calls.iter().filter(kept).count();
        if seen != drawn {
            wrong.push(format!("{drawn} of {} calls were to be kept, {seen} are", calls.len()));
        }
    }
    if !wrong.is_empty() {
        wrong.push(bench.tails());
    }
    Report {
        name: scenario.name.clone(),
        title: scenario.title.clone(),
        why: scenario.why.clone(),
        took: begun.elapsed(),
        latest,
        calls,
        wrong,
        remains,
        void: None,
    }
}

fn bench_name(name: &str) -> String {
    format!("bench {name}")
}

/// What came of one copy.
#[derive(Default)]
struct Copy {
    calls: Vec<CallSeen>,
    wrong: Vec<String>,
    latest: Duration,
}

async fn play_copy(bench: &Bench, scenario: &Scenario, copy: u16, remains: &Path) -> Copy {
    let mut stage = match Stage::set(bench, scenario, copy).await {
        Ok(stage) => stage,
        Err(stuck) => return Copy { wrong: vec![say(&stuck)], ..Copy::default() },
    };
    let mut runs: Vec<Run> = Vec::new();
    let (mut wrong, mut latest) = (Vec::new(), Duration::ZERO);
    for _ in 0..scenario.repeat {
        let (run, played) = stage.play().await;
        latest = run.latest().map_or(latest, |late| late.max(latest));
        if scenario.copies == 1 {
            wrong.extend(leave_ears(&run, remains));
        }
        match played {
            Ok(()) => runs.push(run),
            Err(stuck) => {
                wrong.push(say(&stuck));
                break;
            }
        }
    }
    let (calls, faults) = judge(bench, scenario, stage.members(), &runs, remains).await;
    wrong.extend(faults);
    for (name, member) in stage.members() {
        let events: String = member.phone.events().iter().map(|event| format!("{event}\n")).collect();
        let file = remains.join(format!("{name}-{copy}.events"));
        if let Err(error) = fs::write(&file, events) {
            wrong.push(format!("{}: {error}", file.display()));
        }
    }
    for (no, call) in calls.iter().enumerate() {
        let _ = fs::write(remains.join(format!("call-{copy}-{}.json", no + 1)), format!("{:#}", call.story));
    }
    Copy { calls, wrong, latest }
}

/// What each customer heard, as a WAV file.
fn leave_ears(run: &Run, remains: &Path) -> Option<String> {
    run.dials.iter().enumerate().find_map(|(no, dial)| {
        let heard = dial.call.ear().between(dial.at, Instant::now());
        let file = remains.join(format!("heard-by-{}-{}.wav", dial.by, no + 1));
        write_wav(&file, heard.samples()).err().map(|error| error.to_string())
    })
}

fn say(stuck: &Stuck) -> String {
    format!("step `{}`: {}", stuck.step, stuck.why)
}
