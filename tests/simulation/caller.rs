//! What a customer, and those whom he meets, do in one call.

use std::sync::Arc;
use std::time::Duration;

use temoin_core::command::{Briefing, Release};
use temoin_core::event::Playback;
use temoin_core::id::CallId;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chance::Chance;
use crate::pbx::{Hook, Pbx, Who};
use crate::truth::Line;

/// How lively the calls are.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// Whether somebody else's recorders appear.
    pub foreign: bool,
}

/// One call, to its end.
pub async fn call(pbx: Arc<Pbx>, call: CallId, line: Line, mut chance: Chance, manners: Manners) {
    pbx.arrive(&call, line);
    let how = hook(&pbx, &call, line, &mut chance).await;
    if how == Some(Release::Admitted) {
        pause(&mut chance, 20, 400).await;
        // Some hang up while they wait for an agent.
        if !chance.is(6) {
            talk(&pbx, &call, line, &mut chance, manners).await;
        }
    }
    pause(&mut chance, 1, 50).await;
    pbx.hang_up(&call);
}

/// A call to a customer, to its end.
pub async fn called(pbx: Arc<Pbx>, call: CallId, line: Line, mut chance: Chance, manners: Manners) {
    let leg = CallId(format!("dials-{call}"));
    let reloads = pbx.reloads();
    let Some(briefing) = pbx.dial(&leg, line).await.filter(|briefing| briefing.how == Release::Admitted)
    else {
        return;
    };
    pause(&mut chance, 100, 2000).await;
    pbx.answer(&call, line, &briefing);
    // What he is told was another policy's.
    if pbx.reloads() != reloads {
        pbx.excuse(&call);
    }
    if ask(&pbx, &call, &briefing, &mut chance).await {
        pbx.asked(&call);
        talk(&pbx, &call, line, &mut chance, manners).await;
    }
    pause(&mut chance, 1, 50).await;
    pbx.hang_up(&call);
}

/// As `temoin-answer` does; whether he goes on.
async fn ask(pbx: &Arc<Pbx>, call: &CallId, briefing: &Briefing, chance: &mut Chance) -> bool {
    let Some((text, media)) = &briefing.announcement else { return true };
    let length = media.length;
    let object = briefing.object.as_deref().filter(|_| chance.is(10));
    let (hears, hangs_up) = (chance.is(90), chance.is(4));
    let begun = Instant::now();
    sleep(if hears { length } else { length.mul_f64(0.4) }).await;
    if hangs_up {
        return false;
    }
    let outcome = if hears { Playback::Heard } else { Playback::Cut };
    pbx.said(call, *text, begun.elapsed(), outcome);
    match object {
        Some(key) => {
            pause(chance, 5, 500).await;
            pbx.press_in_hook(call, key);
        }
        None => sleep(briefing.wait).await,
    }
    true
}

/// In the hook, perhaps with a key pressed or the telephone put down; how he leaves it.
async fn hook(pbx: &Arc<Pbx>, call: &CallId, line: Line, chance: &mut Chance) -> Option<Release> {
    let begun = Instant::now();
    let mut plans = Vec::new();
    if let Some(key) = line.accept.filter(|_| chance.is(80)) {
        plans.push((begun + Duration::from_millis(chance.range(650, 4000)), Some(key)));
    } else {
        let plan = chance.weighted(&[(80, None), (8, line.object), (6, Some("9")), (3, Some("4"))]);
        plans.extend(plan.map(|key| (begun + Duration::from_millis(chance.range(1, 3500)), Some(key))));
    }
    if chance.is(3) {
        plans.push((begun + Duration::from_millis(chance.range(1, 3000)), None));
    }
    plans.sort();
    let mut plans = plans.into_iter().peekable();
    loop {
        let (moved, deadline) = match pbx.hook(call) {
            Hook::Waits(moved, deadline) => (moved, deadline),
            Hook::Left(how) => return Some(how),
            Hook::Gone => return None,
        };
        let left = (deadline - pbx.clock.ms()).max(0) as u64;
        let dead_man = Instant::now() + Duration::from_millis(left);
        let next = plans.peek().map(|(at, _)| *at);
        tokio::select! {
            biased;
            () = moved.notified() => {}
            () = sleep_until(next.unwrap_or(dead_man)), if next.is_some_and(|next| next < dead_man) => {
                match plans.next().and_then(|(_, key)| key) {
                    Some(key) => pbx.press_in_hook(call, key),
                    None => return None,
                }
            }
            () = sleep_until(dead_man) => {}
        }
    }
}

async fn talk(pbx: &Arc<Pbx>, call: &CallId, line: Line, chance: &mut Chance, manners: Manners) {
    let first = chance.weighted(&[(70, Who::Amel), (24, Who::Bruno), (3, Who::Exempt), (3, Who::Stranger)]);
    if first == Who::Exempt && chance.is(60) {
        pbx.exempt_rings(call);
        pause(chance, 20, 200).await;
    }
    pbx.bridge(call, &[first], false);
    pause(chance, 150, 900).await;
    for _ in 0..chance.weighted(&[(45, 0), (25, 1), (15, 2), (10, 3), (5, 6)]) {
        act(pbx, call, line, chance, manners).await;
        pause(chance, 110, 600).await;
    }
}

/// Somebody does something.
async fn act(pbx: &Arc<Pbx>, call: &CallId, line: Line, chance: &mut Chance, manners: Manners) {
    let who = pbx.parties(call);
    let agent = who.iter().copied().find(|who| who.is_agent());
    let is_talking = !who.is_empty();
    match chance.range(0, 100) {
        // An agent's code.
        0..=24 => {
            if let Some(agent) = agent {
                let mut codes = vec!["*9", "*9"];
                codes.extend(line.codes);
                let code = if chance.is(5) { "*44" } else { chance.pick(&codes) };
                pbx.code(call, Some(agent), code);
            }
        }
        // The contract, where there is one.
        25..=44 => {
            if let Some(agent) = agent.filter(|_| line.codes.contains(&"*6")) {
                pbx.code(call, Some(agent), "*6");
                pause(chance, 650, 1200).await;
            }
        }
        45..=52 if is_talking => pbx.code(call, None, "*1"),
        53..=57 if is_talking => pbx.code(call, None, "*4"),
        // Transfers, at once or with a ringing telephone between.
        58..=70 => {
            let to =
                chance.weighted(&[(40, Who::Amel), (30, Who::Bruno), (20, Who::Exempt), (10, Who::Stranger)]);
            if chance.is(60) {
                pbx.bridge(call, &[], false);
                pause(chance, 10, 300).await;
            }
            if to == Who::Exempt && chance.is(60) {
                pbx.exempt_rings(call);
                pause(chance, 10, 300).await;
            }
            pbx.bridge(call, &[to], false);
        }
        // A third.
        71..=82 => {
            let third = chance.pick(&[Who::Bruno, Who::Exempt, Who::Stranger, Who::OtherCustomer, Who::Spy]);
            let mut all = who.clone();
            if !all.contains(&third) && is_talking {
                all.push(third);
                pbx.bridge(call, &all, false);
                pause(chance, 50, 600).await;
                if chance.is(70) {
                    pbx.bridge(call, &who, false);
                }
            }
        }
        // On hold.
        83..=90 => {
            if let Some(agent) = agent {
                pbx.bridge(call, &[agent], true);
                pause(chance, 50, 500).await;
                pbx.bridge(call, &[agent], false);
            }
        }
        // Back to the hook, and to another agent.
        91..=94 => {
            pbx.bridge(call, &[], false);
            pbx.come_back(call);
            if hook_again(pbx, call).await == Some(Release::Admitted) {
                pause(chance, 10, 200).await;
                pbx.bridge(call, &[Who::Amel], false);
            }
        }
        95..=97 if manners.foreign && is_talking => pbx.foreign_recorder(call),
        _ => {}
    }
}

async fn hook_again(pbx: &Arc<Pbx>, call: &CallId) -> Option<Release> {
    loop {
        match pbx.hook(call) {
            Hook::Waits(moved, deadline) => {
                let left = Duration::from_millis((deadline - pbx.clock.ms()).max(0) as u64);
                let _ = tokio::time::timeout(left, moved.notified()).await;
            }
            Hook::Left(how) => return Some(how),
            Hook::Gone => return None,
        }
    }
}

async fn pause(chance: &mut Chance, from: u64, until: u64) {
    sleep(Duration::from_millis(chance.range(from, until))).await;
}
