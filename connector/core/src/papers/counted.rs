//! What the index counted, for the papers; without an index every figure is an open field.

use super::Phrases;
use super::figures::Figures;
use super::fill::{Context, Row, Rows, Value};
use crate::policy::Policy;
use crate::words::Word as _;

/// The newest listenings that a paper lists; the journal has them all.
const LISTED: usize = 200;

/// Puts down what the index counted.
pub(super) fn put(context: &mut Context, policy: &Policy, figures: Option<&Figures>, phrases: &Phrases) {
    context.flags.insert("figures", figures.is_some());
    let zone = &policy.site().zone;
    let open = || Value::Open(phrases.say("open", "figures").to_owned());
    let count = |of: &dyn Fn(&Figures) -> u64| figures.map_or_else(open, |figures| of(figures).into());
    let day = |at: Option<jiff::Timestamp>| match at {
        Some(at) => phrases.day(at, zone).into(),
        None if figures.is_some() => "–".into(),
        None => open(),
    };
    context.values.extend([
        ("seen_from", day(figures.and_then(|figures| Some(figures.seen?.0)))),
        ("seen_until", day(figures.and_then(|figures| Some(figures.seen?.1)))),
        ("calls", count(&|figures| figures.calls)),
        ("announced", count(&|figures| figures.announced)),
        ("not_announced", count(&|figures| figures.not_announced)),
        ("objected", count(&|figures| figures.objected)),
        ("consented", count(&|figures| figures.consented)),
        ("recorded", count(&|figures| figures.recorded)),
        ("kept", count(&|figures| figures.kept)),
        ("disposed", count(&|figures| figures.disposed)),
        ("last_disposal", day(figures.and_then(|figures| figures.last_disposal))),
        ("overdue", count(&|figures| figures.overdue)),
        ("listened", count(&|figures| figures.listened.len() as u64)),
    ]);
    let lots = policy.site().campaigns.values().map(|campaign| {
        let lots = figures.map(|figures| figures.campaigns.get(&*campaign.name).copied().unwrap_or_default());
        let of = |count: &dyn Fn(super::figures::Lots) -> Value| lots.map_or_else(open, count);
        Row::from([
            ("campaign", (&*campaign.name).into()),
            ("purpose", phrases.say("purpose", campaign.purpose.as_str()).into()),
            ("rate", phrases.rate(campaign.rate.into()).into()),
            ("stratify", phrases.say("stratify", campaign.stratify.as_str()).into()),
            ("calls", of(&|lots| lots.calls.into())),
            ("drawn", of(&|lots| lots.drawn.into())),
            (
                "last_rate",
                of(&|lots| {
                    if lots.calls == 0 { "–".into() } else { phrases.rate(lots.rate.into()).into() }
                }),
            ),
            (
                "realised",
                of(&|lots| match (1000 * lots.drawn).checked_div(lots.calls) {
                    Some(realised) => phrases.rate(realised).into(),
                    None => "–".into(),
                }),
            ),
        ])
    });
    let lots = lots.collect();
    let table = |rows: &dyn Fn(&Figures) -> Vec<Row>| match figures {
        Some(figures) => Rows::Known(rows(figures)),
        None => Rows::Open(phrases.say("open", "figures").to_owned()),
    };
    let recordings = |figures: &Figures| {
        let row = |(purpose, recordings): (&String, &super::figures::Recordings)| {
            Row::from([
                ("purpose", phrases.say("purpose", purpose).into()),
                ("made", recordings.made.into()),
                ("kept", recordings.kept.into()),
            ])
        };
        figures.purposes.iter().map(row).collect()
    };
    let texts = |figures: &Figures| {
        let row = |((language, version), spoken): (&(String, String), &super::figures::Spoken)| {
            Row::from([
                ("language", language.into()),
                ("version", version.into()),
                ("first", phrases.day(spoken.first, zone).into()),
                ("last", phrases.day(spoken.last, zone).into()),
                ("times", spoken.times.into()),
            ])
        };
        figures.texts.iter().map(row).collect()
    };
    let listened = |figures: &Figures| {
        let row = |listening: &super::figures::Listening| {
            let purposes = figures.made_for(listening).into_iter().flatten();
            let purposes = phrases.list(purposes.map(|purpose| phrases.say("purpose", purpose)));
            Row::from([
                ("day", phrases.day(listening.at, zone).into()),
                ("who", listening.who.as_str().into()),
                ("reason", listening.reason.as_str().into()),
                ("purposes", if purposes.is_empty() { "–".into() } else { purposes.into() }),
            ])
        };
        figures.listened.iter().rev().take(LISTED).map(row).collect()
    };
    context.tables.extend([
        ("lots", Rows::Known(lots)),
        ("recordings", table(&recordings)),
        ("announced_text", table(&texts)),
        ("listening", table(&listened)),
    ]);
}
