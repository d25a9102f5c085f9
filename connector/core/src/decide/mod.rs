//! The decision (`FORMAT.md`, sections 3.1 and 3.4): may audio be stored now, for what, and because of which rules.
//!
//! [`decide`] answers for a moment of a call; [`explain`] adds which rules reached each value. Both are pure. Read top
//! down: a call's `Situation` (who is there, whose laws), for each purpose the rules in force and what they ask for
//! together, the first reason that holds, and what follows for the service, the announcement and the dates.

mod announce;
mod reason;
mod stakes;
mod steady;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

pub use announce::{Announce, announcement};
pub(crate) use reason::may_object;
pub use stakes::{Stake, stakes};
pub use steady::steady;

pub use crate::ground::NEVER;

use crate::campaign::{self, Rate, Unknown};
use crate::combine::because_of_gate;
use crate::facts::Facts;
use crate::force::Places;
use crate::ground::{Ground, Standing};
use crate::policy::{Line, Policy};
use crate::retention::{Because, Dates, Occasion, limits};
use crate::words::*;

/// What may be recorded at a moment of a call, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whether audio may be stored.
    pub record: bool,
    /// What it is stored for.
    pub recorded_purposes: BTreeSet<Purpose>,
    /// What becomes of the service: the strictest of all purposes.
    pub service: Refusal,
    /// The verdict on every purpose of the line.
    pub purposes: BTreeMap<Purpose, Verdict>,
    /// What is to be announced, and to whom; none where no announcement would help.
    pub announce: Option<Announce>,
    /// When the recording is deleted: the latest dates of its purposes.
    pub retention: Option<Dates>,
    /// What else the rules for the recorded purposes ask for.
    pub obligations: BTreeSet<Arc<str>>,
    /// What must not get into any recording.
    pub never: Arc<BTreeSet<Arc<str>>>,
}

/// The verdict on one purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether audio may be stored for it.
    pub record: bool,
    /// Why, or why not.
    pub reason: Reason,
    /// Whether it is allowed, ordered or banned.
    pub duty: CombinedDuty,
    /// What must have been offered.
    pub gate: Gate,
    /// What becomes of the service where somebody refuses.
    pub refusal: Refusal,
    /// What becomes of the service now.
    pub service: Refusal,
    /// The rate of its campaign, per mille; none without an open one.
    pub rate: Option<u16>,
    /// The rules in force for it.
    pub rules: Arc<BTreeSet<Arc<str>>>,
    /// What must be on file and is not; absent if nothing is missing.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub missing: BTreeSet<Prerequisite>,
    /// When a recording that began and ended now would be deleted; none where nothing is recorded.
    pub retention: Option<Dates>,
    /// Which rules reached the values; only in an [`explain`]ed decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Whys>,
}

/// The rules that reached the values that count, and whatever else did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Whys {
    /// Of the gate.
    pub gate: BTreeSet<Arc<str>>,
    /// Of the rate, if there is one.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub rate: BTreeSet<Arc<str>>,
    /// Of the dates, if there are any.
    #[serde(flatten)]
    pub dates: Because,
}

/// Decides for a moment of a call. A line that the policy does not know has no purposes, and nothing is recorded.
pub fn decide(facts: &Facts, policy: &Policy) -> Decision {
    Situation::of(facts, policy, Unknown::Misses).map_or_else(nothing, |situation| situation.decision(false))
}

/// As [`decide`], with the rules that reached every value.
pub fn explain(facts: &Facts, policy: &Policy) -> Decision {
    Situation::of(facts, policy, Unknown::Misses).map_or_else(nothing, |situation| situation.decision(true))
}

/// The purposes of the call's line that are recorded only in a phase of the talk.
pub fn of_phase(facts: &Facts, policy: &Policy, phase: Phase) -> BTreeSet<Purpose> {
    let ground = Situation::of(facts, policy, Unknown::Misses).map(|situation| situation.ground);
    let standings = ground.iter().flat_map(|ground| &ground.standings);
    let of_phase = standings.filter(|standing| standing.combined.phases.contains(&phase));
    of_phase.map(|standing| standing.purpose.clone()).collect()
}

/// When the decision changes although nothing happens: the first of the open campaigns closes.
pub fn changes_at(facts: &Facts, policy: &Policy) -> Option<Timestamp> {
    let situation = Situation::of(facts, policy, Unknown::Misses)?;
    let closing = |standing: &Standing| campaign::first_closing(standing, situation.line, facts);
    situation.ground.standings.iter().filter_map(closing).min()
}

fn nothing() -> Decision {
    Decision {
        record: false,
        recorded_purposes: BTreeSet::new(),
        service: Refusal::Continue,
        purposes: BTreeMap::new(),
        announce: None,
        retention: None,
        obligations: BTreeSet::new(),
        never: Arc::new(NEVER.into_iter().map(Arc::from).collect()),
    }
}

/// A moment of a call, with whose laws it is under.
pub(crate) struct Situation<'a> {
    facts: &'a Facts,
    policy: &'a Policy,
    line: &'a Line,
    ground: Arc<Ground>,
    /// The local day on which the call began.
    day: Date,
    unknown: Unknown,
    somebody_exempt: bool,
}

/// One purpose at that moment: how it stands on the call's ground, and what follows for the call.
pub(crate) struct Case<'a> {
    pub(crate) standing: &'a Standing,
    pub(crate) missing: BTreeSet<Prerequisite>,
    pub(crate) rate: Option<Rate<'a>>,
    pub(crate) reason: Reason,
}

impl<'a> Situation<'a> {
    pub(crate) fn of(facts: &'a Facts, policy: &'a Policy, unknown: Unknown) -> Option<Self> {
        let line = policy.line(&facts.line)?;
        Some(Self {
            facts,
            policy,
            line,
            ground: policy.ground(line, Places::of_call(policy, line, facts)),
            day: line.zone.day(facts.call_start()),
            unknown,
            somebody_exempt: facts.legs.iter().any(|leg| leg.is_exempt(policy)),
        })
    }

    /// The purposes of the line, each with its reason.
    pub(crate) fn cases(&self) -> Vec<Case<'_>> {
        self.ground.standings.iter().map(|standing| self.case(standing)).collect()
    }

    fn case<'s>(&'s self, standing: &'s Standing) -> Case<'s> {
        let missing = self.missing(standing);
        let rate = campaign::rate(self.policy, self.line, self.facts, self.unknown, standing);
        let mut case = Case { standing, missing, rate, reason: Reason::NoRule };
        case.reason = self.reason(&case);
        case
    }

    fn decision(&self, explained: bool) -> Decision {
        let cases = self.cases();
        let purposes: BTreeMap<_, _> =
            cases.iter().map(|case| (case.standing.purpose.clone(), self.verdict(case, explained))).collect();
        let recorded = || cases.iter().filter(|case| case.reason == Reason::Ok);
        Decision {
            record: recorded().next().is_some(),
            recorded_purposes: recorded().map(|case| case.standing.purpose.clone()).collect(),
            service: purposes.values().map(|v| v.service).max().unwrap_or(Refusal::Continue),
            announce: self.announce(&cases),
            retention: Dates::latest(purposes.values().filter_map(|v| v.retention)),
            obligations: recorded()
                .flat_map(|case| &case.standing.force.rules)
                .flat_map(|r| &r.rule.obligations)
                .cloned()
                .collect(),
            never: self.ground.never.clone(),
            purposes,
        }
    }

    fn verdict(&self, case: &Case<'_>, explained: bool) -> Verdict {
        let record = case.reason == Reason::Ok;
        let Standing { force, combined, rules, .. } = case.standing;
        let limits = record.then(|| limits(force, &Occasion::moment(self.facts.at())));
        let because = explained.then(|| Whys {
            gate: because_of_gate(force, combined),
            rate: case.rate.as_ref().map(|rate| rate.because(force)).unwrap_or_default(),
            dates: limits.as_ref().map(|limits| limits.because()).unwrap_or_default(),
        });
        Verdict {
            record,
            reason: case.reason,
            duty: combined.duty,
            gate: combined.gate,
            refusal: combined.refusal,
            service: self.service(case),
            rate: case.rate.as_ref().map(|rate| rate.value),
            rules: rules.clone(),
            missing: case.missing.clone(),
            retention: limits.as_ref().map(|limits| limits.dates()),
            because,
        }
    }
}
