//! Every list is answered by an index, and SQLite itself says by which.

use sqlx::{QueryBuilder, Row as _, Sqlite};
use temoin_core::segment::State;

use super::*;

#[tokio::test]
async fn lists_are_answered_by_an_index() {
    let dir = TempDir::new().expect("dir");
    let path = dir.path().join("index.db");
    open(&path).await;
    let mut db = stranger(&path).await;
    let text = |text: &str| Some(text.to_owned());
    let all = CallQuery::default();
    let id = SegmentId::new(at(0), [1; 10]);
    let cases: Vec<(QueryBuilder<Sqlite>, &[&str])> = vec![
        (read::calls(&all), &["calls_by_time", "call_agents USING PRIMARY KEY"]),
        (
            read::calls(&CallQuery { from: Some(at(0)), until: Some(at(1)), ..all.clone() }),
            &["calls_by_time (started>? AND started<?"],
        ),
        (read::calls(&CallQuery { line: text("x"), ..all.clone() }), &["calls_by_line (line=?"]),
        (
            read::calls(&CallQuery { line: text("x"), from: Some(at(0)), ..all.clone() }),
            &["calls_by_line (line=? AND started>?"],
        ),
        (read::calls(&CallQuery { outcome: text("x"), ..all.clone() }), &["calls_by_outcome (outcome=?"]),
        (read::calls(&CallQuery { agent: text("x"), ..all.clone() }), &["call_agents_by_agent (agent=?"]),
        (
            read::calls(&CallQuery { number: text("1234"), ..all.clone() }),
            &["calls_by_number (number_end>? AND number_end<?"],
        ),
        (
            read::calls(&CallQuery { number: text("+33199001234"), ..all }),
            &["calls_by_number (number_end>? AND number_end<?", "calls_by_number (number_end=?"],
        ),
        (read::call(&CallId("x".into())), &["sqlite_autoindex_calls_1 (id=?"]),
        (read::segments(&SegmentQuery::Id(id)), &["sqlite_autoindex_segments_1 (id=?"]),
        (read::segments(&SegmentQuery::Call(CallId("x".into()))), &["segments_by_call (call=?"]),
        (read::segments(&SegmentQuery::In(State::Closed, 5)), &["segments_by_state (state=?"]),
        (
            read::segments(&SegmentQuery::After(State::Kept, Some(id), 5)),
            &["segments_by_state_and_id (state=? AND id>?"],
        ),
        (read::segments(&SegmentQuery::Due(at(0), 5)), &["segments_due (state=? AND scheduled<?"]),
        (read::story("n", &CallId("x".into())), &["journal_content_by_call (call=? AND node=?"]),
        (read::chain("n", 5, 5), &["journal USING PRIMARY KEY (node=? AND seq>?"]),
        (read::draws("x"), &["draws_in_order (campaign=?"]),
    ];
    for (query, indexes) in cases {
        let mut explain = QueryBuilder::<Sqlite>::new("EXPLAIN QUERY PLAN ");
        explain.push(query.sql().as_str());
        // No values: the plan must not hang on them.
        let rows = sqlx::query(sqlx::AssertSqlSafe(explain.sql().as_str()))
            .fetch_all(&mut db)
            .await
            .expect("explain");
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let plan = plan.join("\n");
        for index in indexes {
            assert!(plan.contains(index), "{index} in the plan of {}:\n{plan}", query.sql().as_str());
        }
        assert!(!plan.contains("TEMP B-TREE FOR ORDER BY") || plan.contains("LIST SUBQUERY"), "{plan}");
        let scans = plan
            .lines()
            .filter(|line| line.starts_with("SCAN") && !line.contains("USING INDEX calls_by_time"));
        let scans: Vec<_> =
            scans.filter(|line| !line.contains("CONSTANT ROW") && !line.contains("(subquery")).collect();
        assert_eq!(scans, Vec::<&str>::new(), "{plan}");
    }
}
