//! A call as a sequence of events (`FORMAT.md`, section 3.10): what they change in the facts, what a key means, and
//! what an objection erases.
//!
//! [`Talk`] keeps the facts of one call up to date, and remembers what a leg has heard and said when it leaves and
//! comes back. [`Talk::apply`] returns what is to be erased; [`erased`] tells which purposes of an earlier segment that
//! concerns. [`segments`] plays a whole call, for examples and tests. Audio, prompts and time are other people's.

mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use script::{Segment, segments};

use crate::campaign::Unknown;
use crate::decide::{Situation, may_object};
use crate::facts::{Facts, Leg, Scope};
use crate::ground::Standing;
use crate::policy::Policy;
use crate::words::*;

/// Something that happens in a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// An announcement was heard to its end.
    Announced {
        /// By this leg.
        leg: Arc<str>,
        /// It named these purposes.
        purposes: BTreeSet<Purpose>,
    },
    /// A key was pressed, or a code of several.
    Key {
        /// On this leg.
        leg: Arc<str>,
        /// The digits.
        key: Arc<str>,
    },
    /// A person objects.
    Object {
        /// On this leg.
        leg: Arc<str>,
        /// To these purposes; to all if absent.
        #[serde(default)]
        purposes: Option<BTreeSet<Purpose>>,
    },
    /// A person takes a consent back: the same as objecting.
    Withdraw {
        /// On this leg.
        leg: Arc<str>,
        /// For these purposes; for all if absent.
        #[serde(default)]
        purposes: Option<BTreeSet<Purpose>>,
    },
    /// A person consents.
    Consent {
        /// On this leg.
        leg: Arc<str>,
        /// To these purposes; to those heard so far if absent.
        #[serde(default)]
        purposes: Option<BTreeSet<Purpose>>,
    },
    /// A leg joins, or joins again. What it has heard and said stays unless the event says otherwise.
    Join {
        /// All else that is known of it.
        leg: Leg,
    },
    /// A leg leaves.
    Leave {
        /// The leg.
        leg: Arc<str>,
    },
    /// Something becomes true of the call.
    FlagOn {
        /// What.
        flag: Flag,
    },
    /// Something is true of the call no longer.
    FlagOff {
        /// What.
        flag: Flag,
    },
    /// Somebody declares the call private.
    PrivateOn,
    /// The private part is over.
    PrivateOff,
    /// The call ends.
    Hangup,
}

/// Something recorded earlier in the call that is to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erase {
    /// What a leg that took part objects to now.
    Objected {
        /// The leg.
        leg: Arc<str>,
        /// What it objects to.
        scope: Scope,
    },
    /// All of it but what a duty orders: the call was declared private.
    Private,
    /// All of it: what was announced was heard by an answering machine, so nobody was told.
    Machine,
}

/// The facts of one call, and what legs that are away have heard and said.
#[derive(Clone, Debug)]
pub struct Talk {
    facts: Facts,
    away: BTreeMap<Arc<str>, Said>,
}

/// What a leg has heard and said so far.
#[derive(Clone, Debug, Default)]
struct Said {
    heard: Option<BTreeSet<Purpose>>,
    objected: Option<Scope>,
    consented: Option<Scope>,
}

impl Talk {
    /// A call as it begins. Without a `call_start` it begins with these facts.
    pub fn begin(mut facts: Facts) -> Self {
        facts.call_start = Some(facts.call_start());
        Self { facts, away: BTreeMap::new() }
    }

    /// What is known of the call.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What is known of the call, to be completed by what is no event: the queue, evidence, a draw.
    pub fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    /// Lets the time go on.
    pub fn set_time(&mut self, now: Timestamp) {
        self.facts.at = now;
    }

    /// Applies an event, and tells what it erases in earlier segments.
    pub fn apply(&mut self, policy: &Policy, event: &Event) -> Vec<Erase> {
        match event {
            Event::Announced { leg, purposes } => self.announced(leg, purposes),
            Event::Key { leg, key } => return self.key(policy, leg, key),
            Event::Object { leg, purposes } | Event::Withdraw { leg, purposes } => {
                return self.object(policy, leg, scope_or_all(purposes.as_ref()));
            }
            Event::Consent { leg, purposes } => match purposes {
                Some(purposes) => self.consent(policy, leg, Scope::Only(purposes.clone())),
                None if self.is_agent_beside_outsiders(leg) => self.consent(policy, leg, Scope::All),
                None => self.consent_to_heard(policy, leg),
            },
            Event::Join { leg } => self.join(leg),
            Event::Leave { leg } => self.leave(leg),
            Event::FlagOn { flag } => self.set(*flag, true),
            Event::FlagOff { flag } => self.set(*flag, false),
            Event::PrivateOn => return self.declare_private(),
            Event::PrivateOff => self.set(Flag::Private, false),
            Event::Hangup => {}
        }
        Vec::new()
    }

    fn set(&mut self, flag: Flag, on: bool) {
        if on {
            self.facts.flags.insert(flag);
        } else {
            self.facts.flags.remove(&flag);
        }
    }

    fn toggle(&mut self, flag: Flag) {
        self.set(flag, !self.facts.flags.contains(&flag));
    }

    fn declare_private(&mut self) -> Vec<Erase> {
        self.set(Flag::Private, true);
        vec![Erase::Private]
    }

    fn key(&mut self, policy: &Policy, leg: &str, digits: &str) -> Vec<Erase> {
        let function = meaning(policy, &self.facts, leg, digits);
        function.map_or_else(Vec::new, |function| self.press(policy, leg, function))
    }

    /// Applies what a press on a leg means, and tells what it erases in earlier segments.
    pub fn press(&mut self, policy: &Policy, leg: &str, function: Function) -> Vec<Erase> {
        match function {
            Function::Object => return self.object(policy, leg, Scope::All),
            Function::Accept => self.consent_to_heard(policy, leg),
            Function::Info => {}
            Function::AgentStop => self.toggle(Flag::AgentStop),
            Function::AgentContract => self.toggle(Flag::ContractTalk),
            Function::AgentPrivate if self.facts.flags.contains(&Flag::Private) => {
                self.set(Flag::Private, false)
            }
            Function::AgentPrivate => return self.declare_private(),
            Function::AgentObject => {
                let objecting = self.outer_ids();
                return objecting.iter().flat_map(|leg| self.object(policy, leg, Scope::All)).collect();
            }
            Function::AgentTold => {
                let line = policy.line(&self.facts.line);
                let prompt = line.and_then(|line| line.prompt(self.facts.language.as_deref()));
                if let Some(prompt) = prompt {
                    self.outer_ids().iter().for_each(|leg| self.announced(leg, &prompt.purposes));
                }
            }
        }
        Vec::new()
    }

    /// Applies an agent's code that is no key of the policy, and tells what it erases in earlier segments.
    ///
    /// A notice that a machine heard is not heard, nor is its yes one: whoever talks afterwards must be told.
    pub fn press_code(&mut self, code: AgentCode) -> Vec<Erase> {
        match code {
            AgentCode::Triggered => self.toggle(Flag::AgentTriggered),
            AgentCode::Regulated => self.toggle(Flag::RegulatedTalk),
            AgentCode::Machine => {
                self.toggle(Flag::AnsweringMachine);
                for leg in self.outer_ids() {
                    self.said(&leg, |said| (said.heard, said.consented) = (None, None));
                }
                if self.facts.flags.contains(&Flag::AnsweringMachine) {
                    return vec![Erase::Machine];
                }
            }
        }
        Vec::new()
    }

    fn outer_ids(&self) -> Vec<Arc<str>> {
        self.facts.outer_legs().map(|leg| leg.id.clone()).collect()
    }

    fn is_agent_beside_outsiders(&self, leg: &str) -> bool {
        let is_agent = self.facts.leg(leg).is_some_and(|leg| leg.kind == LegKind::Agent);
        is_agent && !self.facts.is_among_agents()
    }

    fn announced(&mut self, leg: &str, purposes: &BTreeSet<Purpose>) {
        self.said(leg, |said| said.heard.get_or_insert_default().extend(purposes.iter().cloned()));
    }

    fn object(&mut self, policy: &Policy, leg: &str, scope: Scope) -> Vec<Erase> {
        let all = self.purposes(policy);
        self.said(leg, |said| {
            said.objected = Some(joined(said.objected.take(), &scope));
            said.consented = said.consented.take().map(|consented| without(consented, &scope, &all));
        });
        vec![Erase::Objected { leg: leg.into(), scope }]
    }

    fn consent(&mut self, policy: &Policy, leg: &str, scope: Scope) {
        let all = self.purposes(policy);
        self.said(leg, |said| {
            said.consented = Some(joined(said.consented.take(), &scope));
            said.objected = said.objected.take().map(|objected| without(objected, &scope, &all));
        });
    }

    fn consent_to_heard(&mut self, policy: &Policy, leg: &str) {
        let mut heard = BTreeSet::new();
        self.said(leg, |said| heard = said.heard.clone().unwrap_or_default());
        self.consent(policy, leg, Scope::Only(heard));
    }

    fn join(&mut self, leg: &Leg) {
        self.leave(&leg.id);
        let said = self.away.remove(&leg.id).unwrap_or_default();
        let mut leg = leg.clone();
        leg.heard = leg.heard.or(said.heard);
        leg.objected = leg.objected.or(said.objected);
        leg.consented = leg.consented.or(said.consented);
        self.facts.legs.push(leg);
    }

    fn leave(&mut self, leg: &str) {
        let Some(position) = self.facts.legs.iter().position(|present| &*present.id == leg) else {
            return;
        };
        let left = self.facts.legs.remove(position);
        let said = Said { heard: left.heard, objected: left.objected, consented: left.consented };
        self.away.insert(left.id, said);
    }

    /// Changes what a leg has heard and said, whether it is present, away or yet to come.
    fn said(&mut self, leg: &str, change: impl FnOnce(&mut Said)) {
        if let Some(present) = self.facts.legs.iter_mut().find(|present| &*present.id == leg) {
            let mut said = Said {
                heard: present.heard.take(),
                objected: present.objected.take(),
                consented: present.consented.take(),
            };
            change(&mut said);
            (present.heard, present.objected, present.consented) =
                (said.heard, said.objected, said.consented);
        } else {
            change(self.away.entry(leg.into()).or_default());
        }
    }

    fn purposes(&self, policy: &Policy) -> BTreeSet<Purpose> {
        policy.line(&self.facts.line).into_iter().flat_map(|line| line.purposes.iter().cloned()).collect()
    }
}

fn scope_or_all(purposes: Option<&BTreeSet<Purpose>>) -> Scope {
    purposes.cloned().map_or(Scope::All, Scope::Only)
}

/// What either covers.
fn joined(a: Option<Scope>, b: &Scope) -> Scope {
    match (a, b) {
        (Some(Scope::Only(mut a)), Scope::Only(b)) => {
            a.extend(b.iter().cloned());
            Scope::Only(a)
        }
        (Some(Scope::All), _) | (_, Scope::All) => Scope::All,
        (None, b) => b.clone(),
    }
}

/// What the first covers and the second does not, of all purposes there are.
fn without(a: Scope, b: &Scope, all: &BTreeSet<Purpose>) -> Scope {
    let covered = match a {
        Scope::All => all.clone(),
        Scope::Only(purposes) => purposes,
    };
    Scope::Only(covered.into_iter().filter(|purpose| !b.covers(purpose)).collect())
}

/// What a key means, pressed on a leg: what the call's prompt says. None for a leg that is not in the call.
///
/// Outside persons have the caller's functions, agents their own, and in a call among agents both, theirs first. While
/// a payment goes on the digits of a caller are a card's, and mean nothing.
pub fn meaning(policy: &Policy, facts: &Facts, leg: &str, digits: &str) -> Option<Function> {
    let leg = facts.leg(leg)?;
    let is_agent = leg.kind == LegKind::Agent;
    let plays_caller = facts.is_outer(leg) && !facts.flags.contains(&Flag::PaymentActive);
    let first = |side: Side| function_of(policy, facts, side, digits);
    is_agent
        .then(|| first(Side::Agent))
        .flatten()
        .or_else(|| plays_caller.then(|| first(Side::Caller)).flatten())
}

/// Who presses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A caller.
    Caller,
    /// An agent.
    Agent,
}

/// The function that the call's prompt gives to digits of a side, whoever is in the call.
pub fn function_of(policy: &Policy, facts: &Facts, side: Side, digits: &str) -> Option<Function> {
    let keys = policy.line(&facts.line)?.keys_in(facts.language.as_deref());
    let of_side =
        Function::ALL.iter().copied().filter(|function| function.is_agents() == (side == Side::Agent));
    of_side.into_iter().find(|function| keys.digits(*function).is_some_and(|key| &**key == digits))
}

/// The purposes that are erased in an earlier segment, given the facts it was recorded under.
///
/// An objection erases what the leg objects to, if it took part and its objection counted there, where the gate was
/// opt-out or opt-in. A call declared private loses everything but what a duty orders to keep, one with an answering
/// machine everything.
pub fn erased(erase: &Erase, policy: &Policy, segment: &Facts) -> BTreeSet<Purpose> {
    let Some(situation) = Situation::of(segment, policy, Unknown::Misses) else {
        return BTreeSet::new();
    };
    let goes = |case: &crate::decide::Case<'_>| match erase {
        Erase::Machine => true,
        Erase::Private => case.standing.combined.duty != CombinedDuty::Must,
        Erase::Objected { leg, scope } => {
            let Standing { purpose, combined, .. } = case.standing;
            let counts = segment.leg(leg).is_some_and(|leg| may_object(segment.is_outer(leg), combined));
            counts && scope.covers(purpose) && matches!(combined.gate, Gate::OptOut | Gate::OptIn)
        }
    };
    situation.cases().iter().filter(|case| goes(case)).map(|case| case.standing.purpose.clone()).collect()
}
