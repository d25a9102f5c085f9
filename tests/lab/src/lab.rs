//! One running Asterisk with the shipped dialplan, in a folder and on ports of its own.
//!
//! Every file is written from `tests/lab/etc`, with the lab's paths and ports filled in; the four files of
//! `dialplans/asterisk` are included as an admin would include them, only the placeholder secrets replaced; the shipped
//! prompts are linked into the sound folders. What the numbers of the dialplan do stands in `etc/extensions.conf`.
//!
//! Asterisk dies with the process that started it: a watchdog kills it when the pipe to that process closes.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::{Doing, LabError};
use crate::guarded::Guarded;
use crate::install::{Asterisk, Install};
use crate::ports::Ports;

/// The secret of the AMI user `temoin`, whose rights and filters are those of the shipped `temoin-manager.conf`.
pub const AMI_SECRET: &str = "lab-ami-secret";
/// The password of the ARI user `temoin` of the shipped `temoin-ari.conf`.
pub const ARI_SECRET: &str = "lab-ari-secret";
/// The secret of the AMI user `admin`, for the tests' own eyes and hands: all rights, no filter.
pub const ADMIN_SECRET: &str = "lab-admin-secret";

/// How long Asterisk may take to start or to stop on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The agents' extensions: they have the codes and `TEMOIN_LEG=agent`.
const AGENTS: RangeInclusive<u16> = 2001..=2199;
/// Phones of the house that are no agents: 4100 is exempt by the example policies, 2999 is nobody's.
const OTHERS: [u16; 2] = [4100, 2999];

const TEMPLATES: [(&str, &str); 16] = [
    ("ari.conf", include_str!("../etc/ari.conf")),
    ("asterisk.conf", include_str!("../etc/asterisk.conf")),
    ("cdr_custom.conf", include_str!("../etc/cdr_custom.conf")),
    ("confbridge.conf", include_str!("../etc/confbridge.conf")),
    ("extensions.conf", include_str!("../etc/extensions.conf")),
    ("features.conf", include_str!("../etc/features.conf")),
    ("freepbx.conf", include_str!("../etc/freepbx.conf")),
    ("http.conf", include_str!("../etc/http.conf")),
    ("indications.conf", include_str!("../etc/indications.conf")),
    ("logger.conf", include_str!("../etc/logger.conf")),
    ("manager.conf", include_str!("../etc/manager.conf")),
    ("modules.conf", include_str!("../etc/modules.conf")),
    ("pjsip.conf", include_str!("../etc/pjsip.conf")),
    ("queues.conf", include_str!("../etc/queues.conf")),
    ("res_parking.conf", include_str!("../etc/res_parking.conf")),
    ("rtp.conf", include_str!("../etc/rtp.conf")),
];

/// Files that Asterisk complains about when they are absent; empty will do.
const EMPTY: [&str; 9] = [
    "acl.conf",
    "amd.conf",
    "ccss.conf",
    "cdr.conf",
    "cel.conf",
    "pjproject.conf",
    "queuerules.conf",
    "udptl.conf",
    "websocket_client.conf",
];

/// Asterisk's own prompts that its features need to find: the lab has them in 20 ms of silence.
const SILENT: [&str; 4] = ["beep", "beeperr", "pbx-transfer", "pbx-invalid"];

/// What a test asks of its lab. The default has no phones and room for 40 calls.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// The phones that may be rung: extension (2001 to 2199 agents, 4100 exempt, 2999 unknown) and the UDP port on
    /// 127.0.0.1 where it listens. An extension that is not named here can call, and is unavailable when called.
    pub phones: Vec<(u16, u16)>,
    /// The UDP port on 127.0.0.2 of the customers' phone that outbound calls reach (`0…` dialled by an agent).
    pub trunk: Option<u16>,
    /// How many calls may be up at once: sizes the RTP range, at 8 ports a call.
    pub calls: u16,
    /// The text of `temoin-features.conf`, as `temoin dialplan` prints it for a site. Without it: the shipped one.
    pub features: Option<String>,
    /// Environment of the program.
    pub env: Vec<(&'static str, std::ffi::OsString)>,
    /// Whether `temoin-settle` is among the sounds. Without it Asterisk swallows prompts of some outbound calls.
    pub settles: bool,
    /// Text to put at the end of a configuration file, as `("extensions.conf", "[far]…")`.
    pub more: Vec<(&'static str, String)>,
}

impl Default for LabOptions {
    fn default() -> Self {
        let (phones, more) = (Vec::new(), Vec::new());
        Self { phones, trunk: None, calls: 40, features: None, env: Vec::new(), settles: true, more }
    }
}

/// A running Asterisk; dropping it kills it and removes its folder.
#[derive(Debug)]
pub struct Lab {
    /// Where phones send their SIP. What comes from 127.0.0.2 is the trunk; what comes from 127.0.0.1 is the extension
    /// that its From header names.
    pub sip: SocketAddr,
    /// HTTP with ARI: user `temoin`, password [`ARI_SECRET`].
    pub ari: SocketAddr,
    /// AMI: users `temoin` ([`AMI_SECRET`]) and `admin` ([`ADMIN_SECRET`]).
    pub ami: SocketAddr,
    install: Install,
    env: Vec<(&'static str, std::ffi::OsString)>,
    process: Option<Guarded>,
    ports: Ports,
    dir: TempDir,
}

impl Lab {
    /// Finds or fetches an Asterisk, starts it, and returns when it is fully booted (a second, or less). Blocks.
    ///
    /// # Errors
    /// [`LabError`] when there is none, or it does not come up; with the end of its log.
    pub fn start(options: LabOptions) -> Result<Self, LabError> {
        let install = Asterisk::find_or_fetch()?;
        let ports = Ports::reserve(options.calls)?;
        // Not in TMPDIR, which may be too deep for the 107 bytes of a socket's path.
        let dir = tempfile::Builder::new()
            .prefix("temoin-lab-")
            .tempdir_in("/tmp")
            .doing(|| "creating the lab's folder".to_owned())?;
        let on = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (sip, ari, ami) = (on(ports.sip()), on(ports.http()), on(ports.ami()));
        let mut lab = Self { sip, ari, ami, install, env: options.env.clone(), process: None, ports, dir };
        lab.write_files(&options)?;
        lab.restart()?;
        Ok(lab)
    }

    /// What the running Asterisk calls itself, as `22.10.1~dfsg`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.install.version
    }

    /// The lab's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where recordings with a relative name go, and may go with an absolute one.
    #[must_use]
    pub fn recordings(&self) -> PathBuf {
        self.dir().join("spool/monitor")
    }

    /// One line for each call detail record, as `etc/cdr_custom.conf` has it: whose call, by which channel, and the
    /// recording that it names.
    #[must_use]
    pub fn details(&self) -> PathBuf {
        self.dir().join("log/cdr-custom/Master.csv")
    }

    /// Asterisk's log, with every step of the dialplan.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir().join("log/full")
    }

    /// The last lines of the log; empty when there is none yet.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log(), lines)
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.id())
    }

    /// Runs one command on Asterisk's own command line (`core show version`) and returns what it prints.
    ///
    /// # Errors
    /// [`LabError::Command`] when Asterisk cannot be reached or does not know the command.
    pub fn cli(&self, command: &str) -> Result<String, LabError> {
        let output = self
            .asterisk()
            .args(["-rx", command])
            .stdin(Stdio::null())
            .output()
            .doing(|| "running asterisk -rx".to_owned())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() && !said.starts_with("No such command") {
            return Ok(said);
        }
        let why = format!("{}: {}{said}", output.status, String::from_utf8_lossy(&output.stderr));
        Err(LabError::Command { command: command.to_owned(), why })
    }

    /// Starts Asterisk again in the same folder, on the same ports, after [`Self::stop`] or [`Self::kill9`]; kills it
    /// first if it still runs.
    ///
    /// # Errors
    /// [`LabError::Start`] when it does not come up.
    pub fn restart(&mut self) -> Result<(), LabError> {
        self.kill9();
        let said = self.dir().join("stderr");
        let said = fs::File::create(&said).doing(|| format!("creating {}", said.display()))?;
        let mut command = self.asterisk();
        command.arg("-f").current_dir(self.dir()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        self.process = Some(Guarded::start(&mut command)?);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.as_mut().and_then(Guarded::exited) {
                return Err(self.not_started(format!("it exited with {status}")));
            }
            if self.cli("core waitfullybooted").is_ok_and(|said| said.contains("fully booted")) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.not_started(format!("not fully booted after {PATIENCE:?}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets Asterisk end in order, hanging up what is up; kills it if it takes too long.
    ///
    /// # Errors
    /// [`LabError::Command`] when it cannot be told.
    pub fn stop(&mut self) -> Result<(), LabError> {
        self.cli("core stop now")?;
        let deadline = Instant::now() + PATIENCE;
        while let Some(process) = &mut self.process {
            if process.exited().is_some() || Instant::now() > deadline {
                self.kill9();
            } else {
                thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    /// Kills Asterisk as a power cut would.
    pub fn kill9(&mut self) {
        self.process = None;
    }

    fn asterisk(&self) -> Command {
        let mut command = Command::new(&self.install.program);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.arg("-C").arg(self.dir().join("etc/asterisk.conf"));
        command
    }

    fn not_started(&self, why: String) -> LabError {
        let log = format!("{}\n{}", self.log_tail(20), tail(&self.dir().join("stderr"), 20));
        LabError::Start { program: "Asterisk", why, log }
    }

    fn write_files(&self, options: &LabOptions) -> Result<(), LabError> {
        let dialplans = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../dialplans"));
        let dialplans = dialplans.canonicalize().doing(|| format!("looking for {}", dialplans.display()))?;
        for dir in [
            "etc",
            "run",
            "db",
            "log/cdr-custom",
            "data/sounds",
            "spool/monitor",
            "spool/tmp",
            "spool/outgoing",
        ] {
            let dir = self.dir().join(dir);
            fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
        }
        self.link_data(&dialplans.join("sounds"), options.settles)?;
        let conf = |name: &str| self.dir().join("etc").join(name);
        for name in EMPTY {
            write(&conf(name), "")?;
        }
        for (name, template) in TEMPLATES {
            let mut text = self.fill(template, options, &dialplans);
            match name {
                "modules.conf" => text = self.only_installed(&text),
                "pjsip.conf" => text.push_str(&phones(options)),
                _ => {}
            }
            for (_, more) in options.more.iter().filter(|(file, _)| *file == name) {
                let _ = write!(text, "\n{more}");
            }
            write(&conf(name), &text)?;
        }
        for name in ["temoin-features.conf", "temoin-manager.conf", "temoin-ari.conf"] {
            let shipped = dialplans.join("asterisk").join(name);
            let text = match &options.features {
                Some(features) if name == "temoin-features.conf" => features.clone(),
                _ => fs::read_to_string(&shipped).doing(|| format!("reading {}", shipped.display()))?,
            };
            write(
                &conf(name),
                &text.replace("CHANGE-ME-AMI", AMI_SECRET).replace("CHANGE-ME-ARI", ARI_SECRET),
            )?;
        }
        Ok(())
    }

    fn fill(&self, template: &str, options: &LabOptions, dialplans: &Path) -> String {
        let contact = options.trunk.map(|port| format!("contact = sip:127.0.0.2:{port}")).unwrap_or_default();
        let dir = self.dir().display();
        let rtp = self.ports.rtp();
        [
            ("@DIR@", dir.to_string()),
            ("@MODULES@", self.install.modules.display().to_string()),
            ("@DIALPLANS@", dialplans.display().to_string()),
            ("@CLI@", format!("{} -C {dir}/etc/asterisk.conf", self.install.program.display())),
            ("@SIP@", self.sip.port().to_string()),
            ("@AMI@", self.ami.port().to_string()),
            ("@HTTP@", self.ari.port().to_string()),
            ("@RTP_FIRST@", rtp.start().to_string()),
            ("@RTP_LAST@", rtp.end().to_string()),
            ("@TRUNK_CONTACT@", contact),
            ("@ADMIN_SECRET@", ADMIN_SECRET.to_owned()),
        ]
        .into_iter()
        .fold(template.to_owned(), |text, (placeholder, value)| text.replace(placeholder, &value))
    }

    /// Leaves out the modules that the installed version lacks: loading them would only be an error in the log.
    fn only_installed(&self, modules: &str) -> String {
        let there = |line: &&str| line.strip_prefix("load = ").is_none_or(|module| self.install.has(module));
        modules.lines().filter(there).map(|line| format!("{line}\n")).collect()
    }

    /// Links the installed data and, as the only sounds, the shipped prompts.
    fn link_data(&self, sounds: &Path, settles: bool) -> Result<(), LabError> {
        let data = self.dir().join("data");
        let link = |from: &Path, to: &Path| symlink(from, to).doing(|| format!("linking {}", to.display()));
        let installed = fs::read_dir(&self.install.data);
        for entry in installed.doing(|| format!("reading {}", self.install.data.display()))?.flatten() {
            if entry.file_name() != "sounds" {
                link(&entry.path(), &data.join(entry.file_name()))?;
            }
        }
        for language in ["fr", "en"] {
            link(&sounds.join(language), &data.join("sounds").join(language))?;
        }
        if settles {
            let settle = "temoin-settle.alaw";
            link(&sounds.join(settle), &data.join("sounds").join(settle))?;
        }
        for prompt in SILENT {
            let file = data.join("sounds").join(prompt).with_extension("sln");
            fs::write(&file, [0; 320]).doing(|| format!("writing {}", file.display()))?;
        }
        Ok(())
    }
}

/// Endpoints of the house, each with its contact if it has one.
fn phones(options: &LabOptions) -> String {
    let mut text = String::new();
    for extension in AGENTS.chain(OTHERS) {
        let template = if AGENTS.contains(&extension) { "agent" } else { "phone" };
        let _ = write!(
            text,
            "[{extension}]({template})\naors = {extension}\naccountcode = {extension}\n\
             [{extension}]\ntype = aor\n"
        );
        for (_, port) in options.phones.iter().filter(|(phone, _)| *phone == extension) {
            let _ = writeln!(text, "contact = sip:{extension}@127.0.0.1:{port}");
        }
    }
    text
}

fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut last: Vec<&str> = text.lines().rev().take(lines).collect();
    last.reverse();
    last.join("\n")
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    fs::write(path, text).doing(|| format!("writing {}", path.display()))
}
