//! The recorder's own life: off → opening (durable first) → starting → running → stopping → off, and at least 100 ms of
//! quiet before the next.
//!
//! One recorder at a time, and every segment a new file. A stop is sent at once and ordered again until the PBX
//! confirms it; nobody's refusal waits for a disk. A recorder that should not be there is stopped like ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::wish::{Why, Wish};
use super::{Asked, Link, Phase, Session, after};
use crate::command::{Command, DriverError, Notice, Order, Reply};
use crate::decide::{self, Decision};
use crate::facts::Facts;
use crate::id::{OrderNo, SegmentId};
use crate::journal::What;
use crate::ports::StoreError;
use crate::segment::{Ending, Flag, Segment, TAIL};
use crate::words::{CombinedDuty, Purpose};

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
    Stopping { live: Box<Live>, stop: Stop, wait: Wait },
    /// One that is not ours may run, and must not. As many are no surprise.
    Foreign { expected: u32, wait: Wait },
}

/// A stop that waits to be confirmed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// Only the answer to an order after this one counts: an older stop may have come before the recorder.
    after: u32,
    /// When it is ordered again.
    pub(super) again: Timestamp,
    repeated: bool,
}

/// The segment that is being recorded.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: SegmentId,
    pub(super) facts: Facts,
    pub(super) purposes: BTreeSet<Purpose>,
    /// By purpose of the line.
    rules: Rules,
    mandatory: bool,
    /// When the law changes its mind although nothing happens.
    changes: Option<Timestamp>,
    /// When the PBX said that it began, else when it confirmed the order.
    pub(super) started: Option<Timestamp>,
    /// Whether it was the PBX that said so.
    told: bool,
    /// A mandatory recording that nobody watches, since this last certain moment.
    unwatched: Option<Timestamp>,
    pub(super) erased: BTreeSet<Purpose>,
    pub(super) flags: Vec<Flag>,
    /// The clock was set since it began: no later time is of the clock by which it began.
    pub(super) clock_set: bool,
}

/// How a segment is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) ending: Ending,
    /// `MAX`: as long as it runs.
    pub(super) until: Timestamp,
    pub(super) cut_tail: bool,
}

/// The rules in force, by purpose.
type Rules = BTreeMap<Purpose, Arc<BTreeSet<Arc<str>>>>;

/// Starts that fail so often end the attempts for a call.
const FAILURES: u8 = 3;

impl Recorder {
    pub(super) fn live(&self) -> Option<&Live> {
        match self {
            Self::Opening { live, .. }
            | Self::Starting(live)
            | Self::Running(live)
            | Self::Stopping { live, .. } => Some(live),
            Self::Off | Self::Foreign { .. } => None,
        }
    }

    pub(super) fn live_mut(&mut self) -> Option<&mut Live> {
        match self {
            Self::Opening { live, .. }
            | Self::Starting(live)
            | Self::Running(live)
            | Self::Stopping { live, .. } => Some(live),
            Self::Off | Self::Foreign { .. } => None,
        }
    }

    pub(super) fn wait_mut(&mut self) -> Option<&mut Wait> {
        match self {
            Self::Stopping { wait, .. } | Self::Foreign { wait, .. } => Some(wait),
            Self::Off | Self::Opening { .. } | Self::Starting(_) | Self::Running(_) => None,
        }
    }

    /// Whether one runs that a law demands.
    pub(super) fn is_demanded(&self) -> bool {
        matches!(self, Self::Starting(live) | Self::Running(live) if live.mandatory)
    }
}

impl Stop {
    /// The last instant that is kept.
    pub(super) fn end(&self) -> Timestamp {
        if self.cut_tail { self.until.checked_sub(TAIL).unwrap_or(self.until) } else { self.until }
    }
}

impl Live {
    /// Whether what may be recorded now is what this segment records: the same people, purposes and rules.
    fn is(&self, wish: &Wish) -> bool {
        let people = |facts: &Facts| {
            facts.legs.iter().map(|leg| (leg.id.clone(), leg.agent.clone())).collect::<Vec<_>>()
        };
        self.purposes == wish.decision.recorded_purposes
            && self.rules == rules_of(&wish.decision)
            && people(&self.facts) == people(&wish.facts)
    }

    /// When what now holds began: with what happened, or before, where the law changed its mind and a timer woke late.
    fn since(&self, changed: Timestamp, now: Timestamp) -> Timestamp {
        self.changes.filter(|changes| *changes <= now).map_or(changed, |changes| changed.min(changes))
    }

    /// How it ends, if it is not what may be recorded now; `changed`: when that began.
    fn ends(&self, wish: &Result<Wish, Why>, changed: Timestamp) -> Option<Stop> {
        let (ending, cut_tail) = match wish {
            Ok(wish) if self.is(wish) => return None,
            // Somebody who was not there before: his first words are cut off.
            Ok(wish) => {
                let joined = wish.facts.legs.iter().any(|leg| self.facts.leg(&leg.id).is_none());
                (Ending::PartiesChanged, joined)
            }
            Err(why) => {
                let ending = why.ending(&self.purposes);
                let grave = [Ending::Stranger, Ending::Objected, Ending::Private, Ending::Payment];
                (ending, grave.contains(&ending))
            }
        };
        // When somebody came in whom nobody saw coming is not known.
        let until = match self.unwatched {
            Some(since) if ending == Ending::Stranger => since,
            _ => changed,
        };
        Some(Stop { ending, until, cut_tail })
    }
}

impl Session {
    /// Looks at what is, and at what may be, and brings them together.
    pub(super) fn consider_recorder(&mut self, now: Timestamp) {
        self.quell(now);
        self.looked = now;
        if matches!(self.phase, Phase::Hook(_) | Phase::Asking(_)) {
            return;
        }
        let wish = self.wish(now);
        self.tell(now, &wish);
        self.tell_lack(now, &wish);
        self.serve(now, &wish);
        let changed = self.changed;
        self.since = match wish {
            // The quiet after a stop is meant; what is lost after it is not.
            Ok(_) | Err(Why::Drawing) => self.since.or(Some(changed)).max(self.settled),
            Err(_) => None,
        };
        match (&mut self.recorder, wish) {
            (Recorder::Off, Ok(wish)) => {
                if self.quiet_until.is_none_or(|quiet| now >= quiet) {
                    self.open(now, wish);
                }
            }
            (Recorder::Off | Recorder::Foreign { .. } | Recorder::Opening { durable: false, .. }, _) => {}
            (Recorder::Opening { live, durable: true }, Ok(wish)) if live.is(&wish) => self.start(),
            // While the disk was slow somebody came or went: what may be recorded now is another segment.
            (Recorder::Opening { .. }, wish) => {
                self.never_started(now);
                if let Ok(wish) = wish {
                    self.open(now, wish);
                }
            }
            (Recorder::Starting(live) | Recorder::Running(live), wish) => {
                match live.ends(&wish, live.since(changed, now)) {
                    Some(stop) => self.stop(now, stop),
                    None if live.changes.is_some_and(|changes| now >= changes) => {
                        live.changes = wish
                            .ok()
                            .and_then(|wish| decide::changes_at(&wish.facts, &self.rules.policy))
                            .filter(|changes| *changes > now);
                    }
                    None => {}
                }
            }
            (Recorder::Stopping { live, stop, .. }, wish) => {
                // Somebody who came in while it was being stopped may be in what is to be kept.
                let graver = live.ends(&wish, changed).filter(|wanted| {
                    wanted.cut_tail
                        && (wanted.until < stop.until || !stop.cut_tail && wanted.end() < stop.until)
                });
                if let Some(wanted) = graver {
                    self.stop(now, wanted);
                }
            }
        }
    }

    /// Stops what must not run, again and again until that is confirmed.
    fn quell(&mut self, now: Timestamp) {
        if let Some(expected) = self.suspect {
            match &self.recorder {
                Recorder::Off => {
                    self.suspect = None;
                    let wait = Wait { after: self.orders, again: now, repeated: true };
                    self.recorder = Recorder::Foreign { expected, wait };
                }
                Recorder::Opening { durable: true, .. } => {
                    self.never_started(now);
                    return self.quell(now);
                }
                // Nothing stops only one of two: ours begins anew.
                Recorder::Starting(_) | Recorder::Running(_) => {
                    self.stop(now, Stop { ending: Ending::NotAllowed, until: self.changed, cut_tail: false });
                }
                Recorder::Opening { .. } | Recorder::Stopping { .. } | Recorder::Foreign { .. } => {}
            }
        }
        if let Recorder::Stopping { wait, .. } | Recorder::Foreign { wait, .. } = &mut self.recorder
            && now >= wait.again
        {
            wait.again = after(now, self.rules.desk.timing.stop_again);
            let first = !std::mem::replace(&mut wait.repeated, true);
            self.order(Order::Stop, Asked::Stop);
            if first {
                self.alarm(now, Notice::StopNotConfirmed);
            }
        }
    }

    /// Something may run that must not; so many are no surprise.
    pub(super) fn suspect(&mut self, expected: u32) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        self.suspect = Some(self.suspect.unwrap_or(0).max(expected));
        // The disk may be slow; a stop does not wait for it.
        if matches!(self.recorder, Recorder::Opening { .. }) {
            self.order(Order::Stop, Asked::Stop);
        }
    }

    pub(super) fn recorder_wake(&self) -> Option<Timestamp> {
        match &self.recorder {
            Recorder::Stopping { wait, .. } | Recorder::Foreign { wait, .. } => Some(wait.again),
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
        // The same start, told twice, is one start.
        if !self.starts.insert(at) || matches!(self.phase, Phase::Over) {
            return;
        }
        match &mut self.recorder {
            Recorder::Starting(live) | Recorder::Running(live) | Recorder::Stopping { live, .. }
                if !live.told =>
            {
                live.told = true;
                live.started = Some(at);
            }
            // Not ordered by us: it would record whom it must not.
            _ => {
                self.alarm(now, Notice::ForeignRecorder);
                self.suspect(u32::MAX);
            }
        }
    }

    pub(super) fn recorder_stopped(&mut self, now: Timestamp, at: Timestamp) {
        // The end of an earlier one, told late, ends nothing.
        let of_this = |live: &Live| live.started.is_some_and(|started| started <= at);
        match &mut self.recorder {
            // A code in the dialplan, or somebody else. What it means may follow within milliseconds.
            Recorder::Starting(live) | Recorder::Running(live) if of_this(live) => {
                self.stop(now, Stop { ending: Ending::Code, until: at, cut_tail: false });
            }
            Recorder::Stopping { live, stop, .. } if of_this(live) => stop.until = stop.until.min(at),
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
                self.tell_recording(now, id);
                Recorder::Running(live)
            }
            Recorder::Stopping { mut live, stop, wait } if live.id == id => {
                live.started.get_or_insert(now);
                self.tell_recording(now, id);
                Recorder::Stopping { live, stop, wait }
            }
            other => {
                // Its segment is closed, and it may have begun after the stop.
                self.suspect(1);
                other
            }
        };
    }

    pub(super) fn not_recording(&mut self, now: Timestamp, id: SegmentId, error: &DriverError) {
        if self.recorder.live().is_none_or(|live| live.id != id) {
            if *error == DriverError::Unknown {
                self.suspect(1);
            }
            return;
        }
        // A start that its stop overtook is no failure.
        let starting = matches!(self.recorder, Recorder::Starting(_));
        match error {
            // It may run: stop it, and keep what it was allowed to record.
            DriverError::Unknown => {
                self.alarm(now, Notice::NotStarted { why: error.to_string() });
                self.stop(now, Stop { ending: Ending::Gap, until: now, cut_tail: false });
            }
            DriverError::Refused(_) | DriverError::Unsent if starting => {
                self.failures += 1;
                self.alarm(now, Notice::NotStarted { why: error.to_string() });
                if self.failures >= FAILURES {
                    self.muted = Some("recorder-does-not-start");
                }
            }
            DriverError::Gone | DriverError::Refused(_) | DriverError::Unsent => {}
        }
        if matches!(self.recorder, Recorder::Starting(_)) {
            let pause = std::time::Duration::from_secs(1) * u32::from(self.failures.max(1));
            self.never_started(now);
            self.quiet_until = Some(after(now, pause));
        }
    }

    pub(super) fn stopped(&mut self, now: Timestamp, order: OrderNo, reply: Reply) {
        let expected = match &mut self.recorder {
            Recorder::Stopping { live, stop, wait } if order.0 > wait.after => {
                // A clock that was set meanwhile, or is not the PBX's, tells nothing of its end: the last certain moment does.
                let tells = !live.clock_set && live.started.is_none_or(|started| started < now);
                let end = if tells { now } else { live.unwatched.unwrap_or(stop.until) };
                stop.until = stop.until.min(end);
                // Who came in meanwhile is told when the link is back.
                if live.unwatched.is_some() && self.link != Link::Up {
                    return;
                }
                let stop = *stop;
                self.finish(now, stop);
                1
            }
            Recorder::Foreign { expected, wait } if order.0 > wait.after => {
                let expected = *expected;
                self.recorder = Recorder::Off;
                expected
            }
            _ => return,
        };
        let quiet_until = after(now, self.rules.desk.timing.settle);
        (self.quiet_until, self.settled) = (Some(quiet_until), Some(quiet_until));
        if reply.stopped > expected {
            self.alarm(now, Notice::ForeignRecorder);
        }
    }

    pub(super) fn not_stopped(&mut self, now: Timestamp, order: OrderNo, error: &DriverError) {
        match error {
            DriverError::Gone => self.stopped(now, order, Reply::default()),
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

    pub(super) fn recorder_ended(&mut self, now: Timestamp, at: Timestamp) {
        self.suspect = None;
        match &self.recorder {
            // Closed once it is known to be there.
            Recorder::Off | Recorder::Opening { durable: false, .. } => {}
            Recorder::Opening { .. } => self.never_started(now),
            Recorder::Starting(_) | Recorder::Running(_) => {
                self.finish(now, Stop { ending: Ending::HungUp, until: at, cut_tail: false });
            }
            Recorder::Stopping { stop, .. } => {
                let stop = Stop { until: stop.until.min(at), ..*stop };
                self.finish(now, stop);
            }
            Recorder::Foreign { .. } => self.recorder = Recorder::Off,
        }
    }

    pub(super) fn link_lost(&mut self, now: Timestamp, since: Timestamp) {
        if self.link != Link::Up {
            return;
        }
        self.link = Link::Lost { noted: false };
        self.journal(now, What::Gap { since });
        self.asked_unheard();
        self.hook_unheard(since);
        if let Recorder::Starting(live) | Recorder::Running(live) = &mut self.recorder {
            let mut until = since;
            if live.mandatory {
                // What a law demands runs on while nobody watches, and what it has is kept.
                until = Timestamp::MAX;
                live.unwatched = Some(since);
                live.flags.push(Flag::Unwatched);
                self.alarm(now, Notice::Mandatory { why: "unwatched".into() });
            }
            self.stop(now, Stop { ending: Ending::Gap, until, cut_tail: false });
        }
    }

    pub(super) fn link_back(&mut self, now: Timestamp) {
        match std::mem::replace(&mut self.link, Link::Up) {
            Link::Up => return,
            // A code that was pressed meanwhile is not known.
            Link::Lost { noted: false } if matches!(self.phase, Phase::Talk) => self.unreadable(now),
            Link::Lost { .. } => {}
        }
        self.beat_again(now);
        // What could not be sent is sent at once.
        if let Recorder::Stopping { wait, .. } | Recorder::Foreign { wait, .. } = &mut self.recorder {
            wait.again = now;
        }
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
            since: self.since.unwrap_or(now),
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
            told: false,
            unwatched: None,
            erased: BTreeSet::new(),
            flags: Vec::new(),
            clock_set: false,
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
        if crate::sabotage::is("ignore-stop") {
            return;
        }
        self.recorder = match std::mem::replace(&mut self.recorder, Recorder::Off) {
            Recorder::Starting(live) | Recorder::Running(live) => {
                let again = after(now, self.rules.desk.timing.stop_again);
                let wait = Wait { after: self.orders, again, repeated: false };
                self.order(Order::Stop, Asked::Stop);
                self.tell_stop(now, live.id, wanted);
                Recorder::Stopping { live, stop: wanted, wait }
            }
            // The first stop says where the audio ends; a graver reason cuts the more.
            Recorder::Stopping { live, stop, wait } => {
                let says_more = !matches!(wanted.ending, Ending::Code | Ending::Gap);
                let says_little = matches!(stop.ending, Ending::Code | Ending::PartiesChanged);
                let graver = says_more && says_little || wanted.cut_tail && !stop.cut_tail;
                let joined = Stop {
                    ending: if graver { wanted.ending } else { stop.ending },
                    until: stop.until.min(wanted.until),
                    cut_tail: stop.cut_tail || wanted.cut_tail,
                };
                if joined != stop {
                    self.tell_stop(now, live.id, joined);
                }
                Recorder::Stopping { live, stop: joined, wait }
            }
            other => other,
        };
    }

    fn never_started(&mut self, now: Timestamp) {
        self.finish(now, Stop { ending: Ending::NeverStarted, until: now, cut_tail: false });
    }

    fn tell_recording(&mut self, now: Timestamp, id: SegmentId) {
        let entry = self.entry(now, Some(id), What::Recording);
        self.out.push(Command::Journal(entry));
    }

    /// Written down when it is ordered, so that it holds even if this program dies before the PBX confirms it.
    fn tell_stop(&mut self, now: Timestamp, id: SegmentId, stop: Stop) {
        let Stop { ending, until, cut_tail } = stop;
        // What runs on while nobody watches has no end yet.
        if until < Timestamp::MAX {
            let entry = self.entry(now, Some(id), What::Stopping { ending, until, cut_tail });
            self.out.push(Command::Journal(entry));
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
