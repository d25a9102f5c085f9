//! For which campaigns a call must be drawn now (`FORMAT.md`, section 3.8).

use std::sync::Arc;

use serde::Serialize;

use super::Situation;
use crate::campaign::Unknown;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::sampling::stratum;
use crate::words::*;

/// A draw that is to be made for a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stake {
    /// The campaign that counts for the purpose.
    pub campaign: Arc<str>,
    /// What it is for.
    pub purpose: Purpose,
    /// The rate to draw at, per mille: that of the campaign or of what caps it.
    pub rate: u16,
    /// What the campaign shares its draws out by.
    pub stratify: Stratify,
    /// The name of the call's share: its agent, its queue, or empty.
    pub stratum: Arc<str>,
}

/// The draws that are to be made for a call now, at most one for each sampled purpose.
///
/// None for calls that are exempt or private, none for purposes somebody objected to, none where the rules permit no
/// recording whatever is drawn, none for campaigns whose draw is settled. A campaign that shares its draws out by
/// agent waits until an agent is in the call.
pub fn stakes(facts: &Facts, policy: &Policy) -> Vec<Stake> {
    let Some(situation) = Situation::of(facts, policy, Unknown::Misses) else {
        return Vec::new();
    };
    if situation.somebody_exempt || facts.flags.contains(&Flag::Private) {
        return Vec::new();
    }
    let agent = facts.agent_legs().next();
    let stake = |case: super::Case<'_>| {
        let standing = case.standing;
        let rate = case.rate.as_ref()?;
        let campaign = rate.campaign;
        let hopeless = case.reason < Reason::ExemptLeg
            || situation.somebody_objects(&standing.purpose, &standing.combined);
        let too_early = campaign.stratify == Stratify::Agent && agent.is_none();
        let settled = facts.sampling.drawn.contains_key(&campaign.name);
        let share =
            stratum(campaign.stratify, agent.and_then(|leg| leg.agent.as_deref()), facts.queue.as_deref());
        (!hopeless && !too_early && !settled).then(|| Stake {
            campaign: campaign.name.clone(),
            purpose: standing.purpose.clone(),
            rate: rate.value,
            stratify: campaign.stratify,
            stratum: share.into(),
        })
    };
    situation.cases().into_iter().filter_map(stake).collect()
}
