//! Policy, packs and desk, read and checked whole. What is broken changes nothing: running rules stay in force.

use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use temoin_core::finding::Finding;
use temoin_core::pack;
use temoin_core::policy::Policy;
use temoin_core::session::{DrawKey, Rules};

use crate::clock::chance;
use crate::config::{Config, ConfigError};

/// Everything that is wrong with what was read.
#[derive(Debug)]
pub enum Fault {
    /// In `temoin.toml`, or a file that it names.
    Config(ConfigError),
    /// In the policy or a pack.
    Law(Finding),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Law(finding) => finding.fmt(f),
        }
    }
}

/// The texts of policy and packs, as named by the configuration.
pub struct Texts {
    /// File name and text.
    pub site: (String, String),
    /// File names and texts.
    pub packs: Vec<(String, String)>,
}

impl Texts {
    /// Reads them; the shipped packs where the configuration names no folder.
    pub fn read(config: &Config) -> Result<Self, ConfigError> {
        Self::of(&config.policy, config.packs.as_deref())
    }

    /// Reads a policy, and a folder of packs or the shipped ones.
    pub fn of(policy: &Path, packs: Option<&Path>) -> Result<Self, ConfigError> {
        let site = (name(policy), text(policy, "policy")?);
        let packs = match packs {
            None => {
                pack::shipped().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
            }
            Some(folder) => folder_of_packs(folder)?,
        };
        Ok(Self { site, packs })
    }

    /// The packs, borrowed.
    pub fn packs(&self) -> Vec<(&str, &str)> {
        self.packs.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
    }
}

/// Reads and checks everything that decides a call; also gives what is not well but does not forbid a start.
pub fn load(file: &Path) -> Result<(Rules, Config, Vec<Fault>), Vec<Fault>> {
    let wrap = |errors: Vec<ConfigError>| errors.into_iter().map(Fault::Config).collect::<Vec<_>>();
    let (config, hash) = Config::read(file).map_err(wrap)?;
    let texts = Texts::read(&config).map_err(|error| wrap(vec![error]))?;
    let policy = Policy::load((&texts.site.0, &texts.site.1), &texts.packs())
        .map_err(|findings| findings.into_iter().map(Fault::Law).collect::<Vec<_>>())?;
    let (desk, missing) = config.desk(hash);
    let unknown = config.lines.keys().filter(|line| policy.line(line).is_none()).map(|line| ConfigError {
        file: file.to_owned(),
        place: None,
        message: format!(
            "lines.{line}: the policy has no such line; name one of its lines, or take this away"
        ),
    });
    let unknown: Vec<ConfigError> = unknown.collect();
    if !unknown.is_empty() {
        return Err(wrap(unknown));
    }
    let key = draw_key(&config.sampling_key).map_err(|error| wrap(vec![error]))?;
    Ok((Rules { policy, desk, key }, config, wrap(missing)))
}

/// The key of the draws: 32 bytes, made at the first start, readable by its owner alone.
fn draw_key(path: &Path) -> Result<DrawKey, ConfigError> {
    let fault = |message: String| ConfigError { file: path.to_owned(), place: None, message };
    match std::fs::read(path) {
        Ok(bytes) => {
            let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
            if mode & 0o077 != 0 {
                return Err(fault("others can read the key of the draws: chmod 600 it".into()));
            }
            let key = <[u8; 32]>::try_from(bytes).map_err(|bytes| {
                fault(format!("the key of the draws has {} bytes, not 32: restore it", bytes.len()))
            })?;
            Ok(DrawKey(key))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let make = || {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                let key = chance()?;
                let mut file =
                    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
                file.write_all(&key)?;
                file.sync_all()?;
                Ok(DrawKey(key))
            };
            make().map_err(|error: std::io::Error| {
                fault(format!("the key of the draws cannot be made: {error}"))
            })
        }
        Err(error) => Err(fault(format!("the key of the draws cannot be read: {error}"))),
    }
}

fn folder_of_packs(folder: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let fault = |error: std::io::Error| ConfigError {
        file: folder.to_owned(),
        place: None,
        message: format!(
            "packs cannot be read: {error}; name a folder of packs, or leave `packs` out for the shipped"
        ),
    };
    let mut packs = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            packs.push((name(&path), text(&path, "packs")?));
        }
    }
    packs.sort();
    Ok(packs)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn text(path: &Path, key: &str) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError {
        file: path.to_owned(),
        place: None,
        message: format!("cannot be read: {error}; `{key}` in temoin.toml names it"),
    })
}
