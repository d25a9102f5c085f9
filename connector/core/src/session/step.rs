//! As a contract talk begins the customer is told so, where the line's prompt has words for it (`steps`).
//!
//! The dialplan plays them by itself, on the leg itself, so that they are heard whether anybody watches or not. It says
//! that it has begun before it tells the agent's code, and afterwards whether they were heard to their end. Until then
//! nothing is recorded; if they were not, the contract talk has not begun, and the agent may press the code again.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Asked, Phase, Rules, Session, after};
use crate::command::{Media, Notice, Order};
use crate::decide;
use crate::desk::Text;
use crate::event::Playback;
use crate::facts::Facts;
use crate::journal::What;
use crate::policy::Prompt;
use crate::talk::Event;
use crate::words::{self, Flag, Function, Purpose};

/// The words that are being said.
#[derive(Debug)]
pub(super) struct Step {
    /// Since when.
    began: Timestamp,
    /// Nobody waits longer for their end.
    until: Timestamp,
}

impl Step {
    /// When they began, and until when they are waited for.
    pub(super) fn times_mut(&mut self) -> [&mut Timestamp; 2] {
        [&mut self.began, &mut self.until]
    }
}

/// Words of whose end nothing is heard for so long beyond their length were not heard.
const GRACE: std::time::Duration = std::time::Duration::from_secs(5);
/// Two readings of one clock, in whole milliseconds, and the last packet that nobody waits for.
const CLOCKS: SignedDuration = SignedDuration::from_millis(20);

/// What is played as a contract talk begins on the line of a call; nothing where nothing need be said.
pub(super) fn step_of<'r>(facts: &Facts, rules: &'r Rules) -> Option<&'r Media> {
    let prompt = prompt_of(facts, rules)?;
    (!steps_of(facts, rules).is_empty())
        .then(|| rules.desk.sound(&facts.line, &prompt.language, Text::Contract))?
}

/// The purposes of a contract talk of which the customer is told as it begins.
fn steps_of(facts: &Facts, rules: &Rules) -> BTreeSet<Purpose> {
    let Some(prompt) = prompt_of(facts, rules).filter(|prompt| !prompt.steps.is_empty()) else {
        return BTreeSet::new();
    };
    let mut purposes = decide::of_phase(facts, &rules.policy, words::Phase::ContractTalk);
    purposes.retain(|purpose| prompt.steps.contains_key(purpose));
    purposes
}

fn prompt_of<'r>(facts: &Facts, rules: &'r Rules) -> Option<&'r Prompt> {
    rules.policy.line(&facts.line)?.prompt(facts.language.as_deref())
}

impl Session {
    /// Before the call leaves the hook: what the dialplan plays, and by which key the customer objects meanwhile.
    pub(super) fn prepare_step(&mut self) {
        let Some(step) = self.step_sound().cloned() else {
            return;
        };
        let object = self.prompt().and_then(|prompt| prompt.keys.digits(Function::Object));
        let object = object.map(ToString::to_string);
        self.order(Order::Prepare { step, object }, Asked::Prepare);
    }

    pub(super) fn step_began(&mut self, now: Timestamp, at: Timestamp) {
        // The same words, told of twice, or when they are over.
        let is_old = self.step_seen.is_some_and(|seen| at <= seen);
        if is_old || !matches!(self.phase, Phase::Talk) {
            return;
        }
        self.step_seen = Some(at);
        let length = self.step_sound().map(|sound| sound.length).unwrap_or_default();
        self.step = Some(Step { began: at, until: after(now, length.saturating_add(GRACE)) });
    }

    pub(super) fn step_ended(&mut self, now: Timestamp, outcome: Playback, at: Timestamp) {
        let Some(step) = self.step.take_if(|step| step.began <= at) else {
            return;
        };
        let begun = self.talk.facts().flags.contains(&Flag::ContractTalk);
        // A file that breaks off is played to its end, too.
        let length =
            self.step_sound().map(|sound| SignedDuration::try_from(sound.length).unwrap_or_default());
        let whole = length.is_some_and(|length| at.duration_since(step.began) + CLOCKS >= length);
        match outcome {
            Playback::Heard if !whole => self.step_not_heard(now, Playback::Cut),
            Playback::Heard if begun => self.step_heard(now),
            // The code that asked for it was not taken, or has ended it again.
            Playback::Heard => {}
            Playback::Cut | Playback::Failed => self.step_not_heard(now, outcome),
        }
    }

    /// A code has begun a contract talk. Where the customer must be told and is not being told, it has not begun.
    pub(super) fn contract_begins(&mut self, now: Timestamp) {
        if self.step.is_none() && !self.steps().is_empty() {
            self.step_not_heard(now, Playback::Failed);
        }
    }

    pub(super) fn consider_step(&mut self, now: Timestamp) {
        if self.step.take_if(|step| now >= step.until).is_some() {
            self.step_not_heard(now, Playback::Failed);
        }
    }

    pub(super) fn step_wake(&self) -> Option<Timestamp> {
        self.step.as_ref().map(|step| step.until)
    }

    fn step_heard(&mut self, now: Timestamp) {
        let purposes = self.steps();
        let Some(prompt) = self.prompt() else {
            return;
        };
        let (language, version) = (prompt.language.to_string(), format!("{}, steps", prompt.version));
        self.journal(now, What::Announced { purposes: super::names(&purposes), language, version });
        let rules = std::sync::Arc::clone(&self.rules);
        self.talk.apply(&rules.policy, &Event::Announced { leg: self.leg.0.as_str().into(), purposes });
    }

    fn step_not_heard(&mut self, now: Timestamp, outcome: Playback) {
        let rules = std::sync::Arc::clone(&self.rules);
        self.talk.apply(&rules.policy, &Event::FlagOff { flag: Flag::ContractTalk });
        self.journal(now, What::NotAnnounced { outcome });
        self.alarm(now, Notice::NotAnnounced);
    }

    fn steps(&self) -> BTreeSet<Purpose> {
        steps_of(self.talk.facts(), &self.rules)
    }

    fn prompt(&self) -> Option<&Prompt> {
        prompt_of(self.talk.facts(), &self.rules)
    }

    fn step_sound(&self) -> Option<&Media> {
        step_of(self.talk.facts(), &self.rules)
    }
}
