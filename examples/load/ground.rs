//! What the calls are played on: one Asterisk with the shipped dialplan, one sidecar, one phone for the customers and one
//! for each agent.
//!
//! The site is that of the scenarios (its line `sav` records everybody for quality), with the log at its default level
//! and a line `calme` that records nobody and so announces nothing. Asterisk logs no steps of the dialplan: that would
//! make it look slower than it is.

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use temoin_lab::scenario::{Child, Cli, Machine, Prompts, Sidecar, Site};
use temoin_lab::{AMI_SECRET, ARI_SECRET, Lab, LabOptions};
use temoin_phone::{Answering, Call, Phone, Tone};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::block_in_place;

use crate::proxy::Proxy;

/// The agents' extensions: those of the site.
const AGENTS: std::ops::RangeInclusive<u16> = 2001..=2097;
/// How long an agent lets it ring.
const RINGS: Duration = Duration::from_millis(200);
/// How long is waited for a key after the prompt; where nothing is recorded, or by Asterisk alone, the dialplan waits.
const KEY_WAIT: Duration = Duration::from_secs(2);
/// An agent's phone waits for calls as long as the program runs.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// The tones of agents and customers, at least 250 Hz apart from each other and from the prompts.
pub const AGENT_TONES: [u32; 3] = [1201, 1451, 1701];
/// As [`AGENT_TONES`]. None is a multiple of 50 Hz: within a second every packet is another one.
pub const CUSTOMER_TONES: [u32; 2] = [701, 951];
/// The prompt of the site, in French: the only one that is played.
pub const PROMPT_TONE: u32 = 2003;

/// Everything; it is gone, processes and files, when this is dropped.
pub struct Ground {
    /// The PBX.
    pub lab: Lab,
    /// The sidecar's command line.
    pub cli: Cli,
    /// Between the sidecar and ARI.
    pub proxy: Proxy,
    /// The phone that all customers call from.
    pub customers: Phone,
    child: Child,
    folder: TempDir,
    expected: Arc<Mutex<HashMap<String, oneshot::Sender<Call>>>>,
}

impl Ground {
    /// Starts the PBX and the phones, with room for so many calls at once. Not the sidecar.
    pub async fn start(sidecar: Sidecar, calls: u16) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("temoin-load-").tempdir_in("/tmp").map_err(told)?;
        let site = site(&folder.path().join("site"))?;
        let expected = Arc::new(Mutex::new(HashMap::new()));
        let mut phones = Vec::new();
        for extension in AGENTS {
            let phone = agent(extension, &expected).await?;
            phones.push((extension, phone.address().port()));
        }
        let prompt = folder.path().join("installed/prompts/fr/temoin-opt-out");
        let options = LabOptions {
            phones,
            calls,
            more: vec![
                ("extensions.conf", numbers(&prompt)),
                // At the end of its section [options].
                ("asterisk.conf", "verbose = 0\n".to_owned()),
            ],
            ..LabOptions::default()
        };
        let lab = block_in_place(|| Lab::start(options)).map_err(told)?;
        let proxy = Proxy::start(lab.ari).map_err(told)?;
        let machine = Machine {
            ami: lab.ami.port(),
            ami_secret: AMI_SECRET,
            ari: proxy.address.port(),
            ari_secret: ARI_SECRET,
        };
        let config = site.install(&folder.path().join("installed"), &machine).map_err(told)?;
        let cli = Cli::new(sidecar, config);
        let child = Child::new(cli.clone(), folder.path().join("sidecar.log")).map_err(told)?;
        let customers = Phone::bind(Ipv4Addr::new(127, 0, 0, 2), "customers").await.map_err(told)?;
        Ok(Self { lab, cli, proxy, customers, child, folder, expected })
    }

    /// Starts the sidecar, unless it runs, and waits until it is ready.
    pub fn serve(&mut self) -> Result<(), String> {
        match self.child.pid() {
            Some(_) => Ok(()),
            None => block_in_place(|| self.child.start()).map_err(told),
        }
    }

    /// Asks the sidecar to end; its last lines if it does not do so in good order.
    pub fn end(&mut self) -> Result<(), String> {
        match block_in_place(|| self.child.end()) {
            Some(0) => Ok(()),
            status => Err(format!("the sidecar ended with {status:?}:\n{}", self.log_tail())),
        }
    }

    /// The sidecar's process, while it runs.
    pub fn sidecar(&self) -> Option<u32> {
        self.child.pid()
    }

    /// The number that brings a call to its agent by one of the ways, and the agent's tone.
    pub fn number(prefix: u8, call: u16) -> (String, u32) {
        let agents = AGENTS.len() as u16;
        let agent = AGENTS.start() + call % agents;
        (format!("{prefix}{agent}{call:05}"), tone(agent))
    }

    /// The agent's side of the call of this customer, once it reaches a phone.
    pub fn expect(&self, customer: &str) -> oneshot::Receiver<Call> {
        let (sender, receiver) = oneshot::channel();
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).insert(customer.to_owned(), sender);
        receiver
    }

    /// Where Asterisk alone leaves the recording of a call: what the customer says, and what he hears.
    pub fn bare_recording(&self, call: u16) -> [PathBuf; 2] {
        ["in", "out"].map(|side| self.lab.recordings().join(format!("{call:05}-{side}.wav")))
    }

    /// Whether the sidecar has taken everything out of its spool.
    pub fn spool_is_empty(&self) -> bool {
        let spool = fs::read_dir(self.folder.path().join("installed/spool"));
        spool.is_ok_and(|mut files| files.next().is_none())
    }

    /// A file of this name to write to.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The last lines of the sidecar's log.
    pub fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("sidecar.log")).unwrap_or_default();
        let mut last: Vec<&str> = log.lines().rev().take(20).collect();
        last.reverse();
        last.join("\n")
    }
}

/// What an error says.
pub fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn tone(extension: u16) -> u32 {
    AGENT_TONES[usize::from(extension) % AGENT_TONES.len()]
}

/// A phone that answers every call, and hands it to whoever expects its customer.
async fn agent(
    extension: u16,
    expected: &Arc<Mutex<HashMap<String, oneshot::Sender<Call>>>>,
) -> Result<Phone, String> {
    let phone = Phone::bind(Ipv4Addr::LOCALHOST, &extension.to_string()).await.map_err(told)?;
    phone.speak(Tone::new(tone(extension)));
    phone.answer_with(Answering::After(RINGS));
    let (taker, expected) = (phone.clone(), Arc::clone(expected));
    tokio::spawn(async move {
        while let Ok(call) = taker.next_call(FOREVER).await {
            let customer = call.caller().user.clone();
            let expects = expected.lock().unwrap_or_else(PoisonError::into_inner).remove(&customer);
            if let Some(expects) = expects {
                // Who does not wait any more has given the call up, and counts it as failed.
                let _ = expects.send(call);
            }
        }
    });
    Ok(phone)
}

/// The site of the scenarios, in a folder of its own, with the log and the line that this is about.
fn site(folder: &Path) -> Result<Site, String> {
    let of = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/site");
    let read = |name: &str| fs::read_to_string(of.join(name)).map_err(|error| format!("{name}: {error}"));
    fs::create_dir_all(folder).map_err(told)?;
    symlink(of.join("packs"), folder.join("packs")).map_err(told)?;
    let line = "\n[lines.calme]\nnumbers = [\"+33199000099\"]\nmarkets = [\"FR\"]\npurposes = [\"quality\"]\n\
                keys = { object = \"1\", info = \"9\", agent_stop = \"*9\" }\n[lines.calme.prompts.fr]\n\
                version = \"fr-1\"\npurposes = [\"quality\"]\n\
                says = [\"controller\", \"purposes\", \"object\", \"rights\"]\n";
    fs::write(folder.join("policy.toml"), read("policy.toml")? + line).map_err(told)?;
    let mut config: toml::Table = read("temoin.toml")?.parse().map_err(told)?;
    config.remove("log");
    let wait = format!("{}ms", KEY_WAIT.as_millis());
    config.insert("wait".into(), toml::Table::from_iter([("opt_out".to_owned(), wait.into())]).into());
    fs::write(folder.join("temoin.toml"), config.to_string()).map_err(told)?;
    Ok(Site { folder: folder.to_owned(), prompts: Prompts::Tones })
}

/// The numbers of the ways: two digits for the way, four for the agent, five for the call.
fn numbers(prompt: &Path) -> String {
    let (prompt, wait) = (prompt.display(), KEY_WAIT.as_secs_f64());
    format!(
        "[from-trunk](+)
; Not recorded.
exten => _60XXXXXXXXX,1,Answer()
 same => n,Playback({prompt})
 same => n,Wait({wait})
 same => n,Dial(PJSIP/${{EXTEN:2:4}},30,tT)
 same => n,Hangup()
; Recorded by Asterisk alone, both sides apart as Témoin orders it.
exten => _61XXXXXXXXX,1,Answer()
 same => n,Playback({prompt})
 same => n,Wait({wait})
 same => n,MixMonitor(,br(${{EXTEN:6}}-in.wav)t(${{EXTEN:6}}-out.wav))
 same => n,Dial(PJSIP/${{EXTEN:2:4}},30,tT)
 same => n,Hangup()
; Témoin: a line where everybody is recorded.
exten => _62XXXXXXXXX,1,Gosub(temoin-inbound,s,1(sav))
 same => n,GotoIf($[\"${{GOSUB_RETVAL}}\"=\"REFUSED\"]?refused,1)
 same => n,Goto(extensions,${{EXTEN:2:4}},1)
; The hook alone: what Asterisk does in its place, the hook, and the hook of a line that announces nothing.
exten => _63XXXXXXXXX,1,Answer()
 same => n,Playback({prompt})
 same => n,Wait({wait})
 same => n,Hangup(16)
exten => _64XXXXXXXXX,1,Gosub(temoin-inbound,s,1(sav))
 same => n,Hangup(${{IF($[\"${{GOSUB_RETVAL}}\"=\"ADMITTED\"]?16:41)}})
exten => _65XXXXXXXXX,1,Gosub(temoin-inbound,s,1(calme))
 same => n,Hangup(${{IF($[\"${{GOSUB_RETVAL}}\"=\"ADMITTED\"]?16:41)}})
"
    )
}
