//! One call's life: `begin`, `step`, `wake_at`. Plain enums and one match; nothing here waits, reads a clock or speaks to
//! anybody. What it returns is carried out by the shell, whose answers come back as events.
//!
//! The order of things: the customer hears who records and why (`hook`; one who is called: `outbound`); the call goes on; when he is bridged with a
//! known agent and nobody else, lots are drawn (`wish`), the segment is made durable, and only then the recorder starts
//! (`recorder`). Whatever changes the parties or the permission closes the segment (`past`), and a new one begins where
//! it may.
//!
//! Left out on purpose: what a law says (`decide`), what a PBX calls things (the plugins), files (`keep`).

mod hook;
mod keys;
mod outbound;
mod past;
mod recorder;
mod step;
mod wish;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::command::{Command, DriverError, Notice, Order, Release, Reply};
use crate::decide::Announce;
use crate::desk::Desk;
use crate::event::{Arrival, CallEvent, Direction, Party};
use crate::facts::{Facts, Leg};
use crate::id::{CallId, LegId, OrderNo, SegmentId};
use crate::journal::{Entry, What};
use crate::origin;
use crate::policy::Policy;
use crate::ports::{CallRecord, SegmentRecord};
use crate::talk::Talk;
use crate::words::{LegKind, Purpose, Refusal};
use hook::Hook;
use outbound::Asking;
pub use outbound::brief;
use past::Past;
use recorder::Recorder;
use step::Step;

/// All that decides a call. A running call keeps its own, whatever is loaded meanwhile.
#[derive(Debug)]
pub struct Rules {
    /// What may be done, and why.
    pub policy: Policy,
    /// How this machine does it.
    pub desk: Desk,
    /// The key of the draws.
    pub key: DrawKey,
}

/// The key of the draws: whoever knows it can foretell who is recorded, so it does not print.
#[derive(Clone)]
pub struct DrawKey(pub [u8; 32]);

impl std::fmt::Debug for DrawKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DrawKey(…)")
    }
}

/// One call.
#[derive(Debug)]
pub struct Session {
    rules: Arc<Rules>,
    chance: Chance,
    leg: LegId,
    record: CallRecord,
    /// The facts, the customer's leg first, and what legs that are away have heard and said.
    talk: Talk,
    announce: Option<Announce>,
    phase: Phase,
    parties: Vec<Party>,
    /// Since when these are the parties, and when an exempt extension was last told to ring.
    seated: Timestamp,
    exempt_rang: Option<Timestamp>,
    recorder: Recorder,
    /// The customer is being told that a contract talk begins.
    step: Option<Step>,
    /// When it last began: a doubled event changes nothing.
    step_seen: Option<Timestamp>,
    /// A recorder may run that must not; so many are no surprise.
    suspect: Option<u32>,
    /// Starts that were told, by the PBX's clock.
    starts: BTreeSet<Timestamp>,
    past: Vec<Past>,
    /// Agents' legs that were in the call.
    known: BTreeSet<LegId>,
    /// When the customer came to the hook.
    visits: BTreeSet<Timestamp>,
    /// How he left it.
    verdict: Option<Release>,
    /// When he was told so.
    let_go: Option<Timestamp>,
    /// What became of the service in the talk.
    served: Refusal,
    /// Presses that were taken: a doubled event changes nothing.
    pressed: BTreeSet<(String, Timestamp)>,
    /// Campaigns for which a lot was drawn or asked for: once per call and campaign.
    asked: BTreeSet<String>,
    drawing: bool,
    /// Why nothing of this call may be recorded any more, whoever is in it.
    muted: Option<&'static str>,
    link: Link,
    /// No segment begins before.
    quiet_until: Option<Timestamp>,
    /// Until when the last stop was to settle.
    settled: Option<Timestamp>,
    /// Since when the people who are connected may be recorded, or may be as soon as their lot has fallen.
    since: Option<Timestamp>,
    /// Recorders that would not start.
    failures: u8,
    /// That the journal is locked was told, and still holds.
    told_locked: bool,
    /// Which disk has no room for a recording, in words; whether it has none at all; whether that was told.
    lacks: Option<String>,
    full: bool,
    told_lack: bool,
    /// Orders that wait for their answer.
    pending: BTreeMap<OrderNo, Asked>,
    orders: u32,
    /// When what now holds began, by the PBX's clock.
    changed: Timestamp,
    /// When was last looked.
    looked: Timestamp,
    /// The decision last written down.
    told: Option<What>,
    out: Vec<Command>,
}

/// Where the call is.
#[derive(Debug)]
enum Phase {
    /// In the hook, told and asked.
    Hook(Hook),
    /// A customer who is called: the PBX tells and asks him by itself.
    Asking(Asking),
    /// In the dialplan.
    Talk,
    /// The customer's leg is gone.
    Over,
}

/// Whether the PBX's events are heard.
#[derive(Debug, PartialEq, Eq)]
enum Link {
    Up,
    /// Whether the codes on the leg were read since.
    Lost {
        noted: bool,
    },
}

/// What an order was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Announce,
    Silence,
    Beat,
    Prepare,
    Release,
    Record(SegmentId),
    Stop,
    HangUp,
}

/// Chance, handed in at the start and stretched by hashing, so that a call can be played again to the letter.
#[derive(Debug)]
struct Chance {
    seed: [u8; 32],
    used: u64,
}

impl Chance {
    fn bytes(&mut self) -> [u8; 10] {
        self.used += 1;
        let hash = Sha256::new().chain_update(self.seed).chain_update(self.used.to_be_bytes()).finalize();
        std::array::from_fn(|i| hash[i])
    }
}

impl Rules {
    /// The extensions at which nobody may ever be recorded: those that the policy names, and those of agents whom it
    /// names, where this machine says where they sit.
    pub fn exempt_extensions(&self) -> BTreeSet<String> {
        let lists = &self.policy.site().exempt;
        let named = lists.extensions.iter().map(ToString::to_string);
        let seated = self.desk.extensions.iter().filter(|(_, agent)| lists.agents.contains(agent.as_str()));
        named.chain(seated.map(|(extension, _)| extension.clone())).collect()
    }
}

impl Session {
    /// A customer has reached the hook. `seed` is chance.
    pub fn begin(
        now: Timestamp,
        arrival: Arrival,
        rules: Arc<Rules>,
        seed: [u8; 32],
    ) -> (Self, Vec<Command>) {
        let record = CallRecord {
            id: arrival.call,
            line: arrival.line,
            direction: arrival.direction,
            number: arrival.number,
            queue: arrival.queue,
            agents: Vec::new(),
            started: arrival.at,
            talked: None,
            ended: None,
            outcome: "in-hook".into(),
            private: false,
        };
        let mut session = Self::new(now, record, arrival.leg, arrival.language, rules, seed);
        session.visits.insert(arrival.at);
        session.journal(
            now,
            What::Arrived {
                line: session.record.line.clone(),
                direction: session.record.direction,
                policy: session.rules.policy.hash_hex(),
                config: session.rules.desk.hash.clone(),
            },
        );
        session.index();
        match session.record.direction {
            Direction::Outbound => session.enter_asking(now, arrival.briefed.as_deref()),
            Direction::Inbound | Direction::Internal => session.enter_hook(now),
        }
        let commands = std::mem::take(&mut session.out);
        (session, commands)
    }

    /// A leg that was found alive after a start, without the memory of what it heard and refused: it is never recorded
    /// again in this call, and whatever records it is stopped. `segments` are those that it left: an objection that
    /// nobody heard still erases them.
    pub fn adopt(
        now: Timestamp,
        record: CallRecord,
        leg: LegId,
        segments: &[SegmentRecord],
        rules: Arc<Rules>,
        seed: [u8; 32],
    ) -> (Self, Vec<Command>) {
        let mut session = Self::new(now, record, leg, None, rules, seed);
        let number = session.record.number.as_deref();
        session.past = segments.iter().filter_map(|segment| Past::of(segment, number)).collect();
        session.muted = Some("found-after-restart");
        // What the earlier run left running.
        session.suspect = Some(1);
        session.consider(now);
        let commands = std::mem::take(&mut session.out);
        (session, commands)
    }

    fn new(
        now: Timestamp,
        record: CallRecord,
        leg: LegId,
        language: Option<String>,
        rules: Arc<Rules>,
        seed: [u8; 32],
    ) -> Self {
        Self {
            talk: Talk::begin(facts_of(&record, &leg, language, &rules)),
            rules,
            chance: Chance { seed, used: 0 },
            leg,
            record,
            announce: None,
            phase: Phase::Talk,
            parties: Vec::new(),
            seated: now,
            exempt_rang: None,
            recorder: Recorder::Off,
            step: None,
            step_seen: None,
            suspect: None,
            starts: BTreeSet::new(),
            past: Vec::new(),
            known: BTreeSet::new(),
            visits: BTreeSet::new(),
            verdict: None,
            let_go: None,
            served: Refusal::Continue,
            pressed: BTreeSet::new(),
            asked: BTreeSet::new(),
            drawing: false,
            muted: None,
            link: Link::Up,
            quiet_until: None,
            settled: None,
            since: None,
            failures: 0,
            told_locked: false,
            lacks: None,
            full: false,
            told_lack: false,
            pending: BTreeMap::new(),
            orders: 0,
            changed: now,
            looked: now,
            told: None,
            out: Vec::new(),
        }
    }

    /// Something happened.
    pub fn step(&mut self, now: Timestamp, event: CallEvent) -> Vec<Command> {
        if crate::sabotage::is("swallow-event")
            && matches!(self.phase, Phase::Talk)
            && matches!(event, CallEvent::Pressed { .. })
        {
            return Vec::new();
        }
        self.changed = now;
        match event {
            CallEvent::Returned { at } => self.returned(now, at),
            CallEvent::Played { order, outcome, .. } => self.played(now, order, outcome),
            CallEvent::Said { text, outcome, played, .. } => self.said(now, text, outcome, played),
            CallEvent::Machine { .. } => self.machine(now),
            CallEvent::Asked { how, .. } => self.asked(now, how),
            CallEvent::Pressed { leg, keys, at } => {
                // The same press, told twice, is one press.
                if self.pressed.insert((keys.clone(), at)) {
                    self.changed = at;
                    self.press(now, leg, &keys, at);
                }
            }
            CallEvent::Noted { keys } => self.noted(now, keys.as_deref()),
            CallEvent::Parties { parties, at } => self.parties(now, parties, at),
            CallEvent::RecorderStarted { at } => self.recorder_started(now, at),
            CallEvent::RecorderStopped { at } => self.recorder_stopped(now, at),
            CallEvent::ExemptRings { at } => {
                self.changed = at;
                self.exempt_rang = self.exempt_rang.max(Some(at));
            }
            CallEvent::StepBegan { at } => {
                self.changed = at;
                self.step_began(now, at);
            }
            CallEvent::StepEnded { outcome, at } => {
                self.changed = at;
                self.step_ended(now, outcome, at);
            }
            CallEvent::Ended { at } => self.ended(now, at),
            CallEvent::LinkLost { since } => self.link_lost(now, since),
            CallEvent::LinkBack => self.link_back(now),
            CallEvent::Done { order, reply } => {
                if let Some(asked) = self.pending.remove(&order) {
                    self.done(now, order, asked, reply);
                }
            }
            CallEvent::Failed { order, error } => {
                if let Some(asked) = self.pending.remove(&order) {
                    self.failed(now, order, asked, error);
                }
            }
            CallEvent::Opened(id) => self.opened(now, id),
            CallEvent::NotOpened(id, error) => self.not_opened(now, id, &error),
            CallEvent::Proven => self.proven(now),
            CallEvent::Room { lacks, full } => {
                self.told_lack &= lacks.is_some();
                (self.lacks, self.full) = (lacks, full);
            }
            CallEvent::ClockSet { by } => {
                if !matches!(self.phase, Phase::Over) {
                    let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
                    self.journal(now, What::ClockSet { by_ms });
                }
                // What ends now ends by the clock by which it began.
                self.changed = now.saturating_sub(by).unwrap_or(now);
                self.clock_set(by);
            }
            CallEvent::Drawn(drawn) => self.drawn(drawn),
            CallEvent::NotDrawn(error) => self.not_drawn(now, &error),
            CallEvent::Woken => {}
        }
        self.consider(now);
        std::mem::take(&mut self.out)
    }

    /// The clock was set: who waits, waits as long as he would have, and what came last stays last. A recording ends at
    /// the gap that is told next, by the clock by which it began; what the law says of the hour follows the new one.
    fn clock_set(&mut self, by: SignedDuration) {
        let moved = |at: &mut Timestamp| *at = at.saturating_add(by).unwrap_or(*at);
        if let Phase::Hook(hook) = &mut self.phase {
            hook.waits_mut().for_each(moved);
        }
        if let Some(live) = self.recorder.live_mut() {
            live.clock_set = true;
        }
        let step = self.step.iter_mut().flat_map(Step::times_mut);
        let recorder = self.recorder.wait_mut().map(|wait| &mut wait.again);
        let own = [&mut self.quiet_until, &mut self.settled, &mut self.exempt_rang, &mut self.step_seen];
        own.into_iter().flatten().chain(step).chain(recorder).chain([&mut self.seated]).for_each(moved);
    }

    /// When `Woken` is wanted, at the latest.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let hook = match &self.phase {
            Phase::Hook(hook) => hook.wake_at(),
            Phase::Asking(_) | Phase::Talk | Phase::Over => None,
        };
        [hook, self.step_wake(), self.recorder_wake()].into_iter().flatten().min()
    }

    /// Nothing can happen any more: the customer is gone and every segment is closed.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over) && matches!(self.recorder, Recorder::Off) && !self.drawing
    }

    /// The call.
    pub fn call(&self) -> &CallId {
        &self.record.id
    }

    /// The customer's leg.
    pub fn leg(&self) -> &LegId {
        &self.leg
    }

    fn consider(&mut self, now: Timestamp) {
        self.consider_hook(now);
        self.consider_step(now);
        self.consider_recorder(now);
    }

    fn done(&mut self, now: Timestamp, order: OrderNo, asked: Asked, reply: Reply) {
        match asked {
            Asked::Announce | Asked::Silence | Asked::Prepare | Asked::HangUp => {}
            Asked::Beat => self.beaten(now),
            Asked::Release => self.released(now),
            Asked::Record(id) => self.recording(now, id),
            Asked::Stop => self.stopped(now, order, reply),
        }
    }

    fn failed(&mut self, now: Timestamp, order: OrderNo, asked: Asked, error: DriverError) {
        match asked {
            // Whether it plays or not, nobody will tell: not heard.
            Asked::Announce => self.played(now, order, crate::event::Playback::Failed),
            // What was not left with the leg is not played, and told when it is missed.
            Asked::Silence | Asked::Prepare | Asked::HangUp => {}
            // It may have come, and the next may come, too: whoever hears nothing of a caller must not hold him. The PBX takes
            // him on by itself; what he did not hear is not recorded.
            Asked::Beat if error == DriverError::Unknown => {}
            Asked::Beat => self.beaten(now),
            Asked::Release => self.not_released(now, &error),
            Asked::Record(id) => self.not_recording(now, id, &error),
            Asked::Stop => self.not_stopped(now, order, &error),
        }
    }

    fn ended(&mut self, now: Timestamp, at: Timestamp) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        self.phase = Phase::Over;
        self.parties.clear();
        self.recorder_ended(now, at);
        self.record.ended = Some(at);
        // Of a call that was refused, or met somebody unknown, the word for that stays.
        if self.record.talked.is_none() && matches!(self.record.outcome.as_str(), "in-hook" | "admitted") {
            self.record.outcome = "not-connected".into();
        }
        self.index();
        self.journal(now, What::Ended);
    }

    fn order(&mut self, order: Order, asked: Asked) -> OrderNo {
        self.orders += 1;
        let number = OrderNo(self.orders);
        self.pending.insert(number, asked);
        self.out.push(Command::Order(number, order));
        number
    }

    fn journal(&mut self, now: Timestamp, what: What) {
        let entry = self.entry(now, None, what);
        self.out.push(Command::Journal(entry));
    }

    fn alarm(&mut self, now: Timestamp, notice: Notice) {
        self.journal(now, What::Alarm(notice.clone()));
        self.out.push(Command::Notify(notice));
    }

    fn index(&mut self) {
        self.out.push(Command::Index(self.record.clone()));
    }

    fn entry(&self, now: Timestamp, segment: Option<SegmentId>, what: What) -> Entry {
        Entry { at: now, call: Some(self.record.id.clone()), segment, what }
    }
}

/// `now` and a while.
fn after(now: Timestamp, while_: std::time::Duration) -> Timestamp {
    SignedDuration::try_from(while_).ok().and_then(|d| now.checked_add(d).ok()).unwrap_or(Timestamp::MAX)
}

/// What is known when a customer arrives.
fn facts_of(record: &CallRecord, leg: &LegId, language: Option<String>, rules: &Rules) -> Facts {
    let mut customer = Leg::new(leg.0.as_str(), LegKind::Customer);
    customer.number = record.number.as_deref().map(Into::into);
    let mut facts = Facts {
        at: record.started,
        call_start: Some(record.started),
        line: record.line.as_str().into(),
        direction: Some(record.direction),
        queue: record.queue.as_deref().map(Into::into),
        language: language.map(Into::into),
        legs: vec![customer],
        flags: BTreeSet::new(),
        sampling: Default::default(),
    };
    origin::locate(&mut facts, &rules.policy);
    facts
}

fn names<'p>(purposes: impl IntoIterator<Item = &'p Purpose>) -> Vec<String> {
    purposes.into_iter().map(ToString::to_string).collect()
}
