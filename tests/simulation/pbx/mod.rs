//! A PBX that a world plays: it does what it is told, as late and as badly as the port allows, and it knows the truth.

mod channel;
mod driver;
mod outbound;
mod talk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use temoin_core::event::{CallEvent, Party, PbxEvent, Role};
use temoin_core::id::{CallId, LegId, SegmentId};
use temoin_core::ports::Clock as _;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::clock::WorldClock;
use crate::shelf::Wrong;
use crate::truth::Truth;
use channel::Channel;
pub use channel::Hook;
pub use driver::Driver;

/// Who can be in a bridge with a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Amel,
    Bruno,
    Exempt,
    Stranger,
    OtherCustomer,
    Spy,
}

impl Who {
    fn party(self, held: bool) -> Party {
        let (extension, role) = match self {
            Self::Amel => (Some("2001"), Role::Member),
            Self::Bruno => (Some("2002"), Role::Member),
            Self::Exempt => (Some("4100"), Role::Member),
            Self::Stranger => (Some("2999"), Role::Member),
            Self::OtherCustomer => (None, Role::Member),
            Self::Spy => (Some("2777"), Role::Listener),
        };
        Party {
            leg: self.leg(),
            extension: extension.map(str::to_owned),
            agent: None,
            customer_of: (self == Self::OtherCustomer).then(|| CallId("another".into())),
            role,
            held: held && self.is_agent(),
        }
    }

    pub fn leg(self) -> LegId {
        LegId(format!("leg-of-{self:?}"))
    }

    /// Everybody else's voice must be in nothing that is kept.
    pub fn is_agent(self) -> bool {
        matches!(self, Self::Amel | Self::Bruno)
    }
}

/// A recorder's file.
#[derive(Clone, Debug)]
pub struct Tape {
    pub call: CallId,
    pub from: i64,
    pub until: Option<i64>,
}

/// Whether the sidecar hears the PBX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Up,
    /// Nobody has noticed yet. Since when.
    Cut(Timestamp),
    Down,
}

/// To the sidecar that runs.
struct Wire {
    run: u32,
    tell: mpsc::UnboundedSender<(Instant, PbxEvent)>,
    followed: BTreeSet<CallId>,
}

/// Until when the PBX behaves badly, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moods {
    /// It does what it is told, and does not say so in time.
    pub deaf: i64,
    /// It refuses.
    pub refuses: i64,
    /// It answers late.
    pub slow: i64,
    /// It says that the recorder runs, and none does.
    pub blind: i64,
    /// What it ought never to do.
    pub wrong: Option<Wrong>,
}

struct State {
    channels: BTreeMap<CallId, Channel>,
    truths: BTreeMap<CallId, Truth>,
    tapes: BTreeMap<SegmentId, Tape>,
    /// Legs that wait to dial.
    dialling: BTreeMap<CallId, outbound::Dials>,
    wire: Option<Wire>,
    runs: u32,
    link: Link,
    exempt: BTreeSet<String>,
    moods: Moods,
    /// When nobody can demand anything of any call.
    troubled: Vec<(i64, i64)>,
    /// When nobody watched, or it was forgotten what was seen.
    unwatched: Vec<(i64, i64)>,
    unwatched_since: Option<i64>,
    chance: Chance,
    orders: u64,
    /// How often the policy was read anew.
    reloads: u32,
}

/// The PBX.
pub struct Pbx {
    /// Itself, for what it does later.
    me: Weak<Self>,
    pub clock: Arc<WorldClock>,
    spool: PathBuf,
    /// What it tells is so long on its way.
    latency: Duration,
    state: Mutex<State>,
}

impl Pbx {
    pub fn new(clock: Arc<WorldClock>, spool: PathBuf, mut chance: Chance) -> Arc<Self> {
        let latency = Duration::from_millis(chance.range(0, 4));
        let state = State {
            channels: BTreeMap::new(),
            truths: BTreeMap::new(),
            tapes: BTreeMap::new(),
            dialling: BTreeMap::new(),
            wire: None,
            runs: 0,
            link: Link::Up,
            exempt: BTreeSet::new(),
            moods: Moods::default(),
            troubled: Vec::new(),
            unwatched: Vec::new(),
            unwatched_since: None,
            chance,
            orders: 0,
            reloads: 0,
        };
        Arc::new_cyclic(|me| Self { me: me.clone(), clock, spool, latency, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sidecar connects.
    pub fn connect(self: &Arc<Self>) -> Driver {
        let (tell, told) = mpsc::unbounded_channel();
        let mut state = self.lock();
        state.runs += 1;
        let run = state.runs;
        state.wire = Some(Wire { run, tell, followed: BTreeSet::new() });
        if state.link == Link::Up {
            self.send(&state, PbxEvent::LinkUp);
        }
        Driver::new(Arc::clone(self), run, told)
    }

    /// The sidecar is dead; what it had seen since `durable` it had not written down.
    pub fn disconnect(&self, durable: i64) {
        let now = self.clock.ms();
        let mut state = self.lock();
        state.wire = None;
        state.unwatched_since.get_or_insert(durable);
        let State { channels, truths, .. } = &mut *state;
        for (call, truth) in truths {
            truth.forget_since(durable, channels.contains_key(call));
            if truth.ended.is_none_or(|ended| ended >= durable - 1000) {
                let from = if truth.erased.or(truth.noted).is_some() { 0 } else { durable - 1000 };
                truth.trouble(from, i64::MAX);
            }
            // A leg that was found alive is taken up only when its stop is answered, and that may take two seconds.
            truth.told &= truth.ended.is_some_and(|ended| ended < durable - 3000);
        }
        state.troubled.push((durable - 1000, now + 1500));
    }

    /// The link is cut; nobody has noticed yet.
    pub fn cut(&self) {
        let mut state = self.lock();
        if state.link == Link::Up {
            state.link = Link::Cut(self.clock.now());
            let now = self.clock.ms();
            state.unwatched_since.get_or_insert(now);
            let State { channels, truths, .. } = &mut *state;
            for (call, channel) in channels {
                let truth = truths.get_mut(call).expect("its truth");
                // What happens in the hook meanwhile is not heard.
                if channel.in_hook || channel.asking {
                    truth.trouble(0, i64::MAX);
                }
                if truth.line.kind != crate::truth::Kind::Must {
                    truth.forbid("nobody watches", true, now);
                }
            }
        }
    }

    /// Somebody notices.
    pub fn notice(&self) {
        let mut state = self.lock();
        if let Link::Cut(since) = state.link {
            state.link = Link::Down;
            self.send(&state, PbxEvent::LinkDown { since });
        }
    }

    /// The link is back.
    pub fn mend(&self) {
        self.notice();
        let now = self.clock.ms();
        let mut state = self.lock();
        if state.link == Link::Down {
            state.link = Link::Up;
            for truth in state.truths.values_mut() {
                truth.forbid("nobody watches", false, now);
            }
            self.send(&state, PbxEvent::LinkUp);
        }
    }

    pub fn moods(&self, change: impl FnOnce(&mut Moods)) {
        change(&mut self.lock().moods);
    }

    /// Nobody can demand that anything is recorded from here to there.
    pub fn trouble(&self, from: i64, until: i64) {
        self.lock().troubled.push((from, until));
    }

    /// The policy was read anew.
    pub fn reloaded(&self) {
        self.lock().reloads += 1;
    }

    /// How often it was.
    pub fn reloads(&self) -> u32 {
        self.lock().reloads
    }

    /// Nobody can demand anything of this call.
    pub fn excuse(&self, call: &CallId) {
        if let Some(truth) = self.lock().truths.get_mut(call) {
            truth.trouble(0, i64::MAX);
        }
    }

    /// Puts something on its way to the sidecar.
    fn send(&self, state: &State, event: PbxEvent) {
        if let Some(wire) = &state.wire {
            let _ = wire.tell.send((Instant::now() + self.latency, event));
        }
    }

    /// Tells of a call, if anybody listens; sometimes twice.
    fn tell(&self, state: &mut State, call: &CallId, event: CallEvent) {
        let heard = state.wire.as_ref().is_some_and(|wire| wire.followed.contains(call));
        if state.link != Link::Up || !heard {
            return;
        }
        if state.moods.wrong == Some(Wrong::PartiesAreNotTold)
            && matches!(&event, CallEvent::Parties { parties, .. } if parties.len() > 1)
        {
            return;
        }
        let event = PbxEvent::Call(call.clone(), event);
        if state.chance.is(3) {
            self.send(state, event.clone());
        } else if state.chance.is(3) && has_instant(&event) {
            self.again(state.runs, event.clone());
        }
        self.send(state, event);
    }

    /// The same once more, when it is old.
    fn again(&self, run: u32, event: PbxEvent) {
        let me = self.me.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LATE).await;
            let Some(pbx) = me.upgrade() else { return };
            let state = pbx.lock();
            if state.runs == run && state.listens() {
                pbx.send(&state, event);
            }
        });
    }

    fn at(&self) -> Timestamp {
        self.clock.now()
    }
}

impl State {
    /// It is told what is: from soon on nothing is unseen.
    fn watched(&mut self, now: i64) {
        if let Some(since) = self.unwatched_since.take() {
            self.unwatched.push((since, now + UNTIL_SEEN));
        }
    }

    /// Whether somebody hears what happens.
    fn listens(&self) -> bool {
        self.link == Link::Up && self.wire.is_some()
    }
}

/// What is old.
const LATE: Duration = Duration::from_millis(700);

/// Whether it tells when it happened, or to which order it belongs: then it may come again when it is old. What tells
/// how things are may not.
fn has_instant(event: &PbxEvent) -> bool {
    !matches!(event, PbxEvent::Call(_, CallEvent::Parties { .. }))
}

/// So long it takes until what the PBX tells of the present is acted upon.
const UNTIL_SEEN: i64 = 60;

/// What the PBX knows in the end.
pub struct Book {
    pub truths: BTreeMap<CallId, Truth>,
    pub tapes: BTreeMap<SegmentId, Tape>,
    pub troubled: Vec<(i64, i64)>,
    pub unwatched: Vec<(i64, i64)>,
    pub running: Vec<CallId>,
    pub orders: u64,
}

impl Pbx {
    pub fn book(&self) -> Book {
        let state = self.lock();
        let running = state.channels.iter().filter(|(_, channel)| !channel.tapes.is_empty());
        Book {
            truths: state.truths.clone(),
            tapes: state.tapes.clone(),
            troubled: state.troubled.clone(),
            unwatched: state.unwatched.clone(),
            running: running.map(|(call, _)| call.clone()).collect(),
            orders: state.orders,
        }
    }
}
