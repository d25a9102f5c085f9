//! Keeps the two links up: connect, log in, see what the user may do, run until lost, and again, later and later.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::Shared;
use super::hub::Note;
use crate::ami::connection::{ActionError, Handle, Lost, Running, Timing, Urgency, open};
use crate::ami::frame::{Action, Message};
use crate::ari::rest::Answer;
use crate::ari::socket::{self, REPLACED, Refusal, Stream};
use crate::config::wait;
use crate::error::{Place, StartError, check_version};

/// Which of the two links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Ami,
    Ari,
}

/// Why a link could not be had.
pub(super) enum Trouble {
    /// Nobody there, or not now.
    Absent(String),
    /// Waiting does not mend it.
    Fault(StartError),
}

impl From<ActionError> for Trouble {
    fn from(error: ActionError) -> Self {
        Self::Absent(error.to_string())
    }
}

/// What we ask of the AMI user, and the class that gives it.
pub(crate) const ACTIONS: [(&str, &str); 8] = [
    ("MixMonitor", "system"),
    ("StopMixMonitor", "call"),
    ("Status", "call"),
    ("CoreSettings", "system"),
    ("BridgeList", "call"),
    ("DBGetTree", "system"),
    ("DBPut", "system"),
    ("DBDel", "system"),
];

/// Waits longer after each failure, never twice the same.
struct Backoff(u32);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(30);

    /// A link that lasted for a while was a good one.
    fn after(&mut self, began: Instant) {
        if began.elapsed() > Self::LONGEST {
            self.0 = 0;
        }
    }

    fn next(&mut self) -> Duration {
        let longest = (Self::FIRST * 2u32.saturating_pow(self.0)).min(Self::LONGEST);
        self.0 = (self.0 + 1).min(16);
        let chance = u32::try_from(RandomState::new().hash_one(self.0) % 1000).unwrap_or(0);
        longest / 2 + longest / 2 * chance / 1000
    }
}

/// Keeps the AMI link up, for ever.
pub(super) async fn keep_ami(shared: Arc<Shared>, notes: mpsc::UnboundedSender<Note>) {
    let mut backoff = Backoff(0);
    loop {
        let began = Instant::now();
        match ami_session(&shared, &notes).await {
            Ok(lost) => {
                shared.ami.send_replace(None);
                let _ = notes.send(Note::Down(Link::Ami, lost));
                backoff.after(began);
            }
            Err(trouble) => {
                let _ = notes.send(Note::Trouble(Link::Ami, trouble));
            }
        }
        sleep(backoff.next()).await;
    }
}

async fn ami_session(shared: &Shared, notes: &mpsc::UnboundedSender<Note>) -> Result<Lost, Trouble> {
    let deadlines = &shared.config.deadlines;
    let timing = Timing { ping: wait(deadlines.ami_ping), idle: wait(deadlines.ami_idle) };
    let deadline = Instant::now() + wait(deadlines.connect);
    let late = |_| Trouble::Absent("no answer in time".into());
    let stream = timeout_at(deadline, ami_stream(shared)).await.map_err(late)?;
    let stream = stream.map_err(|error| Trouble::Absent(error.to_string()))?;
    let (handle, running): (Handle, Running<Box<dyn Stream>>) = open(stream, timing);
    let running = running.run(|event| {
        let _ = notes.send(Note::Ami(event));
    });
    tokio::pin!(running);
    let checking = check_ami(shared, &handle, deadline);
    tokio::pin!(checking);
    tokio::select! {
        checked = &mut checking => checked?,
        lost = &mut running => match checking.await {
            // Asterisk closes behind a refusal, and the refusal is the better reason.
            Err(Trouble::Fault(fault)) => return Err(Trouble::Fault(fault)),
            _ => return Err(Trouble::Absent(lost.why)),
        },
    }
    shared.ami.send_replace(Some(handle.clone()));
    let _ = notes.send(Note::AmiUp(handle.clone()));
    Ok(running.await)
}

async fn ami_stream(shared: &Shared) -> std::io::Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect((shared.config.ami.host.as_str(), shared.config.ami.port)).await?;
    tcp.set_nodelay(true)?;
    Ok(match &shared.ami_tls {
        Some(tls) => Box::new(tls.wrap(tcp).await?),
        None => Box::new(tcp),
    })
}

/// Logs in and sees whether the user may do what we need. What he may hear is tried later, when ARI is there too.
async fn check_ami(shared: &Shared, ami: &Handle, deadline: Instant) -> Result<(), Trouble> {
    let config = &shared.config.ami;
    let ask = |action| ami.send(action, Urgency::Normal, None, deadline);
    let place = Place::Ami;
    let user = || config.user.clone();
    let login =
        Action::new("Login").with("Username", config.user.as_str()).with("Secret", config.secret.expose());
    let answer = ask(login).await?;
    if answer.first("Response") != Some("Success") {
        return Err(Trouble::Fault(StartError::Credentials {
            place,
            user: user(),
            how: "check the section's name, its `secret`, and that its `permit=` lets this machine in".into(),
        }));
    }
    let (commands, settings) = (ask(Action::new("ListCommands")), ask(Action::new("CoreSettings")));
    let commands: Message = commands.await?;
    for (action, class) in ACTIONS {
        if commands.first(action).is_none() {
            return Err(Trouble::Fault(StartError::Permission {
                place,
                user: user(),
                what: format!("use the action {action}"),
                how: format!("add `{class}` to its `write=`, and see that the module is loaded"),
            }));
        }
    }
    let settings = settings.await?;
    let version = settings.first("AsteriskVersion").unwrap_or("of an unknown version");
    check_version(version, shared.config.allow_untested_version).map_err(Trouble::Fault)
}

/// Keeps the ARI link up, for ever. The application is taken only while AMI is there: until then Asterisk sends callers
/// past the hook at once, and afterwards nobody would take care of them.
pub(super) async fn keep_ari(shared: Arc<Shared>, notes: mpsc::UnboundedSender<Note>) {
    let mut backoff = Backoff(0);
    loop {
        let began = Instant::now();
        match ari_session(&shared, &notes).await {
            Ok(lost) => {
                let replaced = lost.why == REPLACED;
                let _ = notes.send(Note::Down(Link::Ari, lost));
                backoff.after(began);
                if replaced {
                    tracing::error!(app = shared.config.app, "{REPLACED}; waiting until it lets go");
                    until_free(&shared).await;
                }
            }
            Err(trouble) => {
                let _ = notes.send(Note::Trouble(Link::Ari, trouble));
            }
        }
        sleep(backoff.next()).await;
    }
}

async fn ari_session(shared: &Shared, notes: &mpsc::UnboundedSender<Note>) -> Result<Lost, Trouble> {
    check_ari(shared).await?;
    let _ = notes.send(Note::AriChecked);
    let mut ami = shared.ami.subscribe();
    let _ = ami.wait_for(Option::is_some).await;
    let deadlines = &shared.config.deadlines;
    let timing = Timing { ping: wait(deadlines.ari_ping), idle: wait(deadlines.ari_idle) };
    let deadline = Instant::now() + wait(deadlines.connect);
    let socket = match timeout_at(deadline, socket::connect(&shared.address, &shared.config.app)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(Refusal::Absent(why))) => return Err(Trouble::Absent(why)),
        Ok(Err(Refusal::Status(status))) => {
            return Err(Trouble::Absent(format!("the event socket was refused with status {status}")));
        }
        Err(_) => return Err(Trouble::Absent("no answer in time".into())),
    };
    let _ = notes.send(Note::AriUp);
    let hear = |event: Value| {
        let _ = notes.send(Note::Ari(event));
    };
    Ok(socket::run(socket, timing, hear).await)
}

/// Sees whether ARI is there, knows us, and lets us change things.
async fn check_ari(shared: &Shared) -> Result<(), Trouble> {
    let deadline = Instant::now() + wait(shared.config.deadlines.connect);
    let rest = &shared.rest;
    let place = Place::Ari;
    let user = || shared.config.ari.user.clone();
    let info = rest.ask(Method::GET, &["asterisk", "info"], &[("only", "system")], deadline).await?;
    match info.status {
        200 => {}
        401 => {
            return Err(Trouble::Fault(StartError::Credentials {
                place,
                user: user(),
                how: "check the section's name (with `type=user`) and its `password`".into(),
            }));
        }
        404 => {
            return Err(Trouble::Fault(StartError::Missing {
                place,
                what: format!("there is no ARI at {}", shared.address.base),
                how: "set `enabled=yes` in ari.conf and http.conf, load res_ari*.so, and mind http.conf's `prefix`"
                    .into(),
            }));
        }
        _ => return Err(Trouble::Absent(info.message())),
    }
    let version = info.body.pointer("/system/version").and_then(Value::as_str);
    let version = version.unwrap_or("of an unknown version");
    check_version(version, shared.config.allow_untested_version).map_err(Trouble::Fault)?;
    // A channel that is not there: a user who may write is told so, one who may not is refused first.
    let path = ["channels", "temoin-nobody", "variable"];
    let write: Answer = rest.ask(Method::POST, &path, &[("variable", "TEMOIN")], deadline).await?;
    if write.status == 403 {
        return Err(Trouble::Fault(StartError::Permission {
            place,
            user: user(),
            what: "change anything".into(),
            how: "set `read_only=no` in its section".into(),
        }));
    }
    Ok(())
}

/// Until nobody holds our application any more: taking it back at once would be a tug of war.
async fn until_free(shared: &Shared) {
    loop {
        sleep(Duration::from_secs(1)).await;
        let deadline = Instant::now() + wait(shared.config.deadlines.connect);
        let path = ["applications", shared.config.app.as_str()];
        match shared.rest.ask(Method::GET, &path, &[], deadline).await {
            Ok(answer) if answer.status == 200 => {}
            _ => return,
        }
    }
}
