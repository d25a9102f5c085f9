//! In the talk: who may be recorded now, and the recorder's own life.
//!
//! Off → opening (durable first) → starting → running → stopping → off, and at least 100 ms of quiet before the next.
//! One recorder at a time, and every segment a new file. A stop is sent at once and ordered again until the PBX
//! confirms it; nobody's refusal waits for a disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Asked, Link, Phase, Session, after};
use crate::command::{Command, DriverError, Notice, Order, Reply};
use crate::decide::{self, Decision, decide};
use crate::event::{Party, Role};
use crate::facts::{Facts, Leg};
use crate::id::SegmentId;
use crate::journal::What;
use crate::ports::{Ballot, Drawn, SegmentRecord, StoreError};
use crate::retention::{self, History, Recording};
use crate::sampling;
use crate::segment::{Closing, Deadlines, Ending, Flag, Segment};
use crate::talk::Event;
use crate::words::{CombinedDuty, LegKind, Purpose, Reason};

/// The recorder on the customer's leg.
#[derive(Debug)]
pub(super) enum Recorder {
    /// None of ours runs.
    Off,
    /// The segment waits to be durable.
    Opening { live: Box<Live>, durable: bool },
    /// Ordered; not answered yet.
    Starting(Box<Live>),
    /// It runs.
    Running(Box<Live>),
    /// It must not run; not confirmed yet.
    Stopping { live: Box<Live>, stop: Stop, again: Timestamp, repeated: bool },
    /// One that is not ours may run, and must not.
    Foreign { again: Timestamp },
}

/// The segment that is being recorded.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: SegmentId,
    pub(super) facts: Facts,
    purposes: BTreeSet<Purpose>,
    /// By purpose of the line.
    rules: Rules,
    mandatory: bool,
    /// When the law changes its mind although nothing happens.
    changes: Option<Timestamp>,
    /// When the PBX said that it began, else when it confirmed the order.
    started: Option<Timestamp>,
    pub(super) erased: BTreeSet<Purpose>,
    flags: Vec<Flag>,
}

/// How a segment is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    ending: Ending,
    until: Timestamp,
    cut_tail: bool,
}

/// A closed segment of this call, for what an objection may still erase.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) id: SegmentId,
    pub(super) facts: Facts,
    pub(super) kept: BTreeSet<Purpose>,
    from: Timestamp,
    until: Timestamp,
}

/// Why nothing may be recorded at this moment; the law's reasons are in the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// Nothing of this call any more.
    Muted(&'static str),
    /// The PBX is not heard.
    Link,
    /// No agent is connected with the customer.
    Alone,
    /// Somebody is on hold or away.
    Held,
    /// Somebody is there whom nobody knows, or another call's customer.
    Stranger,
    /// The lot has not fallen yet.
    Drawing,
    /// The law: see the decision.
    Law(Box<Decision>),
}

/// What may be recorded at this moment.
#[derive(Debug)]
struct Wish {
    facts: Facts,
    decision: Decision,
}

/// The rules in force, by purpose.
type Rules = BTreeMap<Purpose, BTreeSet<Arc<str>>>;

/// Starts that fail so often end the attempts for a call.
const FAILURES: u8 = 3;

impl Recorder {
    pub(super) fn live_mut(&mut self) -> Option<&mut Live> {
        match self {
            Self::Opening { live, .. }
            | Self::Starting(live)
            | Self::Running(live)
            | Self::Stopping { live, .. } => Some(live),
            Self::Off | Self::Foreign { .. } => None,
        }
    }
}

impl Past {
    /// A segment of an earlier run; none where nothing of it remains.
    pub(super) fn of(record: &SegmentRecord) -> Option<Self> {
        let facts = serde_json::from_value(record.segment.basis.get("facts")?.clone()).ok()?;
        let kept: BTreeSet<_> =
            record.kept_for.iter().filter_map(|purpose| Purpose::parse(purpose)).collect();
        let opened = record.segment.opened;
        let (from, until) = record.closing.as_ref().map_or((opened, opened), |closing| {
            let from = closing.from.unwrap_or(opened);
            (from, closing.until.max(from))
        });
        (!kept.is_empty()).then_some(Self { id: record.segment.id, facts, kept, from, until })
    }
}

impl Live {
    /// Whether a purpose of it remains.
    pub(super) fn keeps_something(&self) -> bool {
        !self.purposes.is_subset(&self.erased)
    }

    /// Whether what may be recorded now is what this segment records: the same legs, purposes and rules.
    fn is(&self, wish: &Wish) -> bool {
        self.purposes == wish.decision.recorded_purposes
            && self.rules == rules_of(&wish.decision)
            && self.facts.legs.iter().map(|leg| &leg.id).eq(wish.facts.legs.iter().map(|leg| &leg.id))
    }
}

impl Session {
    pub(super) fn parties(&mut self, now: Timestamp, mut parties: Vec<Party>, at: Timestamp) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        parties.sort();
        parties.dedup();
        if !parties.is_empty() {
            self.left_hook_unseen(now);
        }
        if self.parties == parties {
            return;
        }
        self.parties = parties;
        let agents: BTreeSet<String> = self.parties.iter().filter_map(|party| self.agent_of(party)).collect();
        if !agents.is_empty() {
            if self.record.talked.is_none() {
                self.record.talked = Some(at);
            }
            let mut all: BTreeSet<String> = self.record.agents.drain(..).collect();
            all.extend(agents);
            self.record.agents = all.into_iter().collect();
            self.index();
        }
    }

    /// Looks at what is, and at what may be, and brings them together.
    pub(super) fn consider_recorder(&mut self, now: Timestamp) {
        if matches!(self.phase, Phase::Hook(_)) {
            return;
        }
        let wish = self.wish(now);
        self.tell(now, &wish);
        match (&mut self.recorder, wish) {
            (Recorder::Off, Ok(wish)) => {
                if self.quiet_until.is_none_or(|quiet| now >= quiet) {
                    self.open(now, wish);
                }
            }
            (Recorder::Off | Recorder::Opening { durable: false, .. }, _) => {}
            (Recorder::Opening { live, durable: true }, Ok(wish)) if live.is(&wish) => self.start(),
            (Recorder::Opening { .. }, _) => {
                let stop = Stop { ending: Ending::NeverStarted, until: now, cut_tail: false };
                self.finish(now, stop);
            }
            (Recorder::Starting(live) | Recorder::Running(live), wish) => {
                let stop = match &wish {
                    Ok(wish) if live.is(wish) => return,
                    Ok(wish) => {
                        // Somebody who was not there before: his first words are cut off.
                        let joined = wish.facts.legs.iter().any(|leg| !live.facts.leg(&leg.id).is_some());
                        Stop { ending: Ending::PartiesChanged, until: self.changed, cut_tail: joined }
                    }
                    Err(why) => {
                        let ending = why.ending(&live.purposes);
                        let cut_tail = matches!(
                            ending,
                            Ending::Stranger | Ending::Objected | Ending::Private | Ending::Payment
                        );
                        Stop { ending, until: self.changed, cut_tail }
                    }
                };
                self.stop(now, stop);
            }
            (Recorder::Stopping { again, repeated, .. }, _) if now >= *again => {
                let first = !std::mem::replace(repeated, true);
                *again = after(now, self.rules.desk.timing.stop_again);
                self.order(Order::Stop, Asked::Stop);
                if first {
                    self.alarm(now, Notice::StopNotConfirmed);
                }
            }
            (Recorder::Foreign { again }, _) if now >= *again => {
                *again = after(now, self.rules.desk.timing.stop_again);
                self.order(Order::Stop, Asked::Stop);
            }
            (Recorder::Stopping { .. } | Recorder::Foreign { .. }, _) => {}
        }
    }

    pub(super) fn recorder_wake(&self) -> Option<Timestamp> {
        match &self.recorder {
            Recorder::Stopping { again, .. } | Recorder::Foreign { again } => Some(*again),
            // A campaign ends inside a call too.
            Recorder::Starting(live) | Recorder::Running(live) => live.changes,
            Recorder::Off => self.quiet_until.filter(|quiet| *quiet > self.looked),
            Recorder::Opening { .. } => None,
        }
    }

    /// The running segment is over, whatever may follow: a code stopped it, or somebody said no.
    pub(super) fn segment_over(&mut self, now: Timestamp, ending: Ending, until: Timestamp) {
        let cut_tail = matches!(ending, Ending::Objected | Ending::Private);
        self.stop(now, Stop { ending, until, cut_tail });
    }

    pub(super) fn recorder_started(&mut self, now: Timestamp, at: Timestamp) {
        match &mut self.recorder {
            Recorder::Starting(live) | Recorder::Running(live) | Recorder::Stopping { live, .. } => {
                live.started.get_or_insert(at);
            }
            Recorder::Off | Recorder::Opening { .. } | Recorder::Foreign { .. } => {
                if matches!(self.phase, Phase::Over) {
                    return;
                }
                // Not ordered by us: it would record whom it must not.
                self.alarm(now, Notice::ForeignRecorder);
                if matches!(self.recorder, Recorder::Off) {
                    self.recorder = Recorder::Foreign { again: now };
                }
            }
        }
    }

    pub(super) fn recorder_stopped(&mut self, now: Timestamp, at: Timestamp) {
        match &mut self.recorder {
            // A code in the dialplan, or somebody else. What it means may follow within milliseconds.
            Recorder::Running(_) => self.stop(now, Stop { ending: Ending::Code, until: at, cut_tail: false }),
            Recorder::Stopping { stop, .. } => stop.until = stop.until.min(at),
            _ => {}
        }
    }

    pub(super) fn recording(&mut self, now: Timestamp, id: SegmentId) {
        let recorder = std::mem::replace(&mut self.recorder, Recorder::Off);
        self.recorder = match recorder {
            Recorder::Starting(mut live) if live.id == id => {
                live.started.get_or_insert(now);
                self.failures = 0;
                self.record.outcome = "recorded".into();
                self.index();
                let entry = self.entry(now, Some(id), What::Recording);
                self.out.push(Command::Journal(entry));
                Recorder::Running(live)
            }
            Recorder::Stopping { mut live, stop, again, repeated } if live.id == id => {
                live.started.get_or_insert(now);
                Recorder::Stopping { live, stop, again, repeated }
            }
            other => other,
        };
    }

    pub(super) fn not_recording(&mut self, now: Timestamp, id: SegmentId, error: &DriverError) {
        if self.recorder.live_mut().is_none_or(|live| live.id != id) {
            return;
        }
        match error {
            // It may run: stop it, and keep what it was allowed to record.
            DriverError::Unknown => {
                self.alarm(now, Notice::NotStarted { why: error.to_string() });
                self.stop(now, Stop { ending: Ending::Gap, until: now, cut_tail: false });
            }
            DriverError::Gone => {}
            DriverError::Refused(_) | DriverError::Unsent => {
                self.failures += 1;
                self.alarm(now, Notice::NotStarted { why: error.to_string() });
                if self.failures >= FAILURES {
                    self.muted = Some("recorder-does-not-start");
                }
            }
        }
        if matches!(self.recorder, Recorder::Starting(_)) {
            let pause = std::time::Duration::from_secs(1) * u32::from(self.failures.max(1));
            self.finish(now, Stop { ending: Ending::NeverStarted, until: now, cut_tail: false });
            self.quiet_until = Some(after(now, pause));
        }
    }

    pub(super) fn stopped(&mut self, now: Timestamp, reply: Reply) {
        let ours = match &mut self.recorder {
            Recorder::Stopping { live, stop, .. } => {
                let stop = *stop;
                // A mandatory recording runs on while nobody watches; what it has is kept.
                let until = if live.flags.contains(&Flag::Unwatched) { now } else { stop.until };
                self.finish(now, Stop { until, ..stop });
                1
            }
            Recorder::Foreign { .. } => {
                self.recorder = Recorder::Off;
                0
            }
            _ => return,
        };
        self.quiet_until = Some(after(now, self.rules.desk.timing.settle));
        if reply.stopped > ours {
            self.alarm(now, Notice::ForeignRecorder);
        }
    }

    pub(super) fn not_stopped(&mut self, now: Timestamp, error: &DriverError) {
        match error {
            DriverError::Gone => self.stopped(now, Reply::default()),
            // `again` orders it once more.
            DriverError::Refused(_) | DriverError::Unsent | DriverError::Unknown => {}
        }
    }

    pub(super) fn opened(&mut self, _now: Timestamp, id: SegmentId) {
        if let Recorder::Opening { live, durable } = &mut self.recorder
            && live.id == id
        {
            *durable = true;
            self.told_locked = false;
        }
    }

    pub(super) fn not_opened(&mut self, now: Timestamp, id: SegmentId, error: &StoreError) {
        if let Recorder::Opening { live, .. } = &self.recorder
            && live.id == id
        {
            // No journal, no recording.
            self.recorder = Recorder::Off;
            self.quiet_until = Some(after(now, std::time::Duration::from_secs(1)));
            if !std::mem::replace(&mut self.told_locked, true) {
                self.alarm(now, Notice::NotStarted { why: error.to_string() });
            }
        }
    }

    pub(super) fn drawn(&mut self, drawn: Vec<Drawn>) {
        self.drawing = false;
        let fallen = drawn.into_iter().map(|drawn| (drawn.ballot.campaign, drawn.selected));
        self.talk
            .facts_mut()
            .sampling
            .drawn
            .extend(fallen.map(|(campaign, selected)| (campaign.into(), selected)));
    }

    pub(super) fn not_drawn(&mut self, now: Timestamp, error: &StoreError) {
        // Without a lot a call is never drawn.
        self.drawing = false;
        self.alarm(now, Notice::NotStarted { why: error.to_string() });
    }

    pub(super) fn recorder_ended(&mut self, now: Timestamp, at: Timestamp) {
        let hung_up = Stop { ending: Ending::HungUp, until: at, cut_tail: false };
        match &self.recorder {
            // Closed once it is known to be there.
            Recorder::Off | Recorder::Opening { durable: false, .. } => {}
            Recorder::Opening { .. } | Recorder::Starting(_) | Recorder::Running(_) => {
                self.finish(now, hung_up)
            }
            Recorder::Stopping { stop, .. } => {
                let stop = *stop;
                self.finish(now, stop);
            }
            Recorder::Foreign { .. } => self.recorder = Recorder::Off,
        }
    }

    pub(super) fn link_lost(&mut self, now: Timestamp, since: Timestamp) {
        if self.link == Link::Lost {
            return;
        }
        self.link = Link::Lost;
        self.journal(now, What::Gap { since });
        if let Recorder::Starting(live) | Recorder::Running(live) = &mut self.recorder {
            if live.mandatory {
                live.flags.push(Flag::Unwatched);
                self.alarm(now, Notice::Mandatory { why: "unwatched".into() });
            }
            self.stop(now, Stop { ending: Ending::Gap, until: since, cut_tail: false });
        }
    }

    pub(super) fn link_back(&mut self, now: Timestamp) {
        self.link = Link::Up;
        // What could not be sent is sent at once.
        if let Recorder::Stopping { again, .. } | Recorder::Foreign { again } = &mut self.recorder {
            *again = now;
        }
    }

    fn wish(&mut self, now: Timestamp) -> Result<Wish, Why> {
        self.looked = now;
        // Who is there is known even where nothing is recorded: an objection erases what was.
        let seated = self.seat();
        if let Some(why) = self.muted {
            return Err(Why::Muted(why));
        }
        if self.link == Link::Lost {
            return Err(Why::Link);
        }
        seated?;
        if !self.parties.iter().any(|party| party.role == Role::Member) {
            return Err(Why::Alone);
        }
        self.talk.set_time(now);
        let held = self.parties.iter().any(|party| party.held);
        if !held && self.draw(now) {
            return Err(Why::Drawing);
        }
        let facts = self.talk.facts();
        let decision = decide(facts, &self.rules.policy);
        if !decision.record {
            return Err(Why::Law(Box::new(decision)));
        }
        if held {
            return Err(Why::Held);
        }
        Ok(Wish { facts: facts.clone(), decision })
    }

    /// Brings the facts' legs in line with who is connected.
    fn seat(&mut self) -> Result<(), Why> {
        let rules = Arc::clone(&self.rules);
        let present = self.talk.facts().legs[1..].iter().map(|leg| leg.id.clone());
        let gone: Vec<_> =
            present.filter(|id| !self.parties.iter().any(|party| party.leg.0 == **id)).collect();
        for leg in gone {
            self.talk.apply(&rules.policy, &Event::Leave { leg });
        }
        for party in &self.parties {
            if party.customer_of.is_some() {
                return Err(Why::Stranger);
            }
            let agent = self.agent_of(party);
            let mut leg = Leg::new(party.leg.0.as_str(), LegKind::Agent);
            leg.extension = party.extension.as_deref().map(Into::into);
            leg.agent = agent.map(Into::into);
            // An exempt extension needs no agent to be exempt; anybody else without one is a stranger.
            if leg.agent.is_none() && !leg.is_exempt(&rules.policy) {
                return Err(Why::Stranger);
            }
            if cfg!(temoin_sabotage = "skip-exempt") && leg.is_exempt(&rules.policy) {
                continue;
            }
            if self.talk.facts().leg(&leg.id).is_none() {
                self.talk.apply(&rules.policy, &Event::Join { leg });
            }
        }
        Ok(())
    }

    /// Asks for the lots that this call still needs; true while one has not fallen.
    fn draw(&mut self, now: Timestamp) -> bool {
        if !self.drawing {
            let stakes = decide::stakes(self.talk.facts(), &self.rules.policy);
            let call = &self.record.id;
            let ballots: Vec<Ballot> = stakes
                .into_iter()
                .filter(|stake| self.asked.insert(stake.campaign.to_string()))
                .map(|stake| Ballot {
                    campaign: stake.campaign.to_string(),
                    call: call.clone(),
                    stratum: stake.stratum.to_string(),
                    rate: stake.rate,
                    draw: sampling::Draw::keyed(&self.rules.key.0, &stake.campaign, &call.0),
                    at: now,
                })
                .collect();
            if !ballots.is_empty() {
                self.drawing = true;
                self.out.push(Command::Draw(ballots));
            }
        }
        self.drawing
    }

    fn open(&mut self, now: Timestamp, wish: Wish) {
        let id = SegmentId::new(now, self.chance.bytes());
        let purposes = wish.decision.recorded_purposes.clone();
        let retention = self.deadlines(&wish.facts, &purposes, now, now);
        let mandatory = purposes.iter().any(|purpose| {
            wish.decision.purposes.get(purpose).is_some_and(|of| of.duty == CombinedDuty::Must)
        });
        let agents =
            wish.facts.legs.iter().filter_map(|leg| leg.agent.as_ref()).map(ToString::to_string).collect();
        let segment = Segment {
            id,
            call: self.record.id.clone(),
            opened: now,
            agents,
            purposes: super::names(&purposes),
            mandatory,
            basis: serde_json::json!({
                "facts": without_numbers(&wish.facts),
                "decision": decide::explain(&wish.facts, &self.rules.policy),
                "policy": self.rules.policy.hash_hex(),
                "config": self.rules.desk.hash,
            }),
            retention,
        };
        let entry = self.entry(now, Some(id), What::Opened { purposes: super::names(&purposes) });
        self.out.push(Command::Open(Box::new(segment), entry));
        let live = Box::new(Live {
            id,
            rules: rules_of(&wish.decision),
            changes: decide::changes_at(&wish.facts, &self.rules.policy),
            facts: wish.facts,
            purposes,
            mandatory,
            started: None,
            erased: BTreeSet::new(),
            flags: Vec::new(),
        });
        self.recorder = Recorder::Opening { live, durable: false };
    }

    fn start(&mut self) {
        if let Recorder::Opening { live, .. } = std::mem::replace(&mut self.recorder, Recorder::Off) {
            self.order(Order::Record(live.id), Asked::Record(live.id));
            self.recorder = Recorder::Starting(live);
        }
    }

    fn stop(&mut self, now: Timestamp, wanted: Stop) {
        if cfg!(temoin_sabotage = "ignore-stop") {
            return;
        }
        self.recorder = match std::mem::replace(&mut self.recorder, Recorder::Off) {
            Recorder::Starting(live) | Recorder::Running(live) => {
                self.order(Order::Stop, Asked::Stop);
                let again = after(now, self.rules.desk.timing.stop_again);
                self.tell_stop(now, live.id, wanted);
                Recorder::Stopping { live, stop: wanted, again, repeated: false }
            }
            // The first stop says where the audio ends; a graver reason cuts the more.
            Recorder::Stopping { live, stop, again, repeated } => {
                let graver = matches!(stop.ending, Ending::Code | Ending::PartiesChanged) || wanted.cut_tail;
                let joined = Stop {
                    ending: if graver { wanted.ending } else { stop.ending },
                    until: stop.until.min(wanted.until),
                    cut_tail: stop.cut_tail || wanted.cut_tail,
                };
                if joined != stop {
                    self.tell_stop(now, live.id, joined);
                }
                Recorder::Stopping { live, stop: joined, again, repeated }
            }
            other => other,
        };
    }

    /// Written down when it is ordered, so that it holds even if this program dies before the PBX confirms it.
    fn tell_stop(&mut self, now: Timestamp, id: SegmentId, stop: Stop) {
        let Stop { ending, until, cut_tail } = stop;
        let entry = self.entry(now, Some(id), What::Stopping { ending, until, cut_tail });
        self.out.push(Command::Journal(entry));
    }

    /// Closes the segment: what remains of it is kept, or it is erased.
    fn finish(&mut self, now: Timestamp, stop: Stop) {
        let (Recorder::Opening { live, .. }
        | Recorder::Starting(live)
        | Recorder::Running(live)
        | Recorder::Stopping { live, .. }) = std::mem::replace(&mut self.recorder, Recorder::Off)
        else {
            return;
        };
        let live = *live;
        let mut kept = live.purposes.clone();
        kept.retain(|purpose| !live.erased.contains(purpose));
        let mut ending = stop.ending;
        if live.started.is_none() {
            ending = Ending::NeverStarted;
            kept.clear();
        }
        let from = live.started.unwrap_or(stop.until);
        let retention = self.deadlines(&live.facts, &kept, from, stop.until.max(from));
        let closing = Closing {
            from: live.started,
            until: stop.until,
            cut_tail: stop.cut_tail,
            kept: super::names(&kept),
            ending,
            flags: live.flags,
            retention,
        };
        let entry = self.entry(now, Some(live.id), What::Closed(closing.clone()));
        self.out.push(Command::Close(live.id, closing, entry));
        self.past.push(Past { id: live.id, facts: live.facts, kept, from, until: stop.until.max(from) });
    }

    /// When what remains of a closed segment must go.
    pub(super) fn deadlines_of(&self, past: &Past) -> Deadlines {
        self.deadlines(&past.facts, &past.kept, past.from, past.until)
    }

    /// When what is kept for these purposes must go.
    fn deadlines(
        &self,
        facts: &Facts,
        purposes: &BTreeSet<Purpose>,
        start: Timestamp,
        end: Timestamp,
    ) -> Deadlines {
        let recording = Recording { facts, policy: &self.rules.policy, purposes, start, end };
        // A decision that allows a recording has dates for it; for no purposes there are none.
        let fate = retention::fate(&recording, &History::default());
        fate.map_or_else(
            |_| Deadlines::default(),
            |fate| Deadlines {
                not_before: fate.object.not_before,
                scheduled: fate.object.scheduled,
                delete_by: fate.object.delete_by,
            },
        )
    }

    fn agent_of(&self, party: &Party) -> Option<String> {
        let by_extension = || self.rules.desk.extensions.get(party.extension.as_deref()?).cloned();
        party.agent.clone().or_else(by_extension)
    }

    /// Writes the decision down where it changed, and gives the call its one word.
    fn tell(&mut self, now: Timestamp, wish: &Result<Wish, Why>) {
        let (record, decision, shell) = match wish {
            Ok(wish) => (true, Some(&wish.decision), None),
            Err(Why::Law(decision)) => (false, Some(&**decision), None),
            // Nothing is decided yet, or nobody is there: no news.
            Err(Why::Drawing | Why::Alone) => return,
            Err(Why::Muted(why)) => (false, None, Some(*why)),
            Err(Why::Link) => (false, None, Some("not-heard")),
            Err(Why::Held) => (false, None, Some("held")),
            Err(Why::Stranger) => (false, None, Some("unknown-party")),
        };
        if matches!(self.phase, Phase::Over) {
            return;
        }
        let reasons = match (decision, shell) {
            (Some(decision), _) => decision
                .purposes
                .iter()
                .map(|(purpose, of)| (purpose.to_string(), of.reason.to_string()))
                .collect(),
            (None, why) => [("*".to_owned(), why.unwrap_or_default().to_owned())].into(),
        };
        let agents = self.parties.iter().filter_map(|party| self.agent_of(party)).collect();
        let what = What::Decided { record, agents, reasons };
        if self.told.as_ref() == Some(&what) {
            return;
        }
        if !record && self.record.outcome != "recorded" {
            let nearest = decision.and_then(|decision| decision.purposes.values().map(|of| of.reason).max());
            let word =
                nearest.map_or_else(|| shell.unwrap_or("unknown").to_owned(), |reason| reason.to_string());
            if self.record.outcome != word {
                self.record.outcome = word;
                self.index();
            }
        }
        self.journal(now, what.clone());
        self.told = Some(what);
    }
}

impl Why {
    /// How a segment ends for this, seen from the purposes that it was recorded for.
    fn ending(&self, purposes: &BTreeSet<Purpose>) -> Ending {
        match self {
            Self::Muted(_) | Self::Drawing => Ending::NotAllowed,
            Self::Link => Ending::Gap,
            Self::Alone | Self::Held => Ending::PartiesChanged,
            Self::Stranger => Ending::Stranger,
            Self::Law(decision) => {
                let reasons = decision
                    .purposes
                    .iter()
                    .filter(|(purpose, _)| purposes.contains(*purpose))
                    .map(|(_, of)| of.reason);
                reasons.min().map_or(Ending::NotAllowed, |reason| match reason {
                    Reason::ExemptLeg => Ending::Stranger,
                    Reason::PrivateCall => Ending::Private,
                    Reason::PaymentActive => Ending::Payment,
                    Reason::Objected => Ending::Objected,
                    Reason::AgentStop => Ending::Paused,
                    _ => Ending::NotAllowed,
                })
            }
        }
    }
}

fn rules_of(decision: &Decision) -> Rules {
    decision.purposes.iter().map(|(purpose, of)| (purpose.clone(), of.rules.clone())).collect()
}

/// What is written down of the facts: whose call it was stands elsewhere, and is erased on its own date.
fn without_numbers(facts: &Facts) -> Facts {
    let mut facts = facts.clone();
    facts.legs.iter_mut().for_each(|leg| leg.number = None);
    facts
}
