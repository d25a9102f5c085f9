//! The list of those who are never recorded, mirrored into Asterisk's own database: so the dialplan stops recorders
//! before such an extension rings, whether we live or not (`temoin-exempt` in `dialplans/asterisk/temoin.conf`).
//!
//! Whoever comes onto the list is put in before anybody is taken off, so that nobody is missing for a moment. The
//! database outlives restarts of Asterisk, but an admin may have emptied it: it is looked at with every new link, and
//! once in a while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use temoin_core::command::DriverError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Shared;
use crate::ami::connection::{Handle, Urgency};
use crate::ami::frame::{Action, Message};
use crate::config::wait;

/// The family of AstDB in which the extensions are keys.
const FAMILY: &str = "temoin-exempt";
/// Looked at again at least so often.
const EVERY: Duration = Duration::from_secs(300);
/// Tried again after a failure.
const AGAIN: Duration = Duration::from_secs(5);

/// Keeps the mirror true, for ever. Nothing is touched before the first list is known.
pub(super) async fn mirror(shared: Arc<Shared>, mut list: watch::Receiver<Option<BTreeSet<String>>>) {
    let mut ami = shared.ami.subscribe();
    loop {
        let wanted = list.borrow_and_update().clone();
        let handle = ami.borrow_and_update().clone();
        let pause = match (wanted, handle) {
            (Some(wanted), Some(handle)) => match bring(&shared, &handle, &wanted).await {
                Ok((0, 0)) => EVERY,
                Ok((put, taken)) => {
                    tracing::info!(
                        put,
                        taken,
                        "the exempt extensions in the PBX's database were brought up to date"
                    );
                    EVERY
                }
                Err(error) => {
                    tracing::error!(%error, "the exempt extensions cannot be kept in the PBX's database; tried again");
                    AGAIN
                }
            },
            _ => EVERY,
        };
        tokio::select! {
            changed = list.changed() => if changed.is_err() { return },
            changed = ami.changed() => if changed.is_err() { return },
            () = sleep(pause) => {}
        }
    }
}

/// Makes the database say what is wanted; gives how many were put in and taken off.
async fn bring(
    shared: &Shared,
    ami: &Handle,
    wanted: &BTreeSet<String>,
) -> Result<(usize, usize), DriverError> {
    let deadline = Instant::now() + wait(shared.config.deadlines.snapshot);
    let there = there(ami, deadline).await?;
    let ask = async |name, extension: &String| {
        let action = Action::new(name).with("Family", FAMILY).with("Key", extension.as_str());
        let action = if name == "DBPut" { action.with("Val", "1") } else { action };
        let answer = ami.send(action, Urgency::Normal, None, deadline).await?;
        match answer.first("Response") {
            Some("Success") => Ok(()),
            _ => Err(DriverError::Refused(answer.first("Message").unwrap_or("no message").into())),
        }
    };
    let (missing, surplus): (Vec<_>, Vec<_>) =
        (wanted.difference(&there).collect(), there.difference(wanted).collect());
    for extension in &missing {
        ask("DBPut", extension).await?;
    }
    for extension in &surplus {
        ask("DBDel", extension).await?;
    }
    Ok((missing.len(), surplus.len()))
}

/// What the database says.
async fn there(ami: &Handle, deadline: Instant) -> Result<BTreeSet<String>, DriverError> {
    let answers = ami.list(Action::new("DBGetTree").with("Family", FAMILY), deadline).await?;
    let first = answers.first().ok_or(DriverError::Unknown)?;
    match (first.first("Response"), first.first("Message")) {
        (Some("Success"), _) => Ok(answers.iter().filter_map(key).collect()),
        (_, why) => Err(DriverError::Refused(why.unwrap_or("no message").into())),
    }
}

/// `Key: /temoin-exempt/4100` → `4100`.
fn key(message: &Message) -> Option<String> {
    let key = message.first("Key")?.strip_prefix('/')?.strip_prefix(FAMILY)?.strip_prefix('/')?;
    Some(key.to_owned())
}
