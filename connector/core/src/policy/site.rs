//! What a site policy says, typed (`FORMAT.md`, section 2).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::{Date, Time};
use serde::Serialize;

use crate::pack::Rule;
use crate::time::{Bound, Zone};
use crate::words::*;

/// Everything one controller says in its policy.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name for people.
    pub name: String,
    /// The zone of every line that sets none.
    pub zone: Zone,
    /// Who is responsible.
    pub controller: Controller,
    /// What recordings are made for here.
    pub purposes: Vec<Purpose>,
    /// Packs that apply to every line.
    pub overlays: Vec<Arc<str>>,
    /// The lines, by name.
    pub lines: BTreeMap<Arc<str>, Line>,
    /// The campaigns, by name.
    pub campaigns: BTreeMap<Arc<str>, Campaign>,
    /// What is on file.
    pub prerequisites: Prerequisites,
    /// The agents, by id.
    pub agents: BTreeMap<Arc<str>, Agent>,
    /// Who is never recorded.
    pub exempt: Exempt,
    /// Exceptions from caps, by name.
    pub exceptions: BTreeMap<Arc<str>, Exception>,
    /// Which purposes a role may hear.
    pub roles: BTreeMap<Arc<str>, Vec<Purpose>>,
    /// What the site asks of itself beyond the packs: rules cited as `site/tighten.<purpose>`.
    pub tighten: BTreeMap<Purpose, Rule>,
}

/// Who is responsible for the recordings.
#[derive(Clone, Debug)]
pub struct Controller {
    /// Its name.
    pub name: String,
    /// Where people turn to about their rights.
    pub contact: String,
    /// The data protection officer.
    pub dpo: Option<String>,
    /// The authority one may complain to.
    pub authority: Option<String>,
}

/// What a customer dials, or what an agent dials out on.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name.
    pub name: Arc<str>,
    /// Its numbers in E.164 form.
    pub numbers: Vec<Arc<str>>,
    /// The territories it serves.
    pub markets: Vec<Territory>,
    /// The sector packs that apply to it.
    pub sectors: Vec<Arc<str>>,
    /// Its zone: its own, or that of the site.
    pub zone: Zone,
    /// What it calls people for; none where it does not call out, or does not say.
    pub outbound: Option<Errand>,
    /// What its calls are recorded for: its own purposes, or those of the site.
    pub purposes: Vec<Purpose>,
    /// What its keys do.
    pub keys: Keys,
    /// What is announced on it, in the order of the file.
    pub prompts: Vec<Prompt>,
}

/// What keys do; a function may be switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(pub BTreeMap<Function, Key>);

/// The key of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// The function is switched off.
    Off,
    /// One of `0-9 * #` for a caller, up to four of them for an agent.
    Digits(Arc<str>),
}

impl Key {
    /// `off`, or so many of `0-9 * #` at the most.
    pub fn parse(text: &str, longest: usize) -> Option<Self> {
        let on_the_pad = text.bytes().all(|b| b.is_ascii_digit() || b == b'*' || b == b'#');
        match text {
            "off" => Some(Self::Off),
            _ if on_the_pad && (1..=longest).contains(&text.len()) => Some(Self::Digits(text.into())),
            _ => None,
        }
    }
}

impl Keys {
    /// The digits of a function, unless it has none or is switched off.
    pub fn digits(&self, function: Function) -> Option<&Arc<str>> {
        match self.0.get(&function)? {
            Key::Off => None,
            Key::Digits(digits) => Some(digits),
        }
    }

    /// These keys, with those of a prompt put in the place of the same functions.
    pub fn replaced_by(&self, other: &Self) -> Self {
        let mut keys = self.clone();
        keys.0.extend(other.0.iter().map(|(function, key)| (*function, key.clone())));
        keys
    }
}

/// An announcement in one language.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Its language: `fr`, `fr-BE`.
    pub language: Arc<str>,
    /// Its version, for the evidence.
    pub version: Arc<str>,
    /// The purposes it names.
    pub purposes: BTreeSet<Purpose>,
    /// What is said, with placeholders.
    pub text: Option<String>,
    /// What an audio file says.
    pub says: BTreeSet<Element>,
    /// What is said later in the call, by purpose.
    pub steps: BTreeMap<Purpose, String>,
    /// The keys of the call, as the caller is told: those of the line with those of the prompt in their place.
    pub keys: Keys,
    /// The keys the prompt itself sets.
    pub own_keys: Keys,
}

impl Line {
    /// The prompt for a language: of that name, else of its first two letters, else the first.
    pub fn prompt(&self, language: Option<&str>) -> Option<&Prompt> {
        let named = |name: &str| self.prompts.iter().find(|prompt| &*prompt.language == name);
        language
            .and_then(|language| named(language).or_else(|| named(language.get(..2)?)))
            .or_else(|| self.prompts.first())
    }

    /// What the keys of a call mean, given the language its prompt is chosen by.
    pub fn keys_in(&self, language: Option<&str>) -> &Keys {
        self.prompt(language).map_or(&self.keys, |prompt| &prompt.keys)
    }
}

/// A time in which a share of the calls is recorded for one purpose.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Its name.
    pub name: Arc<str>,
    /// What it is for.
    pub purpose: Purpose,
    /// Its beginning.
    pub from: Bound,
    /// Its end; a campaign without one is never open.
    pub until: Option<Bound>,
    /// How many of a thousand calls.
    pub rate: u16,
    /// Only these lines.
    pub lines: Option<Vec<Arc<str>>>,
    /// Only these queues.
    pub queues: Option<Vec<Arc<str>>>,
    /// Only these agents.
    pub agents: Option<Vec<Arc<str>>>,
    /// Only calls that go this way.
    pub direction: Option<Direction>,
    /// Only between these local times.
    pub daily: Option<Daily>,
    /// Why it is needed.
    pub necessity: Option<String>,
    /// What the draws are shared out by.
    pub stratify: Stratify,
}

/// A window of every day, over midnight if it ends before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Daily {
    /// Its beginning on the local clock.
    pub from: Time,
    /// Its end on the local clock.
    pub until: Time,
}

/// What is on file. Blank texts count as absent.
#[derive(Clone, Debug, Default)]
pub struct Prerequisites {
    /// The entry in the register of processing.
    pub register_entry: Option<String>,
    /// The impact assessment.
    pub dpia: Option<String>,
    /// Why nothing else proves the contract.
    pub no_other_proof: Option<String>,
    /// The works council.
    pub works_council: WorksCouncil,
    /// The instruments of transfer, by country.
    pub transfers: BTreeMap<Territory, Instrument>,
}

/// What became of the works council.
#[derive(Clone, Debug, Default)]
pub struct WorksCouncil {
    /// The day it was consulted.
    pub consulted: Option<Date>,
    /// The minutes.
    pub minutes: Option<String>,
    /// Why none is to be consulted.
    pub none: Option<String>,
}

/// A text, unless it is blank.
pub(crate) fn telling(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.trim().is_empty())
}

/// A text, unless it is blank or stands for one that nobody has filled in.
pub(crate) fn filled_in(text: &str) -> Option<&str> {
    let text = text.trim();
    (!matches!(text, "" | "TODO")).then_some(text)
}

/// A number, unless it stands for one that nobody has filled in: no country's code begins with 0.
pub(crate) fn real_number(number: &str) -> Option<&str> {
    (!number.starts_with("+0")).then_some(number)
}

impl WorksCouncil {
    /// Whether the duty to consult is met on a day: consulted with minutes by then, or a reason alone why none is to
    /// be. Without a day the date is not compared.
    pub fn settled(&self, on: Option<Date>) -> bool {
        let minutes = telling(&self.minutes).is_some();
        match (&self.none, self.consulted) {
            (Some(_), None) => !minutes,
            (Some(_), Some(_)) | (None, None) => false,
            (None, Some(consulted)) => minutes && on.is_none_or(|day| consulted <= day),
        }
    }
}

/// An agent.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Where the agent works.
    pub country: Territory,
    /// The day the notice was acknowledged.
    pub notice: Option<Date>,
    /// The day of a standing consent to be recorded.
    pub consent: Option<Date>,
}

/// Who is never recorded.
#[derive(Clone, Debug, Default)]
pub struct Exempt {
    /// Extensions of the PBX.
    pub extensions: BTreeSet<Arc<str>>,
    /// Agents.
    pub agents: BTreeSet<Arc<str>>,
    /// Numbers in E.164 form.
    pub numbers: BTreeSet<Arc<str>>,
}

/// A time in which a campaign may exceed the cap of the packs.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Its name.
    pub name: Arc<str>,
    /// What it is for.
    pub purpose: Purpose,
    /// The rate it allows, per mille.
    pub rate: u16,
    /// Its beginning.
    pub from: Bound,
    /// Its end.
    pub until: Bound,
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub requested_by: Option<String>,
    /// Who approved it.
    pub approved: BTreeMap<Approver, String>,
}

impl Exception {
    /// Whether somebody approved it: with a text that is not blank.
    pub fn approved_by(&self, who: Approver) -> bool {
        self.approved.get(&who).is_some_and(|text| !text.trim().is_empty())
    }
}

/// The language and the version of a prompt, as decisions name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptRef {
    /// Its language.
    pub language: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
}
