//! What becomes of one recording with several purposes (`FORMAT.md`, section 3.7).
//!
//! A recording has dates for each purpose, from the packs at its time. What happens later is applied in order: packs
//! change, a person asks for erasure. The object lives as long as its last purpose, and longer under a legal hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::hold::{self, Held};
use super::{Because, Dates, LegalHold, Limits, Occasion, limits};
use crate::combine::combine;
use crate::facts::Facts;
use crate::force::{Force, Reach};
use crate::policy::Policy;
use crate::time::{Period, day_after, whole};
use crate::words::{Anchor, Purpose, Reason};

/// A recording: when it was made, what for, and under which policy.
#[derive(Clone, Copy, Debug)]
pub struct Recording<'a> {
    /// What was known of the call.
    pub facts: &'a Facts,
    /// The policy at that time.
    pub policy: &'a Policy,
    /// What it was made for.
    pub purposes: &'a BTreeSet<Purpose>,
    /// Its beginning.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

/// What happened to a recording since.
#[derive(Clone, Debug, Default)]
pub struct History<'a> {
    /// The events that periods count from, as far as they have happened. The recording's own are known.
    pub anchors: BTreeMap<Anchor, Timestamp>,
    /// The ids of the packs whose authority asked for the extended period.
    pub authority: BTreeSet<Arc<str>>,
    /// The policies that came into force later, each with its first instant.
    pub later: Vec<(Timestamp, &'a Policy)>,
    /// The legal holds on the object.
    pub holds: Vec<LegalHold>,
    /// The instant of a request to erase it.
    pub erasure: Option<Timestamp>,
}

/// No dates can be given: such a recording must not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Unkeepable {
    /// The rules contradict each other.
    #[error("retention-conflict")]
    RetentionConflict,
    /// No rule limits its life.
    #[error("no-bound")]
    NoBound,
    /// The policy has no such line.
    #[error("no-rule")]
    NoRule,
}

impl Unkeepable {
    /// The reason a decision gives for the same.
    pub fn reason(self) -> Reason {
        match self {
            Self::RetentionConflict => Reason::RetentionConflict,
            Self::NoBound => Reason::NoBound,
            Self::NoRule => Reason::NoRule,
        }
    }
}

/// What becomes of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// Of each purpose: access for it ends with its `delete_by`.
    pub purposes: BTreeMap<Purpose, PurposeFate>,
    /// Of the bytes.
    pub object: Dates,
    /// The beginning of the first legal hold that came too late.
    pub void_holds: Vec<Timestamp>,
    /// The legal holds that found something, those that overlap or touch joined.
    #[serde(skip)]
    pub holds: Vec<LegalHold>,
    /// The answer to a request to erase it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasure: Option<Erasure>,
}

/// What becomes of one purpose of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PurposeFate {
    /// Its dates.
    #[serde(flatten)]
    pub dates: Dates,
    /// The rules that reached them; none for a purpose that was removed.
    pub because: Because,
}

/// The answer to a request to erase a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// What became of it.
    pub status: ErasureStatus,
    /// The purposes that ended with the request.
    pub removed: BTreeSet<Purpose>,
    /// The purposes that go on.
    pub kept: BTreeSet<Purpose>,
    /// When the person must have been answered: a month from the request, in the zone of the line.
    pub answer_by: Timestamp,
}

/// What became of a request to erase a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErasureStatus {
    /// It was due before.
    AlreadyErased,
    /// It goes.
    Erased,
    /// It stays, for the purposes kept or for a legal hold alone.
    Restricted,
}

/// What becomes of a recording.
///
/// # Errors
/// [`Unkeepable`] if the packs at the time of the recording give no dates.
pub fn fate(recording: &Recording<'_>, history: &History<'_>) -> Result<Fate, Unkeepable> {
    let mut object = Object::recorded(recording, history)?;
    let request = history.erasure.map(whole);
    let mut changes: Vec<_> = history.later.iter().map(|(at, policy)| (whole(*at), *policy)).collect();
    changes.sort_by_key(|(at, _)| *at);
    let (before, after): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|(at, _)| request.is_none_or(|request| *at <= request));

    before.into_iter().for_each(|change| object.change_packs(change));
    let Some(request) = request else {
        let held = hold::apply(object.dates(|_| true).unwrap_or_default(), &object.holds);
        return Ok(object.fate(held, None));
    };
    let answer = object.erase(request);
    after.into_iter().for_each(|change| object.change_packs(change));
    let held = object.after_request(&answer, request);
    Ok(object.fate(held, Some(answer)))
}

/// When a report on recordings is deleted: the earliest end of what the rules for their purposes allow it, from its
/// creation; none if no rule limits reports.
pub fn report(recording: &Recording<'_>, created: Timestamp) -> Option<Dates> {
    let forces = forces(recording, recording.policy)?;
    let ends = forces.values().flat_map(|force| &force.rules).filter_map(|rule| {
        let period: Period = rule.rule.retention.report_max?;
        Some(period.end(whole(created), &rule.zone))
    });
    ends.min().map(Dates::gone_by)
}

/// The rules in force for the purposes of a recording under a policy; none if the policy has no such line.
pub(crate) fn forces(recording: &Recording<'_>, policy: &Policy) -> Option<BTreeMap<Purpose, Force>> {
    let line = policy.line(&recording.facts.line)?;
    let reach = Reach::of_call(policy, line, recording.facts);
    Some(recording.purposes.iter().map(|purpose| (purpose.clone(), reach.rules_for(purpose))).collect())
}

/// A recording in the course of its history.
struct Object<'a> {
    recording: Recording<'a>,
    occasion: Occasion<'a>,
    holds: Vec<LegalHold>,
    lives: BTreeMap<Purpose, Life>,
}

/// One purpose of it.
struct Life {
    limits: Limits,
    dates: Dates,
    survives_erasure: bool,
    ends: Ends,
}

/// What ends a purpose.
#[derive(PartialEq, Eq)]
enum Ends {
    /// Its limits.
    InTime,
    /// Its minimum: a request to erase it came before.
    AtMinimum,
    /// The request.
    Removed,
}

impl<'a> Object<'a> {
    fn recorded(recording: &Recording<'a>, history: &'a History<'_>) -> Result<Self, Unkeepable> {
        let (start, end) = (whole(recording.start), whole(recording.end));
        let occasion = Occasion { start, end, anchors: &history.anchors, authority: &history.authority };
        let forces = forces(recording, recording.policy).ok_or(Unkeepable::NoRule)?;
        let combined: Vec<_> = forces.values().map(combine).collect();
        if combined.iter().any(|c| c.retention_conflict) {
            return Err(Unkeepable::RetentionConflict);
        }
        if combined.iter().any(|c| c.no_bound) {
            return Err(Unkeepable::NoBound);
        }
        let life = |force: &Force| {
            let limits = limits(force, &occasion);
            Life { dates: limits.dates(), limits, survives_erasure: survives(force), ends: Ends::InTime }
        };
        let lives = forces.iter().map(|(purpose, force)| (purpose.clone(), life(force))).collect();
        Ok(Self { recording: *recording, holds: hold::merge(&history.holds), lives, occasion })
    }

    /// Other packs come into force: the limits of all so far hold together, for what is not due yet.
    fn change_packs(&mut self, (at, policy): (Timestamp, &Policy)) {
        let Some(forces) = forces(&self.recording, policy) else {
            return;
        };
        for (purpose, force) in &forces {
            let Some(life) = self.lives.get_mut(purpose) else {
                continue;
            };
            if life.ends == Ends::Removed || life.dates.scheduled.is_none_or(|scheduled| scheduled <= at) {
                continue;
            }
            life.limits.extend(limits(force, &self.occasion));
            life.survives_erasure |= survives(force);
            life.reckon();
            if life.dates.scheduled.is_some_and(|scheduled| scheduled < at) {
                life.dates.scheduled = Some(at);
                if life.dates.delete_by.is_some_and(|limit| limit <= at) {
                    life.dates.delete_by = Some(day_after(at));
                }
            }
        }
    }

    /// A person asks for erasure.
    fn erase(&mut self, request: Timestamp) -> Erasure {
        let answer_by = match self.recording.policy.line(&self.recording.facts.line) {
            Some(line) => Period::Months(1).end(request, &line.zone),
            None => request,
        };
        let mut answer = Erasure {
            status: ErasureStatus::Erased,
            removed: BTreeSet::new(),
            kept: BTreeSet::new(),
            answer_by,
        };
        let held = hold::apply(self.dates(|_| true).unwrap_or_default(), &self.holds);
        if held.dates.scheduled.is_some_and(|scheduled| scheduled <= request) {
            answer.status = ErasureStatus::AlreadyErased;
            return answer;
        }
        let alive = |life: &Life| life.dates.delete_by.is_none_or(|limit| request < limit);
        for (purpose, life) in self.lives.iter_mut().filter(|(_, life)| alive(life)) {
            let must_stay = life.limits.latest_minimum().is_some_and(|minimum| request < minimum);
            life.ends = match (life.survives_erasure, must_stay) {
                (true, _) => Ends::InTime,
                (false, true) => Ends::AtMinimum,
                (false, false) => Ends::Removed,
            };
            if life.ends == Ends::Removed {
                life.dates = Dates { not_before: None, scheduled: Some(request), delete_by: Some(request) };
                answer.removed.insert(purpose.clone());
            } else {
                // What survives has the dates it had, those of a change of packs among them.
                if life.ends == Ends::AtMinimum {
                    life.reckon();
                }
                answer.kept.insert(purpose.clone());
            }
        }
        let on_hold = self.holds.iter().any(|hold| hold.is_in_force(request));
        if on_hold || !answer.kept.is_empty() {
            answer.status = ErasureStatus::Restricted;
        }
        answer
    }

    /// What a request leaves, and what the holds do to that.
    fn after_request(&self, answer: &Erasure, request: Timestamp) -> Held {
        if answer.status == ErasureStatus::AlreadyErased {
            return hold::apply(self.dates(|_| true).unwrap_or_default(), &self.holds);
        }
        if let Some(dates) = self.dates(|purpose| answer.kept.contains(purpose)) {
            return hold::apply(dates, &self.holds);
        }
        let Some(current) = self.holds.iter().position(|hold| hold.is_in_force(request)) else {
            return hold::apply(Dates::due(request), &self.holds);
        };
        let (past, future) = self.holds.split_at(current + 1);
        let released = past.last().and_then(|hold| hold.release);
        let held = hold::apply(released.map(Dates::due).unwrap_or_default(), future);
        Held { holds: past.iter().copied().chain(held.holds).collect(), ..held }
    }

    fn dates(&self, of: impl Fn(&Purpose) -> bool) -> Option<Dates> {
        Dates::latest(self.lives.iter().filter(|(purpose, _)| of(purpose)).map(|(_, life)| life.dates))
    }

    fn fate(self, held: Held, erasure: Option<Erasure>) -> Fate {
        let purpose_fate = |life: Life| PurposeFate {
            dates: life.dates,
            because: if life.ends == Ends::Removed { Because::default() } else { life.because() },
        };
        Fate {
            purposes: self.lives.into_iter().map(|(purpose, life)| (purpose, purpose_fate(life))).collect(),
            object: held.dates,
            void_holds: held.void.into_iter().collect(),
            holds: held.holds,
            erasure,
        }
    }
}

impl Life {
    /// Works its dates out from its limits.
    fn reckon(&mut self) {
        self.dates = self.limits.dates();
        if self.ends == Ends::AtMinimum {
            let minimum = self.limits.latest_minimum();
            self.dates.scheduled = minimum;
            self.dates.delete_by = minimum.map(day_after).min(self.dates.delete_by);
        }
    }

    fn because(&self) -> Because {
        self.limits.because()
    }
}

/// Whether a rule lets recordings survive a request to erase them.
fn survives(force: &Force) -> bool {
    force.rules.iter().any(|rule| rule.rule.survives_erasure)
}
