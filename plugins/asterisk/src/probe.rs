//! A look at a running Asterisk, for an admin: everything that keeps Témoin from working with it, at once, each with
//! the file to mend. Changes nothing. What is left out: whether the codes of `features.conf` were loaded since the file
//! was changed; no interface tells it with the rights of the shipped users, the admin sees it with `features show`.

mod conf;
mod dialplan;
mod recorders;

use std::collections::BTreeSet;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;
use temoin_core::finding::{Code, Finding};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::ami::connection::{Handle, Timing, Urgency, open};
use crate::ami::frame::Action;
use crate::ari::Address;
use crate::ari::rest::Rest;
use crate::ari::socket::Stream;
use crate::config::{AsteriskConfig, wait};
use crate::driver::links::ACTIONS;
use crate::error::{OLDEST_MAJOR, Place, StartError, TESTED_MAJORS, check_version, major};
use crate::tls;

/// The modules without which calls cannot be hooked, recorded or stopped.
const MODULES: [&str; 7] = [
    "app_mixmonitor.so",
    "app_stack.so",
    "app_stasis.so",
    "app_userevent.so",
    "bridge_builtin_features.so",
    "func_db.so",
    "res_ari_channels.so",
];
/// Clocks that are further apart are told of, in seconds. Asterisk tells whole seconds.
const APART: i64 = 2;

/// What a look finds.
#[derive(Debug, Default)]
pub struct Probe {
    /// What is to be mended; the file is that of Asterisk.
    pub findings: Vec<Finding>,
    /// The user that Asterisk runs as, where it says so.
    pub user: Option<String>,
    /// The codes that lead to the shipped dialplan, as `features.conf` has them; none where we may not ask.
    pub codes: Option<BTreeSet<String>>,
}

/// Looks.
pub async fn probe(config: &AsteriskConfig) -> Probe {
    let mut probe = Probe::default();
    look_at_ami(config, &mut probe).await;
    look_at_ari(config, &mut probe).await;
    probe
}

impl Probe {
    fn tell(&mut self, file: &str, path: &str, code: Code, hint: impl Into<String>) {
        self.findings.push(Finding {
            file: file.into(),
            path: path.into(),
            code,
            line: None,
            column: None,
            hint: hint.into(),
            because: Default::default(),
        });
    }

    fn tell_start(&mut self, file: &str, path: &str, error: &StartError) {
        let code = match error {
            StartError::Version { .. } => Code::PbxVersion,
            _ => Code::PbxAway,
        };
        self.tell(file, path, code, error.to_string());
    }
}

async fn look_at_ami(config: &AsteriskConfig, probe: &mut Probe) {
    let file = "manager.conf";
    let deadline = Instant::now() + wait(config.deadlines.connect);
    let place = format!("{}:{}", config.ami.host, config.ami.port);
    let stream = match timeout_at(deadline, ami_stream(config)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let hint = format!(
                "nothing answers at {place} ({error}): start Asterisk, and set `enabled = yes` and this address in \
                 [general]"
            );
            return probe.tell(file, "general", Code::PbxAway, hint);
        }
        Err(_) => {
            return probe.tell(file, "general", Code::PbxAway, format!("no answer in time at {place}"));
        }
    };
    let timing = Timing { ping: wait(config.deadlines.ami_ping), idle: wait(config.deadlines.ami_idle) };
    let (handle, running) = open(stream, timing);
    let running = running.run(|_| {});
    let asking = ask_ami(config, &handle, deadline, probe);
    tokio::pin!(asking);
    tokio::select! {
        () = &mut asking => {}
        // Asterisk closes behind a refusal, and the refusal is the better reason.
        _ = running => asking.await,
    }
}

pub(crate) async fn ami_stream(config: &AsteriskConfig) -> std::io::Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect((config.ami.host.as_str(), config.ami.port)).await?;
    Ok(match &config.ami.tls {
        Some(tls) => {
            let client =
                tls::Client::new(Place::Ami, &config.ami.host, tls).map_err(std::io::Error::other)?;
            Box::new(client.wrap(tcp).await?)
        }
        None => Box::new(tcp),
    })
}

async fn ask_ami(config: &AsteriskConfig, ami: &Handle, deadline: Instant, probe: &mut Probe) {
    let file = "manager.conf";
    let user = config.ami.user.as_str();
    let ask = |action| ami.send(action, Urgency::Normal, None, deadline);
    let login = Action::new("Login").with("Username", user).with("Secret", config.ami.secret.expose());
    match ask(login).await {
        Ok(answer) if answer.first("Response") == Some("Success") => {}
        Ok(_) => {
            let hint = format!(
                "Asterisk refuses the user `{user}`: write the `secret` of temoin.toml into [{user}], and let its \
                 `permit` name this machine"
            );
            return probe.tell(file, user, Code::PbxLogin, hint);
        }
        Err(error) => return probe.tell(file, user, Code::PbxAway, format!("the login is {error}")),
    }
    match ask(Action::new("ListCommands")).await {
        Ok(commands) => {
            for (action, class) in ACTIONS.iter().filter(|(action, _)| commands.first(action).is_none()) {
                let hint = format!(
                    "the user `{user}` may not use {action}: add `{class}` to its `write`, and see that the module \
                     is loaded"
                );
                probe.tell(file, &format!("{user}.write.{action}"), Code::PbxPermission, hint);
            }
            dialplan::look(ami, &commands, deadline, probe).await;
            recorders::look(config, ami, &commands, probe).await;
        }
        Err(error) => probe.tell(file, user, Code::PbxAway, format!("asking for its rights is {error}")),
    }
}

async fn look_at_ari(config: &AsteriskConfig, probe: &mut Probe) {
    let file = "ari.conf";
    let user = config.ari.user.as_str();
    let rest = match Address::new(&config.ari).and_then(|address| Rest::new(&address)) {
        Ok(rest) => rest,
        Err(error) => return probe.tell_start(file, "", &error),
    };
    let deadline = || Instant::now() + wait(config.deadlines.connect);
    let info = match rest.ask(Method::GET, &["asterisk", "info"], &[], deadline()).await {
        Ok(info) => info,
        Err(error) => {
            let hint = format!(
                "nothing answers at {} ({error}): start Asterisk, and set `enabled = yes` and this address in \
                 http.conf and ari.conf",
                config.ari.url
            );
            return probe.tell("http.conf", "general", Code::PbxAway, hint);
        }
    };
    match info.status {
        200 => {}
        401 | 403 => {
            let hint = format!(
                "Asterisk refuses the user `{user}`: write the `password` of temoin.toml into [{user}], with \
                 `type = user`"
            );
            return probe.tell(file, user, Code::PbxLogin, hint);
        }
        _ => {
            let hint = format!(
                "no ARI at {} ({}): set `enabled = yes` in ari.conf and http.conf, load res_ari*.so, and mind the \
                 `prefix` of http.conf",
                config.ari.url,
                info.message()
            );
            return probe.tell(file, "general", Code::PbxAway, hint);
        }
    }
    let text = |pointer: &str| info.body.pointer(pointer).and_then(Value::as_str);
    let version = text("/system/version").unwrap_or("of an unknown version");
    if major(version).is_some_and(|major| major < OLDEST_MAJOR) {
        let hint = format!(
            "Asterisk {version} is too old: install {OLDEST_MAJOR} or later; tested are {TESTED_MAJORS:?}"
        );
        probe.tell("asterisk.conf", "", Code::PbxVersion, hint);
    } else if check_version(version, config.allow_untested_version).is_err() {
        let hint = format!("Asterisk {version} was never tested with Témoin; tested are {TESTED_MAJORS:?}");
        probe.tell("asterisk.conf", "", Code::PbxVersion, hint);
    }
    probe.user = text("/config/setid/user").filter(|user| !user.is_empty()).map(str::to_owned);
    // A channel that is not there: a user who may write is told so, one who may not is refused first.
    let path = ["channels", "temoin-nobody", "variable"];
    let write = rest.ask(Method::POST, &path, &[("variable", "TEMOIN")], deadline()).await;
    if write.is_ok_and(|answer| answer.status == 403) {
        let hint = format!("the user `{user}` may not change anything: set `read_only = no` in [{user}]");
        probe.tell(file, &format!("{user}.read_only"), Code::PbxPermission, hint);
    }
    for module in MODULES {
        let found = rest.ask(Method::GET, &["asterisk", "modules", module], &[], deadline()).await;
        let runs = |body: &Value| body.get("status").and_then(Value::as_str) == Some("Running");
        if found.is_ok_and(|found| found.status == 404 || found.status == 409 || !runs(&found.body)) {
            let hint = format!("{module} is not loaded: `module load {module}`, and see modules.conf");
            probe.tell("modules.conf", module, Code::PbxModule, hint);
        }
    }
    look_at_clock(&rest, deadline(), probe).await;
}

/// Whether Asterisk's clock and ours tell the same time, the way there and back allowed for.
async fn look_at_clock(rest: &Rest, deadline: Instant, probe: &mut Probe) {
    let before = Timestamp::now().as_second();
    let theirs = variable(rest, "EPOCH", deadline).await.and_then(|text| text.parse::<i64>().ok());
    let after = Timestamp::now().as_second();
    let Some(theirs) = theirs else { return };
    let apart = if theirs < before { theirs - before } else { (theirs - after).max(0) };
    if apart.abs() >= APART {
        let hint = format!("Asterisk's clock is {apart} seconds from ours: let both keep their time by NTP");
        probe.tell("the clock", "", Code::PbxClock, hint);
    }
}

/// A variable of the dialplan that needs no channel.
async fn variable(rest: &Rest, name: &str, deadline: Instant) -> Option<String> {
    let answer =
        rest.ask(Method::GET, &["asterisk", "variable"], &[("variable", name)], deadline).await.ok()?;
    Some(answer.body.get("value")?.as_str()?.to_owned())
}
