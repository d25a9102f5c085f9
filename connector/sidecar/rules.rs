//! Policy, packs and desk, read and checked whole. What is broken changes nothing: running rules stay in force.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use temoin_core::command::Notice;
use temoin_core::finding::Code;
use temoin_core::journal::{Entry, What};
use temoin_core::pack;
use temoin_core::policy::Policy;
use temoin_core::ports::Change;
use temoin_core::session::{DrawKey, Rules};
use tokio::sync::watch;

use crate::clock::chance;
use crate::config::Config;
use crate::fault::Fault;
use crate::outbox::Outbox;

/// The texts of policy and packs, as named by the configuration.
pub struct Texts {
    /// File name and text.
    pub site: (String, String),
    /// File names and texts.
    pub packs: Vec<(String, String)>,
}

impl Texts {
    /// Reads them; the shipped packs where the configuration names no folder.
    pub fn read(config: &Config) -> Result<Self, Fault> {
        Self::of(&config.policy, config.packs.as_deref())
    }

    /// Reads a policy, and a folder of packs or the shipped ones.
    pub fn of(policy: &Path, packs: Option<&Path>) -> Result<Self, Fault> {
        let site = (policy.display().to_string(), text(policy, "policy")?);
        Ok(Self { site, packs: packs_of(packs)? })
    }

    /// The policy.
    ///
    /// # Errors
    /// All faults that bar it from being read.
    pub fn policy(&self) -> Result<Policy, Vec<Fault>> {
        Policy::load(self.site(), &self.packs())
            .map_err(|findings| findings.into_iter().map(|finding| Fault::from(finding).barring()).collect())
    }

    /// The policy's text, borrowed.
    pub fn site(&self) -> (&str, &str) {
        (&self.site.0, &self.site.1)
    }

    /// The packs, borrowed.
    pub fn packs(&self) -> Vec<(&str, &str)> {
        self.packs.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
    }
}

/// Reads everything that decides a call.
///
/// # Errors
/// All faults that make it unusable. What else is not well, `check` tells.
pub fn load(file: &Path) -> Result<(Rules, Config), Vec<Fault>> {
    let (config, hash) = Config::read(file)?;
    let texts = Texts::read(&config).map_err(|fault| vec![fault])?;
    let policy = texts.policy()?;
    let key = draw_key(&config.sampling_key).map_err(|fault| vec![fault])?;
    let (desk, _) = config.desk(hash);
    Ok((Rules { policy, desk, key }, config))
}

/// Reads both files anew, checks whole, swaps whole. A broken one changes nothing, and people are told; running calls
/// keep theirs either way.
pub fn renew(file: &Path, swap: &watch::Sender<Arc<Rules>>, outbox: &Outbox, now: Timestamp) {
    let entry = |what| vec![Change::Journal(Entry { at: now, call: None, segment: None, what })];
    match load(file) {
        Ok((rules, _)) => {
            let (policy, config) = (rules.policy.hash_hex(), rules.desk.hash.clone());
            tracing::info!(policy, "policy and configuration are in force for new calls");
            outbox.post(entry(What::Reloaded { policy, config }));
            swap.send_replace(Arc::new(rules));
        }
        Err(faults) => {
            for fault in &faults {
                tracing::error!(%fault, alarm = "reload-refused", "nothing was changed");
            }
            outbox.post(entry(What::Alarm(Notice::ReloadRefused { faults: faults.len() })));
        }
    }
}

/// The key of the draws: 32 bytes, made at the first start, readable by its owner alone.
fn draw_key(path: &Path) -> Result<DrawKey, Fault> {
    let fault = |error: std::io::Error| {
        let hint =
            format!("the key of the draws cannot be made or read: {error}; mend its folder, or restore it");
        Fault::of(path.display(), Code::Unreadable, hint).barring()
    };
    match look_at_key(path, "the key of the draws")? {
        Some(key) => Ok(DrawKey(key)),
        None => make_key(path).map(DrawKey).map_err(fault),
    }
}

/// Makes a key file that only its owner can read. One that is there is an error.
pub(crate) fn make_key(path: &Path) -> std::io::Result<[u8; 32]> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let key = chance()?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}

/// A key file, which nobody but its owner may read; none where there is no such file yet.
pub(crate) fn look_at_key(path: &Path, what: &str) -> Result<Option<[u8; 32]>, Fault> {
    let fault = |hint| Fault::of(path.display(), Code::Key, hint).barring();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(format!("{what} cannot be read: {error}; let this user own it"))),
    };
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        return Err(fault(format!("others can read {what}: chmod 600 it")));
    }
    let length = bytes.len();
    let key = <[u8; 32]>::try_from(bytes);
    key.map(Some).map_err(|_| fault(format!("{what} has {length} bytes, not 32: restore it")))
}

/// File names and texts of the packs in a folder; of the shipped ones without.
pub(crate) fn packs_of(folder: Option<&Path>) -> Result<Vec<(String, String)>, Fault> {
    let shipped = || pack::shipped().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    folder.map_or_else(|| Ok(shipped().collect()), folder_of_packs)
}

fn folder_of_packs(folder: &Path) -> Result<Vec<(String, String)>, Fault> {
    let fault = |error: std::io::Error| {
        let hint = format!(
            "packs cannot be read: {error}; name a folder of packs, or leave `packs` out for the shipped"
        );
        Fault::of(folder.display(), Code::Unreadable, hint).barring()
    };
    let mut packs = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            packs.push((path.display().to_string(), text(&path, "packs")?));
        }
    }
    packs.sort();
    Ok(packs)
}

fn text(path: &Path, key: &str) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|error| {
        let hint = format!("cannot be read: {error}; `{key}` in temoin.toml names it");
        Fault::of(path.display(), Code::Unreadable, hint).barring()
    })
}
