//! What is to be announced, and to whom (`FORMAT.md`, section 3.4): at a moment of a call, or before an agent is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::{Case, Situation};
use crate::campaign::Unknown;
use crate::facts::{Facts, Leg};
use crate::policy::{Line, Policy, PromptRef};
use crate::sampling::Draw;
use crate::words::*;

/// An announcement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Announce {
    /// The purposes it must name.
    pub purposes: BTreeSet<Purpose>,
    /// The strictest of their gates.
    pub gate: Gate,
    /// The legs that have yet to hear of one of them.
    pub to: BTreeSet<Arc<str>>,
    /// The prompt that says it; none if the line has none.
    pub prompt: Option<PromptRef>,
    /// What must be said.
    pub elements: BTreeSet<Element>,
    /// The caller's keys that are to be named: object and accept where a gate needs them, and info.
    pub keys: BTreeMap<Function, Arc<str>>,
}

impl Situation<'_> {
    /// What an announcement would have to say now; none where none would help.
    pub(super) fn announce(&self, cases: &[Case<'_>]) -> Option<Announce> {
        let candidates: Vec<_> = cases.iter().filter(|case| is_candidate(case.reason)).collect();
        let gate = candidates.iter().map(|case| case.standing.combined.gate).max()?;
        let purposes: BTreeSet<_> = candidates.iter().map(|case| case.standing.purpose.clone()).collect();
        let gates: BTreeSet<Gate> = candidates.iter().map(|case| case.standing.combined.gate).collect();

        let mut elements: BTreeSet<_> =
            candidates.iter().flat_map(|case| &case.standing.combined.announce).copied().collect();
        elements.insert(Element::Recorded);
        elements.extend(gates.contains(&Gate::OptOut).then_some(Element::Object));
        elements.extend(gates.contains(&Gate::OptIn).then_some(Element::Accept));

        let lacks_one = |leg: &&Leg| leg.heard.as_ref().is_none_or(|heard| !purposes.is_subset(heard));
        let language = self.facts.language.as_deref();
        let prompt = self.line.prompt(language);
        Some(Announce {
            gate,
            to: self.facts.outer_legs().filter(lacks_one).map(|leg| leg.id.clone()).collect(),
            prompt: prompt.map(|p| PromptRef { language: p.language.clone(), version: p.version.clone() }),
            elements,
            keys: caller_keys(self.line, language, &gates),
            purposes,
        })
    }
}

/// Whether an announcement could still lead to a recording, or has.
fn is_candidate(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Ok | Reason::PurposeNotAnnounced | Reason::AnnouncementPending | Reason::ConsentPending
    )
}

fn caller_keys(line: &Line, language: Option<&str>, gates: &BTreeSet<Gate>) -> BTreeMap<Function, Arc<str>> {
    let keys = line.keys_in(language);
    let named = |function: Function| Some((function, keys.digits(function)?.clone()));
    let object = gates.contains(&Gate::OptOut).then(|| named(Function::Object)).flatten();
    let accept = gates.contains(&Gate::OptIn).then(|| named(Function::Accept)).flatten();
    [object, accept, named(Function::Info)].into_iter().flatten().collect()
}

/// What to announce to a caller before an agent is known.
///
/// Everybody on a line hears the same, drawn or not: it is the union of what would be announced if the call were
/// drawn, without an agent and with each agent of the policy, where a queue or a direction that is not known yet
/// matches every campaign. If an agent is in the call already, with that one only.
pub fn announcement(facts: &Facts, policy: &Policy) -> Option<Announce> {
    let mut drawn = facts.clone();
    drawn.sampling = Default::default();
    drawn.sampling.draw = Some(Draw::zero());
    let mut together = announced_if(&drawn, policy);
    if drawn.agent_legs().next().is_none() && !drawn.is_among_agents() {
        for agent in distinct_agents(policy, &drawn) {
            let mut answered = drawn.clone();
            answered.legs.push(Leg { agent: Some(agent), ..Leg::new("agent", LegKind::Agent) });
            together = union(together, announced_if(&answered, policy));
        }
    }
    together
}

fn announced_if(facts: &Facts, policy: &Policy) -> Option<Announce> {
    let situation = Situation::of(facts, policy, Unknown::Matches)?;
    situation.announce(&situation.cases())
}

fn union(a: Option<Announce>, b: Option<Announce>) -> Option<Announce> {
    let (Some(mut a), Some(b)) = (a.clone(), b.clone()) else {
        return a.or(b);
    };
    a.purposes.extend(b.purposes);
    a.gate = a.gate.max(b.gate);
    a.to.extend(b.to);
    a.elements.extend(b.elements);
    a.keys.extend(b.keys);
    Some(a)
}

/// One agent of each sort that a decision can tell apart: where they work, what they have signed, which campaigns name
/// them. A centre has hundreds of agents and a handful of sorts.
fn distinct_agents(policy: &Policy, facts: &Facts) -> Vec<Arc<str>> {
    let Some(line) = policy.line(&facts.line) else {
        return Vec::new();
    };
    let day = line.zone.day(facts.call_start());
    let site = policy.site();
    let mut sorts = BTreeMap::new();
    for (id, agent) in &site.agents {
        let by_then = |date: Option<jiff::civil::Date>| date.is_some_and(|date| date <= day);
        let campaigns: Vec<_> = site
            .campaigns
            .values()
            .filter(|campaign| campaign.agents.as_ref().is_some_and(|agents| agents.contains(id)))
            .map(|campaign| &campaign.name)
            .collect();
        let exempt = site.exempt.agents.contains(id);
        let sort = (&agent.country, by_then(agent.notice), by_then(agent.consent), campaigns, exempt);
        sorts.entry(sort).or_insert_with(|| id.clone());
    }
    sorts.into_values().collect()
}
