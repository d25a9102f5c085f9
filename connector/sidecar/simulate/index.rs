//! Témoin's own index as a source: calls that went through the hook, through the port that every store has.
//!
//! The port lists calls from the newest; lots must be drawn from the oldest. So the list is walked twice, a page at a
//! time: once to find where the pages end, then back, each page turned round. Of the list only one instant a page is kept.

use jiff::{SignedDuration, Timestamp};
use temoin_core::ports::{CallQuery, CallRecord, Store, StoreError};

use super::contact::{Contact, Endpoint};

/// Calls a page.
const PAGE: u32 = 2000;
const TICK: SignedDuration = SignedDuration::from_micros(1);

/// Every call of an index that is over, from the oldest; gives how many there were.
///
/// # Errors
/// The index does not answer.
pub async fn read(store: &impl Store, take: &mut dyn FnMut(&Contact<'_>)) -> Result<u64, StoreError> {
    // Each page is the calls from one end, inclusive, to the next, exclusive.
    let mut ends: Vec<Option<Timestamp>> = vec![None];
    let mut size = PAGE;
    loop {
        let until = ends.last().copied().flatten();
        let page = store.calls(&CallQuery { until, limit: size, ..CallQuery::default() }).await?;
        let full = u32::try_from(page.len()).unwrap_or(u32::MAX) >= size;
        let Some(oldest) = page.last().map(|call| call.started) else { break };
        if !full {
            ends.push(None);
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
        let query = CallQuery { until: bounds[0], from: bounds[1], limit: u32::MAX, ..CallQuery::default() };
        for call in store.calls(&query).await?.iter().rev() {
            records += 1;
            take(&contact(call));
        }
    }
    Ok(records)
}

fn contact(call: &CallRecord) -> Contact<'_> {
    let mut agents = call.agents.iter().map(|agent| Endpoint::Agent(agent.as_bytes()));
    let seconds =
        |from: Timestamp, to: Timestamp| u32::try_from(to.as_second() - from.as_second()).unwrap_or(0);
    let talk = call.talked.zip(call.ended).map(|(from, to)| (from, seconds(from, to)));
    Contact {
        call: call.id.0.as_bytes(),
        started: call.started,
        talk: talk.filter(|(_, seconds)| *seconds > 0),
        near: Endpoint::Nobody,
        // Agents that a call was handed on to are told, not for how long: the first stands for all.
        far: agents.next().unwrap_or(Endpoint::Nobody),
        more: Vec::new(),
        line: Some(&call.line),
        dialled: &[],
        context: &[],
        queue: call.queue.as_deref().unwrap_or_default().as_bytes(),
        caller: call.number.as_deref().unwrap_or_default().as_bytes(),
        // Whatever way it went: the one outside is the customer.
        direction: Some(call.direction),
        refused: call.outcome == "objected",
        last: true,
    }
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
        }
    }

    #[tokio::test]
    async fn every_call_comes_once_and_the_oldest_first() {
        for count in [0, 1, 4, i64::from(PAGE), i64::from(PAGE) + 1, 3 * i64::from(PAGE) + 7] {
            let store = MemoryStore::new("node-1", "site-1");
            store.commit((0..count).map(|n| Change::Call(record(n))).collect()).await.expect("memory");
            let mut seen = Vec::new();
            let take = &mut |contact: &Contact<'_>| {
                assert_eq!(contact.talk.map(|(_, seconds)| seconds), Some(30));
                seen.push((contact.started, String::from_utf8_lossy(contact.call).into_owned()));
            };
            assert_eq!(read(&store, take).await.expect("memory"), u64::try_from(count).expect("a count"));
            assert!(seen.is_sorted_by_key(|(started, _)| *started));
            seen.sort_by(|a, b| a.1.cmp(&b.1));
            seen.dedup();
            assert_eq!(seen.len(), usize::try_from(count).expect("a count"));
        }
    }
}
