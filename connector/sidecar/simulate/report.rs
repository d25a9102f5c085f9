//! What a replay came to: one shape for text, JSON and the page. No customer's number is in it, and no call.

use std::collections::BTreeMap;

use serde::Serialize;
use temoin_core::words::{Reason, Word as _};

use super::lots::Lots;
use super::replay::Replay;
use super::run::{Left, Run};
use super::source::Read1;
use super::tally::{self, Cell, KEPT, OTHERWISE, Row, Table};
use super::wilson;

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The files.
    pub sources: Vec<Read1>,
    /// What was assumed.
    pub assumptions: Vec<String>,
    /// When the first call began, and the last.
    pub span: Option<(String, String)>,
    /// Calls.
    pub calls: u64,
    /// The policy's side.
    pub policy: Side,
    /// The other policy's side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Side>,
    /// What differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// What one policy makes of the calls.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Its file.
    pub file: String,
    /// Its name for people.
    pub site: String,
    /// SHA-256 of policy and packs, hex.
    pub hash: String,
    /// Calls that were decided.
    pub decided: u64,
    /// Those recorded for at least one purpose.
    pub recorded: u64,
    /// Calls that were not decided, by why.
    pub undecided: BTreeMap<&'static str, u64>,
    /// Calls to which an announcement was played to its end.
    pub announced: u64,
    /// Every purpose over all calls.
    pub purposes: Vec<Group>,
    /// By line.
    pub lines: Vec<Group>,
    /// By queue.
    pub queues: Vec<Group>,
    /// By the agent of the first talk.
    pub agents: Vec<Group>,
    /// By local day.
    pub days: Vec<Group>,
    /// What is missing on file, by line.
    pub missing: Vec<Missing>,
    /// The lots.
    pub campaigns: Vec<Campaign>,
    /// The recordings.
    pub storage: Stored,
    /// Names in the records that nobody knows.
    pub unknown: UnknownNames,
}

/// One purpose of one line, queue, agent or day.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// The line, queue, agent or day; the purpose itself over all.
    pub name: String,
    /// The purpose.
    pub purpose: String,
    /// Calls decided for it. `recorded` and all of `not_recorded` come to this.
    pub calls: u64,
    /// Those in which it was announced, to the end.
    pub announced: u64,
    /// Calls recorded for it.
    pub recorded: u64,
    /// Recorded, of a hundred.
    pub percent: f64,
    /// Why the others were not.
    pub not_recorded: BTreeMap<&'static str, u64>,
    /// Recorded seconds.
    pub seconds: u64,
}

/// What is missing on file.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// The line.
    pub line: String,
    /// Calls to which an announcement was played.
    pub announced: u64,
    /// Calls that lacked a prerequisite, by prerequisite.
    pub prerequisites: BTreeMap<&'static str, u64>,
}

/// The lots of one campaign.
#[derive(Clone, Debug, Serialize)]
pub struct Campaign {
    /// Its name.
    pub name: String,
    /// All its calls.
    pub total: Share,
    /// By agent or queue, if it shares its lots out.
    pub strata: Vec<Share>,
    /// By the agent of the first talk, where it does not share them out by agent.
    pub agents: Vec<Share>,
}

/// Realised against allowed.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    /// The agent or queue; empty for all.
    pub name: String,
    /// Calls that a lot was drawn for.
    pub eligible: u64,
    /// Calls that were drawn.
    pub drawn: u64,
    /// Most that may be drawn; none for an agent where lots are not shared out by agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u64>,
    /// The rate, of a hundred.
    pub allowed_percent: f64,
    /// Calls with a lot that were recorded.
    pub recorded: u64,
    /// Recorded, of a hundred.
    pub percent: f64,
    /// From where the true share lies, with a confidence of 95 % (Wilson),
    pub low_percent: f64,
    /// to where.
    pub high_percent: f64,
    /// `over` or `under` where the allowed rate lies outside, else `as-allowed`.
    pub verdict: &'static str,
}

impl Campaign {
    /// All its lots, then how they were shared out, then how they came to agents.
    pub fn shares(&self) -> impl Iterator<Item = &Share> {
        std::iter::once(&self.total).chain(&self.strata).chain(&self.agents)
    }
}

impl Share {
    /// Whose it is, for people.
    pub fn label(&self) -> String {
        match (self.name.as_str(), self.at_most) {
            ("", _) => "all".to_owned(),
            (agent, None) => format!("agent {agent}"),
            (stratum, Some(_)) => stratum.to_owned(),
        }
    }
}

/// What the recordings take.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    /// How they are kept.
    pub format: &'static str,
    /// Bytes of a second.
    pub bytes_a_second: u64,
    /// Recordings.
    pub recordings: u64,
    /// Seconds.
    pub seconds: u64,
    /// Bytes, if all were kept at once.
    pub bytes: u64,
    /// The most bytes kept at the end of a day.
    pub peak_bytes: u64,
    /// Gigabytes (10⁹) times months, until each is deleted.
    pub gigabyte_months: f64,
    /// What that costs, where a price was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Its currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// By the month in which the last of them is gone.
    pub gone_by: Vec<Month>,
    /// Bytes kept at the end of the days on which they change.
    pub kept: Vec<KeptDay>,
    /// What the same recordings would take in other formats.
    pub otherwise: Vec<Otherwise>,
}

/// What the recordings would take in another format.
#[derive(Clone, Debug, Serialize)]
pub struct Otherwise {
    /// The format.
    pub format: &'static str,
    /// Bytes of a second.
    pub bytes_a_second: u64,
    /// Bytes, if all were kept at once.
    pub bytes: u64,
    /// Gigabytes (10⁹) times months, until each is deleted.
    pub gigabyte_months: f64,
    /// What that costs, where a price was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// Recordings that are gone in a month.
#[derive(Clone, Debug, Serialize)]
pub struct Month {
    /// `2027-04`.
    pub month: String,
    /// Recordings.
    pub recordings: u64,
    /// Bytes.
    pub bytes: u64,
    /// Gigabytes (10⁹) times months until then.
    pub gigabyte_months: f64,
    /// What that costs, where a price was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// Bytes at the end of a day.
#[derive(Clone, Debug, Serialize)]
pub struct KeptDay {
    /// The day, UTC.
    pub day: String,
    /// Bytes.
    pub bytes: u64,
}

/// Names that a map could tell, with the calls or talks they stand in.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UnknownNames {
    /// Contexts of the dialplan, of calls without a line.
    pub contexts: Vec<(String, u64)>,
    /// Endpoints of nobody.
    pub endpoints: Vec<(String, u64)>,
}

/// What another policy changes.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Calls with another verdict for a purpose.
    pub calls: u64,
    /// Those calls by purpose and verdicts.
    pub changes: Vec<Changed>,
}

/// Calls whose verdict changes alike.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    /// The purpose; `*` where a call is not decided at all.
    pub purpose: String,
    /// By the policy.
    pub policy: String,
    /// By the other.
    pub against: String,
    /// Calls.
    pub calls: u64,
}

/// A price for storage.
#[derive(Clone, Debug, Default)]
pub struct Price {
    /// Of a gigabyte (10⁹ bytes) for a month.
    pub gigabyte_month: Option<f64>,
    /// What it is in.
    pub currency: Option<String>,
}

impl Report {
    /// Of a replay that is over. `files` are those of the policy and of the other one.
    pub fn of(
        replay: &Replay<'_, '_>,
        files: (&str, Option<&str>),
        sources: Vec<Read1>,
        assumptions: Vec<String>,
        price: &Price,
    ) -> Self {
        let changes = replay.changes.iter().map(|((purpose, policy, against), calls)| Changed {
            purpose: purpose.to_string(),
            policy: policy.to_string(),
            against: against.to_string(),
            calls: *calls,
        });
        let against = replay.against.as_ref().map(|run| Side::of(run, files.1.unwrap_or_default(), price));
        Self {
            sources,
            assumptions,
            span: replay.span.map(|(first, last)| (first.to_string(), last.to_string())),
            calls: replay.calls,
            policy: Side::of(&replay.run, files.0, price),
            difference: against
                .is_some()
                .then(|| Difference { calls: replay.differing, changes: changes.collect() }),
            against,
        }
    }

    /// Lines of all files that could not be read.
    pub fn unreadable(&self) -> u64 {
        self.sources.iter().map(|source| source.unreadable).sum()
    }
}

impl Side {
    fn of(run: &Run<'_>, file: &str, price: &Price) -> Self {
        let rows = run.lines.sorted();
        let lines = groups(run, &run.lines);
        let purposes = run.purposes.iter().enumerate().filter_map(|(at, purpose)| {
            let cells = rows.values().map(|row| &row.cells[at]);
            let sum = |of: &dyn Fn(&Cell) -> u64| cells.clone().map(of).sum::<u64>();
            let reasons = Reason::ALL.iter().map(|reason| (*reason, sum(&|cell| cell.of(*reason))));
            let calls = sum(&Cell::calls);
            let (announced, seconds) = (sum(&|cell| cell.announced), sum(&|cell| cell.seconds));
            let name = purpose.as_str();
            (calls > 0)
                .then(|| group(name, name, (calls, announced, seconds), reasons.filter(|(_, n)| *n > 0)))
        });
        let missing = run.by_line().map(|(line, announced, prerequisites)| Missing {
            line: line.to_string(),
            announced,
            prerequisites: prerequisites.into_iter().map(|(what, calls)| (what.as_str(), calls)).collect(),
        });
        let missing: Vec<_> = missing.collect();
        let total = |of: fn(&Row) -> u64| rows.values().map(|row| of(row)).sum();
        Self {
            file: file.to_owned(),
            site: run.policy.site().name.clone(),
            hash: run.policy.hash_hex(),
            decided: total(|row| row.calls),
            recorded: total(|row| row.recorded),
            undecided: Left::ALL.iter().map(|left| (left.name(), run.left[*left as usize])).collect(),
            announced: missing.iter().map(|line| line.announced).sum(),
            purposes: purposes.collect(),
            lines,
            queues: groups(run, &run.by_queue),
            agents: groups(run, &run.agents),
            days: groups(run, &run.days),
            missing,
            campaigns: run.lots.iter().map(|(name, lots)| campaign(name, lots)).collect(),
            storage: stored(run, price),
            unknown: UnknownNames {
                contexts: run.unknown_contexts.top(20),
                endpoints: run.unknown_endpoints.top(20),
            },
        }
    }
}

fn groups(run: &Run<'_>, table: &Table) -> Vec<Group> {
    let cells = table.sorted().into_iter().flat_map(|(name, row)| {
        let name = super::tally::shown(name.as_bytes());
        row.cells.iter().zip(&run.purposes).filter(|(cell, _)| cell.calls() > 0).map(
            move |(cell, purpose)| {
                let numbers = (cell.calls(), cell.announced, cell.seconds);
                group(&name, purpose.as_str(), numbers, cell.reasons())
            },
        )
    });
    cells.collect()
}

fn group(
    name: &str,
    purpose: &str,
    (calls, announced, seconds): (u64, u64, u64),
    reasons: impl Iterator<Item = (Reason, u64)>,
) -> Group {
    let mut not_recorded: BTreeMap<_, _> = reasons.map(|(reason, calls)| (reason.as_str(), calls)).collect();
    let recorded = not_recorded.remove(Reason::Ok.as_str()).unwrap_or(0);
    Group {
        name: name.to_owned(),
        purpose: purpose.to_owned(),
        calls,
        announced,
        recorded,
        percent: percent(recorded, calls),
        not_recorded,
        seconds,
    }
}

fn campaign(name: &str, lots: &Lots) -> Campaign {
    let share = |name: &str, count: &temoin_core::sampling::Count, rates: u64, recorded: u64, bound: bool| {
        let (low, high) = wilson::interval(recorded, count.calls);
        let allowed_percent = rates as f64 / 10.0 / (count.calls.max(1) as f64);
        let verdict = match allowed_percent / 100.0 {
            rate if rate < low => "over",
            rate if rate > high => "under",
            _ => "as-allowed",
        };
        Share {
            name: name.to_owned(),
            eligible: count.calls,
            drawn: count.recorded,
            // The rate times the calls, rounded up.
            at_most: bound.then(|| rates.div_ceil(1000)),
            allowed_percent: tenths(allowed_percent),
            recorded,
            percent: percent(recorded, count.calls),
            low_percent: tenths(low * 100.0),
            high_percent: tenths(high * 100.0),
            verdict,
        }
    };
    let strata = lots.tally.strata.iter().filter(|(stratum, _)| !stratum.is_empty());
    let strata = strata.map(|(stratum, count)| {
        let name = super::tally::shown(stratum.as_bytes());
        share(&name, count, lots.rates.of(stratum), lots.recorded.of(stratum), true)
    });
    let agents = lots.agents.iter().flatten();
    let agents = agents.map(|(name, came)| share(name, &came.count, came.rates, came.recorded, false));
    Campaign {
        name: name.to_owned(),
        total: share("", &lots.tally.total, lots.rates.all, lots.recorded.all, true),
        strata: strata.collect(),
        agents: agents.collect(),
    }
}

fn stored(run: &Run<'_>, price: &Price) -> Stored {
    let storage = &run.storage;
    let curve = storage.curve();
    let gigabyte_months = storage.gigabyte_months(KEPT);
    let cost = |gigabyte_months: f64| {
        price.gigabyte_month.map(|price| (price * gigabyte_months * 100.0).round() / 100.0)
    };
    let millionths = |number: f64| (number * 1e6).round() / 1e6;
    Stored {
        format: KEPT.name,
        bytes_a_second: KEPT.bytes_a_second,
        recordings: storage.recordings,
        seconds: storage.seconds,
        bytes: storage.bytes(KEPT),
        peak_bytes: curve.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0),
        gigabyte_months: millionths(gigabyte_months),
        cost: cost(gigabyte_months),
        currency: price.gigabyte_month.and(price.currency.clone()),
        gone_by: storage
            .months()
            .map(|((year, month), due)| Month {
                month: format!("{year:04}-{month:02}"),
                recordings: due.recordings,
                bytes: due.bytes,
                gigabyte_months: millionths(tally::gigabyte_months(due.held)),
                cost: cost(tally::gigabyte_months(due.held)),
            })
            .collect(),
        kept: curve.into_iter().map(|(day, bytes)| KeptDay { day: day.to_string(), bytes }).collect(),
        otherwise: OTHERWISE
            .map(|format| Otherwise {
                format: format.name,
                bytes_a_second: format.bytes_a_second,
                bytes: storage.bytes(format),
                gigabyte_months: millionths(storage.gigabyte_months(format)),
                cost: cost(storage.gigabyte_months(format)),
            })
            .into(),
    }
}

fn percent(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { tenths(part as f64 * 100.0 / of as f64) }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
