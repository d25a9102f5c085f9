//! The desk: what a call must know of how this machine does it – who sits at which extension, which sound says what,
//! how long to wait. The sidecar reads it from `temoin.toml`; what may be done, and why, is the policy's.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::Media;
use crate::policy::Key;
use crate::words::{AgentCode, Gate};

/// How this machine does it.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    /// SHA-256 of `temoin.toml`, hex.
    pub hash: String,
    /// The agent at an extension, where the channel does not say it itself.
    pub extensions: BTreeMap<String, String>,
    /// By name of the line.
    pub lines: BTreeMap<String, DeskLine>,
    /// Sounds for every line that has none of its own, by language.
    pub sounds: BTreeMap<String, Sounds>,
    /// An agent's codes beside those of the policy.
    pub codes: Codes,
    /// How long things take.
    pub timing: Timing,
}

/// An agent's codes beside those of the policy, which go before them where both have the same digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes(pub BTreeMap<AgentCode, Key>);

impl Default for Codes {
    fn default() -> Self {
        let digits = |code, digits: &str| (code, Key::Digits(digits.into()));
        Self(
            [
                digits(AgentCode::Triggered, "*3"),
                digits(AgentCode::Regulated, "*2"),
                digits(AgentCode::Machine, "*0"),
            ]
            .into(),
        )
    }
}

impl Codes {
    /// The digits of a code, unless it is switched off.
    pub fn digits(&self, code: AgentCode) -> Option<&str> {
        match self.0.get(&code)? {
            Key::Off => None,
            Key::Digits(digits) => Some(digits),
        }
    }

    /// The code that has these digits: the first, where several do.
    pub fn of(&self, digits: &str) -> Option<AgentCode> {
        self.0.keys().copied().find(|code| self.digits(*code) == Some(digits))
    }
}

/// How one line does it.
#[derive(Clone, Debug, Default)]
pub struct DeskLine {
    /// Whether a call of this line may go on when it cannot be recorded.
    pub unavailable: Unavailable,
    /// Who tells the customer.
    pub announce: Announcer,
    /// Whether the PBX must find out if a machine has answered, before it says anything (outbound).
    pub machine: Machine,
    /// Its own sounds, by language of the prompt.
    pub sounds: BTreeMap<String, Sounds>,
}

/// Who tells the customer that he may be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Announcer {
    /// The PBX, by a prompt, before he talks with anybody.
    #[default]
    Prompt,
    /// The agent, who attests it by his code; recording starts only then.
    Agent,
}

/// How an answering machine is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Machine {
    /// By the agent, who says so by his code.
    #[default]
    Code,
    /// By the PBX's own detector, too, before the announcement. It listens for some seconds first.
    Amd,
}

/// What to do with a call while recording is not to be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unavailable {
    /// The call goes on, not recorded.
    #[default]
    Admit,
    /// A mandatory line: the call must not go on.
    Refuse,
}

/// The sounds of one language. `None`: named, but not to be played, so that no other takes its place unnoticed.
pub type Sounds = BTreeMap<Text, Option<Media>>;

/// What a sound says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Text {
    /// "We record some calls for …; press … and yours is not."
    OptOut,
    /// "May we record …? Press … for yes."
    OptIn,
    /// "This call is recorded."
    Notice,
    /// Controller, periods, rights.
    Info,
    /// "The recording is off."
    Refused,
    /// "We cannot go on by telephone."
    Unavailable,
    /// "You can also reach us at …"
    Alternative,
    /// "We come to your order; from here on it is recorded as proof." Said in the talk, as a contract talk begins.
    Contract,
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For a key after an announcement that asks for an objection.
    pub opt_out_wait: Duration,
    /// For a key after an announcement that asks for a yes.
    pub opt_in_wait: Duration,
    /// Between two beats of the dead-man timer.
    pub beat: Duration,
    /// Between the end of one segment and the start of the next.
    pub settle: Duration,
    /// Until a stop that is not confirmed is ordered again.
    pub stop_again: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            opt_out_wait: Duration::from_secs(2),
            opt_in_wait: Duration::from_secs(5),
            beat: Duration::from_millis(1300),
            settle: Duration::from_millis(100),
            stop_again: Duration::from_millis(500),
        }
    }
}

impl Timing {
    /// How long a key is awaited after an announcement.
    pub fn wait(&self, gate: Gate) -> Duration {
        match gate {
            Gate::OptIn => self.opt_in_wait,
            Gate::OptOut => self.opt_out_wait,
            Gate::Silent | Gate::Notice | Gate::Forbidden => Duration::ZERO,
        }
    }
}

impl Desk {
    /// The sound of a text for a line, in the prompt's language (`fr-BE`, then `fr`). A line that has a sound of its own
    /// for a text never plays another: what it says is not what the line's prompt says.
    pub fn sound(&self, line: &str, language: &str, text: Text) -> Option<&Media> {
        let languages = [language, language.split('-').next().unwrap_or(language)];
        let own = self.lines.get(line).map(|line| &line.sounds);
        [own, Some(&self.sounds)]
            .into_iter()
            .flatten()
            .flat_map(|sounds| languages.iter().filter_map(|language| sounds.get(*language)))
            .find_map(|sounds| sounds.get(&text))?
            .as_ref()
    }

    /// Who tells the customers of this line.
    pub fn announcer(&self, line: &str) -> Announcer {
        self.lines.get(line).map(|line| line.announce).unwrap_or_default()
    }

    /// How this line knows an answering machine.
    pub fn machine(&self, line: &str) -> Machine {
        self.lines.get(line).map(|line| line.machine).unwrap_or_default()
    }

    /// Whether calls of this line may go on when they cannot be recorded.
    pub fn unavailable(&self, line: &str) -> Unavailable {
        self.lines.get(line).map(|line| line.unavailable).unwrap_or_default()
    }
}
