//! How long a recording is kept (`FORMAT.md`, section 3.7): the limits of each purpose, and the fate of the object.
//!
//! `limits` turns the rules in force into instants, `Limits::dates` weighs them. [`fate`] tells what becomes of a
//! recording with several purposes, given everything that happened to it since: later packs, legal holds, a request
//! to erase it. All dates are exclusive ends; nothing here reads the time or deletes anything.

mod fate;
mod hold;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

pub(crate) use fate::forces;
pub use fate::{Erasure, ErasureStatus, Fate, History, PurposeFate, Recording, Unkeepable, fate, report};
pub use hold::LegalHold;

use crate::force::{Force, InForce};
use crate::time::{Period, day_after, day_before};
use crate::words::Anchor;

/// When something is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dates {
    /// It must be kept until then.
    pub not_before: Option<Timestamp>,
    /// The job that deletes it runs then; none while a legal hold is open.
    pub scheduled: Option<Timestamp>,
    /// It must be gone by then; none while a legal hold is open.
    pub delete_by: Option<Timestamp>,
}

impl Dates {
    /// The latest of each: what keeps one object for several purposes. None for no purposes at all.
    pub fn latest(of: impl Iterator<Item = Self>) -> Option<Self> {
        of.reduce(|a, b| Self {
            not_before: a.not_before.max(b.not_before),
            scheduled: a.scheduled.max(b.scheduled),
            delete_by: a.delete_by.max(b.delete_by),
        })
    }

    /// Due at an instant and gone a day later.
    pub(crate) fn due(at: Timestamp) -> Self {
        Self { not_before: None, scheduled: Some(at), delete_by: Some(day_after(at)) }
    }

    /// Gone by an instant: due a day before.
    pub(crate) fn gone_by(limit: Timestamp) -> Self {
        Self { not_before: None, scheduled: Some(day_before(limit)), delete_by: Some(limit) }
    }
}

/// The rules that reached the dates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Because {
    /// Of the minimum, if there is one.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub not_before: BTreeSet<Arc<str>>,
    /// Of the limit: the rules of the maximum, or those of the minimum where it decides alone.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub delete_by: BTreeSet<Arc<str>>,
}

/// What periods are counted from.
pub(crate) struct Occasion<'a> {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// The events that have happened.
    pub(crate) anchors: &'a BTreeMap<Anchor, Timestamp>,
    /// The packs whose authority asked for the extended period.
    pub(crate) authority: &'a BTreeSet<Arc<str>>,
}

impl Occasion<'_> {
    /// A recording that begins and ends at one instant, about which nothing else is known.
    pub(crate) fn moment(at: Timestamp) -> Self {
        static NOTHING_HAPPENED: BTreeMap<Anchor, Timestamp> = BTreeMap::new();
        static NOBODY_ASKED: BTreeSet<Arc<str>> = BTreeSet::new();
        Self { start: at, end: at, anchors: &NOTHING_HAPPENED, authority: &NOBODY_ASKED }
    }

    fn anchor(&self, anchor: Anchor) -> Option<Timestamp> {
        match anchor {
            Anchor::RecStart => Some(self.start),
            Anchor::RecEnd => Some(self.end),
            Anchor::ContractSigned | Anchor::DisputeClosed | Anchor::RelationshipEnd => {
                self.anchors.get(&anchor).copied()
            }
        }
    }
}

/// The minima and maxima of one purpose as instants, each with the rule that sets it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    minima: Vec<Limit>,
    maxima: Vec<Limit>,
}

#[derive(Clone, Debug)]
struct Limit {
    at: Timestamp,
    by: Arc<str>,
}

/// The limits that the rules in force set to a recording.
pub(crate) fn limits(force: &Force, occasion: &Occasion<'_>) -> Limits {
    let mut limits = Limits::default();
    force.rules.iter().for_each(|rule| limits.add(rule, occasion));
    limits
}

impl Limits {
    fn add(&mut self, in_force: &InForce, occasion: &Occasion<'_>) {
        let retention = &in_force.rule.retention;
        let limit = |period: Period, from: Timestamp| Limit {
            at: period.end(from, &in_force.zone),
            by: in_force.rule.reference.clone(),
        };
        let (max_from, min_from) = match retention.anchor {
            None => (occasion.start, occasion.end),
            Some(anchor) => match occasion.anchor(anchor) {
                Some(event) => (event, event),
                None => {
                    self.maxima.extend(retention.provisional.map(|period| limit(period, occasion.start)));
                    return;
                }
            },
        };
        let asked = in_force.file.as_ref().is_some_and(|file| occasion.authority.contains(&file.id));
        let min = retention.min.map(|min| retention.extended.filter(|_| asked).unwrap_or(min));
        self.minima.extend(min.into_iter().chain(retention.exact).map(|period| limit(period, min_from)));
        self.maxima.extend(retention.max.map(|period| limit(period, max_from)));
        self.maxima.extend(retention.exact.map(|period| limit(period, min_from)));
    }

    /// These limits and others together.
    pub(crate) fn extend(&mut self, others: Self) {
        self.minima.extend(others.minima);
        self.maxima.extend(others.maxima);
    }

    pub(crate) fn latest_minimum(&self) -> Option<Timestamp> {
        self.minima.iter().map(|limit| limit.at).max()
    }

    pub(crate) fn earliest_maximum(&self) -> Option<Timestamp> {
        self.maxima.iter().map(|limit| limit.at).min()
    }

    /// The dates they come to: the earliest maximum, unless the latest minimum outlasts it and decides alone.
    pub(crate) fn dates(&self) -> Dates {
        match (self.latest_minimum(), self.earliest_maximum()) {
            (None, None) => Dates::default(),
            (None, Some(max)) => Dates::gone_by(max),
            (Some(min), Some(max)) if min < max => Dates {
                not_before: Some(min),
                scheduled: Some(min.max(day_before(max))),
                delete_by: Some(max),
            },
            (Some(min), _) => Dates { not_before: Some(min), ..Dates::due(min) },
        }
    }

    /// The rules that reach those dates.
    pub(crate) fn because(&self) -> Because {
        let reaching = |limits: &[Limit], at: Timestamp| {
            limits.iter().filter(|limit| limit.at == at).map(|limit| limit.by.clone()).collect()
        };
        let (min, max) = (self.latest_minimum(), self.earliest_maximum());
        let of_minimum: BTreeSet<_> = min.map(|min| reaching(&self.minima, min)).unwrap_or_default();
        let delete_by = match (min, max) {
            (None, Some(max)) => reaching(&self.maxima, max),
            (Some(min), Some(max)) if min < max => reaching(&self.maxima, max),
            _ => of_minimum.clone(),
        };
        Because { not_before: of_minimum, delete_by }
    }
}
