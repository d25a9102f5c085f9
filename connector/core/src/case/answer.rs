//! What the engine answers to a case: one function for every ask, each with the shape of what is given for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Shelf;
use crate::access::{Request, access};
use crate::decide::explain;
use crate::facts::{Facts, Leg, Sampling};
use crate::finding::{Code, Finding};
use crate::lint;
use crate::pack::shipped;
use crate::policy::Policy;
use crate::retention::{Dates, History, LegalHold, Recording, fate, report};
use crate::sampling::{Draw, Tally, stratum};
use crate::talk::{Event, segments};
use crate::time::{Bound, Period, Zone, whole};
use crate::words::{Anchor, Direction, Flag, Purpose, Stratify};

/// What can be asked.
const ASKS: [&str; 8] = ["decide", "period", "instant", "retention", "access", "call", "sample", "lint"];

/// The answer to an ask, or why what is given is no question.
pub(super) fn answer(ask: &str, given: &str, shelf: &dyn Shelf) -> Result<Value, String> {
    match ask {
        "decide" => decide_answer(read(given)?, shelf),
        "period" => period_answer(read(given)?),
        "instant" => instant_answer(read(given)?),
        "retention" => retention_answer(read(given)?, shelf),
        "access" => access_answer(read(given)?, shelf),
        "call" => call_answer(read(given)?, shelf),
        "sample" => sample_answer(read(given)?),
        "lint" => lint_answer(read(given)?, shelf),
        other => Err(format!("no such ask `{other}`; there are {}", ASKS.join(", "))),
    }
}

fn read<'a, T: Deserialize<'a>>(given: &'a str) -> Result<T, String> {
    serde_json::from_str(given).map_err(|error| format!("`given` cannot be read: {error}"))
}

fn value(answer: impl serde::Serialize) -> Result<Value, String> {
    serde_json::to_value(answer).map_err(|error| error.to_string())
}

/// The files of packs and of a site policy, by the names that a case gives them.
struct Files {
    packs: Vec<(String, String)>,
    site: Option<(String, String)>,
}

impl Files {
    fn named(packs: &[String], site: Option<&str>, shelf: &dyn Shelf) -> Result<Self, String> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let ours = || shipped().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        for pack in packs {
            let name = format!("{pack}.toml");
            if pack == "std" {
                files.extend(ours());
            } else if let Some(text) = shelf.pack(pack)? {
                files.insert(name, text);
            } else {
                let shipped = ours().find(|(shipped, _)| *shipped == name);
                files.extend([shipped.ok_or_else(|| {
                    format!("no pack `{pack}`: put {name} into packs/ beside the cases, or name one that is shipped")
                })?]);
            }
        }
        let site = site.map(|site| Ok::<_, String>((format!("{site}.toml"), shelf.site(site)?)));
        Ok(Self { packs: files.into_iter().collect(), site: site.transpose()? })
    }

    fn packs(&self) -> Vec<(&str, &str)> {
        self.packs.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
    }

    fn site(&self) -> Option<(&str, &str)> {
        self.site.as_ref().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    fn policy(&self) -> Result<Policy, String> {
        let site = self.site().ok_or("a site is needed")?;
        Policy::load(site, &self.packs())
            .map_err(|findings| findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n"))
    }
}

fn policy(packs: &[String], site: &str, shelf: &dyn Shelf) -> Result<Policy, String> {
    Files::named(packs, Some(site), shelf)?.policy()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecideGiven {
    packs: Vec<String>,
    site: String,
    facts: Facts,
}

fn decide_answer(given: DecideGiven, shelf: &dyn Shelf) -> Result<Value, String> {
    value(explain(&given.facts, &policy(&given.packs, &given.site, shelf)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeriodGiven {
    from: Timestamp,
    period: String,
    zone: String,
}

fn period_answer(given: PeriodGiven) -> Result<Value, String> {
    let period: Period = given.period.parse().map_err(|_| "no period")?;
    let zone = Zone::named(&given.zone).ok_or("no zone")?;
    Ok(json!({ "end": period.end(whole(given.from), &zone) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstantGiven {
    local: String,
    zone: String,
    #[serde(rename = "as")]
    side: String,
}

fn instant_answer(given: InstantGiven) -> Result<Value, String> {
    let bound: Bound = given.local.parse().map_err(|_| "no bound")?;
    let zone = Zone::named(&given.zone).ok_or("no zone")?;
    let instant = match given.side.as_str() {
        "from" => bound.start(&zone),
        "until" => bound.end(&zone),
        other => return Err(format!("neither from nor until: {other}")),
    };
    Ok(json!({ "instant": instant }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetentionGiven {
    packs: Vec<String>,
    site: String,
    facts: Facts,
    purposes: BTreeSet<Purpose>,
    end: Option<Timestamp>,
    #[serde(default)]
    anchors: BTreeMap<Anchor, Timestamp>,
    #[serde(default)]
    authority: BTreeSet<Arc<str>>,
    #[serde(default)]
    later: Vec<Later>,
    #[serde(default)]
    holds: Vec<LegalHold>,
    erasure: Option<Timestamp>,
    report_created: Option<Timestamp>,
    at: Option<Timestamp>,
    role: Option<String>,
    #[serde(default)]
    approvals: BTreeSet<Arc<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Later {
    at: Timestamp,
    packs: Vec<String>,
}

impl RetentionGiven {
    /// Hands out the recording and its history.
    fn with<T>(
        &self,
        shelf: &dyn Shelf,
        ask: impl FnOnce(&Recording<'_>, &History<'_>) -> T,
    ) -> Result<T, String> {
        let policy_at_first = policy(&self.packs, &self.site, shelf)?;
        let later_policies: Vec<_> = self
            .later
            .iter()
            .map(|later| Ok::<_, String>((whole(later.at), policy(&later.packs, &self.site, shelf)?)))
            .collect::<Result<_, _>>()?;
        let start = self.facts.at();
        let recording = Recording {
            facts: &self.facts,
            policy: &policy_at_first,
            purposes: &self.purposes,
            start,
            end: self.end.map_or(start, whole),
        };
        let history = History {
            anchors: self.anchors.iter().map(|(anchor, at)| (*anchor, whole(*at))).collect(),
            authority: self.authority.clone(),
            later: later_policies.iter().map(|(at, policy)| (*at, policy)).collect(),
            holds: self.holds.clone(),
            erasure: self.erasure.map(whole),
        };
        Ok(ask(&recording, &history))
    }
}

fn retention_answer(given: RetentionGiven, shelf: &dyn Shelf) -> Result<Value, String> {
    given.with(shelf, |recording, history| {
        let fate = match fate(recording, history) {
            Ok(fate) => fate,
            Err(error) => return Ok(json!({ "error": error })),
        };
        let mut answer = value(&fate)?;
        if let Some(created) = given.report_created {
            answer["report"] = value(report(recording, whole(created)).map(
                |Dates {
                     scheduled, delete_by, ..
                 }| { json!({ "scheduled": scheduled, "delete_by": delete_by }) },
            ))?;
        }
        Ok(answer)
    })?
}

fn access_answer(given: RetentionGiven, shelf: &dyn Shelf) -> Result<Value, String> {
    let at = whole(given.at.ok_or("access is asked for at an instant")?);
    let role = given.role.as_deref().ok_or("access is asked for by a role")?;
    let request = Request { at, role, approvals: &given.approvals };
    value(given.with(shelf, |recording, history| access(recording, history, &request))?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallGiven {
    packs: Vec<String>,
    site: String,
    start: Timestamp,
    line: Arc<str>,
    direction: Option<Direction>,
    queue: Option<Arc<str>>,
    language: Option<Arc<str>>,
    legs: Vec<Leg>,
    #[serde(default)]
    flags: BTreeSet<Flag>,
    #[serde(default)]
    sampling: Sampling,
    events: Vec<Value>,
}

fn call_answer(given: CallGiven, shelf: &dyn Shelf) -> Result<Value, String> {
    let facts = Facts {
        at: whole(given.start),
        call_start: None,
        line: given.line,
        direction: given.direction,
        queue: given.queue,
        language: given.language,
        legs: given.legs,
        flags: given.flags,
        sampling: given.sampling,
    };
    let events: Vec<(u64, Event)> = given.events.into_iter().map(timed_event).collect::<Result<_, _>>()?;
    Ok(json!({ "segments": segments(&policy(&given.packs, &given.site, shelf)?, facts, &events) }))
}

fn timed_event(mut event: Value) -> Result<(u64, Event), String> {
    let t = event.as_object_mut().and_then(|event| event.remove("t")).ok_or("an event without a time")?;
    let t = t.as_u64().ok_or("a time in whole seconds")?;
    Ok((t, serde_json::from_value(event).map_err(|error| error.to_string())?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleGiven {
    rate: u16,
    stratify: Stratify,
    calls: Box<RawValue>,
    key: Option<String>,
    campaign: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SampleCall {
    id: String,
    agent: Option<String>,
    queue: Option<String>,
    draw: Option<Draw>,
    private: bool,
    exempt: bool,
    objected: bool,
    on_demand: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManyCalls {
    count: u64,
    #[serde(default = "one")]
    agents: u64,
    #[serde(default = "one")]
    queues: u64,
    on_demand_every: Option<u64>,
    skip: Option<String>,
    skip_every: Option<u64>,
}

fn one() -> u64 {
    1
}

/// The most calls of one case: beyond it, a case would take minutes and not say more.
const MOST_CALLS: u64 = 1_000_000;

impl ManyCalls {
    fn list(&self) -> Result<Vec<SampleCall>, String> {
        if self.agents == 0 || self.queues == 0 || self.count > MOST_CALLS {
            return Err(format!("calls are at most {MOST_CALLS}, of one agent and one queue at least"));
        }
        let every = |nth: Option<u64>, k: u64| nth.is_some_and(|nth| k.is_multiple_of(nth));
        let call = |k: u64| SampleCall {
            id: format!("call-{k}"),
            agent: Some(format!("a{}", k % self.agents)),
            queue: Some(format!("q{}", k % self.queues)),
            on_demand: every(self.on_demand_every, k),
            private: self.skip.as_deref() == Some("private") && every(self.skip_every, k),
            exempt: self.skip.as_deref() == Some("exempt") && every(self.skip_every, k),
            ..SampleCall::default()
        };
        Ok((1..=self.count).map(call).collect())
    }
}

fn sample_answer(given: SampleGiven) -> Result<Value, String> {
    let calls = match read::<Vec<SampleCall>>(given.calls.get()) {
        Ok(calls) => calls,
        Err(_) => read::<ManyCalls>(given.calls.get())?.list()?,
    };
    let mut tally = Tally::default();
    let mut selected = Vec::new();
    let (mut prefix_bound, mut stratum_bound) = (true, true);
    for call in calls.iter().filter(|call| !(call.private || call.exempt || call.objected)) {
        let keyed =
            || Some(Draw::keyed(given.key.as_deref()?.as_bytes(), given.campaign.as_deref()?, &call.id));
        let draw = call.draw.clone().or_else(keyed);
        let stratum = stratum(given.stratify, call.agent.as_deref(), call.queue.as_deref());
        if tally.count(given.rate, stratum, draw.as_ref()) {
            selected.push(call.id.clone());
        }
        prefix_bound &= tally.total.within(given.rate);
        stratum_bound &= tally.strata.values().all(|count| count.within(given.rate));
    }
    let mut hash = Sha256::new();
    selected.iter().for_each(|id| hash.update(format!("{id}\n")));
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(json!({
        "eligible": tally.total.calls,
        "recorded": tally.total.recorded,
        "selected": selected,
        "selected_sha256": digest,
        "strata": tally.strata,
        "prefix_bound": prefix_bound,
        "stratum_bound": stratum_bound,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LintGiven {
    packs: Vec<String>,
    site: Option<String>,
    today: Option<jiff::civil::Date>,
    report: Option<String>,
}

/// Codes of this product's own, which the cases know nothing of.
const OWN_CODES: [Code; 3] = [Code::DuplicatePack, Code::ParentCycle, Code::DuplicateNumber];

fn lint_answer(given: LintGiven, shelf: &dyn Shelf) -> Result<Value, String> {
    let files = Files::named(&given.packs, given.site.as_deref(), shelf)?;
    let mut findings = lint::check(files.site(), &files.packs(), given.today);
    findings.retain(|finding| !OWN_CODES.contains(&finding.code));
    match given.report.as_deref() {
        None => {}
        Some("errors") => findings.retain(|finding| finding.code.is_error()),
        Some("site") => findings.retain(|finding| files.site().is_some_and(|(name, _)| name == finding.file)),
        Some(other) => return Err(format!("no such report: {other}")),
    }
    Ok(json!({ "findings": findings }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The draws of a case may be written with more digits than a float holds.
    #[test]
    fn draws_are_read_as_written() {
        let call: SampleCall = read(r#"{"id":"c","draw":0.29999999999999999999}"#).unwrap();
        assert!(call.draw.is_some_and(|draw| draw.is_below(300)));
    }

    #[test]
    fn no_number_of_calls_is_a_fall() {
        for calls in [
            r#"{"count": 3, "agents": 0}"#,
            r#"{"count": 3, "queues": 0}"#,
            r#"{"count": 18446744073709551615}"#,
        ] {
            assert!(read::<ManyCalls>(calls).unwrap().list().is_err(), "{calls}");
        }
    }
}
