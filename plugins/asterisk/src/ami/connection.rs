//! One AMI connection: actions out in order, answers matched by `ActionID`, events out, silence noticed.
//!
//! [`open`] splits a stream into a [`Handle`], which anybody may use, and a [`Running`] actor, which reads, writes and
//! pings until the link is lost. An action is in the outbox when [`Handle::send`] returns; the future only waits. The
//! two ways to fail are told apart: `Unsent` never left, `Unknown` left and was not answered. An action whose deadline
//! passed in the outbox is never sent, and one whose [`Permit`] was revoked neither: a recorder must not start after
//! the stop that overtook it.
//!
//! Left out: reconnecting (the driver's business) and ordering between connections (there is only one: on a second one
//! a stop could overtake a start that is on its way).

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::codec::FramedRead;

use super::frame::{Action, AmiCodec, Frame, Message};

/// Why an action has no good answer. A `Response: Error` is an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// It never left.
    #[error("not sent")]
    Unsent,
    /// It left, and no answer came in time: it may have happened.
    #[error("sent, but not answered")]
    Unknown,
    /// It cannot be put into words.
    #[error("{0}")]
    Invalid(String),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// In words, for the log.
    pub why: String,
    /// The last certain moment: the last frame, by the PBX's clock where it told the time, else by ours.
    pub since: Timestamp,
}

/// An event, with when it happened (`Timestamp`) or else when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its lines.
    pub message: Message,
    /// When.
    pub at: Timestamp,
}

/// Which actions overtake those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// In order.
    Normal,
    /// Before all normal ones that have not left yet.
    Urgent,
}

/// How long silence may last.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two pings.
    pub ping: Duration,
    /// Silence after which the link is lost.
    pub idle: Duration,
}

/// Leave to send, as long as the counter has not moved on.
#[derive(Clone, Debug)]
pub struct Permit {
    counter: Arc<AtomicU64>,
    at: u64,
}

impl Permit {
    /// Good until `counter` moves.
    pub fn now(counter: &Arc<AtomicU64>) -> Self {
        Self { counter: counter.clone(), at: counter.load(Ordering::SeqCst) }
    }

    /// Whether it still holds.
    pub fn holds(&self) -> bool {
        self.counter.load(Ordering::SeqCst) == self.at
    }
}

/// Sends actions.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// The actor; [`Running::run`] it.
pub struct Running<S> {
    shared: Arc<Shared>,
    read: FramedRead<ReadHalf<S>, AmiCodec>,
    write: WriteHalf<S>,
    timing: Timing,
}

/// Takes a fresh stream into use.
pub fn open<S: AsyncRead + AsyncWrite>(stream: S, timing: Timing) -> (Handle, Running<S>) {
    let (read, write) = tokio::io::split(stream);
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        wake: Notify::new(),
        heard: Mutex::new((Instant::now(), Timestamp::now())),
    });
    let read = FramedRead::new(read, AmiCodec::default());
    (Handle { shared: shared.clone() }, Running { shared, read, write, timing })
}

impl Handle {
    /// Enqueues an action; the future waits for its response.
    pub fn send(
        &self,
        action: Action,
        urgency: Urgency,
        permit: Option<Permit>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Message, ActionError>> + Send + use<> {
        let answer = self.enqueue(action, urgency, permit, deadline, None);
        async move { answer.await.map(|mut messages| messages.pop().unwrap_or_default()) }
    }

    /// Enqueues an action that is answered by a list of events; the future waits for its end. The first message is
    /// the response; an error response stands alone.
    pub fn list(
        &self,
        action: Action,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Message>, ActionError>> + Send + use<> {
        self.enqueue(action, Urgency::Normal, None, deadline, Some(Vec::new()))
    }

    /// The last certain moment so far, see [`Lost::since`].
    pub fn certain(&self) -> Timestamp {
        lock(&self.shared.heard).1
    }

    fn enqueue(
        &self,
        action: Action,
        urgency: Urgency,
        permit: Option<Permit>,
        deadline: Instant,
        list: Option<Vec<Message>>,
    ) -> impl Future<Output = Result<Vec<Message>, ActionError>> + Send + use<> {
        let (tell, told) = oneshot::channel();
        let id = self.shared.enqueue(action, urgency, permit, deadline, Pending { tell, list, sent: false });
        let shared = self.shared.clone();
        async move {
            match timeout_at(deadline, told).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(ActionError::Unknown),
                Err(_) => Err(shared.forget(id)),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Send> Running<S> {
    /// Runs until the link is lost. Events go to `hear`; every action without an answer is told.
    pub async fn run(self, hear: impl FnMut(Event) + Send) -> Lost {
        let Self { shared, mut read, mut write, timing } = self;
        let why = tokio::select! {
            why = reading(&shared, &mut read, timing, hear) => why,
            error = writing(&shared, &mut write) => format!("writing: {error}"),
            () = watching(&shared, timing) => silent(timing.idle),
        };
        shared.close();
        let since = lock(&shared.heard).1;
        Lost { why, since }
    }
}

async fn reading<S: AsyncRead>(
    shared: &Shared,
    read: &mut FramedRead<ReadHalf<S>, AmiCodec>,
    timing: Timing,
    mut hear: impl FnMut(Event),
) -> String {
    loop {
        let message = match read.next().await {
            Some(Ok(Frame::Message(message))) => message,
            Some(Ok(Frame::Banner(_))) => continue,
            Some(Err(error)) => return format!("reading: {error}"),
            None => return "closed by Asterisk".into(),
        };
        let at = message.timestamp().unwrap_or_else(Timestamp::now);
        {
            let (now, mut heard) = (Instant::now(), lock(&shared.heard));
            // A process that was frozen for so long has not watched, though what it missed waits to be read.
            if now >= heard.0 + timing.idle {
                return silent(timing.idle);
            }
            *heard = (now, at);
        }
        if let Some(message) = shared.answer(message) {
            hear(Event { message, at });
        }
    }
}

async fn writing<S: AsyncWrite>(shared: &Shared, write: &mut WriteHalf<S>) -> std::io::Error {
    loop {
        let bytes = shared.next().await;
        if let Err(error) = write.write_all(&bytes).await {
            return error;
        }
        if let Err(error) = write.flush().await {
            return error;
        }
    }
}

fn silent(idle: Duration) -> String {
    format!("silent for {idle:?}")
}

/// Pings, and ends when nothing was heard for too long.
async fn watching(shared: &Arc<Shared>, timing: Timing) {
    let mut lost = Instant::now() + timing.idle;
    loop {
        sleep_until(lost.min(Instant::now() + timing.ping)).await;
        lost = lock(&shared.heard).0 + timing.idle;
        if Instant::now() >= lost {
            return;
        }
        let (tell, _) = oneshot::channel();
        let pending = Pending { tell, list: None, sent: false };
        shared.enqueue(Action::new("Ping"), Urgency::Urgent, None, lost, pending);
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Notify,
    /// When the last frame came, by our clock, and when it was sent.
    heard: Mutex<(Instant, Timestamp)>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    last_id: u64,
    urgent: VecDeque<Job>,
    normal: VecDeque<Job>,
    pending: HashMap<u64, Pending>,
}

#[derive(Debug)]
struct Job {
    id: u64,
    bytes: Bytes,
    deadline: Instant,
    permit: Option<Permit>,
}

#[derive(Debug)]
struct Pending {
    tell: oneshot::Sender<Result<Vec<Message>, ActionError>>,
    /// The events so far, where the answer is a list.
    list: Option<Vec<Message>>,
    sent: bool,
}

impl Shared {
    fn enqueue(
        &self,
        action: Action,
        urgency: Urgency,
        permit: Option<Permit>,
        deadline: Instant,
        pending: Pending,
    ) -> u64 {
        let mut state = lock(&self.state);
        state.last_id += 1;
        let id = state.last_id;
        let fault = match action.encode(id) {
            _ if state.closed => ActionError::Unsent,
            Err(error) => ActionError::Invalid(error.to_string()),
            Ok(bytes) => {
                state.pending.insert(id, pending);
                let job = Job { id, bytes, deadline, permit };
                match urgency {
                    Urgency::Urgent => state.urgent.push_back(job),
                    Urgency::Normal => state.normal.push_back(job),
                }
                drop(state);
                self.wake.notify_one();
                return id;
            }
        };
        let _ = pending.tell.send(Err(fault));
        id
    }

    /// The next action that may be sent; from now on it counts as sent.
    async fn next(&self) -> Bytes {
        loop {
            if let Some(bytes) = self.pop() {
                return bytes;
            }
            self.wake.notified().await;
        }
    }

    fn pop(&self) -> Option<Bytes> {
        let mut state = lock(&self.state);
        loop {
            let job = match state.urgent.pop_front() {
                Some(job) => job,
                None => state.normal.pop_front()?,
            };
            let stale = Instant::now() >= job.deadline || job.permit.as_ref().is_some_and(|p| !p.holds());
            if stale {
                if let Some(pending) = state.pending.remove(&job.id) {
                    let _ = pending.tell.send(Err(ActionError::Unsent));
                }
            } else if let Some(pending) = state.pending.get_mut(&job.id) {
                pending.sent = true;
                return Some(job.bytes);
            }
        }
    }

    /// Takes a message that answers something; gives back one that does not.
    fn answer(&self, message: Message) -> Option<Message> {
        let response = message.first("Response").is_some();
        let user = message.first("Event") == Some("UserEvent");
        let id = message.first("ActionID").and_then(|id| id.parse::<u64>().ok());
        let mut state = lock(&self.state);
        let Some(id) = id.filter(|id| !user && state.pending.contains_key(id)) else {
            return (!response).then_some(message);
        };
        let part = message.first("EventList").map(str::to_ascii_lowercase);
        let ended = match part.as_deref() {
            Some("start") => false,
            Some(_) => true,
            None => response,
        };
        let pending = state.pending.get_mut(&id)?;
        match &mut pending.list {
            Some(list) => list.push(message),
            None if response => pending.list = Some(vec![message]),
            None => return Some(message),
        }
        if ended && let Some(Pending { tell, list, .. }) = state.pending.remove(&id) {
            let _ = tell.send(Ok(list.unwrap_or_default()));
        }
        None
    }

    /// Gives up waiting for an action, and says whether it had left.
    fn forget(&self, id: u64) -> ActionError {
        match lock(&self.state).pending.remove(&id) {
            Some(Pending { sent: false, .. }) => ActionError::Unsent,
            _ => ActionError::Unknown,
        }
    }

    fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.urgent.clear();
        state.normal.clear();
        for (_, Pending { tell, sent, .. }) in state.pending.drain() {
            let _ = tell.send(Err(if sent { ActionError::Unknown } else { ActionError::Unsent }));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
