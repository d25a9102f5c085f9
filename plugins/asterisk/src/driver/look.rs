//! A look at the PBX itself: after a connection, whether our ears work; after every gap, who is there.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::Shared;
use crate::ami::connection::{ActionError, Handle, Urgency};
use crate::ami::frame::Action;
use crate::config::wait;
use crate::error::{Place, StartError};
use crate::translate::status::{self, Row, VARIABLES};

/// How the ids of our own trial channels begin.
pub(super) const TRIAL: &str = "temoin-probe-";

/// The PBX as it was at one moment.
pub(super) struct Snapshot {
    /// Events before this moment are in it already.
    pub(super) floor: Timestamp,
    pub(super) rows: Vec<Row>,
    pub(super) bridges: BTreeMap<String, bool>,
    /// The channels in the hook.
    pub(super) in_hook: HashSet<String>,
}

/// Why there is no snapshot.
pub(super) enum Blind {
    /// Waiting does not mend it.
    Fault(StartError),
    /// It may work later.
    Failed(String),
}

/// Which events of the trial channel came over AMI.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    pub(super) call: bool,
    pub(super) user: bool,
}

impl From<ActionError> for Blind {
    fn from(error: ActionError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Asks for everything.
pub(super) async fn around(shared: &Shared, ami: &Handle) -> Result<Snapshot, Blind> {
    let deadline = Instant::now() + wait(shared.config.deadlines.snapshot);
    let ping = ami.send(Action::new("Ping"), Urgency::Normal, None, deadline);
    let status = ami.list(Action::new("Status").with("Variables", VARIABLES), deadline);
    let bridges = ami.list(Action::new("BridgeList"), deadline);
    let floor = ping.await?.timestamp().unwrap_or_else(Timestamp::now);
    let (status, bridges) = (status.await?, bridges.await?);
    for list in [&status, &bridges] {
        let first = list.first().and_then(|message| message.first("Response"));
        if first != Some("Success") {
            let why = list.first().and_then(|message| message.first("Message")).unwrap_or("no message");
            return Err(Blind::Failed(why.into()));
        }
    }
    let app = shared.rest.ask(Method::GET, &["applications", &shared.config.app], &[], deadline).await?;
    if app.status != 200 {
        return Err(Blind::Failed(app.message()));
    }
    let channels = app.body.get("channel_ids").and_then(Value::as_array);
    let in_hook = channels.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect();
    Ok(Snapshot { floor, rows: status::rows(&status), bridges: status::bridges(&bridges), in_hook })
}

/// Makes a Local channel, says a word on it and hangs it up: what does not come back over AMI, we would never hear.
/// Neither read classes nor filters can be asked for, so they are tried.
pub(super) async fn try_ears(shared: &Shared, mut heard: watch::Receiver<Heard>) -> Result<(), Blind> {
    static TRIALS: AtomicU64 = AtomicU64::new(0);
    let deadline = Instant::now() + wait(shared.config.deadlines.connect);
    let number = TRIALS.fetch_add(1, Ordering::Relaxed);
    let (first, second) = (format!("{TRIAL}{number}-1"), format!("{TRIAL}{number}-2"));
    let app = shared.config.app.as_str();
    let create = [
        ("endpoint", "Local/temoin-probe@temoin-probe"),
        ("app", app),
        ("channelId", &first),
        ("otherChannelId", &second),
    ];
    let rest = &shared.rest;
    let made = rest.ask(Method::POST, &["channels", "create"], &create, deadline).await?;
    if made.status != 200 {
        tracing::warn!(answer = made.message(), "no trial channel: whether events are heard was not tried");
        return Ok(());
    }
    let source = format!("channel:{first}");
    let word = [("application", app), ("source", &source)];
    let said = rest.ask(Method::POST, &["events", "user", "TemoinProbe"], &word, deadline).await;
    let ended = rest.ask(Method::DELETE, &["channels", &first], &[], deadline).await;
    said?;
    ended?;
    if timeout_at(deadline, heard.wait_for(|heard| heard.call && heard.user)).await.is_ok() {
        return Ok(());
    }
    let found = *heard.borrow();
    let (class, event) = if found.call { ("user", "UserEvent") } else { ("call", "Hangup") };
    Err(Blind::Fault(StartError::Permission {
        place: Place::Ami,
        user: shared.config.ami.user.clone(),
        what: format!("hear events of class {class}"),
        how: format!("add `{class}` to its `read=`, and let `{event}` through its `eventfilter` lines"),
    }))
}
