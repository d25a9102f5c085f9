//! Who may hear a recording, per purpose (`FORMAT.md`, section 3.9).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::combine::combine;
use crate::force::Force;
use crate::policy::Policy;
use crate::retention::{Fate, History, Recording, Unkeepable, fate, forces};
use crate::words::{CombinedDuty, Copying, Purpose};

/// Somebody asks to hear a recording.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// When.
    pub at: Timestamp,
    /// As whom: a role of the policy, or one of the built-in `legal`, `subject`, `regulator`.
    pub role: &'a str,
    /// Whose approvals are at hand.
    pub approvals: &'a BTreeSet<Arc<str>>,
}

/// What a request to hear a recording is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Whether it may be heard for any purpose.
    pub allowed: bool,
    /// The purposes it may be heard for.
    pub purposes: BTreeSet<Purpose>,
    /// Why, or why not, for each purpose of the recording.
    pub reasons: BTreeMap<Purpose, Grounds>,
}

/// Why a recording may be heard for a purpose, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grounds {
    /// It may.
    Ok,
    /// The person may have a transcript.
    Transcript,
    /// The person may have the audio.
    Audio,
    /// There is no such line, no rule speaks of it.
    NoRule,
    /// The rules contradict each other: no dates can be given.
    RetentionConflict,
    /// Nothing limits its life: no dates can be given.
    NoBound,
    /// The recording is gone, or due.
    Erased,
    /// The purpose has ended.
    Expired,
    /// The person may have no copy.
    NoCopy,
    /// Only the regulator and the person recorded may hear it.
    RegulatorOnly,
    /// The role does not hear recordings for this purpose.
    Role,
    /// Somebody has to approve first.
    ApprovalMissing,
}

impl Grounds {
    /// Whether something may be heard or read.
    pub fn allow(self) -> bool {
        matches!(self, Self::Ok | Self::Transcript | Self::Audio)
    }
}

/// Answers a request to hear a recording.
pub fn access(recording: &Recording<'_>, history: &History<'_>, request: &Request<'_>) -> Answer {
    let grounds: BTreeMap<Purpose, Grounds> = match fate(recording, history) {
        Err(error) => {
            let same = match error {
                Unkeepable::RetentionConflict => Grounds::RetentionConflict,
                Unkeepable::NoBound => Grounds::NoBound,
                Unkeepable::NoRule => Grounds::NoRule,
            };
            recording.purposes.iter().map(|purpose| (purpose.clone(), same)).collect()
        }
        Ok(fate) => {
            let in_force =
                policies(recording, history, request.at).filter_map(|policy| forces(recording, policy));
            let in_force: Vec<_> = in_force.collect();
            let of = |purpose: &Purpose| {
                let rules: Vec<&Force> = in_force.iter().filter_map(|forces| forces.get(purpose)).collect();
                grounds(recording.policy, purpose, &rules, &fate, request)
            };
            recording.purposes.iter().map(|purpose| (purpose.clone(), of(purpose))).collect()
        }
    };
    let purposes: BTreeSet<_> = grounds.iter().filter(|(_, g)| g.allow()).map(|(p, _)| p.clone()).collect();
    Answer { allowed: !purposes.is_empty(), purposes, reasons: grounds }
}

/// The policies of the recording up to an instant: what any of them asked for still holds.
fn policies<'a>(
    recording: &Recording<'a>,
    history: &History<'a>,
    at: Timestamp,
) -> impl Iterator<Item = &'a Policy> {
    let later = history.later.iter().filter(move |(from, _)| *from <= at).map(|(_, policy)| *policy);
    std::iter::once(recording.policy).chain(later)
}

/// The first that holds, in the order of the format.
fn grounds(
    policy: &Policy,
    purpose: &Purpose,
    versions: &[&Force],
    fate: &Fate,
    request: &Request<'_>,
) -> Grounds {
    let passed = |limit: Option<Timestamp>| limit.is_some_and(|limit| limit <= request.at);
    let rules = || versions.iter().flat_map(|force| &force.rules).map(|r| &*r.rule);
    let regulator_only = rules().any(|rule| rule.access.regulator_only);

    if passed(fate.object.scheduled) {
        return Grounds::Erased;
    }
    if request.role == "legal" {
        let held = fate.holds.iter().any(|hold| hold.is_in_force(request.at));
        return if held { Grounds::Ok } else { Grounds::Role };
    }
    if passed(fate.purposes.get(purpose).and_then(|purpose| purpose.dates.delete_by)) {
        return Grounds::Expired;
    }
    if request.role == "subject" {
        return match rules().filter_map(|rule| rule.access.copy).min() {
            Some(Copying::None) => Grounds::NoCopy,
            Some(Copying::Transcript) => Grounds::Transcript,
            Some(Copying::Audio) | None => Grounds::Audio,
        };
    }
    if request.role == "regulator" {
        let is_duty = versions.iter().any(|force| combine(force).duty == CombinedDuty::Must);
        return if is_duty || regulator_only { Grounds::Ok } else { Grounds::Role };
    }
    if regulator_only {
        return Grounds::RegulatorOnly;
    }
    if !policy.site().roles.get(request.role).is_some_and(|purposes| purposes.contains(purpose)) {
        return Grounds::Role;
    }
    if rules().filter_map(|rule| rule.access.approval.as_ref()).any(|who| !request.approvals.contains(who)) {
        return Grounds::ApprovalMissing;
    }
    Grounds::Ok
}
