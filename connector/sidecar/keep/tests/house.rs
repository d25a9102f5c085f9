//! The keeper with all that it needs, on fakes, and segments to feed it with.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use temoin_core::id::{CallId, SegmentId};
use temoin_core::journal::{Entry, Link, What};
use temoin_core::ports::{Change, SegmentQuery, SegmentRecord, Store, Vault};
use temoin_core::segment::{Closing, Deadlines, Ending, Segment};
use temoin_core::testing::{ManualClock, MemoryStore, MemoryVault};
use tempfile::TempDir;

use crate::audio::tests::wav;
use crate::keep::{Keeper, Settings};

pub const RATE: u32 = 8000;

/// One keeper, one call, as many segments as wanted.
pub struct House {
    pub dir: TempDir,
    pub store: Arc<MemoryStore>,
    pub vault: Arc<MemoryVault>,
    pub clock: Arc<ManualClock>,
    pub keeper: Keeper,
}

impl House {
    pub fn new() -> Self {
        let dir = TempDir::new().expect("dir");
        fs::create_dir(dir.path().join("spool")).expect("spool");
        let store = Arc::new(MemoryStore::new("node-1", "site-1"));
        let vault = Arc::new(MemoryVault::default());
        let clock = Arc::new(ManualClock::new(end(1_000)));
        let settings = Settings::new(dir.path().join("spool"));
        let keeper = Keeper::new(store.clone(), vault.clone(), clock.clone(), settings).expect("keeper");
        Self { dir, store, vault, clock, keeper }
    }

    pub async fn commit(&self, changes: Vec<Change>) {
        self.store.commit(changes).await.expect("commit");
    }

    pub async fn close(&self, n: u8, closing: Closing) {
        self.commit(vec![Change::Open(segment(n)), Change::Close(id(n), closing)]).await;
    }

    /// The same, and the journal tells it.
    pub async fn tell(&self, n: u8, closing: Closing, during: &[(i64, &str)]) {
        self.commit(told(n, closing, during)).await;
    }

    pub fn record(&self, n: u8, customer: &[i16], agent: &[i16]) {
        self.write(n, "in", &wav(customer));
        self.write(n, "out", &wav(agent));
    }

    pub fn write(&self, n: u8, side: &str, bytes: &[u8]) {
        fs::write(self.path(n, side), bytes).expect("write");
    }

    pub fn path(&self, n: u8, side: &str) -> PathBuf {
        file(&self.dir.path().join("spool"), n, side)
    }

    pub fn spool(&self) -> Vec<String> {
        names(&self.dir.path().join("spool"))
    }

    pub async fn row(&self, n: u8) -> SegmentRecord {
        self.store.segments(SegmentQuery::Id(id(n))).await.expect("segments").pop().expect("row")
    }

    pub async fn read(&self, row: &SegmentRecord) -> Vec<u8> {
        let sealed = row.sealed.as_ref().expect("sealed");
        self.vault.read(row.segment.id, sealed, 0..u64::MAX).await.expect("read")
    }

    pub async fn story(&self) -> Vec<What> {
        let links = self.store.story(&CallId("c1".into())).await.expect("story");
        links.iter().map(|link| entry_of(link).what).collect()
    }
}

/// A segment opened and closed, as the journal tells it: with what is decided so many milliseconds after its beginning,
/// and that it was allowed again 9 s after.
pub fn told(n: u8, closing: Closing, during: &[(i64, &str)]) -> Vec<Change> {
    let entry = |at, what| Change::Journal(Entry { segment: Some(id(n)), what, ..decided(at, "ok") });
    let mut changes = vec![
        Change::Journal(decided(0, "ok")),
        entry(0, What::Opened { purposes: segment(n).purposes }),
        Change::Open(segment(n)),
    ];
    changes.extend(during.iter().map(|(at, reason)| Change::Journal(decided(*at, reason))));
    changes.push(entry(2_000, What::Closed(closing.clone())));
    changes.push(Change::Close(id(n), closing));
    if !during.is_empty() {
        changes.push(Change::Journal(decided(9_000, "ok")));
    }
    changes
}

/// So long after the beginning, for this reason.
pub fn decided(at: i64, reason: &str) -> Entry {
    let reasons = [("proof".to_owned(), reason.to_owned())].into();
    let what = What::Decided { record: reason == "ok", agents: vec!["amel".into()], reasons };
    Entry { at: end(at), call: Some(CallId("c1".into())), segment: None, what }
}

pub fn file(spool: &Path, n: u8, side: &str) -> PathBuf {
    spool.join(format!("{}-{side}.wav", id(n)))
}

pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("dir");
    entries.map(|entry| entry.expect("entry").file_name().into_string().expect("name")).collect()
}

pub fn entry_of(link: &Link) -> Entry {
    serde_json::from_slice(&link.content.as_ref().expect("content").payload).expect("entry")
}

pub fn start() -> Timestamp {
    Timestamp::from_second(1_793_600_000).expect("instant")
}

/// So many milliseconds after the audio began.
pub fn end(ms: i64) -> Timestamp {
    start() + SignedDuration::from_millis(ms)
}

pub fn id(n: u8) -> SegmentId {
    SegmentId::new(start(), [n; 10])
}

pub fn segment(n: u8) -> Segment {
    Segment {
        id: id(n),
        call: CallId("c1".into()),
        opened: start(),
        since: start(),
        agents: vec!["amel".into()],
        purposes: vec!["proof".into()],
        mandatory: false,
        basis: serde_json::Value::Null,
        retention: Deadlines::default(),
    }
}

pub fn closing(ms: i64) -> Closing {
    Closing {
        from: Some(start()),
        until: end(ms),
        cut_tail: false,
        kept: vec!["proof".into()],
        ending: Ending::HungUp,
        flags: vec![],
        retention: Deadlines::default(),
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub async fn until(mut condition: impl FnMut() -> bool) {
    let limit = std::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(std::time::Instant::now() < limit, "it does not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
