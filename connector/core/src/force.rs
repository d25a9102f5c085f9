//! Which rules are in force (`FORMAT.md`, section 3.2): from who is in the call, to packs, to rules.
//!
//! A [`Reach`] is whose laws a call is under: one [`Selection`] for each territory and facet. [`Reach::rules_for`]
//! takes one purpose and collects the rules in force for it, with the zone each counts in and whether its gate yields
//! to a duty of the same land. What the rules ask for together is `combine`'s business.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::facts::{Facts, Leg};
use crate::pack::{Pack, Rule};
use crate::policy::{Line, Policy};
use crate::time::Zone;
use crate::words::*;

/// Whose laws a call on a line is under.
pub(crate) struct Reach<'p> {
    policy: &'p Policy,
    line: &'p Line,
    selections: Vec<Selection<'p>>,
    /// Where the agents of the call work.
    workplaces: BTreeSet<Territory>,
    /// A name in the policy or in a selected pack leads nowhere: what it would ask for is unknown.
    broken: bool,
    tighten: bool,
}

/// The packs that speak for one territory on one facet.
struct Selection<'p> {
    facet: Facet,
    territory: Territory,
    packs: Vec<Selected<'p>>,
}

/// A pack, and the code by which a territory selected it; none for a default pack.
struct Selected<'p> {
    pack: &'p Arc<Pack>,
    code: Option<Territory>,
}

/// A rule that is in force.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) rule: Arc<Rule>,
    /// Its file; none for what the site asks of itself.
    pub(crate) file: Option<Arc<Pack>>,
    /// The zone its periods are counted in.
    pub(crate) zone: Zone,
    /// Its gate yields to a duty of the same land.
    pub(crate) yields: bool,
    /// Whom it asks for an instrument of transfer.
    transfers: Transfers,
}

/// The agents' territories for which a rule asks for an instrument of transfer, if it asks at all.
#[derive(Debug)]
enum Transfers {
    /// None: no pack brought it.
    Nobodys,
    /// Those that the pack which brought the rule lists.
    Listed(Arc<Pack>),
    /// Those without a pack for employees of their own.
    Unlisted,
    /// Those outside the countries that the pack lists.
    Outside(Arc<Pack>),
}

/// The rules in force for one purpose.
#[derive(Debug)]
pub(crate) struct Force {
    pub(crate) rules: Vec<InForce>,
    /// Whether every territory is spoken for: where one is silent, nothing is permitted.
    pub(crate) permitted: bool,
}

impl<'p> Reach<'p> {
    /// Whose laws a call is under, from its legs.
    pub(crate) fn of_call(policy: &'p Policy, line: &'p Line, facts: &Facts) -> Self {
        let Places { outer, agents } = Places::of_call(policy, line, facts);
        Self::of_territories(policy, line, outer, agents, true)
    }

    /// Whose laws a line is under, given the territories of outside persons and of agents.
    pub(crate) fn of_territories(
        policy: &'p Policy,
        line: &'p Line,
        outer: BTreeSet<Territory>,
        agents: BTreeSet<Territory>,
        tighten: bool,
    ) -> Self {
        let employees = agents.iter().map(|territory| (Facet::Employee, territory.clone()));
        let customers = outer.into_iter().map(|territory| (Facet::Customer, territory));
        let selections: Vec<_> = employees
            .chain(customers)
            .map(|(facet, territory)| Selection::of(policy, facet, territory))
            .collect();
        let broken = has_broken_names(policy, line, &selections);
        Self { policy, line, selections, workplaces: agents, broken, tighten }
    }

    /// The sector packs of the line that are loaded.
    fn sectors(&self) -> impl Iterator<Item = &'p Arc<Pack>> + use<'p> {
        let packs = self.policy.packs();
        self.line.sectors.iter().filter_map(|id| packs.of_kind(id, &[PackKind::Sector]))
    }

    /// The overlays of the site that are loaded.
    pub(crate) fn overlays(&self) -> impl Iterator<Item = &'p Arc<Pack>> + use<'p> {
        let packs = self.policy.packs();
        self.policy.site().overlays.iter().filter_map(|id| packs.of_kind(id, &[PackKind::Overlay]))
    }

    /// The rules in force for a purpose.
    pub(crate) fn rules_for(&self, purpose: &Purpose) -> Force {
        let mut rules = Vec::new();
        let mut permitted = !self.broken && !self.selections.is_empty();
        for selection in &self.selections {
            let mut spoken_for = self.a_sector_speaks_in(&selection.territory, purpose);
            for selected in &selection.packs {
                let before = rules.len();
                self.add_lineage(selected, selection.facet, purpose, &mut rules);
                let own =
                    rules[before..].iter().any(|r| r.file.as_ref().is_some_and(|f| f.id == selected.pack.id));
                spoken_for |= own;
            }
            permitted &= spoken_for;
        }
        for pack in self.sectors().chain(self.overlays()) {
            let zone = pack.zone.as_ref().unwrap_or(&self.line.zone);
            rules.extend(pack.rules_for(Facet::Sector, purpose).map(|rule| InForce {
                rule: rule.clone(),
                file: Some(pack.clone()),
                zone: zone.clone(),
                yields: false,
                transfers: Transfers::Outside(pack.clone()),
            }));
        }
        permitted &= !rules.is_empty();
        if let Some(rule) = self.policy.site().tighten.get(purpose).filter(|_| self.tighten) {
            let (rule, zone) = (Arc::new(rule.clone()), self.line.zone.clone());
            rules.push(InForce { rule, file: None, zone, yields: false, transfers: Transfers::Nobodys });
        }
        Force { rules, permitted }
    }

    /// The rules of a selected pack and of its ancestors.
    fn add_lineage(
        &self,
        selected: &Selected<'p>,
        facet: Facet,
        purpose: &Purpose,
        rules: &mut Vec<InForce>,
    ) {
        let mut zone = &self.line.zone;
        let ancestors = self.policy.packs().ancestors(selected.pack);
        for file in std::iter::once(selected.pack).chain(ancestors) {
            zone = file.zone.as_ref().unwrap_or(zone);
            rules.extend(file.rules_for(facet, purpose).map(|rule| InForce {
                rule: rule.clone(),
                file: Some(file.clone()),
                zone: zone.clone(),
                yields: !rule.names(purpose)
                    && rule.gate > Gate::Notice
                    && selected.code.as_ref().is_some_and(|code| self.has_duty_in(code, purpose)),
                transfers: match selected.code {
                    Some(_) => Transfers::Listed(selected.pack.clone()),
                    None => Transfers::Unlisted,
                },
            }));
        }
    }

    /// Whether a sector pack of the line that lists the territory or its country speaks of the purpose.
    fn a_sector_speaks_in(&self, territory: &Territory, purpose: &Purpose) -> bool {
        self.sectors()
            .any(|pack| pack.covers(territory) && pack.rules_for(Facet::Sector, purpose).next().is_some())
    }

    /// Whether a sector pack of the line that lists this code has a duty naming the purpose.
    fn has_duty_in(&self, code: &Territory, purpose: &Purpose) -> bool {
        let orders = |rule: &Arc<Rule>| rule.duty == Duty::Must && rule.names(purpose);
        self.sectors()
            .any(|pack| pack.territory.contains(code) && pack.rules_for(Facet::Sector, purpose).any(orders))
    }

    /// The agents' territories for which a rule in force asks for an instrument of transfer.
    pub(crate) fn transfers_asked(&self, force: &Force) -> BTreeSet<Territory> {
        let asking = || {
            force.rules.iter().filter(|r| r.rule.prerequisites.contains(&Prerequisite::TransferInstrument))
        };
        let asks = |t: &&Territory| asking().any(|r| self.asks_transfer_for(r, t));
        self.workplaces.iter().filter(asks).cloned().collect()
    }

    fn asks_transfer_for(&self, rule: &InForce, workplace: &Territory) -> bool {
        match &rule.transfers {
            Transfers::Nobodys => false,
            Transfers::Listed(pack) => pack.covers(workplace),
            Transfers::Unlisted => territory_packs(self.policy, Facet::Employee, workplace).next().is_none(),
            Transfers::Outside(pack) => {
                pack.territory.iter().all(|code| code.country() != workplace.country())
            }
        }
    }
}

/// Where the people of a call are, as far as laws go: with the line it says whose laws the call is under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Places {
    /// Where the outside persons may be. An agent without an outside person beside stands for one, too.
    pub(crate) outer: BTreeSet<Territory>,
    /// Where the agents work.
    pub(crate) agents: BTreeSet<Territory>,
}

impl Places {
    /// From the legs of a call.
    pub(crate) fn of_call(policy: &Policy, line: &Line, facts: &Facts) -> Self {
        let outer = facts.outer_legs().flat_map(|leg| territories(leg, policy, line)).collect();
        Self { outer, agents: facts.agent_legs().map(|leg| leg.workplace(policy)).collect() }
    }
}

/// Where the person on a leg that stands for the outside may be.
fn territories(leg: &Leg, policy: &Policy, line: &Line) -> BTreeSet<Territory> {
    if leg.kind.is_external() { leg.whereabouts(line) } else { BTreeSet::from([leg.workplace(policy)]) }
}

/// The packs of a territory that have rules of a facet themselves, each with the code that selects it.
fn territory_packs<'p>(
    policy: &'p Policy,
    facet: Facet,
    territory: &Territory,
) -> impl Iterator<Item = Selected<'p>> + use<'p> {
    let territory = territory.clone();
    let of_facet =
        policy.packs().shared().filter(move |pack| pack.kind == PackKind::Territory && pack.speaks_of(facet));
    of_facet.flat_map(move |pack| {
        let codes: BTreeSet<_> = codes_covering(&pack.territory, &territory).cloned().collect();
        codes.into_iter().map(move |code| Selected { pack, code: Some(code) })
    })
}

impl<'p> Selection<'p> {
    fn of(policy: &'p Policy, facet: Facet, territory: Territory) -> Self {
        let mut packs: Vec<_> = territory_packs(policy, facet, &territory).collect();
        if packs.is_empty() {
            let defaults = policy.packs().shared().filter(|pack| pack.kind == PackKind::Default);
            packs = defaults.map(|pack| Selected { pack, code: None }).collect();
        }
        Self { facet, territory, packs }
    }
}

/// Whether a sector, an overlay, or a parent of a pack that is used is not loaded or is of another kind.
fn has_broken_names(policy: &Policy, line: &Line, selections: &[Selection<'_>]) -> bool {
    let packs = policy.packs();
    let lost =
        |id: &str, kind: PackKind| packs.of_kind(id, &[kind]).is_none_or(|pack| packs.has_lost_parent(pack));
    line.sectors.iter().any(|id| lost(id, PackKind::Sector))
        || policy.site().overlays.iter().any(|id| lost(id, PackKind::Overlay))
        || selections.iter().flat_map(|s| &s.packs).any(|selected| packs.has_lost_parent(selected.pack))
}

impl InForce {
    /// A rule in force of no file in particular.
    #[cfg(test)]
    pub(crate) fn plain(rule: &Rule, zone: &Zone, yields: bool) -> Self {
        let (rule, zone) = (Arc::new(rule.clone()), zone.clone());
        Self { rule, file: None, zone, yields, transfers: Transfers::Nobodys }
    }

    /// Its gate, as far as it does not yield.
    pub(crate) fn gate(&self) -> Gate {
        if self.yields { Gate::Notice } else { self.rule.gate }
    }

    /// Who must consent, as far as its gate does not yield.
    pub(crate) fn parties(&self) -> Parties {
        if self.yields { Parties::External } else { self.rule.parties }
    }

    /// What it asks to be said. Where its gate yields, nobody needs to be told how to accept.
    pub(crate) fn announces(&self) -> impl Iterator<Item = Element> {
        let yields = self.yields;
        self.rule.announce.iter().copied().filter(move |element| !(yields && *element == Element::Accept))
    }
}

impl Force {
    /// The names of the rules, sorted, each once.
    pub(crate) fn references(&self) -> BTreeSet<Arc<str>> {
        self.rules.iter().map(|r| r.rule.reference.clone()).collect()
    }
}
