//! One call's task: it waits for an event, a timer or an answer, steps the session, and carries out what the session
//! asks. It never awaits a port: answers come back as events.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use temoin_core::command::{Command, DriverError, Notice, Order};
use temoin_core::event::{CallEvent, Direction};
use temoin_core::id::{CallId, LegId, OrderNo, SegmentId};
use temoin_core::ports::{CallRecord, Change, Clock, PbxDriver, SegmentQuery, Store, StoreError};
use temoin_core::session::{Rules, Session};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::{Pace, Set};
use crate::outbox::Outbox;
use crate::room::Lacks;

/// What every call's task works with.
#[derive(Clone)]
pub struct Desktop {
    /// The PBX.
    pub driver: Arc<dyn PbxDriver>,
    /// The index, for draws.
    pub store: Arc<dyn Store>,
    /// The index, for everything else.
    pub outbox: Outbox,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The key of the register, which tells whether a number may be dialled.
    pub register_key: PathBuf,
    /// Where the PBX's recorder writes.
    pub spool: PathBuf,
    /// Which disk has no room for recordings, in words.
    pub lacks: Lacks,
    /// Counts what people must be told.
    pub alarms: Arc<Alarms>,
}

/// Alarms so far, by kind.
#[derive(Debug, Default)]
pub struct Alarms(pub std::sync::Mutex<std::collections::BTreeMap<&'static str, u64>>);

impl Alarms {
    /// Tells people: a log line and a count.
    pub fn raise(&self, call: &CallId, notice: &Notice) {
        let kind = match notice {
            Notice::ForeignRecorder => "foreign-recorder",
            Notice::StopNotConfirmed => "stop-not-confirmed",
            Notice::NotStarted { .. } => "not-started",
            Notice::NotAnnounced => "not-announced",
            Notice::RegisterNotAsked { .. } => "register-not-asked",
            Notice::Mandatory { .. } => "mandatory",
            Notice::ReloadRefused { .. } => "reload-refused",
        };
        tracing::warn!(%call, alarm = kind, detail = ?notice, "alarm");
        self.count(kind);
    }

    /// One more of a kind.
    pub fn count(&self, kind: &'static str) {
        if let Ok(mut counts) = self.0.lock() {
            *counts.entry(kind).or_default() += 1;
        }
    }
}

/// Between two tries while the index is away.
const AGAIN: Duration = Duration::from_millis(250);

type Answers = FuturesUnordered<BoxFuture<'static, CallEvent>>;

/// Runs a call to its end.
pub async fn run(
    mut session: Session,
    commands: Vec<Command>,
    mut events: mpsc::UnboundedReceiver<CallEvent>,
    desktop: Desktop,
) {
    let mut answers = Answers::new();
    let mut pace = Pace::new(&*desktop.clock);
    perform(&session, commands, &desktop, &mut answers);
    while !session.is_over() {
        let wake = session.wake_at().map(|at| until(desktop.clock.now(), at));
        let event = tokio::select! {
            // What the PBX tells goes before what it answers: an objection before the start that it forbids.
            biased;
            event = events.recv() => match event {
                Some(event) => event,
                // The program is being stopped; the next start finds what is open.
                None => return,
            },
            Some(event) = answers.next() => event,
            () = tokio::time::sleep(wake.unwrap_or(Duration::MAX / 2)), if wake.is_some() => CallEvent::Woken,
        };
        // What waits is told first: nothing is over because somebody set the clock.
        let set = pace.look(&*desktop.clock).map(|Set { by, .. }| CallEvent::ClockSet { by });
        let now = desktop.clock.now();
        tracing::debug!(call = %session.call(), event = name(&event), "event");
        let mut commands = set.map(|set| session.step(now, set)).unwrap_or_default();
        commands.extend(session.step(now, event));
        perform(&session, commands, &desktop, &mut answers);
    }
}

/// A leg that was found alive.
#[derive(Clone, Debug)]
pub struct Found {
    /// The call.
    pub call: CallId,
    /// Its channel.
    pub leg: LegId,
}

/// Runs a call that was found alive. Its recorders are stopped at once; what is known of it is read once `closed` is
/// ready, as soon as the index answers.
pub async fn adopt(
    found: Found,
    rules: Arc<Rules>,
    seed: [u8; 32],
    closed: CancellationToken,
    events: mpsc::UnboundedReceiver<CallEvent>,
    desktop: Desktop,
) {
    let Found { call, leg } = found;
    let mut stopped = false;
    let (record, segments) = loop {
        let stop = async {
            if !stopped {
                let reply = desktop.driver.perform(&call, &leg, OrderNo(0), Order::Stop).await;
                stopped = matches!(reply, Ok(_) | Err(DriverError::Gone));
            }
        };
        let known = async {
            if tokio::time::timeout(AGAIN, closed.cancelled()).await.is_err() {
                return Err(StoreError::Unavailable("segments of an earlier run are not closed yet".into()));
            }
            let record = desktop.store.call(&call).await?;
            Ok((record, desktop.store.segments(SegmentQuery::Call(call.clone())).await?))
        };
        match tokio::join!(stop, known).1 {
            Ok(known) => break known,
            Err(error) => {
                tracing::warn!(%error, %call, "what is known of a running call cannot be read; it is tried again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    };
    let now = desktop.clock.now();
    let record = record.unwrap_or_else(|| CallRecord {
        id: call,
        line: "unknown".into(),
        direction: Direction::Inbound,
        number: None,
        queue: None,
        agents: Vec::new(),
        started: now,
        talked: None,
        ended: None,
        outcome: "found-after-restart".into(),
        private: false,
    });
    let (session, commands) = Session::adopt(now, record, leg, &segments, rules, seed);
    run(session, commands, events, desktop).await;
}

/// What an event is, for logs: never what was pressed, nor by whom.
fn name(event: &CallEvent) -> &'static str {
    match event {
        CallEvent::Returned { .. } => "returned",
        CallEvent::Played { .. } => "played",
        CallEvent::Said { .. } => "said",
        CallEvent::Machine { .. } => "machine",
        CallEvent::Asked { .. } => "asked",
        CallEvent::Pressed { .. } => "pressed",
        CallEvent::Noted { .. } => "noted",
        CallEvent::Parties { .. } => "parties",
        CallEvent::RecorderStarted { .. } => "recorder-started",
        CallEvent::RecorderStopped { .. } => "recorder-stopped",
        CallEvent::ExemptRings { .. } => "exempt-rings",
        CallEvent::StepBegan { .. } => "step-began",
        CallEvent::StepEnded { .. } => "step-ended",
        CallEvent::Ended { .. } => "ended",
        CallEvent::LinkLost { .. } => "link-lost",
        CallEvent::LinkBack => "link-back",
        CallEvent::Done { .. } => "done",
        CallEvent::Failed { .. } => "failed",
        CallEvent::Opened(_) => "opened",
        CallEvent::NotOpened(..) => "not-opened",
        CallEvent::Proven => "proven",
        CallEvent::Room { .. } => "room",
        CallEvent::ClockSet { .. } => "clock-set",
        CallEvent::Drawn(_) => "drawn",
        CallEvent::NotDrawn(_) => "not-drawn",
        CallEvent::Woken => "woken",
    }
}

/// One match, no decisions: a failure becomes an event.
fn perform(session: &Session, commands: Vec<Command>, desktop: &Desktop, answers: &mut Answers) {
    let call = session.call();
    let mut changes = Vec::new();
    for command in commands {
        match command {
            Command::Journal(entry) => changes.push(Change::Journal(entry)),
            Command::Index(record) => changes.push(Change::Call(record)),
            Command::Close(id, closing, entry) => {
                changes.extend([Change::Journal(entry), Change::Close(id, closing)])
            }
            Command::Amend(id, kept, retention, entry) => {
                changes.extend([Change::Journal(entry), Change::Amend(id, kept, retention)])
            }
            Command::Notify(notice) => desktop.alarms.raise(call, &notice),
            Command::Open(segment, entry) => {
                let id = segment.id;
                // What happened before it stays written down, even where the opening is refused.
                if !changes.is_empty() {
                    desktop.outbox.post(std::mem::take(&mut changes));
                }
                let durable = desktop.outbox.commit(vec![Change::Journal(entry), Change::Open(*segment)]);
                answers.push(
                    durable
                        .map(move |result| match result {
                            Ok(()) => CallEvent::Opened(id),
                            Err(error) => CallEvent::NotOpened(id, error),
                        })
                        .boxed(),
                );
            }
            Command::Prove => {
                desktop.outbox.post(std::mem::take(&mut changes));
                let durable = desktop.outbox.commit(Vec::new());
                let lacks = desktop.lacks.borrow().is_some();
                // Where it is not, nothing is proven, and nothing else follows from it.
                answers.push(
                    durable
                        .map(move |result| match result {
                            Ok(()) if !lacks => CallEvent::Proven,
                            _ => CallEvent::Woken,
                        })
                        .boxed(),
                );
            }
            Command::Draw(ballots) => {
                let store = Arc::clone(&desktop.store);
                answers.push(
                    async move {
                        match store.draw(ballots).await {
                            Ok(drawn) => CallEvent::Drawn(drawn),
                            Err(error) => CallEvent::NotDrawn(error),
                        }
                    }
                    .boxed(),
                );
            }
            Command::Order(number, order) => {
                let recorded = match &order {
                    Order::Record(id) => Some(*id),
                    _ => None,
                };
                // In the queue when this returns; the future only waits.
                let answer = desktop.driver.perform(call, session.leg(), number, order);
                let spool = desktop.spool.clone();
                answers.push(
                    async move {
                        let result = match (answer.await, recorded) {
                            (Ok(reply), Some(id)) => seen(&spool, id).await.map(|()| reply),
                            (result, _) => result,
                        };
                        match result {
                            Ok(reply) => CallEvent::Done { order: number, reply },
                            Err(error) => CallEvent::Failed { order: number, error },
                        }
                    }
                    .boxed(),
                );
            }
        }
    }
    if !changes.is_empty() {
        desktop.outbox.post(changes);
    }
}

/// A recorder that says it started may have nowhere to write: only its file tells.
async fn seen(spool: &std::path::Path, id: SegmentId) -> Result<(), DriverError> {
    let file = spool.join(format!("{id}-in.wav"));
    for _ in 0..50 {
        if tokio::fs::try_exists(&file).await.unwrap_or(false) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(DriverError::Refused("the recorder said that it started, but its file is not in the spool".into()))
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    at.duration_since(now).try_into().unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_recorder_without_a_file_did_not_start() {
        let spool = tempfile::tempdir().expect("a folder");
        let id = SegmentId::new(Timestamp::UNIX_EPOCH, [1; 10]);
        assert!(matches!(seen(spool.path(), id).await, Err(DriverError::Refused(_))));
        std::fs::write(spool.path().join(format!("{id}-in.wav")), b"").expect("a file");
        assert_eq!(seen(spool.path(), id).await, Ok(()));
    }
}
