//! Ports that fail as no fake should: a vault that lies, an index that fails between two commits.

use std::io::Read;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use mockall::mock;
use temoin_core::id::CallId;
use temoin_core::journal::{Broken, Link};
use temoin_core::ports::{Ballot, CallQuery, CallRecord, Drawn, RegisterCount, RegisterQuery};
use temoin_core::register;
use temoin_core::segment::Sealed;

use super::*;

mock! {
    Lying {}
    #[async_trait]
    impl Vault for Lying {
        async fn seal(&self, id: SegmentId, plain: Box<dyn Read + Send>) -> Result<Sealed, VaultError>;
        async fn read(&self, id: SegmentId, sealed: &Sealed, range: Range<u64>) -> Result<Vec<u8>, VaultError>;
        async fn shred(&self, id: SegmentId) -> Result<(), VaultError>;
        async fn check(&self, id: SegmentId, sealed: &Sealed) -> Result<(), VaultError>;
        async fn list(&self) -> Result<Vec<SegmentId>, VaultError>;
    }
}

mock! {
    Failing {}
    #[async_trait]
    impl Store for Failing {
        async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError>;
        async fn draw(&self, ballots: Vec<Ballot>) -> Result<Vec<Drawn>, StoreError>;
        async fn draws(&self, campaign: &str) -> Result<Vec<Drawn>, StoreError>;
        async fn call(&self, id: &CallId) -> Result<Option<CallRecord>, StoreError>;
        async fn calls(&self, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError>;
        async fn segments(&self, query: SegmentQuery) -> Result<Vec<SegmentRecord>, StoreError>;
        async fn story(&self, call: &CallId) -> Result<Vec<Link>, StoreError>;
        async fn chain(&self, after: u64, limit: u32) -> Result<Vec<Link>, StoreError>;
        async fn register(&self, query: RegisterQuery) -> Result<Vec<register::Entry>, StoreError>;
        async fn register_counts(&self, at: jiff::Timestamp) -> Result<Vec<RegisterCount>, StoreError>;
    }
}

#[tokio::test]
async fn a_vault_that_gives_back_other_bytes_is_not_believed() {
    type Lie = fn(Vec<u8>) -> Vec<u8>;
    let lies: [Lie; 3] = [
        |mut bytes| {
            bytes[60] ^= 1;
            bytes
        },
        |_| Vec::new(),
        |bytes| [bytes, vec![0]].concat(),
    ];
    for lie in lies {
        let house = House::new();
        let lying = Arc::new(AtomicU32::new(3));
        let mut mock = MockLying::new();
        let vault = house.vault.clone();
        mock.expect_seal().returning(move |id, plain| block_on(vault.seal(id, plain)));
        let (vault, left) = (house.vault.clone(), lying.clone());
        mock.expect_read().returning(move |id, sealed, range| {
            let bytes = block_on(vault.read(id, sealed, range));
            let lies =
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            if lies { bytes.map(lie) } else { bytes }
        });
        let settings = Settings::new(house.dir.path().join("spool"));
        let keeper =
            Keeper::new(house.store.clone(), Arc::new(mock), house.clock.clone(), settings).expect("keeper");
        house.close(1, closing(1_000)).await;
        house.record(1, &tone(RATE, 440.0, 0.5, 8_000), &tone(RATE, 620.0, 0.5, 8_000));
        for n in 1..=3 {
            assert_eq!(keeper.pass().await.failed, 1);
            assert_eq!(keeper.alarms(), n);
            assert_eq!(house.row(1).await.state, State::Closed);
            assert_eq!(house.spool().len(), 2, "the only true copy stays");
            assert_eq!(house.story().await, []);
            house.clock.advance(Duration::from_secs(60));
        }
        assert_eq!(keeper.pass().await.kept, 1);
        assert_eq!(house.spool().len(), 0);
    }
}

/// How an index fails once.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// Nothing is written.
    Before,
    /// All is written, and the answer is lost.
    After,
}

#[tokio::test]
async fn an_index_that_fails_between_two_commits_ends_in_the_same_story() {
    // 1 is kept, 2 is erased, 3 is lost: Keep; Erasing, Dispose; Lose, Erasing, Dispose.
    for failure in [Failure::Before, Failure::After] {
        for fails_at in 1..=6 {
            let house = House::new();
            let keeper = keeper_on_failing_index(&house, fails_at, failure);
            house.tell(1, closing(1_000), &[]).await;
            house.record(1, &tone(RATE, 440.0, 0.5, 8_000), &tone(RATE, 620.0, 0.5, 8_000));
            house.close(2, Closing { kept: vec![], ..closing(1_000) }).await;
            house.record(2, &[9; 8_000], &[9; 8_000]);
            house.close(3, closing(1_000)).await;
            house.clock.advance(Duration::from_secs(61));
            assert!(keeper.pass().await.blocked, "commit {fails_at} fails");
            assert_eq!(keeper.alarms(), 1);
            for _ in 0..3 {
                house.clock.advance(Duration::from_secs(60));
                assert!(!keeper.pass().await.blocked);
            }
            let case = format!("{failure:?} commit {fails_at}");
            let states = [house.row(1).await.state, house.row(2).await.state, house.row(3).await.state];
            assert_eq!(states, [State::Kept, State::Disposed, State::Disposed], "{case}");
            assert_eq!(house.spool(), Vec::<String>::new(), "{case}");
            let mut story: Vec<_> = house.story().await.iter().skip(3).map(word).collect();
            story.sort_unstable();
            assert_eq!(story, ["disposed", "disposed", "erasing", "erasing", "kept", "lost"], "{case}");
            let report = verify(&*house.store, &*house.vault).await.expect("verify");
            assert!(report.is_sound(), "{case}: {report:?}");
        }
    }
}

#[tokio::test]
async fn a_vault_that_is_away_is_tried_again_with_pauses() {
    let house = House::new();
    house.close(1, closing(1_000)).await;
    house.record(1, &tone(RATE, 440.0, 0.5, 8_000), &tone(RATE, 620.0, 0.5, 8_000));
    house.close(2, Closing { kept: vec![], ..closing(1_000) }).await;
    house.record(2, &[9; 8_000], &[9; 8_000]);
    house.vault.away(true);
    for _ in 0..600 {
        assert_eq!(house.keeper.pass().await.failed, 2);
        house.clock.advance(Duration::from_secs(1));
    }
    // 1, 2, 4, 8, 16, 32 and then every 60 s: 16 tries in ten minutes, each for two segments.
    assert!((20..=40).contains(&house.keeper.alarms()), "{}", house.keeper.alarms());
    assert_eq!(house.row(1).await.state, State::Closed);
    assert!(house.path(1, "in").exists());
    assert!(!house.path(2, "in").exists(), "plain audio that must not exist does not wait for the vault");
    assert_eq!(house.row(2).await.state, State::Doomed);
    house.vault.away(false);
    house.clock.advance(Duration::from_secs(60));
    assert_eq!(house.keeper.pass().await, Progress { kept: 1, disposed: 1, ..Progress::default() });
    assert_eq!(house.story().await.iter().filter(|what| word(what) == "erasing").count(), 1);
}

#[tokio::test]
async fn an_index_or_spool_that_is_away_blocks_and_loses_nothing() {
    let house = House::new();
    house.close(1, closing(1_000)).await;
    house.clock.advance(Duration::from_secs(61));
    house.store.away(true);
    assert_eq!(house.keeper.pass().await, Progress { blocked: true, ..Progress::default() });
    house.store.away(false);
    let (spool, aside) = (house.dir.path().join("spool"), house.dir.path().join("aside"));
    fs::rename(&spool, &aside).expect("rename");
    assert!(house.keeper.pass().await.blocked, "files that cannot be seen are not missing");
    assert_eq!(house.row(1).await.state, State::Closed);
    fs::rename(&aside, &spool).expect("rename");
    house.record(1, &tone(RATE, 440.0, 0.5, 8_000), &tone(RATE, 620.0, 0.5, 8_000));
    assert_eq!(house.keeper.pass().await.kept, 1);
    assert_eq!(house.keeper.alarms(), 2);
}

#[tokio::test]
async fn verify_tells_where_the_chain_breaks() {
    let house = House::new();
    for n in 1..=3 {
        house.tell(n, closing(1_000), &[]).await;
        house.record(n, &tone(RATE, 440.0, 0.5, 8_000), &tone(RATE, 620.0, 0.5, 8_000));
    }
    house.keeper.pass().await;
    let good = house.store.chain(0, 100).await.expect("chain");
    type Change = fn(&mut Vec<Link>);
    let changes: [(Change, u64, Option<Broken>); 5] = [
        (|_| {}, 12, None),
        (|links| links[2].content = None, 12, None),
        (|links| links[1].content.as_mut().expect("content").payload[20] ^= 1, 1, Some(Broken::Changed(2))),
        (|links| links[1].site = "elsewhere".into(), 1, Some(Broken::Unchained(2))),
        (|links| drop(links.remove(1)), 1, Some(Broken::Hole { expected: 2, found: 3 })),
    ];
    for (change, rows, broken) in changes {
        let mut links = good.clone();
        change(&mut links);
        let mut mock = MockFailing::new();
        mock.expect_chain().returning(move |after, limit| {
            Ok(links.iter().filter(|link| link.seq > after).take(limit as usize).cloned().collect())
        });
        let store = house.store.clone();
        mock.expect_segments().returning(move |query| block_on(store.segments(query)));
        let store = house.store.clone();
        mock.expect_story().returning(move |call| block_on(store.story(call)));
        let report = verify(&mock, &*house.vault).await.expect("verify");
        assert_eq!((report.rows, &report.broken), (rows, &broken));
        assert_eq!(report.is_sound(), broken.is_none());
    }
}

fn keeper_on_failing_index(house: &House, fails_at: u32, failure: Failure) -> Keeper {
    let mut mock = MockFailing::new();
    let commits = AtomicU32::new(0);
    let store = house.store.clone();
    mock.expect_commit().returning(move |changes| {
        let failed = Err(StoreError::Unavailable("between two commits".into()));
        match (commits.fetch_add(1, Ordering::Relaxed) + 1 == fails_at, failure) {
            (false, _) => block_on(store.commit(changes)),
            (true, Failure::Before) => failed,
            (true, Failure::After) => block_on(store.commit(changes)).and(failed),
        }
    });
    let store = house.store.clone();
    mock.expect_segments().returning(move |query| block_on(store.segments(query)));
    let store = house.store.clone();
    mock.expect_story().returning(move |call| block_on(store.story(call)));
    let settings = Settings { parallel: 1, ..Settings::new(house.dir.path().join("spool")) };
    Keeper::new(Arc::new(mock), house.vault.clone(), house.clock.clone(), settings).expect("keeper")
}

fn word(what: &What) -> &'static str {
    match what {
        What::Kept(_) => "kept",
        What::Lost { .. } => "lost",
        What::Erasing { .. } => "erasing",
        What::Disposed => "disposed",
        _ => "other",
    }
}
