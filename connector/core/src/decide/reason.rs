//! Why a purpose is recorded or not: the first reason that holds (`FORMAT.md`, section 3.4), and what is on file
//! (section 3.5).

use std::collections::BTreeSet;

use super::{Case, Situation};
use crate::combine::Combined;
use crate::facts::Leg;
use crate::ground::Standing;
use crate::policy::telling;
use crate::words::*;

impl Situation<'_> {
    /// The first reason that holds, in the order of the format.
    pub(super) fn reason(&self, case: &Case<'_>) -> Reason {
        let Standing { purpose, force, combined, .. } = case.standing;
        let flag = |flag| self.facts.flags.contains(&flag);
        let outer_has_not_heard =
            |unheard: fn(&Leg, &Purpose) -> bool| self.facts.outer_legs().any(|leg| unheard(leg, purpose));
        let is_duty = combined.duty == CombinedDuty::Must;
        let asks_for_other_proof = combined.prerequisites.contains(&Prerequisite::NoOtherProofNote);

        if !force.permitted {
            Reason::NoRule
        } else if combined.duty == CombinedDuty::Conflict {
            Reason::DutyConflict
        } else if combined.duty == CombinedDuty::MustNot || combined.gate == Gate::Forbidden {
            Reason::Forbidden
        } else if combined.retention_conflict {
            Reason::RetentionConflict
        } else if combined.no_bound {
            Reason::NoBound
        } else if self.somebody_exempt {
            Reason::ExemptLeg
        } else if flag(Flag::Private) {
            Reason::PrivateCall
        } else if flag(Flag::PaymentActive) {
            Reason::PaymentActive
        } else if flag(Flag::AnsweringMachine) {
            Reason::AnsweringMachine
        } else if self.somebody_objects(purpose, combined) {
            Reason::Objected
        } else if flag(Flag::AgentStop) {
            Reason::AgentStop
        } else if !case.missing.is_empty() {
            Reason::PrerequisiteMissing
        } else if !is_duty && combined.phases.is_empty() && case.rate.is_none() {
            Reason::NoOpenCampaign
        } else if self.is_out_of_phase(combined) {
            Reason::OutOfPhase
        } else if asks_for_other_proof && flag(Flag::OtherProof) {
            Reason::OtherProofExists
        } else if outer_has_not_heard(|leg, p| leg.heard.as_ref().is_some_and(|heard| !heard.contains(p))) {
            Reason::PurposeNotAnnounced
        } else if case.rate.as_ref().is_some_and(|r| !self.facts.sampling.is_drawn(&r.campaign.name, r.value))
        {
            Reason::NotSampled
        } else if outer_has_not_heard(|leg, _| leg.heard.is_none()) {
            Reason::AnnouncementPending
        } else if combined.gate == Gate::OptIn && !self.all_consent(purpose, combined.parties) {
            Reason::ConsentPending
        } else {
            Reason::Ok
        }
    }

    /// What becomes of the service now: with a duty, a recording that cannot be is a service that cannot be.
    pub(super) fn service(&self, case: &Case<'_>) -> Refusal {
        use Reason::*;
        let combined = &case.standing.combined;
        let refusal = combined.refusal;
        let is_duty = matches!(combined.duty, CombinedDuty::Must | CombinedDuty::Conflict);
        match case.reason {
            _ if self.is_out_of_phase(combined) => Refusal::Continue,
            Objected => refusal,
            AgentStop | PrerequisiteMissing if is_duty => refusal,
            NoRule | DutyConflict | Forbidden | RetentionConflict | NoBound | ExemptLeg | PrivateCall
            | PurposeNotAnnounced | AnnouncementPending | ConsentPending
                if is_duty =>
            {
                refusal.min(Refusal::RefuseRegulatedService)
            }
            _ => Refusal::Continue,
        }
    }

    fn is_out_of_phase(&self, combined: &Combined) -> bool {
        combined.phases.iter().filter_map(|phase| phase.flag()).any(|flag| !self.facts.flags.contains(&flag))
    }

    /// Whether an objection to the purpose counts.
    pub(super) fn somebody_objects(&self, purpose: &Purpose, combined: &Combined) -> bool {
        self.facts
            .legs
            .iter()
            .any(|leg| leg.objects_to(purpose) && may_object(self.facts.is_outer(leg), combined))
    }

    fn all_consent(&self, purpose: &Purpose, parties: Parties) -> bool {
        let asked = |leg: &&Leg| parties == Parties::All || self.facts.is_outer(leg);
        self.facts
            .legs
            .iter()
            .filter(asked)
            .all(|leg| leg.consents_to(purpose) || self.has_standing_consent(leg))
    }

    fn has_standing_consent(&self, leg: &Leg) -> bool {
        let consent = || self.policy.agent(leg.agent.as_deref()?)?.consent;
        leg.kind == LegKind::Agent && consent().is_some_and(|day| day <= self.day)
    }

    /// What the rules in force ask to be on file, and is not.
    pub(super) fn missing(&self, standing: &Standing) -> BTreeSet<Prerequisite> {
        let asked = standing.combined.prerequisites.iter().copied();
        asked.filter(|asked| !self.is_on_file(*asked, standing)).collect()
    }

    fn is_on_file(&self, asked: Prerequisite, standing: &Standing) -> bool {
        let file = &self.policy.site().prerequisites;
        match asked {
            Prerequisite::RegisterEntry => telling(&file.register_entry).is_some(),
            Prerequisite::Dpia => telling(&file.dpia).is_some(),
            Prerequisite::NoOtherProofNote => telling(&file.no_other_proof).is_some(),
            Prerequisite::WorksCouncil => file.works_council.settled(Some(self.day)),
            Prerequisite::EmployeeNotice => self.facts.agent_legs().all(|leg| self.has_notice(leg)),
            Prerequisite::TransferInstrument => {
                let stands = |t: &&Territory| file.transfers.get(t.country()).is_some_and(|i| i.stands());
                standing.transfers.iter().all(|t| stands(&t))
            }
        }
    }

    fn has_notice(&self, leg: &Leg) -> bool {
        let notice = || self.policy.agent(leg.agent.as_deref()?)?.notice;
        notice().is_some_and(|day| day <= self.day)
    }
}

/// Whether an objection of a leg counts: an outer one's does, and everybody's where all must consent, unless a duty
/// offers none.
pub(crate) fn may_object(is_outer: bool, combined: &Combined) -> bool {
    let asks_everybody = combined.gate == Gate::OptIn && combined.parties == Parties::All;
    combined.objection_offered && (is_outer || asks_everybody)
}
