//! Two phones call each other: how calls begin, sound, change and end.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use temoin_phone::{
    Answering, Call, CallOptions, Error, How, Phone, Side, State, Stream, Tone, Until, Voice, Way,
};

const LIMIT: Duration = Duration::from_secs(60);
const LOW: u32 = 600;
const HIGH: u32 = 880;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A customer who speaks low, and an agent who speaks high and answers at once.
async fn phones() -> (Phone, Phone) {
    let customer = Phone::bind(Ipv4Addr::new(127, 0, 0, 2), "+33199000123").await.unwrap();
    let agent = Phone::bind(Ipv4Addr::LOCALHOST, "1001").await.unwrap();
    customer.speak(Tone::new(LOW));
    agent.speak(Tone::new(HIGH));
    agent.answer_with(Answering::After(Duration::ZERO));
    (customer, agent)
}

/// A call between them, answered, both heard.
async fn talk(customer: &Phone, agent: &Phone) -> (Call, Call) {
    let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
    let inbound = agent.next_call(LIMIT).await.unwrap();
    out.wait_for(Until::Hears(HIGH), LIMIT).await.unwrap();
    inbound.wait_for(Until::Hears(LOW), LIMIT).await.unwrap();
    (out, inbound)
}

fn ending(call: &Call) -> (Side, How) {
    let ending = call.ending().expect("the call has ended");
    (ending.by, ending.how)
}

#[tokio::test]
async fn both_hear_each_other_and_nobody_else() {
    let (customer, agent) = phones().await;
    let begin = Instant::now();
    let (out, inbound) = talk(&customer, &agent).await;
    assert!(out.answered_at().unwrap() >= inbound.answered_at().unwrap());
    assert_eq!((out.is_inbound(), inbound.is_inbound()), (false, true));
    assert_eq!((inbound.caller().user.as_str(), out.call_id()), ("+33199000123", inbound.call_id()));
    for (call, hears, lacks) in [(&out, HIGH, LOW), (&inbound, LOW, HIGH)] {
        let heard = call.ear().first_heard(hears, begin).unwrap();
        let (ear, end) = (call.ear(), heard + ms(400));
        call.wait_for(Until::Packets(ear.all_packets() + 25), LIMIT).await.unwrap();
        assert!(ear.has_tone(hears, heard, end) && ear.lacks_tone(lacks, begin, end), "{}", ear.summary());
        assert!((ear.tone_db(hears, heard, end) + 12.0).abs() < 1.5, "{}", ear.tone_db(hears, heard, end));
        assert!(ear.jumps().is_empty() && ear.strays() == 0);
    }
    out.hang_up().await.unwrap();
    inbound.wait_for(Until::Ended, LIMIT).await.unwrap();
    assert_eq!((ending(&out), ending(&inbound)), ((Side::Us, How::Bye), (Side::Them, How::Bye)));
    out.hang_up().await.expect("hanging up what is over is no error");
}

#[tokio::test]
async fn the_called_side_hangs_up() {
    let (customer, agent) = phones().await;
    let (out, inbound) = talk(&customer, &agent).await;
    inbound.hang_up().await.unwrap();
    assert_eq!(out.ended(LIMIT).await.unwrap().by, Side::Them);
    let late = out.wait_for(Until::Hears(LOW), LIMIT).await;
    assert!(matches!(late, Err(Error::Over { .. })), "{late:?}");
}

#[tokio::test]
async fn what_is_said_can_be_changed() {
    let (customer, agent) = phones().await;
    let (out, inbound) = talk(&customer, &agent).await;
    out.speak(Voice::Tone(Tone { hz: 1200, db: -20.0 }));
    inbound.wait_for(Until::Hears(1200), LIMIT).await.unwrap();
    let since = Instant::now();
    inbound.wait_for(Until::Packets(inbound.ear().all_packets() + 10), LIMIT).await.unwrap();
    let db = inbound.ear().tone_db(1200, since, Instant::now());
    assert!((db + 20.0).abs() < 1.5, "{db}");
    out.speak(Voice::Silence);
    inbound.wait_for(Until::Lacks(1200), LIMIT).await.unwrap();
    let silent = inbound.ear().all_packets();
    inbound.wait_for(Until::Packets(silent + 5), LIMIT).await.expect("silence is sent");
    out.speak(Voice::Nothing);
    let missed = inbound.wait_for(Until::Packets(u64::MAX), ms(200)).await;
    let count = inbound.ear().all_packets();
    assert!(matches!(missed, Err(Error::Missed { .. })));
    let missed = inbound.wait_for(Until::Packets(count + 1), ms(200)).await.unwrap_err().to_string();
    assert!(
        missed.contains("1001 waited 200ms for Packets") && missed.contains("< INVITE sip:1001@"),
        "{missed}"
    );
}

#[tokio::test]
async fn early_media_is_heard_before_the_answer() {
    let (customer, agent) = phones().await;
    agent.answer_with(Answering::EarlyMedia(ms(400)));
    let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
    out.wait_for(Until::EarlyMedia, LIMIT).await.unwrap();
    let heard = out.wait_for(Until::Hears(HIGH), LIMIT).await.unwrap();
    assert_eq!(out.state(), State::Ringing);
    let answered = out.wait_for(Until::Answered, LIMIT).await.unwrap();
    assert!(heard < answered);
    assert!(out.ear().has_tone(HIGH, heard, answered));
}

#[tokio::test]
async fn busy_declined_and_left_ringing() {
    let (customer, agent) = phones().await;
    for (answering, status) in [(Answering::BUSY, 486), (Answering::DECLINE, 603)] {
        agent.answer_with(answering);
        let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
        assert_eq!(out.ended(LIMIT).await.unwrap().how, How::Refused(status));
        let refused = agent.next_call(LIMIT).await.unwrap();
        assert_eq!(ending(&refused), (Side::Us, How::Refused(status)));
    }
    agent.answer_with(Answering::Ring);
    let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
    out.wait_for(Until::Ringing, LIMIT).await.unwrap();
    let missed = out.wait_for(Until::Answered, ms(100)).await.unwrap_err();
    assert!(missed.to_string().contains("it is Ringing"), "{missed}");
    let inbound = agent.next_call(LIMIT).await.unwrap();
    assert!(matches!(inbound.hold().await, Err(Error::Unfit { state: State::Ringing, .. })));
    inbound.refuse(480).await.unwrap();
    assert_eq!(out.ended(LIMIT).await.unwrap().how, How::Refused(480));
}

#[tokio::test]
async fn a_call_is_cancelled_while_it_rings() {
    let (customer, agent) = phones().await;
    agent.answer_with(Answering::Ring);
    let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
    out.wait_for(Until::Ringing, LIMIT).await.unwrap();
    out.hang_up().await.unwrap();
    assert_eq!(ending(&out), (Side::Us, How::Cancelled));
    let inbound = agent.next_call(LIMIT).await.unwrap();
    assert_eq!(inbound.ended(LIMIT).await.unwrap().how, How::Cancelled);
    let over = inbound.wait_for(Until::Answered, LIMIT).await.unwrap_err();
    assert!(matches!(over, Error::Over { .. }) && over.to_string().contains("Cancelled by Them"), "{over}");
}

#[tokio::test]
async fn a_caller_hangs_up_before_anything_is_answered() {
    let (customer, agent) = phones().await;
    agent.answer_with(Answering::Manual);
    let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
    let inbound = agent.next_call(LIMIT).await.unwrap();
    let (hung_up, rang) = tokio::join!(out.hang_up(), inbound.ring());
    hung_up.unwrap();
    rang.unwrap();
    assert_eq!((ending(&out), ending(&inbound)), ((Side::Us, How::Cancelled), (Side::Them, How::Cancelled)));
}

#[tokio::test]
async fn an_early_bye_ends_a_call_that_rings() {
    let (customer, agent) = phones().await;
    agent.answer_with(Answering::Ring);
    let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
    out.wait_for(Until::Ringing, LIMIT).await.unwrap();
    out.bye().await.unwrap();
    let inbound = agent.next_call(LIMIT).await.unwrap();
    assert_eq!(inbound.ended(LIMIT).await.unwrap().how, How::Bye);
}

#[tokio::test]
async fn a_called_phone_hangs_up_after_the_ack_or_at_once_if_told() {
    let (customer, agent) = phones().await;
    agent.answer_with(Answering::Manual);
    // the ACK is lost: hanging up waits for the next one
    agent.lose_next("ACK", 1);
    let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
    let inbound = agent.next_call(LIMIT).await.unwrap();
    inbound.answer().await.unwrap();
    inbound.hang_up().await.unwrap();
    assert_eq!(out.ended(LIMIT).await.unwrap().how, How::Bye);
    let acks = |kind: &str| agent.events().iter().filter(|event| event.what.starts_with(kind)).count();
    assert_eq!((acks("x ACK"), acks("< ACK")), (1, 1), "{:#?}", agent.events());

    let out = customer.call(&agent.uri(), CallOptions::default()).await.unwrap();
    let inbound = agent.next_call(LIMIT).await.unwrap();
    inbound.answer().await.unwrap();
    inbound.bye().await.unwrap();
    assert_eq!(out.ended(LIMIT).await.unwrap().how, How::Bye);
    assert!(out.answered_at().is_some());
}

#[tokio::test]
async fn hold_stops_the_sound_both_ways_and_resume_brings_it_back() {
    let (customer, agent) = phones().await;
    let (out, inbound) = talk(&customer, &agent).await;
    for (holder, held, hz, tone) in [(&out, &inbound, LOW, HIGH), (&inbound, &out, HIGH, LOW)] {
        holder.hold().await.unwrap();
        held.wait_for(Until::Held, LIMIT).await.unwrap();
        held.wait_for(Until::Lacks(hz), LIMIT).await.unwrap();
        holder.wait_for(Until::Lacks(tone), LIMIT).await.unwrap();
        holder.resume().await.unwrap();
        held.wait_for(Until::Resumed, LIMIT).await.unwrap();
        held.wait_for(Until::Hears(hz), LIMIT).await.unwrap();
        holder.wait_for(Until::Hears(tone), LIMIT).await.unwrap();
        assert!(held.ear().jumps().is_empty(), "a pause is no jump: {:?}", held.ear().jumps());
    }
}

#[tokio::test]
async fn keys_of_both_kinds_arrive() {
    let (customer, agent) = phones().await;
    let (out, inbound) = talk(&customer, &agent).await;
    let begun = Instant::now();
    let left = out.press("*9", Way::Rtp, ms(100)).await.unwrap();
    let at = inbound.wait_for(Until::Keys("*9".into()), LIMIT).await.unwrap();
    // two keys of 100 ms, two more end packets and a rest of 60 ms between them
    assert!(left - begun >= ms(280), "{:?}", left - begun);
    assert!(at.max(left) - at.min(left) < ms(100), "{:?} {:?}", at, left);
    let left = inbound.press("1#D", Way::Info, ms(250)).await.unwrap();
    let at = out.wait_for(Until::Keys("1#D".into()), LIMIT).await.unwrap();
    assert!(at >= left);
    let keys =
        |call: &Call| call.ear().keys().into_iter().map(|k| (k.digit, k.way, k.length)).collect::<Vec<_>>();
    assert_eq!(keys(&inbound), [('*', Way::Rtp, ms(100)), ('9', Way::Rtp, ms(100))]);
    assert_eq!(keys(&out), ['1', '#', 'D'].map(|digit| (digit, Way::Info, ms(250))));
    assert!(matches!(out.press("12x", Way::Rtp, ms(100)).await, Err(Error::Key('x'))));
    let (pressed, ended) = tokio::join!(out.press("123456", Way::Rtp, ms(500)), inbound.hang_up());
    assert!(matches!(pressed, Err(Error::Unfit { .. })) && ended.is_ok(), "{pressed:?}");
}

/// Waits for these jumps, and no others.
async fn jumps(call: &Call, wanted: &[(u16, bool)]) {
    let begun = Instant::now();
    loop {
        let count = call.ear().all_packets();
        call.wait_for(Until::Packets(count + 5), LIMIT).await.unwrap();
        let seen: Vec<_> = call.ear().jumps().iter().map(|jump| (jump.to, jump.new_source)).collect();
        if seen == wanted {
            return;
        }
        assert!(wanted.starts_with(&seen) && begun.elapsed() < LIMIT, "{seen:?} instead of {wanted:?}");
    }
}

#[tokio::test]
async fn rtp_begins_and_jumps_where_told() {
    let (customer, agent) = phones().await;
    let stream = Stream { sequence: 65_530, timestamp: u32::MAX - 100, ssrc: 0xfeed };
    customer.begin_at(stream);
    let (out, inbound) = talk(&customer, &agent).await;
    inbound.wait_for(Until::Packets(20), LIMIT).await.unwrap();
    assert!(inbound.ear().jumps().is_empty(), "numbers wrap without a jump");
    let before = out.stream();
    assert_eq!(before.ssrc, 0xfeed);
    assert!(before.sequence < 1000, "wrapped: {before:?}");
    out.go_on_at(Stream { sequence: 100, ..before });
    jumps(&inbound, &[(100, false)]).await;
    out.go_on_at(Stream { ssrc: 0xbeef, sequence: 40_000, timestamp: 0 });
    jumps(&inbound, &[(100, false), (40_000, true)]).await;
}

#[tokio::test]
async fn hostile_names_arrive_whole_and_inject_nothing() {
    let (customer, agent) = phones().await;
    let long = "x".repeat(300);
    let hostile = [
        "a\"b\\c",
        "x\r\nX-Evil: 1",
        "../../etc/passwd",
        "Zoë Ünïcode 📞",
        "<sip:a@b>;tag=1",
        "%0d%0aX",
        "",
        &long,
    ];
    for text in hostile {
        let options = CallOptions {
            user: Some(text.into()),
            display: Some(text.into()),
            headers: vec![("X-Note".into(), text.into())],
            ..CallOptions::default()
        };
        let out = customer.call(&agent.uri(), options).await.unwrap();
        let inbound = agent.next_call(LIMIT).await.unwrap();
        let written = text.replace('\r', "%0D").replace('\n', "%0A");
        let caller = inbound.caller();
        assert_eq!((caller.user.as_str(), caller.display.as_str()), (text, written.as_str()));
        assert_eq!(inbound.header("X-Note"), Some(written.as_str()));
        assert_eq!(inbound.header("X-Evil"), None);
        out.wait_for(Until::Answered, LIMIT).await.unwrap();
        out.hang_up().await.unwrap();
    }
}

#[tokio::test]
async fn raw_lines_are_sent_as_they_are() {
    let (customer, agent) = phones().await;
    let options = CallOptions {
        raw_from: Some("\"a\r\n b\" <sip:x@127.0.0.2>;y=1\r\nX-Evil: 1\r\nFrom: <sip:z@127.0.0.2>".into()),
        raw_headers: vec!["X-Odd:  \t\u{1}".into(), "x-two: 2\r\nX-Three: 3".into()],
        ..CallOptions::default()
    };
    let out = customer.call(&agent.uri(), options).await.unwrap();
    let inbound = agent.next_call(LIMIT).await.unwrap();
    assert_eq!((inbound.header("X-Evil"), inbound.header("X-Three")), (Some("1"), Some("3")));
    assert_eq!((inbound.caller().display.as_str(), inbound.header("X-Odd")), ("a b", Some("\u{1}")));
    // the tag stands on the last line, so the call cannot come about; but it can be given up
    out.hang_up().await.unwrap();
}

#[tokio::test]
async fn many_calls_of_one_phone_are_told_apart() {
    let (customer, agent) = phones().await;
    let mut calls = Vec::new();
    for hz in [500, 800, 1100] {
        let voice = Some(Voice::Tone(Tone::new(hz)));
        let out = customer.call(&agent.uri(), CallOptions { voice, ..CallOptions::default() }).await.unwrap();
        let inbound = agent.next_call(LIMIT).await.unwrap();
        inbound.wait_for(Until::Hears(hz), LIMIT).await.unwrap();
        calls.push((out, inbound));
    }
    calls[1].0.hang_up().await.unwrap();
    calls[1].1.wait_for(Until::Ended, LIMIT).await.unwrap();
    calls[0].1.wait_for(Until::Hears(500), LIMIT).await.unwrap();
    calls[2].1.wait_for(Until::Hears(1100), LIMIT).await.unwrap();
    assert_eq!(calls[2].1.ear().first_heard(800, calls[0].0.answered_at().unwrap()), None);
}

#[tokio::test]
async fn a_phone_that_is_let_go_says_goodbye() {
    let (customer, agent) = phones().await;
    let (out, inbound) = talk(&customer, &agent).await;
    drop((customer, out));
    assert_eq!(inbound.ended(LIMIT).await.unwrap().how, How::Bye);
}

#[tokio::test]
async fn nobody_outside_the_loopback_is_called() {
    let (customer, _) = phones().await;
    for uri in ["sip:1@192.0.2.1", "sip:1@example.org", "tel:1", "", "sip:1@127.0.0.1@192.0.2.1:5060"] {
        let refused = customer.call(uri, CallOptions::default()).await;
        assert!(matches!(refused, Err(Error::Address(_))), "{uri}");
    }
    assert!(matches!(Phone::bind([192, 0, 2, 1], "x").await, Err(Error::Address(_))));
}
