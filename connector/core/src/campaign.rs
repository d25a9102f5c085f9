//! Campaigns and rates (`FORMAT.md`, section 3.6): whether one is open for a call, until when, and how many calls of a
//! thousand it may take.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::combine::{because_of_cap, caps};
use crate::facts::Facts;
use crate::force::Force;
use crate::ground::Standing;
use crate::policy::{Campaign, Daily, Exception, Line, Policy};
use crate::time::{Bound, Zone, days_after};
use crate::words::*;

/// Whether a fact that is absent matches a campaign's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It matches none: the call is as it is.
    Misses,
    /// It matches any: the call may yet become one of that kind.
    Matches,
}

/// The rate of a call for one purpose, and where it comes from.
pub(crate) struct Rate<'p> {
    pub(crate) campaign: &'p Campaign,
    /// Per mille.
    pub(crate) value: u16,
    pub(crate) from: RateFrom<'p>,
}

/// What sets a rate.
pub(crate) enum RateFrom<'p> {
    Campaign,
    Cap(u16),
    Exception(&'p Exception),
}

impl Rate<'_> {
    /// The names of what sets it.
    pub(crate) fn because(&self, force: &Force) -> BTreeSet<Arc<str>> {
        match self.from {
            RateFrom::Campaign => BTreeSet::from([format!("campaign/{}", self.campaign.name).into()]),
            RateFrom::Cap(cap) => because_of_cap(force, cap),
            RateFrom::Exception(exception) => {
                BTreeSet::from([format!("exception/{}", exception.name).into()])
            }
        }
    }
}

/// The rate of a call for a purpose; none where no campaign is open, or for a duty or a part of the talk.
pub(crate) fn rate<'p>(
    policy: &'p Policy,
    line: &Line,
    facts: &Facts,
    unknown: Unknown,
    standing: &'p Standing,
) -> Option<Rate<'p>> {
    let Standing { purpose, force, combined, .. } = standing;
    if combined.duty == CombinedDuty::Must || !combined.phases.is_empty() {
        return None;
    }
    let campaign = open(standing, line, facts, unknown)
        .map(|(campaign, _)| campaign)
        .max_by(|a, b| a.rate.cmp(&b.rate).then_with(|| b.name.cmp(&a.name)))?;
    let Some(cap) = combined.cap else {
        return Some(Rate { campaign, value: campaign.rate, from: RateFrom::Campaign });
    };
    let in_force = |exception: &&Exception| {
        let (from, until) = (exception.from.start(&line.zone), exception.until.end(&line.zone));
        exception.purpose == *purpose && from <= facts.call_start() && facts.call_start() < until
    };
    let (raised, exception) = raised_cap(policy, line, force, cap, in_force);
    let (value, from) = match exception {
        _ if campaign.rate <= raised => (campaign.rate, RateFrom::Campaign),
        Some(exception) => (raised, RateFrom::Exception(exception)),
        None => (raised, RateFrom::Cap(cap)),
    };
    Some(Rate { campaign, value, from })
}

/// The cap, raised by the exception among those that `applies` chooses which raises it most, and of several the first
/// by name.
pub(crate) fn raised_cap<'p>(
    policy: &'p Policy,
    line: &Line,
    force: &Force,
    cap: u16,
    applies: impl Fn(&&'p Exception) -> bool,
) -> (u16, Option<&'p Exception>) {
    let highest = caps(force).map(|rate| rate.max.max(rate.exception_max.unwrap_or(0))).min().unwrap_or(cap);
    let counting =
        policy.site().exceptions.values().filter(applies).filter(|e| exception_counts(e, line, force));
    counting.fold((cap, None), |(raised, by), exception| {
        let offered = exception.rate.min(highest);
        if offered > raised { (offered, Some(exception)) } else { (raised, by) }
    })
}

/// Who must approve an exception from the rules' caps, and how long it may last at most.
pub(crate) fn exception_terms(force: &Force) -> (BTreeSet<Approver>, Option<u16>) {
    let needs = caps(force).flat_map(|rate| &rate.exception_needs).copied().collect();
    (needs, caps(force).filter_map(|rate| rate.exception_days).min())
}

/// Whether an exception is approved by all who must, and not too long. Where nobody must approve, or no rule limits
/// the time, there are no exceptions.
fn exception_counts(exception: &Exception, line: &Line, force: &Force) -> bool {
    let (needs, days) = exception_terms(force);
    let Some(days) = days else { return false };
    !needs.is_empty()
        && needs.iter().all(|who| exception.approved_by(*who))
        && exception.until.end(&line.zone) <= cut(exception.from, days, &line.zone)
}

/// The instant at which something that begins with `from` has lasted its days: 00:00 so many days after its first.
pub(crate) fn cut(from: Bound, days: u16, zone: &Zone) -> Timestamp {
    zone.first_instant(days_after(zone.day(from.start(zone)), u32::from(days)))
}

/// When the first of the campaigns that are open for a call closes, if nothing else changes.
pub(crate) fn first_closing(standing: &Standing, line: &Line, facts: &Facts) -> Option<Timestamp> {
    open(standing, line, facts, Unknown::Misses).map(|(_, closes)| closes).min()
}

/// A campaign on a line, as instants: none without an end.
#[derive(Debug)]
pub(crate) struct Span {
    campaign: Campaign,
    from: Timestamp,
    until: Timestamp,
}

impl Span {
    /// From its beginning to its end, cut where it has lasted the days that it may.
    pub(crate) fn of(campaign: &Campaign, zone: &Zone, max_days: Option<u16>) -> Option<Self> {
        let until = campaign.until?.end(zone);
        Some(Self {
            campaign: campaign.clone(),
            from: campaign.from.start(zone),
            until: max_days.map_or(until, |days| until.min(cut(campaign.from, days, zone))),
        })
    }
}

/// The campaigns for a purpose that are open for a call, each with the instant it closes.
fn open<'p>(
    standing: &'p Standing,
    line: &Line,
    facts: &Facts,
    unknown: Unknown,
) -> impl Iterator<Item = (&'p Campaign, Timestamp)> {
    let for_call = standing.campaigns.iter().filter(move |span| matches(&span.campaign, facts, unknown));
    for_call.filter_map(move |span| Some((&span.campaign, closes(span, &line.zone, facts)?)))
}

/// Whether all targets of a campaign match a call.
fn matches(campaign: &Campaign, facts: &Facts, unknown: Unknown) -> bool {
    let by_default = unknown == Unknown::Matches;
    let named = |targets: &Option<Vec<Arc<str>>>, name: Option<&Arc<str>>| match (targets, name) {
        (None, _) => true,
        (Some(targets), Some(name)) => targets.contains(name),
        (Some(_), None) => by_default,
    };
    let agents = campaign.agents.as_ref().is_none_or(|targets| {
        let mut legs = facts.agent_legs().peekable();
        if legs.peek().is_none() {
            return by_default;
        }
        legs.any(|leg| leg.agent.as_ref().is_some_and(|agent| targets.contains(agent)))
    });
    let direction = match (campaign.direction, facts.direction) {
        (None, _) => true,
        (Some(target), Some(direction)) => target == direction,
        (Some(_), None) => by_default,
    };
    agents
        && direction
        && named(&campaign.lines, Some(&facts.line))
        && named(&campaign.queues, facts.queue.as_ref())
}

/// The end of the interval of a campaign in which a call both began and is, if there is one.
fn closes(span: &Span, zone: &Zone, facts: &Facts) -> Option<Timestamp> {
    let Span { campaign, from, until } = span;
    let (from, until) = (*from, *until);
    let (start, at) = (facts.call_start(), facts.at());
    let both_in = |from: Timestamp, until: Timestamp| {
        (from <= start && from <= at && start < until && at < until).then_some(until)
    };
    let Some(daily) = campaign.daily else {
        return both_in(from, until);
    };
    let today = zone.day(at);
    [today.yesterday().unwrap_or(today), today].into_iter().find_map(|day| {
        let (opens, closes) = window(daily, day, zone);
        both_in(from.max(opens), until.min(closes))
    })
}

/// The daily window that opens on a day; it may close on the next.
pub(crate) fn window(daily: Daily, day: Date, zone: &Zone) -> (Timestamp, Timestamp) {
    let last = if daily.until < daily.from { days_after(day, 1) } else { day };
    let opens = Bound::Moment(day.to_datetime(daily.from)).start(zone);
    (opens, Bound::Moment(last.to_datetime(daily.until)).end(zone))
}
