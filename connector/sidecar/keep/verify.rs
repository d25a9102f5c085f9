//! Whether everything is as it was written down: the journal against itself, the vault against the index, the index
//! against the journal, and each recording against the story of its call. In bounded memory, whatever their size.

use temoin_core::id::{CallId, SegmentId};
use temoin_core::journal::{Broken, Hash, KeptNote, Verifier, What};
use temoin_core::ports::{SegmentQuery, SegmentRecord, Store, StoreError, Vault, VaultError};
use temoin_core::proof::{self, Breach, Line, Unseen};
use temoin_core::segment::State;

/// Rows read at a time.
pub(super) const PAGE: u32 = 500;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Rows of the journal that verify, from the first on.
    pub rows: u64,
    /// Of these, erased on their date.
    pub erased: u64,
    /// The last of those, 0 for none: what the journal tells before it may lack lines.
    pub erased_until: u64,
    /// The hash of the last of them. Whoever wrote it down earlier can look for it.
    pub head: Hash,
    /// Where the chain breaks; what comes after it was not looked at.
    pub broken: Option<Broken>,
    /// Recordings in the index.
    pub kept: u64,
    /// Objects in the vault.
    pub objects: u64,
    /// Recordings that could not be held against the stories of their calls, or not wholly.
    pub unseen: NotSeen,
    /// What is wrong with them.
    pub faults: Vec<Fault>,
}

/// How many recordings nobody can call sound or broken, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotSeen {
    /// What decided over them was erased on its date, or may have been.
    pub erased: u64,
    /// The clock was set while they were recorded: only their own end was looked at.
    pub clock_set: u64,
    /// A law demanded them and nobody saw them begin.
    pub no_start: u64,
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
    /// It holds what the story of its call forbids, or the story does not tell of it.
    #[error("segment {0} of call {1}: {2}")]
    Against(SegmentId, CallId, Breach),
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

impl NotSeen {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.erased + self.clock_set + self.no_start
    }

    fn count(&mut self, why: Unseen) {
        *match why {
            Unseen::Erased => &mut self.erased,
            Unseen::ClockSet => &mut self.clock_set,
            Unseen::NoStart => &mut self.no_start,
        } += 1;
    }
}

/// Looks at everything: the whole journal, every object. The program may go on meanwhile.
pub async fn verify(store: &dyn Store, vault: &dyn Vault) -> Result<Report, VerifyError> {
    let mut report = journal(store).await?;
    objects(store, vault, &mut report).await?;
    recordings(store, vault, &mut report).await?;
    Ok(report)
}

async fn journal(store: &dyn Store) -> Result<Report, VerifyError> {
    let mut verifier = Verifier::default();
    let (mut broken, mut erased_until) = (None, 0);
    while broken.is_none() {
        let links = store.chain(verifier.state().0, PAGE).await?;
        if links.is_empty() {
            break;
        }
        for link in &links {
            broken = verifier.next(link).err();
            if broken.is_some() {
                break;
            }
            if link.content.is_none() {
                erased_until = link.seq;
            }
        }
    }
    let (rows, erased, head) = verifier.state();
    let (unseen, faults) = (NotSeen::default(), Vec::new());
    Ok(Report { rows, erased, erased_until, head, broken, kept: 0, objects: 0, unseen, faults })
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

/// Every kept row must have an object with the bytes that it names, a line of the journal that names the same, and a
/// story that lets all of it be kept.
async fn recordings(store: &dyn Store, vault: &dyn Vault, report: &mut Report) -> Result<(), VerifyError> {
    let mut after = None;
    loop {
        let rows = store.segments(SegmentQuery::After(State::Kept, after, PAGE)).await?;
        for row in &rows {
            report.kept += 1;
            let story = story(store, &row.segment.call).await?;
            let judgement = proof::judge(&story, row.segment.id, report.erased_until);
            let mut faults: Vec<Fault> =
                fault(vault, row, &story, report.erased > 0).await?.into_iter().collect();
            let (id, call) = (row.segment.id, &row.segment.call);
            // Of one that the journal does not name at all this says the same again.
            let is_told = !matches!(faults.last(), Some(Fault::Unproven(_)));
            faults.extend(told(judgement.breaches.clone(), id, call, is_told));
            let is_sound = faults.is_empty();
            // Disposed of while we looked: no fault.
            if !is_sound && self::row(store, id).await?.is_none_or(|row| row.state != State::Kept) {
                continue;
            }
            report.faults.extend(faults);
            if let Some(why) = judgement.unseen {
                report.unseen.count(why);
            }
        }
        match rows.last() {
            Some(last) => after = Some(last.segment.id),
            None => return Ok(()),
        }
    }
}

fn told(
    breaches: Vec<Breach>,
    id: SegmentId,
    call: &CallId,
    is_told: bool,
) -> impl Iterator<Item = Fault> + use<'_> {
    let said = move |breach: &Breach| is_told || *breach != Breach::Untold;
    breaches.into_iter().filter(said).map(move |breach| Fault::Against(id, call.clone(), breach))
}

async fn fault(
    vault: &dyn Vault,
    row: &SegmentRecord,
    story: &[Line],
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
    let proven = match note(story, id) {
        Some(note) => {
            (&note.cipher_sha256, Some(&note.sha256)) == (&sealed.cipher_sha256, row.sha256.as_ref())
        }
        None => some_erased,
    };
    Ok((!proven).then_some(Fault::Unproven(id)))
}

/// What the journal says of a kept segment.
fn note(story: &[Line], id: SegmentId) -> Option<&KeptNote> {
    story.iter().rev().find_map(|(_, entry)| match &entry.what {
        What::Kept(note) if entry.segment == Some(id) => Some(note),
        _ => None,
    })
}

/// What the journal tells of a call, as far as it was not erased.
pub(super) async fn story(store: &dyn Store, call: &CallId) -> Result<Vec<Line>, StoreError> {
    let links = store.story(call).await?;
    Ok(links.iter().filter_map(|link| Some((link.seq, link.entry()?))).collect())
}

async fn row(store: &dyn Store, id: SegmentId) -> Result<Option<SegmentRecord>, StoreError> {
    Ok(store.segments(SegmentQuery::Id(id)).await?.pop())
}
