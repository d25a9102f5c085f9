//! Commits, and the chain that they write.

use super::*;

pub async fn journal_is_chained_in_the_order_given(store: Index) {
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
    assert_eq!(links.iter().map(|link| link.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(links.iter().all(|link| link.node == "node-1" && link.site == "site-1"));
    assert_eq!(links.iter().map(entry_of).collect::<Vec<_>>(), entries, "the entry as JSON");
    let salts: std::collections::BTreeSet<_> =
        links.iter().filter_map(|link| link.content.as_ref()).map(|content| content.salt).collect();
    assert_eq!(salts.len(), 5, "every row has a salt of its own");
}

pub async fn commit_is_all_or_nothing(store: Index) {
    let segment = segment(1, "c1");
    store.commit(vec![Change::Open(segment.clone())]).await.expect("open");
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
    let twice = vec![Change::Open(self::segment(3, "c1")), Change::Open(self::segment(3, "c1"))];
    assert!(matches!(store.commit(twice).await, Err(StoreError::Refused(_))));
    assert_eq!(one(&store, 3).await, None);
}

pub async fn a_refused_commit_does_not_fail_its_neighbours(store: Index) {
    store.commit(vec![Change::Open(segment(1, "c0"))]).await.expect("open");
    let commits = (0..60).map(|n| {
        let store = &store;
        let mut changes =
            vec![Change::Journal(pressed(&format!("c{n}"), n)), Change::Call(call(&format!("c{n}"), n))];
        if n % 3 == 0 {
            changes.push(Change::Open(segment(1, "c0")));
        }
        async move { (n, store.commit(changes).await) }
    });
    let mut good = 0;
    for (n, result) in join_all(commits).await {
        assert_eq!(result.is_ok(), n % 3 != 0, "commit {n}: {result:?}");
        let found = store.call(&CallId(format!("c{n}"))).await.expect("call");
        assert_eq!(found.is_some(), result.is_ok(), "commit {n} is there when it was said so, and only then");
        good += usize::from(result.is_ok());
    }
    let links = store.chain(0, 100).await.expect("chain");
    assert_eq!(links.len(), good);
    verify(&links);
}

pub async fn story_and_chain_are_in_order(store: Index) {
    let calls = ["c1", "c2", "c1", "c1"];
    let mut lines: Vec<_> =
        calls.iter().zip(0..).map(|(call, n)| Change::Journal(pressed(call, n))).collect();
    lines.push(Change::Journal(Entry { call: None, ..pressed("", 9) }));
    store.commit(lines).await.expect("journal");
    let seqs = |links: Vec<Link>| links.iter().map(|link| link.seq).collect::<Vec<_>>();
    assert_eq!(store.story(&CallId("c1".into())).await.map(seqs), Ok(vec![1, 3, 4]));
    assert_eq!(store.story(&CallId("c9".into())).await.map(seqs), Ok(vec![]));
    assert_eq!(store.chain(1, 2).await.map(seqs), Ok(vec![2, 3]));
    assert_eq!(store.chain(3, 9).await.map(seqs), Ok(vec![4, 5]));
    assert_eq!(store.chain(5, 9).await.map(seqs), Ok(vec![]));
    let story = store.story(&CallId("c2".into())).await.expect("story");
    assert_eq!(story, store.chain(1, 1).await.expect("chain"), "the same rows");
}
