//! What becomes of the recorder's files: into the vault, or out of existence.
//!
//! The index is the queue. A pass takes the rows in state `Closed` and moves them to `Kept`, then those in state
//! `Doomed` to `Disposed`. It may die at any point: every step looks at what is there, and doing it twice does no harm.
//! The order makes it safe. For keeping: sealed, read back and compared; then row and journal in one commit; only then
//! the files go. For erasing: the journal first, then object and files, then row and journal.
//!
//! What cannot go on waits and is tried again: a vault or an index that is away, a file that still grows, a file that
//! nobody understands. Nothing is lost by waiting. Left out: when something must go (that is `sweep`'s), and what may
//! be kept at all (the core's; this room only cuts as it is told).

mod cut;
mod erase;
mod exempt;
mod spool;
mod vaulting;
mod verify;
mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use temoin_core::id::SegmentId;
use temoin_core::ports::{Clock, SegmentQuery, SegmentRecord, Store, StoreError, Vault, VaultError};
use temoin_core::segment::State;
use tokio::sync::Notify;

use crate::audio::AudioError;
use spool::Spool;
use watch::Watches;

pub use exempt::{Beside, Exempt, ExemptCall, exempt};
pub use spool::Orphans;
pub use verify::{Fault, NotSeen, Report, VerifyError, verify};

/// Rows taken from the index at a time.
const PAGE: u32 = 256;

/// Where and how patiently.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory into which the PBX records: `<segment>-in.wav` is the customer's voice, `<segment>-out.wav` what
    /// he heard.
    pub spool: PathBuf,
    /// A file whose lengths nobody wrote into its header is complete once it has not grown for so long: its recorder
    /// died. Much more than a recorder takes from one write to the next (Asterisk: 32 KiB, 2.048 s at 8 kHz), so that
    /// a slow disk does not look like a death; one that was closed properly does not wait for it. Default 10 s.
    pub quiet: Duration,
    /// A file that is not there so long after the end of its segment does not come any more. Default 60 s.
    pub missing: Duration,
    /// A file that still grows so long after the end of its segment is an alarm. Default 60 s.
    pub growing: Duration,
    /// How often [`Keeper::run`] looks again while something waits. Default 500 ms.
    pub poll: Duration,
    /// How often it looks when nothing waits and nobody notifies it; files that ought not to be in the spool any more
    /// are looked for as often. Default 60 s.
    pub rest: Duration,
    /// First and longest pause after a failure; each failure of the same segment doubles it. Default 1 s, 60 s.
    pub backoff: (Duration, Duration),
    /// Segments worked on at a time. Default 4.
    pub parallel: usize,
}

impl Settings {
    /// The defaults.
    pub fn new(spool: impl Into<PathBuf>) -> Self {
        Self {
            spool: spool.into(),
            quiet: Duration::from_secs(10),
            missing: Duration::from_secs(60),
            growing: Duration::from_secs(60),
            poll: Duration::from_millis(500),
            rest: Duration::from_secs(60),
            backoff: (Duration::from_secs(1), Duration::from_secs(60)),
            parallel: 4,
        }
    }
}

/// What was just done for a segment. Between any two of them the process may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Keeping: its files were found.
    Locate,
    /// They have stopped growing.
    Settle,
    /// Their samples were found, whatever their headers say.
    Repair,
    /// It is known which of them may be kept.
    Measure,
    /// They were joined, listened to and hashed.
    Join,
    /// The vault has them, and gives the same bytes back.
    Seal,
    /// Row and journal say so.
    Index,
    /// Its files are gone from the spool. Erasing, too.
    Unspool,
    /// There is nothing to keep: the journal says why, and the row is doomed.
    Lose,
    /// Erasing: the journal says that it begins.
    Announce,
    /// The vault no longer has it.
    Shred,
    /// Row and journal say that it is gone.
    Dispose,
}

/// Called after each step.
type Hook = Arc<dyn Fn(SegmentId, Step) + Send + Sync>;

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Segments that went into the vault.
    pub kept: u32,
    /// Segments of which there was nothing to keep.
    pub lost: u32,
    /// Segments that are gone.
    pub disposed: u32,
    /// Segments whose files should have been gone before, and now are.
    pub tidied: u32,
    /// Segments that are not ready yet.
    pub waiting: u32,
    /// Segments with which something went wrong; they are tried again.
    pub failed: u32,
    /// Whether the index or the spool was away, so that the pass ended early.
    pub blocked: bool,
}

/// Moves segments on. One for a node.
pub struct Keeper {
    store: Arc<dyn Store>,
    vault: Arc<dyn Vault>,
    clock: Arc<dyn Clock>,
    /// For how long something lasts: the same, unless another is given.
    steady: Arc<dyn Clock>,
    settings: Settings,
    spool: Spool,
    watches: Watches,
    wake: Notify,
    alarms: AtomicU64,
    hook: Hook,
}

/// What became of a segment in a pass.
enum Outcome {
    Kept,
    Lost,
    Disposed,
    Waiting,
}

/// Why a segment did not get on.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Audio(#[from] AudioError),
    #[error("the spool cannot be used: {0}")]
    Spool(#[from] io::Error),
    #[error("its two sides have {0} and {1} samples per second")]
    Rates(u32, u32),
    #[error("its file still grows, long after its end: a recorder was not stopped")]
    Growing,
}

impl Keeper {
    /// A keeper for this spool, which must be there.
    pub fn new(
        store: Arc<dyn Store>,
        vault: Arc<dyn Vault>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> io::Result<Self> {
        Ok(Self {
            store,
            vault,
            steady: Arc::clone(&clock),
            clock,
            spool: Spool::open(&settings.spool)?,
            watches: Watches::default(),
            wake: Notify::new(),
            alarms: AtomicU64::new(0),
            hook: Arc::new(|_, _| {}),
            settings,
        })
    }

    /// Measures by this clock how long files rest: one that nobody sets.
    pub fn with_steady(mut self, steady: Arc<dyn Clock>) -> Self {
        self.steady = steady;
        self
    }

    /// Calls this after each step: for tests that stop the process there.
    pub fn with_hook(mut self, hook: impl Fn(SegmentId, Step) + Send + Sync + 'static) -> Self {
        self.hook = Arc::new(hook);
        self
    }

    /// Something was closed or doomed: look now.
    pub fn notify(&self) {
        self.wake.notify_one();
    }

    /// How often something went wrong since the start.
    pub fn alarms(&self) -> u64 {
        self.alarms.load(Ordering::Relaxed)
    }

    /// Passes until `shutdown` is ready. A pass that is interrupted is taken up by the next start.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut blocked = 0;
        loop {
            let progress = tokio::select! {
                () = &mut shutdown => return,
                progress = self.pass() => progress,
            };
            blocked = if progress.blocked { blocked + 1 } else { 0 };
            let (pause, notified) = match progress {
                Progress { blocked: true, .. } => (self.backoff(blocked), false),
                Progress { waiting: 0, failed: 0, .. } => (self.settings.rest, true),
                _ => (self.settings.poll, true),
            };
            tokio::select! {
                () = &mut shutdown => return,
                () = self.wake.notified(), if notified => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks at every row that waits once, and moves it on as far as it goes.
    pub async fn pass(&self) -> Progress {
        let mut progress = Progress::default();
        if let Err(trouble) = self.all(&mut progress).await {
            self.alarm(None, &trouble);
            progress.blocked = true;
        }
        progress
    }

    /// Files without a row, and rows without a file. Rows that the next pass may still find files for are not told.
    pub async fn orphans(&self) -> Result<Orphans, OrphansError> {
        let mut orphans = self.spool.strangers().await?;
        for id in self.spool.list().await? {
            if self.row(id).await?.is_none() {
                orphans.files.push(id);
            }
        }
        let now = self.clock.now();
        let mut after = None;
        loop {
            let rows = self.store.segments(SegmentQuery::After(State::Closed, after, PAGE)).await?;
            for row in &rows {
                let overdue = watch::since_end(row, now).is_some_and(|since| since >= self.settings.missing);
                if overdue && self.spool.find(row.segment.id).await?.is_empty() {
                    orphans.rows.push(row.segment.id);
                }
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE as usize => after = Some(last.segment.id),
                _ => return Ok(orphans),
            }
        }
    }

    async fn all(&self, progress: &mut Progress) -> Result<(), Trouble> {
        self.spool.present().await?;
        let mut seen = Vec::new();
        for state in [State::Closed, State::Doomed] {
            let mut after = None;
            loop {
                let rows = self.store.segments(SegmentQuery::After(state, after, PAGE)).await?;
                after = rows.last().map(|row| row.segment.id);
                let full = rows.len() == PAGE as usize;
                seen.extend(rows.iter().map(|row| row.segment.id));
                let parallel = self.settings.parallel.max(1);
                let mut results =
                    futures::stream::iter(rows).map(|row| self.one(row)).buffer_unordered(parallel);
                while let Some(result) = results.next().await {
                    progress.count(result?);
                }
                if !full {
                    break;
                }
            }
        }
        self.watches.retain(&seen);
        if self.watches.is_time_to_tidy(self.steady.now(), self.settings.rest) {
            progress.tidied += self.tidy().await?;
        }
        Ok(())
    }

    /// Only an index that is away ends the pass; all other trouble is this segment's own.
    async fn one(&self, row: SegmentRecord) -> Result<Option<Outcome>, Trouble> {
        let id = row.segment.id;
        let now = self.steady.now();
        if self.watches.is_resting(id, now, self.settings.backoff.1) {
            return Ok(None);
        }
        let result = match row.state {
            State::Closed => self.keep(&row).await,
            State::Doomed => self.erase(&row).await,
            _ => return Ok(Some(Outcome::Waiting)),
        };
        match result {
            Ok(outcome) => Ok(Some(outcome)),
            Err(trouble @ Trouble::Store(StoreError::Unavailable(_))) => Err(trouble),
            Err(trouble) => {
                self.alarm(Some(id), &trouble);
                let failures = self.watches.failed(id);
                self.watches.rest(id, now, self.backoff(failures));
                Ok(None)
            }
        }
    }

    /// Removes files whose segment is kept or disposed of: a crash, or a recorder that was late, left them.
    async fn tidy(&self) -> Result<u32, Trouble> {
        let mut tidied = 0;
        for id in self.spool.list().await? {
            if let Some(row) = self.row(id).await?
                && matches!(row.state, State::Kept | State::Disposed)
            {
                self.spool.remove(id).await?;
                self.done(id, Step::Unspool);
                tidied += 1;
            }
        }
        Ok(tidied)
    }

    async fn row(&self, id: SegmentId) -> Result<Option<SegmentRecord>, StoreError> {
        Ok(self.store.segments(SegmentQuery::Id(id)).await?.pop())
    }

    fn done(&self, id: SegmentId, step: Step) {
        (self.hook)(id, step);
    }

    fn backoff(&self, failures: u32) -> Duration {
        let (first, longest) = self.settings.backoff;
        first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
    }

    fn alarm(&self, id: Option<SegmentId>, trouble: &Trouble) {
        self.alarms.fetch_add(1, Ordering::Relaxed);
        match id {
            Some(segment) => {
                tracing::error!(%segment, %trouble, "a segment does not get on; it is tried again")
            }
            None => tracing::error!(%trouble, "segments wait"),
        }
    }
}

/// Why orphans cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum OrphansError {
    /// The index.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The spool.
    #[error("the spool cannot be used: {0}")]
    Spool(#[from] io::Error),
}

impl Progress {
    fn count(&mut self, outcome: Option<Outcome>) {
        let counter = match outcome {
            Some(Outcome::Kept) => &mut self.kept,
            Some(Outcome::Lost) => &mut self.lost,
            Some(Outcome::Disposed) => &mut self.disposed,
            Some(Outcome::Waiting) => &mut self.waiting,
            None => &mut self.failed,
        };
        *counter += 1;
    }
}

#[cfg(test)]
mod tests;
