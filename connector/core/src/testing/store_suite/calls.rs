//! Calls, and finding them.

use super::*;

pub async fn calls_are_new_or_changed(store: Index) {
    let mut record = call("c1", 0);
    assert_eq!(store.call(&record.id).await, Ok(None));
    store.commit(vec![Change::Call(record.clone())]).await.expect("new");
    assert_eq!(store.call(&record.id).await, Ok(Some(record.clone())));
    record.number = None;
    record.queue = Some("sales".into());
    record.agents = vec!["amel".into(), "bo".into()];
    record.talked = Some(at(5));
    record.ended = Some(at(9));
    record.outcome = "recorded".into();
    record.private = true;
    store.commit(vec![Change::Call(record.clone())]).await.expect("changed");
    assert_eq!(store.call(&record.id).await, Ok(Some(record.clone())));
    assert_eq!(store.calls(&CallQuery::default()).await.map(|calls| calls.len()), Ok(1));
    record.agents = vec!["bo".into()];
    store.commit(vec![Change::Call(record.clone())]).await.expect("changed again");
    let amel = CallQuery { agent: Some("amel".into()), ..CallQuery::default() };
    assert_eq!(
        store.calls(&amel).await,
        Ok(vec![]),
        "an agent who is no longer in the call does not find it"
    );
}

pub async fn calls_are_found(store: Index) {
    let changes = (0..120).map(|n| {
        let mut record = call(&format!("c{n:03}"), n);
        record.line = if n % 2 == 0 { "even" } else { "odd" }.into();
        record.agents = if n % 5 == 0 { vec!["amel".into(), "bo".into()] } else { vec!["bo".into()] };
        record.outcome = if n % 3 == 0 { "recorded" } else { "not-drawn" }.into();
        Change::Call(record)
    });
    store.commit(changes.collect()).await.expect("calls");
    let all = CallQuery { limit: 200, ..CallQuery::default() };
    let cases: [(CallQuery, Vec<i64>); 8] = [
        (all.clone(), (0..120).rev().collect()),
        (CallQuery::default(), (20..120).rev().collect()),
        (CallQuery { limit: 2, ..all.clone() }, vec![119, 118]),
        (
            CallQuery { line: Some("odd".into()), from: Some(at(111)), ..all.clone() },
            vec![119, 117, 115, 113, 111],
        ),
        (CallQuery { until: Some(at(2)), ..all.clone() }, vec![1, 0]),
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
        (CallQuery { line: Some("none".into()), ..all }, vec![]),
    ];
    for (query, expected) in cases {
        let found = store.calls(&query).await.expect("calls");
        let found: Vec<_> = found.iter().map(|call| (call.started - at(0)).get_seconds()).collect();
        assert_eq!(found, expected, "{query:?}");
    }
}

pub async fn numbers_are_found_by_their_end(store: Index) {
    let numbers = ["+33199001234", "0199001234", "+33199001235", "sip:anonymous@192.0.2.1", "2001"];
    let mut changes: Vec<_> = numbers
        .iter()
        .zip(0..)
        .map(|(number, n)| Change::Call(CallRecord { number: Some((*number).into()), ..call(number, n) }))
        .collect();
    changes.push(Change::Call(CallRecord { number: None, ..call("none", 9) }));
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
        let query = CallQuery { number: Some(typed.into()), ..CallQuery::default() };
        let found = store.calls(&query).await.expect("calls");
        let found: Vec<_> = found.iter().map(|call| (call.started - at(0)).get_seconds()).collect();
        assert_eq!(found, expected, "{typed}");
    }
}
