//! A whole call, played from a list of events: its segments and what is kept of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Event, Talk, erased};
use crate::decide::{Decision, changes_at, decide};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::retention::{Dates, History, Recording, fate};
use crate::words::{Purpose, Reason, Refusal};

/// An interval of a call with constant parties and purposes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// Its first second, from the start of the call.
    pub from: u64,
    /// The second after its last.
    pub to: u64,
    /// Whether audio was recorded.
    pub record: bool,
    /// Why, or why not, for every purpose of the line.
    pub reasons: BTreeMap<Purpose, Reason>,
    /// What becomes of the service.
    pub service: Refusal,
    /// The purposes that remain; none: the audio is erased.
    pub kept: BTreeSet<Purpose>,
    /// When it is deleted, if anything of it is kept.
    pub retention: Option<Dates>,
}

/// Plays a call that begins with these facts, `t` of the events counting in seconds from its start. The last event ends
/// it. Events of one second are applied in the order written.
pub fn segments(policy: &Policy, start: Facts, events: &[(u64, Event)]) -> Vec<Segment> {
    let began = start.at();
    let mut talk = Talk::begin(start);
    let mut events: Vec<_> = events.iter().collect();
    events.sort_by_key(|(t, _)| *t);
    let mut intervals: Vec<Interval> = Vec::new();
    let mut now = 0;
    let mut upcoming = events.into_iter().peekable();
    loop {
        while let Some((_, event)) = upcoming.next_if(|(t, _)| *t <= now) {
            for erase in talk.apply(policy, event) {
                intervals.iter_mut().for_each(|interval| {
                    let gone = erased(&erase, policy, &interval.facts);
                    interval.kept.retain(|purpose| !gone.contains(purpose));
                });
            }
        }
        let Some((next_event, _)) = upcoming.peek() else {
            break;
        };
        talk.set_time(after(began, now));
        let decision = decide(talk.facts(), policy);
        let change = changes_at(talk.facts(), policy).map(|at| seconds(began, at));
        let to = change.filter(|change| change > &now).map_or(*next_event, |change| change.min(*next_event));
        intervals.push(Interval {
            from: now,
            to,
            facts: talk.facts().clone(),
            kept: decision.recorded_purposes.clone(),
            decision,
        });
        now = to;
    }
    merge(intervals).into_iter().map(|interval| interval.segment(policy, began)).collect()
}

fn after(began: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    began.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

fn seconds(began: Timestamp, at: Timestamp) -> u64 {
    u64::try_from(at.duration_since(began).as_secs()).unwrap_or(0)
}

/// A time in which nothing happens.
struct Interval {
    from: u64,
    to: u64,
    facts: Facts,
    decision: Decision,
    kept: BTreeSet<Purpose>,
}

/// Joins neighbours that no one could tell apart.
fn merge(intervals: Vec<Interval>) -> Vec<Interval> {
    let mut merged: Vec<Interval> = Vec::new();
    for interval in intervals {
        match merged.last_mut() {
            Some(last) if last.is_like(&interval) => last.to = interval.to,
            _ => merged.push(interval),
        }
    }
    merged
}

impl Interval {
    fn reasons(&self) -> BTreeMap<Purpose, Reason> {
        self.decision.purposes.iter().map(|(purpose, verdict)| (purpose.clone(), verdict.reason)).collect()
    }

    fn rules(&self) -> impl Iterator<Item = &BTreeSet<Arc<str>>> {
        self.decision.purposes.values().map(|verdict| &*verdict.rules)
    }

    fn legs(&self) -> BTreeSet<&Arc<str>> {
        self.facts.legs.iter().map(|leg| &leg.id).collect()
    }

    fn is_like(&self, other: &Self) -> bool {
        let same_verdict =
            self.reasons() == other.reasons() && self.decision.service == other.decision.service;
        let same_object =
            || self.legs() == other.legs() && self.rules().eq(other.rules()) && self.kept == other.kept;
        same_verdict && (!self.decision.record || same_object())
    }

    fn segment(&self, policy: &Policy, began: Timestamp) -> Segment {
        let recording = Recording {
            facts: &self.facts,
            policy,
            purposes: &self.kept,
            start: after(began, self.from),
            end: after(began, self.to),
        };
        let dates = || fate(&recording, &History::default()).ok().map(|fate| fate.object);
        Segment {
            from: self.from,
            to: self.to,
            record: self.decision.record,
            reasons: self.reasons(),
            service: self.decision.service,
            kept: self.kept.clone(),
            retention: if self.kept.is_empty() { None } else { dates() },
        }
    }
}
