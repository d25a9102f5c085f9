//! What prompts say, and which keys they offer.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Lint, citing};
use crate::combine::{Combined, because_of_gate, combine};
use crate::document::Path;
use crate::finding::Code;
use crate::force::Force;
use crate::policy::{Key, Line, Prompt};
use crate::words::*;

impl<'a> Lint<'a> {
    pub(super) fn check_prompts(&self) {
        for line in self.lines() {
            let whole = self.whole(line);
            let forces: Vec<_> = line.purposes.iter().map(|purpose| whole.rules_for(purpose)).collect();
            let combined: Vec<Combined> = forces.iter().map(combine).collect();
            let asked = asked_elements(&combined);
            for prompt in &line.prompts {
                let at = Path::of("lines") / &*line.name / "prompts" / &*prompt.language;
                self.check_purposes_named(line, prompt, &at);
                let unsaid: BTreeSet<Element> = asked.difference(&said(prompt)).copied().collect();
                if !unsaid.is_empty() {
                    let named: Vec<_> = unsaid.iter().map(|element| element.as_str()).collect();
                    let hint = format!("the prompt does not say: {}", named.join(", "));
                    let asks = forces.iter().flat_map(|force| asking(force, &unsaid)).collect();
                    self.report_by(Code::ElementMissing, &(&at / "says"), hint, asks);
                }
                self.check_keys_needed(line, prompt);
                self.check_key_clashes(line, prompt);
            }
        }
    }

    fn check_purposes_named(&self, line: &Line, prompt: &Prompt, at: &Path) {
        let named =
            |purpose: &&Purpose| prompt.purposes.contains(*purpose) || prompt.steps.contains_key(*purpose);
        let unnamed: Vec<_> = line.purposes.iter().filter(|p| !named(p)).map(Purpose::as_str).collect();
        if !unnamed.is_empty() {
            let hint = format!("the prompt does not announce: {}", unnamed.join(", "));
            self.report(Code::PurposeNotAnnounced, &(at / "purposes"), hint);
        }
    }

    /// Who may object or must accept needs a key: by the laws of the line together, or by those of one market.
    fn check_keys_needed(&self, line: &'a Line, prompt: &Prompt) {
        let whole = self.whole(line);
        let alone: Vec<_> = line.markets.iter().map(|market| self.market(line, market)).collect();
        let purposes = prompt.purposes.iter().chain(prompt.steps.keys());
        let gates: Vec<(Gate, BTreeSet<Arc<str>>)> = purposes
            .flat_map(|purpose| {
                std::iter::once(&whole).chain(&alone).map(|reach| {
                    let force = reach.rules_for(purpose);
                    let combined = combine(&force);
                    (combined.gate, because_of_gate(&force, &combined))
                })
            })
            .collect();
        for (gate, function) in [(Gate::OptOut, Function::Object), (Gate::OptIn, Function::Accept)] {
            let asks: BTreeSet<Arc<str>> = gates
                .iter()
                .filter(|(asked, _)| *asked == gate)
                .flat_map(|(_, rules)| rules)
                .cloned()
                .collect();
            if !asks.is_empty() && prompt.keys.digits(function).is_none() {
                let of_prompt = prompt.own_keys.0.get(&function) == Some(&Key::Off);
                let path = key_path(line, of_prompt.then_some(prompt), function);
                let hint = format!("the caller needs a key to {function}");
                self.report_by(Code::KeyMissing, &path, hint, asks);
            }
        }
    }

    fn check_key_clashes(&self, line: &Line, prompt: &Prompt) {
        for function in Function::ALL {
            let Some(digits) = prompt.keys.digits(*function) else {
                continue;
            };
            let earlier = Function::ALL.iter().take_while(|other| *other != function);
            let same_side = earlier.filter(|other| other.is_agents() == function.is_agents());
            let taken = same_side.into_iter().find(|other| prompt.keys.digits(**other) == Some(digits));
            if let Some(taken) = taken {
                let of_prompt = prompt.own_keys.0.contains_key(function);
                let path = key_path(line, of_prompt.then_some(prompt), *function);
                self.report(Code::KeyClash, &path, format!("the key means `{taken}` already"));
            }
        }
    }
}

/// Where a key is set: in a prompt or in the line.
fn key_path(line: &Line, prompt: Option<&Prompt>, function: Function) -> Path {
    let at = Path::of("lines") / &*line.name;
    let at = match prompt {
        Some(prompt) => at / "prompts" / &*prompt.language,
        None => at,
    };
    at / "keys" / function.as_str()
}

/// What the laws of a line ask to be said.
fn asked_elements(combined: &[Combined]) -> BTreeSet<Element> {
    let by_gate = combined.iter().filter_map(|combined| match combined.gate {
        Gate::OptOut => Some(Element::Object),
        Gate::OptIn => Some(Element::Accept),
        _ => None,
    });
    combined.iter().flat_map(|combined| &combined.announce).copied().chain(by_gate).collect()
}

/// The rules that ask for one of these to be said.
fn asking(force: &Force, unsaid: &BTreeSet<Element>) -> BTreeSet<Arc<str>> {
    citing(force, |rule| {
        rule.announce.iter().any(|element| unsaid.contains(element))
            || (rule.gate == Gate::OptOut && unsaid.contains(&Element::Object))
            || (rule.gate == Gate::OptIn && unsaid.contains(&Element::Accept))
    })
}

/// What a prompt says: that the call is recorded, what an audio file says, and what placeholders stand for.
fn said(prompt: &Prompt) -> BTreeSet<Element> {
    const PLACEHOLDERS: [(&str, Element); 8] = [
        ("{controller}", Element::Controller),
        ("{purposes}", Element::Purposes),
        ("{object}", Element::Object),
        ("{accept}", Element::Accept),
        ("{info}", Element::Info),
        ("{retention}", Element::Retention),
        ("{authority}", Element::Complaint),
        ("{contact}", Element::Rights),
    ];
    let texts = || prompt.text.iter().chain(prompt.steps.values());
    let spoken =
        PLACEHOLDERS.iter().filter(|(placeholder, _)| texts().any(|text| text.contains(placeholder)));
    let spoken = spoken.map(|(_, element)| *element);
    std::iter::once(Element::Recorded).chain(spoken).chain(prompt.says.iter().copied()).collect()
}
