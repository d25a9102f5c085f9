//! Keys and codes: what a press means, by the line and the prompt that was heard, and what follows from it.
//!
//! In the talk a code has already stopped the recorder, in the dialplan, before it is told here; so whatever it means,
//! the running segment is over, and a new one begins where nothing else was asked.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Link, Phase, Session};
use crate::event::Playback;
use crate::id::LegId;
use crate::journal::What;
use crate::segment::Ending;
use crate::talk::{self, Erase, Side};
use crate::words::{AgentCode, Flag, Function, Word as _};

impl Session {
    pub(super) fn press(&mut self, now: Timestamp, leg: Option<LegId>, keys: &str, at: Timestamp) {
        let in_hook = matches!(self.phase, Phase::Hook(_) | Phase::Asking(_));
        let by_customer = leg.as_ref() == Some(&self.leg);
        let presser = leg.filter(|leg| self.talk.facts().leg(&leg.0).is_some() || self.knows(leg));
        let meaning = presser.as_ref().and_then(|leg| self.meaning(leg, keys));
        let by = match &presser {
            _ if by_customer => "customer",
            Some(_) => "agent",
            None => "unknown",
        };
        if !in_hook {
            self.pressed_in_talk(now, at, by, presser, meaning);
            return self.keep_private(now);
        }
        self.tell_press(now, by, meaning);
        if let (Some(presser), Some(Meaning::Key(function))) = (presser, meaning) {
            self.apply(now, at, &presser, function);
            if by_customer {
                self.pressed_in_hook(now, function);
            }
        }
    }

    fn pressed_in_talk(
        &mut self,
        now: Timestamp,
        at: Timestamp,
        by: &str,
        presser: Option<LegId>,
        meaning: Option<Meaning>,
    ) {
        self.tell_press(now, by, meaning);
        // "I have told the customer" stops nothing, in the dialplan neither.
        if meaning != Some(Meaning::Key(Function::AgentTold)) {
            self.segment_over(now, Ending::Code, at);
        }
        match meaning {
            Some(Meaning::Key(function)) => {
                let presser = presser.unwrap_or_else(|| self.leg.clone());
                self.apply(now, at, &presser, function);
            }
            Some(Meaning::Code(code)) => self.apply_code(now, code),
            None => {}
        }
    }

    fn tell_press(&mut self, now: Timestamp, by: &str, meaning: Option<Meaning>) {
        let meaning = match meaning {
            Some(Meaning::Key(function)) => function.as_str(),
            Some(Meaning::Code(code)) => code.meaning(),
            None => "unknown",
        };
        self.journal(now, What::Pressed { by: by.into(), meaning: meaning.into() });
    }

    /// What the dialplan noted on the leg, read after a gap: codes that nobody heard count from now on.
    pub(super) fn noted(&mut self, now: Timestamp, keys: Option<&str>) {
        if let Link::Lost { noted } = &mut self.link {
            *noted = true;
        }
        let Some(keys) = keys else {
            return self.unreadable(now);
        };
        let rules = Arc::clone(&self.rules);
        let mut notes = keys.split_whitespace().map(note).peekable();
        while let Some(noted) = notes.next() {
            // The others still count.
            let Some((code, at)) = noted else {
                self.unreadable(now);
                continue;
            };
            // A customer's own is marked as his, since an agent may have a code of the same digits.
            let (code, is_own) = code.strip_prefix(OWN).map_or((&*code, false), |code| (code, true));
            // Of a code that is known: what it asked for was said to its end, and perhaps nobody listened then.
            if code.starts_with(HEARD) {
                self.step_ended(now, Playback::Heard, at);
                continue;
            }
            if !self.pressed.insert((code.to_owned(), at)) {
                continue;
            }
            let facts = self.talk.facts();
            let of = |side, digits: &str| talk::function_of(&rules.policy, facts, side, digits);
            let agents = of(Side::Agent, code).filter(|_| !is_own).map(Meaning::Key);
            let own = own_code(code).and_then(|key| of(Side::Caller, key));
            let own = own.filter(|function| *function == Function::Object).map(Meaning::Key);
            let others = rules.desk.codes.of(code).filter(|_| !is_own).map(Meaning::Code);
            let (by, meaning) = match (agents, others, own) {
                (Some(meaning), ..) | (None, Some(meaning), _) => ("agent", Some(meaning)),
                (None, None, Some(own)) => ("customer", Some(own)),
                (None, None, None) => ("unknown", None),
            };
            let heard = notes.next_if(|next| next.as_ref().is_some_and(|(next, _)| is_heard(next, code)));
            if heard.is_some() {
                self.step_began(now, at);
            }
            self.pressed_in_talk(now, at, by, None, meaning);
            if let Some((_, at)) = heard.flatten() {
                self.step_ended(now, Playback::Heard, at);
            }
        }
        self.keep_private(now);
    }

    /// In a private call nothing stands, whenever it began: the code may have been told late.
    fn keep_private(&mut self, now: Timestamp) {
        if self.talk.facts().flags.contains(&Flag::Private) {
            self.erase(now, None, &Erase::Private);
        }
    }

    pub(super) fn unreadable(&mut self, now: Timestamp) {
        self.muted = Some("keys-not-readable");
        self.journal(now, What::Pressed { by: "unknown".into(), meaning: "not-readable".into() });
    }

    /// In the hook a key is what the prompt says. In the talk the customer has one code, `*` and his key to object; a
    /// bare digit then belongs to the talk.
    fn meaning(&self, leg: &LegId, keys: &str) -> Option<Meaning> {
        let facts = self.talk.facts();
        let codes = || self.rules.desk.codes.of(keys).map(Meaning::Code);
        if facts.leg(&leg.0).is_none() {
            // An agent who has just left.
            let function = talk::function_of(&self.rules.policy, facts, Side::Agent, keys);
            return function.map(Meaning::Key).or_else(codes);
        }
        let of = |keys| talk::meaning(&self.rules.policy, facts, &leg.0, keys);
        if *leg != self.leg {
            of(keys).map(Meaning::Key).or_else(codes)
        } else if matches!(self.phase, Phase::Hook(_) | Phase::Asking(_)) {
            of(keys).map(Meaning::Key)
        } else {
            of(own_code(keys)?).filter(|function| *function == Function::Object).map(Meaning::Key)
        }
    }

    fn has_heard(&self) -> bool {
        self.talk.facts().legs.first().is_some_and(|leg| leg.heard.is_some())
    }

    fn apply(&mut self, now: Timestamp, at: Timestamp, presser: &LegId, function: Function) {
        let rules = Arc::clone(&self.rules);
        let erases = self.talk.press(&rules.policy, &presser.0, function);
        // Ended or not: a part of it was private, and so is whom it was with.
        if function == Function::AgentPrivate && !std::mem::replace(&mut self.record.private, true) {
            self.index();
        }
        match function {
            Function::Object | Function::AgentObject => {
                let by = if function == Function::Object { "customer" } else { "agent" };
                self.journal(now, What::Objected { by: by.into() });
                self.segment_over(now, Ending::Objected, at);
            }
            // A yes to what was not heard yet is none.
            Function::Accept if self.has_heard() => {
                self.journal(now, What::Consented { by: "customer".into() });
            }
            Function::AgentPrivate if self.talk.facts().flags.contains(&Flag::Private) => {
                self.segment_over(now, Ending::Private, at);
            }
            Function::AgentTold => {
                let heard =
                    self.talk.facts().legs.first().and_then(|leg| leg.heard.clone()).unwrap_or_default();
                self.journal(
                    now,
                    What::Announced {
                        purposes: heard.iter().map(ToString::to_string).collect(),
                        language: "spoken".into(),
                        version: "by-the-agent".into(),
                    },
                );
            }
            Function::AgentStop if self.talk.facts().flags.contains(&Flag::AgentStop) => {
                self.segment_over(now, Ending::Paused, at);
            }
            // What lies before the end of a private part lies in it or before it.
            Function::AgentPrivate => self.erase(now, Some(at), &Erase::Private),
            Function::AgentContract if self.talk.facts().flags.contains(&Flag::ContractTalk) => {
                self.contract_begins(now);
            }
            Function::Accept | Function::Info | Function::AgentStop | Function::AgentContract => {}
        }
        for erase in &erases {
            // Whatever a leg took part in that says no: what came before is erased, what came after must not be.
            let until = matches!(erase, Erase::Private).then_some(at);
            self.erase(now, until, erase);
        }
    }

    fn apply_code(&mut self, now: Timestamp, code: AgentCode) {
        for erase in self.talk.press_code(code) {
            // A machine heard all of it, whenever it is told.
            self.erase(now, None, &erase);
        }
    }
}

/// What a press means: a key of the policy, or a code of the machine's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Key(Function),
    Code(AgentCode),
}

/// The key in the customer's own code.
fn own_code(code: &str) -> Option<&str> {
    code.strip_prefix('*')
}

/// Before a code that the customer pressed.
const OWN: char = 'c';
/// Before a code that is noted again: what the customer is told of it was heard to its end.
const HEARD: char = '+';

/// `+*6` of `*6`.
fn is_heard(note: &str, code: &str) -> bool {
    note.strip_prefix(HEARD) == Some(code)
}

/// `*9@1795285695.182` → the code, and when.
fn note(text: &str) -> Option<(String, Timestamp)> {
    let (code, at) = text.split_once('@')?;
    let (seconds, millis) = at.split_once('.').unwrap_or((at, "0"));
    let seconds: i64 = seconds.parse().ok()?;
    let millis: i64 = millis.parse().ok()?;
    let at = seconds.checked_mul(1000)?.checked_add(millis)?;
    Some((code.to_owned(), Timestamp::from_millisecond(at).ok()?))
}
