//! What SQLite adds to the conformance suite: locks, neighbours, crashes, plans, what lies on the disk.

mod model;
mod plans;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use jiff::Timestamp;
use sqlx::{Connection as _, SqliteConnection};
use temoin_core::event::Direction;
use temoin_core::id::SegmentId;
use temoin_core::journal::{Entry, Verifier, What};
use temoin_core::segment::{Closing, Deadlines, Ending, Kept, Sealed, Segment};
use temoin_core::testing::store::suite;
use tempfile::TempDir;

use tokio::time::timeout;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    let dir = TempDir::new().expect("dir");
    let files = std::sync::atomic::AtomicU32::new(0);
    suite(async || {
        let n = files.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(open(&dir.path().join(format!("{n}.db"))).await) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn the_file_is_ours_alone_and_lasts() {
    let dir = TempDir::new().expect("dir");
    let path = dir.path().join("index.db");
    let store = open(&path).await;
    store.commit(vec![line("c1", "x")]).await.expect("commit");
    for name in ["index.db", "index.db-wal", "index.db-shm"] {
        let mode = fs::metadata(dir.path().join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    drop(store);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("chmod");
    let store = open(&path).await;
    assert_eq!(fs::metadata(&path).expect("file").permissions().mode() & 0o777, 0o600);
    store.commit(vec![line("c1", "y")]).await.expect("commit");
    assert_eq!(verify(&store).await, 2, "one chain across openings");
}

#[tokio::test]
async fn what_is_no_index_is_refused() {
    let dir = TempDir::new().expect("dir");
    let text = dir.path().join("text");
    fs::write(&text, "not a database, and long enough to have a header of one hundred bytes".repeat(4))
        .expect("write");
    let opened = SqliteStore::open(&text, "node-1", "site-1", Options::default()).await;
    assert!(matches!(opened, Err(OpenError::Database(_))), "{opened:?}");
    let opened = SqliteStore::open(&dir.path().join("no/dir"), "node-1", "site-1", Options::default()).await;
    assert!(matches!(opened, Err(OpenError::File(_))), "{opened:?}");

    let newer = dir.path().join("newer.db");
    open(&newer).await;
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
               VALUES (9999, 'later', TRUE, x'00', 0)";
    sqlx::query(sql).execute(&mut stranger(&newer).await).await.expect("insert");
    let opened = SqliteStore::open(&newer, "node-1", "site-1", Options::default()).await;
    assert!(matches!(opened, Err(OpenError::Migration(_))), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_index_is_unavailable_within_bounds_and_then_goes_on() {
    let dir = TempDir::new().expect("dir");
    let path = dir.path().join("index.db");
    let patient = open(&path).await;
    let options = Options { patience: Duration::from_millis(600), ..Options::default() };
    let hasty = SqliteStore::open(&path, "node-2", "site-1", options).await.expect("open");
    let mut stranger = stranger(&path).await;
    let lock = stranger.begin_with("BEGIN IMMEDIATE").await.expect("lock");

    let waiting = tokio::spawn({
        let patient = patient.clone();
        async move { patient.commit(vec![line("patient", "waits")]).await }
    });
    let begun = Instant::now();
    let refused = join_all((0..40).map(|n| hasty.commit(vec![line("hasty", &n.to_string())]))).await;
    // One after the other they would take twenty-four.
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    assert!(refused.iter().all(|answer| matches!(answer, Err(StoreError::Unavailable(_)))), "{refused:?}");
    assert!(hasty.chain(0, 10).await.expect("readers go on").is_empty());
    // A future that is dropped while it waits harms nobody: it is written, or nothing of it is.
    assert!(
        timeout(Duration::from_millis(50), hasty.commit(vec![line("dropped", "x"), line("dropped", "y")]))
            .await
            .is_err()
    );

    lock.rollback().await.expect("unlock");
    waiting.await.expect("task").expect("whoever has patience is served");
    hasty.commit(vec![line("hasty", "later")]).await.expect("later it works");
    assert_eq!(verify(&patient).await, 1);
    let rows = verify(&hasty).await;
    assert!(rows == 1 || rows == 3, "no commit that was answered is written later, and none by half: {rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commits_share_a_sync() {
    let dir = TempDir::new().expect("dir");
    let store = open(&dir.path().join("index.db")).await;
    let mut lines = BTreeSet::new();
    for answer in join_all((0..2000).map(|n| {
        let store = store.clone();
        tokio::spawn(
            async move { store.commit(vec![line("c", &n.to_string())]).await.map(|()| n.to_string()) },
        )
    }))
    .await
    {
        lines.insert(answer.expect("task").expect("commit"));
    }
    assert_eq!(lines.len(), 2000);
    assert_eq!(verify(&store).await, 2000);
}

#[tokio::test]
async fn a_batch_that_fails_does_not_fail_its_neighbours() {
    let dir = TempDir::new().expect("dir");
    let path = dir.path().join("index.db");
    let store = open(&path).await;
    // A fault that is no constraint of the schema: SQLite itself gives up on one commit.
    let sql = "CREATE TRIGGER poison BEFORE INSERT ON calls WHEN NEW.line = 'poison' \
               BEGIN SELECT abs(-9223372036854775807 - (length(NEW.line) - 5)); END";
    sqlx::query(sql).execute(&mut stranger(&path).await).await.expect("trigger");
    let call = |n: usize| CallRecord {
        line: if n == 7 { "poison" } else { "sales" }.into(),
        ..call(&format!("c{n}"), n as i64)
    };
    let answers = join_all((0..20).map(|n| store.commit(vec![line("c", "x"), Change::Call(call(n))]))).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), n != 7, "commit {n}: {answer:?}");
    }
    assert!(matches!(answers[7], Err(StoreError::Unavailable(_))));
    assert_eq!(verify(&store).await, 19);
}

#[tokio::test]
async fn the_chain_verifies_after_erasures_and_cannot_be_changed() {
    let dir = TempDir::new().expect("dir");
    let path = dir.path().join("index.db");
    let store = open(&path).await;
    for n in 0..5 {
        store.commit(vec![line("c1", &n.to_string())]).await.expect("commit");
    }
    let mut hand = stranger(&path).await;
    sqlx::query("DELETE FROM journal_content WHERE seq IN (2, 3)").execute(&mut hand).await.expect("erase");
    let mut verifier = Verifier::default();
    for link in store.chain(0, 10).await.expect("chain") {
        verifier.next(&link).expect("erased is not broken");
    }
    assert_eq!((verifier.state().0, verifier.state().1), (5, 2));
    assert_eq!(store.story(&CallId("c1".into())).await.expect("story").len(), 3, "erased means erased");
    for sql in ["DELETE FROM journal WHERE seq = 5", "UPDATE journal SET site = 'x'"] {
        assert!(sqlx::query(sql).execute(&mut hand).await.is_err(), "{sql}");
    }
    sqlx::query("UPDATE journal_content SET payload = x'7b7d' WHERE seq = 4")
        .execute(&mut hand)
        .await
        .expect("tamper");
    let mut verifier = Verifier::default();
    let broken = store.chain(0, 10).await.expect("chain").iter().find_map(|link| verifier.next(link).err());
    assert_eq!(broken, Some(temoin_core::journal::Broken::Changed(4)));
}

#[tokio::test]
async fn a_destroyed_key_lies_nowhere_on_the_disk() {
    let dir = TempDir::new().expect("dir");
    let store = open(&dir.path().join("index.db")).await;
    let key = b"a wrapped key that must not stay";
    let id = SegmentId::new(at(0), [1; 10]);
    let on_disk = || {
        fs::read_dir(dir.path())
            .expect("dir")
            .map(|entry| fs::read(entry.expect("entry").path()).expect("file"))
            .any(|bytes| bytes.windows(key.len()).any(|window| window == key))
    };
    let sealed = Sealed {
        wrapped_key: key.to_vec(),
        key_id: "k".into(),
        plain_len: 1,
        cipher_len: 2,
        cipher_sha256: "00".into(),
    };
    let kept = Kept { millis: 1, sha256: "00".into(), sealed, flags: vec![] };
    let life = vec![Change::Open(segment(id)), Change::Close(id, closing()), Change::Keep(id, kept)];
    store.commit(life).await.expect("keep");
    assert!(on_disk(), "the case looks in the right place");
    store
        .commit(vec![Change::Amend(id, vec![], Deadlines::default()), Change::Dispose(id, at(9))])
        .await
        .expect("dispose");
    let limit = Instant::now() + Duration::from_secs(10);
    while on_disk() {
        assert!(Instant::now() < limit, "the key is still on the disk");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const CRASH: &str = "TEMOIN_TEST_CRASH_INDEX";

/// Not a test of its own: what the killed process does. Commits for ever and says so after each.
#[tokio::test]
async fn crash_child() {
    let Ok(path) = std::env::var(CRASH) else { return };
    let store = open(Path::new(&path)).await;
    let mut out = std::io::stdout();
    for n in 0.. {
        let call = format!("c{n}");
        store
            .commit(vec![line(&call, "x"), Change::Call(self::call(&call, 0)), line(&call, "y")])
            .await
            .expect("commit");
        writeln!(out, "acknowledged {n}").and_then(|()| out.flush()).expect("say so");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let dir = TempDir::new().expect("dir");
    let path = dir.path().join("index.db");
    for round in 1..=4 {
        let mut child = Command::new(std::env::current_exe().expect("exe"))
            .args(["--exact", "tests::crash_child", "--nocapture"])
            .env(CRASH, path.with_extension(format!("{round}.db")))
            .stdout(Stdio::piped())
            .spawn()
            .expect("child");
        let mut last = None;
        let out = BufReader::new(child.stdout.take().expect("stdout"));
        for said in out.lines() {
            let said = said.expect("line");
            if let Some(n) = said.strip_prefix("acknowledged ") {
                last = Some(n.parse::<u32>().expect("number"));
            }
            if last == Some(37 * round) {
                // SIGKILL. What it says between this and its death counts too: the pipe is read to its end.
                child.kill().expect("kill");
            }
        }
        child.wait().expect("wait");
        let last = last.expect("it committed");
        assert!(last >= 37 * round);
        let store = open(&path.with_extension(format!("{round}.db"))).await;
        let rows = verify(&store).await;
        assert_eq!(rows % 2, 0, "no commit by half");
        assert!(rows >= 2 * (u64::from(last) + 1), "{rows} rows, {last} acknowledged");
        for n in 0..=last {
            let id = CallId(format!("c{n}"));
            assert!(store.call(&id).await.expect("call").is_some(), "{n} of {last}");
            assert_eq!(store.story(&id).await.expect("story").len(), 2);
        }
    }
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, "node-1", "site-1", Options::default()).await.expect("open")
}

/// Somebody else on the same file.
async fn stranger(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.expect("connect")
}

async fn verify(store: &SqliteStore) -> u64 {
    let mut verifier = Verifier::default();
    loop {
        let links = store.chain(verifier.state().0, 500).await.expect("chain");
        if links.is_empty() {
            return verifier.state().0;
        }
        links.iter().for_each(|link| verifier.next(link).expect("the chain verifies"));
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_793_600_000 + seconds).expect("instant")
}

fn line(call: &str, meaning: &str) -> Change {
    Change::Journal(Entry {
        at: at(0),
        call: Some(CallId(call.into())),
        segment: None,
        what: What::Pressed { by: "agent".into(), meaning: meaning.into() },
    })
}

fn call(id: &str, n: i64) -> CallRecord {
    CallRecord {
        id: CallId(id.into()),
        line: "sales".into(),
        direction: Direction::Inbound,
        number: Some("+33199001234".into()),
        queue: None,
        agents: vec!["amel".into()],
        started: at(n),
        talked: None,
        ended: None,
        outcome: "talking".into(),
        private: false,
    }
}

fn segment(id: SegmentId) -> Segment {
    Segment {
        id,
        call: CallId("c1".into()),
        opened: at(0),
        since: at(0),
        agents: vec!["amel".into()],
        purposes: vec!["proof".into()],
        mandatory: false,
        basis: serde_json::Value::Null,
        retention: Deadlines::default(),
    }
}

fn closing() -> Closing {
    Closing {
        from: Some(at(1)),
        until: at(2),
        cut_tail: false,
        kept: vec!["proof".into()],
        ending: Ending::HungUp,
        flags: vec![],
        retention: Deadlines::default(),
    }
}
