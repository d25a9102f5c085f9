use async_trait::async_trait;
use jiff::SignedDuration;
use mockall::{Sequence, mock};
use temoin_core::id::CallId;
use temoin_core::journal::{Entry, Link, What};
use temoin_core::ports::{
    Ballot, CallQuery, CallRecord, Drawn, RegisterCount, RegisterQuery, SegmentQuery, SegmentRecord,
};
use temoin_core::register;
use temoin_core::testing::{ManualClock, MemoryStore};

use super::*;

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
        async fn register_counts(&self, at: Timestamp) -> Result<Vec<RegisterCount>, StoreError>;
    }
}

fn line(n: u64) -> Vec<Change> {
    let what = What::Listened { who: n.to_string(), reason: String::new() };
    vec![Change::Journal(Entry { at: Timestamp::UNIX_EPOCH, call: None, segment: None, what })]
}

fn numbers(changes: &[Change]) -> Vec<u64> {
    let number = |change: &Change| match change {
        Change::Journal(Entry { what: What::Listened { who, .. }, .. }) => who.parse().ok(),
        _ => None,
    };
    changes.iter().filter_map(number).collect()
}

async fn written(store: &dyn Store) -> Vec<u64> {
    let links = store.chain(0, 10_000).await.expect("the journal");
    links.iter().filter_map(Link::entry).flat_map(|entry| numbers(&[Change::Journal(entry)])).collect()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH))
}

async fn drained(outbox: &Outbox) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(60);
    while outbox.waiting.oldest().is_some() {
        assert!(tokio::time::Instant::now() < limit, "it is not written");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn ten_seconds_without_an_index_lose_nothing_and_keep_the_order() {
    let (store, clock) = (Arc::new(MemoryStore::new("node-1", "site-1")), clock());
    let (outbox, writer) = Outbox::start(store.clone(), clock, ());
    store.away(true);
    let begun = tokio::time::Instant::now();
    for n in 0..1000 {
        outbox.post(line(n));
        if n % 100 == 50 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let asked = tokio::time::Instant::now();
            let answer = outbox.commit(line(10_000 + n)).await;
            assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
            assert!(asked.elapsed() < Duration::from_millis(50), "a no comes at once: {:?}", asked.elapsed());
        }
    }
    assert!(begun.elapsed() >= Duration::from_secs(10));
    store.away(false);
    assert_eq!(
        outbox.commit(line(1000)).await,
        Err(StoreError::Unavailable("away".into())),
        "until it is written again"
    );
    drained(&outbox).await;
    assert_eq!(outbox.commit(line(1000)).await, Ok(()));
    assert_eq!(written(&*store).await, (0..=1000).collect::<Vec<_>>());
    drop(outbox);
    writer.await.expect("it ends with the last sender");
}

#[tokio::test(start_paused = true)]
async fn an_index_that_hangs_before_it_fails_does_not_make_anybody_hang_twice() {
    let mut store = MockFailing::new();
    store.expect_draw().never();
    // As a locked database does: five seconds, then no.
    struct Hangs(MockFailing);
    #[async_trait]
    impl Store for Hangs {
        async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
            tokio::time::sleep(Duration::from_secs(5)).await;
            self.0.commit(changes).await
        }
        async fn draw(&self, ballots: Vec<Ballot>) -> Result<Vec<Drawn>, StoreError> {
            self.0.draw(ballots).await
        }
        async fn draws(&self, campaign: &str) -> Result<Vec<Drawn>, StoreError> {
            self.0.draws(campaign).await
        }
        async fn call(&self, id: &CallId) -> Result<Option<CallRecord>, StoreError> {
            self.0.call(id).await
        }
        async fn calls(&self, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
            self.0.calls(query).await
        }
        async fn segments(&self, query: SegmentQuery) -> Result<Vec<SegmentRecord>, StoreError> {
            self.0.segments(query).await
        }
        async fn story(&self, call: &CallId) -> Result<Vec<Link>, StoreError> {
            self.0.story(call).await
        }
        async fn chain(&self, after: u64, limit: u32) -> Result<Vec<Link>, StoreError> {
            self.0.chain(after, limit).await
        }
        async fn register(&self, query: RegisterQuery) -> Result<Vec<register::Entry>, StoreError> {
            self.0.register(query).await
        }
        async fn register_counts(&self, at: Timestamp) -> Result<Vec<RegisterCount>, StoreError> {
            self.0.register_counts(at).await
        }
    }
    store.expect_commit().returning(|_| Err(StoreError::Unavailable("locked".into())));
    let (outbox, _) = Outbox::start(Arc::new(Hangs(store)), clock(), ());
    outbox.post(line(0));
    let first = outbox.commit(line(1));
    let begun = tokio::time::Instant::now();
    assert!(first.await.is_err());
    assert!(begun.elapsed() <= Duration::from_secs(5));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = tokio::time::Instant::now();
    assert!(outbox.commit(line(2)).await.is_err());
    assert!(begun.elapsed() < Duration::from_millis(50), "it is known to be away: {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_the_index_refuses_does_not_cost_the_others_their_place() {
    let mut store = MockFailing::new();
    let mut order = Sequence::new();
    let refuse = |_| Err(StoreError::Refused("exists".into()));
    let mut expect = |wanted: &'static [u64], answer: fn(Vec<Change>) -> Result<(), StoreError>| {
        let is = move |changes: &Vec<Change>| numbers(changes) == wanted;
        store.expect_commit().withf(is).times(1).in_sequence(&mut order).returning(answer);
    };
    expect(&[1, 2, 3], refuse);
    expect(&[1], |_| Ok(()));
    expect(&[2], refuse);
    // It goes away in between.
    expect(&[3], |_| Err(StoreError::Unavailable("locked".into())));
    expect(&[3], |_| Ok(()));
    let (outbox, _) = Outbox::start(Arc::new(store), clock(), ());
    outbox.post(line(1));
    let refused = outbox.commit(line(2));
    outbox.post(line(3));
    assert_eq!(refused.await, Err(StoreError::Refused("exists".into())));
    drained(&outbox).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_never_comes_after_what_still_waits() {
    let (store, clock) = (Arc::new(MemoryStore::new("node-1", "site-1")), clock());
    let second = |n| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(n);
    let (outbox, _) = Outbox::start(store.clone(), clock.clone(), ());
    store.away(true);
    clock.set(second(1));
    outbox.post(line(1));
    clock.set(second(2));
    assert!(outbox.commit(line(2)).await.is_err(), "taken back, and no longer waiting");
    clock.set(second(3));
    assert_eq!(outbox.settled(clock.now()), second(1), "the first is not durable");
    store.away(false);
    drained(&outbox).await;
    assert_eq!(outbox.settled(clock.now()), second(3));
}

#[tokio::test(start_paused = true)]
async fn it_tells_that_it_goes_on_and_when_there_is_work() {
    #[derive(Clone, Default)]
    struct Count(Arc<Mutex<(u32, u32)>>);
    impl Tell for Count {
        fn turned(&self) {
            self.0.lock().expect("a lock").0 += 1;
        }
        fn wrote(&self) {
            self.0.lock().expect("a lock").1 += 1;
        }
    }
    let (store, count) = (Arc::new(MemoryStore::new("node-1", "site-1")), Count::default());
    let (outbox, _) = Outbox::start(store.clone(), clock(), count.clone());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let idle = count.0.lock().expect("a lock").0;
    assert!(idle >= 9, "{idle}");
    store.away(true);
    outbox.post(line(1));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(count.0.lock().expect("a lock").0 > idle + 9, "it tries again and again");
    store.away(false);
    let id = temoin_core::id::SegmentId::new(Timestamp::UNIX_EPOCH, [1; 10]);
    outbox.post(vec![Change::Amend(id, Vec::new(), temoin_core::segment::Deadlines::default())]);
    drained(&outbox).await;
    assert_eq!(count.0.lock().expect("a lock").1, 1);
}
