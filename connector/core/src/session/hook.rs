//! In the hook: what is announced, which keys count, and how the call leaves.
//!
//! Heard means heard to its end. A prompt that was cut or failed is played once more; then the customer counts as not
//! told, and nothing is recorded. Silence is no objection where one may object, and a no where a yes is needed.

use jiff::Timestamp;

use super::outbound::{announcement, text_of};
use super::{Asked, Phase, Session, after};
use crate::command::{Command, Notice, Order, Release, release_of};
use crate::decide::decide;
use crate::desk::{Text, Unavailable};
use crate::event::Playback;
use crate::id::OrderNo;
use crate::journal::What;
use crate::talk::Event;
use crate::words::{Function, Gate, Refusal};

/// What happens in the hook.
#[derive(Debug)]
pub(super) struct Hook {
    stage: Stage,
    /// When the dead-man timer wants its next beat; `None` while one is under way, and behind one that was not answered.
    beat: Option<Timestamp>,
    /// How often the announcement was begun and not heard.
    attempts: u8,
    /// How often the details were asked for.
    asked_info: u8,
    proof: Proof,
}

/// Whether the journal can be written, on a line whose calls must not go on unrecorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// It can, or nobody asked.
    Given,
    /// Asked; nobody has waited for it yet.
    Asked,
    /// It did not come in time.
    Failed,
}

#[derive(Debug)]
enum Stage {
    /// A sound plays.
    Playing { text: Text, order: OrderNo, until: Timestamp },
    /// The customer may press a key.
    Waiting { until: Timestamp },
    /// Everything is said; only the proof is missing.
    Proving { until: Timestamp },
    /// Given back to the dialplan.
    Leaving { how: Release },
}

/// The details are told at most so often.
const INFO_TIMES: u8 = 3;
/// A prompt is begun at most so often.
const ATTEMPTS: u8 = 2;
/// A prompt of whose end nothing is heard for so long beyond its length has failed: nobody waits for ever.
const GRACE: std::time::Duration = std::time::Duration::from_secs(15);
/// So long a caller waits for the journal of a line that must be recorded, after everything was said.
const PROOF: std::time::Duration = std::time::Duration::from_secs(1);

/// The outcome of a call whose customer may have said no while nobody listened.
pub(super) const UNHEARD: &str = "hook-unheard";

impl Hook {
    /// All that is waited for.
    pub(super) fn waits_mut(&mut self) -> impl Iterator<Item = &mut Timestamp> {
        let until = match &mut self.stage {
            Stage::Waiting { until } | Stage::Playing { until, .. } | Stage::Proving { until } => Some(until),
            Stage::Leaving { .. } => None,
        };
        until.into_iter().chain(&mut self.beat)
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let until = match self.stage {
            Stage::Waiting { until } | Stage::Playing { until, .. } | Stage::Proving { until } => Some(until),
            Stage::Leaving { .. } => None,
        };
        [until, self.beat].into_iter().flatten().min()
    }
}

impl Session {
    pub(super) fn enter_hook(&mut self, now: Timestamp) {
        let beat = Some(after(now, self.rules.desk.timing.beat));
        // A stage for the moment: what follows replaces it.
        let stage = Stage::Waiting { until: now };
        let refuses = self.rules.desk.unavailable(&self.record.line) == Unavailable::Refuse;
        let proof = if refuses { Proof::Asked } else { Proof::Given };
        self.phase = Phase::Hook(Hook { stage, beat, attempts: 0, asked_info: 0, proof });
        if refuses {
            self.out.push(Command::Prove);
        }
        self.talk.set_time(now);
        self.announce = announcement(self.talk.facts(), &self.rules);
        if crate::sabotage::is("early-record") {
            self.announced(now);
        }
        if self.announce.is_some() {
            self.play_announcement(now);
        } else {
            self.leave(now);
        }
    }

    /// Waits that are over, beats that are due.
    pub(super) fn consider_hook(&mut self, now: Timestamp) {
        let Phase::Hook(hook) = &mut self.phase else {
            return;
        };
        match hook.stage {
            Stage::Waiting { until } if now >= until => self.leave(now),
            Stage::Proving { until } if now >= until => {
                hook.proof = Proof::Failed;
                let why = self.lacks.clone().unwrap_or_else(|| "the journal cannot be written".into());
                self.alarm(now, Notice::Mandatory { why });
                self.leave(now);
            }
            Stage::Playing { order, until, .. } if now >= until => {
                hook.attempts = ATTEMPTS;
                self.played(now, order, Playback::Failed);
            }
            Stage::Waiting { .. } | Stage::Playing { .. } | Stage::Proving { .. }
                if hook.beat.is_some_and(|beat| now >= beat) =>
            {
                hook.beat = None;
                self.order(Order::Beat, Asked::Beat);
            }
            _ => {}
        }
    }

    pub(super) fn beaten(&mut self, now: Timestamp) {
        let next = after(now, self.rules.desk.timing.beat);
        // Once the call is given back, a late answer to a beat asks for no other.
        if let Phase::Hook(hook) = &mut self.phase
            && !matches!(hook.stage, Stage::Leaving { .. })
        {
            hook.beat = Some(next);
        }
    }

    /// The PBX is heard again: who is in the hook still, and was left to its timer, is held from now on.
    pub(super) fn beat_again(&mut self, now: Timestamp) {
        if let Phase::Hook(hook) = &mut self.phase
            && !matches!(hook.stage, Stage::Leaving { .. })
            && hook.beat.is_none()
            && !self.pending.values().any(|asked| matches!(asked, Asked::Beat))
        {
            hook.beat = Some(now);
        }
    }

    /// The journal can be written.
    pub(super) fn proven(&mut self, now: Timestamp) {
        let Phase::Hook(hook) = &mut self.phase else {
            return;
        };
        // Who was told that it does not go on is not told otherwise.
        if hook.proof == Proof::Asked {
            hook.proof = Proof::Given;
            if matches!(hook.stage, Stage::Proving { .. }) {
                self.leave(now);
            }
        }
    }

    pub(super) fn played(&mut self, now: Timestamp, ended: OrderNo, outcome: Playback) {
        let Phase::Hook(hook) = &mut self.phase else {
            return;
        };
        let Stage::Playing { text, order, .. } = hook.stage else {
            return;
        };
        // An older sound that was silenced reports late.
        if order != ended {
            return;
        }
        match (text, outcome) {
            (Text::OptOut | Text::OptIn | Text::Notice, Playback::Heard) => self.announced(now),
            (Text::OptOut | Text::OptIn | Text::Notice, Playback::Cut | Playback::Failed) => {
                hook.attempts = hook.attempts.saturating_add(1);
                let again = hook.attempts < ATTEMPTS;
                self.journal(now, What::NotAnnounced { outcome });
                if again {
                    self.play_announcement(now);
                } else {
                    self.alarm(now, Notice::NotAnnounced);
                    self.leave(now);
                }
            }
            // The details were told, or could not be: back to the question.
            (Text::Info, _) => self.play_announcement(now),
            (Text::Refused, _) => self.leave(now),
            // Said in the talk, by the dialplan.
            (Text::Contract, _) => {}
            // The last word of a line that does not go on, or goes on elsewhere.
            (Text::Alternative | Text::Unavailable, _) => {
                let how = release_of(self.service(now));
                self.release(now, how);
            }
        }
    }

    /// The customer pressed a key that means something to him, in the hook.
    pub(super) fn pressed_in_hook(&mut self, now: Timestamp, function: Function) {
        let Phase::Hook(hook) = &mut self.phase else {
            return;
        };
        match (function, &hook.stage) {
            // Heard already: the last word is being said.
            (
                Function::Object,
                Stage::Playing { text: Text::Refused | Text::Alternative | Text::Unavailable, .. }
                | Stage::Leaving { .. },
            ) => {}
            (Function::Object, stage) => {
                if matches!(stage, Stage::Playing { .. }) {
                    self.order(Order::Silence, Asked::Silence);
                }
                // A mandatory line has its own last word; elsewhere the customer hears that nothing is recorded.
                let goes_on = self.service(now) == Refusal::Continue;
                if !(goes_on && self.play(now, Text::Refused)) {
                    self.leave(now);
                }
            }
            // A yes counts for what was heard; the question was not, while it plays.
            (Function::Accept, Stage::Waiting { .. }) => self.leave(now),
            (Function::Info, Stage::Playing { text: Text::OptOut | Text::OptIn | Text::Notice, .. })
            | (Function::Info, Stage::Waiting { .. })
                if hook.asked_info < INFO_TIMES =>
            {
                hook.asked_info += 1;
                if matches!(hook.stage, Stage::Playing { .. }) {
                    self.order(Order::Silence, Asked::Silence);
                }
                if !self.play(now, Text::Info) {
                    self.play_announcement(now);
                }
            }
            _ => {}
        }
    }

    /// A call that is bridged has left the hook, whoever let it go.
    pub(super) fn left_hook_unseen(&mut self, now: Timestamp) {
        if matches!(&self.phase, Phase::Hook(Hook { stage: Stage::Leaving { how: Release::Admitted }, .. })) {
            self.phase = Phase::Talk;
        } else if matches!(self.phase, Phase::Hook(_)) {
            // The PBX's own timer took the caller on.
            self.phase = Phase::Talk;
            self.muted = Some("left-the-hook-alone");
            self.alarm(now, Notice::NotAnnounced);
        }
    }

    pub(super) fn released(&mut self, _now: Timestamp) {
        if matches!(self.phase, Phase::Hook(Hook { stage: Stage::Leaving { .. }, .. })) {
            if self.turned_away() {
                self.muted = self.verdict.map(outcome_of);
            }
            self.phase = Phase::Talk;
        }
    }

    /// The customer came to the hook again. He is neither told nor drawn twice, and let through at once, unless he was
    /// turned away, or must be now.
    pub(super) fn returned(&mut self, now: Timestamp, at: Timestamp) {
        if !self.visits.insert(at) {
            return;
        }
        match &self.phase {
            Phase::Over => {}
            Phase::Talk | Phase::Asking(_) => {
                let how = self.verdict.filter(|how| *how != Release::Admitted);
                let how = how.unwrap_or_else(|| release_of(self.service(now)));
                self.order(Order::Release(how), Asked::Release);
                self.journal(now, What::Released { how, why: "was-here-before".into() });
            }
            // He had left without us, and what played to him is cut.
            Phase::Hook(Hook { stage: Stage::Playing { order, .. }, .. }) => {
                let order = *order;
                self.played(now, order, Playback::Cut);
            }
            Phase::Hook(Hook { stage: Stage::Waiting { .. } | Stage::Proving { .. }, .. }) => self.leave(now),
            Phase::Hook(Hook { stage: Stage::Leaving { how }, .. }) => {
                let how = *how;
                self.order(Order::Release(how), Asked::Release);
            }
        }
    }

    /// Whether the verdict was that the call must not go on.
    pub(super) fn turned_away(&self) -> bool {
        self.verdict.is_some_and(|how| how != Release::Admitted)
    }

    pub(super) fn not_released(&mut self, now: Timestamp, error: &crate::command::DriverError) {
        use crate::command::DriverError::{Gone, Refused, Unknown, Unsent};
        match error {
            // It left by itself; a call that was not to go on may have gone on.
            Gone if self.turned_away() => self.muted = self.verdict.map(outcome_of),
            Gone => {}
            // It was here before, and nothing hangs on this visit.
            _ if matches!(self.phase, Phase::Talk) => {}
            // The dead-man timer takes the caller on; whether he was admitted is not known, so nothing is recorded.
            Refused(_) | Unsent | Unknown => {
                self.alarm(now, Notice::Mandatory { why: format!("not released: {error}") });
                self.muted = Some("not-released");
            }
        }
        if matches!(self.phase, Phase::Hook(_)) {
            self.phase = Phase::Talk;
        }
    }

    /// The link is lost since a moment at which he was asked, noticed then or only when he had been let go: what he
    /// pressed meanwhile is noted nowhere. Where he may say no he may have said it, so nothing of the call is recorded; a
    /// line whose calls must not go on unrecorded does not go on, if it is not too late.
    pub(super) fn hook_unheard(&mut self, since: Timestamp) {
        let is_asked =
            matches!(&self.phase, Phase::Hook(Hook { stage, .. }) if !matches!(stage, Stage::Leaving { .. }));
        let was_asked = self.let_go.is_some_and(|let_go| since < let_go);
        if matches!(self.phase, Phase::Over) || !(is_asked || was_asked) {
            return;
        }
        let facts = self.talk.facts();
        let line = self.rules.policy.line(&self.record.line);
        let keys = line.map(|line| line.keys_in(facts.language.as_deref()));
        let may_object = keys.is_some_and(|keys| keys.digits(Function::Object).is_some());
        if !may_object {
            return;
        }
        self.muted = Some(UNHEARD);
        let refuses = self.rules.desk.unavailable(&self.record.line) == Unavailable::Refuse;
        if let Phase::Hook(hook) = &mut self.phase
            && refuses
        {
            hook.proof = Proof::Failed;
        }
    }

    fn announced(&mut self, now: Timestamp) {
        if let Some(gate) = self.told_of_purposes(now) {
            let until = after(now, self.rules.desk.timing.wait(gate));
            self.stage(Stage::Waiting { until });
        }
    }

    /// The announcement was heard to its end: what it said counts from now on.
    pub(super) fn told_of_purposes(&mut self, now: Timestamp) -> Option<Gate> {
        let announce = self.announce.clone()?;
        let rules = std::sync::Arc::clone(&self.rules);
        // What was said is what the prompt names: perhaps more than was needed now, never more than was heard.
        let line = rules.policy.line(&self.record.line);
        let prompt = line.and_then(|line| line.prompt(self.talk.facts().language.as_deref()));
        let purposes = prompt.map_or(announce.purposes, |prompt| prompt.purposes.clone());
        self.journal(
            now,
            What::Announced {
                purposes: super::names(&purposes),
                language: prompt.map(|prompt| prompt.language.to_string()).unwrap_or_default(),
                version: prompt.map(|prompt| prompt.version.to_string()).unwrap_or_default(),
            },
        );
        self.talk.apply(&rules.policy, &Event::Announced { leg: self.leg.0.as_str().into(), purposes });
        Some(announce.gate)
    }

    fn play_announcement(&mut self, now: Timestamp) {
        let gate = self.announce.as_ref().map(|announce| announce.gate);
        let text = gate.map_or(Text::Notice, text_of);
        if !self.play(now, text) {
            self.journal(now, What::NotAnnounced { outcome: Playback::Failed });
            self.alarm(now, Notice::NotAnnounced);
            self.leave(now);
        }
    }

    /// Orders a sound; false where there is none.
    fn play(&mut self, now: Timestamp, text: Text) -> bool {
        let language = self
            .announce
            .as_ref()
            .and_then(|announce| Some(announce.prompt.as_ref()?.language.clone()))
            .or_else(|| self.talk.facts().language.clone())
            .unwrap_or_default();
        let Some(media) = self.rules.desk.sound(&self.record.line, &language, text).cloned() else {
            return false;
        };
        let until = after(now, media.length.saturating_add(GRACE));
        let order = self.order(Order::Announce(media), Asked::Announce);
        self.stage(Stage::Playing { text, order, until });
        true
    }

    fn stage(&mut self, stage: Stage) {
        if let Phase::Hook(hook) = &mut self.phase {
            hook.stage = stage;
        }
    }

    /// What the law says of the service, with what is known in the hook; and the line, where nothing can be proven.
    pub(super) fn service(&mut self, now: Timestamp) -> Refusal {
        self.talk.set_time(now);
        let service = decide(self.talk.facts(), &self.rules.policy).service;
        let unproven = matches!(self.phase, Phase::Hook(Hook { proof: Proof::Failed, .. }));
        if unproven { service.max(Refusal::RefuseRegulatedService) } else { service }
    }

    fn leave(&mut self, now: Timestamp) {
        let service = self.service(now);
        if let Phase::Hook(hook) = &mut self.phase
            && hook.proof == Proof::Asked
            && service < Refusal::RefuseRegulatedService
        {
            let until = after(now, PROOF);
            // A caller who waits already does not wait anew.
            if !matches!(hook.stage, Stage::Proving { .. }) {
                hook.stage = Stage::Proving { until };
            }
            return;
        }
        let text = match service {
            Refusal::Continue => None,
            Refusal::AlternativeChannel => Some(Text::Alternative),
            Refusal::RefuseRegulatedService | Refusal::TerminateCall => Some(Text::Unavailable),
        };
        if text.is_some_and(|text| self.play(now, text)) {
            return;
        }
        self.release(now, release_of(service));
    }

    fn release(&mut self, now: Timestamp, how: Release) {
        if how == Release::Admitted {
            self.prepare_step();
        }
        self.order(Order::Release(how), Asked::Release);
        self.stage(Stage::Leaving { how });
        (self.verdict, self.let_go) = (Some(how), Some(now));
        if let Phase::Hook(hook) = &mut self.phase {
            hook.beat = None;
        }
        self.tell_release(now, how);
    }

    pub(super) fn tell_release(&mut self, now: Timestamp, how: Release) {
        self.record.outcome = outcome_of(how).into();
        self.index();
        self.journal(now, What::Released { how, why: why(how).into() });
    }
}

/// A call's one word, by how it left the hook.
pub(super) fn outcome_of(how: Release) -> &'static str {
    match how {
        Release::Admitted => "admitted",
        Release::Refused => "refused",
        Release::HangUp => "terminated",
    }
}

pub(super) fn why(how: Release) -> &'static str {
    match how {
        Release::Admitted => "goes-on",
        Release::Refused | Release::HangUp => "mandatory-and-not-possible",
    }
}
