//! What does not depend on a call: for a line and the places its people are in, the rules in force for every purpose,
//! what they ask for together, and the campaigns as instants.
//!
//! A policy remembers the grounds it was asked for ([`Grounds`]): a centre has thousands of calls an hour and a handful
//! of these. It is a memory and no state: a ground is a function of policy, line and places, and one that is not
//! remembered is worked out again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use crate::campaign::Span;
use crate::combine::{Combined, combine};
use crate::force::{Force, Places, Reach};
use crate::policy::{Line, Policy};
use crate::words::{Prerequisite, Purpose, Territory};

/// What is never recorded by this product, whatever a pack says.
pub const NEVER: [&str; 6] =
    ["covert", "emotion-inference", "exempt-person", "payment-data", "private-call", "screen-capture"];

/// What holds on a line for people in certain places.
#[derive(Debug)]
pub(crate) struct Ground {
    /// One for each purpose of the line, in its order.
    pub(crate) standings: Vec<Standing>,
    /// What must not get into any recording.
    pub(crate) never: Arc<BTreeSet<Arc<str>>>,
}

/// How one purpose stands there.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) purpose: Purpose,
    pub(crate) force: Force,
    pub(crate) combined: Combined,
    /// The names of the rules in force.
    pub(crate) rules: Arc<BTreeSet<Arc<str>>>,
    /// The agents' territories for which a rule asks for an instrument of transfer.
    pub(crate) transfers: BTreeSet<Territory>,
    /// The campaigns for the purpose, whoever they are for.
    pub(crate) campaigns: Vec<Span>,
}

impl Ground {
    fn of(policy: &Policy, line: &Line, places: &Places) -> Self {
        let Places { outer, agents } = places.clone();
        let reach = Reach::of_territories(policy, line, outer, agents, true);
        let standings: Vec<_> =
            line.purposes.iter().map(|purpose| Standing::of(policy, line, &reach, purpose)).collect();
        let of_rules = standings.iter().flat_map(|standing| &standing.force.rules);
        let files = of_rules.filter_map(|rule| rule.file.as_ref()).chain(reach.overlays());
        let never = files.flat_map(|file| &file.never).cloned();
        Self { never: Arc::new(never.chain(NEVER.into_iter().map(Arc::from)).collect()), standings }
    }
}

impl Standing {
    fn of(policy: &Policy, line: &Line, reach: &Reach<'_>, purpose: &Purpose) -> Self {
        let force = reach.rules_for(purpose);
        let combined = combine(&force);
        let asks_transfer = combined.prerequisites.contains(&Prerequisite::TransferInstrument);
        let campaigns = policy
            .site()
            .campaigns
            .values()
            .filter(|campaign| campaign.purpose == *purpose)
            .filter_map(|campaign| Span::of(campaign, &line.zone, combined.campaign_max_days));
        Self {
            purpose: purpose.clone(),
            rules: Arc::new(force.references()),
            transfers: if asks_transfer { reach.transfers_asked(&force) } else { BTreeSet::new() },
            campaigns: campaigns.collect(),
            force,
            combined,
        }
    }
}

/// The grounds that a policy was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grounds(Arc<RwLock<Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    by_line: HashMap<Arc<str>, BTreeMap<Places, Arc<Ground>>>,
    count: usize,
}

/// No more are remembered: what callers claim of where they are must not fill the memory.
const MOST: usize = 1024;

impl Grounds {
    /// The ground of a line and places: remembered, or worked out.
    pub(crate) fn of(&self, policy: &Policy, line: &Line, places: Places) -> Arc<Ground> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(ground) = known.by_line.get(&line.name).and_then(|of_line| of_line.get(&places)) {
            return ground.clone();
        }
        drop(known);
        let ground = Arc::new(Ground::of(policy, line, &places));
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.count < MOST {
            let of_line = known.by_line.entry(line.name.clone()).or_default();
            let is_new = of_line.insert(places, ground.clone()).is_none();
            known.count += usize::from(is_new);
        }
        ground
    }
}
