//! The report as one page: everything in one file, charts as SVG, no script, nothing from elsewhere, readable in light
//! and dark and on paper. Its own rules forbid it to load anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::report::{Campaign, Group, Report, Side};
use super::svg::{self, Column, Interval, escape};
use super::text::{bytes, duration};

/// A table shows so many rows; the JSON has them all.
const MOST_ROWS: usize = 400;
/// A chart so many.
const MOST_SHARES: usize = 60;

/// The page.
pub fn page(report: &Report) -> String {
    let mut body = String::new();
    head(&mut body, report);
    side(&mut body, &report.policy, "");
    if let (Some(against), Some(difference)) = (&report.against, &report.difference) {
        let _ = write!(
            body,
            "<h2>What the other policy changes</h2><p>{} calls are decided otherwise.</p>",
            difference.calls
        );
        let row = |change: &super::report::Changed| {
            vec![
                change.purpose.clone(),
                change.policy.clone(),
                change.against.clone(),
                change.calls.to_string(),
            ]
        };
        let rows = difference.changes.iter().map(row).collect();
        table(
            &mut body,
            &[("Purpose", false), ("Policy", false), ("Other policy", false), ("Calls", true)],
            rows,
        );
        side(&mut body, against, "Other policy: ");
    }
    sources(&mut body, report);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"referrer\" content=\"no-referrer\">\
         <title>Dry run: {}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n",
        escape(&report.policy.site)
    )
}

const STYLE: &str = "
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--soft:#59636e;--line:#d5dae0;--card:#f6f8fa;--part:#1f6feb;--whole:#c8d6e5;--over:#c4320a;--under:#9a6700;--ok:#1a7f37}
@media (prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--soft:#9aa4af;--line:#30363d;--card:#161b22;--part:#58a6ff;--whole:#2d3b4d;--over:#ff7b54;--under:#d8a031;--ok:#4ac26b}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
main{max-width:1000px;margin:0 auto;padding:28px 20px 60px}h1{font-size:26px;margin:0 0 2px}h2{font-size:20px;margin:40px 0 8px;border-bottom:1px solid var(--line);padding-bottom:6px}h3{font-size:16px;margin:26px 0 8px}
p{margin:6px 0}.soft{color:var(--soft)}code{font-size:13px;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(250px,1fr));gap:12px;margin:18px 0}.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px}.card b{display:block;font-size:24px;line-height:1.2;font-variant-numeric:tabular-nums}.card span{color:var(--soft);font-size:13px}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;margin:8px 0;font-size:14px;font-variant-numeric:tabular-nums}th,td{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}th{color:var(--soft);font-weight:600}.n{text-align:right}td.over{color:var(--over);font-weight:600}td.under{color:var(--under);font-weight:600}
svg{display:block;width:100%;height:auto;margin:8px 0}svg text{fill:var(--soft);font-size:12px}svg .name{fill:var(--ink)}.grid{stroke:var(--line);stroke-width:1}rect.whole{fill:var(--whole)}rect.part{fill:var(--part)}.area{fill:var(--part);opacity:.18}.line{fill:none;stroke:var(--part);stroke-width:2}.span{stroke:var(--soft);stroke-width:3;stroke-linecap:round;opacity:.6}.allowed{stroke:var(--ink);stroke-width:2}.dot{fill:var(--ok)}.dot.over{fill:var(--over)}.dot.under{fill:var(--under)}
.key{display:inline-block;width:11px;height:11px;border-radius:2px;margin:0 6px 0 14px;vertical-align:-1px}.key.part{background:var(--part)}.key.whole{background:var(--whole)}
@media print{main{max-width:none}h2,h3{break-after:avoid}svg,tr{break-inside:avoid}}";

fn head(out: &mut String, report: &Report) {
    let _ = write!(
        out,
        "<h1>Dry run: {}</h1><p class=\"soft\">{} calls through <code>{}</code>",
        escape(&report.policy.site),
        report.calls,
        escape(&report.policy.file)
    );
    if let Some((first, last)) = &report.span {
        let _ = write!(out, ", begun from {} to {}", escape(first), escape(last));
    }
    out.push_str(
        ". Nothing was recorded for this page; it shows no customer's number and no single call.</p>",
    );
}

fn side(out: &mut String, side: &Side, title: &str) {
    if !title.is_empty() {
        let _ = write!(
            out,
            "<h2>{title}{}</h2><p class=\"soft\"><code>{}</code></p>",
            escape(&side.site),
            escape(&side.file)
        );
    }
    cards(out, side);
    reasons(out, &side.purposes);
    days(out, &side.days);
    campaigns(out, &side.campaigns);
    for (what, groups) in [("Lines", &side.lines), ("Queues", &side.queues), ("Agents", &side.agents)] {
        if !groups.is_empty() {
            let _ = write!(out, "<h2>{what}</h2>");
            group_table(out, what.trim_end_matches('s'), groups);
        }
    }
    missing(out, side);
    storage(out, side);
    unknown(out, side);
}

fn cards(out: &mut String, side: &Side) {
    let undecided: u64 = side.undecided.values().sum();
    let why: Vec<String> =
        side.undecided.iter().filter(|(_, n)| **n > 0).map(|(why, n)| format!("{n} {why}")).collect();
    let storage = &side.storage;
    let cost =
        storage.cost.map(|cost| format!("{cost:.2} {}", storage.currency.as_deref().unwrap_or_default()));
    let share = if side.decided == 0 { 0.0 } else { side.recorded as f64 * 100.0 / side.decided as f64 };
    out.push_str("<div class=\"cards\">");
    let mut card = |value: &str, what: &str| {
        let _ =
            write!(out, "<div class=\"card\"><b>{}</b><span>{}</span></div>", escape(value), escape(what));
    };
    card(&side.decided.to_string(), "calls decided");
    card(&side.recorded.to_string(), &format!("recorded: {share:.1} %"));
    card(&side.announced.to_string(), "calls heard an announcement");
    card(
        &undecided.to_string(),
        &if why.is_empty() { "calls not decided".into() } else { format!("not decided: {}", why.join(", ")) },
    );
    card(&duration(storage.seconds), &format!("recorded, {}", bytes(storage.bytes)));
    match cost {
        Some(cost) => {
            card(&cost, &format!("for {:.3} GB-months until all is deleted", storage.gigabyte_months))
        }
        None => card(&format!("{:.3}", storage.gigabyte_months), "GB-months until all is deleted"),
    }
    out.push_str("</div>");
}

fn reasons(out: &mut String, purposes: &[Group]) {
    for purpose in purposes {
        let _ = write!(
            out,
            "<h2>{}: why recorded, why not</h2><p class=\"soft\">{} calls, each counted once.</p>",
            escape(&purpose.name),
            purpose.calls
        );
        let mut rows = vec![("recorded".to_owned(), purpose.recorded, "part")];
        let mut others: Vec<_> =
            purpose.not_recorded.iter().map(|(why, calls)| ((*why).to_owned(), *calls, "whole")).collect();
        others.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        rows.extend(others);
        out.push_str(&svg::bars(&rows, &format!("Why calls are recorded for {} or not", purpose.name)));
    }
}

fn days(out: &mut String, days: &[Group]) {
    let mut by_purpose: BTreeMap<&str, Vec<Column>> = BTreeMap::new();
    for day in days {
        let column = Column { label: day.name.clone(), part: day.recorded as f64, whole: day.calls as f64 };
        by_purpose.entry(&day.purpose).or_default().push(column);
    }
    if !by_purpose.is_empty() {
        out.push_str("<h2>Days</h2><p class=\"soft\"><span class=\"key part\"></span>recorded<span class=\"key whole\"></span>not recorded</p>");
    }
    for (purpose, columns) in by_purpose {
        let _ = write!(out, "<h3>{}</h3>", escape(purpose));
        let show = |column: &Column| format!("{}: {} of {} calls", column.label, column.part, column.whole);
        out.push_str(&svg::columns(&columns, &format!("Calls and recordings for {purpose} by day"), show));
    }
}

fn campaigns(out: &mut String, campaigns: &[Campaign]) {
    if !campaigns.is_empty() {
        out.push_str(
            "<h2>Realised against allowed</h2><p class=\"soft\">The dot is what was recorded of the calls that a lot \
             was drawn for, the bar its 95 % confidence interval (Wilson), the stroke the allowed rate. Red is over, yellow \
             under it. A drawn call that is not recorded has another reason: see the agents.</p>",
        );
    }
    for campaign in campaigns {
        let _ = write!(out, "<h3>{}</h3>", escape(&campaign.name));
        let rows: Vec<_> = campaign
            .shares()
            .take(MOST_SHARES)
            .map(|share| Interval {
                label: share.label(),
                value: share.percent,
                between: (share.low_percent, share.high_percent),
                allowed: share.allowed_percent,
                class: share.verdict,
            })
            .collect();
        out.push_str(&svg::intervals(&rows, &format!("Realised against allowed rate of {}", campaign.name)));
        let rows = campaign.shares().map(|share| {
            let between = format!("{:.1}–{:.1}", share.low_percent, share.high_percent);
            let most = share.at_most.map_or_else(|| "–".to_owned(), |most| most.to_string());
            let mut row = vec![share.label(), share.eligible.to_string(), share.drawn.to_string(), most];
            row.push(share.recorded.to_string());
            row.extend([format!("{:.1}", share.percent), format!("{:.1}", share.allowed_percent), between]);
            row.push(share.verdict.to_owned());
            row
        });
        let heads = [
            ("Share", false),
            ("Lots", true),
            ("Drawn", true),
            ("At most", true),
            ("Recorded", true),
            ("%", true),
            ("Allowed %", true),
            ("95 %", true),
            ("Verdict", false),
        ];
        table(out, &heads, rows.collect());
    }
}

fn group_table(out: &mut String, what: &str, groups: &[Group]) {
    let rows = groups.iter().map(|group| {
        let why: Vec<String> =
            group.not_recorded.iter().map(|(why, calls)| format!("{calls} {why}")).collect();
        vec![
            group.name.clone(),
            group.purpose.clone(),
            group.calls.to_string(),
            group.announced.to_string(),
            group.recorded.to_string(),
            format!("{:.1}", group.percent),
            duration(group.seconds),
            why.join(", "),
        ]
    });
    let heads = [
        (what, false),
        ("Purpose", false),
        ("Calls", true),
        ("Announced", true),
        ("Recorded", true),
        ("%", true),
        ("Time", true),
        ("Not recorded", false),
    ];
    table(out, &heads, rows.collect());
}

fn missing(out: &mut String, side: &Side) {
    let rows: Vec<_> = side
        .missing
        .iter()
        .flat_map(|line| line.prerequisites.iter().map(move |(what, calls)| (line, what, calls)))
        .map(|(line, what, calls)| vec![line.line.clone(), (*what).to_owned(), calls.to_string()])
        .collect();
    if !rows.is_empty() {
        out.push_str("<h2>Missing on file</h2><p>While one of these is missing, nothing is recorded.</p>");
        table(out, &[("Line", false), ("Missing", false), ("Calls", true)], rows);
    }
}

fn storage(out: &mut String, side: &Side) {
    let storage = &side.storage;
    if storage.recordings == 0 {
        return;
    }
    let _ = write!(
        out,
        "<h2>Storage until each deadline</h2><p class=\"soft\">{} recordings of {} B a second ({}); at the most {} at once.</p>",
        storage.recordings,
        storage.bytes_a_second,
        escape(storage.format),
        bytes(storage.peak_bytes)
    );
    let points: Vec<_> = storage
        .kept
        .iter()
        .filter_map(|kept| {
            let day: jiff::civil::Date = kept.day.parse().ok()?;
            let number = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second() / 86_400;
            Some((number, kept.day.clone(), kept.bytes as f64))
        })
        .collect();
    out.push_str(&svg::area(&points, "Bytes kept by day", |value| bytes(value as u64)));
    let rows = storage.gone_by.iter().map(|month| {
        let months = format!("{:.3}", month.gigabyte_months);
        let mut row = vec![month.month.clone(), month.recordings.to_string(), bytes(month.bytes), months];
        row.extend(month.cost.map(|cost| format!("{cost:.2}")));
        row
    });
    let heads =
        [("Gone in", false), ("Recordings", true), ("Bytes", true), ("GB-months", true), ("Cost", true)];
    let heads = if storage.cost.is_some() { &heads[..] } else { &heads[..4] };
    table(out, heads, rows.collect());
    let rows = storage.otherwise.iter().map(|other| {
        let mut row = vec![other.format.to_owned(), other.bytes_a_second.to_string(), bytes(other.bytes)];
        row.push(format!("{:.3}", other.gigabyte_months));
        row.extend(other.cost.map(|cost| format!("{cost:.2}")));
        row
    });
    let heads = [
        ("The same as", false),
        ("Bytes a second", true),
        ("Bytes", true),
        ("GB-months", true),
        ("Cost", true),
    ];
    let heads = if storage.cost.is_some() { &heads[..] } else { &heads[..4] };
    table(out, heads, rows.collect());
}

fn unknown(out: &mut String, side: &Side) {
    let unknown = &side.unknown;
    let lists = [
        ("Contexts of no line", "[contexts]", &unknown.contexts),
        ("Endpoints of nobody", "[endpoints]", &unknown.endpoints),
    ];
    for (title, of_map, names) in lists {
        if names.is_empty() {
            continue;
        }
        let _ = write!(
            out,
            "<h2>{title}</h2><p>Tell what they are in {of_map} of a map, and name it by --map.</p>"
        );
        let rows = names.iter().map(|(name, calls)| vec![name.clone(), calls.to_string()]).collect();
        table(out, &[("Name", false), ("Times", true)], rows);
    }
}

fn sources(out: &mut String, report: &Report) {
    out.push_str("<h2>What was read, and what was assumed</h2>");
    let rows = report.sources.iter().map(|source| {
        let format = source.format.unwrap_or("empty").to_owned();
        vec![source.file.clone(), format, source.records.to_string(), source.unreadable.to_string()]
    });
    let heads = [("File", false), ("Format", false), ("Records", true), ("Not readable", true)];
    table(out, &heads, rows.collect());
    let faults = report.sources.iter().flat_map(|source| {
        source
            .faults
            .iter()
            .map(|fault| vec![source.file.clone(), fault.line.to_string(), fault.why.to_owned()])
    });
    table(out, &[("File", false), ("Line", true), ("Not readable", false)], faults.collect());
    out.push_str("<ul>");
    for assumption in &report.assumptions {
        let _ = write!(out, "<li>{}</li>", escape(assumption));
    }
    let _ = write!(
        out,
        "</ul><p class=\"soft\">Policy and packs: SHA-256 <code>{}</code></p>",
        escape(&report.policy.hash)
    );
}

/// A table under its heads, numbers to the right; nothing where there is no row.
fn table(out: &mut String, heads: &[(&str, bool)], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let class = |number: bool| if number { " class=\"n\"" } else { "" };
    out.push_str("<div class=\"scroll\"><table><thead><tr>");
    for (head, number) in heads {
        let _ = write!(out, "<th{}>{}</th>", class(*number), escape(head));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows.iter().take(MOST_ROWS) {
        out.push_str("<tr>");
        for (cell, (_, number)) in row.iter().zip(heads) {
            let class = match cell.as_str() {
                "over" => " class=\"over\"",
                "under" => " class=\"under\"",
                _ => class(*number),
            };
            let _ = write!(out, "<td{class}>{}</td>", escape(cell));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    if rows.len() > MOST_ROWS {
        let _ =
            write!(out, "<p class=\"soft\">And {} more; the JSON has them all.</p>", rows.len() - MOST_ROWS);
    }
}
