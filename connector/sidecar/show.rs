//! The index for people: a list of calls, and the story of one.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use temoin_core::journal::{Entry, Link, What};
use temoin_core::ports::{CallRecord, SegmentRecord};
use temoin_core::segment::State;

use crate::config::Config;

/// The site's zone, for people; UTC where the policy cannot be read.
pub fn zone(config: &Config) -> TimeZone {
    std::fs::read_to_string(&config.policy).map_or(TimeZone::UTC, |text| zone_of(&text))
}

/// The zone that the text of a policy names; UTC where it cannot be read.
pub fn zone_of(policy: &str) -> TimeZone {
    let table = policy.parse::<toml::Table>().ok();
    let name = table.and_then(|table| table.get("timezone")?.as_str().map(str::to_owned));
    name.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC)
}

/// A day (its first instant, or the first after it) or an instant.
pub fn instant(text: &str, zone: &TimeZone, end: bool) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let day: Date = text.parse().ok()?;
    let day = if end { day.tomorrow().ok()? } else { day };
    day.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

/// The list.
pub fn table(calls: &[CallRecord], zone: &TimeZone) -> String {
    let mut rows = vec!["CALL\tSTARTED\tLINE\tAGENTS\tOUTCOME\tNUMBER".to_owned()];
    rows.extend(calls.iter().map(|call| {
        let number = call.number.as_deref().map_or_else(|| "-".to_owned(), printable);
        let agents = if call.agents.is_empty() { "-".to_owned() } else { call.agents.join(",") };
        format!(
            "{}\t{}\t{}\t{agents}\t{}\t{number}",
            call.id,
            time(call.started, zone),
            call.line,
            call.outcome
        )
    }));
    columns(&rows)
}

/// The story of a call as JSON: `{call, segments, story}`.
pub fn story_json(call: &CallRecord, segments: &[SegmentRecord], story: &[Link]) -> Value {
    let segments: Vec<Value> = segments
        .iter()
        .map(|record| {
            json!({
                "id": record.segment.id, "state": record.state, "agents": record.segment.agents,
                "purposes": record.segment.purposes, "kept_for": record.kept_for, "closing": record.closing,
                "millis": record.millis, "sha256": record.sha256, "flags": record.flags,
                "retention": record.retention, "disposed": record.disposed, "basis": record.segment.basis,
            })
        })
        .collect();
    let story: Vec<Value> = story
        .iter()
        .map(|link| match link.entry() {
            Some(entry) => json!({ "seq": link.seq, "entry": entry }),
            None => json!({ "seq": link.seq, "erased": true }),
        })
        .collect();
    json!({ "call": call, "segments": segments, "story": story })
}

/// The story of a call for people.
pub fn story(call: &CallRecord, segments: &[SegmentRecord], story: &[Link], zone: &TimeZone) -> String {
    let mut lines =
        vec![format!("call {} on {}, {}: {}", call.id, call.line, time(call.started, zone), call.outcome)];
    for link in story {
        lines.push(match link.entry() {
            Some(entry) => format!("  {}  {}", clock(entry.at, zone), sentence(&entry)),
            None => "  (erased on its date)".to_owned(),
        });
    }
    for record in segments {
        let until =
            record.retention.delete_by.map_or_else(String::new, |at| format!(", gone by {}", time(at, zone)));
        let length = record
            .millis
            .map_or_else(String::new, |millis| format!(", {}.{:01} s", millis / 1000, millis % 1000 / 100));
        let kept_for = if record.kept_for.is_empty() { "nothing".into() } else { record.kept_for.join(", ") };
        let flags: Vec<String> = record.flags.iter().map(|flag| format!("{flag:?}").to_lowercase()).collect();
        let flags = if flags.is_empty() { String::new() } else { format!(" [{}]", flags.join(", ")) };
        lines.push(format!(
            "segment {}: {}{length}, for {kept_for}{until}{flags}",
            record.segment.id,
            state(record.state)
        ));
    }
    lines.join("\n")
}

/// One word for a state.
pub fn state(state: State) -> &'static str {
    match state {
        State::Open => "being recorded",
        State::Closed => "waiting to be kept",
        State::Kept => "kept",
        State::Doomed => "waiting to be erased",
        State::Disposed => "erased",
    }
}

fn sentence(entry: &Entry) -> String {
    match &entry.what {
        What::Started { version, .. } => format!("temoin {version} started"),
        What::Reloaded { .. } => "policy and configuration read anew".into(),
        What::Arrived { line, policy, .. } => {
            format!("the customer reached line {line} (policy {})", policy.get(..12).unwrap_or(policy))
        }
        What::Announced { purposes, language, version } => {
            format!("was told, to the end: {} ({language}, {version})", purposes.join(", "))
        }
        What::NotAnnounced { outcome } => {
            format!("the announcement was not heard: {outcome:?}").to_lowercase()
        }
        What::Pressed { by, meaning } => format!("key by {by}: {meaning}"),
        What::Objected { by } => format!("objection by {by}"),
        What::Consented { by } => format!("consent by {by}"),
        What::Released { how, why } => format!("left the hook: {how:?} ({why})").to_lowercase(),
        What::Drawn(drawn) => format!(
            "lot drawn for campaign {} at {} per mille in `{}`: {}",
            drawn.ballot.campaign,
            drawn.ballot.rate,
            drawn.ballot.stratum,
            if drawn.selected { "recorded" } else { "not recorded" }
        ),
        What::Decided { record, agents, reasons } => {
            let reasons: Vec<String> =
                reasons.iter().map(|(purpose, reason)| format!("{purpose} {reason}")).collect();
            let verdict = if *record { "may be recorded" } else { "not recorded" };
            format!("with {}: {verdict} ({})", agents.join(", "), reasons.join("; "))
        }
        What::Opened { purposes } => format!("segment opened for {}", purposes.join(", ")),
        What::Recording => "recording".into(),
        What::Closed(closing) => format!("segment closed: {:?}", closing.ending).to_lowercase(),
        What::Amended { kept, why } if kept.is_empty() => format!("segment to be erased: {why}"),
        What::Amended { kept, why } => format!("segment now only for {}: {why}", kept.join(", ")),
        What::Kept(note) => format!("segment kept: {} ms, SHA-256 {}", note.millis, note.sha256),
        What::Erasing { why } => format!("segment is being erased: {why}"),
        What::Disposed => "segment erased".into(),
        What::Alarm(notice) => format!("ALARM: {notice:?}"),
        What::ClockSet { by_ms } => format!("the clock was set by {by_ms} ms"),
        What::Gap { since } => format!("nobody watched since {since}"),
        What::Listened { who, reason } => format!("{who} listened: {reason}"),
        What::Ended => "the customer's leg is gone".into(),
        other => format!("{other:?}"),
    }
}

pub(crate) fn time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

pub(crate) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string()
}

/// A terminal must not be told what to do by a caller id.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(40).collect()
}

/// Rows of cells with tabs between them, as columns.
pub(crate) fn columns(rows: &[String]) -> String {
    let cells: Vec<Vec<&str>> = rows.iter().map(|row| row.split('\t').collect()).collect();
    let width = |column: usize| {
        cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..cells.first().map_or(0, Vec::len)).map(width).collect();
    let line = |row: &Vec<&str>| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    cells.iter().map(line).collect::<Vec<_>>().join("\n")
}
