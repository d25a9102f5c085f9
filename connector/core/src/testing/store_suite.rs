//! What every index must do, sentence by sentence of [`Store`].

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::event::Direction;
use crate::id::{CallId, SegmentId};
use crate::journal::{Entry, Link, Verifier, What};
use crate::ports::{
    Ballot, CallQuery, CallRecord, Change, Counters, SegmentQuery, SegmentRecord, Store, StoreError,
};
use crate::segment::{Closing, Deadlines, Ending, Flag, Kept, Sealed, Segment, State};

type Index = Arc<dyn Store>;

/// Runs every case on an index of its own; `make` gives an empty one of node `node-1`, site `site-1`. Panics at the
/// first sentence that does not hold.
pub async fn suite(make: impl AsyncFn() -> Index) {
    journal_is_chained_in_the_order_given(make().await).await;
    commit_is_all_or_nothing(make().await).await;
    a_refused_commit_does_not_fail_its_neighbours(make().await).await;
    calls_are_new_or_changed(make().await).await;
    calls_are_found(make().await).await;
    numbers_are_found_by_their_end(make().await).await;
    segment_goes_its_way(make().await).await;
    late_words_change_nothing(make().await).await;
    purposes_are_only_taken(make().await).await;
    closing_without_a_purpose_dooms(make().await).await;
    no_purpose_dooms_any_state_but_disposed(make().await).await;
    segments_are_found(make().await).await;
    lots_are_drawn_once(make().await).await;
    lots_follow_the_counters(make().await).await;
    story_and_chain_are_in_order(make().await).await;
}

async fn journal_is_chained_in_the_order_given(store: Index) {
    store.commit(vec![]).await.expect("nothing to do is done");
    assert_eq!(store.chain(0, 10).await, Ok(vec![]));
    let entries: Vec<_> = (0..5).map(|n| pressed("c1", n)).collect();
    let (first, rest) = entries.split_at(3);
    for part in [first, rest] {
        let lines = part.iter().cloned().map(Change::Journal).collect();
        store.commit(lines).await.expect("journal");
    }
    let links = store.chain(0, 10).await.expect("chain");
    verify(&links);
    assert_eq!(
        links.iter().map(|link| link.seq).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
    assert!(
        links
            .iter()
            .all(|link| link.node == "node-1" && link.site == "site-1")
    );
    assert_eq!(
        links.iter().map(entry_of).collect::<Vec<_>>(),
        entries,
        "the entry as JSON"
    );
    let salts: std::collections::BTreeSet<_> = links
        .iter()
        .filter_map(|link| link.content.as_ref())
        .map(|content| content.salt)
        .collect();
    assert_eq!(salts.len(), 5, "every row has a salt of its own");
}

async fn commit_is_all_or_nothing(store: Index) {
    let segment = segment(1, "c1");
    store
        .commit(vec![Change::Open(segment.clone())])
        .await
        .expect("open");
    let refused = store
        .commit(vec![
            Change::Journal(pressed("c1", 1)),
            Change::Call(call("c1", 0)),
            Change::Open(self::segment(2, "c1")),
            Change::Open(segment),
        ])
        .await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "an open segment is not opened again: {refused:?}"
    );
    assert_eq!(store.chain(0, 10).await, Ok(vec![]));
    assert_eq!(store.call(&CallId("c1".into())).await, Ok(None));
    assert_eq!(one(&store, 2).await, None);
    let twice = vec![
        Change::Open(self::segment(3, "c1")),
        Change::Open(self::segment(3, "c1")),
    ];
    assert!(matches!(store.commit(twice).await, Err(StoreError::Refused(_))));
    assert_eq!(one(&store, 3).await, None);
}

async fn a_refused_commit_does_not_fail_its_neighbours(store: Index) {
    store
        .commit(vec![Change::Open(segment(1, "c0"))])
        .await
        .expect("open");
    let commits = (0..60).map(|n| {
        let store = &store;
        let mut changes = vec![
            Change::Journal(pressed(&format!("c{n}"), n)),
            Change::Call(call(&format!("c{n}"), n)),
        ];
        if n % 3 == 0 {
            changes.push(Change::Open(segment(1, "c0")));
        }
        async move { (n, store.commit(changes).await) }
    });
    let mut good = 0;
    for (n, result) in join_all(commits).await {
        assert_eq!(result.is_ok(), n % 3 != 0, "commit {n}: {result:?}");
        let found = store.call(&CallId(format!("c{n}"))).await.expect("call");
        assert_eq!(
            found.is_some(),
            result.is_ok(),
            "commit {n} is there when it was said so, and only then"
        );
        good += usize::from(result.is_ok());
    }
    let links = store.chain(0, 100).await.expect("chain");
    assert_eq!(links.len(), good);
    verify(&links);
}

async fn calls_are_new_or_changed(store: Index) {
    let mut record = call("c1", 0);
    assert_eq!(store.call(&record.id).await, Ok(None));
    store
        .commit(vec![Change::Call(record.clone())])
        .await
        .expect("new");
    assert_eq!(store.call(&record.id).await, Ok(Some(record.clone())));
    record.number = None;
    record.queue = Some("sales".into());
    record.agents = vec!["amel".into(), "bo".into()];
    record.talked = Some(at(5));
    record.ended = Some(at(9));
    record.outcome = "recorded".into();
    store
        .commit(vec![Change::Call(record.clone())])
        .await
        .expect("changed");
    assert_eq!(store.call(&record.id).await, Ok(Some(record.clone())));
    assert_eq!(
        store.calls(&CallQuery::default()).await.map(|calls| calls.len()),
        Ok(1)
    );
    record.agents = vec!["bo".into()];
    store
        .commit(vec![Change::Call(record.clone())])
        .await
        .expect("changed again");
    let amel = CallQuery {
        agent: Some("amel".into()),
        ..CallQuery::default()
    };
    assert_eq!(
        store.calls(&amel).await,
        Ok(vec![]),
        "an agent who is no longer in the call does not find it"
    );
}

async fn calls_are_found(store: Index) {
    let changes = (0..120).map(|n| {
        let mut record = call(&format!("c{n:03}"), n);
        record.line = if n % 2 == 0 { "even" } else { "odd" }.into();
        record.agents = if n % 5 == 0 {
            vec!["amel".into(), "bo".into()]
        } else {
            vec!["bo".into()]
        };
        record.outcome = if n % 3 == 0 { "recorded" } else { "not-drawn" }.into();
        Change::Call(record)
    });
    store.commit(changes.collect()).await.expect("calls");
    let all = CallQuery {
        limit: 200,
        ..CallQuery::default()
    };
    let cases: [(CallQuery, Vec<i64>); 8] = [
        (all.clone(), (0..120).rev().collect()),
        (CallQuery::default(), (20..120).rev().collect()),
        (
            CallQuery {
                limit: 2,
                ..all.clone()
            },
            vec![119, 118],
        ),
        (
            CallQuery {
                line: Some("odd".into()),
                from: Some(at(111)),
                ..all.clone()
            },
            vec![119, 117, 115, 113, 111],
        ),
        (
            CallQuery {
                until: Some(at(2)),
                ..all.clone()
            },
            vec![1, 0],
        ),
        (
            CallQuery {
                agent: Some("amel".into()),
                from: Some(at(100)),
                until: Some(at(110)),
                ..all.clone()
            },
            vec![105, 100],
        ),
        (
            CallQuery {
                agent: Some("amel".into()),
                line: Some("odd".into()),
                outcome: Some("recorded".into()),
                ..all.clone()
            },
            vec![105, 75, 45, 15],
        ),
        (
            CallQuery {
                line: Some("none".into()),
                ..all
            },
            vec![],
        ),
    ];
    for (query, expected) in cases {
        let found = store.calls(&query).await.expect("calls");
        let found: Vec<_> = found
            .iter()
            .map(|call| (call.started - at(0)).get_seconds())
            .collect();
        assert_eq!(found, expected, "{query:?}");
    }
}

async fn numbers_are_found_by_their_end(store: Index) {
    let numbers = [
        "+33199001234",
        "0199001234",
        "+33199001235",
        "sip:anonymous@192.0.2.1",
        "2001",
    ];
    let mut changes: Vec<_> = numbers
        .iter()
        .zip(0..)
        .map(|(number, n)| {
            Change::Call(CallRecord {
                number: Some((*number).into()),
                ..call(number, n)
            })
        })
        .collect();
    changes.push(Change::Call(CallRecord {
        number: None,
        ..call("none", 9)
    }));
    store.commit(changes).await.expect("calls");
    for (typed, expected) in [
        ("1234", vec![1, 0]),
        ("0199001234", vec![1, 0]),
        ("+33199001234", vec![1, 0]),
        ("1235", vec![2]),
        ("1", vec![4]),
        ("199001236", vec![]),
        ("", vec![]),
    ] {
        let query = CallQuery {
            number: Some(typed.into()),
            ..CallQuery::default()
        };
        let found = store.calls(&query).await.expect("calls");
        let found: Vec<_> = found
            .iter()
            .map(|call| (call.started - at(0)).get_seconds())
            .collect();
        assert_eq!(found, expected, "{typed}");
    }
}

async fn segment_goes_its_way(store: Index) {
    let segment = segment(1, "c1");
    store
        .commit(vec![Change::Open(segment.clone())])
        .await
        .expect("open");
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
    store
        .commit(vec![Change::Close(id(1), closing.clone())])
        .await
        .expect("close");
    expected.state = State::Closed;
    expected.kept_for = vec!["proof".into()];
    expected.retention = closing.retention;
    expected.flags = closing.flags.clone();
    expected.closing = Some(closing);
    assert_eq!(one(&store, 1).await.as_ref(), Some(&expected));

    let kept = kept(1);
    store
        .commit(vec![Change::Keep(id(1), kept.clone())])
        .await
        .expect("keep");
    expected.state = State::Kept;
    expected.millis = Some(kept.millis);
    expected.sha256 = Some(kept.sha256);
    expected.sealed = Some(kept.sealed);
    expected.flags = kept.flags;
    assert_eq!(one(&store, 1).await.as_ref(), Some(&expected));

    store
        .commit(vec![Change::Amend(id(1), vec![])])
        .await
        .expect("amend");
    expected.state = State::Doomed;
    expected.kept_for = vec![];
    assert_eq!(one(&store, 1).await.as_ref(), Some(&expected));

    store
        .commit(vec![Change::Dispose(id(1), at(100))])
        .await
        .expect("dispose");
    expected.state = State::Disposed;
    expected.sealed = None;
    expected.disposed = Some(at(100));
    assert_eq!(
        one(&store, 1).await.as_ref(),
        Some(&expected),
        "the row tells that it was; the key is gone"
    );
}

async fn late_words_change_nothing(store: Index) {
    let words = |n| {
        [
            Change::Close(id(n), closing(&["training"])),
            Change::Keep(id(n), kept(9)),
            Change::Dispose(id(n), at(200)),
        ]
    };
    for change in words(7) {
        store
            .commit(vec![change.clone(), Change::Journal(pressed("c7", 0))])
            .await
            .expect("no such segment");
        assert_eq!(one(&store, 7).await, None, "{change:?} makes no row");
    }
    store
        .commit(vec![Change::Amend(id(7), vec![])])
        .await
        .expect("no such segment");
    assert_eq!(
        store.chain(0, 10).await.map(|links| links.len()),
        Ok(3),
        "and the rest of its commit is done"
    );

    let lives: [(State, Vec<Change>); 5] = [
        (State::Open, vec![]),
        (State::Closed, vec![Change::Close(id(1), closing(&["proof"]))]),
        (State::Kept, vec![Change::Keep(id(1), kept(1))]),
        (State::Doomed, vec![Change::Amend(id(1), vec![])]),
        (State::Disposed, vec![Change::Dispose(id(1), at(100))]),
    ];
    store
        .commit(vec![Change::Open(segment(1, "c1"))])
        .await
        .expect("open");
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
                assert_eq!(
                    one(&store, 1).await.as_ref(),
                    Some(&before),
                    "{change:?} in {state:?}"
                );
            }
        }
    }
}

async fn purposes_are_only_taken(store: Index) {
    store
        .commit(vec![Change::Open(segment(1, "c1"))])
        .await
        .expect("open");
    let amend = |purposes: &[&str]| Change::Amend(id(1), purposes.iter().map(|p| (*p).to_owned()).collect());
    store
        .commit(vec![amend(&["training", "secret"])])
        .await
        .expect("amend while open");
    let row = one(&store, 1).await.expect("row");
    assert_eq!(
        (row.state, row.kept_for),
        (State::Open, vec!["training".to_owned()])
    );
    assert_eq!(row.segment.purposes, ["proof", "training"], "as it was opened");
    store
        .commit(vec![Change::Close(id(1), closing(&["proof", "training"]))])
        .await
        .expect("close");
    let row = one(&store, 1).await.expect("row");
    assert_eq!(
        (row.state, row.kept_for),
        (State::Closed, vec!["training".to_owned()]),
        "closing adds none"
    );
    store
        .commit(vec![amend(&["proof", "training"])])
        .await
        .expect("amend");
    let row = one(&store, 1).await.expect("row");
    assert_eq!(
        (row.state, row.kept_for),
        (State::Closed, vec!["training".to_owned()])
    );
}

async fn closing_without_a_purpose_dooms(store: Index) {
    for (n, purposes) in [(1, vec![]), (2, vec!["secret"])] {
        let changes = vec![
            Change::Open(segment(n, "c1")),
            Change::Close(id(n), closing(&purposes)),
        ];
        store.commit(changes).await.expect("open and close");
        let row = one(&store, n).await.expect("row");
        assert_eq!((row.state, row.kept_for), (State::Doomed, vec![]));
        assert_eq!(row.closing, Some(closing(&purposes)));
    }
}

async fn no_purpose_dooms_any_state_but_disposed(store: Index) {
    let steps = [
        Change::Open(segment(0, "c1")),
        Change::Close(id(0), closing(&["proof"])),
        Change::Keep(id(0), kept(1)),
        Change::Amend(id(0), vec![]),
    ];
    for n in 1..=4_u8 {
        let life = steps.iter().take(n.into()).cloned().map(|step| match step {
            Change::Open(_) => Change::Open(segment(n, "c1")),
            Change::Close(_, closing) => Change::Close(id(n), closing),
            Change::Keep(_, kept) => Change::Keep(id(n), kept),
            _ => Change::Amend(id(n), vec![]),
        });
        store.commit(life.collect()).await.expect("life");
        store
            .commit(vec![Change::Amend(id(n), vec!["secret".into()])])
            .await
            .expect("amend");
        let row = one(&store, n).await.expect("row");
        assert_eq!(
            (row.state, row.kept_for),
            (State::Doomed, vec![]),
            "after {n} steps"
        );
        store
            .commit(vec![Change::Dispose(id(n), at(100))])
            .await
            .expect("dispose");
        let gone = one(&store, n).await;
        store
            .commit(vec![Change::Amend(id(n), vec![])])
            .await
            .expect("amend");
        assert_eq!(one(&store, n).await, gone);
    }
}

async fn segments_are_found(store: Index) {
    // Opened against the order of their ids.
    let opened = |n: u8| Segment {
        opened: at(100 - i64::from(n)),
        ..segment(n, if n <= 3 { "c1" } else { "c2" })
    };
    store
        .commit((1..=8).map(|n| Change::Open(opened(n))).collect())
        .await
        .expect("open");
    let close = |n: u8, due: Option<i64>| {
        let mut closing = closing(&["proof"]);
        closing.retention.scheduled = due.map(at);
        [Change::Close(id(n), closing), Change::Keep(id(n), kept(n))]
    };
    let changes = [
        close(5, Some(500)),
        close(6, Some(300)),
        close(7, None),
        close(8, Some(501)),
    ];
    store.commit(changes.concat()).await.expect("keep");
    let closed = Closing {
        retention: Deadlines {
            scheduled: Some(at(1)),
            ..Deadlines::default()
        },
        ..closing(&["proof"])
    };
    store
        .commit(vec![Change::Close(id(4), closed)])
        .await
        .expect("close");

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

async fn lots_are_drawn_once(store: Index) {
    assert_eq!(store.draw(vec![]).await, Ok(vec![]));
    assert_eq!(store.draws("quality").await, Ok(vec![]));
    let first = ballot("quality", "c1", "amel", 1000, 1);
    let other = ballot("coaching", "c1", "amel", 0, u64::MAX);
    let drawn = store
        .draw(vec![first.clone(), other.clone(), first.clone()])
        .await
        .expect("draw");
    assert_eq!(drawn.len(), 3);
    assert_eq!(
        (&drawn[0].ballot, drawn[0].selected, drawn[0].before),
        (&first, true, Counters::default())
    );
    assert_eq!(
        (&drawn[1].ballot, drawn[1].selected, drawn[1].before),
        (&other, false, Counters::default())
    );
    assert_eq!(drawn[2], drawn[0], "the same lot twice falls once");

    let again = Ballot {
        stratum: "bo".into(),
        rate: 0,
        draw: 7,
        at: at(50),
        ..first
    };
    assert_eq!(
        store.draw(vec![again]).await,
        Ok(vec![drawn[0].clone()]),
        "later too, as it fell first"
    );
    assert_eq!(store.draws("quality").await, Ok(vec![drawn[0].clone()]));
    assert_eq!(store.draws("coaching").await, Ok(vec![drawn[1].clone()]));

    let next = store
        .draw(vec![ballot("quality", "c2", "bo", 1000, 1)])
        .await
        .expect("draw");
    let before = Counters {
        total_calls: 1,
        total_recorded: 1,
        stratum_calls: 0,
        stratum_recorded: 0,
    };
    assert_eq!(next[0].before, before, "a call counts once");

    let links = store.chain(0, 10).await.expect("chain");
    verify(&links);
    let lines: Vec<_> = links.iter().map(entry_of).collect();
    let expected = [&drawn[0], &drawn[1], &next[0]].map(|drawn| Entry {
        at: drawn.ballot.at,
        call: Some(drawn.ballot.call.clone()),
        segment: None,
        what: What::Drawn(drawn.clone()),
    });
    assert_eq!(lines, expected, "one line of the journal a lot");
}

async fn lots_follow_the_counters(store: Index) {
    let strata = ["amel", "bo", ""];
    let ballots: Vec<_> = (0..60_u64)
        .map(|n| {
            let draw = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            ballot("quality", &format!("c{n}"), strata[(n % 3) as usize], 200, draw)
        })
        .collect();
    let drawn = join_all(ballots.iter().map(|ballot| store.draw(vec![ballot.clone()]))).await;
    let drawn: Vec<_> = drawn
        .into_iter()
        .map(|drawn| drawn.expect("draw").remove(0))
        .collect();
    let in_order = store.draws("quality").await.expect("draws");
    assert_eq!(in_order.len(), ballots.len());
    assert!(drawn.iter().all(|drawn| in_order.contains(drawn)));
    let mut total = Counters::default();
    let mut strata: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for drawn in &in_order {
        let stratum = strata.entry(drawn.ballot.stratum.clone()).or_default();
        (total.stratum_calls, total.stratum_recorded) = *stratum;
        assert_eq!(drawn.before, total, "the counters before {:?}", drawn.ballot.call);
        assert_eq!(drawn.selected, drawn.ballot.settle(&total));
        let one = u64::from(drawn.selected);
        (total.total_calls, total.total_recorded) = (total.total_calls + 1, total.total_recorded + one);
        *stratum = (stratum.0 + 1, stratum.1 + one);
    }
    assert!(total.total_recorded > 0, "the case draws somebody");
    let big = store
        .draw(vec![ballot("quality", "big", "amel", 200, u64::MAX)])
        .await
        .expect("draw");
    assert_eq!(big[0].ballot.draw, u64::MAX);
    assert_eq!(
        store.draws("quality").await.expect("draws").last(),
        big.last(),
        "the whole width of a draw is kept"
    );
}

async fn story_and_chain_are_in_order(store: Index) {
    let calls = ["c1", "c2", "c1", "c1"];
    let mut lines: Vec<_> = calls
        .iter()
        .zip(0..)
        .map(|(call, n)| Change::Journal(pressed(call, n)))
        .collect();
    lines.push(Change::Journal(Entry {
        call: None,
        ..pressed("", 9)
    }));
    store.commit(lines).await.expect("journal");
    let seqs = |links: Vec<Link>| links.iter().map(|link| link.seq).collect::<Vec<_>>();
    assert_eq!(
        store.story(&CallId("c1".into())).await.map(seqs),
        Ok(vec![1, 3, 4])
    );
    assert_eq!(store.story(&CallId("c9".into())).await.map(seqs), Ok(vec![]));
    assert_eq!(store.chain(1, 2).await.map(seqs), Ok(vec![2, 3]));
    assert_eq!(store.chain(3, 9).await.map(seqs), Ok(vec![4, 5]));
    assert_eq!(store.chain(5, 9).await.map(seqs), Ok(vec![]));
    let story = store.story(&CallId("c2".into())).await.expect("story");
    assert_eq!(story, store.chain(1, 1).await.expect("chain"), "the same rows");
}

async fn one(store: &Index, n: u8) -> Option<SegmentRecord> {
    let mut found = store.segments(SegmentQuery::Id(id(n))).await.expect("segments");
    assert!(found.len() <= 1);
    found.pop()
}

fn verify(links: &[Link]) {
    let mut verifier = Verifier::default();
    for link in links {
        verifier.next(link).expect("the chain verifies");
    }
    assert_eq!(verifier.state().0, links.len() as u64);
}

fn entry_of(link: &Link) -> Entry {
    let content = link.content.as_ref().expect("not erased");
    serde_json::from_slice(&content.payload).expect("an entry as JSON")
}

fn at(seconds: i64) -> Timestamp {
    "2026-11-02T08:00:00.250001Z"
        .parse::<Timestamp>()
        .expect("instant")
        + SignedDuration::from_secs(seconds)
}

fn id(n: u8) -> SegmentId {
    SegmentId::new(at(n.into()), [n; 10])
}

fn pressed(call: &str, n: i64) -> Entry {
    Entry {
        at: at(n),
        call: Some(CallId(call.into())),
        segment: None,
        what: What::Pressed {
            by: "agent".into(),
            meaning: format!("meaning-{n}"),
        },
    }
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
    }
}

fn segment(n: u8, call: &str) -> Segment {
    Segment {
        id: id(n),
        call: CallId(call.into()),
        opened: at(n.into()),
        agents: vec!["amel".into(), "bo".into()],
        purposes: vec!["proof".into(), "training".into()],
        mandatory: n % 2 == 1,
        basis: serde_json::json!({ "facts": { "line": "sales" }, "because": ["FR-1", null, 1.5] }),
        retention: Deadlines {
            not_before: Some(at(10)),
            scheduled: Some(at(20)),
            delete_by: None,
        },
    }
}

fn closing(kept: &[&str]) -> Closing {
    Closing {
        from: Some(at(1)),
        until: at(9),
        cut_tail: true,
        kept: kept.iter().map(|purpose| (*purpose).to_owned()).collect(),
        ending: Ending::PartiesChanged,
        flags: vec![Flag::Unwatched],
        retention: Deadlines {
            not_before: None,
            scheduled: Some(at(400)),
            delete_by: Some(at(600)),
        },
    }
}

fn kept(n: u8) -> Kept {
    Kept {
        millis: 8_000 + u64::from(n),
        sha256: "ab".repeat(32),
        sealed: Sealed {
            wrapped_key: vec![n; 60],
            key_id: "key-1".into(),
            plain_len: 128_044,
            cipher_len: 128_100,
            cipher_sha256: "cd".repeat(32),
        },
        flags: vec![Flag::Short, Flag::AgentSilent],
    }
}

fn ballot(campaign: &str, call: &str, stratum: &str, rate: u32, draw: u64) -> Ballot {
    Ballot {
        campaign: campaign.into(),
        call: CallId(call.into()),
        stratum: stratum.into(),
        rate,
        draw,
        at: at(30),
    }
}
