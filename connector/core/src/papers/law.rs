//! What the packs say of a site's lines and purposes, for the papers: the same rules and the same algebra by which calls
//! are decided, put into words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fill::{Context, Row, Rows, Value};
use super::{Packs, Phrases};
use crate::combine::{Combined, caps, combine};
use crate::decide::NEVER;
use crate::force::{Force, Reach};
use crate::pack::Retention;
use crate::policy::{Line, Policy};
use crate::time::Period;
use crate::words::*;

/// One line and one of its purposes, with the rules in force for it.
pub(super) struct Case<'p> {
    pub(super) line: &'p Line,
    pub(super) purpose: &'p Purpose,
    force: Force,
    combined: Combined,
    /// Countries of agents for whom a rule asks for an instrument of transfer.
    transfers: BTreeSet<Territory>,
}

/// Every line with every purpose, as lint looks at them: all markets, and the employees of all countries.
pub(super) fn cases(policy: &Policy) -> Vec<Case<'_>> {
    let site = policy.site();
    let agents: BTreeSet<Territory> = site.agents.values().map(|agent| agent.country.clone()).collect();
    let of_line = |line| {
        let markets = line_markets(line);
        let reach = Reach::of_territories(policy, line, markets, agents.clone(), true);
        let case = move |purpose| {
            let force = reach.rules_for(purpose);
            let combined = combine(&force);
            let transfers = reach.transfers_asked(&force);
            Case { line, purpose, force, combined, transfers }
        };
        line.purposes.iter().map(case).collect::<Vec<_>>()
    };
    site.lines.values().flat_map(of_line).collect()
}

fn line_markets(line: &Line) -> BTreeSet<Territory> {
    line.markets.iter().cloned().collect()
}

/// The packs that rules in force come from, with their ancestors and the site's overlays.
pub(super) fn used(policy: &Policy, cases: &[Case<'_>]) -> BTreeSet<Arc<str>> {
    let files = cases.iter().flat_map(|case| &case.force.rules).filter_map(|rule| rule.file.as_deref());
    let lineages = files.flat_map(|pack| policy.packs().lineage(pack)).map(|pack| pack.id.clone());
    lineages.chain(policy.site().overlays.iter().cloned()).collect()
}

/// Puts down what the rules say.
pub(super) fn put(
    context: &mut Context,
    policy: &Policy,
    cases: &[Case<'_>],
    packs: &Packs,
    phrases: &Phrases,
) {
    let asks = |what: Prerequisite| cases.iter().any(|case| case.combined.prerequisites.contains(&what));
    let gate = |gate: Gate| cases.iter().any(|case| case.combined.gate == gate);
    let basis = |basis: Basis| cases.iter().any(|case| case.bases().contains(&basis));
    context.flags.extend([
        ("council", asks(Prerequisite::WorksCouncil)),
        ("dpia", asks(Prerequisite::Dpia)),
        ("contract_proof", asks(Prerequisite::NoOtherProofNote)),
        ("opt_out", gate(Gate::OptOut)),
        ("opt_in", gate(Gate::OptIn)),
        ("duty", cases.iter().any(|case| case.combined.duty == CombinedDuty::Must)),
        ("interest", basis(Basis::LegitimateInterest)),
        ("consent", basis(Basis::Consent)),
    ]);
    let named = by_purpose(cases);
    let interest = |case: &&Case<'_>| case.bases().contains(&Basis::LegitimateInterest);
    let proof = |case: &&Case<'_>| case.combined.prerequisites.contains(&Prerequisite::NoOtherProofNote);
    let some = |wanted: &dyn Fn(&&Case<'_>) -> bool| {
        let rows = named.iter().filter(|(_, cases)| cases.iter().copied().any(|case| wanted(&case)));
        Rows::Known(rows.map(|(purpose, cases)| purpose_row(purpose, cases, phrases)).collect())
    };
    context.tables.extend([
        ("purpose", some(&|_| true)),
        ("interest", some(&interest)),
        ("proof", some(&proof)),
        ("use", Rows::Known(cases.iter().map(|case| case.row(phrases)).collect())),
        ("retention", Rows::Known(retention(cases, phrases))),
        ("source", Rows::Known(sources(cases, phrases))),
        ("pack", Rows::Known(packs.rows(phrases))),
        ("never", Rows::Known(never(policy, cases, phrases))),
    ]);
}

fn by_purpose<'c, 'p>(cases: &'c [Case<'p>]) -> Vec<(&'p Purpose, Vec<&'c Case<'p>>)> {
    let mut named: Vec<(&Purpose, Vec<&Case<'_>>)> = Vec::new();
    for case in cases {
        match named.iter_mut().find(|(purpose, _)| *purpose == case.purpose) {
            Some((_, cases)) => cases.push(case),
            None => named.push((case.purpose, vec![case])),
        }
    }
    named
}

/// One purpose over all its lines: a value for each way in which lines differ, else one.
fn purpose_row(purpose: &Purpose, cases: &[&Case<'_>], phrases: &Phrases) -> Row {
    let name = phrases.say("purpose", purpose.as_str()).to_owned();
    let over_lines = |say: &dyn Fn(&Case<'_>) -> String| {
        let said: BTreeSet<String> = cases.iter().map(|case| say(case)).collect();
        if said.len() == 1 {
            return said.into_iter().next().unwrap_or_default();
        }
        let by_line =
            cases.iter().map(|case| phrases.with("phrase", "on-line", &[&case.line.name, &say(case)]));
        by_line.collect::<Vec<_>>().join(" ; ")
    };
    let bases: BTreeSet<Basis> = cases.iter().flat_map(|case| case.bases()).collect();
    let basis =
        bases.iter().map(|basis| phrases.say("basis", basis.as_str())).collect::<Vec<_>>().join(" ; ");
    let open_basis = phrases.with("open", "basis", &[&name]);
    let kept = match cases.iter().find(|case| case.kept(phrases).is_none()) {
        Some(case) => Value::Open(phrases.with("open", "bound", &[&name, &case.line.name])),
        None => over_lines(&|case| case.kept(phrases).unwrap_or_default()).into(),
    };
    let sources: BTreeSet<&str> =
        cases.iter().flat_map(|case| case.cites()).map(|(_, source)| source.cite.as_str()).collect();
    Row::from([
        ("basis", Value::of(Some(&basis), &open_basis)),
        ("gate", over_lines(&|case| phrases.say("gate", case.combined.gate.as_str()).to_owned()).into()),
        ("duty", over_lines(&|case| phrases.say("duty", case.combined.duty.as_str()).to_owned()).into()),
        (
            "refusal",
            over_lines(&|case| phrases.say("refusal", case.combined.refusal.as_str()).to_owned()).into(),
        ),
        ("objection", over_lines(&|case| case.objection(phrases)).into()),
        ("phase", over_lines(&|case| case.phase(phrases)).into()),
        ("cap", over_lines(&|case| case.cap(phrases)).into()),
        ("erasure", over_lines(&|case| case.erasure(phrases)).into()),
        ("kept", kept),
        ("lines", phrases.list(cases.iter().map(|case| &case.line.name)).into()),
        (
            "sources",
            Value::of(
                Some(&sources.into_iter().collect::<Vec<_>>().join(" ; ")),
                phrases.say("phrase", "no-rule"),
            ),
        ),
        ("name", name.into()),
    ])
}

impl Case<'_> {
    fn bases(&self) -> BTreeSet<Basis> {
        self.force.rules.iter().filter_map(|rule| rule.rule.basis).collect()
    }

    /// Countries for which an instrument of transfer is asked.
    pub(super) fn transfers(&self) -> &BTreeSet<Territory> {
        &self.transfers
    }

    fn objection(&self, phrases: &Phrases) -> String {
        phrases.say("phrase", if self.combined.objection_offered { "offered" } else { "withheld" }).to_owned()
    }

    fn phase(&self, phrases: &Phrases) -> String {
        let phases: Vec<_> =
            self.combined.phases.iter().map(|phase| phrases.say("phase", phase.as_str())).collect();
        if phases.is_empty() { phrases.say("phase", "whole-call").to_owned() } else { phases.join(" ; ") }
    }

    fn cap(&self, phrases: &Phrases) -> String {
        let Some(cap) = self.combined.cap.filter(|_| self.combined.phases.is_empty()) else {
            return phrases.say("phrase", "no-cap").to_owned();
        };
        let raised = caps(&self.force).map(|cap| cap.max.max(cap.exception_max.unwrap_or(0))).min();
        match raised.filter(|raised| *raised > cap) {
            Some(raised) => {
                let rates = [phrases.rate(cap.into()), phrases.rate(raised.into())];
                phrases.with("phrase", "up-to-exception", &[&rates[0], &rates[1]])
            }
            None => phrases.rate(cap.into()),
        }
    }

    fn erasure(&self, phrases: &Phrases) -> String {
        let keeps = self.force.rules.iter().any(|rule| rule.rule.survives_erasure);
        phrases.say("phrase", if keeps { "keep" } else { "yield" }).to_owned()
    }

    /// How long recordings are kept, by all rules together; none where nothing limits it.
    pub(super) fn kept(&self, phrases: &Phrases) -> Option<String> {
        let retentions = || self.force.rules.iter().map(|rule| &rule.rule.retention);
        if self.combined.no_bound {
            return None;
        }
        if let Some(waiting) = retentions().find(|retention| retention.waits()) {
            return Some(exactly(waiting, phrases));
        }
        let longest =
            retentions().flat_map(|r| [r.min, r.exact]).flatten().max_by_key(|period| period.weight());
        let shortest =
            retentions().flat_map(|r| [r.max, r.exact]).flatten().min_by_key(|period| period.weight());
        Some(span(longest, shortest, phrases))
    }

    fn cites(&self) -> impl Iterator<Item = (&Arc<str>, &crate::pack::Source)> {
        self.force.rules.iter().filter_map(|rule| Some((rule, rule.file.as_deref()?))).flat_map(
            |(rule, pack)| {
                rule.rule
                    .sources
                    .iter()
                    .flatten()
                    .filter_map(|name| Some((&rule.rule.reference, pack.sources.get(name)?)))
            },
        )
    }

    fn row(&self, phrases: &Phrases) -> Row {
        let mut row = purpose_row(self.purpose, &[self], phrases);
        row.insert("line", (&*self.line.name).into());
        let rules: Vec<_> = self.force.references().into_iter().collect();
        row.insert("rules", Value::of(Some(&phrases.list(&rules)), phrases.say("phrase", "no-rule")));
        row
    }
}

fn span(min: Option<Period>, max: Option<Period>, phrases: &Phrases) -> String {
    match (min.map(|min| (min, phrases.period(min))), max.map(|max| (max, phrases.period(max)))) {
        (None, None) => phrases.say("paper", "none").to_owned(),
        (None, Some((_, max))) => phrases.with("phrase", "at-most", &[&max]),
        (Some((least, min)), Some((most, max))) if least.weight() < most.weight() => {
            phrases.with("phrase", "between", &[&min, &max])
        }
        (Some((_, min)), _) => phrases.with("phrase", "at-least", &[&min]),
    }
}

fn exactly(retention: &Retention, phrases: &Phrases) -> String {
    let length = match retention.exact {
        Some(exact) => phrases.period(exact),
        None => span(retention.min, retention.max, phrases),
    };
    let anchor = retention.anchor.map_or("", |anchor| phrases.say("anchor", anchor.as_str()));
    let provisional = retention.provisional.map(|period| phrases.period(period)).unwrap_or_default();
    phrases.with("phrase", "exactly", &[&length, anchor, &provisional])
}

/// One row for each purpose and rule that sets a period.
fn retention(cases: &[Case<'_>], phrases: &Phrases) -> Vec<Row> {
    let mut rows: BTreeMap<(&Purpose, &str), (BTreeSet<&str>, Row)> = BTreeMap::new();
    for case in cases {
        let with_period = case.force.rules.iter().filter(|rule| rule.rule.retention != Retention::default());
        for in_force in with_period {
            let (rule, retention) = (&*in_force.rule, &in_force.rule.retention);
            let anchor = match retention.anchor {
                Some(anchor) => anchor,
                None if retention.max.is_some() => Anchor::RecStart,
                None => Anchor::RecEnd,
            };
            let period =
                |period: Option<Period>| period.map_or_else(|| "–".to_owned(), |p| phrases.period(p));
            let cites: Vec<_> = case
                .cites()
                .filter(|(name, _)| **name == rule.reference)
                .map(|(_, s)| s.cite.as_str())
                .collect();
            let own = phrases.say("phrase", "tightened");
            let row = Row::from([
                ("purpose", phrases.say("purpose", case.purpose.as_str()).into()),
                ("rule", (&*rule.reference).into()),
                ("min", period(retention.min.or(retention.exact)).into()),
                ("max", period(retention.max.or(retention.exact)).into()),
                ("extended", period(retention.extended).into()),
                ("reports", period(retention.report_max).into()),
                ("provisional", period(retention.provisional).into()),
                (
                    "hard",
                    phrases.say("paper", if retention.hard_max == Some(true) { "yes" } else { "no" }).into(),
                ),
                ("anchor", phrases.say("anchor", anchor.as_str()).into()),
                ("zone", in_force.zone.name().into()),
                ("source", Value::from(if cites.is_empty() { own.to_owned() } else { cites.join(" ; ") })),
            ]);
            rows.entry((case.purpose, &*rule.reference))
                .or_insert_with(|| (BTreeSet::new(), row))
                .0
                .insert(&case.line.name);
        }
    }
    let with_lines = |(lines, mut row): (BTreeSet<&str>, Row)| {
        row.insert("lines", phrases.list(lines).into());
        row
    };
    rows.into_values().map(with_lines).collect()
}

/// Every source of a rule in force, once, with the rules that rest on it.
fn sources(cases: &[Case<'_>], phrases: &Phrases) -> Vec<Row> {
    let mut rules: BTreeMap<&str, (Confidence, BTreeSet<&str>)> = BTreeMap::new();
    for (rule, source) in cases.iter().flat_map(|case| case.cites()) {
        rules.entry(&source.cite).or_insert((source.confidence, BTreeSet::new())).1.insert(rule);
    }
    let row = |(cite, (confidence, rules)): (&str, (Confidence, BTreeSet<&str>))| {
        Row::from([
            ("cite", cite.into()),
            ("confidence", phrases.say("confidence", confidence.as_str()).into()),
            ("rules", phrases.list(rules).into()),
        ])
    };
    rules.into_iter().map(row).collect()
}

fn never(policy: &Policy, cases: &[Case<'_>], phrases: &Phrases) -> Vec<Row> {
    let overlays = policy.site().overlays.iter().filter_map(|id| policy.packs().named(id));
    let files = cases
        .iter()
        .flat_map(|case| &case.force.rules)
        .filter_map(|rule| rule.file.as_deref())
        .chain(overlays);
    let never: BTreeSet<&str> =
        NEVER.into_iter().chain(files.flat_map(|pack| pack.never.iter().map(|n| &**n))).collect();
    never.into_iter().map(|never| Row::from([("what", phrases.say("never", never).into())])).collect()
}
