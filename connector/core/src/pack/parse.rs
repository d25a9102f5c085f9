//! Reading a pack (`FORMAT.md`, section 1). Only form is checked here: what bars a pack from being loaded.

use std::collections::BTreeSet;

use super::*;
use crate::document::{Document, Node, Table};
use crate::finding::Findings;

/// The pack of a file, or `None` with the reasons among the findings.
pub(crate) fn parse(document: &Document<'_>, findings: &Findings) -> Option<Pack> {
    let faults_before = findings.count();
    let pack = read_pack(document.root(findings));
    if findings.count() == faults_before { pack } else { None }
}

fn read_pack(t: Table<'_>) -> Option<Pack> {
    let id = t.required("pack").and_then(|n| n.pack_id());
    let version = t.required("version").and_then(|n| version(&n));
    let kind = t.required("kind").and_then(|n| n.word());
    let status = t.required("status").and_then(|n| n.word());
    let valid_from = t.required("valid_from").and_then(|n| n.date());
    let reviewed_on = t.required("reviewed_on").and_then(|n| n.date());
    let review_due = t.required("review_due").and_then(|n| n.date());
    let title = text_of(&t, "title");
    text_of(&t, "disclaimer");
    t.optional("maintainers").and_then(|n| n.list(Node::name));
    let parent = t.optional("parent").and_then(|n| n.pack_id());
    let territory = t.optional("territory").and_then(|n| n.filled_list(Node::territory)).unwrap_or_default();
    let zone = t.optional("timezone").and_then(|n| n.zone());
    let languages = t.optional("languages").and_then(|n| n.list(Node::language)).unwrap_or_default();
    let valid_to = t.optional("valid_to").and_then(|n| n.date());
    let never = t.optional("never").and_then(|n| n.list(Node::name)).unwrap_or_default();

    let calling = t.optional("calling").and_then(|n| read_calling(n.table()?));
    let sources = named_tables(&t, "sources", |name, table| Some((name.into(), read_source(table)?)));
    let owner = id.clone().unwrap_or_default();
    let mut rules: Vec<Rule> = named_tables(&t, "rules", |name, table| read_rule(&owner, name, table));
    rules.sort_by(|a, b| a.name.cmp(&b.name));
    t.finish();

    Some(Pack {
        id: id?,
        version: version?,
        kind: kind?,
        status: status?,
        title,
        parent,
        territory,
        zone,
        languages,
        valid_from: valid_from?,
        valid_to,
        reviewed_on: reviewed_on?,
        review_due: review_due?,
        never,
        calling,
        sources: sources.into_iter().collect(),
        rules: rules.into_iter().map(Arc::new).collect(),
    })
}

fn named_tables<'d, T>(
    t: &Table<'d>,
    key: &'static str,
    read: impl Fn(&str, Table<'d>) -> Option<T>,
) -> Vec<T> {
    let entries = t.optional(key).and_then(|n| n.table()).map(|table| table.entries()).unwrap_or_default();
    entries.into_iter().filter_map(|(name, node)| read(name, node.table()?)).collect()
}

fn text_of(t: &Table<'_>, key: &'static str) -> Option<String> {
    t.optional(key).and_then(|n| n.text()).map(str::to_owned)
}

fn version(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if text.split('.').count() == 3 && text.split('.').all(number) {
        Some(text.to_owned())
    } else {
        node.bad("write three numbers with dots, such as \"1.0.0\"")
    }
}

fn read_calling(t: Table<'_>) -> Option<Calling> {
    let consent = t.required("consent").and_then(|n| n.word());
    let from = t.optional("from").and_then(|n| n.date());
    let spares = t.optional("spares").and_then(|n| n.list(Node::word)).unwrap_or_default();
    let proof = t.optional("proof").and_then(|n| n.period());
    let sources = t.required("sources").and_then(|n| n.filled_list(Node::name));
    t.finish();
    Some(Calling { consent: consent?, from, spares: spares.into_iter().collect(), proof, sources: sources? })
}

fn read_source(t: Table<'_>) -> Option<Source> {
    let cite = t.required("cite").and_then(|n| n.text());
    let kind = t.required("kind").and_then(|n| n.word());
    let confidence = t.required("confidence").and_then(|n| n.word());
    let url = text_of(&t, "url");
    let seen_on = t.optional("seen_on").and_then(|n| n.date());
    t.finish();
    Some(Source { cite: cite?.to_owned(), kind: kind?, confidence: confidence?, url, seen_on })
}

fn read_rule(pack: &str, name: &str, t: Table<'_>) -> Option<Rule> {
    let facet = t.required("facet").and_then(|n| n.word());
    let purposes = t.required("purposes").and_then(|n| n.filled_list(purpose_or_star));
    let plain = Rule::neutral(name, format!("{pack}/{name}"), Facet::Sector);

    let duty = t.optional("duty").and_then(|n| n.word());
    let basis = t.optional("basis").and_then(|n| n.word());
    let gate = t.optional("gate").and_then(|n| n.word());
    let parties = t.optional("parties").and_then(|n| n.word());
    let refusal = t.optional("refusal").and_then(|n| n.word());
    let objection = t.optional("objection").and_then(|n| n.word());
    let phase = t.optional("phase").and_then(|n| n.word());
    let rate = t.optional("rate").and_then(|n| read_rate(n.table()?));
    let campaign_max_days = t.optional("campaign_max_days").and_then(|n| n.whole(1..=366));
    let retention =
        t.optional("retention").and_then(|n| Some(read_retention(n.table()?))).unwrap_or_default();
    let erasure = t.optional("erasure").and_then(|n| n.word());
    let announce = t.optional("announce").and_then(|n| n.list(Node::word)).unwrap_or_default();
    let prerequisites = t.optional("prerequisites").and_then(|n| n.list(Node::word)).unwrap_or_default();
    let access = t.optional("access").and_then(|n| Some(read_access(n.table()?))).unwrap_or_default();
    let obligations = t.optional("obligations").and_then(|n| n.list(Node::name)).unwrap_or_default();
    let sources = t.optional("sources").and_then(|n| n.list(Node::name));
    t.finish();

    let purposes = purposes?;
    Some(Rule {
        facet: facet?,
        star: purposes.contains(&None),
        purposes: purposes.into_iter().flatten().collect(),
        duty: duty.unwrap_or(plain.duty),
        basis,
        gate: gate.unwrap_or(plain.gate),
        parties: parties.unwrap_or(plain.parties),
        refusal: refusal.unwrap_or(plain.refusal),
        objection_offered: objection.unwrap_or(Objection::Offered) == Objection::Offered,
        phase: phase.unwrap_or(plain.phase),
        rate,
        campaign_max_days,
        retention,
        survives_erasure: erasure.unwrap_or(Erasure::Yield) == Erasure::Keep,
        announce: announce.into_iter().collect(),
        prerequisites: prerequisites.into_iter().collect(),
        access,
        obligations,
        sources,
        ..plain
    })
}

/// A purpose, or `None` for `*`.
fn purpose_or_star(node: &Node<'_>) -> Option<Option<Purpose>> {
    match node.any_text()? {
        "*" => Some(None),
        _ => node.purpose().map(Some),
    }
}

fn read_rate(t: Table<'_>) -> Option<RateCap> {
    let max = t.required("max").and_then(|n| n.whole(0..=1000));
    let exception_max = t.optional("exception_max").and_then(|n| n.whole(0..=1000));
    let exception_days = t.optional("exception_days").and_then(|n| n.whole(1..=u16::MAX));
    let exception_needs = t.optional("exception_needs").and_then(|n| n.list(Node::word)).unwrap_or_default();
    t.finish();
    let exception_needs: BTreeSet<_> = exception_needs.into_iter().collect();
    Some(RateCap { max: max?, exception_max, exception_days, exception_needs })
}

fn read_retention(t: Table<'_>) -> Retention {
    let period = |key| t.optional(key).and_then(|n| n.period());
    let retention = Retention {
        max: period("max"),
        hard_max: t.optional("hard_max").and_then(|n| n.flag()),
        min: period("min"),
        extended: period("extended"),
        exact: period("exact"),
        anchor: t.optional("anchor").and_then(|n| n.word()),
        provisional: period("provisional"),
        report_max: period("report_max"),
    };
    t.finish();
    retention
}

fn read_access(t: Table<'_>) -> Access {
    let access = Access {
        regulator_only: t.optional("regulator_only").and_then(|n| n.flag()).unwrap_or(false),
        approval: t.optional("approval").and_then(|n| n.name()),
        copy: t.optional("copy").and_then(|n| n.word()),
    };
    t.finish();
    access
}
