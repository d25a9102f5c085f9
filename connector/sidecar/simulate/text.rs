//! The report for a terminal.

use std::fmt::Write as _;

use super::report::{Campaign, Group, Month, Otherwise, Report, Share, Side, Stored};

/// The whole report.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    for source in &report.sources {
        let format = source.format.unwrap_or("empty");
        line(
            &mut out,
            &format!(
                "{} ({format}): {} records, {} not readable",
                source.file, source.records, source.unreadable
            ),
        );
        for fault in &source.faults {
            line(&mut out, &format!("  line {}: {}", fault.line, fault.why));
        }
        if source.unreadable > source.faults.len() as u64 {
            line(&mut out, &format!("  and {} more", source.unreadable - source.faults.len() as u64));
        }
    }
    if let Some((first, last)) = &report.span {
        line(&mut out, &format!("{} calls, begun from {first} to {last}", report.calls));
    }
    for assumption in &report.assumptions {
        line(&mut out, &format!("assumed: {assumption}"));
    }
    side(&mut out, &report.policy);
    if let (Some(against), Some(difference)) = (&report.against, &report.difference) {
        side(&mut out, against);
        head(&mut out, "difference");
        line(&mut out, &format!("{} calls are decided otherwise", difference.calls));
        let rows = difference.changes.iter().map(|change| {
            vec![
                change.purpose.clone(),
                change.policy.clone(),
                change.against.clone(),
                change.calls.to_string(),
            ]
        });
        table(&mut out, &["PURPOSE", "POLICY", "AGAINST", "CALLS"], rows.collect());
    }
    out.truncate(out.trim_end().len());
    out
}

fn side(out: &mut String, side: &Side) {
    head(out, &format!("{} ({}, {})", side.file, side.site, side.hash.get(..12).unwrap_or_default()));
    line(
        out,
        &format!(
            "{} calls decided, {} recorded, {} heard an announcement",
            side.decided, side.recorded, side.announced
        ),
    );
    let undecided: Vec<String> = side
        .undecided
        .iter()
        .filter(|(_, calls)| **calls > 0)
        .map(|(why, calls)| format!("{calls} {why}"))
        .collect();
    if !undecided.is_empty() {
        line(out, &format!("not decided: {}", undecided.join(", ")));
    }
    names(out, "contexts of no line (--map, [contexts])", &side.unknown.contexts);
    names(out, "endpoints of nobody (--map, [endpoints])", &side.unknown.endpoints);
    groups(out, "PURPOSE", &side.purposes, false);
    groups(out, "LINE", &side.lines, true);
    groups(out, "QUEUE", &side.queues, true);
    groups(out, "AGENT", &side.agents, true);
    groups(out, "DAY", &side.days, true);
    let missing = side.missing.iter().flat_map(|line| {
        line.prerequisites
            .iter()
            .map(|(what, calls)| vec![line.line.clone(), (*what).to_owned(), calls.to_string()])
    });
    table(out, &["LINE", "MISSING ON FILE", "CALLS"], missing.collect());
    campaigns(out, &side.campaigns);
    storage(out, &side.storage);
}

fn names(out: &mut String, what: &str, names: &[(String, u64)]) {
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(|(name, calls)| format!("{name} ({calls})")).collect();
        line(out, &format!("{what}: {}", names.join(", ")));
    }
}

fn groups(out: &mut String, what: &str, groups: &[Group], with_purpose: bool) {
    let row = |group: &Group| {
        let why: Vec<String> =
            group.not_recorded.iter().map(|(reason, calls)| format!("{calls} {reason}")).collect();
        let mut row = vec![group.name.clone()];
        row.extend(with_purpose.then(|| group.purpose.clone()));
        row.extend([group.calls, group.announced, group.recorded].map(|calls| calls.to_string()));
        row.push(format!("{:.1}", group.percent));
        row.extend([duration(group.seconds), why.join(", ")]);
        row
    };
    let mut heads = vec![what];
    heads.extend(with_purpose.then_some("PURPOSE"));
    heads.extend(["CALLS", "ANNOUNCED", "RECORDED", "%", "TIME", "NOT RECORDED"]);
    table(out, &heads, groups.iter().map(row).collect());
}

fn campaigns(out: &mut String, campaigns: &[Campaign]) {
    let row = |campaign: &Campaign, share: &Share| {
        vec![
            campaign.name.clone(),
            share.label(),
            share.eligible.to_string(),
            share.drawn.to_string(),
            share.at_most.map_or_else(|| "–".to_owned(), |most| most.to_string()),
            share.recorded.to_string(),
            format!("{:.1}", share.percent),
            format!("{:.1}", share.allowed_percent),
            format!("{:.1}–{:.1}", share.low_percent, share.high_percent),
            share.verdict.to_owned(),
        ]
    };
    let rows = campaigns.iter().flat_map(|campaign| campaign.shares().map(|share| row(campaign, share)));
    let heads =
        ["CAMPAIGN", "SHARE", "LOTS", "DRAWN", "AT MOST", "RECORDED", "%", "ALLOWED %", "95 %", "VERDICT"];
    table(out, &heads, rows.collect());
}

fn storage(out: &mut String, storage: &Stored) {
    if storage.recordings == 0 {
        return;
    }
    line(out, "");
    let cost = match (storage.cost, &storage.currency) {
        (Some(cost), Some(currency)) => format!(": {cost:.2} {currency}"),
        (Some(cost), None) => format!(": {cost:.2}"),
        (None, _) => String::new(),
    };
    line(
        out,
        &format!(
            "{} recordings, {}, {} as {}; at the most {} at once; {:.3} GB-months until all are deleted{cost}",
            storage.recordings,
            duration(storage.seconds),
            bytes(storage.bytes),
            storage.format,
            bytes(storage.peak_bytes),
            storage.gigabyte_months,
        ),
    );
    let row = |m: &Month| {
        let cost = m.cost.map(|cost| format!("{cost:.2}"));
        let mut row = vec![
            m.month.clone(),
            m.recordings.to_string(),
            bytes(m.bytes),
            format!("{:.3}", m.gigabyte_months),
        ];
        row.extend(cost);
        row
    };
    let heads = ["GONE IN", "RECORDINGS", "BYTES", "GB-MONTHS", "COST"];
    let heads = if storage.cost.is_some() { &heads[..] } else { &heads[..4] };
    table(out, heads, storage.gone_by.iter().map(row).collect());
    let row = |other: &Otherwise| {
        let mut row = vec![
            other.format.to_owned(),
            other.bytes_a_second.to_string(),
            bytes(other.bytes),
            format!("{:.3}", other.gigabyte_months),
        ];
        row.extend(other.cost.map(|cost| format!("{cost:.2}")));
        row
    };
    let heads = ["THE SAME AS", "BYTES A SECOND", "BYTES", "GB-MONTHS", "COST"];
    let heads = if storage.cost.is_some() { &heads[..] } else { &heads[..4] };
    table(out, heads, storage.otherwise.iter().map(row).collect());
}

/// Hours, minutes and seconds.
pub fn duration(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Bytes for people, in powers of ten.
pub fn bytes(bytes: u64) -> String {
    let units = [("TB", 1_000_000_000_000_u64), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    match units.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes as f64 / *size as f64),
        None => format!("{bytes} B"),
    }
}

fn head(out: &mut String, title: &str) {
    let _ = write!(out, "\n== {title}\n");
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Columns under their heads; nothing where there is no row.
fn table(out: &mut String, heads: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let all = || std::iter::once(&heads).chain(&rows);
    let width =
        |column: usize| all().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    // Numbers to the right.
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ':' | '–'));
    let right: Vec<bool> = (0..heads.len())
        .map(|at| rows.iter().all(|row| row.get(at).is_some_and(|cell| is_number(cell))))
        .collect();
    out.push('\n');
    for row in all() {
        let pad = |((cell, width), right): ((&String, &usize), &bool)| {
            if *right { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        };
        let padded = row.iter().zip(&widths).zip(&right).map(pad);
        line(out, padded.collect::<Vec<_>>().join("  ").trim_end());
    }
}
