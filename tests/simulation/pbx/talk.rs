//! What people do in the talk, and what the dialplan does for their codes: it stops, notes, and tells.

use std::sync::Arc;

use temoin_core::event::{CallEvent, Playback, Role};
use temoin_core::id::{CallId, LegId};

use super::{Channel, Pbx, State, Who};
use crate::truth::{Kind, STRANGER, Truth};

impl Pbx {
    /// These are connected with the customer from now on.
    pub fn bridge(&self, call: &CallId, who: &[Who], held: bool) {
        let now = self.clock.ms();
        let mut state = self.lock();
        let State { channels, truths, .. } = &mut *state;
        let (Some(channel), Some(truth)) = (channels.get_mut(call), truths.get_mut(call)) else { return };
        if channel.parties != who || channel.held != held {
            truth.forbid("an exempt extension rings", false, now);
        }
        (channel.parties, channel.held) = (who.to_vec(), held);
        truth.seams.push(now);
        truth.forbid(
            "nobody to talk with",
            !who.iter().any(|who| who.party(false).role == Role::Member),
            now,
        );
        truth.forbid(STRANGER, who.iter().any(|who| !who.is_agent()), now);
        truth.forbid("on hold", held, now);
        if truth.line.kind == Kind::Yes {
            truth.forbid("an agent who has not agreed", who.contains(&Who::Bruno), now);
        }
        let parties = channel.parties.iter().map(|who| who.party(held)).collect();
        let at = self.at();
        self.tell(&mut state, call, CallEvent::Parties { parties, at });
    }

    pub fn parties(&self, call: &CallId) -> Vec<Who> {
        self.lock().channels.get(call).map(|channel| channel.parties.clone()).unwrap_or_default()
    }

    /// An exempt extension is about to ring; the dialplan knows the list that it was told.
    pub fn exempt_rings(&self, call: &CallId) {
        let now = self.clock.ms();
        let mut state = self.lock();
        if !state.exempt.contains("4100") {
            return;
        }
        // What nobody hears of forbids nothing: he is in no bridge yet.
        if state.listens()
            && let Some(truth) = state.truths.get_mut(call)
        {
            truth.forbid("an exempt extension rings", true, now);
        }
        self.stop(&mut state, call);
        let at = self.at();
        self.tell(&mut state, call, CallEvent::ExemptRings { at });
    }

    /// Somebody else's recorder.
    pub fn foreign_recorder(&self, call: &CallId) {
        let now = self.clock.ms();
        let mut state = self.lock();
        if let Some(truth) = state.truths.get_mut(call) {
            truth.trouble(now - 500, now + 3000);
        }
        self.record(&mut state, call, None);
    }

    /// The customer presses a key in the hook.
    pub fn press_in_hook(&self, call: &CallId, key: &str) {
        let now = self.clock.ms();
        let mut state = self.lock();
        let State { channels, truths, .. } = &mut *state;
        let (Some(channel), Some(truth)) = (channels.get(call), truths.get_mut(call)) else { return };
        let silent = channel.playing.is_none();
        if truth.line.object == Some(key) {
            truth.forbid("objected", true, now);
            truth.erase(true, now);
        }
        // A yes counts for what was heard.
        if truth.line.accept == Some(key) && truth.heard.is_some() && silent {
            truth.forbid("no yes", false, now);
        }
        let (leg, at) = (Some(LegId(call.0.clone())), self.at());
        self.tell(&mut state, call, CallEvent::Pressed { leg, keys: key.into(), at });
    }

    /// A code: of an agent, or the customer's own.
    pub fn code(self: &Arc<Self>, call: &CallId, by: Option<Who>, code: &str) {
        let now = self.clock.ms();
        let mut state = self.lock();
        let listens = state.listens();
        // Who is being told that a contract talk begins is not told so twice at once.
        let is_free = |channel: &Channel| code != "*6" || now >= channel.said_until;
        if !state.channels.get(call).is_some_and(is_free) {
            return;
        }
        if code != "*5" {
            self.stop(&mut state, call);
        }
        let at = self.at();
        let State { channels, truths, .. } = &mut *state;
        let (Some(channel), Some(truth)) = (channels.get_mut(call), truths.get_mut(call)) else { return };
        let own = if by.is_none() { "c" } else { "" };
        let stamp = format!("{}.{:03}", at.as_second(), at.subsec_millisecond());
        channel.notes.push_str(&format!("{own}{code}@{stamp} "));
        let mut step = None;
        if code == "*6" && truth.line.codes.contains(&"*6") {
            channel.contract = !channel.contract;
            step = channel.step.filter(|_| channel.contract);
            channel.said_until = now + step.map_or(0, |step| step.as_millis() as i64);
            truth.forbid("no contract talk", true, now);
        }
        truth.seams.push(now);
        truth.code(by.is_none(), code, listens, now);
        if step.is_some() {
            self.tell(&mut state, call, CallEvent::StepBegan { at });
        }
        let leg = by.map_or_else(|| LegId(call.0.clone()), Who::leg);
        self.tell(&mut state, call, CallEvent::Pressed { leg: Some(leg), keys: code.into(), at });
        if let Some(length) = step {
            let (pbx, call) = (Arc::clone(self), call.clone());
            tokio::spawn(async move {
                tokio::time::sleep(length).await;
                pbx.step_ends(&call);
            });
        }
    }

    /// The customer was told that a contract talk begins.
    fn step_ends(&self, call: &CallId) {
        let (now, at) = (self.clock.ms(), self.at());
        let mut state = self.lock();
        let State { channels, truths, .. } = &mut *state;
        let (Some(channel), Some(truth)) = (channels.get_mut(call), truths.get_mut(call)) else { return };
        let stamp = format!("{}.{:03}", at.as_second(), at.subsec_millisecond());
        channel.notes.push_str(&format!("+*6@{stamp} "));
        truth.forbid("no contract talk", !channel.contract, now);
        truth.heard.get_or_insert(now);
        self.tell(&mut state, call, CallEvent::StepEnded { outcome: Playback::Heard, at });
    }
}

impl Truth {
    /// What a code means to those who are there.
    fn code(&mut self, own: bool, code: &str, listens: bool, now: i64) {
        let is_of_line = |code| self.line.codes.contains(&code);
        match code {
            "*1" if own && self.line.object.is_some() => {
                self.forbid("objected", true, now);
                self.erase(listens, now);
            }
            "*8" if is_of_line("*8") => {
                self.forbid("objected", true, now);
                self.erase(listens, now);
            }
            "*9" => self.forbid("paused", !self.is_forbidden("paused"), now),
            "*7" if is_of_line("*7") => {
                let begins = !self.is_forbidden("private");
                self.forbid("private", begins, now);
                if begins {
                    self.erase(listens, now);
                }
            }
            "*0" if is_of_line("*0") => {
                let begins = !self.is_forbidden("a machine");
                self.forbid("a machine", begins, now);
                self.forbid("whoever picks up was not told", true, now);
                if begins {
                    self.erase(listens, now);
                }
            }
            "*5" if is_of_line("*5") && !self.is_forbidden("a machine") => {
                self.heard.get_or_insert(now);
                self.forbid("whoever picks up was not told", false, now);
            }
            _ => {}
        }
    }
}
