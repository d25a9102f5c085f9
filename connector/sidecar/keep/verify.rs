//! Whether everything is as it was written down: the journal against itself, the vault against the index, the index
//! against the journal. In bounded memory, whatever their size.

use serde_json::from_slice;
use temoin_core::id::SegmentId;
use temoin_core::journal::{Broken, Entry, Hash, KeptNote, Verifier, What};
use temoin_core::ports::{SegmentQuery, SegmentRecord, Store, StoreError, Vault, VaultError};
use temoin_core::segment::State;

/// Rows read at a time.
const PAGE: u32 = 500;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Rows of the journal that verify, from the first on.
    pub rows: u64,
    /// Of these, erased on their date.
    pub erased: u64,
    /// The hash of the last of them. Whoever wrote it down earlier can look for it.
    pub head: Hash,
    /// Where the chain breaks; what comes after it was not looked at.
    pub broken: Option<Broken>,
    /// Recordings in the index.
    pub kept: u64,
    /// Objects in the vault.
    pub objects: u64,
    /// What is wrong with them.
    pub faults: Vec<Fault>,
}

/// What can be wrong with a recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The vault has an object of which the index knows nothing.
    #[error("object {0} belongs to no segment")]
    Stray(SegmentId),
    /// The vault has an object of a segment that was disposed of.
    #[error("object {0} should be gone: its segment was disposed of")]
    Undead(SegmentId),
    /// The index has a recording that the vault has not.
    #[error("segment {0} is kept, and the vault has no object of it")]
    Gone(SegmentId),
    /// The vault's bytes are not those that were sealed.
    #[error("object {0} is not what was sealed: {1}")]
    Damaged(SegmentId, String),
    /// The index says of a recording what the journal does not.
    #[error("segment {0}: the journal wrote down other hashes than the index has, or none")]
    Unproven(SegmentId),
}

/// Why it could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The index.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.broken.is_none() && self.faults.is_empty()
    }
}

/// Looks at everything: the whole journal, every object. The program may go on meanwhile.
pub async fn verify(store: &dyn Store, vault: &dyn Vault) -> Result<Report, VerifyError> {
    let (verifier, broken) = journal(store).await?;
    let (rows, erased, head) = verifier.state();
    let mut report = Report { rows, erased, head, broken, kept: 0, objects: 0, faults: Vec::new() };
    objects(store, vault, &mut report).await?;
    recordings(store, vault, &mut report).await?;
    Ok(report)
}

async fn journal(store: &dyn Store) -> Result<(Verifier, Option<Broken>), VerifyError> {
    let mut verifier = Verifier::default();
    loop {
        let links = store.chain(verifier.state().0, PAGE).await?;
        for link in &links {
            if let Err(broken) = verifier.next(link) {
                return Ok((verifier, Some(broken)));
            }
        }
        if links.is_empty() {
            return Ok((verifier, None));
        }
    }
}

/// Every object must have a row. One whose segment is closed or doomed is on its way.
async fn objects(store: &dyn Store, vault: &dyn Vault, report: &mut Report) -> Result<(), VerifyError> {
    for id in vault.list().await? {
        report.objects += 1;
        match row(store, id).await?.map(|row| row.state) {
            None | Some(State::Open) => report.faults.push(Fault::Stray(id)),
            Some(State::Disposed) => report.faults.push(Fault::Undead(id)),
            Some(State::Closed | State::Kept | State::Doomed) => {}
        }
    }
    Ok(())
}

/// Every kept row must have an object with the bytes that it names, and a line of the journal that names the same.
async fn recordings(store: &dyn Store, vault: &dyn Vault, report: &mut Report) -> Result<(), VerifyError> {
    let mut after = None;
    loop {
        let rows = store.segments(SegmentQuery::After(State::Kept, after, PAGE)).await?;
        for row in &rows {
            report.kept += 1;
            let fault = fault(store, vault, row, report.erased > 0).await?;
            // Disposed of while we looked: no fault.
            if let Some(fault) = fault
                && self::row(store, row.segment.id).await?.is_some_and(|row| row.state == State::Kept)
            {
                report.faults.push(fault);
            }
        }
        match rows.last() {
            Some(last) => after = Some(last.segment.id),
            None => return Ok(()),
        }
    }
}

async fn fault(
    store: &dyn Store,
    vault: &dyn Vault,
    row: &SegmentRecord,
    some_erased: bool,
) -> Result<Option<Fault>, VerifyError> {
    let id = row.segment.id;
    let Some(sealed) = &row.sealed else {
        return Ok(Some(Fault::Damaged(id, "its key is not in the index".to_owned())));
    };
    match vault.check(id, sealed).await {
        Ok(()) => {}
        Err(VaultError::Missing(_)) => return Ok(Some(Fault::Gone(id))),
        Err(VaultError::Damaged(_, why)) => return Ok(Some(Fault::Damaged(id, why))),
        Err(error) => return Err(error.into()),
    }
    let proven = match note(store, row).await? {
        Some(note) => {
            (&note.cipher_sha256, Some(&note.sha256)) == (&sealed.cipher_sha256, row.sha256.as_ref())
        }
        None => some_erased,
    };
    Ok((!proven).then_some(Fault::Unproven(id)))
}

/// What the journal says of a kept segment.
async fn note(store: &dyn Store, row: &SegmentRecord) -> Result<Option<KeptNote>, StoreError> {
    let story = store.story(&row.segment.call).await?;
    let contents = story.iter().rev().filter_map(|link| link.content.as_ref());
    let mut entries = contents.filter_map(|content| from_slice::<Entry>(&content.payload).ok());
    Ok(entries.find_map(|entry| match entry.what {
        What::Kept(note) if entry.segment == Some(row.segment.id) => Some(note),
        _ => None,
    }))
}

async fn row(store: &dyn Store, id: SegmentId) -> Result<Option<SegmentRecord>, StoreError> {
    Ok(store.segments(SegmentQuery::Id(id)).await?.pop())
}
