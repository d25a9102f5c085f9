//! Orders for a channel in the hook, over ARI: one request at a time per call, in order.
//!
//! An order waits for the answer of the one before it, or for that one's deadline. So a heartbeat is answered before
//! the channel is given back, and none comes after. 404 (no such channel), 409 (not in the hook any more) and, for a
//! heartbeat, 400 all mean the same: the channel is not ours any more.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::Value;
use temoin_core::command::{Briefing, DriverError, Media, Order, Release, Reply};
use temoin_core::id::{CallId, OrderNo};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::hub::Note;
use super::lock;
use super::outbound;
use super::playing::Playing;
use crate::ari::rest::{Answer, Rest};
use crate::dialplan;

/// Puts the dialplan's dead-man timer off by four seconds, if the channel is in the hook still; says so by its value.
///
/// Asterisk carries out the setting of a variable only when the sound that plays is over, which is too late. A function
/// is read at once; so this one is read, and sets the timer where the hook has no verdict yet. On a channel that has
/// left, it must not: the call would be hung up four seconds later.
const BEAT: &str = "EVAL(${IF($[\"${TEMOIN}\"=\"\"]?${SET(TIMEOUT(absolute)=4)}:gone)})";

/// Carries out hook orders.
#[derive(Clone)]
pub(super) struct Hook {
    rest: Rest,
    notes: mpsc::UnboundedSender<Note>,
    lanes: Arc<Mutex<HashMap<CallId, Lane>>>,
    /// Part of our playbacks' ids, so that those of an earlier run are not taken for ours.
    run: u64,
}

#[derive(Default)]
struct Lane {
    /// Resolves when the newest order is answered.
    newest: Option<oneshot::Receiver<()>>,
    /// The newest playback.
    playback: Option<String>,
}

impl Hook {
    pub(super) fn new(rest: Rest, notes: mpsc::UnboundedSender<Note>) -> Self {
        let run = RandomState::new().hash_one(0);
        Self { rest, notes, lanes: Arc::default(), run }
    }

    /// Enqueues an order; the future waits for its answer.
    pub(super) fn order(
        &self,
        call: &CallId,
        number: OrderNo,
        order: Order,
        deadline: Instant,
    ) -> impl Future<Output = Result<Reply, DriverError>> + Send + use<> {
        let (done, newest) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let playback = format!("temoin-{:016x}-{}-{}", self.run, call.0, number.0);
        let (before, playing) = {
            let mut lanes = lock(&self.lanes);
            let lane = lanes.entry(call.clone()).or_default();
            let playing = lane.playback.clone();
            if matches!(order, Order::Announce(_)) {
                lane.playback = Some(playback.clone());
            }
            (lane.newest.replace(newest), playing)
        };
        let (hook, call) = (self.clone(), call.clone());
        let briefs = matches!(order, Order::Brief(_));
        tokio::spawn(async move {
            if let Some(before) = before
                && timeout_at(deadline, before).await.is_err()
            {
                let _ = tell.send(Err(DriverError::Unsent));
                return;
            }
            let result = match order {
                Order::Announce(media) => hook.announce(&call, number, &playback, &media, deadline).await,
                Order::Silence => hook.silence(playing, deadline).await,
                Order::Beat => hook.beat(&call, deadline).await,
                Order::Prepare { step, object } => {
                    hook.prepare(&call, &step, object.as_deref(), deadline).await
                }
                Order::Release(release) => hook.release(&call, release, deadline).await,
                Order::Brief(briefing) => hook.brief(&call, &briefing, deadline).await,
                Order::HangUp => hook.hang_up(&call, deadline).await,
                Order::Record(_) | Order::Stop => Err(DriverError::Refused("not a hook order".into())),
            };
            // Also a lane that was made after the call was over; a leg that was briefed asks for nothing else.
            if result == Err(DriverError::Gone) || briefs {
                hook.forget(&call);
            }
            let _ = tell.send(result);
            drop(done);
        });
        async move { told.await.unwrap_or(Err(DriverError::Unknown)) }
    }

    /// A call that is over has no lane.
    pub(super) fn forget(&self, call: &CallId) {
        lock(&self.lanes).remove(call);
    }

    async fn announce(
        &self,
        call: &CallId,
        order: OrderNo,
        playback: &str,
        media: &Media,
        deadline: Instant,
    ) -> Result<Reply, DriverError> {
        if media.name.contains(',') {
            return Err(DriverError::Refused("a comma in a prompt's name would part it in two".into()));
        }
        let playing = Playing::new(call.clone(), order, media.length);
        let _ = self.notes.send(Note::Playing(playback.into(), playing));
        let sound = format!("sound:{}", media.name);
        let path = ["channels", &call.0, "play", playback];
        let query = [("media", sound.as_str()), ("lang", media.language.as_str())];
        let result = match self.rest.ask(Method::POST, &path, &query, deadline).await {
            Ok(answer) => taken(&answer),
            Err(error) => Err(error.into()),
        };
        // What is perhaps playing is still expected to end.
        if !matches!(result, Ok(_) | Err(DriverError::Unknown)) {
            let _ = self.notes.send(Note::NotPlaying(playback.into()));
        }
        result
    }

    /// Stops the newest playback; one that has ended is stopped already.
    async fn silence(&self, playing: Option<String>, deadline: Instant) -> Result<Reply, DriverError> {
        let Some(playback) = playing else {
            return Ok(Reply::default());
        };
        let _ = self.notes.send(Note::Silenced(playback.clone()));
        let answer = self.rest.ask(Method::DELETE, &["playbacks", &playback], &[], deadline).await?;
        if answer.status == 404 { Ok(Reply::default()) } else { taken(&answer) }
    }

    async fn beat(&self, call: &CallId, deadline: Instant) -> Result<Reply, DriverError> {
        let path = ["channels", call.0.as_str(), "variable"];
        let answer = self.rest.ask(Method::GET, &path, &[("variable", BEAT)], deadline).await?;
        match (answer.status, answer.body.get("value").and_then(Value::as_str)) {
            (200, Some("4")) => Ok(Reply::default()),
            (200 | 400, _) => Err(DriverError::Gone),
            _ => taken(&answer),
        }
    }

    async fn set(
        &self,
        call: &CallId,
        variable: &str,
        value: &str,
        deadline: Instant,
    ) -> Result<Reply, DriverError> {
        let path = ["channels", call.0.as_str(), "variable"];
        let query = [("variable", variable), ("value", value)];
        let answer = self.rest.ask(Method::POST, &path, &query, deadline).await?;
        // A function that fails on a channel that is about to leave.
        if answer.status == 400 { Err(DriverError::Gone) } else { taken(&answer) }
    }

    /// Leaves on the channel what `temoin-code` plays as a contract talk begins, and the key that stops it.
    async fn prepare(
        &self,
        call: &CallId,
        step: &Media,
        object: Option<&str>,
        deadline: Instant,
    ) -> Result<Reply, DriverError> {
        if !dialplan::is_plain(&step.name) {
            return Err(DriverError::Refused(
                "the dialplan plays a sound only by a name of letters, digits and / _ . + -".into(),
            ));
        }
        self.set(call, "TEMOIN_STEPS", &step.name, deadline).await?;
        match object {
            Some(key) => self.set(call, "TEMOIN_OBJECT", key, deadline).await,
            None => Ok(Reply::default()),
        }
    }

    /// Gives the channel back: without context and extension, so that the Gosub around the hook returns.
    async fn release(
        &self,
        call: &CallId,
        release: Release,
        deadline: Instant,
    ) -> Result<Reply, DriverError> {
        self.set(call, "TEMOIN", verdict(release), deadline).await?;
        self.go_on(call, deadline).await
    }

    /// What the dialplan needs to ask the customer by itself goes with the channel to whom it dials.
    async fn brief(
        &self,
        call: &CallId,
        briefing: &Briefing,
        deadline: Instant,
    ) -> Result<Reply, DriverError> {
        self.set(call, "__TEMOIN_ASK", &outbound::pack(briefing)?, deadline).await?;
        self.set(call, "TEMOIN_WHY", &briefing.why, deadline).await?;
        self.set(call, "TEMOIN_DIAL", verdict(briefing.how), deadline).await?;
        self.go_on(call, deadline).await
    }

    async fn go_on(&self, call: &CallId, deadline: Instant) -> Result<Reply, DriverError> {
        taken(&self.rest.ask(Method::POST, &["channels", &call.0, "continue"], &[], deadline).await?)
    }

    async fn hang_up(&self, call: &CallId, deadline: Instant) -> Result<Reply, DriverError> {
        taken(&self.rest.ask(Method::DELETE, &["channels", &call.0], &[], deadline).await?)
    }
}

fn verdict(release: Release) -> &'static str {
    match release {
        Release::Admitted => "ADMITTED",
        Release::Refused => "REFUSED",
        Release::HangUp => "HANGUP",
    }
}

fn taken(answer: &Answer) -> Result<Reply, DriverError> {
    match answer.status {
        200..=299 => Ok(Reply::default()),
        404 | 409 => Err(DriverError::Gone),
        _ => Err(DriverError::Refused(answer.message())),
    }
}
