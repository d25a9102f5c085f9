//! What has had its time: recordings whose disposal is due are doomed, and `keep` erases them.
//!
//! The index tells what is due. The journal tells why, in the same commit that dooms. One that is not due is never
//! touched; one that is doomed already is not found again. Left out: how a recording is erased (`keep`), and what is
//! due when (the core's; a purpose whose own time has passed while another remains only ends access).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use temoin_core::journal::{Entry, What};
use temoin_core::ports::{Change, Clock, SegmentQuery, SegmentRecord, Store, StoreError};
use temoin_core::segment::{Deadlines, State};

/// Looks at least so often. A disposal is planned a day or more before its last moment, so minutes do not matter.
pub const EVERY: Duration = Duration::from_secs(30);
/// Rows taken from the index at a time.
const PAGE: u32 = 256;

/// Dooms what is due. One for a node.
pub struct Sweeper {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Sweeper {
    /// A sweeper of this index.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Passes for ever. `swept` is called with how many were doomed after every pass that went well, `turned` after
    /// every pass.
    pub async fn run(&self, swept: impl Fn(usize), turned: impl Fn()) {
        loop {
            match self.pass().await {
                Ok(doomed) => swept(doomed),
                Err(error) => tracing::error!(%error, "what is due cannot be looked for; it is tried again"),
            }
            turned();
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Dooms all that is due now; tells how many.
    ///
    /// # Errors
    /// The index is away. What was doomed before stays doomed.
    pub async fn pass(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut doomed = 0;
        loop {
            let due = self.store.segments(SegmentQuery::Due(now, PAGE)).await?;
            let due: Vec<_> = due.iter().filter(|row| is_due(row, now)).collect();
            if due.is_empty() {
                break;
            }
            self.doom(&due, now).await?;
            doomed += due.len();
        }
        Ok(doomed + self.unkept(now).await?)
    }

    /// What waits for a vault that is away has its time, too.
    async fn unkept(&self, now: Timestamp) -> Result<usize, StoreError> {
        let (mut doomed, mut after) = (0, None);
        loop {
            let rows = self.store.segments(SegmentQuery::After(State::Closed, after, PAGE)).await?;
            let Some(last) = rows.last() else {
                return Ok(doomed);
            };
            after = Some(last.segment.id);
            let due: Vec<_> = rows.iter().filter(|row| is_due(row, now)).collect();
            if !due.is_empty() {
                self.doom(&due, now).await?;
                doomed += due.len();
            }
        }
    }

    async fn doom(&self, due: &[&SegmentRecord], now: Timestamp) -> Result<(), StoreError> {
        let doom = |row: &&SegmentRecord| {
            let id = row.segment.id;
            let scheduled = row.retention.scheduled.map_or_else(String::new, |at| format!(" on {at}"));
            let what = What::Amended { kept: Vec::new(), why: format!("its time was over{scheduled}") };
            let entry = Entry { at: now, call: Some(row.segment.call.clone()), segment: Some(id), what };
            [Change::Journal(entry), Change::Amend(id, Vec::new(), Deadlines::default())]
        };
        self.store.commit(due.iter().flat_map(doom).collect()).await
    }
}

/// Whether a recording must go now. What must not go yet stays, whatever was planned.
fn is_due(row: &SegmentRecord, now: Timestamp) -> bool {
    matches!(row.state, State::Kept | State::Closed)
        && row.retention.scheduled.is_some_and(|scheduled| scheduled <= now)
        && row.retention.not_before.is_none_or(|not_before| not_before <= now)
}

#[cfg(test)]
mod tests;
