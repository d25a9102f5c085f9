//! Out of existence: the steps for one doomed segment.

use temoin_core::journal::{Entry, What};
use temoin_core::ports::{Change, SegmentRecord};

use super::{Keeper, Outcome, Step, Trouble};

impl Keeper {
    /// All of it, or as far as it goes.
    pub(super) async fn erase(&self, row: &SegmentRecord) -> Result<Outcome, Trouble> {
        let id = row.segment.id;
        if !self.announced(row).await? {
            let entry = self.entry(row, What::Erasing { why: why(row) });
            self.store.commit(vec![Change::Journal(entry)]).await?;
        }
        self.done(id, Step::Announce);

        let shredded = self.vault.shred(id).await;
        if shredded.is_ok() {
            self.done(id, Step::Shred);
        }
        // Plain audio does not wait for a vault that is away.
        self.spool.remove(id).await?;
        self.done(id, Step::Unspool);
        shredded?;

        let entry = self.entry(row, What::Disposed);
        let now = self.clock.now();
        self.store.commit(vec![Change::Dispose(id, now), Change::Journal(entry)]).await?;
        self.done(id, Step::Dispose);
        Ok(Outcome::Disposed)
    }

    /// Whether the journal says already that this erasure begins.
    async fn announced(&self, row: &SegmentRecord) -> Result<bool, Trouble> {
        let story = self.store.story(&row.segment.call).await?;
        let entries = story.iter().filter_map(|link| link.content.as_ref());
        let mut entries =
            entries.filter_map(|content| serde_json::from_slice::<Entry>(&content.payload).ok());
        Ok(entries
            .any(|entry| entry.segment == Some(row.segment.id) && matches!(entry.what, What::Erasing { .. })))
    }
}

/// Why a segment must not exist, as far as its row tells; the journal before it tells the rest.
fn why(row: &SegmentRecord) -> String {
    match &row.closing {
        Some(closing) if closing.kept.is_empty() => "nothing of it may be kept".to_owned(),
        _ => "no purpose remains".to_owned(),
    }
}
