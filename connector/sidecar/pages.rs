//! All calls of an index that a query finds, however many: a page at a time, from the oldest.
//!
//! The port lists calls from the newest; lots must be drawn from the oldest. So the list is walked twice: once to find
//! where the pages end, then back, each page turned round. Of the list only one instant a page is kept.

use jiff::{SignedDuration, Timestamp};
use temoin_core::ports::{CallQuery, CallRecord, Store, StoreError};

/// Calls a page.
const PAGE: u32 = 2000;
const TICK: SignedDuration = SignedDuration::from_micros(1);

/// Each call that the query finds, whatever its limit, from the oldest; gives how many there were.
///
/// # Errors
/// The index does not answer.
pub async fn each(
    store: &impl Store,
    query: &CallQuery,
    take: &mut dyn FnMut(&CallRecord),
) -> Result<u64, StoreError> {
    // Each page is the calls from one end, inclusive, to the next, exclusive.
    let mut ends: Vec<Option<Timestamp>> = vec![query.until];
    let mut size = PAGE;
    loop {
        let until = ends.last().copied().flatten();
        let page = store.calls(&CallQuery { until, limit: size, ..query.clone() }).await?;
        let full = u32::try_from(page.len()).unwrap_or(u32::MAX) >= size;
        let Some(oldest) = page.last().map(|call| call.started) else { break };
        if !full {
            ends.push(query.from);
            break;
        }
        // A page ends where all calls of one instant are on one side.
        match oldest.checked_add(TICK) {
            Ok(end)
                if until.is_none_or(|until| end < until)
                    && page.first().is_some_and(|c| c.started >= end) =>
            {
                ends.push(Some(end));
                size = PAGE;
            }
            _ => size = size.saturating_mul(2),
        }
    }
    let mut records = 0;
    for bounds in ends.windows(2).rev() {
        let query = CallQuery { until: bounds[0], from: bounds[1], limit: u32::MAX, ..query.clone() };
        for call in store.calls(&query).await?.iter().rev() {
            records += 1;
            take(call);
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use temoin_core::id::CallId;
    use temoin_core::ports::Change;
    use temoin_core::testing::MemoryStore;
    use temoin_core::words::Direction;

    use super::*;

    fn record(number: i64) -> CallRecord {
        // Five at a time begin at one instant, so that pages end among them.
        let started = Timestamp::from_second(1_791_187_200 + number / 5).expect("an instant");
        CallRecord {
            id: CallId(format!("{number:06}")),
            line: "accueil".into(),
            direction: Direction::Inbound,
            number: None,
            queue: None,
            agents: vec!["amel".into()],
            started,
            talked: Some(started),
            ended: started.checked_add(SignedDuration::from_secs(30)).ok(),
            outcome: "recorded".into(),
            private: false,
        }
    }

    #[tokio::test]
    async fn every_call_comes_once_and_the_oldest_first() {
        for count in [0, 1, 4, i64::from(PAGE), i64::from(PAGE) + 1, 3 * i64::from(PAGE) + 7] {
            let store = MemoryStore::new("node-1", "site-1");
            store.commit((0..count).map(|n| Change::Call(record(n))).collect()).await.expect("memory");
            let mut seen = Vec::new();
            let take = &mut |call: &CallRecord| seen.push((call.started, call.id.clone()));
            assert_eq!(
                each(&store, &CallQuery::default(), take).await.expect("memory"),
                u64::try_from(count).expect("a count")
            );
            assert!(seen.is_sorted_by_key(|(started, _)| *started));
            seen.sort_by(|a, b| a.1.cmp(&b.1));
            seen.dedup();
            assert_eq!(seen.len(), usize::try_from(count).expect("a count"));
        }
    }

    #[tokio::test]
    async fn what_the_query_leaves_out_does_not_come() {
        let store = MemoryStore::new("node-1", "site-1");
        let calls = 3 * i64::from(PAGE);
        store.commit((0..calls).map(|n| Change::Call(record(n))).collect()).await.expect("memory");
        // Five begin each second: one second is left out at the new end, all but the newest page at the old one.
        let (oldest, newest) = (record(calls - i64::from(PAGE) - 5).started, record(calls - 1).started);
        let query = CallQuery { from: Some(oldest), until: Some(newest), ..CallQuery::default() };
        let mut seen = Vec::new();
        let count = each(&store, &query, &mut |call| seen.push(call.started)).await.expect("memory");
        assert_eq!(count, u64::from(PAGE));
        assert!(seen.iter().all(|started| (oldest..newest).contains(started)));
    }
}
