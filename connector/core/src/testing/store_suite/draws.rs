//! Lots and counters.

use std::collections::BTreeMap;

use super::*;

pub async fn lots_are_drawn_once(store: Index) {
    assert_eq!(store.draw(vec![]).await, Ok(vec![]));
    assert_eq!(store.draws("quality").await, Ok(vec![]));
    let first = ballot("quality", "c1", "amel", 1000, 1);
    let other = ballot("coaching", "c1", "amel", 0, u64::MAX);
    let drawn = store.draw(vec![first.clone(), other.clone(), first.clone()]).await.expect("draw");
    assert_eq!(drawn.len(), 3);
    assert_eq!((&drawn[0].ballot, drawn[0].selected, drawn[0].before), (&first, true, Counters::default()));
    assert_eq!((&drawn[1].ballot, drawn[1].selected, drawn[1].before), (&other, false, Counters::default()));
    assert_eq!(drawn[2], drawn[0], "the same lot twice falls once");

    let again =
        Ballot { stratum: "bo".into(), rate: 0, draw: "0.7".parse().expect("a draw"), at: at(50), ..first };
    assert_eq!(store.draw(vec![again]).await, Ok(vec![drawn[0].clone()]), "later too, as it fell first");
    assert_eq!(store.draws("quality").await, Ok(vec![drawn[0].clone()]));
    assert_eq!(store.draws("coaching").await, Ok(vec![drawn[1].clone()]));

    let next = store.draw(vec![ballot("quality", "c2", "bo", 1000, 1)]).await.expect("draw");
    let before = Counters { total_calls: 1, total_recorded: 1, stratum_calls: 0, stratum_recorded: 0 };
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

pub async fn lots_follow_the_counters(store: Index) {
    let strata = ["amel", "bo", ""];
    let ballots: Vec<_> = (0..60_u64)
        .map(|n| {
            let draw = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            ballot("quality", &format!("c{n}"), strata[(n % 3) as usize], 200, draw)
        })
        .collect();
    let drawn = join_all(ballots.iter().map(|ballot| store.draw(vec![ballot.clone()]))).await;
    let drawn: Vec<_> = drawn.into_iter().map(|drawn| drawn.expect("draw").remove(0)).collect();
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
    let wide = ballot("quality", "big", "amel", 200, u64::MAX);
    let big = store.draw(vec![wide.clone()]).await.expect("draw");
    assert_eq!(big[0].ballot, wide);
    assert_eq!(
        store.draws("quality").await.expect("draws").last(),
        big.last(),
        "the whole width of a draw is kept"
    );
}
