//! Témoin's own index as a source: calls that went through the hook, through the port that every store has.

use jiff::Timestamp;
use temoin_core::ports::{CallQuery, CallRecord, Store, StoreError};

use super::contact::{Contact, Endpoint};
use crate::pages;

/// Every call of an index that is over, from the oldest; gives how many there were.
///
/// # Errors
/// The index does not answer.
pub async fn read(store: &impl Store, take: &mut dyn FnMut(&Contact<'_>)) -> Result<u64, StoreError> {
    pages::each(store, &CallQuery::default(), &mut |call| take(&contact(call))).await
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
