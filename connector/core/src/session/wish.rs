//! Who is in the call, and what may be recorded now: the facts brought in line with who is connected, lots drawn, the law
//! asked, and the answer written down where it changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Asked, Link, Phase, Rules, Session};
use crate::command::{Command, Notice, Order};
use crate::decide::{self, Decision, decide};
use crate::event::{Party, Role};
use crate::facts::{Facts, Leg};
use crate::id::LegId;
use crate::journal::What;
use crate::ports::{Ballot, Drawn, StoreError};
use crate::sampling;
use crate::segment::Ending;
use crate::talk::Event;
use crate::words::{LegKind, Purpose, Reason, Refusal};

/// Why nothing may be recorded at this moment; the law's reasons are in the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Nothing of this call any more.
    Muted(&'static str),
    /// The PBX is not heard.
    Link,
    /// No agent is connected with the customer.
    Alone,
    /// Somebody is on hold or away.
    Held,
    /// Somebody is there whom nobody knows.
    Stranger,
    /// The customer of another call is there: what he heard and refused is that call's knowledge, his code stops only the
    /// recorders of his own leg, and what he takes back must be erased in a call that may be over by then.
    OtherCustomer,
    /// Somebody who must never be recorded is about to come in.
    ExemptRings,
    /// The customer is being told that a contract talk begins.
    Step,
    /// The lot has not fallen yet.
    Drawing,
    /// A disk has no room for it.
    NoRoom,
    /// The law: see the decision.
    Law(Box<Decision>),
}

/// What may be recorded at this moment.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) facts: Facts,
    pub(super) decision: Decision,
}

impl Session {
    pub(super) fn parties(&mut self, now: Timestamp, mut parties: Vec<Party>, at: Timestamp) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        parties.sort();
        parties.dedup();
        // Somebody may listen to a customer who still waits in the hook.
        if parties.iter().any(|party| party.role == Role::Member) {
            self.left_hook_unseen(now);
        }
        if self.parties == parties {
            return;
        }
        self.parties = parties;
        self.changed = at;
        self.seated = at;
        // Nobody talks before the asking is over; who hung up in it is bridged for a moment all the same.
        if matches!(self.phase, Phase::Asking(_)) {
            return;
        }
        let agents: BTreeSet<String> = self.parties.iter().filter_map(|party| self.agent_of(party)).collect();
        if !agents.is_empty() {
            if self.record.talked.is_none() {
                self.record.talked = Some(at);
            }
            let mut all: BTreeSet<String> = self.record.agents.drain(..).collect();
            all.extend(agents);
            self.record.agents = all.into_iter().collect();
            self.index();
        }
    }

    pub(super) fn wish(&mut self, now: Timestamp) -> Result<Wish, Why> {
        // Who is there is known even where nothing is recorded: an objection erases what was.
        let seated = self.seat();
        if let Some(why) = self.muted {
            let objects = self.talk.facts().legs.first().is_some_and(|leg| leg.objected.is_some());
            // Nobody knew whether he had said no; now he has.
            let why = if why == super::hook::UNHEARD && objects { "objected" } else { why };
            return Err(Why::Muted(why));
        }
        if self.link != Link::Up {
            return Err(Why::Link);
        }
        seated?;
        if !self.parties.iter().any(|party| party.role == Role::Member) {
            return Err(Why::Alone);
        }
        if self.exempt_rang.is_some_and(|rang| rang >= self.seated) {
            return Err(Why::ExemptRings);
        }
        if self.step.is_some() {
            return Err(Why::Step);
        }
        self.talk.set_time(now);
        let held = self.parties.iter().any(|party| party.held);
        if !held && self.draw(now) {
            return Err(Why::Drawing);
        }
        let facts = self.talk.facts();
        let decision = decide(facts, &self.rules.policy);
        if !decision.record {
            return Err(Why::Law(Box::new(decision)));
        }
        if held {
            return Err(Why::Held);
        }
        // What a law demands and has begun runs on as long as it is whole.
        if self.full || self.lacks.is_some() && !self.recorder.is_demanded() {
            return Err(Why::NoRoom);
        }
        Ok(Wish { facts: facts.clone(), decision })
    }

    /// Brings the facts' legs in line with who is connected: all who are known, whoever else is there.
    fn seat(&mut self) -> Result<(), Why> {
        let rules = Arc::clone(&self.rules);
        let present = self.talk.facts().legs[1..].iter().map(|leg| leg.id.clone());
        let gone: Vec<_> =
            present.filter(|id| !self.parties.iter().any(|party| party.leg.0 == **id)).collect();
        for leg in gone {
            self.talk.apply(&rules.policy, &Event::Leave { leg });
        }
        let (mut stranger, mut other_customer) = (false, false);
        for party in &self.parties {
            // An exempt extension needs no agent to be exempt; anybody else without one is a stranger.
            let Some(leg) = rules.leg_of(party) else {
                other_customer |= party.customer_of.is_some();
                stranger |= party.customer_of.is_none();
                continue;
            };
            if crate::sabotage::is("skip-exempt") && leg.is_exempt(&rules.policy) {
                continue;
            }
            self.known.insert(party.leg.clone());
            // The same channel may turn out to be somebody else's.
            let seated = self.talk.facts().leg(&leg.id);
            if seated.is_none_or(|seated| seated.agent != leg.agent || seated.extension != leg.extension) {
                self.talk.apply(&rules.policy, &Event::Join { leg });
            }
        }
        match (stranger, other_customer) {
            (true, _) => Err(Why::Stranger),
            (false, true) => Err(Why::OtherCustomer),
            (false, false) => Ok(()),
        }
    }

    /// Whether this is an agent's leg of this call, present or not: a code pressed on the way out counts.
    pub(super) fn knows(&self, leg: &LegId) -> bool {
        self.known.contains(leg)
    }

    /// Asks for the lots that this call still needs; true while one has not fallen.
    fn draw(&mut self, now: Timestamp) -> bool {
        if !self.drawing {
            let stakes = decide::stakes(self.talk.facts(), &self.rules.policy);
            let call = &self.record.id;
            let ballots: Vec<Ballot> = stakes
                .into_iter()
                .filter(|stake| self.asked.insert(stake.campaign.to_string()))
                .map(|stake| Ballot {
                    campaign: stake.campaign.to_string(),
                    call: call.clone(),
                    stratum: stake.stratum.to_string(),
                    rate: stake.rate,
                    draw: sampling::Draw::keyed(&self.rules.key.0, &stake.campaign, &call.0),
                    at: now,
                })
                .collect();
            if !ballots.is_empty() {
                self.drawing = true;
                self.out.push(Command::Draw(ballots));
            }
        }
        self.drawing
    }

    pub(super) fn drawn(&mut self, drawn: Vec<Drawn>) {
        self.drawing = false;
        let fallen = drawn.into_iter().map(|drawn| (drawn.ballot.campaign, drawn.selected));
        self.talk
            .facts_mut()
            .sampling
            .drawn
            .extend(fallen.map(|(campaign, selected)| (campaign.into(), selected)));
    }

    pub(super) fn not_drawn(&mut self, now: Timestamp, error: &StoreError) {
        // Without a lot a call is never drawn.
        self.drawing = false;
        self.alarm(now, Notice::NotStarted { why: error.to_string() });
    }

    pub(super) fn agent_of(&self, party: &Party) -> Option<String> {
        self.rules.agent_of(party)
    }

    /// Writes the decision down where it changed, and gives the call its one word.
    pub(super) fn tell(&mut self, now: Timestamp, wish: &Result<Wish, Why>) {
        let (record, decision, shell) = match wish {
            Ok(wish) => (true, Some(&wish.decision), None),
            Err(Why::Law(decision)) => (false, Some(&**decision), None),
            // Nothing is decided yet, or nobody is there: no news.
            Err(Why::Drawing | Why::Alone | Why::Step) => return,
            Err(Why::Muted(why)) => (false, None, Some(*why)),
            Err(Why::Link) => (false, None, Some("not-heard")),
            Err(Why::NoRoom) => (false, None, Some("no-room")),
            Err(Why::Held) => (false, None, Some("held")),
            Err(Why::Stranger) => (false, None, Some("unknown-party")),
            Err(Why::OtherCustomer) => (false, None, Some("another-customer")),
            Err(Why::ExemptRings) => (false, None, Some("exempt-rings")),
        };
        if matches!(self.phase, Phase::Over) {
            return;
        }
        let reasons = match (decision, shell) {
            (Some(decision), _) => decision
                .purposes
                .iter()
                .map(|(purpose, of)| (purpose.to_string(), of.reason.to_string()))
                .collect(),
            (None, why) => [("*".to_owned(), why.unwrap_or_default().to_owned())].into(),
        };
        let agents = self.parties.iter().filter_map(|party| self.agent_of(party)).collect();
        let what = What::Decided { record, agents, reasons };
        if self.told.as_ref() == Some(&what) {
            return;
        }
        let was_recorded = self.record.outcome == "recorded" && self.remains();
        if !record && !was_recorded {
            let nearest = decision.and_then(|decision| decision.purposes.values().map(|of| of.reason).max());
            let word =
                nearest.map_or_else(|| shell.unwrap_or("unknown").to_owned(), |reason| reason.to_string());
            if self.record.outcome != word {
                self.record.outcome = word;
                self.index();
            }
        }
        self.journal(now, what.clone());
        self.told = Some(what);
    }

    /// A recording that was allowed and had no room is an alarm, once as long as it lasts.
    pub(super) fn tell_lack(&mut self, now: Timestamp, wish: &Result<Wish, Why>) {
        let concerned = matches!(wish, Err(Why::NoRoom)) || self.recorder.is_demanded();
        if let Some(why) = self.lacks.clone().filter(|_| concerned)
            && !std::mem::replace(&mut self.told_lack, true)
        {
            let demanded = self.recorder.is_demanded();
            self.alarm(now, if demanded { Notice::Mandatory { why } } else { Notice::NotStarted { why } });
        }
    }

    /// A service that the law ends with the refusal ends; one that it forbids unrecorded is an alarm, once: in the talk
    /// it is the agent who must not go on.
    pub(super) fn serve(&mut self, now: Timestamp, wish: &Result<Wish, Why>) {
        let decision = match wish {
            Ok(wish) => &wish.decision,
            Err(Why::Law(decision)) => decision,
            Err(_) => return,
        };
        let ends = decision
            .purposes
            .values()
            .any(|of| of.service == Refusal::TerminateCall && of.reason == Reason::Objected);
        // Nobody is cut off for a pause.
        let outcome =
            if ends { Refusal::TerminateCall } else { decision.service.min(Refusal::RefuseRegulatedService) };
        if outcome < Refusal::RefuseRegulatedService || outcome <= self.served {
            return;
        }
        self.served = outcome;
        let why = if ends { "terminated" } else { "must not go on unrecorded" };
        self.alarm(now, Notice::Mandatory { why: why.into() });
        if ends {
            self.order(Order::HangUp, Asked::HangUp);
        }
    }
}

impl Rules {
    /// Whether this is nobody whom a recording may hold: unknown, another call's customer, or exempt.
    pub fn is_stranger(&self, party: &Party) -> bool {
        self.leg_of(party).is_none_or(|leg| leg.is_exempt(&self.policy))
    }

    /// Who this is; `None`: nobody knows, or another call's customer.
    fn leg_of(&self, party: &Party) -> Option<Leg> {
        let mut leg = Leg::new(party.leg.0.as_str(), LegKind::Agent);
        leg.extension = party.extension.as_deref().map(Into::into);
        leg.agent = self.agent_of(party).map(Into::into);
        let is_known = leg.agent.is_some() || leg.is_exempt(&self.policy);
        (party.customer_of.is_none() && is_known).then_some(leg)
    }

    fn agent_of(&self, party: &Party) -> Option<String> {
        let by_extension = || self.desk.extensions.get(party.extension.as_deref()?).cloned();
        party.agent.clone().or_else(by_extension)
    }
}

impl Why {
    /// How a segment ends for this, seen from the purposes that it was recorded for.
    pub(super) fn ending(&self, purposes: &BTreeSet<Purpose>) -> Ending {
        match self {
            Self::Muted(_) => Ending::NotAllowed,
            Self::Link => Ending::Gap,
            Self::NoRoom => Ending::NoRoom,
            Self::Step => Ending::Code,
            Self::Alone | Self::Held | Self::Drawing => Ending::PartiesChanged,
            Self::Stranger | Self::OtherCustomer | Self::ExemptRings => Ending::Stranger,
            Self::Law(decision) => {
                let reasons = decision
                    .purposes
                    .iter()
                    .filter(|(purpose, _)| purposes.contains(*purpose))
                    .map(|(_, of)| of.reason);
                reasons.min().map_or(Ending::NotAllowed, |reason| match reason {
                    Reason::ExemptLeg => Ending::Stranger,
                    Reason::PrivateCall => Ending::Private,
                    Reason::PaymentActive => Ending::Payment,
                    Reason::Objected => Ending::Objected,
                    Reason::AgentStop => Ending::Paused,
                    _ => Ending::NotAllowed,
                })
            }
        }
    }
}
