//! Keys and codes: what a press means, by the line and the prompt that was heard, and what follows from it.
//!
//! In the talk a code has already stopped the recorder, in the dialplan, before it is told here; so whatever it means,
//! the running segment is over, and a new one begins where nothing else was asked.

use jiff::Timestamp;

use super::{Phase, Session};
use crate::command::Command;
use crate::facts::{Facts, LegKind};
use crate::id::LegId;
use crate::journal::What;
use crate::segment::Ending;
use crate::talk::{self, Meaning};
use crate::words::{Flag, Purpose};

impl Session {
    pub(super) fn press(&mut self, now: Timestamp, leg: Option<LegId>, keys: &str, at: Timestamp) {
        let in_hook = matches!(self.phase, Phase::Hook(_));
        let by_customer = leg.as_ref() == Some(&self.leg);
        let presser = leg.filter(|leg| self.facts.legs.iter().any(|known| known.id == leg.0));
        let meaning = presser.as_ref().and_then(|_| self.meaning(by_customer, in_hook, keys));
        let by = match (&presser, by_customer) {
            (_, true) => "customer",
            (Some(_), false) => "agent",
            (None, false) => "unknown",
        };
        let name = meaning.map_or_else(|| "unknown".to_owned(), |meaning| meaning.to_string());
        self.journal(now, What::Pressed { by: by.into(), meaning: name });
        if !in_hook && meaning != Some(Meaning::AgentTold) {
            self.segment_over(now, Ending::Code, at);
        }
        let (Some(presser), Some(meaning)) = (presser, meaning) else { return };
        self.apply(now, at, &presser, meaning);
        if in_hook && by_customer {
            self.pressed_in_hook(now, Some(meaning));
        }
    }

    /// What the dialplan noted on the leg, read after a gap: codes that nobody heard count from now on.
    pub(super) fn noted(&mut self, now: Timestamp, keys: Option<&str>) {
        let Some(notes) = keys.map(|keys| keys.split_whitespace().map(note).collect::<Option<Vec<_>>>()) else {
            return self.unreadable(now);
        };
        let Some(notes) = notes else { return self.unreadable(now) };
        for (code, at) in notes {
            if !self.pressed.insert((code.clone(), at)) {
                continue;
            }
            // The customer's own code is told from the agents' by its meaning; nobody can press another's.
            let leg = if self.meaning(true, false, &code).is_some() {
                Some(self.leg.clone())
            } else {
                self.facts.legs.get(1).map(|leg| LegId(leg.id.to_string()))
            };
            match leg {
                Some(leg) => self.press(now, Some(leg), &code, at),
                // A code of an agent who is no longer there: what it changed cannot be told.
                None => self.unreadable(now),
            }
        }
    }

    fn unreadable(&mut self, now: Timestamp) {
        self.muted = Some("keys-not-readable");
        self.journal(now, What::Pressed { by: "unknown".into(), meaning: "not-readable".into() });
    }

    fn meaning(&self, by_customer: bool, in_hook: bool, keys: &str) -> Option<Meaning> {
        let (kind, keys) = match (by_customer, in_hook) {
            (true, true) => (LegKind::Customer, keys),
            // His own code in the talk is `*` and his key; a bare digit belongs to the talk (a menu, a number).
            (true, false) => (LegKind::Customer, keys.strip_prefix('*')?),
            (false, _) => (LegKind::Agent, keys),
        };
        let language = self.announce.as_ref().map(|announce| announce.prompt.language.to_string());
        talk::meaning(&self.rules.policy, &self.facts, language.as_deref(), kind, keys)
    }

    fn apply(&mut self, now: Timestamp, at: Timestamp, presser: &LegId, meaning: Meaning) {
        let customer = self.customer();
        match meaning {
            Meaning::Object | Meaning::AgentObject => {
                let by = if meaning == Meaning::Object { "customer" } else { "agent" };
                self.journal(now, What::Objected { by: by.into() });
                self.object(now, at, &customer);
            }
            Meaning::Accept => {
                talk::consent(&mut self.facts, &presser.0);
                self.journal(now, What::Consented { by: "customer".into() });
            }
            Meaning::Info => {}
            Meaning::AgentStop => self.toggle(Flag::AgentStop),
            Meaning::AgentContract => self.toggle(Flag::ContractTalk),
            Meaning::AgentPrivate => {
                self.toggle(Flag::Private);
                if self.facts.flags.contains(&Flag::Private) {
                    self.declare_private(now, at);
                }
            }
            Meaning::AgentTold => {
                if let Some(announce) = talk::spoken_notice(&self.rules.policy, &self.facts) {
                    talk::announced(&mut self.facts, &customer, &announce);
                    self.journal(now, What::Announced {
                        purposes: announce.iter().map(ToString::to_string).collect(),
                        language: "spoken".into(),
                        version: "by-the-agent".into(),
                    });
                }
            }
        }
    }

    fn toggle(&mut self, flag: Flag) {
        if !self.facts.flags.remove(&flag) {
            self.facts.flags.insert(flag);
        }
    }

    /// An objection stops what runs and erases what the law says it erases, in this call's earlier segments too.
    fn object(&mut self, now: Timestamp, at: Timestamp, leg: &str) {
        talk::object(&mut self.facts, leg, None);
        self.segment_over(now, Ending::Objected, at);
        let policy = std::sync::Arc::clone(&self.rules);
        self.erase(now, "objected", |facts| talk::erased_by_objection(&policy.policy, facts, leg, None));
    }

    fn declare_private(&mut self, now: Timestamp, at: Timestamp) {
        self.segment_over(now, Ending::Private, at);
        let policy = std::sync::Arc::clone(&self.rules);
        self.erase(now, "private-call", |facts| talk::erased_by_private(&policy.policy, facts));
    }

    fn erase(&mut self, now: Timestamp, why: &str, erased: impl Fn(&Facts) -> Vec<Purpose>) {
        if let Some(live) = self.recorder.live_mut() {
            let gone = erased(&live.facts);
            live.erased.extend(gone.iter().map(ToString::to_string));
        }
        for at in 0..self.past.len() {
            let past = &mut self.past[at];
            let gone = erased(&past.facts);
            let before = past.kept.len();
            past.kept.retain(|purpose| !gone.iter().any(|gone| gone.to_string() == *purpose));
            if past.kept.len() < before {
                let (id, kept) = (past.id, past.kept.clone());
                let what = What::Amended { kept: kept.clone(), why: why.into() };
                let entry = self.entry(now, Some(id), what);
                self.out.push(Command::Amend(id, kept, entry));
            }
        }
    }

    /// The customer's leg, as the facts name it.
    pub(super) fn customer(&self) -> String {
        self.leg.0.clone()
    }
}

/// `*9@1795285695.182` → the code, and when.
fn note(text: &str) -> Option<(String, Timestamp)> {
    let (code, at) = text.split_once('@')?;
    let (seconds, millis) = at.split_once('.').unwrap_or((at, "0"));
    let millis: i64 = millis.parse().ok()?;
    let seconds: i64 = seconds.parse().ok()?;
    let at = seconds.checked_mul(1000)?.checked_add(millis)?;
    Some((code.to_owned(), Timestamp::from_millisecond(at).ok()?))
}
