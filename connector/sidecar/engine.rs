//! The engine: what the PBX tells goes to the call that it concerns, one task a call. After a start and after every gap
//! it asks the PBX what is alive and brings the calls up to date: nothing that was missed is guessed. The loop itself
//! waits for nothing but the PBX: what takes time (the index, a disk) happens in tasks beside it.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::OptionFuture;
use jiff::Timestamp;
use temoin_core::command::DriverError;
use temoin_core::event::{Arrival, CallEvent, Dialling, PbxEvent};
use temoin_core::id::{CallId, LegId};
use temoin_core::journal::{Entry, What};
use temoin_core::ports::{Change, LiveCall};
use temoin_core::session::{Rules, Session};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::call::{self, Desktop, Found};
use crate::clock::{Pace, Set, chance};
use crate::outbound;
use crate::restart::{self, Alive};
use crate::room::Lack;

/// Rules in force, calls alive.
pub struct Engine {
    desktop: Desktop,
    rules: watch::Receiver<Arc<Rules>>,
    calls: HashMap<CallId, mpsc::UnboundedSender<CallEvent>>,
    tasks: JoinSet<()>,
    /// Those who dial are told what they need.
    briefings: JoinSet<()>,
    /// Whose task is which.
    legs: HashMap<tokio::task::Id, (CallId, LegId)>,
    alive: Alive,
    started: Timestamp,
    /// Tells when the machine's clock was set.
    pace: Pace,
    /// Ready once the segments of an earlier run are closed; nobody adopts a call before.
    closed: CancellationToken,
    /// Closes them.
    closing: JoinSet<()>,
}

/// How often the loop turns where nothing happens, and notes that it watches.
const PULSE: Duration = Duration::from_millis(500);

impl Engine {
    /// An engine without calls. `alive` is a file that tells the next start when this run last watched.
    pub fn new(desktop: Desktop, rules: watch::Receiver<Arc<Rules>>, alive: PathBuf) -> Self {
        Self {
            started: desktop.clock.now(),
            pace: Pace::new(&*desktop.clock),
            desktop,
            rules,
            calls: HashMap::new(),
            tasks: JoinSet::new(),
            briefings: JoinSet::new(),
            legs: HashMap::new(),
            alive: Alive::new(alive),
            closed: CancellationToken::new(),
            closing: JoinSet::new(),
        }
    }

    /// Runs until told to stop. `ready` is called once the PBX is watched, `progress` whenever the loop has turned.
    ///
    /// # Errors
    /// The driver has ended.
    pub async fn run(
        mut self,
        stop: CancellationToken,
        ready: impl Fn(),
        progress: impl Fn(),
    ) -> anyhow::Result<()> {
        let mut events = self.desktop.driver.events();
        let mut pulse = tokio::time::interval(PULSE);
        let mut watching = false;
        // What the PBX tells waits while it is asked what is alive: an old answer must not undo what it told later.
        let mut asked = None;
        // It was asked and did not tell.
        let mut behind = false;
        self.mirror_exempt();
        loop {
            if asked.is_none()
                && let Some(set) = self.pace.look(&*self.desktop.clock)
            {
                self.clock_set(set);
                if watching {
                    asked = Some(self.desktop.driver.calls());
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Ok(()) = self.rules.changed() => self.mirror_exempt(),
                Ok(()) = self.desktop.lacks.changed() => self.tell_room(),
                event = events.next(), if asked.is_none() => match event {
                    Some(PbxEvent::LinkUp) => asked = Some(self.desktop.driver.calls()),
                    Some(PbxEvent::LinkDown { since }) => {
                        (watching, behind) = (false, false);
                        self.link_down(since);
                    }
                    Some(PbxEvent::Arrived(arrival)) => self.arrived(arrival),
                    Some(PbxEvent::Dials(dialling)) => self.dials(dialling),
                    Some(PbxEvent::Call(call, event)) => self.tell(&call, event),
                    None => anyhow::bail!("the PBX driver has ended"),
                },
                Some(live) = OptionFuture::from(asked.as_mut()) => {
                    asked = None;
                    behind = !self.catch_up(live);
                    if !behind {
                        watching = true;
                        ready();
                    }
                }
                Some(_) = self.briefings.join_next() => {}
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended.map(|(id, ())| id)),
                _ = pulse.tick() => {
                    if watching {
                        self.alive.note(self.desktop.outbox.settled(self.desktop.clock.now()));
                    }
                    if asked.is_none() {
                        progress();
                        asked = behind.then(|| self.desktop.driver.calls());
                    }
                }
            }
        }
    }

    /// Whoever must never be recorded is known to the PBX's dialplan too.
    fn mirror_exempt(&mut self) {
        let extensions = self.rules.borrow_and_update().exempt_extensions();
        self.desktop.driver.exempt(extensions);
    }

    fn tell(&self, call: &CallId, event: CallEvent) {
        if let Some(sender) = self.calls.get(call) {
            let _ = sender.send(event);
        }
    }

    /// Whether there is room for recordings.
    fn tell_room(&mut self) {
        let event = room_event(self.desktop.lacks.borrow_and_update().as_ref());
        for call in self.calls.values() {
            let _ = call.send(event.clone());
        }
    }

    /// The machine's clock was set: no recording goes on across it, for its times would not be of one clock. Everything is
    /// looked at anew as after a gap. What waits each call notices by itself.
    fn clock_set(&mut self, Set { by, last }: Set) {
        tracing::error!(by_ms = by.as_millis() as i64, alarm = "clock-set", "the clock was set");
        self.desktop.alarms.count("clock-set");
        let what = What::ClockSet { by_ms: i64::try_from(by.as_millis()).unwrap_or(i64::MAX) };
        let entry = Entry { at: self.desktop.clock.now(), call: None, segment: None, what };
        self.desktop.outbox.post(vec![Change::Journal(entry)]);
        for call in self.calls.values() {
            let _ = call.send(CallEvent::LinkLost { since: last });
        }
    }

    fn link_down(&mut self, since: Timestamp) {
        tracing::error!(%since, "the link to the PBX is lost; nothing new is recorded");
        self.alive.note(self.desktop.outbox.settled(since));
        for call in self.calls.values() {
            let _ = call.send(CallEvent::LinkLost { since });
        }
    }

    fn arrived(&mut self, arrival: Arrival) {
        if let Some(sender) = self.calls.get(&arrival.call) {
            let _ = sender.send(CallEvent::Returned { at: arrival.at });
            return;
        }
        let (call, leg, desktop) = (arrival.call.clone(), arrival.leg.clone(), self.desktop.clone());
        self.spawn(call, leg, |rules, seed, events| async move {
            let (session, commands) = Session::begin(desktop.clock.now(), arrival, rules, seed);
            call::run(session, commands, events, desktop).await;
        });
    }

    /// Somebody is about to dial a customer.
    fn dials(&mut self, dialling: Dialling) {
        let rules = Arc::clone(&self.rules.borrow());
        self.briefings.spawn(outbound::brief(dialling, rules, self.desktop.clone()));
    }

    /// A leg that lives since before this start: what it heard and refused is not known here, so it is not recorded.
    fn adopt(&mut self, call: CallId, leg: LegId) {
        let (closed, desktop) = (self.closed.clone(), self.desktop.clone());
        let found = Found { call: call.clone(), leg: leg.clone() };
        self.spawn(call, leg, |rules, seed, events| call::adopt(found, rules, seed, closed, events, desktop));
    }

    fn spawn<T: Future<Output = ()> + Send + 'static>(
        &mut self,
        call: CallId,
        leg: LegId,
        task: impl FnOnce(Arc<Rules>, [u8; 32], mpsc::UnboundedReceiver<CallEvent>) -> T,
    ) {
        let seed = match chance() {
            Ok(seed) => seed,
            Err(error) => return tracing::error!(%error, "no randomness; the call is left to the PBX"),
        };
        self.desktop.driver.follow(&call, &leg);
        let (sender, events) = mpsc::unbounded_channel();
        let rules = Arc::clone(&self.rules.borrow());
        let _ = sender.send(room_event(self.desktop.lacks.borrow().as_ref()));
        let task = self.tasks.spawn(task(rules, seed, events));
        self.calls.insert(call.clone(), sender);
        self.legs.insert(task.id(), (call, leg));
    }

    fn ended(&mut self, ended: Result<tokio::task::Id, JoinError>) {
        let (id, fell) = match ended {
            Ok(id) => (id, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        let Some((call, leg)) = self.legs.remove(&id) else {
            return;
        };
        self.calls.remove(&call);
        if fell {
            tracing::error!(%call, "a call's task fell; its recorder is stopped, and it is not recorded again");
            self.adopt(call, leg);
        }
    }

    /// After a start or a gap: what is alive, which codes nobody heard, who is connected; and only then the word that
    /// the PBX is heard again, so that nothing is decided before. False where the PBX does not tell.
    fn catch_up(&mut self, live: Result<Vec<LiveCall>, DriverError>) -> bool {
        let live = match live {
            Ok(live) => live,
            Err(error) => {
                // Asked again soon, unless the driver tells meanwhile that the link is lost.
                tracing::error!(%error, "the PBX does not tell which calls are alive");
                return false;
            }
        };
        let now = self.desktop.clock.now();
        let rules = Arc::clone(&self.rules.borrow());
        let mixed = live.iter().filter(|live| live.parties.iter().any(|party| rules.is_stranger(party)));
        let mixed: HashSet<CallId> = mixed.map(|live| live.call.clone()).collect();
        let alive: HashSet<&CallId> = live.iter().map(|live| &live.call).collect();
        for (_, call) in self.calls.iter().filter(|(id, _)| !alive.contains(id)) {
            let _ = call.send(CallEvent::Ended { at: now });
        }
        for LiveCall { call, leg, parties, keys, in_hook } in live {
            if !self.calls.contains_key(&call) {
                self.adopt(call.clone(), leg);
            }
            // Who is in the hook has pressed no code there; but he may have come back to it out of a talk.
            if !in_hook || keys.is_some() {
                self.tell(&call, CallEvent::Noted { keys });
            }
            self.tell(&call, CallEvent::Parties { parties, at: now });
            self.tell(&call, CallEvent::LinkBack);
        }
        if self.closing.is_empty() && !self.closed.is_cancelled() {
            let (desktop, before, started) = (self.desktop.clone(), self.alive.before(), self.started);
            let closed = self.closed.clone();
            self.closing.spawn(async move {
                restart::close_segments(desktop, before, started, mixed).await;
                closed.cancel();
            });
        }
        tracing::info!(calls = self.calls.len(), "watching the PBX");
        true
    }
}

fn room_event(lack: Option<&Lack>) -> CallEvent {
    CallEvent::Room { lacks: lack.map(|lack| lack.why.clone()), full: lack.is_some_and(|lack| lack.full) }
}
