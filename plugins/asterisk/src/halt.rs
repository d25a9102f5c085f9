//! Stops recorders while no Témoin runs: what nobody watches must not be recorded.
//!
//! Over AMI alone, so that nothing of the application is touched: whoever waits in the hook is let go by the dialplan's own
//! timer. A recorder is stopped on every customer's channel that has passed a hook, but for those that are to be spared.

use temoin_core::command::DriverError;
use temoin_core::id::CallId;
use tokio::time::Instant;

use crate::ami::connection::{Handle, Timing, Urgency, open};
use crate::ami::frame::Action;
use crate::config::{AsteriskConfig, wait};
use crate::driver::recorder::{blank, stop_action, stop_all};
use crate::probe::ami_stream;
use crate::translate::status;

/// What was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Halted {
    /// Recorders that were stopped.
    pub stopped: u32,
    /// Calls that were left alone.
    pub spared: u32,
    /// Calls whose recorder may still run.
    pub running: Vec<CallId>,
}

/// Stops them. `spares` tells which calls are left alone.
///
/// # Errors
/// Asterisk cannot be reached, refuses the user, or does not tell its channels: in words for a person.
pub async fn halt(config: &AsteriskConfig, spares: impl AsyncFn(&CallId) -> bool) -> Result<Halted, String> {
    let deadline = Instant::now() + wait(config.deadlines.connect);
    let stream = tokio::time::timeout_at(deadline, ami_stream(config)).await;
    let stream = stream.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())?;
    let timing = Timing { ping: wait(config.deadlines.ami_ping), idle: wait(config.deadlines.ami_idle) };
    let (handle, running) = open(stream, timing);
    let running = running.run(|_| {});
    let halting = stop(config, &handle, spares);
    tokio::pin!(halting, running);
    tokio::select! {
        halted = &mut halting => halted,
        // Asterisk closes behind a refusal, and the refusal is the better reason.
        _ = &mut running => halting.await,
    }
}

async fn stop(
    config: &AsteriskConfig,
    ami: &Handle,
    spares: impl AsyncFn(&CallId) -> bool,
) -> Result<Halted, String> {
    let deadline = || Instant::now() + wait(config.deadlines.order);
    let user = config.ami.user.as_str();
    let login = Action::new("Login").with("Username", user).with("Secret", config.ami.secret.expose());
    match ami.send(login, Urgency::Normal, None, deadline()).await {
        Ok(answer) if answer.first("Response") == Some("Success") => {}
        Ok(_) => return Err(format!("Asterisk refuses the user `{user}` of manager.conf")),
        Err(error) => return Err(format!("the login is {error}")),
    }
    let action = Action::new("Status").with("Variables", status::VARIABLES);
    let channels = ami.list(action, deadline()).await.map_err(|error| error.to_string())?;
    let mut halted = Halted::default();
    for row in status::rows(&channels).into_iter().filter(|row| row.passed) {
        let call = CallId(row.channel.id);
        if spares(&call).await {
            halted.spared += 1;
            continue;
        }
        let deadline = deadline();
        let first = ami.send(stop_action(&call), Urgency::Urgent, None, deadline);
        let before = halted.stopped;
        match stop_all(ami.clone(), &call, first, deadline, &mut halted.stopped).await {
            // A record that cannot be blanked has nothing to do with what is recorded.
            Ok(()) if halted.stopped > before => drop(blank(ami, &call, deadline).await),
            Ok(()) | Err(DriverError::Gone) => {}
            Err(_) => halted.running.push(call),
        }
    }
    Ok(halted)
}
