//! Calls that are made: which lines make them, what the law asks for, and what the register has. Counts only: a paper is
//! handed on, and no number is in it.

use super::fill::{Context, Row, Rows, Value};
use super::{Material, Phrases};
use crate::policy::Line;
use crate::ports::RegisterCount;
use crate::register::{self, Because, State};
use crate::words::{Errand, PriorConsent, Word as _};

/// Puts down what is known of calls that are made.
pub(super) fn put(context: &mut Context, material: &Material<'_>, phrases: &Phrases) {
    let policy = material.policy;
    let calling = || policy.site().lines.values().filter_map(|line| Some((line, line.outbound?)));
    context.flags.insert("outbound", calling().next().is_some());
    context.values.extend([
        ("proof_period", phrases.period(register::proof_period(policy)).into()),
        ("consents_standing", count(material, phrases, &|count| stands(count) && is_marketing(count))),
        (
            "consents_unproved",
            count(material, phrases, &|count| stands(count) && is_marketing(count) && !count.evidence),
        ),
        (
            "consents_withdrawn",
            count(material, phrases, &|count| count.state == State::Withdrawn && count.kind == "consent"),
        ),
        ("not_called", count(material, phrases, &|count| stands(count) && count.kind == "do-not-call")),
    ]);
    let rows = |kind: &str| match material.figures {
        None => Rows::Open(phrases.say("open", "figures").to_owned()),
        Some(figures) => {
            let of_kind = figures.register.iter().filter(|count| count.kind == kind);
            Rows::Known(of_kind.map(|count| entry_row(count, material, phrases)).collect())
        }
    };
    context.tables.extend([
        (
            "calling",
            Rows::Known(calling().map(|(line, errand)| line_row(line, errand, material, phrases)).collect()),
        ),
        ("consent", rows("consent")),
        ("no_call", rows("do-not-call")),
    ]);
}

fn stands(count: &RegisterCount) -> bool {
    count.state == State::Standing
}

fn is_marketing(count: &RegisterCount) -> bool {
    count.kind == "consent" && count.label == "marketing"
}

fn count(material: &Material<'_>, phrases: &Phrases, of: &dyn Fn(&RegisterCount) -> bool) -> Value {
    match material.figures {
        None => Value::Open(phrases.say("open", "figures").to_owned()),
        Some(figures) => {
            let counted = figures.register.iter().filter(|count| of(count));
            counted.map(|count| count.entries).sum::<u64>().into()
        }
    }
}

fn line_row(line: &Line, errand: Errand, material: &Material<'_>, phrases: &Phrases) -> Row {
    let at = line.zone.first_instant(material.on);
    let (needed, laws) = register::laws_of(material.policy, line, line.markets.iter().cloned(), errand, at);
    let sources = laws.iter().flat_map(|because| match because {
        Because::Law { sources, consent: PriorConsent::Prior, .. } => sources.clone(),
        Because::NoPack { territory } => {
            vec![phrases.with("phrase", "no-calling-pack", &[&phrases.territory(territory)])]
        }
        _ => Vec::new(),
    });
    let sources = sources.collect::<Vec<_>>().join(" ; ");
    Row::from([
        ("line", (&*line.name).into()),
        ("errand", phrases.say("errand", errand.as_str()).into()),
        ("markets", phrases.list(line.markets.iter().map(|market| phrases.territory(market))).into()),
        ("needed", phrases.say("paper", if needed { "yes" } else { "no" }).into()),
        ("sources", if sources.is_empty() { "–".to_owned() } else { sources }.into()),
    ])
}

fn entry_row(count: &RegisterCount, material: &Material<'_>, phrases: &Phrases) -> Row {
    let zone = &material.policy.site().zone;
    Row::from([
        ("about", about(&count.label, phrases).into()),
        ("how", count.how.as_deref().unwrap_or("–").into()),
        ("line", count.line.as_deref().unwrap_or("–").into()),
        ("state", phrases.say("state", state(count.state)).into()),
        ("proved", phrases.say("paper", if count.evidence { "yes" } else { "no" }).into()),
        ("first", phrases.day(count.first, zone).into()),
        ("last", phrases.day(count.last, zone).into()),
        ("entries", count.entries.into()),
    ])
}

/// What an entry is about, in words: `marketing`, `recording:quality+training`, `list:bloctel`.
fn about(label: &str, phrases: &Phrases) -> String {
    match label.split_once(':') {
        Some(("recording", purposes)) => {
            let purposes = phrases.list(purposes.split('+').map(|purpose| phrases.say("purpose", purpose)));
            phrases.with("about", "recording-for", &[&purposes])
        }
        Some(("list", name)) => phrases.with("about", "list", &[name]),
        _ => phrases.say("about", label).to_owned(),
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Later => "later",
        State::Standing => "standing",
        State::Expired => "expired",
        State::Withdrawn => "withdrawn",
    }
}
