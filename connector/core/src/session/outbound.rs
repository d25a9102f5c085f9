//! A customer who is called: he is told and asked by the PBX itself when he answers, before he is bridged with the agent.
//!
//! Nobody may hold his leg meanwhile, so what he must hear, what his keys mean and what becomes of the call are worked
//! out before he is dialled ([`brief`]). Then the PBX tells what it said and what he pressed, and here is decided what
//! that means. Who was briefed by another policy than the one in force when he answers counts as not told.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::step::step_of;
use super::{Phase, Rules, Session, facts_of};
use crate::command::{Briefing, Notice, Outcomes, Release, release_of};
use crate::decide::{self, Announce, decide};
use crate::desk::{Announcer, Machine, Text};
use crate::event::{Dialling, Direction, Playback};
use crate::facts::{Facts, Leg};
use crate::id::LegId;
use crate::journal::What;
use crate::policy::Policy;
use crate::talk::{Event, Talk};
use crate::words::{Flag, Function, Gate};

/// Two readings of one clock, in whole milliseconds, and the last packet that nobody waits for.
const CLOCKS: Duration = Duration::from_millis(20);

/// The customer is being asked by the PBX.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// What was said to him is what would be said now.
    current: bool,
    /// The announcement was begun and not heard.
    missed: bool,
}

/// What the PBX must know before somebody dials: worked out for the line as a whole, as at the inbound hook, so that
/// what is said does not tell who is drawn.
pub fn brief(dialling: &Dialling, rules: &Rules) -> Briefing {
    let facts = facts_of(&dialling.into(), &LegId("customer".into()), dialling.language.clone(), rules);
    // With somebody in the call who is never recorded there is nothing to announce.
    let exempt = |extension| rules.exempt_extensions().contains(extension);
    let is_exempt = dialling.extension.as_deref().is_some_and(exempt);
    let announce = announcement(&facts, rules).filter(|_| !is_exempt);
    let outcomes = outcomes(&facts, announce.as_ref(), &rules.policy);
    let language = announce
        .as_ref()
        .and_then(|announce| Some(announce.prompt.as_ref()?.language.to_string()))
        .or_else(|| dialling.language.clone())
        .unwrap_or_default();
    let sound = |text| rules.desk.sound(&dialling.line, &language, text).cloned();
    let gate = announce.as_ref().map(|announce| announce.gate);
    // Whatever is said, a key means what it means on the line.
    let keys = rules.policy.line(&dialling.line).map(|line| line.keys_in(facts.language.as_deref()));
    let key = |function| Some(keys?.digits(function)?.to_string());
    let announcement = gate.map(text_of).and_then(|text| Some((text, sound(text)?)));
    // Where nothing is asked, what the law says of an unrecorded call holds before it is dialled.
    let how = if announcement.is_some() { Release::Admitted } else { release_of(outcomes.unheard) };
    Briefing {
        how,
        why: super::hook::why(how).into(),
        ticket: ticket(announce.as_ref()),
        announcement,
        info: sound(Text::Info),
        refused: sound(Text::Refused),
        alternative: sound(Text::Alternative),
        unavailable: sound(Text::Unavailable),
        step: step_of(&facts, rules).cloned(),
        object: key(Function::Object),
        accept: key(Function::Accept),
        info_key: key(Function::Info),
        wait: gate.map_or(Duration::ZERO, |gate| rules.desk.timing.wait(gate)),
        outcomes,
        detect_machine: rules.desk.machine(&dialling.line) == Machine::Amd,
    }
}

/// The text of an announcement.
pub(super) fn text_of(gate: Gate) -> Text {
    match gate {
        Gate::OptIn => Text::OptIn,
        Gate::OptOut => Text::OptOut,
        Gate::Silent | Gate::Notice | Gate::Forbidden => Text::Notice,
    }
}

/// What the PBX is to say; nothing where the agent tells.
pub(super) fn announcement(facts: &Facts, rules: &Rules) -> Option<Announce> {
    let by_prompt = rules.desk.announcer(&facts.line) == Announcer::Prompt;
    by_prompt.then(|| decide::announcement(facts, &rules.policy)).flatten()
}

/// What is said, and by which text: `opt-out/` and a hash of the prompt's language and version.
fn ticket(announce: Option<&Announce>) -> String {
    let Some(announce) = announce else {
        return "none".into();
    };
    let prompt = announce.prompt.as_ref();
    let (language, version) = prompt.map(|prompt| (&*prompt.language, &*prompt.version)).unwrap_or_default();
    let hash = Sha256::new().chain_update(language).chain_update([0]).chain_update(version).finalize();
    let text: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}/{text}", announce.gate)
}

/// What becomes of the service, by how the asking may go.
fn outcomes(facts: &Facts, announce: Option<&Announce>, policy: &Policy) -> Outcomes {
    let service = |happened: &dyn Fn(&mut Talk, Arc<str>)| {
        let mut talk = Talk::begin(facts.clone());
        if let Some(customer) = facts.legs.first() {
            happened(&mut talk, customer.id.clone());
        }
        decide(talk.facts(), policy).service
    };
    let heard = |talk: &mut Talk, leg: &Arc<str>| {
        let purposes = announce.map(|announce| announce.purposes.clone()).unwrap_or_default();
        talk.apply(policy, &Event::Announced { leg: leg.clone(), purposes });
    };
    Outcomes {
        accepted: service(&|talk, leg| {
            heard(talk, &leg);
            talk.press(policy, &leg, Function::Accept);
        }),
        silent: service(&|talk, leg| heard(talk, &leg)),
        objected: service(&|talk, leg| {
            talk.press(policy, &leg, Function::Object);
        }),
        unheard: service(&|_, _| {}),
    }
}

impl Session {
    /// The customer has answered, and the PBX asks him.
    pub(super) fn enter_asking(&mut self, now: Timestamp, briefed: Option<&str>) {
        self.talk.set_time(now);
        self.announce = announcement(self.talk.facts(), &self.rules);
        let current = briefed == Some(ticket(self.announce.as_ref()).as_str());
        self.phase = Phase::Asking(Asking { current, missed: false });
    }

    /// The PBX has said something.
    pub(super) fn said(&mut self, now: Timestamp, text: Text, outcome: Playback, played: Duration) {
        let Phase::Asking(asking) = &mut self.phase else {
            return;
        };
        let Some(announce) = self.announce.as_ref().filter(|announce| text_of(announce.gate) == text) else {
            return;
        };
        let language = announce.prompt.as_ref().map(|prompt| &*prompt.language).unwrap_or_default();
        let whole = self.rules.desk.sound(&self.record.line, language, text);
        // A file that breaks off is played to its end, too.
        let whole = whole.is_some_and(|media| played + CLOCKS >= media.length);
        let outcome = match outcome {
            Playback::Heard if !(whole && asking.current) => Playback::Cut,
            outcome => outcome,
        };
        if outcome == Playback::Heard {
            self.told_of_purposes(now);
        } else {
            asking.missed = true;
            self.journal(now, What::NotAnnounced { outcome });
        }
    }

    /// A machine has answered: it is never recorded.
    pub(super) fn machine(&mut self, _now: Timestamp) {
        let policy = Arc::clone(&self.rules);
        self.talk.apply(&policy.policy, &Event::FlagOn { flag: Flag::AnsweringMachine });
    }

    /// The asking is over: he goes on to the agent, or is turned away.
    pub(super) fn asked(&mut self, now: Timestamp, how: Release) {
        let Phase::Asking(Asking { missed, .. }) = self.phase else {
            return;
        };
        let knows = |leg: &Leg| leg.heard.is_some() || leg.objected.is_some();
        if missed && !self.talk.facts().legs.first().is_some_and(knows) {
            self.alarm(now, Notice::NotAnnounced);
        }
        // The dialplan has one word for an end; whether the law ends the call or refuses it is known here.
        let ends = how == Release::Refused && release_of(self.service(now)) == Release::HangUp;
        let how = if ends { Release::HangUp } else { how };
        self.phase = Phase::Talk;
        self.verdict = Some(how);
        if how != Release::Admitted {
            self.muted = Some(super::hook::outcome_of(how));
        }
        self.tell_release(now, how);
        let parties = std::mem::take(&mut self.parties);
        self.parties(now, parties, self.seated);
    }

    /// What he heard and pressed meanwhile is not known.
    pub(super) fn asked_unheard(&mut self) {
        if matches!(self.phase, Phase::Asking(_)) {
            self.phase = Phase::Talk;
            self.muted = Some("asked-unheard");
        }
    }
}

impl From<&Dialling> for crate::ports::CallRecord {
    /// The call as it will be, before it has a name.
    fn from(dialling: &Dialling) -> Self {
        Self {
            id: crate::id::CallId(String::new()),
            line: dialling.line.clone(),
            direction: Direction::Outbound,
            number: dialling.number.clone(),
            queue: dialling.queue.clone(),
            agents: Vec::new(),
            started: dialling.at,
            talked: None,
            ended: None,
            outcome: String::new(),
            private: false,
        }
    }
}
