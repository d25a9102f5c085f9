//! A customer's channel: the hook, its recorders, and its end.

use std::sync::Arc;
use std::time::Duration;

use temoin_core::command::{DriverError, Media, Order, Release, Reply};
use temoin_core::desk::Text;
use temoin_core::event::{Arrival, CallEvent, PbxEvent, Playback};
use temoin_core::id::{CallId, LegId, OrderNo, SegmentId};
use temoin_core::words::Direction;
use tokio::sync::Notify;

use super::{Pbx, State, Tape, Who};
use crate::shelf::Wrong;
use crate::tape;
use crate::truth::{Line, Truth};

/// The dead-man timer of the hook.
const DEAD_MAN: i64 = 4000;

/// Whoever calls, and whoever is called.
pub(super) const NUMBER: &str = "+33199001234";

/// A channel that is alive.
#[derive(Default)]
pub struct Channel {
    pub(super) in_hook: bool,
    /// A customer who is called, and is being asked by the dialplan.
    pub(super) asking: bool,
    /// When the dead-man timer takes it on.
    pub(super) deadline: i64,
    pub(super) playing: Option<(OrderNo, Text)>,
    /// Whether prompts break off for him, each time: a file that is gone stays gone.
    pub(super) breaks_off: Option<bool>,
    pub(super) how: Option<Release>,
    pub(super) moved: Arc<Notify>,
    pub(super) parties: Vec<Who>,
    pub(super) held: bool,
    pub(super) notes: String,
    pub(super) contract: bool,
    /// What is said to the customer as a contract talk begins.
    pub(super) step: Option<Duration>,
    /// Until when he is being told so.
    pub(super) said_until: i64,
    /// Recorders that run; none of a segment: somebody else's.
    pub(super) tapes: Vec<Option<SegmentId>>,
}

/// Where a customer in the hook is.
pub enum Hook {
    /// Waits for something, at the longest until then.
    Waits(Arc<Notify>, i64),
    Left(Release),
    Gone,
}

impl Pbx {
    /// A customer reaches the hook.
    pub fn arrive(&self, call: &CallId, line: Line) {
        let now = self.clock.ms();
        let channel = Channel { in_hook: true, deadline: now + DEAD_MAN, ..Channel::default() };
        self.appear(&mut self.lock(), call, line, channel, Direction::Inbound, None);
    }

    pub(super) fn appear(
        &self,
        state: &mut State,
        call: &CallId,
        line: Line,
        channel: Channel,
        direction: Direction,
        briefed: Option<String>,
    ) {
        state.channels.insert(call.clone(), channel);
        let mut truth = Truth::new(line, self.clock.ms());
        let listens = state.listens();
        if !listens {
            truth.trouble(0, i64::MAX);
        }
        state.truths.insert(call.clone(), truth);
        if let Some(wire) = state.wire.as_mut().filter(|_| listens) {
            wire.followed.insert(call.clone());
            let arrival = Arrival {
                call: call.clone(),
                leg: LegId(call.0.clone()),
                line: line.name.into(),
                direction,
                queue: None,
                language: Some("fr".into()),
                number: Some(NUMBER.into()),
                briefed,
                at: self.at(),
            };
            self.send(state, PbxEvent::Arrived(arrival));
        }
    }

    /// Where a customer is, and the dead-man timer, if it is its time.
    pub fn hook(&self, call: &CallId) -> Hook {
        let now = self.clock.ms();
        let mut state = self.lock();
        let State { channels, truths, .. } = &mut *state;
        let Some(channel) = channels.get_mut(call) else { return Hook::Gone };
        if channel.in_hook && now >= channel.deadline {
            channel.in_hook = false;
            channel.playing = None;
            let truth = truths.get_mut(call).expect("its truth");
            truth.trouble(0, i64::MAX);
            truth.alone = Some((truth.arrived, now));
            // A line that must be recorded does not go on alone.
            let must = truth.line.kind == crate::truth::Kind::Must;
            channel.how = Some(if must { Release::Refused } else { Release::Admitted });
        }
        match channel.how.filter(|_| !channel.in_hook) {
            Some(how) => Hook::Left(how),
            None => Hook::Waits(Arc::clone(&channel.moved), channel.deadline),
        }
    }

    /// He comes to the hook again.
    pub fn come_back(&self, call: &CallId) {
        let now = self.clock.ms();
        let mut state = self.lock();
        let listens = state.listens();
        let Some(channel) = state.channels.get_mut(call) else { return };
        (channel.in_hook, channel.deadline) = (true, now + DEAD_MAN);
        if !listens && let Some(truth) = state.truths.get_mut(call) {
            truth.trouble(now, i64::MAX);
        }
        let at = self.at();
        self.tell(&mut state, call, CallEvent::Returned { at });
    }

    /// What the sidecar asks for, done at once; what is answered, and after how many milliseconds.
    pub(super) fn perform(
        self: &Arc<Self>,
        call: &CallId,
        number: OrderNo,
        order: Order,
    ) -> (Result<Reply, DriverError>, u64) {
        let now = self.clock.ms();
        let mut state = self.lock();
        state.orders += 1;
        let moods = state.moods;
        let soon = state.chance.range(1, 6);
        let lost = state.chance.is(50);
        match state.link {
            super::Link::Down => return (Err(DriverError::Unsent), 1),
            // It may have happened, or not.
            super::Link::Cut(_) if lost => return (Err(DriverError::Unknown), 2000),
            _ => {}
        }
        let cut = state.link != super::Link::Up;
        let records = matches!(order, Order::Record(_));
        if records && (cut || moods.refuses > now || moods.deaf > now || moods.blind > now) {
            let truth = state.truths.get_mut(call).expect("its truth");
            truth.trouble(now - 500, i64::MAX);
        }
        if moods.refuses > now && state.channels.contains_key(call) {
            return (Err(DriverError::Refused("as it likes".into())), soon);
        }
        let result = self.obey(&mut state, call, number, order, moods.blind > now);
        match result {
            Ok(_) if cut || moods.deaf > now => (Err(DriverError::Unknown), 2000),
            _ if moods.slow > now => (result, state.chance.range(50, 900)),
            _ => (result, soon),
        }
    }

    fn obey(
        self: &Arc<Self>,
        state: &mut State,
        call: &CallId,
        number: OrderNo,
        order: Order,
        blind: bool,
    ) -> Result<Reply, DriverError> {
        let now = self.clock.ms();
        if let Order::Brief(briefing) = order {
            return self.brief(state, call, *briefing);
        }
        let Some(channel) = state.channels.get_mut(call) else {
            // With the channel its recorders are gone.
            return if order == Order::Stop { Ok(Reply::default()) } else { Err(DriverError::Gone) };
        };
        let in_hook = channel.in_hook;
        match order {
            Order::Stop => {
                let stopped = self.stop(state, call);
                return Ok(Reply { stopped });
            }
            Order::Record(_) if blind => {}
            Order::Record(id) => self.record(state, call, Some(id)),
            Order::HangUp => self.end(state, call),
            _ if !in_hook => return Err(DriverError::Gone),
            Order::Announce(media) => {
                self.play(channel, call, number, &media);
                if state.moods.wrong == Some(Wrong::HeardTooEarly) {
                    let (outcome, at) = (Playback::Heard, self.at());
                    self.tell(state, call, CallEvent::Played { order: number, outcome, at });
                }
            }
            Order::Silence => {
                if let Some((order, _)) = channel.playing.take() {
                    let (outcome, at) = (Playback::Cut, self.at());
                    self.tell(state, call, CallEvent::Played { order, outcome, at });
                }
            }
            Order::Beat => channel.deadline = now + DEAD_MAN,
            Order::Prepare { step, .. } => channel.step = Some(step.length),
            Order::Release(how) => {
                (channel.in_hook, channel.playing, channel.how) = (false, None, Some(how));
                channel.moved.notify_one();
                if let Some(truth) = state.truths.get_mut(call) {
                    truth.admitted |= how == Release::Admitted;
                }
            }
            Order::Brief(_) => {}
        }
        Ok(Reply::default())
    }

    fn play(self: &Arc<Self>, channel: &mut Channel, call: &CallId, number: OrderNo, media: &Media) {
        let text = crate::plant::TEXTS.into_iter().find(|text| media.name.ends_with(&format!("{text:?}")));
        channel.playing = text.map(|text| (number, text));
        let (pbx, call, length) = (Arc::clone(self), call.clone(), media.length);
        tokio::spawn(async move {
            tokio::time::sleep(length).await;
            pbx.prompt_ends(&call, number);
        });
    }

    fn prompt_ends(&self, call: &CallId, number: OrderNo) {
        let now = self.clock.ms();
        let mut state = self.lock();
        let breaks_off = state.chance.is(2);
        let Some(channel) = state.channels.get_mut(call) else { return };
        let failed = *channel.breaks_off.get_or_insert(breaks_off);
        let Some((order, text)) = channel.playing.take_if(|(order, _)| *order == number) else { return };
        let truth = state.truths.get_mut(call).expect("its truth");
        if failed {
            truth.trouble(0, i64::MAX);
        } else if matches!(text, Text::OptOut | Text::OptIn | Text::Notice) {
            truth.heard.get_or_insert(now);
        }
        let outcome = if failed { Playback::Failed } else { Playback::Heard };
        let at = self.at();
        self.tell(&mut state, call, CallEvent::Played { order, outcome, at });
    }

    /// A recorder starts; none of a segment: somebody else's.
    pub(super) fn record(&self, state: &mut State, call: &CallId, id: Option<SegmentId>) {
        let now = self.clock.ms();
        let Some(channel) = state.channels.get_mut(call) else { return };
        channel.tapes.push(id);
        if let Some(id) = id {
            tape::begin(&self.spool, id);
            state.tapes.insert(id, Tape { call: call.clone(), from: now, until: None });
        }
        let at = self.at();
        self.tell(state, call, CallEvent::RecorderStarted { at });
    }

    /// All of its recorders stop.
    pub(super) fn stop(&self, state: &mut State, call: &CallId) -> u32 {
        let now = self.clock.ms();
        let Some(channel) = state.channels.get_mut(call) else { return 0 };
        let tapes = std::mem::take(&mut channel.tapes);
        let (stopped, at) = (tapes.len() as u32, self.at());
        for id in tapes {
            if let Some((id, tape)) = id.and_then(|id| Some((id, state.tapes.get_mut(&id)?))) {
                tape.until = Some(now);
                let (from, closed) = (tape.from, !state.chance.is(1));
                if state.chance.is(4) {
                    self.write_late(id, from, now, closed, state.chance.range(50, 1500));
                } else {
                    tape::end(&self.spool, id, from, now, closed);
                }
            }
            self.tell(state, call, CallEvent::RecorderStopped { at });
        }
        stopped
    }

    /// A recorder that is slow to let go of its files.
    fn write_late(&self, id: SegmentId, from: i64, until: i64, closed: bool, after: u64) {
        let spool = self.spool.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            tape::end(&spool, id, from, until, closed);
        });
    }

    /// The customer hangs up.
    pub fn hang_up(&self, call: &CallId) {
        let mut state = self.lock();
        self.end(&mut state, call);
    }

    pub(super) fn end(&self, state: &mut State, call: &CallId) {
        self.stop(state, call);
        let Some(channel) = state.channels.remove(call) else { return };
        channel.moved.notify_one();
        let (now, at) = (self.clock.ms(), self.at());
        let told = state.listens() && state.wire.as_ref().is_some_and(|wire| wire.followed.contains(call));
        if let Some(truth) = state.truths.get_mut(call) {
            truth.end(now);
            (truth.told, truth.ended_at) = (told, Some(at));
        }
        self.tell(state, call, CallEvent::Ended { at });
    }
}
