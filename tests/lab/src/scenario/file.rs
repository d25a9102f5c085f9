//! A scenario as it stands in its file: what happens in some calls, and what must come of it. Unknown keys are refused,
//! and so are steps and expectations that name a phone, a mark or a prompt that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::site::TEXTS;
use super::step::{Act, Does, Step, duration};
use super::tones::tones;
use super::wall::Clocks;

/// How late a segment may begin where a scenario does not say: a limit for a busy machine. How soon one begins is measured by
/// the example `load`.
const LATE: Duration = Duration::from_secs(1);

/// Why the scenarios could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {why}", file = .file.display())]
pub struct ScenarioError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// One file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The file's name without its ending.
    #[serde(skip)]
    pub name: String,
    /// What happens, in one line.
    pub title: String,
    /// One sentence that a lawyer or an admin understands.
    pub why: String,
    /// What happens, step by step: [`super::GRAMMAR`].
    pub script: Vec<Step>,
    /// So many at once, each with a caller of its own, and with extensions that count on from those given.
    #[serde(default = "one")]
    pub copies: u16,
    /// Each so often, one after the other.
    #[serde(default = "one")]
    pub repeat: u16,
    /// Nothing else happens on its bench meanwhile.
    #[serde(default)]
    pub alone: bool,
    /// Exactly so many of all its calls have a segment that is kept, whichever they are.
    pub drawn: Option<usize>,
    /// How late a segment may begin, on this machine under this load; `temoin`'s own figures are measured elsewhere.
    late: Option<Span>,
    /// Tones that are spoken and must be in no recording.
    #[serde(default)]
    pub never_recorded: Vec<u32>,
    /// Where it is played.
    #[serde(default)]
    pub bench: Bench,
    /// Policies that the script puts into force: what they say otherwise than the site's, and times (`"{now + 6s}"`,
    /// `daily = "{minute - 3600s}-{minute}"`) that are counted from the step on.
    #[serde(default)]
    pub policies: BTreeMap<String, toml::Table>,
    /// Who takes part.
    pub phones: BTreeMap<String, Cast>,
    /// What must come of each call, in the order in which they were dialled.
    #[serde(default)]
    pub calls: Vec<Expected>,
}

/// A PBX and a sidecar of their own. Scenarios that name the same bench share it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bench {
    /// Its name.
    pub name: String,
    /// There is a sidecar from the start.
    pub sidecar: bool,
    /// Between sidecar and PBX stand proxies that can be told to misbehave.
    pub proxies: bool,
    /// Whether anything may be recorded here; if not, the spool must never have a file.
    pub records: bool,
    /// The PBX records by itself, too; whatever it begins must be stopped before anybody talks.
    pub foreign: bool,
    /// So many milliseconds of what it begins may have sound: what is recorded on an agent's leg begins as he answers.
    pub foreign_millis: u64,
    /// The PBX has the sound without which it swallows prompts of some outbound calls.
    pub settles: bool,
    /// No other bench may be at work: what is measured needs the whole machine.
    pub whole_machine: bool,
    /// The spool is on a small file system of its own, which can be filled.
    pub small_spool: bool,
    /// Whose clock can be set.
    pub clocks: Clocks,
    /// What `temoin.toml` says beside the site's.
    pub config: toml::Table,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            name: "main".into(),
            sidecar: true,
            proxies: false,
            records: true,
            foreign: false,
            foreign_millis: 0,
            settles: true,
            whole_machine: false,
            small_spool: false,
            clocks: Clocks::Real,
            config: toml::Table::new(),
        }
    }
}

/// A phone.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cast {
    /// A phone of the house, at this extension. Without it: a customer, from outside.
    pub extension: Option<u16>,
    /// A customer's number. By default one of +33 1 99 00 xx xx that nobody else has.
    pub number: Option<String>,
    /// A customer's display name.
    pub display: Option<String>,
    /// A customer's From header, letter by letter.
    pub raw_from: Option<String>,
    /// The tone that it speaks, in Hz. By default one that no other phone of the scenario has.
    pub tone: Option<u32>,
    /// Where its RTP sequence numbers begin.
    pub rtp: Option<u16>,
    /// The keys that reach its ear, in a phone of the house; codes are not among them.
    #[serde(default)]
    pub keys: String,
}

/// What must come of a call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The customer's phone; needed where there are several.
    pub by: Option<String>,
    /// The prompts that the customer heard, in order: `opt-out`, `opt-out cut`.
    #[serde(default)]
    pub prompts: Vec<PromptHeard>,
    /// The phones that the customer heard.
    #[serde(default)]
    pub hears: Vec<String>,
    /// How it ended for the customer: `hangs-up`, `gives-up`, `hung-up-on`, `refused 603`.
    pub ended: Option<String>,
    /// The cause that the PBX gave (Q.850).
    pub cause: Option<u16>,
    /// The keys that reached the customer's ear.
    #[serde(default)]
    pub keys: String,
    /// Whether the sidecar knows of it.
    #[serde(default = "yes")]
    pub indexed: bool,
    /// Its one word in the index.
    pub outcome: Option<String>,
    /// The agents of the policy whom it was bridged with.
    pub agents: Option<Vec<String>>,
    /// The recording that the PBX's call detail records of this customer name, all of them: `""` for none.
    pub cdr_recordingfile: Option<String>,
    /// Entries of its journal, in this order, others between: `objected`, `pressed by=agent`.
    #[serde(default)]
    pub journal: Vec<String>,
    /// Entries that its journal has exactly once.
    #[serde(default)]
    pub journal_once: Vec<String>,
    /// Entries that its journal has not.
    #[serde(default)]
    pub journal_lacks: Vec<String>,
    /// The segments below are there or, where no lot fell on the call, none is.
    #[serde(default)]
    pub if_drawn: bool,
    /// All its segments, in order.
    #[serde(default)]
    pub segments: Vec<SegmentExpected>,
}

/// A while, as `1500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        duration(&text).map(Self)
    }
}

/// A prompt, heard whole or not.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PromptHeard {
    /// Its text, as `opt-out`.
    pub text: String,
    /// Heard to its end.
    pub whole: bool,
}

/// A segment as it must be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentExpected {
    /// `kept` or `disposed`.
    pub state: String,
    /// Why it ended, as `hung-up`; several where the PBX may tell one or the other first: `hung-up | stranger`.
    pub ending: String,
    /// What it was recorded for.
    pub purposes: Vec<String>,
    /// What it is kept for; by default what it was recorded for.
    pub kept_for: Option<Vec<String>>,
    /// The instant from which it was to be recorded, as `up` or `up + 500ms`.
    pub from: Option<Instant>,
    /// The instant until which, as `paused - 100ms`.
    pub until: Option<Instant>,
    /// What it lasts at the least, where no mark tells when it was to end.
    pub at_least: Option<Span>,
    /// What a listener must know.
    #[serde(default)]
    pub flags: Vec<String>,
    /// How many codes were pressed in it: meanwhile their presser does not speak.
    #[serde(default = "one_code")]
    pub codes: u32,
    /// The phones heard on the left, all the time but for codes and a tenth; nobody else is heard there. By default the customer.
    pub left: Option<Vec<String>>,
    /// The same on the right.
    #[serde(default)]
    pub right: Vec<String>,
}

/// A mark, and milliseconds after or before it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Instant {
    /// The mark's name.
    pub mark: String,
    /// Milliseconds.
    pub plus: i64,
}

impl TryFrom<String> for PromptHeard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (text, whole) = text.strip_suffix(" cut").map_or((text.as_str(), true), |text| (text, false));
        if TEXTS.contains(&text) {
            Ok(Self { text: text.to_owned(), whole })
        } else {
            Err(format!("`{text}` is no prompt: {}", TEXTS.join(", ")))
        }
    }
}

impl TryFrom<String> for Instant {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let plus = match words[..] {
            [_] => 0,
            [_, "+", after] => duration(after)?.as_millis() as i64,
            [_, "-", before] => -(duration(before)?.as_millis() as i64),
            _ => return Err(format!("`{text}` is no instant: `mark`, `mark + 100ms`")),
        };
        Ok(Self { mark: words[0].to_owned(), plus })
    }
}

impl Scenario {
    /// Reads one file.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(file: &Path) -> Result<Self, ScenarioError> {
        let wrong = |why: String| ScenarioError { file: file.to_owned(), why };
        let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        let mut scenario: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        scenario.name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        scenario.check().map_err(wrong)?;
        Ok(scenario)
    }

    /// Reads every `*.toml` of a folder, in the order of their names.
    ///
    /// # Errors
    /// What is wrong with the first that is wrong; also when two want different benches of one name.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>, ScenarioError> {
        let wrong = |why: String| ScenarioError { file: folder.to_owned(), why };
        let entries = fs::read_dir(folder).map_err(|error| wrong(error.to_string()))?;
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
            .collect();
        files.sort();
        let all: Vec<Self> = files.iter().map(|file| Self::read(file)).collect::<Result<_, _>>()?;
        let mut benches: BTreeMap<&str, (&Bench, &Path)> = BTreeMap::new();
        for (scenario, file) in all.iter().zip(&files) {
            let first = benches.entry(&scenario.bench.name).or_insert((&scenario.bench, file));
            if first.0 != &scenario.bench {
                let why = format!("wants another bench `{}` than {}", scenario.bench.name, first.1.display());
                return Err(ScenarioError { file: file.clone(), why });
            }
        }
        Ok(all)
    }

    /// The extensions that it needs, copies included.
    pub fn extensions(&self) -> BTreeSet<u16> {
        let range =
            |cast: &Cast| -> Range<u16> { cast.extension.map_or(0..0, |first| first..first + self.copies) };
        self.phones.values().flat_map(range).collect()
    }

    /// The phones outside the house, in order.
    pub fn customers(&self) -> impl Iterator<Item = &str> {
        self.phones.iter().filter(|(_, cast)| cast.extension.is_none()).map(|(name, _)| name.as_str())
    }

    /// The customer of an expectation.
    pub(super) fn customer_of<'a>(&'a self, expected: &'a Expected) -> &'a str {
        expected.by.as_deref().or_else(|| self.customers().next()).unwrap_or_default()
    }

    /// How late a segment may begin.
    pub(super) fn late(&self) -> Duration {
        self.late.map_or(LATE, |late| late.0)
    }

    /// How often the script dials from outside, or calls somebody there.
    pub(super) fn dials(&self) -> usize {
        let dials = |step: &&Step| matches!(&step.act, Act::Phone(name, Does::Dial(_) | Does::BeCalled) if self.is_customer(name));
        self.script.iter().filter(dials).count()
    }

    pub(super) fn is_customer(&self, name: &str) -> bool {
        self.phones.get(name).is_some_and(|cast| cast.extension.is_none())
    }

    fn check(&self) -> Result<(), String> {
        let mut marks = BTreeSet::new();
        for step in &self.script {
            self.check_step(step, &marks).map_err(|why| format!("`{step}`: {why}"))?;
            marks.extend(step.mark.as_deref());
        }
        if self.calls.len() != self.dials() {
            return Err(format!(
                "{} customers dial or are called, but `calls` has {}",
                self.dials(),
                self.calls.len()
            ));
        }
        if self.phones.values().any(|cast| cast.raw_from.is_some()) && !self.alone {
            return Err(
                "a call with a raw_from is found in the index by its time: the scenario must be `alone`"
                    .into(),
            );
        }
        for cast in self.phones.values().filter(|cast| cast.extension.is_some()) {
            if cast.number.is_some() || cast.display.is_some() || cast.raw_from.is_some() {
                return Err("a phone of the house has no number, display or raw_from".into());
            }
        }
        for call in &self.calls {
            self.check_call(call, &marks)?;
        }
        tones(self).map(|_| ())
    }

    fn check_step(&self, step: &Step, marks: &BTreeSet<&str>) -> Result<(), String> {
        let known = |name: &str| match self.phones.contains_key(name) {
            true => Ok(()),
            false => Err(format!("there is no phone `{name}`")),
        };
        match &step.act {
            Act::Phone(name, does) => {
                known(name)?;
                match does {
                    Does::Hear(what) if TEXTS.contains(&what.as_str()) => Ok(()),
                    Does::HearWhole(what) if !TEXTS.contains(&what.as_str()) => {
                        Err(format!("`{what}` is no prompt: {}", TEXTS.join(", ")))
                    }
                    Does::Hear(other) | Does::NoLongerHear(other) => known(other),
                    _ => Ok(()),
                }
            }
            Act::Talk(one, other, _) => known(one).and_then(|()| known(other)),
            Act::Connect(name, ..) | Act::DoNotCall(name, _) => known(name),
            Act::At(mark, _) if !marks.contains(mark.as_str()) => Err(format!("no mark @{mark} before")),
            Act::Policy(name) if !self.policies.contains_key(name) => {
                Err(format!("there is no policy `{name}` in `policies`"))
            }
            Act::Policy(_) if !self.alone => {
                Err("a policy is everybody's: the scenario must be `alone`".into())
            }
            Act::Link(..) if !self.bench.proxies => Err("the bench has no proxies".into()),
            Act::Clock(_) if self.bench.clocks == Clocks::Real => {
                Err("the bench's clock cannot be set".into())
            }
            Act::Room(_) if !self.bench.small_spool => Err("the bench's spool is not small".into()),
            Act::Pbx(_) | Act::Spool(_) | Act::Room(_) | Act::Vault(_) | Act::Clock(_) | Act::Says(_)
                if !self.alone =>
            {
                Err("only a scenario that is `alone` may do that".into())
            }
            Act::At(..)
            | Act::Link(..)
            | Act::Policy(_)
            | Act::Sidecar(_)
            | Act::Halt(..)
            | Act::Watching
            | Act::Says(_)
            | Act::Room(_)
            | Act::Vault(_)
            | Act::Clock(_)
            | Act::Pbx(_)
            | Act::Spool(_)
            | Act::Store(_) => Ok(()),
        }
    }

    fn check_call(&self, call: &Expected, marks: &BTreeSet<&str>) -> Result<(), String> {
        if !self.is_customer(self.customer_of(call)) {
            return Err("`by` is no customer".into());
        }
        if call.by.is_none() && self.customers().nth(1).is_some() {
            return Err("several customers: say `by`".into());
        }
        let voices =
            call.segments.iter().flat_map(|segment| segment.left.iter().flatten().chain(&segment.right));
        if let Some(unknown) = voices.chain(&call.hears).find(|name| !self.phones.contains_key(*name)) {
            return Err(format!("there is no phone `{unknown}`"));
        }
        let instants = call.segments.iter().flat_map(|segment| segment.from.iter().chain(&segment.until));
        match instants.map(|instant| &instant.mark).find(|mark| !marks.contains(mark.as_str())) {
            Some(unknown) => Err(format!("no mark @{unknown} in the script")),
            None if !call.indexed && !call.segments.is_empty() => Err("segments, but not indexed".into()),
            None => Ok(()),
        }
    }
}

fn one() -> u16 {
    1
}

fn one_code() -> u32 {
    1
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        title = "t"
        why = "w"
        script = ["caller dials 8111", "amel is called @rung", "caller hangs up"]
        [phones.caller]
        [phones.amel]
        extension = 2011
        [[calls]]
        prompts = ["opt-out cut"]
        [[calls.segments]]
        state = "kept"
        ending = "hung-up"
        purposes = ["quality"]
        from = "rung + 100ms"
    "#;

    fn read(text: &str) -> Result<Scenario, ScenarioError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("one.toml");
        fs::write(&file, text).unwrap();
        Scenario::read(&file)
    }

    #[test]
    fn a_scenario_is_read() {
        let scenario = read(TEXT).unwrap();
        assert_eq!((scenario.name.as_str(), scenario.dials()), ("one", 1));
        assert_eq!(scenario.extensions(), [2011].into());
        assert_eq!(scenario.calls[0].prompts[0], PromptHeard { text: "opt-out".into(), whole: false });
        let from = scenario.calls[0].segments[0].from.clone().unwrap();
        assert_eq!(from, Instant { mark: "rung".into(), plus: 100 });
    }

    #[test]
    fn whatever_is_not_known_is_refused_and_named() {
        for (from, to, named) in [
            ("why", "whi", "whi"),
            ("prompts", "promts", "promts"),
            ("opt-out cut", "opt-aut", "opt-aut"),
            ("caller hangs up", "caller hangs", "caller hangs"),
            ("amel is called", "emil is called", "emil"),
            ("rung + 100ms", "wrung + 100ms", "wrung"),
            ("caller dials 8111", "caller hears amel", "0 customers dial or are called"),
            ("extension = 2011", "extension = 2011\nnumber = \"+33199000001\"", "of the house"),
            ("caller hangs up", "ami is cut", "no proxies"),
            ("caller hangs up", "at up + 5ms", "@up"),
            ("caller hangs up", "policy is another", "another"),
            ("caller hangs up", "caller speaks 1000", "1000 and 1200"),
            ("extension = 2011", "extension = 2011\ntone = 900", "700 and 900"),
        ] {
            let error = read(&TEXT.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(named), "{from} -> {to}: {error}");
        }
    }
}
