//! Fifty calls at once in one process: each hears its own tone, whole.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use temoin_phone::{Answering, CallOptions, Phone, Tone, Until, Voice};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_calls_are_heard_whole() {
    let customers = Phone::bind(Ipv4Addr::new(127, 0, 0, 2), "customers").await.unwrap();
    let agents = Phone::bind(Ipv4Addr::LOCALHOST, "agents").await.unwrap();
    agents.speak(Tone::new(3000));
    agents.answer_with(Answering::After(Duration::from_millis(20)));
    let mut calls = Vec::new();
    for n in 0..50 {
        let tone = Voice::Tone(Tone::new(400 + 40 * n));
        let options = CallOptions { voice: Some(tone), ..CallOptions::default() };
        let out = customers.call(&agents.uri(), options).await.unwrap();
        let inbound = agents.next_call(LIMIT).await.unwrap();
        assert_eq!(out.call_id(), inbound.call_id());
        calls.push((out, inbound, 400 + 40 * n));
    }
    for (out, inbound, hz) in &calls {
        out.wait_for(Until::Hears(3000), LIMIT).await.unwrap();
        inbound.wait_for(Until::Hears(*hz), LIMIT).await.unwrap();
    }
    // three seconds of all of them: the last call's packets are the clock
    let begin = Instant::now();
    let (last, _, _) = calls.last().unwrap();
    last.wait_for(Until::Packets(last.ear().all_packets() + 150), LIMIT).await.unwrap();
    let end = Instant::now();
    let (from, to) = (Duration::ZERO, Duration::MAX);
    let frames = (end - begin).as_millis() as usize / 20;
    for (out, inbound, hz) in &calls {
        for (call, hears) in [(out, 3000), (inbound, *hz)] {
            let ear = call.ear();
            let sound = ear.between(begin, end);
            let (tone, db) = (sound.has_tone(hears, from, to), sound.tone_db(hears, from, to));
            assert!(tone && (db + 12.0).abs() < 1.5, "{hears} Hz at {db} dB: {}", ear.summary());
            assert!(ear.jumps().is_empty(), "{:?}: {}", ear.jumps(), ear.summary());
            let packets = ear.packets(begin, end);
            assert!(packets.abs_diff(frames) <= 15, "{packets} in the time of {frames}: {}", ear.summary());
        }
    }
    for (out, inbound, _) in &calls {
        out.hang_up().await.unwrap();
        inbound.wait_for(Until::Ended, LIMIT).await.unwrap();
    }
}
