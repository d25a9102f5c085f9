//! A PBX in memory: channels with their parties, a recorder count per channel, prompts, and the orders it was asked for.
//! It can be told to withhold its answers, to refuse, and to be cut off.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;

pub use super::pbx_suite::{Asked, Rig, suite};
use crate::command::{DriverError, Order, Release, Reply};
use crate::desk::Text;
use crate::event::{Arrival, CallEvent, Dialling, Party, PbxEvent, Playback, Role};
use crate::id::{CallId, LegId, OrderNo};
use crate::ports::{LiveCall, PbxDriver};
use crate::words::Direction;

/// A PBX in memory. Clones are the same PBX.
#[derive(Clone, Default)]
pub struct FakePbx {
    state: Arc<Mutex<State>>,
}

type Answer = oneshot::Sender<Result<Reply, DriverError>>;

#[derive(Default)]
struct State {
    channels: BTreeMap<CallId, Channel>,
    events: Option<mpsc::UnboundedSender<PbxEvent>>,
    /// Told before anybody took the events.
    early: Vec<PbxEvent>,
    taken: bool,
    asked: Vec<(CallId, Asked)>,
    withholds: bool,
    refuses: bool,
    cut: bool,
    /// Its own list, and the one that it was told.
    exempt: BTreeSet<String>,
    wanted: Option<BTreeSet<String>>,
}

#[derive(Default)]
struct Channel {
    parties: Vec<Party>,
    in_hook: bool,
    followed: bool,
    /// An agent's leg that dials, and no customer's.
    dials: bool,
    keys: String,
    recorders: u32,
    playing: Option<OrderNo>,
    /// Hook orders that wait for the one before them.
    lane: VecDeque<(OrderNo, Order, Answer)>,
    /// The hook order that is not answered yet.
    busy: Option<(Result<Reply, DriverError>, Answer)>,
    /// Recorder orders that are not answered yet; whether they stop.
    unanswered: Vec<(bool, Result<Reply, DriverError>, Answer)>,
    /// Starts that wait for the end of a stop.
    starts: Vec<Answer>,
}

impl State {
    fn tell(&mut self, event: PbxEvent) {
        match &self.events {
            Some(events) => drop(events.unbounded_send(event)),
            None => self.early.push(event),
        }
    }

    fn tell_of(&mut self, call: &CallId, event: CallEvent) {
        if !self.cut && self.channels.get(call).is_some_and(|channel| channel.followed) {
            self.tell(PbxEvent::Call(call.clone(), event));
        }
    }

    fn tell_parties(&mut self, call: &CallId) {
        if let Some(channel) = self.channels.get(call) {
            let parties = channel.parties.clone();
            self.tell_of(call, CallEvent::Parties { parties, at: Timestamp::now() });
        }
    }

    fn end(&mut self, call: &CallId) {
        self.tell_of(call, CallEvent::Ended { at: Timestamp::now() });
        self.channels.remove(call);
    }

    /// Hook orders, one after the other.
    fn pump(&mut self, call: &CallId) {
        while let Some(channel) = self.channels.get_mut(call).filter(|channel| channel.busy.is_none()) {
            let Some((number, order, answer)) = channel.lane.pop_front() else { return };
            self.asked.push((call.clone(), Asked::of(&order)));
            let result = self.hook(call, number, order);
            if self.withholds
                && let Some(channel) = self.channels.get_mut(call)
            {
                channel.busy = Some((result, answer));
            } else {
                let _ = answer.send(result);
            }
        }
    }

    fn hook(&mut self, call: &CallId, number: OrderNo, order: Order) -> Result<Reply, DriverError> {
        if self.refuses {
            return Err(DriverError::Refused("as told".into()));
        }
        let channel = self.channels.get_mut(call).ok_or(DriverError::Gone)?;
        match order {
            Order::HangUp => self.end(call),
            _ if !channel.in_hook => return Err(DriverError::Gone),
            Order::Announce(_) => channel.playing = Some(number),
            Order::Silence => {
                if let Some(order) = channel.playing.take() {
                    let (outcome, at) = (Playback::Cut, Timestamp::now());
                    self.tell_of(call, CallEvent::Played { order, outcome, at });
                }
            }
            Order::Release(_) | Order::Brief(_) => channel.in_hook = false,
            Order::Prepare { .. } | Order::Beat | Order::Record(_) | Order::Stop => {}
        }
        Ok(Reply::default())
    }

    fn record(&mut self, call: &CallId, answer: Answer) {
        self.asked.push((call.clone(), Asked::Record));
        if let Some(channel) = self.channels.get_mut(call) {
            channel.recorders += 1;
        }
        self.answer_recorder(call, false, Ok(Reply::default()), answer);
        self.tell_of(call, CallEvent::RecorderStarted { at: Timestamp::now() });
    }

    fn stop(&mut self, call: &CallId, answer: Answer) {
        self.asked.push((call.clone(), Asked::Stop));
        let Some(channel) = self.channels.get_mut(call) else { return };
        for overtaken in channel.starts.drain(..) {
            let _ = overtaken.send(Err(DriverError::Unsent));
        }
        let stopped = std::mem::take(&mut channel.recorders);
        self.answer_recorder(call, true, Ok(Reply { stopped }), answer);
        for _ in 0..stopped {
            self.tell_of(call, CallEvent::RecorderStopped { at: Timestamp::now() });
        }
    }

    fn answer_recorder(
        &mut self,
        call: &CallId,
        stops: bool,
        result: Result<Reply, DriverError>,
        answer: Answer,
    ) {
        match self.channels.get_mut(call) {
            Some(channel) if self.withholds => channel.unanswered.push((stops, result, answer)),
            _ => drop(answer.send(result)),
        }
    }

    /// Gives the answers that were withheld, or gives up on them.
    fn answer_all(&mut self, give_up: bool) {
        let calls: Vec<CallId> = self.channels.keys().cloned().collect();
        for call in calls {
            let Some(channel) = self.channels.get_mut(&call) else { continue };
            let recorder = channel.unanswered.drain(..).map(|(_, result, answer)| (result, answer));
            for (result, answer) in channel.busy.take().into_iter().chain(recorder) {
                let _ = answer.send(if give_up { Err(DriverError::Unknown) } else { result });
            }
            let starts = std::mem::take(&mut channel.starts);
            let lane = if give_up { std::mem::take(&mut channel.lane) } else { VecDeque::new() };
            for (.., answer) in lane {
                let _ = answer.send(Err(DriverError::Unsent));
            }
            for answer in starts {
                if give_up {
                    let _ = answer.send(Err(DriverError::Unsent));
                } else {
                    self.record(&call, answer);
                }
            }
            self.pump(&call);
        }
    }
}

impl FakePbx {
    /// One that is up and has no calls.
    pub fn new() -> Self {
        let pbx = Self::default();
        pbx.lock().tell(PbxEvent::LinkUp);
        pbx
    }

    /// How many recorders run on a customer's channel.
    pub fn recorders(&self, call: &CallId) -> u32 {
        self.lock().channels.get(call).map_or(0, |channel| channel.recorders)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PbxDriver for FakePbx {
    fn events(&self) -> BoxStream<'static, PbxEvent> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.taken, true) {
            return stream::empty().boxed();
        }
        let (events, told) = mpsc::unbounded();
        state.events = Some(events);
        for event in std::mem::take(&mut state.early) {
            state.tell(event);
        }
        told.boxed()
    }

    fn perform(
        &self,
        call: &CallId,
        _leg: &LegId,
        number: OrderNo,
        order: Order,
    ) -> BoxFuture<'static, Result<Reply, DriverError>> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.lock();
        let cut = state.cut;
        match (state.channels.get_mut(call), order) {
            _ if cut => drop(answer.send(Err(DriverError::Unsent))),
            // With the channel its recorders are gone.
            (None, Order::Stop) => drop(answer.send(Ok(Reply::default()))),
            (None, _) => drop(answer.send(Err(DriverError::Gone))),
            (Some(channel), Order::Record(_)) => {
                if channel.unanswered.iter().any(|(stops, ..)| *stops) {
                    channel.starts.push(answer);
                } else {
                    state.record(call, answer);
                }
            }
            (Some(_), Order::Stop) => state.stop(call, answer),
            (Some(channel), order) => {
                channel.lane.push_back((number, order, answer));
                state.pump(call);
            }
        }
        async move { answered.await.unwrap_or(Err(DriverError::Unknown)) }.boxed()
    }

    fn calls(&self) -> BoxFuture<'static, Result<Vec<LiveCall>, DriverError>> {
        let state = self.lock();
        let customers = state.channels.iter().filter(|(_, channel)| !channel.dials);
        let live = customers.map(|(call, channel)| LiveCall {
            call: call.clone(),
            leg: LegId(call.0.clone()),
            parties: channel.parties.clone(),
            keys: Some(channel.keys.clone()),
            in_hook: channel.in_hook,
        });
        let live = if state.cut { Err(DriverError::Unsent) } else { Ok(live.collect()) };
        async move { live }.boxed()
    }

    fn follow(&self, call: &CallId, _leg: &LegId) {
        let mut state = self.lock();
        match state.channels.get_mut(call) {
            Some(channel) => channel.followed = true,
            None => {
                return state.tell(PbxEvent::Call(call.clone(), CallEvent::Ended { at: Timestamp::now() }));
            }
        }
        state.tell_parties(call);
    }

    fn exempt(&self, extensions: BTreeSet<String>) {
        let mut state = self.lock();
        if !state.cut {
            state.exempt.clone_from(&extensions);
        }
        state.wanted = Some(extensions);
    }
}

#[async_trait]
impl Rig for FakePbx {
    fn driver(&self) -> Arc<dyn PbxDriver> {
        Arc::new(self.clone())
    }

    async fn arrive(&mut self, call: &CallId, line: &str) {
        let mut state = self.lock();
        let channel = Channel { in_hook: true, followed: true, ..Channel::default() };
        state.channels.insert(call.clone(), channel);
        state.tell(PbxEvent::Arrived(Arrival {
            call: call.clone(),
            leg: LegId(call.0.clone()),
            line: line.into(),
            direction: Direction::Inbound,
            queue: None,
            language: None,
            number: None,
            briefed: None,
            at: Timestamp::now(),
        }));
    }

    async fn dial(&mut self, leg: &CallId, line: &str, number: &str) {
        let mut state = self.lock();
        let channel = Channel { in_hook: true, dials: true, ..Channel::default() };
        state.channels.insert(leg.clone(), channel);
        state.tell(PbxEvent::Dials(Dialling {
            leg: LegId(leg.0.clone()),
            extension: Some("2001".into()),
            line: line.into(),
            number: Some(number.into()),
            queue: None,
            language: None,
            at: Timestamp::now(),
        }));
    }

    async fn answer(&mut self, call: &CallId, line: &str, ticket: &str) {
        let mut state = self.lock();
        state.channels.insert(call.clone(), Channel { followed: true, ..Channel::default() });
        state.tell(PbxEvent::Arrived(Arrival {
            call: call.clone(),
            leg: LegId(call.0.clone()),
            line: line.into(),
            direction: Direction::Outbound,
            queue: None,
            language: None,
            number: None,
            briefed: Some(ticket.into()),
            at: Timestamp::now(),
        }));
    }

    async fn ask(&mut self, call: &CallId, played: Duration, key: &str) {
        let mut state = self.lock();
        let (at, leg) = (Timestamp::now(), Some(LegId(call.0.clone())));
        let said = CallEvent::Said { text: Text::OptOut, outcome: Playback::Heard, played, at };
        let pressed = CallEvent::Pressed { leg, keys: key.into(), at };
        for event in [said, pressed, CallEvent::Asked { how: Release::Admitted, at }] {
            state.tell_of(call, event);
        }
    }

    async fn come_back(&mut self, call: &CallId) {
        let mut state = self.lock();
        if let Some(channel) = state.channels.get_mut(call) {
            channel.in_hook = true;
        }
        state.tell_of(call, CallEvent::Returned { at: Timestamp::now() });
    }

    async fn alive(&mut self, call: &CallId) {
        self.lock().channels.insert(call.clone(), Channel::default());
    }

    async fn connect(&mut self, call: &CallId, extension: &str) {
        let mut state = self.lock();
        if let Some(channel) = state.channels.get_mut(call) {
            channel.in_hook = false;
            channel.parties = vec![Party {
                leg: LegId(format!("leg-{extension}")),
                extension: Some(extension.into()),
                agent: None,
                customer_of: None,
                role: Role::Member,
                held: false,
            }];
        }
        state.tell_parties(call);
    }

    async fn prompt_ends(&mut self, call: &CallId) {
        let mut state = self.lock();
        if let Some(order) = state.channels.get_mut(call).and_then(|channel| channel.playing.take()) {
            let (outcome, at) = (Playback::Heard, Timestamp::now());
            state.tell_of(call, CallEvent::Played { order, outcome, at });
        }
    }

    async fn note(&mut self, call: &CallId, keys: &str) {
        if let Some(channel) = self.lock().channels.get_mut(call) {
            channel.keys = keys.into();
        }
    }

    async fn hang_up(&mut self, call: &CallId) {
        self.lock().end(call);
    }

    async fn withhold(&mut self, withholds: bool) {
        let mut state = self.lock();
        state.withholds = withholds;
        if !withholds {
            state.answer_all(false);
        }
    }

    async fn deadline(&mut self) {
        self.lock().answer_all(true);
    }

    async fn refuse(&mut self, refuses: bool) {
        self.lock().refuses = refuses;
    }

    async fn cut(&mut self, cut: bool) {
        let mut state = self.lock();
        state.cut = cut;
        let event = if cut { PbxEvent::LinkDown { since: Timestamp::now() } } else { PbxEvent::LinkUp };
        state.tell(event);
        if !cut {
            if let Some(wanted) = state.wanted.clone() {
                state.exempt = wanted;
            }
            let calls: Vec<CallId> = state.channels.keys().cloned().collect();
            calls.iter().for_each(|call| state.tell_parties(call));
        }
    }

    async fn asked(&self, call: &CallId) -> Vec<Asked> {
        self.lock().asked.iter().filter(|(of, _)| of == call).map(|(_, asked)| *asked).collect()
    }

    async fn exempt(&self) -> BTreeSet<String> {
        self.lock().exempt.clone()
    }

    async fn tamper(&mut self, exempt: BTreeSet<String>) {
        self.lock().exempt = exempt;
    }

    async fn pass(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fake_is_a_pbx() {
        futures::executor::block_on(suite(async || Box::new(FakePbx::new()) as Box<dyn Rig>));
    }
}
