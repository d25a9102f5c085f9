//! Index and vault as one run of the sidecar holds them: slow, away for a while, and silent once that run is dead.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use temoin_core::id::{CallId, SegmentId};
use temoin_core::journal::{Link, What};
use temoin_core::ports::{
    Ballot, CallQuery, CallRecord, Change, Drawn, RegisterCount, RegisterQuery, SegmentQuery, SegmentRecord,
    Store, StoreError, Vault, VaultError,
};
use temoin_core::register::Entry;
use temoin_core::segment::Sealed;
use temoin_core::testing::{MemoryStore, MemoryVault};

/// A promise that is broken, so that it can be seen that the judge sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The index forgets what an objection takes away.
    AmendsAreLost,
    /// Every call counts as drawn.
    AllAreDrawn,
    /// The vault keeps what is shredded.
    NothingIsShredded,
    /// The PBX says that a prompt was heard when it begins.
    HeardTooEarly,
    /// The PBX does not tell who comes in.
    PartiesAreNotTold,
}

/// What lies on the disk, and how the disk is.
#[derive(Debug)]
pub struct Disk {
    pub store: MemoryStore,
    pub vault: MemoryVault,
    /// Milliseconds that it takes before, and after.
    pub slow: AtomicU64,
    pub wrong: Option<Wrong>,
}

impl Disk {
    pub fn new(wrong: Option<Wrong>) -> Self {
        let store = MemoryStore::new("node-1", "site-1");
        Self { store, vault: MemoryVault::default(), slow: AtomicU64::new(0), wrong }
    }
}

/// The disk for one run.
#[derive(Clone, Debug)]
pub struct Shelf {
    disk: Arc<Disk>,
    dead: Arc<AtomicBool>,
}

impl Shelf {
    pub fn new(disk: Arc<Disk>) -> Self {
        Self { disk, dead: Arc::default() }
    }

    /// Nothing is asked for any more, nothing is answered.
    pub fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    async fn gate(&self) {
        let slow = self.disk.slow.load(Ordering::SeqCst);
        if slow > 0 {
            tokio::time::sleep(Duration::from_millis(slow)).await;
        }
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending().await
        }
    }

    /// Before it, and after it: who dies in between does not know that it was done.
    async fn ask<T>(&self, work: impl Future<Output = T>) -> T {
        self.gate().await;
        let result = work.await;
        self.gate().await;
        result
    }
}

/// Whether somebody takes back what was recorded.
fn takes_back(change: &Change) -> bool {
    let Change::Journal(entry) = change else { return false };
    matches!(&entry.what, What::Amended { why, .. } if why == "objected" || why == "private-call")
}

#[async_trait]
impl Store for Shelf {
    async fn commit(&self, mut changes: Vec<Change>) -> Result<(), StoreError> {
        if self.disk.wrong == Some(Wrong::AmendsAreLost) && changes.iter().any(takes_back) {
            changes.retain(|change| !matches!(change, Change::Amend(..)));
        }
        self.ask(self.disk.store.commit(changes)).await
    }

    async fn draw(&self, ballots: Vec<Ballot>) -> Result<Vec<Drawn>, StoreError> {
        let mut drawn = self.ask(self.disk.store.draw(ballots)).await?;
        if self.disk.wrong == Some(Wrong::AllAreDrawn) {
            drawn.iter_mut().for_each(|drawn| drawn.selected = true);
        }
        Ok(drawn)
    }

    async fn draws(&self, campaign: &str) -> Result<Vec<Drawn>, StoreError> {
        self.ask(self.disk.store.draws(campaign)).await
    }

    async fn call(&self, id: &CallId) -> Result<Option<CallRecord>, StoreError> {
        self.ask(self.disk.store.call(id)).await
    }

    async fn calls(&self, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        self.ask(self.disk.store.calls(query)).await
    }

    async fn segments(&self, query: SegmentQuery) -> Result<Vec<SegmentRecord>, StoreError> {
        self.ask(self.disk.store.segments(query)).await
    }

    async fn story(&self, call: &CallId) -> Result<Vec<Link>, StoreError> {
        self.ask(self.disk.store.story(call)).await
    }

    async fn chain(&self, after: u64, limit: u32) -> Result<Vec<Link>, StoreError> {
        self.ask(self.disk.store.chain(after, limit)).await
    }

    async fn register(&self, query: RegisterQuery) -> Result<Vec<Entry>, StoreError> {
        self.ask(self.disk.store.register(query)).await
    }

    async fn register_counts(&self, at: Timestamp) -> Result<Vec<RegisterCount>, StoreError> {
        self.ask(self.disk.store.register_counts(at)).await
    }
}

#[async_trait]
impl Vault for Shelf {
    async fn seal(&self, id: SegmentId, plain: Box<dyn Read + Send>) -> Result<Sealed, VaultError> {
        self.ask(self.disk.vault.seal(id, plain)).await
    }

    async fn read(&self, id: SegmentId, sealed: &Sealed, range: Range<u64>) -> Result<Vec<u8>, VaultError> {
        self.ask(self.disk.vault.read(id, sealed, range)).await
    }

    async fn shred(&self, id: SegmentId) -> Result<(), VaultError> {
        match self.disk.wrong {
            Some(Wrong::NothingIsShredded) => Ok(()),
            _ => self.ask(self.disk.vault.shred(id)).await,
        }
    }

    async fn check(&self, id: SegmentId, sealed: &Sealed) -> Result<(), VaultError> {
        self.ask(self.disk.vault.check(id, sealed)).await
    }

    async fn list(&self) -> Result<Vec<SegmentId>, VaultError> {
        self.ask(self.disk.vault.list()).await
    }
}
