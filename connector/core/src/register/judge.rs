//! May this number be dialled, and is there a consent?
//!
//! In this order:
//!
//! 1. What is no subscriber's number (an extension, a short code, an emergency number) is nobody's entry: it may be
//!    dialled. What looks like a number and cannot be read may not: nothing can be found of it.
//! 2. A standing do-not-call that is about the errand bars the call, unless the person agreed to be called since
//!    (against a national list: agreed at all, as what somebody said to one trader goes before what is said to all).
//!    Sources: GDPR art. 21(2) and (3) for those who asked; the law of the list for lists.
//! 3. Where the law of a place where the person may be asks for a prior consent to such a call (a pack's `[calling]`),
//!    one must be standing, for the line and the sales campaign. Where no pack speaks of calls, a consent is asked for.
//!
//! A line that does not say what it calls for (`outbound`) is asked for no consent, and every do-not-call counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{Consent, ConsentTo, Entry, EntryId, State, Subject};
use crate::facts::{Leg, Scope};
use crate::origin;
use crate::pack::{Calling, Pack};
use crate::policy::{Line, Policy};
use crate::time::{Period, Zone};
use crate::words::*;

/// What is asked before a number is dialled.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The line that calls.
    pub line: &'a Line,
    /// The number, in full or as dialled in the country of the line's own numbers.
    pub number: &'a str,
    /// What for; what the line is for where absent.
    pub errand: Option<Errand>,
    /// The sales campaign, for consents that are given to one alone.
    pub campaign: Option<&'a str>,
    /// When.
    pub at: Timestamp,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether it may be dialled.
    pub dial: Dial,
    /// What for: as asked, or as the line says.
    pub errand: Option<Errand>,
    /// The standing consent to be called, the newest where there are several; there may be one where none is needed.
    pub consent: Option<EntryId>,
    /// What the person agreed to before to be recorded for, as the facts of a leg have it; none where nothing was said.
    pub recording: Option<Scope>,
    /// What that rests on, in the order of the questions.
    pub because: Vec<Because>,
}

/// Whether a number may be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", content = "reason", rename_all = "kebab-case")]
pub enum Dial {
    /// It may.
    May(Grant),
    /// It must not.
    MustNot(Bar),
}

/// Why a number may be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// The person agreed.
    Consented,
    /// No law asks that the person agreed, and nobody said no.
    NotNeeded,
    /// It is no subscriber's number.
    NoSubscriber,
}

/// Why a number must not be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bar {
    /// It is among those not to be called.
    DoNotCall,
    /// The law asks for a prior consent, and none stands.
    NoConsent,
    /// It cannot be read, so that nothing can be found of it.
    Unreadable,
}

/// What an answer rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Because {
    /// An entry of the register.
    Entry {
        /// Which.
        id: EntryId,
        /// [`Subject::kind`] and [`Subject::label`]: `do-not-call request`.
        what: String,
        /// Since when it counts.
        from: Timestamp,
    },
    /// A law, as a pack has it.
    Law {
        /// `fr/calling`.
        rule: String,
        /// What it asks for.
        consent: PriorConsent,
        /// Its sources, as the pack cites them.
        sources: Vec<String>,
    },
    /// No pack speaks of calls to a place where the person may be, and so a consent is asked for.
    NoPack {
        /// The place.
        territory: Territory,
    },
    /// The line does not say what it calls for.
    LineSilent,
}

/// Judges a call that is about to be made, by the entries that the register has of the number.
pub fn judge(policy: &Policy, asked: &Asked<'_>, entries: &[Entry]) -> Verdict {
    let errand = asked.errand.or(asked.line.outbound);
    let mut verdict = Verdict {
        dial: Dial::May(Grant::NotNeeded),
        errand,
        consent: None,
        recording: recording(entries, asked),
        because: Vec::new(),
    };
    if origin::subscriber(asked.number, asked.line).is_none() {
        verdict.dial = if is_short(asked.number) {
            Dial::May(Grant::NoSubscriber)
        } else {
            Dial::MustNot(Bar::Unreadable)
        };
        return verdict;
    }
    let standing = || entries.iter().filter(|entry| entry.state(asked.at) == State::Standing);
    let consent =
        standing().filter(|entry| is_to_be_called(entry, asked)).max_by_key(|entry| (entry.from, entry.id));
    verdict.consent = consent.map(|entry| entry.id);
    let bars = |entry: &&Entry| match &entry.subject {
        Subject::DoNotCall(no) if no.covers(errand) => {
            let overruled =
                consent.is_some_and(|yes| entry.subject.list().is_some() || yes.from > entry.from);
            !overruled
        }
        Subject::DoNotCall(_) | Subject::Consent(_) => false,
    };
    let barring: Vec<_> = standing().filter(bars).map(Because::entry).collect();
    if !barring.is_empty() {
        verdict.dial = Dial::MustNot(Bar::DoNotCall);
        verdict.because = barring;
        return verdict;
    }
    let Some(errand) = errand else {
        verdict.because.push(Because::LineSilent);
        return verdict;
    };
    let (needed, laws) = laws(policy, asked, errand);
    verdict.dial = match (needed, consent) {
        (true, None) => Dial::MustNot(Bar::NoConsent),
        (true, Some(_)) => Dial::May(Grant::Consented),
        (false, _) => Dial::May(Grant::NotNeeded),
    };
    verdict.because.extend(consent.filter(|_| needed).map(Because::entry));
    verdict.because.extend(laws);
    verdict
}

/// Fewer digits than any subscriber's number has that somebody could be called on from outside.
fn is_short(number: &str) -> bool {
    const SHORT: usize = 6;
    let plain = plain_number(number);
    !plain.starts_with('+') && !plain.is_empty() && plain.chars().count() <= SHORT
}

fn is_to_be_called(entry: &Entry, asked: &Asked<'_>) -> bool {
    matches!(&entry.subject, Subject::Consent(consent @ Consent { to: ConsentTo::Marketing, .. })
        if consent.covers(&asked.line.name, asked.campaign))
}

/// What the person agreed to be recorded for; several consents together.
fn recording(entries: &[Entry], asked: &Asked<'_>) -> Option<Scope> {
    let standing = entries.iter().filter(|entry| entry.state(asked.at) == State::Standing);
    let scopes = standing.filter_map(|entry| match &entry.subject {
        Subject::Consent(consent @ Consent { to: ConsentTo::Recording(scope), .. })
            if consent.covers(&asked.line.name, asked.campaign) =>
        {
            Some(scope)
        }
        _ => None,
    });
    scopes.cloned().reduce(|one, other| match (one, other) {
        (Scope::Only(mut one), Scope::Only(other)) => {
            one.extend(other);
            Scope::Only(one)
        }
        _ => Scope::All,
    })
}

/// Whether a law of a place where the person may be asks for a consent, and which laws were asked.
fn laws(policy: &Policy, asked: &Asked<'_>, errand: Errand) -> (bool, Vec<Because>) {
    let mut leg = Leg::new("called", LegKind::Customer);
    leg.evidence.extend(origin::evidence(asked.number, asked.line));
    laws_of(policy, asked.line, leg.whereabouts(asked.line), errand, asked.at)
}

/// Whether a law of one of these places asks for a consent to calls of a line, and what each says.
pub(crate) fn laws_of(
    policy: &Policy,
    line: &Line,
    places: impl IntoIterator<Item = Territory>,
    errand: Errand,
    at: Timestamp,
) -> (bool, Vec<Because>) {
    if errand == Errand::Service {
        return (false, Vec::new());
    }
    let (mut needed, mut because) = (false, Vec::new());
    for territory in places {
        let speaking = speaking(policy, &territory);
        if speaking.is_empty() {
            needed = true;
            because.push(Because::NoPack { territory });
            continue;
        }
        for (pack, calling) in speaking {
            let zone = pack.zone.as_ref().unwrap_or(&line.zone);
            let counts = calling.from.is_none_or(|from| from <= zone.day(at));
            let asks = calling.consent == PriorConsent::Prior && counts && !calling.spares.contains(&errand);
            needed |= asks;
            let law = Because::Law {
                rule: format!("{}/calling", pack.id),
                consent: if asks { PriorConsent::Prior } else { PriorConsent::NotNeeded },
                sources: cited(pack, calling),
            };
            if !because.contains(&law) {
                because.push(law);
            }
        }
    }
    (needed, because)
}

fn cited(pack: &Pack, calling: &Calling) -> Vec<String> {
    let cite = |name: &Arc<str>| {
        pack.sources.get(name).map_or_else(|| name.to_string(), |source| source.cite.clone())
    };
    calling.sources.iter().map(cite).collect()
}

/// What the packs of a territory say of calls: of each the nearest in its lineage that speaks of them; the default packs
/// where none does.
fn speaking<'p>(policy: &'p Policy, territory: &Territory) -> Vec<(&'p Pack, &'p Calling)> {
    let of_land =
        policy.packs().iter().filter(|pack| pack.kind == PackKind::Territory && pack.covers(territory));
    let nearest = |pack: &'p Pack| {
        let lineage = policy.packs().lineage(pack).into_iter();
        lineage.filter_map(|pack| Some((pack, pack.calling.as_ref()?))).next()
    };
    let found: Vec<_> = of_land.filter_map(nearest).collect();
    if !found.is_empty() {
        return found;
    }
    let defaults = policy.packs().iter().filter(|pack| pack.kind == PackKind::Default);
    defaults.filter_map(|pack| Some((pack, pack.calling.as_ref()?))).collect()
}

/// How long an entry is kept as evidence once it has ended: the longest that a pack of the lines' markets asks for, and
/// five years where none says (the usual limitation of personal actions in France, C. civ. art. 2224).
pub fn proof_period(policy: &Policy) -> Period {
    const USUAL: Period = Period::Months(60);
    let markets: BTreeSet<&Territory> = policy.site().lines.values().flat_map(|line| &line.markets).collect();
    let asked = markets.into_iter().flat_map(|market| speaking(policy, market));
    asked.filter_map(|(_, calling)| calling.proof).max_by_key(|proof| proof.weight()).unwrap_or(USUAL)
}

/// The instant at or before which an entry must have ended for its proof period to be over now.
pub fn proof_ended_by(period: Period, now: Timestamp, zone: &Zone) -> Timestamp {
    let today = zone.day(now);
    let span = match period {
        Period::Days(days) => jiff::Span::new().days(days),
        Period::Months(months) => jiff::Span::new().months(months),
    };
    // A day more than the period itself, so that months of unequal length never make it shorter.
    let day = today.saturating_sub(span).saturating_sub(jiff::Span::new().days(1));
    zone.first_instant(day)
}

impl Because {
    fn entry(entry: &Entry) -> Self {
        let what = format!("{} {}", entry.subject.kind(), entry.subject.label());
        Self::Entry { id: entry.id, what, from: entry.from }
    }
}

impl Verdict {
    /// Whether it may be dialled.
    pub fn may_dial(&self) -> bool {
        matches!(self.dial, Dial::May(_))
    }
}

#[cfg(test)]
mod tests;
