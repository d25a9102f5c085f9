//! `temoin register list`.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use temoin_core::ports::RegisterQuery;
use temoin_core::register::{Entry, State, Subject};

use super::said::{self, By};
use super::{Desk, unavailable, wrong_use};
use crate::cli::{self, Outcome};
use crate::show;

/// Entries taken from the index at a time.
const PAGE: u32 = 1000;

/// What `temoin register list` is told. All that is given must match.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Of this number.
    #[arg(long)]
    number: Option<String>,
    /// `consent` or `do-not-call`.
    #[arg(long)]
    kind: Option<String>,
    /// What they are about: marketing, recording, recording:quality, own, request, list:NAME.
    #[arg(long, value_name = "LABEL")]
    about: Option<String>,
    /// Consents that are limited to this line.
    #[arg(long)]
    line: Option<String>,
    /// Where they stand: standing, later, expired or withdrawn.
    #[arg(long)]
    state: Option<String>,
    /// At the most so many.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    by: By,
}

/// `temoin register list`.
pub(super) async fn list(desk: &Desk, args: ListArgs, json: bool) -> Outcome {
    if let Some(kind) = args.kind.as_deref().filter(|kind| !["consent", "do-not-call"].contains(kind)) {
        return Err(wrong_use(format!("--kind {kind}: write consent or do-not-call")));
    }
    let words = ["later", "standing", "expired", "withdrawn"];
    if let Some(word) = args.state.as_deref().filter(|state| !words.contains(state)) {
        return Err(wrong_use(format!("--state {word}: write one of {}", words.join(", "))));
    }
    let book = desk.look().await?;
    let wanted = |entry: &Entry| {
        let line = match &entry.subject {
            Subject::Consent(consent) => consent.line.as_ref(),
            Subject::DoNotCall(_) => None,
        };
        args.kind.as_ref().is_none_or(|kind| entry.subject.kind() == kind)
            && args.about.as_ref().is_none_or(|label| entry.subject.label() == *label)
            && args.state.as_ref().is_none_or(|word| state(entry.state(desk.now)) == word)
            && args.line.as_ref().is_none_or(|name| line == Some(name))
    };
    let mut found = Vec::new();
    let newest = |found: &mut Vec<Entry>| {
        found.sort_by_key(|entry| std::cmp::Reverse((entry.from, entry.id)));
        found.truncate(args.limit);
    };
    if let Some(number) = &args.number {
        let number = said::number(number, args.by.territory(desk)?.as_ref()).map_err(wrong_use)?;
        let query = RegisterQuery::Number(book.key().tag(&number));
        found = book.store().register(query).await.map_err(unavailable)?;
        found.retain(wanted);
    } else {
        let mut after = None;
        loop {
            let page = book.store().register(RegisterQuery::After(after, PAGE)).await.map_err(unavailable)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            found.extend(page.into_iter().filter(wanted));
            // Millions may match; only the newest are held.
            newest(&mut found);
        }
    }
    newest(&mut found);
    if json {
        let entries: Vec<_> = found.iter().map(|entry| told(entry, desk.now)).collect();
        return cli::print(&json!({ "entries": entries }));
    }
    let zone = &desk.zone;
    let day = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string();
    let mut rows = vec!["ENTRY\tNUMBER\tKIND\tABOUT\tSTATE\tSINCE\tUNTIL\tHOW\tEVIDENCE".to_owned()];
    rows.extend(found.iter().map(|entry| {
        let (how, evidence) = match &entry.subject {
            Subject::Consent(consent) => (consent.how.as_str(), consent.evidence.as_deref()),
            Subject::DoNotCall(no) if no.selling_only => ("selling only", None),
            Subject::DoNotCall(_) => ("for no reason", None),
        };
        let cells = [
            entry.id.to_string(),
            entry.shown.clone(),
            entry.subject.kind().to_owned(),
            entry.subject.label(),
            state(entry.state(desk.now)).to_owned(),
            day(entry.from),
            entry.ends().map_or_else(|| "-".to_owned(), day),
            show::printable(how),
            show::printable(evidence.unwrap_or("-")),
        ];
        cells.join("\t")
    }));
    cli::say(format_args!("{}", show::columns(&rows)))
}

fn told(entry: &Entry, now: Timestamp) -> serde_json::Value {
    let mut told = json!(entry);
    told["state"] = json!(entry.state(now));
    told
}

fn state(state: State) -> &'static str {
    match state {
        State::Later => "later",
        State::Standing => "standing",
        State::Expired => "expired",
        State::Withdrawn => "withdrawn",
    }
}
