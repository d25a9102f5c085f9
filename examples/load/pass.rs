//! One way's calls: begun at an even pace, each with what was heard around the moments that are measured.
//!
//! The phones are those of the tests: for each packet they know the instant at which it came. What they cost is told
//! beside what is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use temoin_phone::{Call, CallOptions, Tone, Until, Voice, Way as KeyWay};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};

use crate::ground::{CUSTOMER_TONES, Ground, PROMPT_TONE, told};
use crate::machine::{Machine, Used, resident, used};

/// How long anything may take that a call waits for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the sidecar may take to put everything away.
const REST: Duration = Duration::from_secs(120);
/// Less than a second, after which a phone's tone repeats: what was heard around an instant that is measured.
const AROUND: Duration = Duration::from_millis(980);
/// How much of that lies before a code's last digit.
const BEFORE_CODE: Duration = Duration::from_millis(480);

/// What happens with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Talked, not recorded.
    Bare,
    /// Talked, recorded by the dialplan.
    MixMonitor,
    /// Talked, recorded by Témoin.
    Temoin,
    /// The same, and the agent pauses by `*9` halfway.
    Code,
    /// The prompt, then hung up by Asterisk.
    BareHook,
    /// The hook, then hung up by Asterisk.
    Hook,
    /// The hook of a line that announces nothing, then hung up by Asterisk.
    SilentHook,
}

/// How many calls, how fast, how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Calls begun in a second.
    pub rate: f64,
    /// How long they talk.
    pub talk: Duration,
    /// How many.
    pub count: u16,
}

/// All calls of one way.
pub struct Pass {
    /// Which.
    pub way: Way,
    /// Those that went as they should.
    pub calls: Vec<Taken>,
    /// What went wrong with the others.
    pub failed: Vec<String>,
    /// Calls begun in a second, as it came out.
    pub rate: f64,
    /// At most so many were up at once.
    pub live: u32,
    /// CPU of Asterisk, in ms for all calls.
    pub asterisk: Used,
    /// Of the sidecar, up to the moment at which all was put away.
    pub sidecar: Used,
    /// Of this process with its phones.
    pub phones: Used,
    /// How busy the machine was while there were calls, in per cent.
    pub busy: f64,
    /// The sidecar's memory before, and the most of it while there were calls, in kB.
    pub memory: (u64, u64),
}

/// A call that went as it should.
pub struct Taken {
    /// Its number in the whole run.
    pub call: u16,
    /// Who called.
    pub customer: String,
    /// What the customer says and what the agent says, in Hz.
    pub tones: (u32, u32),
    /// From the answer to the first packet of the prompt, where there is one.
    pub prompt: Option<Duration>,
    /// Where there was a talk.
    pub talk: Option<Talk>,
}

/// What came when, with its samples.
pub type Heard = Vec<(Instant, Vec<i16>)>;

/// A talk.
pub struct Talk {
    /// When the agent answered (the 200 left).
    pub from: Instant,
    /// When the code's last digit had left, or else the BYE.
    pub to: Instant,
    /// What the customer heard in the first second.
    pub first: Heard,
    /// What the agent heard around the code.
    pub last: Heard,
}

impl Way {
    /// Whether the sidecar has a part in it.
    pub fn is_served(self) -> bool {
        !matches!(self, Self::Bare | Self::MixMonitor | Self::BareHook)
    }

    /// Whether anybody talks.
    pub fn talks(self) -> bool {
        matches!(self, Self::Bare | Self::MixMonitor | Self::Temoin | Self::Code)
    }

    fn prefix(self) -> u8 {
        match self {
            Self::Bare => 60,
            Self::MixMonitor => 61,
            Self::Temoin | Self::Code => 62,
            Self::BareHook => 63,
            Self::Hook => 64,
            Self::SilentHook => 65,
        }
    }
}

/// Plays the calls with the numbers from `first` on.
pub async fn run(ground: Arc<Ground>, way: Way, pace: Pace, first: u16) -> Result<Pass, String> {
    let asterisk = ground.lab.pid().ok_or("Asterisk does not run")?;
    let sidecar = if way.is_served() { Some(ground.sidecar().ok_or("no sidecar runs")?) } else { None };
    let use_of = |pid: Option<u32>| pid.map_or_else(Used::default, used);
    let before = [Some(asterisk), sidecar, Some(std::process::id())].map(use_of);
    let (machine, memory) = (Machine::now(), sidecar.map_or(0, resident));

    let (live, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let largest = Arc::new(AtomicU32::new(0));
    let watch = tokio::spawn(watch(Arc::clone(&largest), sidecar));
    let mut ticks = interval(Duration::from_secs_f64(1.0 / pace.rate));
    // A pace that cannot be kept is told, not caught up with.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut calls, mut begun) = (JoinSet::new(), Vec::new());
    for call in first..first + pace.count {
        ticks.tick().await;
        begun.push(Instant::now());
        let (ground, live, most) = (Arc::clone(&ground), Arc::clone(&live), Arc::clone(&most));
        calls.spawn(async move {
            most.fetch_max(live.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            let taken = play(&ground, way, pace.talk, call).await;
            live.fetch_sub(1, Ordering::Relaxed);
            taken.map_err(|why| format!("call {call}: {why}"))
        });
    }
    let (mut taken, mut failed) = (Vec::new(), Vec::new());
    while let Some(call) = calls.join_next().await {
        match call.map_err(told)? {
            Ok(call) => taken.push(call),
            Err(why) => failed.push(why),
        }
    }
    let busy = Machine::now().busy_since(machine);
    watch.abort();
    if sidecar.is_some() {
        rest(&ground).await?;
    }
    let after = [Some(asterisk), sidecar, Some(std::process::id())].map(use_of);
    let [asterisk, sidecar, phones] = std::array::from_fn(|n| after[n].since(before[n]));
    let span = begun.first().zip(begun.last()).map_or(0.0, |(first, last)| (*last - *first).as_secs_f64());
    taken.sort_by_key(|call| call.call);
    Ok(Pass {
        way,
        calls: taken,
        failed,
        rate: f64::from(pace.count - 1) / span.max(f64::EPSILON),
        live: most.load(Ordering::Relaxed),
        asterisk,
        sidecar,
        phones,
        busy,
        memory: (memory, u64::from(largest.load(Ordering::Relaxed))),
    })
}

/// Notes the most memory, in kB.
async fn watch(largest: Arc<AtomicU32>, sidecar: Option<u32>) {
    let Some(sidecar) = sidecar else { return };
    let mut ticks = interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        largest.fetch_max(u32::try_from(resident(sidecar)).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

/// Waits until the sidecar has nothing left to put away: it is a part of what a call costs.
async fn rest(ground: &Ground) -> Result<(), String> {
    let deadline = Instant::now() + REST;
    while !ground.spool_is_empty() {
        if Instant::now() > deadline {
            return Err(format!("the spool is not empty after {REST:?}:\n{}", ground.log_tail()));
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn play(ground: &Ground, way: Way, length: Duration, call: u16) -> Result<Taken, String> {
    let (number, agent_tone) = Ground::number(way.prefix(), call);
    let customer = format!("+3319900{call:04}");
    let tone = CUSTOMER_TONES[usize::from(call) % CUSTOMER_TONES.len()];
    let agent = ground.expect(&customer);
    let options = CallOptions {
        user: Some(customer.clone()),
        voice: Some(Voice::Tone(Tone::new(tone))),
        ..CallOptions::default()
    };
    let uri = format!("sip:{number}@{}", ground.lab.sip);
    let leg = ground.customers.call(&uri, options).await.map_err(told)?;
    let answered = leg.wait_for(Until::Answered, PATIENCE).await.map_err(told)?;
    let mut taken = Taken { call, customer, tones: (tone, agent_tone), prompt: None, talk: None };
    let prompt = |leg: &Call| Some(leg.ear().first_heard(PROMPT_TONE, answered)? - answered);
    if !way.talks() {
        let ending = leg.ended(PATIENCE).await.map_err(told)?;
        if ending.cause != Some(16) {
            return Err(format!("not admitted: {ending:?}"));
        }
        taken.prompt = prompt(&leg);
        return Ok(taken);
    }
    let agent = timeout(PATIENCE, agent).await.map_err(|_| "its agent was not called")?.map_err(told)?;
    let from = agent.wait_for(Until::Answered, PATIENCE).await.map_err(told)?;
    taken.prompt = prompt(&leg);
    let mut last = Vec::new();
    let to = if way == Way::Code {
        sleep_until((from + length / 2).into()).await;
        let at = agent.press("*9", KeyWay::Rtp, Duration::from_millis(80)).await.map_err(told)?;
        sleep_until((from + length).into()).await;
        let begin = at - BEFORE_CODE;
        last = agent.ear().arrivals(begin, begin + AROUND);
        at
    } else {
        sleep_until((from + length).into()).await;
        Instant::now()
    };
    let first = leg.ear().arrivals(from, from + AROUND);
    leg.hang_up().await.map_err(told)?;
    taken.talk = Some(Talk { from, to, first, last });
    Ok(taken)
}

impl Used {
    fn since(self, before: Self) -> Self {
        Self { cpu: self.cpu - before.cpu, waited: (self.waited - before.waited).max(0.0) }
    }
}
