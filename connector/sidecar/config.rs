//! `temoin.toml`: how this machine does it. One struct a concern, unknown keys refused, every fault with its place and
//! its mend; environment variables `TEMOIN__SECTION__KEY` override single values. Relative paths are relative to the
//! file. What may be recorded, and why, is not here but in the policy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use temoin_core::command::Media;
use temoin_core::desk::{Announcer, Codes, Desk, DeskLine, Machine, Sounds, Text, Timing, Unavailable};
use temoin_core::finding::Code;
use temoin_core::policy::Key;
use temoin_core::words::AgentCode;

use crate::fault::Fault;
use crate::reading;
use crate::wiring::AsteriskConfig;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This node's name in the journal; one chain a node.
    #[serde(default = "default_node")]
    pub node: String,
    /// The site's name in the journal, where several sites come together.
    #[serde(default)]
    pub site: String,
    /// The site policy.
    pub policy: PathBuf,
    /// A folder of packs that replaces the shipped ones.
    pub packs: Option<PathBuf>,
    /// The PBX.
    pub asterisk: AsteriskConfig,
    /// The index.
    pub store: StoreConfig,
    /// The vault.
    pub vault: VaultConfig,
    /// The key of the draws, 32 bytes; made at the first start.
    pub sampling_key: PathBuf,
    /// The key under which the register keeps numbers, 32 bytes; made at its first use. Unless named, `register.key`
    /// beside the key of the draws.
    pub register_key: Option<PathBuf>,
    /// The sounds.
    pub prompts: PromptsConfig,
    /// Which agent sits at which extension.
    #[serde(default)]
    pub extensions: BTreeMap<String, String>,
    /// An agent's codes beside those of the policy.
    #[serde(default)]
    pub codes: CodesConfig,
    /// By line of the policy.
    #[serde(default)]
    pub lines: BTreeMap<String, LineConfig>,
    /// Waits.
    #[serde(default)]
    pub wait: WaitConfig,
    /// How much room must be left on the disks.
    #[serde(default)]
    pub room: RoomConfig,
    /// Logs.
    #[serde(default)]
    pub log: LogConfig,
}

/// The index.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The SQLite file.
    pub path: PathBuf,
}

/// The vault.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultConfig {
    /// The folder of the encrypted recordings.
    pub path: PathBuf,
    /// The file of the key that wraps theirs; made at the first start, mode 0600.
    pub key: PathBuf,
}

/// The sounds: `<folder>/<language>/temoin-<text>.wav`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptsConfig {
    /// The folder that both this program and the PBX can read.
    pub folder: PathBuf,
}

/// One line.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineConfig {
    /// Whether a call goes on when it cannot be recorded: `admit` or `refuse`.
    #[serde(default)]
    pub unavailable: Unavailable,
    /// Who tells the customer: `prompt`, or `agent`, by his code.
    #[serde(default)]
    pub announce: Announcer,
    /// How an answering machine is known when a customer is called: `code`, or `amd` too.
    #[serde(default)]
    pub machine: Machine,
    /// Sounds of its own: language, then text, then file.
    #[serde(default)]
    pub audio: BTreeMap<String, BTreeMap<Text, PathBuf>>,
}

/// An agent's codes that say nothing of a line, so that no policy has them: one to four of `0-9 * #`, or `"off"`. Those that
/// the file does not have are [`Codes::default`]'s.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodesConfig {
    /// What is recorded at the agent's wish alone begins; again: ends.
    pub triggered: Option<CodeKey>,
    /// A regulated talk begins; again: ends.
    pub regulated: Option<CodeKey>,
    /// An answering machine; again: somebody has picked up.
    pub machine: Option<CodeKey>,
}

/// One of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct CodeKey(Key);

impl TryFrom<String> for CodeKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let key = Key::parse(&text, 4).map(Self);
        key.ok_or_else(|| format!("`{text}` is no code: write one to four of 0-9 * #, or \"off\""))
    }
}

impl CodesConfig {
    /// As the calls want them.
    pub fn codes(&self) -> Codes {
        let mut codes = Codes::default();
        codes.0.extend(self.written().0);
        codes
    }

    /// Those that the file has.
    pub fn written(&self) -> Codes {
        let all = [
            (AgentCode::Triggered, &self.triggered),
            (AgentCode::Regulated, &self.regulated),
            (AgentCode::Machine, &self.machine),
        ];
        let written = all.into_iter().filter_map(|(code, key)| Some((code, key.as_ref()?.0.clone())));
        Codes(written.collect())
    }
}

/// Waits, as `"2s"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaitConfig {
    /// For a key after an announcement that asks for an objection.
    #[serde(with = "humantime_serde")]
    pub opt_out: Duration,
    /// For a key after an announcement that asks for a yes.
    #[serde(with = "humantime_serde")]
    pub opt_in: Duration,
}

impl Default for WaitConfig {
    fn default() -> Self {
        let timing = Timing::default();
        Self { opt_out: timing.opt_out_wait, opt_in: timing.opt_in_wait }
    }
}

/// With less left than this, nothing new is recorded and lines that must be recorded are refused, as `"256 MiB"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoomConfig {
    /// Where the PBX records.
    pub spool: Size,
    /// Where the index lies.
    pub index: Size,
    /// Where recordings are kept.
    pub vault: Size,
}

impl Default for RoomConfig {
    fn default() -> Self {
        let size = Size(256 << 20);
        Self { spool: size, index: size, vault: size }
    }
}

/// So many bytes, written as `"256 MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Size(pub u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
        let size = units.iter().find_map(|(unit, bits)| {
            let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
            number.checked_mul(1 << bits)
        });
        size.map(Self)
            .ok_or_else(|| format!("`{text}` is no size: write it as \"256 MiB\", with KiB, MiB or GiB"))
    }
}

/// Logs go to standard error; journald keeps them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: LogFormat,
    /// As `info` or `temoin=debug`.
    pub level: Option<String>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

impl Config {
    /// Reads the file and the environment; paths come out absolute. Also gives the SHA-256 of the file, hex.
    ///
    /// # Errors
    /// All faults that can be told at once; each bars a start.
    pub fn read(file: &Path) -> Result<(Self, String), Vec<Fault>> {
        let (config, faults, hash) = Self::look(file);
        match config {
            Some(config) if faults.is_empty() => Ok((config, hash)),
            _ => Err(faults),
        }
    }

    /// The same for a look at what is there: with faults, too, what the file says as far as it can be told. What is
    /// wrong or missing is empty then.
    pub fn look(file: &Path) -> (Option<Self>, Vec<Fault>, String) {
        let name = file.display().to_string();
        let fault = |code, hint: String| vec![Fault::of(&name, code, hint).barring()];
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                let hint = format!("cannot be read: {error}; name the file with --config, or put it there");
                return (None, fault(Code::Unreadable, hint), String::new());
            }
        };
        let hash = hex(&Sha256::digest(text.as_bytes()));
        let merged = config::Config::builder()
            .add_source(config::File::from_str(&text, config::FileFormat::Toml))
            .add_source(config::Environment::with_prefix("TEMOIN").separator("__"))
            .build()
            .and_then(config::Config::try_deserialize::<Self>);
        let (mut config, faults) = match merged {
            Ok(config) => (Some(config), Vec::new()),
            // The layered reader knows the key but not the line, and stops at the first; the file alone tells them.
            Err(layered) => match reading::read::<Self>(&name, &text, variable) {
                (config, faults) if faults.is_empty() => {
                    let hint = format!("{layered}, from an environment variable TEMOIN__…; unset or mend it");
                    (config, fault(Code::BadValue, hint))
                }
                read => read,
            },
        };
        let base = std::path::absolute(file)
            .ok()
            .and_then(|path| path.parent().map(Path::to_owned))
            .unwrap_or_default();
        if let Some(config) = &mut config {
            config.rebase(&base);
        }
        (config, faults, hash)
    }

    fn rebase(&mut self, base: &Path) {
        let paths = [
            &mut self.policy,
            &mut self.store.path,
            &mut self.vault.path,
            &mut self.vault.key,
            &mut self.sampling_key,
            &mut self.prompts.folder,
            &mut self.asterisk.spool,
        ];
        let audio =
            self.lines.values_mut().flat_map(|line| line.audio.values_mut()).flat_map(BTreeMap::values_mut);
        for path in
            paths.into_iter().chain(self.packs.as_mut()).chain(self.register_key.as_mut()).chain(audio)
        {
            if !path.as_os_str().is_empty() {
                *path = base.join(&*path);
            }
        }
    }

    /// The file of the key of the register.
    pub fn register_key(&self) -> PathBuf {
        let beside = || match &self.sampling_key {
            unset if unset.as_os_str().is_empty() => PathBuf::new(),
            key => key.with_file_name("register.key"),
        };
        self.register_key.clone().unwrap_or_else(beside)
    }

    /// The desk for the calls: every sound looked at and measured. A sound that is missing is reported; the calls that
    /// need it count as not announced.
    pub fn desk(&self, hash: String) -> (Desk, Vec<Fault>) {
        let mut faults = Vec::new();
        let mut sounds = BTreeMap::new();
        for language in languages(&self.prompts.folder) {
            let folder = self.prompts.folder.join(&language);
            let files = SHIPPED.iter().map(|(text, name)| (*text, folder.join(format!("{name}.wav"))));
            let mut of_language = measure(files, &language, &mut faults);
            // `fr-BE` may have a few of its own, and the others from `fr`.
            of_language.retain(|_, sound| sound.is_some());
            sounds.insert(language, of_language);
        }
        if sounds.is_empty() {
            let hint = "prompts.folder has no folder of a language in it: copy dialplans/sounds there";
            faults.push(Fault::of(self.prompts.folder.display(), Code::Sound, hint));
        }
        let lines = self.lines.iter().map(|(name, line)| {
            let sounds = line.audio.iter().map(|(language, files)| {
                let files = files.iter().map(|(text, path)| (*text, path.clone()));
                (language.clone(), measure(files, language, &mut faults))
            });
            let sounds = sounds.collect();
            let LineConfig { unavailable, announce, machine, .. } = *line;
            (name.clone(), DeskLine { unavailable, announce, machine, sounds })
        });
        let lines = lines.collect();
        let timing =
            Timing { opt_out_wait: self.wait.opt_out, opt_in_wait: self.wait.opt_in, ..Timing::default() };
        let (extensions, codes) = (self.extensions.clone(), self.codes.codes());
        (Desk { hash, extensions, lines, sounds, codes, timing }, faults)
    }
}

/// The sounds that come with the program.
pub const SHIPPED: [(Text, &str); 8] = [
    (Text::OptOut, "temoin-opt-out"),
    (Text::OptIn, "temoin-opt-in"),
    (Text::Notice, "temoin-notice"),
    (Text::Info, "temoin-info"),
    (Text::Refused, "temoin-refused"),
    (Text::Unavailable, "temoin-unavailable"),
    (Text::Alternative, "temoin-alternative"),
    (Text::Contract, "temoin-contract"),
];

fn default_node() -> String {
    "temoin".into()
}

fn languages(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn measure(files: impl Iterator<Item = (Text, PathBuf)>, language: &str, faults: &mut Vec<Fault>) -> Sounds {
    let mut media = |path: PathBuf| match length(&path) {
        Ok(length) => {
            let name = path.with_extension("").to_string_lossy().into_owned();
            Some(Media { name, length, language: language.to_owned() })
        }
        Err(hint) => {
            faults.push(Fault::of(path.display(), Code::Sound, hint));
            None
        }
    };
    files.map(|(text, path)| (text, media(path))).collect()
}

fn length(path: &Path) -> Result<Duration, String> {
    let reader = hound::WavReader::open(path).map_err(|error| {
        format!("not a readable WAV ({error}): calls that need it are not announced; put it there")
    })?;
    let (samples, rate) = (reader.duration(), reader.spec().sample_rate);
    if samples == 0 || rate == 0 {
        return Err("has no sound in it: calls that need it are not announced; record it anew".into());
    }
    Ok(Duration::from_secs_f64(f64::from(samples) / f64::from(rate)))
}

/// What an environment variable gives for a key.
fn variable(key: &str) -> Option<String> {
    std::env::var(format!("TEMOIN__{}", key.replace('.', "__").to_uppercase())).ok()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_whose_own_sound_is_gone_plays_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialplans/sounds");
        let text = format!(
            "policy = \"p.toml\"\n[prompts]\nfolder = '{}'\n[lines.accueil.audio.fr]\nopt-out = \"gone.wav\"\n",
            shipped.display()
        );
        let file = folder.path().join("temoin.toml");
        std::fs::write(&file, text).expect("a file");
        let config = Config::look(&file).0.expect("a configuration, whatever it lacks");
        let (desk, faults) = config.desk(String::new());
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(desk.sound("accueil", "fr", Text::OptOut), None);
        assert!(
            desk.sound("accueil", "fr", Text::Info)
                .is_some_and(|media| media.name.ends_with("fr/temoin-info"))
        );
        assert!(desk.sound("sav", "fr-BE", Text::OptOut).is_some());
        assert_eq!(desk.sound("sav", "xx", Text::OptOut), None);
    }
}
