//! Transfers among three phones without a PBX, and messages that get lost.

use std::net::Ipv4Addr;
use std::time::Duration;

use temoin_phone::{Answering, Call, CallOptions, Error, How, Phone, Side, State, Tone, Until};

const LIMIT: Duration = Duration::from_secs(60);

async fn phone(name: &str, hz: u32) -> Phone {
    let phone = Phone::bind(Ipv4Addr::LOCALHOST, name).await.unwrap();
    phone.speak(Tone::new(hz));
    phone.answer_with(Answering::After(Duration::ZERO));
    phone
}

async fn talk(from: &Phone, to: &Phone) -> (Call, Call) {
    let out = from.call(&to.uri(), CallOptions::default()).await.unwrap();
    let inbound = to.next_call(LIMIT).await.unwrap();
    out.wait_for(Until::Answered, LIMIT).await.unwrap();
    inbound.wait_for(Until::Answered, LIMIT).await.unwrap();
    (out, inbound)
}

#[tokio::test]
async fn a_blind_transfer_joins_the_other_two() {
    let (customer, agent, expert) = (phone("c", 500).await, phone("a", 800).await, phone("e", 1100).await);
    let (out, inbound) = talk(&customer, &agent).await;
    inbound.refer(&expert.uri()).await.unwrap();
    let onward = customer.next_call(LIMIT).await.unwrap();
    assert!(!onward.is_inbound());
    let arrived = expert.next_call(LIMIT).await.unwrap();
    assert!(arrived.header("Referred-By").is_some_and(|by| by.contains("<sip:a@")));
    inbound.wait_for(Until::Transferred, LIMIT).await.unwrap();
    assert_eq!(inbound.ended(LIMIT).await.unwrap().how, How::Transferred);
    out.wait_for(Until::Ended, LIMIT).await.unwrap();
    onward.wait_for(Until::Hears(1100), LIMIT).await.unwrap();
    arrived.wait_for(Until::Hears(500), LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_transfer_to_somebody_busy_fails_and_the_call_goes_on() {
    let (customer, agent, expert) = (phone("c", 500).await, phone("a", 800).await, phone("e", 1100).await);
    expert.answer_with(Answering::BUSY);
    let (_out, inbound) = talk(&customer, &agent).await;
    inbound.refer(&expert.uri()).await.unwrap();
    inbound.wait_for(Until::TransferFailed, LIMIT).await.unwrap();
    assert_eq!(customer.next_call(LIMIT).await.unwrap().ending().map(|e| e.how), Some(How::Refused(486)));
    inbound.wait_for(Until::Hears(500), LIMIT).await.unwrap();
    let refused = inbound.refer("sip:x@example.org").await.unwrap_err();
    assert!(matches!(refused, Error::Refused { status: 400, .. }), "{refused}");
}

#[tokio::test]
async fn an_attended_transfer_replaces_the_consultation() {
    let (customer, agent, expert) = (phone("c", 500).await, phone("a", 800).await, phone("e", 1100).await);
    let (out, inbound) = talk(&customer, &agent).await;
    inbound.hold().await.unwrap();
    let (consult, consulted) = talk(&agent, &expert).await;
    inbound.refer_to(&consult).await.unwrap();
    let taken = expert.next_call(LIMIT).await.unwrap();
    assert_eq!(consulted.ended(LIMIT).await.unwrap().how, How::Replaced);
    assert_eq!(consult.ended(LIMIT).await.unwrap().by, Side::Them);
    inbound.wait_for(Until::Transferred, LIMIT).await.unwrap();
    assert_eq!(inbound.ended(LIMIT).await.unwrap().how, How::Transferred);
    out.wait_for(Until::Ended, LIMIT).await.unwrap();
    taken.wait_for(Until::Hears(500), LIMIT).await.unwrap();
    customer.next_call(LIMIT).await.unwrap().wait_for(Until::Hears(1100), LIMIT).await.unwrap();
    // the consultation is gone: it cannot be replaced again
    let again = inbound.refer_to(&consult).await.unwrap_err();
    assert!(matches!(again, Error::Unfit { state: State::Ended, .. }), "{again}");
}

#[tokio::test]
async fn lost_messages_are_sent_again() {
    let (customer, agent) = (phone("c", 500).await, phone("a", 800).await);
    agent.lose_next("INVITE", 1);
    customer.lose_next("180", 1);
    customer.lose_next("200", 1);
    agent.lose_next("ACK", 1);
    let (out, inbound) = talk(&customer, &agent).await;
    out.wait_for(Until::Hears(800), LIMIT).await.unwrap();
    customer.lose_next("BYE", 2);
    inbound.hang_up().await.unwrap();
    assert_eq!(out.ended(LIMIT).await.unwrap().how, How::Bye);
    let lost: Vec<_> = customer.events().into_iter().chain(agent.events()).collect();
    assert_eq!(lost.iter().filter(|event| event.what.starts_with("x ")).count(), 6, "{lost:#?}");
    assert_eq!(
        agent.next_call(Duration::from_millis(100)).await.err().map(|e| e.to_string().contains("no call")),
        Some(true)
    );
}

#[tokio::test]
async fn refusals_and_cancels_survive_loss() {
    let (customer, agent) = (phone("c", 500).await, phone("a", 800).await);
    agent.answer_with(Answering::BUSY);
    agent.lose_next("ACK", 1);
    customer.lose_next("486", 1);
    let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
    assert_eq!(out.ended(LIMIT).await.unwrap().how, How::Refused(486));
    agent.answer_with(Answering::Ring);
    agent.lose_next("CANCEL", 1);
    customer.lose_next("487", 1);
    let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
    out.wait_for(Until::Ringing, LIMIT).await.unwrap();
    out.hang_up().await.unwrap();
    assert_eq!(out.ended(LIMIT).await.unwrap().how, How::Cancelled);
}

#[tokio::test]
async fn a_dropped_call_is_noticed_at_the_next_request() {
    let (customer, agent) = (phone("c", 500).await, phone("a", 800).await);
    let (out, inbound) = talk(&customer, &agent).await;
    inbound.vanish().await.unwrap();
    assert_eq!(inbound.ending().map(|e| e.how), Some(How::Vanished));
    out.wait_for(Until::Lacks(800), LIMIT).await.unwrap();
    assert_eq!(out.state(), State::Up);
    let hold = out.hold().await.unwrap_err();
    assert!(matches!(hold, Error::Refused { status: 481, .. }), "{hold}");
    assert_eq!(out.ended(LIMIT).await.unwrap().how, How::Broken);
}

#[tokio::test]
async fn an_answer_that_crosses_the_cancel_is_hung_up() {
    let (customer, agent) = (phone("c", 500).await, phone("a", 800).await);
    agent.answer_with(Answering::Ring);
    agent.lose_next("CANCEL", 1);
    let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
    out.wait_for(Until::Ringing, LIMIT).await.unwrap();
    let inbound = agent.next_call(LIMIT).await.unwrap();
    let (hung_up, answered) = tokio::join!(out.hang_up(), inbound.answer());
    hung_up.unwrap();
    answered.unwrap();
    assert_eq!(out.ending().map(|e| (e.by, e.how)), Some((Side::Us, How::Cancelled)));
    assert_eq!(inbound.ended(LIMIT).await.unwrap().how, How::Bye);
}

#[tokio::test]
async fn a_dead_phone_says_nothing_until_it_is_plugged_in() {
    let (customer, agent) = (phone("c", 500).await, phone("a", 800).await);
    agent.answer_with(Answering::Dead);
    let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
    let missed = out.wait_for(Until::Ringing, Duration::from_millis(300)).await;
    assert!(matches!(missed, Err(Error::Missed { .. })) && out.state() == State::Calling);
    agent.answer_with(Answering::After(Duration::ZERO));
    out.wait_for(Until::Answered, LIMIT).await.expect("the INVITE comes again");
}
