//! The sidecar as a child process: started as systemd would, killed, frozen, and asked by its own command line.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::error::{Doing, LabError};
use crate::guarded::Guarded;

/// How long it may take to be ready, or to end, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How to run `temoin`.
#[derive(Clone, Debug)]
pub struct Sidecar {
    /// The program.
    pub program: PathBuf,
    /// Arguments before its own.
    pub prefix_args: Vec<OsString>,
}

/// Its command line, for one configuration.
#[derive(Clone, Debug)]
pub struct Cli {
    sidecar: Sidecar,
    config: PathBuf,
}

/// How often policy and configuration were read anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reloads {
    pub(super) taken: usize,
    pub(super) refused: usize,
}

/// A running sidecar, or one that can be started; it does not outlive this.
#[derive(Debug)]
pub struct Child {
    cli: Cli,
    log: PathBuf,
    env: Vec<(&'static str, OsString)>,
    process: Option<Guarded>,
    /// Not in the bench's folder, which may be too deep for the 107 bytes of a socket's path.
    socket: TempDir,
}

impl Cli {
    /// The command line of `sidecar` with this `temoin.toml`.
    #[must_use]
    pub fn new(sidecar: Sidecar, config: PathBuf) -> Self {
        Self { sidecar, config }
    }

    /// Runs one command of its own command line to its end, within 20 s.
    ///
    /// # Errors
    /// It could not be started, or did not end; whatever its status, an output is no error.
    pub async fn ask(&self, args: &[&str]) -> Result<Output, String> {
        let mut command = tokio::process::Command::from(self.command(args));
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        match tokio::time::timeout(PATIENCE, output).await {
            Ok(output) => output.map_err(|error| format!("temoin {}: {error}", args.join(" "))),
            Err(_) => Err(format!("temoin {}: not done after {PATIENCE:?}", args.join(" "))),
        }
    }

    /// Runs one command that answers in JSON.
    ///
    /// # Errors
    /// As [`Self::ask`], and when what it says is no JSON.
    pub async fn json(&self, args: &[&str]) -> Result<Value, String> {
        let output = self.ask(&[&["--json"], args].concat()).await?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&out)
            .map_err(|error| format!("temoin {}: {}, {error}: {out}{err}", args.join(" "), output.status))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.sidecar.program);
        command.args(&self.sidecar.prefix_args).arg("--config").arg(&self.config).args(args);
        command
    }
}

impl Child {
    /// One that does not run yet, and will write its log to the end of this file.
    ///
    /// # Errors
    /// No folder for the socket by which it says that it is ready.
    pub fn new(cli: Cli, log: PathBuf) -> Result<Self, LabError> {
        let socket = tempfile::Builder::new()
            .prefix("temoin-notify-")
            .tempdir_in("/tmp")
            .doing(|| "creating a folder for the notify socket".to_owned())?;
        Ok(Self { cli, log, env: Vec::new(), process: None, socket })
    }

    /// With this environment.
    #[must_use]
    pub(super) fn with_env(self, env: Vec<(&'static str, OsString)>) -> Self {
        Self { env, ..self }
    }

    /// Starts `temoin serve` and waits until it has said `READY=1`. Blocks.
    ///
    /// # Errors
    /// It ends, or is not ready after 20 s; with the end of its log.
    pub fn start(&mut self) -> Result<(), LabError> {
        self.kill();
        let path = self.socket.path().join("notify");
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).doing(|| format!("binding {}", path.display()))?;
        socket.set_read_timeout(Some(Duration::from_millis(50))).doing(|| "the notify socket".to_owned())?;
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.doing(|| format!("opening {}", self.log.display()))?;
        let mut command = self.cli.command(&["serve"]);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env("NOTIFY_SOCKET", &path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut process = Guarded::start(&mut command)?;
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        loop {
            if let Ok(length) = socket.recv(&mut buffer)
                && String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == "READY=1")
            {
                self.process = Some(process);
                return Ok(());
            }
            let ended = process.exited().map(|status| format!("it exited with {status}"));
            let late = (Instant::now() > deadline).then(|| format!("no READY=1 after {PATIENCE:?}"));
            if let Some(why) = ended.or(late) {
                return Err(LabError::Start { program: "temoin", why, log: self.log_tail(30) });
            }
        }
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Guarded::id)
    }

    /// Kills it as a crash would.
    pub(super) fn kill(&mut self) {
        self.process = None;
    }

    pub(super) fn freeze(&self) -> Result<(), LabError> {
        self.signal(Signal::STOP)
    }

    pub(super) fn thaw(&self) -> Result<(), LabError> {
        self.signal(Signal::CONT)
    }

    /// Lets it read its files anew.
    pub(super) fn reload(&self) -> Result<(), LabError> {
        self.signal(Signal::HUP)
    }

    /// Asks it to end, and waits for its status; `None` when it does not run or does not end. Blocks.
    pub fn end(&mut self) -> Option<i32> {
        let _ = self.thaw();
        self.signal(Signal::TERM).ok()?;
        let deadline = Instant::now() + PATIENCE;
        let process = self.process.as_mut()?;
        let status = loop {
            if let Some(status) = process.exited() {
                break status.code();
            }
            if Instant::now() > deadline {
                break None;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.process = None;
        status
    }

    pub(super) fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.exited().is_none())
    }

    pub(super) fn watches(&self) -> bool {
        let log = self.log();
        log.rfind("watching the PBX") > log.rfind("the link to the PBX is lost")
    }

    pub(super) fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How often it has read its files anew, by its log.
    pub(super) fn reloads(&self) -> Reloads {
        let log = self.log();
        let taken = log.matches("policy and configuration are in force for new calls").count();
        Reloads { taken, refused: log.matches("reload-refused").count() }
    }

    pub(super) fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let mut last: Vec<&str> = log.lines().rev().take(lines).collect();
        last.reverse();
        last.join("\n")
    }

    fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let process = self
            .process
            .as_ref()
            .and_then(|process| i32::try_from(process.id()).ok())
            .and_then(Pid::from_raw);
        let process = process.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound));
        process
            .and_then(|process| kill_process(process, signal).map_err(Into::into))
            .doing(|| "telling the sidecar something: does it run?".to_owned())
    }
}
