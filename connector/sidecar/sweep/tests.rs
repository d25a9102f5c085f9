use std::collections::BTreeMap;
use std::fs;

use jiff::SignedDuration;
use temoin_core::id::{CallId, SegmentId};
use temoin_core::journal::{Entry, Link};
use temoin_core::ports::Vault;
use temoin_core::segment::{Closing, Ending, Segment};
use temoin_core::testing::{ManualClock, MemoryStore};
use tempfile::TempDir;

use super::*;
use crate::audio::tests::wav;
use crate::keep::{Keeper, Settings, verify};

fn start() -> Timestamp {
    Timestamp::from_second(1_793_600_000).expect("an instant")
}

fn days(days: i64) -> Timestamp {
    start() + SignedDuration::from_hours(24 * days)
}

fn id(n: u8) -> SegmentId {
    SegmentId::new(start(), [n; 10])
}

/// A segment that is closed, with these dates, and its story.
fn closed(n: u8, retention: Deadlines) -> [Change; 5] {
    let segment = Segment {
        id: id(n),
        call: CallId("c1".into()),
        opened: start(),
        since: start(),
        agents: vec!["amel".into()],
        purposes: vec!["quality".into(), "proof".into()],
        mandatory: false,
        basis: serde_json::Value::Null,
        retention,
    };
    let closing = Closing {
        from: Some(start()),
        until: start() + SignedDuration::from_secs(1),
        cut_tail: false,
        kept: vec!["quality".into(), "proof".into()],
        ending: Ending::HungUp,
        flags: Vec::new(),
        retention,
    };
    let line = |segment, what| {
        Change::Journal(Entry { at: start(), call: Some(CallId("c1".into())), segment, what })
    };
    let decided = What::Decided { record: true, agents: segment.agents.clone(), reasons: BTreeMap::new() };
    [
        line(None, decided),
        line(Some(id(n)), What::Opened { purposes: segment.purposes.clone() }),
        Change::Open(segment),
        line(Some(id(n)), What::Closed(closing.clone())),
        Change::Close(id(n), closing),
    ]
}

fn planned(scheduled: i64) -> Deadlines {
    Deadlines { not_before: None, scheduled: Some(days(scheduled)), delete_by: Some(days(scheduled + 1)) }
}

async fn state(store: &dyn Store, n: u8) -> State {
    store.segments(SegmentQuery::Id(id(n))).await.expect("segments").pop().expect("a row").state
}

async fn story(store: &dyn Store) -> Vec<(Option<SegmentId>, What)> {
    let links = store.story(&CallId("c1".into())).await.expect("a story");
    links.iter().filter_map(Link::entry).map(|entry| (entry.segment, entry.what)).collect()
}

#[tokio::test]
async fn what_is_due_is_told_erased_and_gone_and_the_rest_stays() {
    let dir = TempDir::new().expect("a folder");
    let spool = dir.path().join("spool");
    fs::create_dir(&spool).expect("a folder");
    let config = crate::config::StoreConfig { path: dir.path().join("index.db") };
    let store = Arc::new(crate::wiring::index_at(&config, "node-1", "site-1").await.expect("the index"));
    let folder =
        crate::config::VaultConfig { path: dir.path().join("vault"), key: dir.path().join("vault.key") };
    let vault = Arc::new(crate::wiring::vault_at(&folder).await.expect("the vault"));
    let clock = Arc::new(ManualClock::new(start() + SignedDuration::from_secs(3600)));
    for (n, retention) in [(1, planned(90)), (2, planned(180)), (3, Deadlines::default())] {
        store.commit(closed(n, retention).into()).await.expect("commit");
        for side in ["in", "out"] {
            fs::write(spool.join(format!("{}-{side}.wav", id(n))), wav(&[9000; 8000])).expect("a file");
        }
    }
    let settings = Settings { quiet: Duration::ZERO, ..Settings::new(&spool) };
    let keeper = Keeper::new(store.clone(), vault.clone(), clock.clone(), settings).expect("a keeper");
    keeper.pass().await;
    keeper.pass().await;
    let sweeper = Sweeper::new(store.clone(), clock.clone());
    for n in [1, 2, 3] {
        assert_eq!(state(&*store, n).await, State::Kept);
    }

    clock.set(days(90) - SignedDuration::from_millis(1));
    assert_eq!(sweeper.pass().await, Ok(0), "not a moment too early");
    clock.set(days(90));
    assert_eq!(sweeper.pass().await, Ok(1));
    assert_eq!(sweeper.pass().await, Ok(0), "nothing twice");
    assert_eq!(state(&*store, 1).await, State::Doomed);
    let lines = story(&*store).await;
    let told = lines.iter().filter(|(_, what)| matches!(what, What::Amended { kept, .. } if kept.is_empty()));
    assert_eq!(told.map(|(segment, _)| *segment).collect::<Vec<_>>(), [Some(id(1))]);

    keeper.pass().await;
    assert_eq!(state(&*store, 1).await, State::Disposed);
    assert_eq!(vault.list().await.map(|ids| ids.len()), Ok(2), "the object is shredded");
    let lines = story(&*store).await;
    let at = |is: fn(&What) -> bool| {
        lines.iter().position(|(segment, what)| *segment == Some(id(1)) && is(what)).expect("it is told")
    };
    let order = [
        at(|what| matches!(what, What::Kept(_))),
        at(|what| matches!(what, What::Amended { .. })),
        at(|what| matches!(what, What::Erasing { .. })),
        at(|what| matches!(what, What::Disposed)),
    ];
    assert!(order.is_sorted(), "{lines:#?}");
    for n in [2, 3] {
        assert_eq!(state(&*store, n).await, State::Kept);
    }
    let report = verify(&*store, &*vault).await.expect("a report");
    assert!(report.is_sound(), "{report:?}");
}

#[tokio::test]
async fn what_the_vault_never_took_has_its_time_too() {
    let store = Arc::new(MemoryStore::new("node-1", "site-1"));
    let clock = Arc::new(ManualClock::new(days(90)));
    for (n, retention) in [(1, planned(90)), (2, planned(91))] {
        store.commit(closed(n, retention).into()).await.expect("commit");
    }
    let sweeper = Sweeper::new(store.clone(), clock);
    assert_eq!(sweeper.pass().await, Ok(1));
    assert_eq!((state(&*store, 1).await, state(&*store, 2).await), (State::Doomed, State::Closed));
}

#[tokio::test]
async fn what_must_not_go_yet_stays_whatever_was_planned() {
    let store = Arc::new(MemoryStore::new("node-1", "site-1"));
    let clock = Arc::new(ManualClock::new(days(90)));
    let bound = Deadlines { not_before: Some(days(100)), ..planned(90) };
    store.commit(closed(1, bound).into()).await.expect("commit");
    let sweeper = Sweeper::new(store.clone(), clock.clone());
    assert_eq!(sweeper.pass().await, Ok(0));
    clock.set(days(100));
    assert_eq!(sweeper.pass().await, Ok(1));
}

/// Hundreds of recordings with all kinds of dates, and a sweep at every moment of their lives.
#[tokio::test]
async fn never_before_the_plan_and_always_by_the_last_moment() {
    let store = Arc::new(MemoryStore::new("node-1", "site-1"));
    let clock = Arc::new(ManualClock::new(start()));
    let mut dates = Vec::new();
    for n in 0..=u8::MAX {
        // Chance that is the same every time.
        let chance = i64::from(n).wrapping_mul(2_654_435_761) & 0xffff;
        let scheduled = start() + SignedDuration::from_secs(chance);
        let delete_by = scheduled + SignedDuration::from_secs(60 + chance % 600);
        let retention =
            Deadlines { not_before: None, scheduled: Some(scheduled), delete_by: Some(delete_by) };
        store.commit(closed(n, retention).into()).await.expect("commit");
        dates.push((n, scheduled, delete_by));
    }
    let sweeper = Sweeper::new(store.clone(), clock.clone());
    let every = SignedDuration::try_from(EVERY).expect("half a minute");
    let (mut doomed, mut now) = (0, start());
    while now < start() + SignedDuration::from_secs(70_000) {
        doomed += sweeper.pass().await.expect("a pass");
        for (n, scheduled, delete_by) in &dates {
            match state(&*store, *n).await {
                State::Doomed => assert!(*scheduled <= now, "{n} went too early"),
                _ => assert!(now < *delete_by, "{n} was not gone in time"),
            }
        }
        now += every * 7;
        now -= every * 6;
        clock.set(now);
    }
    assert_eq!(doomed, dates.len(), "each once");
    let told = story(&*store).await;
    let told = told.iter().filter(|(_, what)| matches!(what, What::Amended { .. }));
    assert_eq!(told.count(), dates.len());
}

#[tokio::test(start_paused = true)]
async fn it_looks_at_least_every_minute_and_goes_on_when_the_index_is_back() {
    let store = Arc::new(MemoryStore::new("node-1", "site-1"));
    let clock = Arc::new(ManualClock::new(start()));
    store.commit(closed(1, planned(90)).into()).await.expect("commit");
    let sweeper = Sweeper::new(store.clone(), clock.clone());
    let (swept, mut found) = tokio::sync::mpsc::unbounded_channel();
    let turns = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let turned = Arc::clone(&turns);
    tokio::spawn(async move {
        let turned = move || {
            turned.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        };
        let swept = move |doomed| swept.send(doomed).expect("somebody counts");
        sweeper.run(swept, turned).await;
    });
    store.away(true);
    clock.set(days(90));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(turns.load(std::sync::atomic::Ordering::Relaxed) >= 5, "every minute");
    store.away(false);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut all = 0;
    while let Ok(doomed) = found.try_recv() {
        all += doomed;
    }
    assert_eq!(all, 1);
    assert_eq!(state(&*store, 1).await, State::Doomed);
}
