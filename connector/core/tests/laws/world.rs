//! A world to run sessions in: a PBX that records what it is told to, a disk, and the truth about who was told what
//! and who was in the bridge. Milliseconds from the beginning of the call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use temoin_core::command::{Command, DriverError, Order, Release, Reply};
use temoin_core::desk::Text;
use temoin_core::event::{CallEvent, Party, Playback};
use temoin_core::id::{LegId, OrderNo, SegmentId};
use temoin_core::journal::What;
use temoin_core::ports::{CallRecord, Drawn, StoreError};
use temoin_core::segment::{Closing, Ending};
use temoin_core::session::{Rules, Session};

use crate::cast::{Act, Who, arrival};

/// What must not be recorded at an instant, and why.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// From, until, why.
    pub forbidden: Vec<(i64, i64, &'static str)>,
    /// The customer was told to the end at.
    pub heard: Option<i64>,
    /// Somebody objected at, or declared the call private: nothing of before remains.
    pub erased_at: Option<i64>,
    /// No agent asked for what is recorded at his wish alone: from, until.
    pub untriggered: Vec<(i64, i64)>,
    /// As `erased_at`, but noted on the leg while nobody listened: true once it can be read.
    pub noted_at: Option<i64>,
}

/// A file on the PBX's disk.
#[derive(Clone, Debug)]
pub struct Tape {
    pub from: i64,
    pub until: Option<i64>,
}

/// What a run showed; the generators assert how often each was reached.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub recording: bool,
    pub pause: bool,
    pub exempt: bool,
    pub exempt_rings: bool,
    pub objection: bool,
    pub triggered: bool,
    pub machine: bool,
    pub gap: bool,
    pub restart: bool,
}

pub struct World {
    rules: Arc<Rules>,
    session: Session,
    start: Timestamp,
    pub ms: i64,
    seed: u8,
    /// Whether the lot falls on this call.
    selected: bool,
    silent: bool,
    /// Whether everything is told twice.
    twice: bool,
    /// Events on their way: when, what.
    mail: Vec<(i64, CallEvent)>,
    playing: Option<(OrderNo, Text, i64)>,
    pub released: Option<Release>,
    pub ended: bool,
    bridge: Vec<Who>,
    held: bool,
    paused: bool,
    private: bool,
    triggered: bool,
    untriggered_since: Option<i64>,
    machine: bool,
    gap_until: Option<i64>,
    deaf_until: i64,
    locked_until: i64,
    pub tapes: BTreeMap<SegmentId, Tape>,
    pub opened: BTreeSet<SegmentId>,
    pub closed: BTreeMap<SegmentId, Closing>,
    pub amended: BTreeMap<SegmentId, Vec<String>>,
    pub recorded: Vec<SegmentId>,
    /// When the recorder was started, and which stopped.
    pub recorder: Vec<(i64, Option<SegmentId>)>,
    /// Closed after a restart.
    reconciled: BTreeSet<SegmentId>,
    pub truth: Truth,
    pub seen: Seen,
    forbidden_since: BTreeMap<&'static str, i64>,
    pub commands: Vec<Command>,
    notes: String,
}

/// A PBX answers within this.
const REPLY: i64 = 5;
/// A disk is done within this.
const DISK: i64 = 8;
/// What is old.
const LATE: i64 = 700;

impl World {
    /// `silent`: no prompt can be played to its end.
    pub fn new(
        rules: Arc<Rules>,
        start: Timestamp,
        seed: u8,
        selected: bool,
        silent: bool,
        twice: bool,
    ) -> Self {
        let (session, commands) = Session::begin(start, arrival(start), Arc::clone(&rules), [seed; 32]);
        let mut world = Self {
            rules,
            session,
            start,
            ms: 0,
            seed,
            selected,
            silent,
            twice,
            mail: Vec::new(),
            playing: None,
            released: None,
            ended: false,
            bridge: Vec::new(),
            held: false,
            paused: false,
            private: false,
            triggered: false,
            untriggered_since: Some(0),
            machine: false,
            gap_until: None,
            deaf_until: 0,
            locked_until: 0,
            tapes: BTreeMap::new(),
            opened: BTreeSet::new(),
            closed: BTreeMap::new(),
            amended: BTreeMap::new(),
            recorded: Vec::new(),
            recorder: Vec::new(),
            reconciled: BTreeSet::new(),
            truth: Truth::default(),
            seen: Seen::default(),
            forbidden_since: BTreeMap::new(),
            commands: Vec::new(),
            notes: String::new(),
        };
        world.perform(commands);
        world
    }

    pub fn is_over(&self) -> bool {
        self.session.is_over()
    }

    fn at(&self, ms: i64) -> Timestamp {
        self.start + SignedDuration::from_millis(ms)
    }

    fn ms_of(&self, at: Timestamp) -> i64 {
        at.duration_since(self.start).as_millis() as i64
    }

    /// Something happens on the PBX now; it is told a little later, unless nobody listens.
    fn tell(&mut self, event: CallEvent) {
        if self.gap_until.is_none() {
            self.post(2, event);
        }
    }

    /// Puts an event on its way. Told twice, it comes once more at once, and what names its own instant or order comes
    /// again when it is old.
    fn post(&mut self, delay: i64, event: CallEvent) {
        let at = self.ms + delay;
        if self.twice {
            self.mail.push((at, event.clone()));
            let is_state = matches!(
                event,
                CallEvent::Parties { .. }
                    | CallEvent::LinkLost { .. }
                    | CallEvent::LinkBack
                    | CallEvent::Noted { .. }
            );
            if !is_state {
                self.mail.push((at + LATE, event.clone()));
            }
        }
        self.mail.push((at, event));
    }

    fn parties(&self) -> Vec<Party> {
        self.bridge.iter().map(|who| who.party(self.held)).collect()
    }

    fn tell_parties(&mut self) {
        let (parties, at) = (self.parties(), self.at(self.ms));
        self.tell(CallEvent::Parties { parties, at });
    }

    fn forbid(&mut self, why: &'static str, on: bool) {
        if on {
            self.forbidden_since.entry(why).or_insert(self.ms);
        } else if let Some(from) = self.forbidden_since.remove(why) {
            self.truth.forbidden.push((from, self.ms, why));
        }
    }

    fn truth_of_bridge(&mut self) {
        let strangers = self.bridge.iter().any(|who| who.is_forbidden());
        self.forbid("somebody who must not be recorded", strangers);
        self.forbid("no agent", self.bridge.is_empty());
        self.forbid("on hold", self.held);
        if !self.bridge.is_empty() && self.bridge.contains(&Who::Exempt) && self.recorder_runs() {
            self.seen.exempt = true;
        }
    }

    fn recorder_runs(&self) -> bool {
        self.tapes.values().any(|tape| tape.until.is_none())
    }

    fn stop_tapes(&mut self) -> u32 {
        let (now, mut stopped) = (self.ms, 0);
        for tape in self.tapes.values_mut().filter(|tape| tape.until.is_none()) {
            tape.until = Some(now);
            stopped += 1;
        }
        if stopped > 0 {
            let at = self.at(now);
            self.tell(CallEvent::RecorderStopped { at });
        }
        stopped
    }

    pub fn act(&mut self, act: &Act) {
        if self.ended {
            return;
        }
        match act {
            Act::Wait(ms) => self.run(i64::from(*ms)),
            Act::CustomerKey(key) if self.released.is_none() => {
                if *key == '1' {
                    self.objected();
                }
                let (leg, at) = (Some(LegId("c".into())), self.at(self.ms));
                self.tell(CallEvent::Pressed { leg, keys: key.to_string(), at });
            }
            Act::CustomerKey(_) => {
                if !self.bridge.is_empty() {
                    self.objected();
                    self.code("c", "*1");
                }
            }
            Act::Code(code) => {
                let agent = self.bridge.iter().find(|who| !who.is_forbidden()).copied();
                let Some(agent) = agent.filter(|_| self.released.is_some()) else { return };
                match *code {
                    "*9" => {
                        self.seen.pause |= self.recorder_runs();
                        self.paused = !self.paused;
                        self.forbid("paused", self.paused);
                    }
                    "*8" => self.objected(),
                    "*7" => {
                        self.private = !self.private;
                        self.forbid("private", self.private);
                        if self.private {
                            self.erases();
                        }
                    }
                    "*3" => {
                        self.triggered = !self.triggered;
                        self.seen.triggered |= self.triggered && self.recorder_runs();
                        self.untriggered(!self.triggered);
                    }
                    "*0" => {
                        self.seen.machine |= self.recorder_runs();
                        self.machine = !self.machine;
                        self.forbid("an answering machine", self.machine);
                        if self.machine {
                            self.erases();
                            self.forbid("whoever picks up was not told", true);
                        }
                    }
                    "*5" if !self.machine => {
                        self.truth.heard.get_or_insert(self.ms);
                        self.forbid("whoever picks up was not told", false);
                    }
                    _ => {}
                }
                let leg = agent.party(false).leg.0;
                self.code(&leg, code);
            }
            Act::Bridge(who) if self.released == Some(Release::Admitted) => self.seat(who.clone(), false),
            Act::Bridge(_) => {}
            Act::Apart => self.seat(Vec::new(), false),
            Act::ExemptRings => {
                if self.released == Some(Release::Admitted) {
                    self.exempt_rings();
                }
            }
            Act::Hold(held) => {
                if !self.bridge.is_empty() {
                    self.seat(self.bridge.clone(), *held);
                }
            }
            Act::Gap(ms) => {
                if self.released.is_some() && self.gap_until.is_none() {
                    self.seen.gap |= self.recorder_runs();
                    let since = self.at(self.ms);
                    self.post(1, CallEvent::LinkLost { since });
                    self.gap_until = Some(self.ms + i64::from(*ms));
                }
            }
            Act::Restart => self.restart(),
            Act::LockStore(ms) => self.locked_until = self.ms + i64::from(*ms),
            Act::Deaf(ms) => self.deaf_until = self.ms + i64::from(*ms),
        }
    }

    fn seat(&mut self, bridge: Vec<Who>, held: bool) {
        // What was told of an exempt extension holds until then.
        if (&self.bridge, self.held) != (&bridge, held) {
            self.forbid("an exempt extension rings", false);
        }
        (self.bridge, self.held) = (bridge, held);
        self.truth_of_bridge();
        self.tell_parties();
    }

    /// The dialplan stops, then tells. What nobody heard of forbids nothing: he is in no bridge yet.
    fn exempt_rings(&mut self) {
        if self.gap_until.is_none() {
            self.seen.exempt_rings |= self.recorder_runs();
            self.forbid("an exempt extension rings", true);
        }
        self.stop_tapes();
        let at = self.at(self.ms);
        self.tell(CallEvent::ExemptRings { at });
    }

    fn objected(&mut self) {
        self.erases();
        self.seen.objection |= !self.recorded.is_empty();
        self.forbid("objected", true);
    }

    /// What an agent asks for is not asked for from now on, or is.
    fn untriggered(&mut self, on: bool) {
        if on {
            self.untriggered_since = Some(self.ms);
        } else if let Some(from) = self.untriggered_since.take() {
            self.truth.untriggered.push((from, self.ms));
        }
    }

    fn erases(&mut self) {
        let at = if self.gap_until.is_some() { &mut self.truth.noted_at } else { &mut self.truth.erased_at };
        *at = Some(self.ms);
    }

    /// A code in the talk: the dialplan stops first, notes, and then tells.
    fn code(&mut self, leg: &str, code: &'static str) {
        if code != "*5" {
            self.stop_tapes();
        }
        let at = self.at(self.ms);
        self.notes.push_str(&format!("{code}@{}.{:03} ", at.as_second(), at.subsec_millisecond()));
        self.tell(CallEvent::Pressed { leg: Some(LegId(leg.into())), keys: code.into(), at });
    }

    /// Only the PBX and the disk remember; the new session knows nothing.
    fn restart(&mut self) {
        if self.released.is_none() || self.gap_until.is_some() {
            return;
        }
        self.seen.restart |= self.recorder_runs();
        let open: Vec<SegmentId> =
            self.opened.iter().filter(|id| !self.closed.contains_key(id)).copied().collect();
        let alive = self.ms;
        self.mail.clear();
        self.run_tapes(1000);
        // What the engine does: adopt the leg, stop what runs, close what was open by the pure rule.
        let now = self.at(self.ms);
        let record = self.record().expect("every call is in the index").clone();
        let rules = Arc::clone(&self.rules);
        let past: Vec<_> = self.opened.iter().map(|id| self.segment(*id)).collect();
        let leg = LegId("c".into());
        let (session, commands) = Session::adopt(now, record, leg, &past, rules, [self.seed ^ 1; 32]);
        self.session = session;
        let story: Vec<_> = self
            .commands
            .iter()
            .filter_map(|command| match command {
                Command::Journal(entry) => Some(entry.clone()),
                _ => None,
            })
            .collect();
        let stranger = self.parties().iter().any(|party| self.rules.is_stranger(party));
        for id in open {
            let segment = self.segment(id);
            let alive = Some(self.at(alive));
            let closing = temoin_core::reconcile::close(&segment, &story, alive, now, stranger);
            self.closed.insert(id, closing);
            self.reconciled.insert(id);
        }
        self.perform(commands);
        let (parties, at) = (self.parties(), self.at(self.ms));
        let keys = Some(self.notes.clone());
        for event in [CallEvent::Noted { keys }, CallEvent::Parties { parties, at }, CallEvent::LinkBack] {
            self.step(event);
        }
    }

    /// The call as the index has it.
    pub fn record(&self) -> Option<&CallRecord> {
        self.commands.iter().rev().find_map(|command| match command {
            Command::Index(record) => Some(record),
            _ => None,
        })
    }

    fn segment(&self, id: SegmentId) -> temoin_core::ports::SegmentRecord {
        let segment = self.commands.iter().find_map(|command| match command {
            Command::Open(segment, _) if segment.id == id => Some((**segment).clone()),
            _ => None,
        });
        let segment = segment.expect("an open segment was opened");
        temoin_core::ports::SegmentRecord {
            kept_for: self
                .amended
                .get(&id)
                .or_else(|| self.closed.get(&id).map(|closing| &closing.kept))
                .unwrap_or(&segment.purposes)
                .clone(),
            retention: segment.retention,
            segment,
            state: temoin_core::segment::State::Open,
            closing: None,
            millis: None,
            sha256: None,
            sealed: None,
            flags: Vec::new(),
            disposed: None,
        }
    }

    fn run_tapes(&mut self, ms: i64) {
        self.ms += ms;
    }

    /// The customer hangs up, and everything comes to its end.
    pub fn hang_up(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.stop_tapes();
        self.bridge.clear();
        let at = self.at(self.ms);
        if self.gap_until.is_some() {
            // Found gone when the link is back.
            self.gap_until = None;
            self.post(300, CallEvent::Ended { at });
        } else {
            self.post(2, CallEvent::Ended { at });
        }
        self.deaf_until = 0;
        self.locked_until = 0;
        self.run(10_000);
        self.untriggered(false);
        let open: Vec<&'static str> = self.forbidden_since.keys().copied().collect();
        for why in open {
            self.forbid(why, false);
        }
    }

    /// Lets time pass: mail comes in, timers wake.
    pub fn run(&mut self, ms: i64) {
        let end = self.ms + ms;
        loop {
            let mail = self.mail.iter().map(|(at, _)| *at).min();
            let wake = self.session.wake_at().map(|at| self.ms_of(at) + 1);
            let gap = self.gap_until;
            let played = self.playing.map(|(_, _, at)| at);
            let next = [mail, wake, gap, played].into_iter().flatten().min().map(|at| at.max(self.ms));
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.ms = next;
            if played.is_some_and(|at| at <= next) {
                self.prompt_ended();
            } else if gap.is_some_and(|at| at <= next) {
                self.link_back();
            } else if mail.is_some_and(|at| at <= next) {
                let first = self.mail.iter().enumerate().min_by_key(|(i, (at, _))| (*at, *i)).map(|(i, _)| i);
                let (_, event) = self.mail.remove(first.expect("there is mail"));
                self.step(event);
            } else {
                self.step(CallEvent::Woken);
                // A timer that is due again at once would never let time pass.
                self.ms += 1;
            }
        }
        self.ms = self.ms.max(end);
    }

    fn prompt_ended(&mut self) {
        let Some((order, text, _)) = self.playing.take() else { return };
        let at = self.at(self.ms);
        if self.silent {
            return self.tell(CallEvent::Played { order, outcome: Playback::Failed, at });
        }
        if matches!(text, Text::OptOut | Text::OptIn | Text::Notice) {
            self.truth.heard.get_or_insert(self.ms);
        }
        self.tell(CallEvent::Played { order, outcome: Playback::Heard, at });
    }

    fn link_back(&mut self) {
        self.gap_until = None;
        self.truth.erased_at = self.truth.noted_at.take().or(self.truth.erased_at);
        let (parties, at) = (self.parties(), self.at(self.ms));
        let keys = Some(self.notes.clone());
        for event in [CallEvent::Noted { keys }, CallEvent::Parties { parties, at }, CallEvent::LinkBack] {
            self.post(1, event);
        }
    }

    fn step(&mut self, event: CallEvent) {
        let commands = self.session.step(self.at(self.ms), event);
        self.perform(commands);
    }

    fn perform(&mut self, commands: Vec<Command>) {
        for command in commands {
            match &command {
                Command::Open(segment, _) => {
                    let (id, locked) = (segment.id, self.ms < self.locked_until);
                    if locked {
                        let away = StoreError::Unavailable("locked".into());
                        self.post(DISK, CallEvent::NotOpened(id, away));
                    } else {
                        self.opened.insert(id);
                        self.post(DISK, CallEvent::Opened(id));
                    }
                }
                Command::Prove if self.ms < self.locked_until => {}
                Command::Prove => self.post(DISK, CallEvent::Proven),
                Command::Draw(ballots) => {
                    let drawn = ballots.iter().map(|ballot| Drawn {
                        ballot: ballot.clone(),
                        before: Default::default(),
                        selected: self.selected,
                    });
                    self.post(DISK, CallEvent::Drawn(drawn.collect()));
                }
                Command::Close(id, closing, _) => {
                    assert!(self.closed.insert(*id, closing.clone()).is_none(), "{id} was closed twice");
                }
                Command::Amend(id, kept, ..) => {
                    self.amended.insert(*id, kept.clone());
                }
                Command::Order(number, order) => self.order(*number, order),
                Command::Journal(_) | Command::Index(_) | Command::Notify(_) => {}
            }
            self.commands.push(command);
        }
    }

    fn order(&mut self, number: OrderNo, order: &Order) {
        match order {
            Order::Record(id) => self.recorder.push((self.ms, Some(*id))),
            Order::Stop => self.recorder.push((self.ms, None)),
            _ => {}
        }
        if self.gap_until.is_some() {
            self.post(1, CallEvent::Failed { order: number, error: DriverError::Unsent });
            return;
        }
        if self.ended {
            self.post(1, CallEvent::Failed { order: number, error: DriverError::Gone });
            return;
        }
        let mut reply = Reply::default();
        let at = self.at(self.ms);
        match order {
            Order::Announce(media) => {
                let text =
                    [Text::OptOut, Text::OptIn, Text::Notice, Text::Info, Text::Refused, Text::Unavailable]
                        .into_iter()
                        .find(|text| media.name.ends_with(&format!("{text:?}")));
                let length = media.length.as_millis() as i64;
                self.playing = text.map(|text| (number, text, self.ms + length));
            }
            Order::Silence => {
                if let Some((order, ..)) = self.playing.take() {
                    self.tell(CallEvent::Played { order, outcome: Playback::Cut, at });
                }
            }
            Order::Prepare { .. } | Order::Beat | Order::Brief(_) | Order::HangUp => {}
            Order::Release(how) => self.released = Some(*how),
            Order::Record(id) => {
                assert!(self.opened.contains(id), "a recorder was ordered before its segment was durable");
                assert!(!self.recorder_runs(), "two recorders at once");
                self.tapes.insert(*id, Tape { from: self.ms, until: None });
                self.recorded.push(*id);
                self.seen.recording = true;
                self.tell(CallEvent::RecorderStarted { at });
            }
            Order::Stop => reply.stopped = self.stop_tapes(),
        }
        let event = if self.ms < self.deaf_until {
            CallEvent::Failed { order: number, error: DriverError::Unknown }
        } else {
            CallEvent::Done { order: number, reply }
        };
        let delay = if self.ms < self.deaf_until { 2000 } else { REPLY };
        self.post(delay, event);
    }

    /// What would be kept: segment, from, until, in milliseconds.
    pub fn kept(&self) -> Vec<(SegmentId, i64, i64)> {
        let mut kept = Vec::new();
        for (id, closing) in &self.closed {
            let purposes = self.amended.get(id).unwrap_or(&closing.kept);
            let Some(tape) = self.tapes.get(id).filter(|_| !purposes.is_empty()) else { continue };
            let cut = if closing.cut_tail { 100 } else { 0 };
            let end = tape.until.unwrap_or(self.ms).min(self.ms_of(closing.until) - cut);
            if end > tape.from {
                kept.push((*id, tape.from, end));
            }
        }
        kept
    }

    /// What a closed segment is kept for.
    pub fn kept_for(&self, id: SegmentId) -> &[String] {
        let closed = self.closed.get(&id).map(|closing| &closing.kept);
        self.amended.get(&id).or(closed).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether the journal says why a recorded segment is not kept.
    pub fn says_why(&self, id: SegmentId) -> bool {
        let closed = self.closed.get(&id).is_some_and(|closing| {
            closing.kept.is_empty() && closing.ending != Ending::HungUp || !closing.kept.is_empty()
        });
        closed
            && self.commands.iter().any(|command| match command {
                Command::Close(closed, _, entry) => *closed == id && matches!(entry.what, What::Closed(_)),
                Command::Amend(amended, _, _, entry) => {
                    *amended == id && matches!(entry.what, What::Amended { .. })
                }
                _ => false,
            })
            || self.reconciled.contains(&id)
    }
}
