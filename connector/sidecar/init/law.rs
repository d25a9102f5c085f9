//! What the packs ask of a site that does not exist yet. Nothing of the law is known here: a policy is drafted, calls
//! are decided by it, and lint looks at it, as for every other policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::civil::Date;
use serde_json::json;
use temoin_core::decide::decide;
use temoin_core::facts::Facts;
use temoin_core::finding::Code;
use temoin_core::lint;
use temoin_core::pack::shipped;
use temoin_core::policy::Policy;
use temoin_core::words::{
    CombinedDuty, Element, Facet, Gate, PackKind, Prerequisite, Purpose, Reason, Refusal, Territory,
    codes_covering,
};

use super::answers::{Answers, Bad};
use super::policy;

/// What the law asks for one purpose.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What people must have been offered.
    pub gate: Gate,
    /// Whether a law orders the recording.
    pub must: bool,
    /// Whether it needs a campaign, with a rate and an end.
    pub campaign: bool,
    /// Whether only a part of the talk is recorded, which the agent begins.
    pub part: bool,
    /// What must be said.
    pub elements: BTreeSet<Element>,
    /// What must be on file.
    pub missing: BTreeSet<Prerequisite>,
    /// Whether the service is refused with the recording.
    pub refuses: bool,
    /// Whether no pack limits how long it is kept.
    pub unbounded: bool,
}

/// What the law asks, by purpose.
pub type Law = BTreeMap<Purpose, Asked>;

/// The sentences of the announcements.
static SENTENCES: LazyLock<toml::Table> =
    LazyLock::new(|| include_str!("announcements.toml").parse().unwrap_or_default());

/// The languages of the announcements.
pub fn languages() -> Vec<&'static str> {
    SENTENCES.keys().map(String::as_str).collect()
}

/// A sentence of an announcement; empty where there is none.
pub fn sentence(language: &str, what: &str) -> &'static str {
    let sentence = SENTENCES.get(language).and_then(|sentences| sentences.get(what));
    sentence.and_then(toml::Value::as_str).unwrap_or_default()
}

/// The sector packs that speak of a purpose in a country.
pub fn sectors(purpose: &Purpose, country: &Territory, packs: &Policy) -> Vec<String> {
    let speaks = packs.packs().iter().filter(|pack| {
        pack.kind == PackKind::Sector
            && codes_covering(&pack.territory, country).next().is_some()
            && pack.rules.iter().any(|rule| rule.names(purpose))
    });
    speaks.map(|pack| pack.id.to_string()).collect()
}

/// Whether the packs know what to do with a purpose in a country. Those that a law alone can order need its pack.
pub fn can_be_recorded(purpose: &Purpose, country: &Territory, packs: &Policy) -> Result<(), Bad> {
    const ORDERED: [&str; 3] = ["regulated-order", "insurance-telesale", "emergency"];
    if ORDERED.contains(&purpose.as_str()) && sectors(purpose, country, packs).is_empty() {
        return Err(format!(
            "no pack for {country} orders `{purpose}`, and without an order it is not lawful; write its pack first"
        ));
    }
    let customers = packs.packs().iter().filter(|pack| {
        pack.kind == PackKind::Territory && codes_covering(&pack.territory, country).next().is_some()
    });
    let mut rules = customers.flat_map(|pack| &pack.rules).filter(|rule| rule.facet == Facet::Customer);
    if rules.any(|rule| rule.star || rule.names(purpose)) || !sectors(purpose, country, packs).is_empty() {
        Ok(())
    } else {
        Err(format!("no pack for {country} speaks of `{purpose}`: it would never be recorded"))
    }
}

/// What the law asks of these answers.
///
/// # Errors
/// Something in the answers is against the law of the country.
pub fn ask(answers: &Answers, packs: &Policy, today: Date) -> Result<Law, Bad> {
    let mut law = Law::new();
    for purpose in &answers.purposes {
        // One purpose at a time, so that what one asks for is not asked of another.
        let one = Answers { purposes: vec![purpose.clone()], ..answers.clone() };
        let asked = asked(&one, purpose, packs, today)?;
        law.insert(purpose.clone(), asked);
    }
    Ok(law)
}

fn asked(answers: &Answers, purpose: &Purpose, packs: &Policy, today: Date) -> Result<Asked, Bad> {
    let load = |text: &str| {
        Policy::load(("draft", text), shipped()).map_err(|findings| {
            let why: Vec<_> = findings.iter().map(ToString::to_string).collect();
            format!("`{purpose}` cannot be drafted: {}", why.join("; "))
        })
    };
    let unbounded = found(&policy::probe(answers, packs, today, true, false), Code::NoBound).is_some();
    let filed = load(&policy::probe(answers, packs, today, true, unbounded))?;
    let bare = load(&policy::probe(answers, packs, today, false, unbounded))?;
    let told = facts(answers, today, json!(["contract-talk", "regulated-talk", "agent-triggered"]))?;
    let quiet = facts(answers, today, json!([]))?;
    let (decision, missing, before) = (decide(&told, &filed), decide(&told, &bare), decide(&quiet, &filed));
    let verdict = decision.purposes.get(purpose).ok_or_else(|| format!("{purpose} is nowhere decided"))?;
    let missing = missing.purposes.get(purpose).map(|verdict| verdict.missing.clone()).unwrap_or_default();
    if verdict.gate == Gate::Forbidden || verdict.duty == CombinedDuty::MustNot {
        return Err(format!("`{purpose}` is forbidden in {}", answers.country));
    }
    Ok(Asked {
        gate: verdict.gate,
        must: verdict.duty == CombinedDuty::Must,
        campaign: verdict.rate.is_some(),
        part: before.purposes.get(purpose).is_some_and(|verdict| verdict.reason == Reason::OutOfPhase),
        elements: decision.announce.map(|announce| announce.elements).unwrap_or_default(),
        missing,
        refuses: verdict.refusal >= Refusal::RefuseRegulatedService,
        unbounded,
    })
}

/// What lint says of a policy under a code.
pub fn found(text: &str, code: Code) -> Option<String> {
    let findings = lint::check(Some(("policy.toml", text)), shipped(), None);
    findings
        .into_iter()
        .find(|finding| finding.file == "policy.toml" && finding.code == code)
        .map(|finding| finding.hint)
}

/// A call that was drawn, in which everybody agrees and nobody has heard anything yet.
fn facts(answers: &Answers, today: Date, flags: serde_json::Value) -> Result<Facts, Bad> {
    let line = answers.lines.first().map(|(name, _)| name.as_str()).unwrap_or_default();
    let facts = json!({
        "at": format!("{today}T12:00:00Z"),
        "line": line,
        "direction": "inbound",
        "legs": [
            { "id": "customer", "kind": "customer", "market": answers.country.as_str(), "consented": true },
            { "id": "agent", "kind": "agent", "agent": "agent-1" },
        ],
        "flags": flags,
        "sampling": { "drawn": { policy::CAMPAIGN: true } },
    });
    serde_json::from_value(facts).map_err(|error| error.to_string())
}

/// The words of prerequisites, for a policy's comments.
pub fn why(prerequisite: Prerequisite) -> &'static str {
    match prerequisite {
        Prerequisite::RegisterEntry => {
            "number of the entry in your register of processing (GDPR art. 30); `temoin papers` drafts it"
        }
        Prerequisite::Dpia => "reference of your impact assessment (GDPR art. 35); `temoin papers` drafts it",
        Prerequisite::WorksCouncil => {
            "day on which the staff representatives were consulted, and the minutes; or alone `none` = why there are none"
        }
        Prerequisite::NoOtherProofNote => "why nothing else proves the contract",
        Prerequisite::EmployeeNotice => "day on which each agent acknowledged the notice",
        Prerequisite::TransferInstrument => "instrument that makes the transfer lawful",
    }
}
