//! The walk through bridges and Local pairs: from a customer to his parties, and from a sign to the customers that it
//! can concern.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use temoin_core::event::{Party, Role};
use temoin_core::id::{CallId, LegId};

use super::Topology;
use crate::translate::Sign;

impl Topology {
    /// Everybody beside this customer, sorted. A Local half whose other half is in no bridge is an unknown party: who
    /// is behind it cannot be told. Where the customer himself holds nobody talks to him, and all count as held.
    pub fn parties(&self, customer: &str, now: Duration) -> Vec<Party> {
        let mut walk = Walk { now, seen: HashSet::from([customer]), found: BTreeSet::new() };
        let holds = self.channels.get(customer).is_some_and(|channel| channel.held);
        self.listeners(customer, &mut walk);
        self.beyond(customer, holds, Role::Member, &mut walk);
        walk.found.into_iter().collect()
    }

    /// Whether this channel is half of a Local pair.
    pub(super) fn is_local(&self, id: &str) -> bool {
        self.channels.get(id).is_some_and(|channel| other_half(&channel.name).is_some())
    }

    /// The other members of this channel's bridge, and whoever is behind them.
    fn beyond<'a>(&'a self, id: &str, held: bool, role: Role, walk: &mut Walk<'a>) {
        let bridge = self.channels.get(id).and_then(|channel| channel.bridge.as_ref());
        let Some(bridge) = bridge.and_then(|id| self.bridges.get(id)).filter(|bridge| !bridge.holding) else {
            return;
        };
        for member in bridge.members.iter().filter(|member| *member != id) {
            let leaving = self.channels.get(member).and_then(|channel| channel.leaving);
            if leaving.is_some_and(|until| walk.now < until) || !walk.seen.insert(member) {
                continue;
            }
            self.listeners(member, walk);
            self.device(member, held, role, walk);
        }
    }

    /// Whoever spies on this channel.
    fn listeners<'a>(&'a self, id: &str, walk: &mut Walk<'a>) {
        for spy in self.channels.get(id).into_iter().flat_map(|channel| &channel.spies) {
            if walk.seen.insert(spy) {
                self.device(spy, false, Role::Listener, walk);
            }
        }
    }

    /// The channel itself, or, where it is a Local half, whoever is behind the other half.
    fn device<'a>(&'a self, id: &'a str, held: bool, role: Role, walk: &mut Walk<'a>) {
        let Some(channel) = self.channels.get(id) else {
            return;
        };
        let held = held || channel.held;
        let mut party = Party {
            leg: LegId(id.into()),
            extension: extension(&channel.name),
            agent: channel.agent.clone(),
            customer_of: self.followed.contains_key(id).then(|| CallId(id.into())),
            role,
            held,
        };
        if let Some(other) = other_half(&channel.name) {
            let other = self
                .names
                .get(&other)
                .filter(|other| self.channels.get(*other).is_some_and(|channel| channel.bridge.is_some()));
            match other {
                Some(other) if walk.seen.insert(other) => {
                    self.listeners(other, walk);
                    let held = held || self.channels.get(other).is_some_and(|channel| channel.held);
                    return self.beyond(other, held, role, walk);
                }
                Some(_) => return,
                None => {}
            }
        }
        match channel.name.split_once('/').map(|(technology, _)| technology) {
            // Plays prompts into a conference; nobody is there.
            Some("CBAnn" | "Announcer") => return,
            // Records a conference.
            Some("CBRec" | "Recorder") => party.role = Role::Listener,
            _ => {}
        }
        walk.found.insert(party);
    }

    /// The channels that a sign names, before and after it is applied.
    pub(super) fn seeds(&self, sign: &Sign) -> Vec<String> {
        let mut seeds = Vec::new();
        let mut members = |bridge: &str| {
            seeds.extend(
                self.bridges.get(bridge).into_iter().flat_map(|bridge| bridge.members.iter().cloned()),
            );
        };
        match sign {
            Sign::Merged { to, from } => {
                members(to);
                members(from);
            }
            Sign::Entered { channel, bridge, swap } => {
                members(&bridge.id);
                seeds.extend(swap.iter().cloned());
                seeds.push(channel.id.clone());
            }
            Sign::Transfer { leaving, transferee } => {
                seeds.extend(leaving.iter().chain(transferee).map(|channel| channel.id.clone()));
            }
            Sign::OptimizationBegan { halves } | Sign::OptimizationEnded { halves } => {
                seeds.extend(halves.iter().map(|half| half.id.clone()));
            }
            Sign::SpyBegan { spyer, spyee } => seeds.extend([spyer.id.clone(), spyee.id.clone()]),
            Sign::SpyEnded { spyer: channel }
            | Sign::Left { channel, .. }
            | Sign::Hold(channel)
            | Sign::Unhold(channel)
            | Sign::ExemptRings { on: channel, .. }
            | Sign::Step { on: channel, .. }
            | Sign::Answered { channel, .. }
            | Sign::Asking { channel, .. }
            | Sign::Seen(channel)
            | Sign::HungUp(channel) => seeds.push(channel.id.clone()),
            Sign::Code(code) => seeds.push(code.on.id.clone()),
            Sign::RecorderStarted(channel) if !self.follows(&channel.id) => seeds.push(channel.id.clone()),
            Sign::RecorderStarted(_) | Sign::RecorderStopped(_) => {}
        }
        seeds
    }

    /// The followed customers that can be reached from these channels, whichever way.
    pub(super) fn hood(&self, seeds: &[String], customers: &mut BTreeSet<String>) {
        let reached = self.reached(seeds.iter().map(String::as_str).collect(), true);
        customers.extend(reached.into_iter().filter(|id| self.followed.contains_key(*id)).map(str::to_owned));
    }

    /// The channels through which this customer's voice passes, customers apart. Nobody talks in a holding bridge.
    pub(super) fn audible(&self, customer: &str) -> Vec<String> {
        let reached = self.reached(vec![customer], false).into_iter();
        reached.filter(|id| !self.followed.contains_key(*id)).map(str::to_owned).collect()
    }

    /// All channels that can be reached from these, in bridges, through Local pairs and by listening.
    fn reached<'a>(&'a self, mut open: Vec<&'a str>, holding: bool) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            let Some(channel) = self.channels.get(id).filter(|_| seen.insert(id)) else {
                continue;
            };
            let bridge = channel.bridge.as_ref().and_then(|bridge| self.bridges.get(bridge));
            let bridge = bridge.filter(|bridge| holding || !bridge.holding);
            open.extend(bridge.into_iter().flat_map(|bridge| bridge.members.iter().map(String::as_str)));
            open.extend(channel.spies.iter().chain(&channel.spying).map(String::as_str));
            let pair = other_half(&channel.name).and_then(|name| self.names.get(&name));
            open.extend(pair.map(String::as_str));
        }
        seen.retain(|id| self.channels.contains_key(*id));
        seen
    }
}

struct Walk<'a> {
    now: Duration,
    seen: HashSet<&'a str>,
    found: BTreeSet<Party>,
}

/// `Local/…;1` and `Local/…;2` are one: the name alone tells, no event is needed.
fn other_half(name: &str) -> Option<String> {
    let stem = name.strip_prefix("Local/").map(|_| name)?;
    let (stem, half) = stem.rsplit_once(';')?;
    match half {
        "1" => Some(format!("{stem};2")),
        "2" => Some(format!("{stem};1")),
        _ => None,
    }
}

/// The endpoint that the PBX authenticated: `PJSIP/2001-0000002a` is `2001`. Nothing for other technologies.
pub(crate) fn extension(name: &str) -> Option<String> {
    let (endpoint, serial) = name.strip_prefix("PJSIP/")?.rsplit_once('-')?;
    let hex = serial.len() >= 8 && serial.bytes().all(|b| b.is_ascii_hexdigit());
    (hex && !endpoint.is_empty()).then(|| endpoint.to_owned())
}
