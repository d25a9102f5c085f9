//! `MixMonitor` and `StopMixMonitor` on the customer's channel, over AMI.
//!
//! A start and a stop go on the same connection, so that Asterisk sees them in our order. A stop leaves before whatever
//! has not left yet, and takes the permits of starts that wait; a start that comes while a stop is under way waits for
//! its end, else the stop's next round would end the new recorder.
//!
//! Where a stop finds more recorders than ours, the channel's call detail record must not go on naming what was cut short:
//! FreePBX's `CDR(recordingfile)` is blanked. Otherwise it is left alone: Asterisk lets whoever writes to a record wait for
//! the engine of the records, and everything that we ask for behind it, too.
//!
//! Asterisk finds a channel by its `Uniqueid` too, so a channel that was renamed is found.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use temoin_core::command::{DriverError, Reply};
use temoin_core::id::{CallId, SegmentId};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::lock;
use crate::ami::connection::{ActionError, Handle, Permit, Urgency};
use crate::ami::frame::{Action, Message};

/// So many recorders on one channel are no accident; somebody starts them as fast as we stop them.
const MOST: u32 = 32;

/// Starts and stops recorders.
pub(super) struct Recorders {
    spool: PathBuf,
    ami: watch::Receiver<Option<Handle>>,
    lanes: Arc<Mutex<HashMap<CallId, Lane>>>,
}

#[derive(Default)]
struct Lane {
    /// Counts stops; a start's permit is good until the next one.
    stops: Arc<AtomicU64>,
    /// How many recorders were started since, as far as we were answered.
    ours: Arc<AtomicU32>,
    /// Resolves when no stop is under way.
    stopping: Option<Shared<BoxFuture<'static, ()>>>,
}

impl Recorders {
    pub(super) fn new(spool: PathBuf, ami: watch::Receiver<Option<Handle>>) -> Self {
        Self { spool, ami, lanes: Arc::default() }
    }

    /// Enqueues a start; the future waits for its answer.
    pub(super) fn record(
        &self,
        call: &CallId,
        segment: SegmentId,
        deadline: Instant,
    ) -> impl Future<Output = Result<Reply, DriverError>> + Send + use<> {
        let started = self.start(call, segment, deadline);
        let ours = lock(&self.lanes).get(call).map(|lane| lane.ours.clone());
        async move {
            match started?.await?.first("Response") {
                Some("Success") => {
                    if let Some(ours) = ours {
                        ours.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(Reply::default())
                }
                _ => Err(DriverError::Unknown),
            }
        }
    }

    fn start(
        &self,
        call: &CallId,
        segment: SegmentId,
        deadline: Instant,
    ) -> Result<BoxFuture<'static, Result<Message, DriverError>>, DriverError> {
        let action = mix_monitor(call, &self.spool, segment)?;
        let handle = self.handle()?;
        let mut lanes = lock(&self.lanes);
        let lane = lanes.entry(call.clone()).or_default();
        let permit = Permit::now(&lane.stops);
        let stopping = lane.stopping.clone().filter(|stopping| stopping.peek().is_none());
        let Some(stopping) = stopping else {
            let sent = handle.send(action, Urgency::Normal, Some(permit), deadline);
            return Ok(async move { sent.await.map_err(Into::into).and_then(refusal) }.boxed());
        };
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let answer = match timeout_at(deadline, stopping).await {
                Ok(()) => handle.send(action, Urgency::Normal, Some(permit), deadline).await,
                Err(_) => Err(ActionError::Unsent),
            };
            let _ = tell.send(answer);
        });
        let told = async move { told.await.unwrap_or(Err(ActionError::Unknown)) };
        Ok(async move { told.await.map_err(Into::into).and_then(refusal) }.boxed())
    }

    /// Enqueues a stop before everything that has not left; the future waits until none is left to stop.
    pub(super) fn stop(
        &self,
        call: &CallId,
        deadline: Instant,
    ) -> impl Future<Output = Result<Reply, DriverError>> + Send + use<> {
        let (tell, told) = oneshot::channel();
        let mut lanes = lock(&self.lanes);
        let lane = lanes.entry(call.clone()).or_default();
        lane.stops.fetch_add(1, Ordering::SeqCst);
        // A start that is answered later counts as somebody else's, which does no harm.
        let ours = std::mem::take(&mut lane.ours);
        match self.handle() {
            Ok(handle) => {
                let first = handle.send(stop_action(call), Urgency::Urgent, None, deadline);
                let (done, ended) = oneshot::channel::<()>();
                let before = lane.stopping.take();
                lane.stopping = Some(ended.map(|_| ()).boxed().shared());
                let (call, lanes) = (call.clone(), self.lanes.clone());
                tokio::spawn(async move {
                    let mut stopped = 0;
                    let result = stop_all(handle.clone(), &call, first, deadline, &mut stopped).await;
                    if stopped > ours.load(Ordering::SeqCst) && result != Err(DriverError::Gone) {
                        // Nothing waits for it.
                        drop(blank(&handle, &call, deadline));
                    }
                    // Also a lane that was made after the call was over.
                    if result == Err(DriverError::Gone) {
                        lock(&lanes).remove(&call);
                    }
                    let _ = tell.send(match result {
                        Ok(()) | Err(DriverError::Gone) => Ok(Reply { stopped }),
                        Err(error) => Err(error),
                    });
                    if let Some(before) = before {
                        before.await;
                    }
                    drop(done);
                });
            }
            Err(error) => {
                let _ = tell.send(Err(error));
            }
        }
        async move { told.await.unwrap_or(Err(DriverError::Unknown)) }
    }

    /// Enqueues a stop of whatever records on a channel that is no customer's; the future waits until none is left there.
    /// Nothing of ours runs on it, so no start has to wait.
    pub(super) fn stop_beside(
        &self,
        channel: CallId,
        deadline: Instant,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        let sent = self.handle().map(|handle| {
            let first = handle.send(stop_action(&channel), Urgency::Urgent, None, deadline);
            (handle, first)
        });
        async move {
            let Ok((handle, first)) = sent else { return };
            let mut stopped = 0;
            let result = stop_all(handle.clone(), &channel, first, deadline, &mut stopped).await;
            match result {
                Err(DriverError::Gone) => {}
                Ok(()) => drop(blank(&handle, &channel, deadline).await),
                Err(error) => {
                    tracing::error!(channel = channel.0, %error, "a recorder beside a customer is not stopped");
                }
            }
        }
    }

    /// A call that is over has no lane.
    pub(super) fn forget(&self, call: &CallId) {
        lock(&self.lanes).remove(call);
    }

    fn handle(&self) -> Result<Handle, DriverError> {
        self.ami.borrow().clone().ok_or(DriverError::Unsent)
    }
}

/// Stops one after the other, the newest first, until Asterisk says that none is left. `Gone`: the channel is, and with
/// it every recorder.
pub(crate) async fn stop_all(
    handle: Handle,
    call: &CallId,
    first: impl Future<Output = Result<Message, ActionError>>,
    deadline: Instant,
    stopped: &mut u32,
) -> Result<(), DriverError> {
    let mut answer = first.await?;
    while *stopped < MOST {
        match refusal(answer) {
            Ok(_) => {
                *stopped += 1;
                answer = handle.send(stop_action(call), Urgency::Urgent, None, deadline).await?;
            }
            Err(DriverError::Refused(why)) if why == NONE_LEFT => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Err(DriverError::Refused(format!("more than {MOST} recorders were stopped, and there are others")))
}

/// Lets the call detail record name no recording: what was stopped is not what its name promises.
pub(crate) fn blank(
    handle: &Handle,
    call: &CallId,
    deadline: Instant,
) -> impl Future<Output = Result<Message, ActionError>> + Send + use<> {
    let blank = Action::new("Setvar").with("Channel", call.0.as_str());
    let blank = blank.with("Variable", "CDR(recordingfile)").with("Value", "");
    handle.send(blank, Urgency::Normal, None, deadline)
}

const NONE_LEFT: &str = "Could not stop monitoring channel";

/// An error response as an error.
fn refusal(message: Message) -> Result<Message, DriverError> {
    if message.first("Response") == Some("Success") {
        return Ok(message);
    }
    match message.first("Message").unwrap_or("no message") {
        "No such channel" => Err(DriverError::Gone),
        why => Err(DriverError::Refused(why.into())),
    }
}

/// Both sides apart: `in` is what the customer says, `out` what he hears.
fn mix_monitor(call: &CallId, spool: &std::path::Path, segment: SegmentId) -> Result<Action, DriverError> {
    let spool = spool.to_str().filter(|spool| !spool.contains(['(', ')', ',']));
    let spool = spool.ok_or_else(|| {
        DriverError::Refused("the spool's path has a character that MixMonitor cannot take".into())
    })?;
    let options = format!("r({spool}/{segment}-in.wav)t({spool}/{segment}-out.wav)i(TEMOIN_MIX)");
    Ok(Action::new("MixMonitor").with("Channel", call.0.as_str()).with("Options", options))
}

pub(crate) fn stop_action(call: &CallId) -> Action {
    Action::new("StopMixMonitor").with("Channel", call.0.as_str())
}
