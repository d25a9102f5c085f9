//! The algebra (`FORMAT.md`, section 3.3): what the rules in force ask for together.
//!
//! Every part is a maximum, a minimum or a union, so neither order nor repetition of the rules matters, and one more
//! rule can only make it stricter. The exceptions are listed in that section; all of them are visible here: a duty
//! makes a purpose of another kind (no cap), may withhold the objection, and a period ends *no bound*.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::force::{Force, InForce};
use crate::pack::{RateCap, Rule};
use crate::words::*;

/// What the rules in force for one purpose ask for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Combined {
    pub(crate) duty: CombinedDuty,
    pub(crate) gate: Gate,
    pub(crate) parties: Parties,
    pub(crate) refusal: Refusal,
    /// Whether people may object.
    pub(crate) objection_offered: bool,
    /// All parts of the talk that must be going on at once; empty for the whole call.
    pub(crate) phases: BTreeSet<Phase>,
    /// The highest rate, per mille, before exceptions; none for a duty.
    pub(crate) cap: Option<u16>,
    pub(crate) campaign_max_days: Option<u16>,
    pub(crate) announce: BTreeSet<Element>,
    pub(crate) prerequisites: BTreeSet<Prerequisite>,
    /// A hard maximum is shorter than a minimum.
    pub(crate) retention_conflict: bool,
    /// Nothing limits the life of a recording.
    pub(crate) no_bound: bool,
}

/// The weakest gate there is: nobody is ever recorded without notice, whatever a law allows.
const PRODUCT_FLOOR: Gate = Gate::Notice;

/// How decisions cite that floor.
const PRODUCT_FLOOR_NAME: &str = "product-floor";

/// Combines the rules in force.
pub(crate) fn combine(force: &Force) -> Combined {
    let rules = || force.rules.iter().map(|r| &*r.rule);
    let duty = combined_duty(rules());
    let gate = force.rules.iter().map(InForce::gate).fold(PRODUCT_FLOOR, Gate::max);
    let withheld = rules().any(|rule| rule.duty == Duty::Must && !rule.objection_offered);
    Combined {
        duty,
        gate,
        parties: force.rules.iter().map(InForce::parties).max().unwrap_or(Parties::External),
        refusal: rules().map(|rule| rule.refusal).max().unwrap_or(Refusal::Continue),
        objection_offered: !(withheld && gate == Gate::Notice),
        phases: rules().map(|rule| rule.phase).filter(|phase| *phase != Phase::WholeCall).collect(),
        cap: if duty == CombinedDuty::Must { None } else { caps(force).map(|cap| cap.max).min() },
        campaign_max_days: rules().filter_map(|rule| rule.campaign_max_days).min(),
        announce: force.rules.iter().flat_map(InForce::announces).collect(),
        prerequisites: rules().flat_map(|rule| &rule.prerequisites).copied().collect(),
        retention_conflict: hard_maximum(rules()) < longest_minimum(rules()),
        no_bound: !rules().any(|rule| rule.retention.bounds()),
    }
}

fn combined_duty<'p>(rules: impl Iterator<Item = &'p Rule> + Clone) -> CombinedDuty {
    let must = rules.clone().any(|rule| rule.duty == Duty::Must);
    let must_not = rules.clone().any(|rule| rule.duty == Duty::MustNot);
    match (must, must_not) {
        (true, true) => CombinedDuty::Conflict,
        (false, true) => CombinedDuty::MustNot,
        (true, false) => CombinedDuty::Must,
        (false, false) => CombinedDuty::May,
    }
}

/// The shortest period that must not be exceeded, as a weight; beyond all weights if there is none.
pub(crate) fn hard_maximum<'p>(rules: impl Iterator<Item = &'p Rule>) -> u32 {
    let hard = |rule: &Rule| {
        let max = rule.retention.max.filter(|_| rule.retention.hard_max == Some(true));
        [rule.retention.exact, max].into_iter().flatten().map(|period| period.weight()).min()
    };
    rules.filter_map(hard).min().unwrap_or(u32::MAX)
}

/// The longest period that must be kept, as a weight; 0 if there is none.
pub(crate) fn longest_minimum<'p>(rules: impl Iterator<Item = &'p Rule>) -> u32 {
    let minimum = |rule: &Rule| {
        [rule.retention.exact, rule.retention.min].into_iter().flatten().map(|period| period.weight()).max()
    };
    rules.filter_map(minimum).max().unwrap_or(0)
}

/// The caps on sampling among the rules.
pub(crate) fn caps(force: &Force) -> impl Iterator<Item = &RateCap> {
    force.rules.iter().filter_map(|r| r.rule.rate.as_ref())
}

/// The rules that ask for the gate that counts.
pub(crate) fn because_of_gate(force: &Force, combined: &Combined) -> BTreeSet<Arc<str>> {
    let reached: BTreeSet<_> =
        force.rules.iter().filter(|r| r.gate() == combined.gate).map(|r| r.rule.reference.clone()).collect();
    if reached.is_empty() { BTreeSet::from([PRODUCT_FLOOR_NAME.into()]) } else { reached }
}

/// The rules that set the cap.
pub(crate) fn because_of_cap(force: &Force, cap: u16) -> BTreeSet<Arc<str>> {
    let sets = |rule: &Rule| rule.rate.as_ref().is_some_and(|rate| rate.max == cap);
    force.rules.iter().filter(|r| sets(&r.rule)).map(|r| r.rule.reference.clone()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::pack::Retention;
    use crate::time::{Period, Zone};

    fn period() -> impl Strategy<Value = Option<Period>> {
        prop_oneof![
            2 => Just(None),
            1 => (1..40_u16).prop_map(|days| Some(Period::Days(days))),
            1 => (1..30_u16).prop_map(|months| Some(Period::Months(months))),
        ]
    }

    fn retention() -> impl Strategy<Value = Retention> {
        let hard = select(vec![None, Some(false), Some(true)]);
        (period(), hard, period(), period()).prop_map(|(max, hard_max, min, exact)| Retention {
            max,
            hard_max,
            min,
            exact,
            ..Retention::default()
        })
    }

    prop_compose! {
        fn rule()(
            duty in prop_oneof![4 => Just(Duty::May), 1 => Just(Duty::Must), 1 => Just(Duty::MustNot)],
            gate in select(Gate::ALL),
            parties in select(Parties::ALL),
            refusal in select(Refusal::ALL),
            objection_offered in any::<bool>(),
            phase in prop_oneof![4 => Just(Phase::WholeCall), 1 => select(Phase::ALL)],
            cap in proptest::option::of(0..=1000_u16),
            campaign_max_days in proptest::option::of(1..=366_u16),
            retention in retention(),
            announce in btree_set(select(Element::ALL), 0..4),
            prerequisites in btree_set(select(Prerequisite::ALL), 0..3),
        ) -> Rule {
            let rate = cap.map(|max| RateCap {
                max,
                exception_max: None,
                exception_days: None,
                exception_needs: BTreeSet::new(),
            });
            let plain = Rule::neutral("r", format!("p/{gate}-{}", retention.bounds()), Facet::Customer);
            Rule {
                duty, gate, parties, refusal, objection_offered, phase, rate, campaign_max_days, retention, announce,
                prerequisites, ..plain
            }
        }
    }

    /// Rules as if in force, each with whether it yields.
    fn combined(rules: &[(Rule, bool)]) -> Combined {
        let zone = Zone::named("UTC").unwrap();
        let rules = rules.iter().map(|(rule, yields)| InForce::plain(rule, &zone, *yields)).collect();
        combine(&Force { rules, permitted: true })
    }

    /// What must not get looser. A cap or a length that is absent is the loosest.
    fn is_as_strict(after: &Combined, before: &Combined) -> bool {
        let no_higher = |a: Option<u16>, b: Option<u16>| b.is_none_or(|b| a.is_some_and(|a| a <= b));
        after.gate >= before.gate
            && after.parties >= before.parties
            && after.refusal >= before.refusal
            && after.phases.is_superset(&before.phases)
            && after.announce.is_superset(&before.announce)
            && after.prerequisites.is_superset(&before.prerequisites)
            && no_higher(after.campaign_max_days, before.campaign_max_days)
            && (after.duty == CombinedDuty::Must || no_higher(after.cap, before.cap))
            && (after.retention_conflict || !before.retention_conflict)
            && (!after.no_bound || before.no_bound)
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_matter(
            rules in vec((rule(), any::<bool>()), 0..6),
            shuffled in any::<prop::sample::Index>(),
        ) {
            let mut other = rules.clone();
            if !other.is_empty() {
                other.rotate_left(shuffled.index(rules.len()));
                other.extend_from_slice(&rules[..1]);
                other.reverse();
            }
            prop_assert_eq!(combined(&rules), combined(&other));
        }

        #[test]
        fn one_more_rule_never_loosens(rules in vec((rule(), any::<bool>()), 0..6), more in (rule(), any::<bool>())) {
            let before = combined(&rules);
            let mut rules = rules;
            rules.push(more);
            let after = combined(&rules);
            prop_assert!(is_as_strict(&after, &before), "{:?}\n{:?}", before, after);
            // Only a duty takes the objection away, and only at the gate that offers nothing.
            if before.objection_offered && !after.objection_offered {
                prop_assert!(after.gate == Gate::Notice && after.duty != CombinedDuty::May);
            }
        }

        #[test]
        fn nobody_is_recorded_without_notice(rules in vec((rule(), any::<bool>()), 0..6)) {
            prop_assert!(combined(&rules).gate >= Gate::Notice);
        }
    }
}
