//! `temoin packs` and `temoin explain PACK/PURPOSE`: which laws the program knows, what each asks for, what it rests
//! on, how sure its author is, and when somebody has to look at it again.

use std::fmt::Write as _;

use jiff::civil::Date;
use serde_json::{Value, json};
use temoin_core::pack::{Pack, Rule, Source};
use temoin_core::policy::Packs;
use temoin_core::words::{
    Confidence, Duty, Facet, Gate, PackKind, Parties, Phase, Purpose, Refusal, Status, Word,
};

/// All packs in a table, and which reviews are due on a day.
pub fn table(packs: &Packs, today: Date) -> String {
    let head = ["PACK", "WHERE", "TITLE", "VERSION", "REVIEWED", "REVIEW DUE", "RULES", "CONFIDENCE"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(packs.iter().map(|pack| {
        let due = if pack.review_due < today { " OVERDUE" } else { "" };
        [
            pack.id.to_string(),
            place(pack),
            title(pack),
            pack.version.clone(),
            pack.reviewed_on.to_string(),
            format!("{}{due}", pack.review_due),
            pack.rules.len().to_string(),
            confidence(pack).to_string(),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    let overdue = packs.iter().filter(|pack| pack.review_due < today).count();
    let _ = write!(
        text,
        "\n{} packs, {overdue} to be reviewed. A territory without a pack falls to {}. `temoin packs show PACK` tells more.",
        packs.iter().count(),
        defaults(packs)
    );
    text
}

/// The same for machines.
pub fn table_json(packs: &Packs, today: Date) -> Value {
    json!({ "packs": packs.iter().map(|pack| head_json(pack, today)).collect::<Vec<_>>() })
}

/// One pack with all its rules.
pub fn page(packs: &Packs, pack: &Pack, today: Date) -> String {
    let mut text = format!("{} {}: {}\n", pack.id, pack.version, title(pack));
    let _ = writeln!(text, "  {} pack, {}, for {}", pack.kind, pack.status, place(pack));
    if let Some(parent) = &pack.parent {
        let _ = writeln!(text, "  the rules of {parent} apply, too");
    }
    let until = pack.valid_to.map(|last| format!(" to {last}")).unwrap_or_default();
    let overdue = if pack.review_due < today { " (OVERDUE)" } else { "" };
    let _ = writeln!(text, "  valid from {}{until}", pack.valid_from);
    let _ =
        writeln!(text, "  reviewed on {}, to be reviewed by {}{overdue}", pack.reviewed_on, pack.review_due);
    if !pack.never.is_empty() {
        let _ = writeln!(text, "  never recorded: {}", pack.never.join(", "));
    }
    for rule in &pack.rules {
        let _ = write!(text, "\n{}", about(pack, rule));
    }
    let heirs: Vec<&str> =
        packs.iter().filter(|heir| heir.parent.as_ref() == Some(&pack.id)).map(|heir| &*heir.id).collect();
    if !heirs.is_empty() {
        let _ = writeln!(text, "\nThese packs build on it: {}", heirs.join(", "));
    }
    text.trim_end().to_owned()
}

/// The same for machines.
pub fn page_json(pack: &Pack, today: Date) -> Value {
    let mut value = head_json(pack, today);
    value["rules"] = pack.rules.iter().map(|rule| rule_json(pack, rule)).collect();
    value
}

/// The rules that a pack has under a name, or for a purpose, those of its parents among them.
pub fn rules<'p>(packs: &'p Packs, pack: &'p Pack, name: &str) -> Vec<(&'p Pack, &'p Rule)> {
    let named = pack.rules.iter().filter(|rule| &*rule.name == name).map(|rule| (pack, &**rule));
    let mut found: Vec<_> = named.collect();
    let purpose = Purpose::parse(name);
    for ancestor in packs.lineage(pack) {
        for facet in Facet::ALL {
            let of_purpose = purpose.iter().flat_map(|purpose| ancestor.rules_for(*facet, purpose));
            for rule in of_purpose {
                if !found.iter().any(|(_, known)| known.reference == rule.reference) {
                    found.push((ancestor, rule));
                }
            }
        }
    }
    found
}

/// What some rules ask for.
pub fn rules_page(rules: &[(&Pack, &Rule)]) -> String {
    let pages: Vec<String> = rules.iter().map(|(pack, rule)| about(pack, rule)).collect();
    pages.join("\n").trim_end().to_owned()
}

/// The same for machines.
pub fn rules_json(rules: &[(&Pack, &Rule)]) -> Value {
    json!({ "rules": rules.iter().map(|(pack, rule)| rule_json(pack, rule)).collect::<Vec<_>>() })
}

/// The packs that stand in where there is none.
fn defaults(packs: &Packs) -> String {
    let ids: Vec<&str> =
        packs.iter().filter(|pack| pack.kind == PackKind::Default).map(|pack| &*pack.id).collect();
    if ids.is_empty() { "nothing, and is never recorded".to_owned() } else { ids.join(", ") }
}

/// The least sure of the sources that its rules cite.
fn confidence(pack: &Pack) -> Confidence {
    let cited = pack.rules.iter().flat_map(|rule| sources(pack, rule));
    cited.map(|source| source.confidence).max().unwrap_or(Confidence::Verified)
}

fn sources<'p>(pack: &'p Pack, rule: &'p Rule) -> impl Iterator<Item = &'p Source> {
    rule.sources.iter().flatten().filter_map(|name| pack.sources.get(name))
}

fn title(pack: &Pack) -> String {
    pack.title.clone().unwrap_or_default()
}

fn place(pack: &Pack) -> String {
    if pack.territory.is_empty() {
        return match pack.kind {
            PackKind::Default => "elsewhere".into(),
            PackKind::Base => "its heirs".into(),
            _ => "everywhere".into(),
        };
    }
    pack.territory.iter().map(|territory| territory.as_str()).collect::<Vec<_>>().join(" ")
}

/// A rule as a person reads it.
fn about(pack: &Pack, rule: &Rule) -> String {
    let mut text = format!("{}   {}\n", rule.reference, subject(rule));
    let mut say = |line: String| {
        let _ = writeln!(text, "  {line}");
    };
    say(permission(rule));
    if rule.duty != Duty::MustNot && rule.gate != Gate::Forbidden {
        say(gate(rule).to_owned());
    }
    match rule.refusal {
        Refusal::Continue => {}
        Refusal::AlternativeChannel => say("who refuses is offered another way".into()),
        Refusal::RefuseRegulatedService => say("without a recording the regulated service is refused".into()),
        Refusal::TerminateCall => say("without a recording the call ends".into()),
    }
    if !rule.objection_offered {
        say("an objection does not stop it".into());
    }
    if rule.phase != Phase::WholeCall {
        say(format!("only in one part of the talk: {}", rule.phase));
    }
    if let Some(rate) = &rule.rate {
        let exception = rate.exception_max.map(|max| {
            let days = rate.exception_days.map(|days| format!(" for {days} days")).unwrap_or_default();
            let needs: Vec<&str> = rate.exception_needs.iter().map(|who| who.as_str()).collect();
            format!("; by exception {max}{days}, approved by {}", needs.join(" and "))
        });
        say(format!("at most {} of a thousand calls{}", rate.max, exception.unwrap_or_default()));
    }
    if let Some(days) = rule.campaign_max_days {
        say(format!("a campaign lasts at most {days} days"));
    }
    if let Some(kept) = kept(rule) {
        say(kept);
    }
    if rule.survives_erasure {
        say("survives a request to erase, for legal claims".into());
    }
    let listed =
        |what: &str, words: Vec<&str>| (!words.is_empty()).then(|| format!("{what}: {}", words.join(", ")));
    let lists = [
        listed("must be said", rule.announce.iter().map(|word| word.as_str()).collect()),
        listed("must be on file", rule.prerequisites.iter().map(|word| word.as_str()).collect()),
        listed("obliges the site to", rule.obligations.iter().map(|word| &**word).collect()),
    ];
    lists.into_iter().flatten().for_each(&mut say);
    say("because of".into());
    for source in sources(pack, rule) {
        let seen = source.seen_on.map(|day| format!(", seen {day}")).unwrap_or_default();
        say(format!("  {} ({}, {}{seen})", source.cite, source.kind, source.confidence));
        if let Some(url) = &source.url {
            say(format!("    {url}"));
        }
    }
    say(format!("reviewed on {}, due by {}", pack.reviewed_on, pack.review_due));
    text
}

/// Whose side a rule is on, and for what.
fn subject(rule: &Rule) -> String {
    let purposes: Vec<&str> = rule.purposes.iter().map(Purpose::as_str).collect();
    let purposes =
        if rule.star { "every purpose without a rule of its own".into() } else { purposes.join(", ") };
    let side = match rule.facet {
        Facet::Customer => "for customers",
        Facet::Employee => "for employees",
        Facet::Sector => "for the trade",
    };
    format!("{side}: {purposes}")
}

fn permission(rule: &Rule) -> String {
    let basis = rule.basis.map(|basis| format!(" (basis: {basis})")).unwrap_or_default();
    match (rule.duty, rule.gate) {
        (Duty::MustNot, _) | (Duty::May, Gate::Forbidden) => format!("forbidden{basis}"),
        (Duty::Must, _) => format!("a duty{basis}"),
        (Duty::May, _) => format!("allowed{basis}"),
    }
}

fn gate(rule: &Rule) -> &'static str {
    match (rule.gate, rule.parties) {
        (Gate::Silent, _) => "gate silent: asks for nothing (Témoin tells people all the same)",
        (Gate::Notice, _) => "gate notice: people are told first",
        (Gate::OptOut, _) => "gate opt-out: people are told first and can refuse",
        (Gate::OptIn, Parties::External) => "gate opt-in: only with the caller's yes",
        (Gate::OptIn, Parties::All) => "gate opt-in: only with everybody's yes",
        (Gate::Forbidden, _) => "gate forbidden",
    }
}

fn kept(rule: &Rule) -> Option<String> {
    let retention = &rule.retention;
    let hard = if retention.hard_max == Some(true) { "" } else { " (advice)" };
    let parts = [
        retention.exact.map(|period| format!("exactly {period}")),
        retention.min.map(|period| format!("at least {period}")),
        retention.extended.map(|period| format!("at least {period} if the authority asks")),
        retention.max.map(|period| format!("at most {period}{hard}")),
        retention.provisional.map(|period| format!("at most {period} until the event")),
        retention.report_max.map(|period| format!("reports at most {period}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let anchor = retention.anchor.map(|anchor| format!(", counted from {anchor}")).unwrap_or_default();
    (!parts.is_empty()).then(|| format!("kept {}{anchor}", parts.join(", ")))
}

fn head_json(pack: &Pack, today: Date) -> Value {
    json!({
        "id": pack.id,
        "title": pack.title,
        "kind": pack.kind,
        "status": pack.status,
        "territory": pack.territory,
        "parent": pack.parent,
        "version": pack.version,
        "valid_from": pack.valid_from,
        "valid_to": pack.valid_to,
        "reviewed_on": pack.reviewed_on,
        "review_due": pack.review_due,
        "overdue": pack.review_due < today,
        "current": pack.status == Status::Current,
        "confidence": confidence(pack),
        "rule_count": pack.rules.len(),
    })
}

fn rule_json(pack: &Pack, rule: &Rule) -> Value {
    let source = |source: &Source| {
        json!({
            "cite": source.cite, "kind": source.kind, "confidence": source.confidence,
            "url": source.url, "seen_on": source.seen_on,
        })
    };
    json!({
        "rule": rule.reference,
        "facet": rule.facet,
        "purposes": if rule.star { json!(["*"]) } else { json!(rule.purposes) },
        "duty": rule.duty,
        "basis": rule.basis,
        "gate": rule.gate,
        "parties": rule.parties,
        "refusal": rule.refusal,
        "phase": rule.phase,
        "announce": rule.announce,
        "prerequisites": rule.prerequisites,
        "kept": kept(rule),
        "sources": sources(pack, rule).map(source).collect::<Vec<_>>(),
        "review_due": pack.review_due,
    })
}
