//! A segment's life, and finding it.

use super::*;

pub async fn segment_goes_its_way(store: Index) {
    let segment = segment(1, "c1");
    store.commit(vec![Change::Open(segment.clone())]).await.expect("open");
    let mut expected = SegmentRecord {
        kept_for: segment.purposes.clone(),
        retention: segment.retention,
        segment,
        state: State::Open,
        closing: None,
        millis: None,
        sha256: None,
        sealed: None,
        flags: vec![],
        disposed: None,
    };
    assert_eq!(one(&store, 1).await.as_ref(), Some(&expected));

    let closing = closing(&["proof"]);
    store.commit(vec![Change::Close(id(1), closing.clone())]).await.expect("close");
    expected.state = State::Closed;
    expected.kept_for = vec!["proof".into()];
    expected.retention = closing.retention;
    expected.flags = closing.flags.clone();
    expected.closing = Some(closing);
    assert_eq!(one(&store, 1).await.as_ref(), Some(&expected));

    let kept = kept(1);
    store.commit(vec![Change::Keep(id(1), kept.clone())]).await.expect("keep");
    expected.state = State::Kept;
    expected.millis = Some(kept.millis);
    expected.sha256 = Some(kept.sha256);
    expected.sealed = Some(kept.sealed);
    expected.flags = kept.flags;
    assert_eq!(one(&store, 1).await.as_ref(), Some(&expected));

    let soon = Deadlines { scheduled: Some(at(60)), ..Deadlines::default() };
    store.commit(vec![Change::Amend(id(1), vec![], soon)]).await.expect("amend");
    expected.state = State::Doomed;
    expected.kept_for = vec![];
    expected.retention = soon;
    assert_eq!(one(&store, 1).await.as_ref(), Some(&expected));

    store.commit(vec![Change::Dispose(id(1), at(100))]).await.expect("dispose");
    expected.state = State::Disposed;
    expected.sealed = None;
    expected.disposed = Some(at(100));
    assert_eq!(one(&store, 1).await.as_ref(), Some(&expected), "the row tells that it was; the key is gone");
}

pub async fn late_words_change_nothing(store: Index) {
    let words = |n| {
        [
            Change::Close(id(n), closing(&["training"])),
            Change::Keep(id(n), kept(9)),
            Change::Dispose(id(n), at(200)),
        ]
    };
    for change in words(7) {
        store.commit(vec![change.clone(), Change::Journal(pressed("c7", 0))]).await.expect("no such segment");
        assert_eq!(one(&store, 7).await, None, "{change:?} makes no row");
    }
    store.commit(vec![Change::Amend(id(7), vec![], Deadlines::default())]).await.expect("no such segment");
    assert_eq!(
        store.chain(0, 10).await.map(|links| links.len()),
        Ok(3),
        "and the rest of its commit is done"
    );

    let lives: [(State, Vec<Change>); 5] = [
        (State::Open, vec![]),
        (State::Closed, vec![Change::Close(id(1), closing(&["proof"]))]),
        (State::Kept, vec![Change::Keep(id(1), kept(1))]),
        (State::Doomed, vec![Change::Amend(id(1), vec![], Deadlines::default())]),
        (State::Disposed, vec![Change::Dispose(id(1), at(100))]),
    ];
    store.commit(vec![Change::Open(segment(1, "c1"))]).await.expect("open");
    for (state, steps) in lives {
        store.commit(steps).await.expect("step");
        let before = one(&store, 1).await.expect("row");
        assert_eq!(before.state, state);
        for change in words(1) {
            let moves = matches!(
                (&change, state),
                (Change::Close(..), State::Open)
                    | (Change::Keep(..), State::Closed)
                    | (Change::Dispose(..), State::Doomed)
            );
            if !moves {
                store.commit(vec![change.clone()]).await.expect("late");
                assert_eq!(one(&store, 1).await.as_ref(), Some(&before), "{change:?} in {state:?}");
            }
        }
    }
}

pub async fn purposes_are_only_taken(store: Index) {
    store.commit(vec![Change::Open(segment(1, "c1"))]).await.expect("open");
    let amend = |purposes: &[&str]| {
        Change::Amend(id(1), purposes.iter().map(|p| (*p).to_owned()).collect(), Deadlines::default())
    };
    store.commit(vec![amend(&["training", "secret"])]).await.expect("amend while open");
    let row = one(&store, 1).await.expect("row");
    assert_eq!((row.state, row.kept_for), (State::Open, vec!["training".to_owned()]));
    assert_eq!(row.segment.purposes, ["proof", "training"], "as it was opened");
    store.commit(vec![Change::Close(id(1), closing(&["proof", "training"]))]).await.expect("close");
    let row = one(&store, 1).await.expect("row");
    assert_eq!((row.state, row.kept_for), (State::Closed, vec!["training".to_owned()]), "closing adds none");
    store.commit(vec![amend(&["proof", "training"])]).await.expect("amend");
    let row = one(&store, 1).await.expect("row");
    assert_eq!((row.state, row.kept_for), (State::Closed, vec!["training".to_owned()]));
}

pub async fn closing_without_a_purpose_dooms(store: Index) {
    for (n, purposes) in [(1, vec![]), (2, vec!["secret"])] {
        let changes = vec![Change::Open(segment(n, "c1")), Change::Close(id(n), closing(&purposes))];
        store.commit(changes).await.expect("open and close");
        let row = one(&store, n).await.expect("row");
        assert_eq!((row.state, row.kept_for), (State::Doomed, vec![]));
        assert_eq!(row.closing, Some(closing(&purposes)));
    }
}

pub async fn no_purpose_dooms_any_state_but_disposed(store: Index) {
    let steps = [
        Change::Open(segment(0, "c1")),
        Change::Close(id(0), closing(&["proof"])),
        Change::Keep(id(0), kept(1)),
        Change::Amend(id(0), vec![], Deadlines::default()),
    ];
    for n in 1..=4_u8 {
        let life = steps.iter().take(n.into()).cloned().map(|step| match step {
            Change::Open(_) => Change::Open(segment(n, "c1")),
            Change::Close(_, closing) => Change::Close(id(n), closing),
            Change::Keep(_, kept) => Change::Keep(id(n), kept),
            _ => Change::Amend(id(n), vec![], Deadlines::default()),
        });
        store.commit(life.collect()).await.expect("life");
        store
            .commit(vec![Change::Amend(id(n), vec!["secret".into()], Deadlines::default())])
            .await
            .expect("amend");
        let row = one(&store, n).await.expect("row");
        assert_eq!((row.state, row.kept_for), (State::Doomed, vec![]), "after {n} steps");
        store.commit(vec![Change::Dispose(id(n), at(100))]).await.expect("dispose");
        let gone = one(&store, n).await;
        store.commit(vec![Change::Amend(id(n), vec![], Deadlines::default())]).await.expect("amend");
        assert_eq!(one(&store, n).await, gone);
    }
}

pub async fn segments_are_found(store: Index) {
    // Opened against the order of their ids.
    let opened =
        |n: u8| Segment { opened: at(100 - i64::from(n)), ..segment(n, if n <= 3 { "c1" } else { "c2" }) };
    store.commit((1..=8).map(|n| Change::Open(opened(n))).collect()).await.expect("open");
    let close = |n: u8, due: Option<i64>| {
        let mut closing = closing(&["proof"]);
        closing.retention.scheduled = due.map(at);
        [Change::Close(id(n), closing), Change::Keep(id(n), kept(n))]
    };
    let changes = [close(5, Some(500)), close(6, Some(300)), close(7, None), close(8, Some(501))];
    store.commit(changes.concat()).await.expect("keep");
    let closed = Closing {
        retention: Deadlines { scheduled: Some(at(1)), ..Deadlines::default() },
        ..closing(&["proof"])
    };
    store.commit(vec![Change::Close(id(4), closed)]).await.expect("close");

    let cases: [(SegmentQuery, &[u8]); 13] = [
        (SegmentQuery::Id(id(3)), &[3]),
        (SegmentQuery::Id(id(99)), &[]),
        (SegmentQuery::Call(CallId("c1".into())), &[3, 2, 1]),
        (SegmentQuery::Call(CallId("c9".into())), &[]),
        (SegmentQuery::In(State::Open, 10), &[3, 2, 1]),
        (SegmentQuery::In(State::Open, 2), &[3, 2]),
        (SegmentQuery::In(State::Kept, 10), &[8, 7, 6, 5]),
        (SegmentQuery::In(State::Disposed, 10), &[]),
        (SegmentQuery::After(State::Kept, None, 3), &[5, 6, 7]),
        (SegmentQuery::After(State::Kept, Some(id(7)), 3), &[8]),
        (SegmentQuery::Due(at(500), 10), &[6, 5]),
        (SegmentQuery::Due(at(501), 1), &[6]),
        (SegmentQuery::Due(at(299), 10), &[]),
    ];
    for (query, expected) in cases {
        let found = store.segments(query.clone()).await.expect("segments");
        let found: Vec<_> = found.iter().map(|row| row.segment.id).collect();
        let expected: Vec<_> = expected.iter().map(|n| id(*n)).collect();
        assert_eq!(found, expected, "{query:?}");
    }
}
