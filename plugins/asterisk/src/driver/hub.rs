//! The hub: the one task that owns the topology and makes the events, in the order in which things were heard.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use temoin_core::command::DriverError;
use temoin_core::event::{Arrival, CallEvent, Dialling, Direction, PbxEvent};
use temoin_core::id::{CallId, LegId};
use temoin_core::ports::LiveCall;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::Shared;
use super::hook::Hook;
use super::links::{Link, Trouble};
use super::look::{self, Blind, Heard, Snapshot, TRIAL};
use super::playing::Playing;
use super::recorder::Recorders;
use crate::ami::connection::{Event, Handle, Lost};
use crate::ari::event::View;
use crate::config::wait;
use crate::error::StartError;
use crate::topology::{Topology, extension};
use crate::translate::{HookSign, Sign, ami, ari};

/// Between two looks at a PBX that does not let itself be looked at.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AFTER_FAULT: Duration = Duration::from_secs(30);

type Live = Result<Vec<LiveCall>, DriverError>;

/// What the hub is told.
pub(super) enum Note {
    Ami(Event),
    Ari(Value),
    /// Logged in, checked, and events come.
    AmiUp(Handle),
    /// The application is ours, and events come.
    AriUp,
    Down(Link, Lost),
    /// REST answers, and the user may write.
    AriChecked,
    Trouble(Link, Trouble),
    Looked(u64, Result<Snapshot, Blind>),
    Follow(CallId),
    Calls(oneshot::Sender<Live>),
    Playing(String, Playing),
    NotPlaying(String),
    Silenced(String),
}

/// The hub.
pub(super) struct Hub {
    shared: Arc<Shared>,
    notes: mpsc::UnboundedSender<Note>,
    out: mpsc::UnboundedSender<PbxEvent>,
    first: Option<First>,
    hook: Hook,
    recorders: Arc<Recorders>,
    born: Instant,
    topology: Topology,
    /// Whether the topology is what the PBX is: not between a lost AMI link and the next look.
    valid: bool,
    /// The AMI link, until it was told that it is lost: no earlier, for what it has heard counts.
    ami: Option<Handle>,
    ari: bool,
    /// Whether `LinkUp` was the last word on the links.
    up: bool,
    looking: Option<Looking>,
    looks: u64,
    waiting: Vec<oneshot::Sender<Live>>,
    playing: HashMap<String, Playing>,
    heard: watch::Sender<Heard>,
    tasks: JoinSet<()>,
}

/// A look that is under way, and what was heard since it began.
struct Looking {
    number: u64,
    since: Vec<(Timestamp, Sign)>,
    /// Begins at once, so that `LinkUp` is near.
    near: bool,
    /// Customers followed since, who need not be in the answer: id and name.
    fresh: Vec<(String, String)>,
    /// Arrivals and other signs of the hook wait for `LinkUp`.
    hook: Vec<(Timestamp, HookSign)>,
}

/// Who waits for the first word about the links.
struct First {
    tell: oneshot::Sender<Result<(), StartError>>,
    ami: bool,
    ari: bool,
    absent: bool,
}

impl Hub {
    pub(super) fn new(
        shared: Arc<Shared>,
        notes: mpsc::UnboundedSender<Note>,
        out: mpsc::UnboundedSender<PbxEvent>,
        tell: oneshot::Sender<Result<(), StartError>>,
        hook: Hook,
        recorders: Arc<Recorders>,
    ) -> Self {
        Self {
            shared,
            notes,
            out,
            first: Some(First { tell, ami: false, ari: false, absent: false }),
            hook,
            recorders,
            born: Instant::now(),
            topology: Topology::default(),
            valid: false,
            ami: None,
            ari: false,
            up: false,
            looking: None,
            looks: 0,
            waiting: Vec::new(),
            playing: HashMap::new(),
            heard: watch::Sender::new(Heard::default()),
            tasks: JoinSet::new(),
        }
    }

    /// Runs for ever; dropped with the driver.
    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Note>) {
        loop {
            let alarm = self.topology.wake_at().filter(|_| self.valid);
            let alarm = self.born + alarm.unwrap_or(Duration::from_secs(3600));
            tokio::select! {
                note = inbox.recv() => match note {
                    Some(note) => self.take(note),
                    None => return,
                },
                () = sleep_until(alarm) => {
                    let events = self.topology.wake(self.now(), Timestamp::now());
                    self.emit(events);
                }
            }
            let deadline = Instant::now() + wait(self.shared.config.deadlines.order);
            for channel in self.topology.recorded() {
                self.tasks.spawn(self.recorders.stop_beside(CallId(channel), deadline));
            }
            while self.tasks.try_join_next().is_some() {}
        }
    }

    fn now(&self) -> Duration {
        self.born.elapsed()
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Ami(event) => self.ami_event(&event),
            Note::Ari(event) => self.ari_event(&event),
            Note::AmiUp(ami) => {
                self.ami = Some(ami);
                self.link_up(Link::Ami);
            }
            Note::AriUp => {
                self.ari = true;
                self.link_up(Link::Ari);
            }
            Note::Down(link, lost) => self.link_down(link, &lost),
            Note::AriChecked => self.first_word(Link::Ari, None),
            Note::Trouble(link, trouble) => self.trouble(link, trouble),
            Note::Looked(number, result) => self.looked(number, result),
            Note::Follow(call) => self.follow(&call),
            Note::Calls(tell) => self.calls(tell),
            Note::Playing(id, playing) => {
                self.playing.insert(id, playing);
            }
            Note::NotPlaying(id) => {
                self.playing.remove(&id);
            }
            Note::Silenced(id) => {
                if let Some(playing) = self.playing.get_mut(&id) {
                    playing.stop();
                }
            }
        }
    }

    fn emit(&mut self, events: impl IntoIterator<Item = PbxEvent>) {
        for event in events {
            if let PbxEvent::Call(call, CallEvent::Ended { .. }) = &event {
                self.hook.forget(call);
                self.recorders.forget(call);
                self.playing.retain(|_, playing| playing.call != *call);
            }
            let _ = self.out.send(event);
        }
    }

    fn ami_event(&mut self, event: &Event) {
        let own = event.message.first("Uniqueid").is_some_and(|id| id.starts_with(TRIAL));
        let Some(sign) = ami::read(&event.message).filter(|_| !own) else {
            if own {
                self.heard.send_modify(|heard| match event.message.first("Event") {
                    Some("UserEvent") => heard.user = true,
                    Some("Hangup") => heard.call = true,
                    _ => {}
                });
                if event.message.timestamp().is_none() {
                    tracing::warn!("AMI events carry no time: set `timestampevents=yes` in manager.conf");
                }
            } else {
                self.shared.passed_over.fetch_add(1, Ordering::Relaxed);
            }
            return;
        };
        self.answered(event.at, &sign);
        if self.valid {
            let events = self.topology.apply(self.now(), event.at, &sign);
            self.emit(events);
        }
        if let Some(looking) = &mut self.looking {
            looking.since.push((event.at, sign));
        }
    }

    /// A customer who was called has answered: his call begins.
    fn answered(&mut self, at: Timestamp, sign: &Sign) {
        let Sign::Answered { channel, line, number, language, queue, ticket } = sign else {
            return;
        };
        // While it is not known who is there, nobody would hear how the asking went on.
        if !self.up || self.topology.is_gone(&channel.id) || self.topology.follows(&channel.id) {
            return;
        }
        self.follow_now(&channel.id, &channel.name);
        self.emit([PbxEvent::Arrived(Arrival {
            call: CallId(channel.id.clone()),
            leg: LegId(channel.id.clone()),
            line: line.clone(),
            direction: Direction::Outbound,
            queue: queue.clone(),
            language: language.clone(),
            number: number.clone(),
            briefed: Some(ticket.clone()),
            at,
        })]);
        self.recorded_before(&channel.id);
    }

    /// The PBX may have begun to record before the customer came to us.
    fn recorded_before(&mut self, id: &str) {
        if let Some(at) = self.topology.recorded_since(id) {
            self.emit([PbxEvent::Call(CallId(id.into()), CallEvent::RecorderStarted { at })]);
        }
    }

    fn ari_event(&mut self, event: &Value) {
        let at = View(event).timestamp().unwrap_or_else(Timestamp::now);
        match ari::read(event) {
            Some(HookSign::Entered { channel, .. }) if channel.id.starts_with(TRIAL) => {}
            Some(sign) => match &mut self.looking {
                Some(looking) if looking.near && !self.up => looking.hook.push((at, sign)),
                _ => self.hook_sign(at, sign),
            },
            None => {
                self.shared.passed_over.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn hook_sign(&mut self, at: Timestamp, sign: HookSign) {
        let event = match sign {
            HookSign::Entered { channel, args, language, queue, .. } if is_outbound(&args) => {
                let mut args = args.into_iter().skip(1).map(|arg| Some(arg).filter(|arg| !arg.is_empty()));
                PbxEvent::Dials(Dialling {
                    extension: extension(&channel.name),
                    leg: LegId(channel.id),
                    line: args.next().flatten().unwrap_or_default(),
                    number: args.nth(1).flatten(),
                    queue,
                    language,
                    at,
                })
            }
            HookSign::Entered { channel, args, number, language, queue } => {
                if self.topology.is_gone(&channel.id) {
                    return;
                }
                let call = CallId(channel.id.clone());
                if self.topology.follows(&channel.id) {
                    PbxEvent::Call(call, CallEvent::Returned { at })
                } else {
                    self.follow_now(&channel.id, &channel.name);
                    let mut args = args.into_iter();
                    let direction = direction(args.next().as_deref());
                    PbxEvent::Arrived(Arrival {
                        call,
                        leg: LegId(channel.id),
                        line: args.next().unwrap_or_default(),
                        direction,
                        queue: args.nth(1).filter(|queue| !queue.is_empty()).or(queue),
                        language,
                        number,
                        briefed: None,
                        at,
                    })
                }
            }
            HookSign::PlaybackStarted { id } => {
                if let Some(playing) = self.playing.get_mut(&id) {
                    playing.begin(at);
                }
                return;
            }
            HookSign::PlaybackFinished { id, failed } => {
                let Some(playing) = self.playing.remove(&id) else {
                    return;
                };
                let outcome = playing.outcome(failed, at);
                PbxEvent::Call(playing.call, CallEvent::Played { order: playing.order, outcome, at })
            }
            HookSign::Digit { id, digit } if self.topology.follows(&id) => {
                let leg = Some(LegId(id.clone()));
                PbxEvent::Call(CallId(id), CallEvent::Pressed { leg, keys: digit, at })
            }
            HookSign::Destroyed { id } => {
                if !self.topology.hang_up(&id) {
                    return;
                }
                PbxEvent::Call(CallId(id), CallEvent::Ended { at })
            }
            HookSign::Digit { .. } | HookSign::Left { .. } => return,
        };
        let arrived = match &event {
            PbxEvent::Arrived(arrival) => Some(arrival.call.0.clone()),
            _ => None,
        };
        self.emit([event]);
        if let Some(id) = arrived {
            self.recorded_before(&id);
        }
    }

    fn link_up(&mut self, link: Link) {
        self.first_word(link, None);
        if self.ami.is_some() && self.ari {
            self.look(Duration::ZERO);
        }
    }

    fn link_down(&mut self, link: Link, lost: &Lost) {
        tracing::warn!(?link, why = lost.why, "the link to Asterisk is lost");
        match link {
            Link::Ami => (self.ami, self.valid) = (None, false),
            Link::Ari => self.ari = false,
        }
        // The signs of the hook that wait for `LinkUp` are not lost: they come before the next one.
        let hook = self.looking.take().map(|looking| looking.hook).unwrap_or_default();
        self.answer_waiting(&Err(DriverError::Unsent));
        if std::mem::take(&mut self.up) {
            // While AMI is there, everything about a talk is known, whatever happens to the hook.
            let ami = self.ami.as_ref().map(Handle::certain);
            let since = ami.map_or(lost.since, |ami| ami.max(lost.since));
            self.emit([PbxEvent::LinkDown { since }]);
        }
        for (at, sign) in hook {
            self.hook_sign(at, sign);
        }
    }

    fn trouble(&mut self, link: Link, trouble: Trouble) {
        match trouble {
            Trouble::Absent(why) => {
                tracing::warn!(?link, why, "Asterisk cannot be reached; trying again");
                self.first_word(link, Some(None));
            }
            Trouble::Fault(fault) => self.fault(link, fault),
        }
    }

    fn fault(&mut self, link: Link, fault: StartError) {
        tracing::error!(?link, "{fault}");
        self.first_word(link, Some(Some(fault)));
    }

    /// Tells whoever waits for the start: a fault at once, an absence when both links have spoken.
    fn first_word(&mut self, link: Link, trouble: Option<Option<StartError>>) {
        let Some(mut first) = self.first.take() else {
            return;
        };
        match link {
            Link::Ami => first.ami = true,
            Link::Ari => first.ari = true,
        }
        match trouble {
            Some(Some(fault)) => {
                let _ = first.tell.send(Err(fault));
                return;
            }
            Some(None) => first.absent = true,
            None => {}
        }
        if first.absent && first.ami && first.ari {
            let _ = first.tell.send(Ok(()));
            return;
        }
        self.first = Some(first);
    }

    /// Begins a look at the PBX, unless one is under way.
    fn look(&mut self, delay: Duration) {
        if self.looking.is_some() {
            return;
        }
        let Some(ami) = self.shared.ami.borrow().clone() else {
            return;
        };
        self.looks += 1;
        let number = self.looks;
        self.looking = Some(Looking {
            number,
            since: Vec::new(),
            near: delay.is_zero(),
            fresh: Vec::new(),
            hook: Vec::new(),
        });
        let (shared, notes) = (self.shared.clone(), self.notes.clone());
        let ears = (!self.up).then(|| {
            self.heard.send_replace(Heard::default());
            self.heard.subscribe()
        });
        self.tasks.spawn(async move {
            sleep(delay).await;
            let result = async {
                if let Some(ears) = ears {
                    look::try_ears(&shared, ears).await?;
                }
                look::around(&shared, &ami).await
            };
            let _ = notes.send(Note::Looked(number, result.await));
        });
    }

    fn looked(&mut self, number: u64, result: Result<Snapshot, Blind>) {
        let Some(looking) = self.looking.take_if(|looking| looking.number == number) else {
            return;
        };
        let delay = match result {
            Ok(snapshot) => return self.rebuild(looking, &snapshot),
            Err(Blind::Failed(why)) => {
                tracing::warn!(why, "Asterisk could not be looked at; trying again");
                AGAIN
            }
            Err(Blind::Fault(fault)) => {
                self.fault(Link::Ami, fault);
                AGAIN_AFTER_FAULT
            }
        };
        self.answer_waiting(&Err(DriverError::Unknown));
        if !self.up && self.ami.is_some() && self.ari {
            self.look(delay);
        }
        // Nobody waits at the hook for a look that may take long.
        for (at, sign) in looking.hook {
            self.hook_sign(at, sign);
        }
    }

    /// The PBX as it told itself, then what was heard meanwhile; then everybody is told.
    fn rebuild(&mut self, looking: Looking, snapshot: &Snapshot) {
        let now = self.now();
        self.topology.rebuild(&snapshot.rows, &snapshot.bridges);
        for (id, name) in &looking.fresh {
            self.topology.follow(id, name);
        }
        let at = looking.since.last().map_or(snapshot.floor, |(at, _)| snapshot.floor.max(*at));
        let since = looking.since.iter().filter(|(at, _)| *at >= snapshot.floor);
        // The parties are restated below; what else was said in the meantime was told already if we were valid.
        let said: Vec<PbxEvent> = since.flat_map(|(at, sign)| self.topology.apply(now, *at, sign)).collect();
        let ended = |event: &PbxEvent| matches!(event, PbxEvent::Call(_, CallEvent::Ended { .. }));
        let parties = |event: &PbxEvent| matches!(event, PbxEvent::Call(_, CallEvent::Parties { .. }));
        let valid = std::mem::replace(&mut self.valid, true);
        self.emit(said.into_iter().filter(|event| ended(event) || !(valid || parties(event))));
        let was_up = std::mem::replace(&mut self.up, true);
        if !was_up {
            self.emit([PbxEvent::LinkUp]);
            if let Some(first) = self.first.take() {
                let _ = first.tell.send(Ok(()));
            }
        }
        let missing = self.topology.forget_missing();
        self.emit(missing.into_iter().map(|call| PbxEvent::Call(call, CallEvent::Ended { at })));
        let events = self.topology.restate_all(now, at);
        self.emit(events);
        for (at, sign) in looking.hook {
            self.hook_sign(at, sign);
        }
        let live = self.live(snapshot);
        self.answer_waiting(&Ok(live));
    }

    /// The customers' legs that have passed our hook or are in it.
    fn live(&self, snapshot: &Snapshot) -> Vec<LiveCall> {
        let ours = snapshot.rows.iter().filter(|row| {
            let id = &row.channel.id;
            let in_hook = snapshot.in_hook.contains(id) && !id.starts_with(TRIAL);
            let customers = row.passed || in_hook && !row.dials;
            self.topology.knows(id) && (customers || self.topology.follows(id))
        });
        ours.map(|row| LiveCall {
            call: CallId(row.channel.id.clone()),
            leg: LegId(row.channel.id.clone()),
            parties: self.topology.parties(&row.channel.id, self.now()),
            keys: row.keys.clone(),
            in_hook: snapshot.in_hook.contains(&row.channel.id),
        })
        .collect()
    }

    fn calls(&mut self, tell: oneshot::Sender<Live>) {
        if self.ami.is_none() || !self.ari {
            let _ = tell.send(Err(DriverError::Unsent));
            return;
        }
        self.waiting.push(tell);
        self.look(Duration::ZERO);
    }

    fn answer_waiting(&mut self, live: &Live) {
        for tell in self.waiting.drain(..) {
            let _ = tell.send(live.clone());
        }
    }

    fn follow_now(&mut self, id: &str, name: &str) {
        self.topology.follow(id, name);
        if let Some(looking) = &mut self.looking {
            looking.fresh.push((id.into(), name.into()));
        }
    }

    /// From now on the call's parties, recorder and end are told; the parties at once.
    fn follow(&mut self, call: &CallId) {
        if self.topology.is_gone(&call.0) {
            return self.emit([PbxEvent::Call(call.clone(), CallEvent::Ended { at: Timestamp::now() })]);
        }
        self.follow_now(&call.0, "");
        if self.valid {
            let event = self.topology.restate(&call.0, self.now(), Timestamp::now());
            self.emit(event);
        }
    }
}

fn is_outbound(args: &[String]) -> bool {
    args.first().is_some_and(|word| word == "outbound")
}

fn direction(word: Option<&str>) -> Direction {
    match word {
        Some("internal") => Direction::Internal,
        _ => Direction::Inbound,
    }
}
