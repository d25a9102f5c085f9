//! Every change of the register, with its line in the journal in the same commit: which entries, and never whose number.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use temoin_core::journal::{self, RegisterAct, RegisterNote, What};
use temoin_core::ports::{Change, RegisterQuery, StoreError};
use temoin_core::register::{Entry, EntryId, State, Subject, Withdrawal};

use super::said::{self, By};
use super::{Book, Desk, unavailable, wrong_use};
use crate::cli::{self, Failure, Outcome};

/// Whence entries come.
#[derive(Clone, Debug)]
pub(super) struct Origin<'a> {
    pub(super) who: &'a str,
    /// SHA-256 of their file, hex.
    pub(super) file: Option<&'a str>,
    /// Whether they are of a list, whose entries remember the file in which they were seen last.
    pub(super) of_list: bool,
}

impl<'a> Origin<'a> {
    pub(super) fn by(who: &'a str) -> Self {
        Self { who, file: None, of_list: false }
    }
}

/// Enters what is not there yet; tells how many that were.
pub(super) async fn enter(
    book: &Book,
    entries: Vec<Entry>,
    origin: &Origin<'_>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let entries: BTreeMap<EntryId, Entry> = entries.into_iter().map(|entry| (entry.id, entry)).collect();
    let known = book.store().register(RegisterQuery::Ids(entries.keys().copied().collect())).await?;
    let known: BTreeSet<EntryId> = known.iter().map(|entry| entry.id).collect();
    let mut new: BTreeMap<String, Vec<EntryId>> = BTreeMap::new();
    for entry in entries.values().filter(|entry| !known.contains(&entry.id)) {
        new.entry(sort(&entry.subject)).or_default().push(entry.id);
    }
    let count = new.values().map(|ids| ids.len() as u64).sum();
    let mut changes: Vec<_> = new
        .into_iter()
        .map(|(of, ids)| {
            let note = RegisterNote::new(RegisterAct::Entered, &of, ids, origin.who);
            line(RegisterNote { file: origin.file.map(str::to_owned), ..note }, now)
        })
        .collect();
    let batch = origin.file.filter(|_| origin.of_list).map(str::to_owned);
    let wanted = entries.into_values().filter(|entry| origin.of_list || !known.contains(&entry.id));
    changes.extend(wanted.map(|entry| Change::Enter(Box::new(entry), batch.clone())));
    book.store().commit(changes).await?;
    Ok(count)
}

/// Erases entries, and tells the journal why.
pub(super) async fn forget(
    book_store: &dyn temoin_core::ports::Store,
    entries: &[Entry],
    act: RegisterAct,
    who: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut sorted: BTreeMap<String, Vec<EntryId>> = BTreeMap::new();
    for entry in entries {
        sorted.entry(sort(&entry.subject)).or_default().push(entry.id);
    }
    let notes = sorted.into_iter().map(|(of, ids)| line(RegisterNote::new(act, &of, ids, who), now));
    let mut changes: Vec<_> = notes.collect();
    changes.extend(entries.iter().map(|entry| Change::Forget(entry.id)));
    book_store.commit(changes).await
}

fn line(note: RegisterNote, at: Timestamp) -> Change {
    Change::Journal(journal::Entry { at, call: None, segment: None, what: What::Register(note) })
}

/// What the journal calls an entry.
fn sort(subject: &Subject) -> String {
    match subject.list() {
        Some(_) => subject.label(),
        None => subject.kind().to_owned(),
    }
}

/// What `temoin register withdraw` is told.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["number", "id"])))]
pub struct WithdrawArgs {
    /// The number whose consents are withdrawn, with its country's code or as dialled in --country.
    number: Option<String>,
    /// One entry, as `list` names it.
    #[arg(long)]
    id: Option<String>,
    /// Of the number only what is about this: marketing, recording, recording:quality, own, request, …
    #[arg(long, value_name = "LABEL", conflicts_with = "id")]
    about: Option<String>,
    /// Of the number the do-not-calls instead of the consents: the person may be called again.
    #[arg(long, conflicts_with = "id")]
    do_not_call: bool,
    /// How the person said so: call, e-mail, web-form, …
    #[arg(long)]
    how: String,
    /// When: a day or an instant; now unless given.
    #[arg(long)]
    at: Option<String>,
    #[command(flatten)]
    by: By,
}

/// `temoin register withdraw`.
pub(super) async fn withdraw(desk: &Desk, args: WithdrawArgs, json: bool) -> Outcome {
    if args.how.trim().is_empty() {
        return Err(wrong_use("--how is empty: say how the person withdrew"));
    }
    let at = args.at.as_deref().map_or(Ok(desk.now), |text| desk.instant(text, false)).map_err(wrong_use)?;
    if at > desk.now {
        return Err(wrong_use("--at lies in the future"));
    }
    let book = desk.look().await?;
    let kind = if args.do_not_call { "do-not-call" } else { "consent" };
    let found = match (&args.number, &args.id) {
        (Some(number), _) => {
            let number = said::number(number, args.by.territory(desk)?.as_ref()).map_err(wrong_use)?;
            let found = book.store().register(RegisterQuery::Number(book.key().tag(&number))).await;
            let mut found = found.map_err(unavailable)?;
            found.retain(|entry| entry.subject.kind() == kind);
            found.retain(|entry| args.about.as_ref().is_none_or(|label| entry.subject.label() == *label));
            found
        }
        (None, Some(id)) => {
            let parsed = EntryId::parse(id);
            let parsed = parsed.ok_or_else(|| wrong_use(format!("`{id}` is not the id of an entry")))?;
            book.store().register(RegisterQuery::Ids(vec![parsed])).await.map_err(unavailable)?
        }
        (None, None) => Vec::new(),
    };
    if let Some(list) = found.iter().find_map(|entry| entry.subject.list()) {
        return Err(wrong_use(format!(
            "what the list `{list}` says is not ours to withdraw: import the list anew"
        )));
    }
    let ids: Vec<EntryId> = found
        .iter()
        .filter(|entry| entry.withdrawn.is_none() && entry.state(desk.now) != State::Expired)
        .map(|entry| entry.id)
        .collect();
    if ids.is_empty() {
        return Err(Failure::NotFound("nothing stands that could be withdrawn".into()));
    }
    let of = found.first().map_or(kind, |entry| entry.subject.kind());
    let mut changes =
        vec![line(RegisterNote::new(RegisterAct::Withdrawn, of, ids.clone(), &args.by.who), desk.now)];
    let withdrawal = Withdrawal { at, how: args.how };
    changes.extend(ids.iter().map(|id| Change::Withdraw(*id, withdrawal.clone())));
    book.store().commit(changes).await.map_err(unavailable)?;
    if json {
        return cli::print(&json!({ "withdrawn": ids }));
    }
    ids.iter().try_for_each(|id| cli::say(format_args!("{id}  withdrawn")))
}
