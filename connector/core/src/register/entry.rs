//! What is entered.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EntryId, NumberTag, RegisterKey};
use crate::facts::Scope;
use crate::number::E164;
use crate::words::Errand;

/// One consent or one do-not-call of one number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub id: EntryId,
    /// Of which number.
    pub number: NumberTag,
    /// Under which key the number and the id were made ([`RegisterKey::id`]).
    pub key: String,
    /// What people see of the number: its country's code and its last two digits, `+33…34`.
    pub shown: String,
    /// What was said.
    pub subject: Subject,
    /// When it was said; from then on it counts.
    pub from: Timestamp,
    /// When it ends by itself, exclusive; never where absent.
    pub until: Option<Timestamp>,
    /// When it was entered here.
    pub entered: Timestamp,
    /// When and how it was withdrawn.
    pub withdrawn: Option<Withdrawal>,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Subject {
    /// Somebody agreed.
    Consent(Consent),
    /// Somebody must not be called.
    DoNotCall(DoNotCall),
}

/// What somebody agreed to, and how that can be proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// To what.
    pub to: ConsentTo,
    /// How it was obtained: `web-form`, `paper`, `call`, …
    pub how: String,
    /// The wording that was agreed to, or its version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// Where the evidence lies: a reference, not the evidence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence: Option<String>,
    /// Only on this line of the policy; on all where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<String>,
    /// Only for this sales campaign; for all where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub campaign: Option<String>,
}

/// What a consent is to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentTo {
    /// To be called by somebody who sells.
    Marketing,
    /// To be recorded, for all purposes or for some.
    Recording(Scope),
}

/// Who must not be called, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoNotCall {
    /// Who says so.
    pub source: Source,
    /// Only by those who sell; otherwise by nobody for whatever reason. A national list is always only about selling.
    pub selling_only: bool,
}

/// Where a do-not-call comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Our own decision.
    Own,
    /// The person asked for it, in a call or otherwise.
    Request,
    /// A list of a country or a trade, by its name: `bloctel`.
    List(String),
}

/// That an entry was withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// When the person said so; from then on the entry no longer counts.
    pub at: Timestamp,
    /// How: `call`, `e-mail`, …
    pub how: String,
}

/// Where an entry stands at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It counts only later.
    Later,
    /// It counts.
    Standing,
    /// Its time is over.
    Expired,
    /// It was withdrawn.
    Withdrawn,
}

impl Entry {
    /// What somebody said, as it is entered at `entered`. The same again has the same id.
    pub fn new(
        key: &RegisterKey,
        number: &E164,
        subject: Subject,
        (from, until): (Timestamp, Option<Timestamp>),
        entered: Timestamp,
    ) -> Self {
        let until_text = until.map(|until| until.to_string()).unwrap_or_default();
        // A national list has a number once, whenever it was read.
        let dates = match subject.list() {
            Some(_) => format!("\n{until_text}"),
            None => format!("\n{from}\n{until_text}"),
        };
        Self {
            id: key.entry(number, &subject, &dates),
            number: key.tag(number),
            key: key.id(),
            shown: shown(number),
            subject,
            from,
            until,
            entered,
            withdrawn: None,
        }
    }

    /// Where it stands at an instant.
    pub fn state(&self, at: Timestamp) -> State {
        if self.withdrawn.as_ref().is_some_and(|withdrawn| withdrawn.at <= at) {
            State::Withdrawn
        } else if self.until.is_some_and(|until| until <= at) {
            State::Expired
        } else if self.from > at {
            State::Later
        } else {
            State::Standing
        }
    }

    /// When it ceases to count: its end or its withdrawal, whichever is earlier; never where absent.
    pub fn ends(&self) -> Option<Timestamp> {
        let withdrawn = self.withdrawn.as_ref().map(|withdrawn| withdrawn.at);
        self.until.into_iter().chain(withdrawn).min()
    }

    /// Withdraws it, once: whether that changed anything. What a national list says is not ours to withdraw.
    pub fn withdraw(&mut self, withdrawal: Withdrawal) -> bool {
        let may = self.withdrawn.is_none() && self.subject.list().is_none();
        if may {
            self.withdrawn = Some(withdrawal);
        }
        may
    }
}

impl Subject {
    /// The list that it is from, if it is from one.
    pub fn list(&self) -> Option<&str> {
        match self {
            Self::DoNotCall(DoNotCall { source: Source::List(name), .. }) => Some(name),
            Self::DoNotCall(_) | Self::Consent(_) => None,
        }
    }

    /// One word: `consent` or `do-not-call`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Consent(_) => "consent",
            Self::DoNotCall(_) => "do-not-call",
        }
    }

    /// Words of what it is about, for people and for counts: `marketing`, `recording:quality`, `own`, `list:bloctel`.
    pub fn label(&self) -> String {
        match self {
            Self::Consent(Consent { to: ConsentTo::Marketing, .. }) => "marketing".to_owned(),
            Self::Consent(Consent { to: ConsentTo::Recording(Scope::All), .. }) => "recording".to_owned(),
            Self::Consent(Consent { to: ConsentTo::Recording(Scope::Only(purposes)), .. }) => {
                let purposes: Vec<&str> = purposes.iter().map(|purpose| purpose.as_str()).collect();
                format!("recording:{}", purposes.join("+"))
            }
            Self::DoNotCall(DoNotCall { source: Source::Own, .. }) => "own".to_owned(),
            Self::DoNotCall(DoNotCall { source: Source::Request, .. }) => "request".to_owned(),
            Self::DoNotCall(DoNotCall { source: Source::List(name), .. }) => format!("list:{name}"),
        }
    }

    /// The same text for the same thing said, and another for another.
    pub(super) fn canonical(&self) -> String {
        let quoted = |text: &Option<String>| format!("{text:?}");
        match self {
            Self::Consent(consent) => {
                let Consent { how, text, evidence, line, campaign, .. } = consent;
                let rest = [text, evidence, line, campaign].map(quoted).join("\n");
                format!("consent\n{}\n{how:?}\n{rest}", self.label())
            }
            Self::DoNotCall(DoNotCall { selling_only, .. }) => {
                format!("do-not-call\n{:?}\n{selling_only}", self.label())
            }
        }
    }
}

impl Consent {
    /// Whether there is a reference to the evidence, and it is known what was agreed to: without both the trader, who
    /// bears the proof, has none.
    pub fn is_proved(&self) -> bool {
        self.evidence.is_some() && self.text.is_some()
    }

    /// Whether it is about calls of a line for a sales campaign.
    pub fn covers(&self, line: &str, campaign: Option<&str>) -> bool {
        self.line.as_deref().is_none_or(|only| only == line)
            && self.campaign.as_deref().is_none_or(|only| Some(only) == campaign)
    }
}

impl DoNotCall {
    /// Whether it is about calls for this; where a line does not say what it calls for, everything is.
    pub fn covers(&self, errand: Option<Errand>) -> bool {
        match (&self.source, errand) {
            (_, None) => true,
            // The lists are of consumers, and about being sold something new (in France until 11 August 2026: C. conso
            // L223-1 as it was).
            (Source::List(_), Some(errand)) => errand == Errand::Marketing,
            (Source::Own | Source::Request, Some(Errand::Service)) => !self.selling_only,
            (Source::Own | Source::Request, Some(_)) => true,
        }
    }
}

/// The country's code and the last two digits.
fn shown(number: &E164) -> String {
    let text = number.as_str();
    let code = crate::origin::country_code(number).map_or_else(String::new, |code| format!("+{code}"));
    format!("{code}…{}", text.get(text.len().saturating_sub(2)..).unwrap_or_default())
}
