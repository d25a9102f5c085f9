//! The shipped hook on a real Asterisk: with nobody there, with a sidecar that freezes, with one that answers.

mod support;

use std::time::{Duration, Instant};

use support::{Ami, Message, ari, eventually};
use temoin_lab::{ARI_SECRET, Lab, LabOptions};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// The dead-man timer of the dialplan.
const TIMER: Duration = Duration::from_secs(4);

/// The timer has done its work by then, even on a machine that stands still for seconds.
const PATIENCE: Duration = Duration::from_secs(16);

/// Goes through the hook as an admin's dialplan would and tells what came back.
const PROBE: &str = r"
[probe]
exten => _[a-z].,1,NoOp()
 same => n,GotoIf($[${LIMIT}0 = 0]?hook)
 same => n,Set(TIMEOUT(absolute)=${LIMIT})
 same => n(hook),Gosub(temoin-inbound,s,1(accueil,${CUT(EXTEN,-,1)},${CUT(EXTEN,-,2)}))
 same => n,UserEvent(Probe,Ret: ${GOSUB_RETVAL},Limit: ${TIMEOUT(absolute)},State: ${CHANNEL(state)},Lang: ${CHANNEL(language)})
 same => n,GotoIf($[${AGAIN}0 > 0]?again:stay)
 same => n(again),Gosub(temoin-inbound,s,1(sav,${AGAIN_MODE}))
 same => n,UserEvent(Again,Ret: ${GOSUB_RETVAL})
 same => n(stay),Wait(60)
[far-end]
exten => s,1,Wait(60)
";

fn lab() -> Lab {
    Lab::start(LabOptions { more: vec![("extensions.conf", PROBE.to_owned())], ..LabOptions::default() })
        .unwrap()
}

/// A caller into the probe; the channel that goes through the hook is the Local pair's second half.
fn call(ami: &mut Ami, extension: &str, variables: &str) -> Instant {
    let channel = format!("Local/{extension}@probe/n");
    let answer = ami.action(&[
        ("Action", "Originate"),
        ("Channel", &channel),
        ("Context", "far-end"),
        ("Exten", "s"),
        ("Priority", "1"),
        ("Async", "true"),
        ("Variable", variables),
        ("CallerID", HOSTILE),
    ]);
    assert_eq!(answer.field("Response"), "Success", "{answer:?}");
    Instant::now()
}

/// Every call here comes from somebody who would like to be evaluated.
const HOSTILE: &str = r#""${HANGUP()}),n,System(touch $[1+1]`id`" <"|refuse,1)>"#;

fn user_event(name: &str) -> impl Fn(&Message) -> bool {
    move |message| message.field("UserEvent") == name
}

/// An ARI application that registers as the sidecar does, and does nothing.
async fn frozen_sidecar(lab: &Lab) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let url = format!("ws://{}/ari/events?app=temoin&api_key=temoin:{ARI_SECRET}", lab.ari);
    let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    eventually("the application is registered", || ari(lab, "GET", "/applications/temoin").0 == 200);
    socket
}

/// The id of the one channel that the application holds.
fn held(lab: &Lab) -> String {
    let mut id = String::new();
    eventually("a channel in Stasis", || {
        let (_, body) = ari(lab, "GET", "/applications/temoin");
        let ids = body
            .split("\"channel_ids\":[")
            .nth(1)
            .and_then(|rest| rest.split(']').next())
            .unwrap_or_default();
        id = ids.trim_matches('"').to_owned();
        !id.is_empty()
    });
    id
}

#[test]
fn without_a_sidecar_the_call_goes_on_at_once() {
    let lab = lab();
    let mut ami = Ami::admin(&lab);
    // Nobody sends media here, so answering takes its half second of waiting for some.
    let asked = call(&mut ami, "admit-", "AGAIN=1");
    let probe = ami.event("return from the hook", user_event("Probe"));
    assert!(asked.elapsed() < TIMER, "{:?}", asked.elapsed());
    assert_eq!(probe.field("Ret"), "UNAVAILABLE");
    assert_eq!(probe.field("Limit"), "0", "the timer is off");
    assert_eq!(probe.field("State"), "Up");
    let channel = probe.field("Channel").to_owned();
    assert_eq!(ami.variable(&channel, "TEMOIN"), "UNAVAILABLE");
    assert_eq!(ami.variable(&channel, "TEMOIN_CUSTOMER"), channel);
    assert_eq!(ami.variable(&channel, "DYNAMIC_FEATURES"), "temoin-customer");
    assert_eq!(ami.event("second return", user_event("Again")).field("Ret"), "UNAVAILABLE");
}

#[test]
fn without_a_sidecar_a_mandatory_line_is_refused_with_a_prompt_in_the_callers_language() {
    let lab = lab();
    let mut ami = Ami::admin(&lab);
    for (language, variables) in [("fr", "LIMIT="), ("en", "CHANNEL(language)=en")] {
        let asked = call(&mut ami, "refuse-", variables);
        assert_eq!(ami.event("return from the hook", user_event("Probe")).field("Ret"), "REFUSED");
        let prompt = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dialplans/sounds");
        let prompt = std::fs::metadata(format!("{prompt}/{language}/temoin-unavailable.wav")).unwrap();
        let length = Duration::from_secs_f64((prompt.len() - 44) as f64 / 16_000.0);
        assert!(asked.elapsed() > length.mul_f64(0.95), "played to its end: {:?}", asked.elapsed());
        let played = format!("Playing 'temoin-unavailable.slin' (language '{language}')");
        assert!(std::fs::read_to_string(lab.log()).unwrap().contains(&played), "{}", lab.log_tail(20));
    }
}

#[test]
fn a_call_that_went_on_without_the_sidecar_does_not_pass_a_mandatory_line() {
    let lab = lab();
    let mut ami = Ami::admin(&lab);
    call(&mut ami, "admit-", "AGAIN=1,AGAIN_MODE=refuse");
    assert_eq!(ami.event("return from the hook", user_event("Probe")).field("Ret"), "UNAVAILABLE");
    assert_eq!(ami.event("second return", user_event("Again")).field("Ret"), "REFUSED");
}

#[test]
fn early_leaves_the_call_unanswered() {
    let lab = lab();
    let mut ami = Ami::admin(&lab);
    call(&mut ami, "refuse-early", "LIMIT=");
    let probe = ami.event("return from the hook", user_event("Probe"));
    assert_eq!((probe.field("Ret"), probe.field("State")), ("REFUSED", "Ring"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_sidecar_holds_nobody_longer_than_its_timer() {
    let lab = lab();
    let mut ami = Ami::admin(&lab);
    let _frozen = frozen_sidecar(&lab).await;
    let asked = call(&mut ami, "admit-", "LIMIT=600");
    let probe = ami.event("rescue", user_event("Probe"));
    assert!(asked.elapsed() > Duration::from_secs(3), "it was held: {:?}", asked.elapsed());
    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
    assert_eq!(probe.field("Ret"), "UNAVAILABLE");
    let limit: f64 = probe.field("Limit").parse().unwrap();
    assert!((590.0..=600.0).contains(&limit), "the admin's own limit is back: {limit}");

    call(&mut ami, "refuse-", "LIMIT=");
    let probe = ami.event("rescue of a mandatory line", user_event("Probe"));
    assert_eq!((probe.field("Ret"), probe.field("Limit")), ("REFUSED", "0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_that_dies_while_it_holds_a_call_does_not_keep_it() {
    let lab = lab();
    let mut ami = Ami::admin(&lab);
    let dying = frozen_sidecar(&lab).await;
    let asked = call(&mut ami, "admit-", "LIMIT=");
    held(&lab);
    drop(dying);
    assert_eq!(ami.event("rescue", user_event("Probe")).field("Ret"), "UNAVAILABLE");
    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sidecars_word_is_what_the_hook_returns_once_and_again() {
    let lab = lab();
    let mut ami = Ami::admin(&lab);
    let _sidecar = frozen_sidecar(&lab).await;
    for word in ["ADMITTED", "REFUSED"] {
        call(&mut ami, "refuse-", "AGAIN=1,AGAIN_MODE=refuse");
        let id = held(&lab);
        let (_, channel) = ari(&lab, "GET", &format!("/channels/{id}"));
        assert!(
            channel.contains(r#""app_data":"temoin,inbound,accueil,refuse""#),
            "only what the admin wrote: {channel}"
        );
        // The sidecar's heartbeat, and its word.
        for (name, value) in [("TIMEOUT(absolute)", "3"), ("TEMOIN", word)] {
            let path = format!("/channels/{id}/variable?variable={name}&value={value}");
            assert_eq!(ari(&lab, "POST", &path).0, 204);
        }
        assert_eq!(ari(&lab, "POST", &format!("/channels/{id}/continue")).0, 204);
        let probe = ami.event("return from the hook", user_event("Probe"));
        assert_eq!((probe.field("Ret"), probe.field("Limit")), (word, "0"));
        assert_eq!(ami.event("second return, unheard", user_event("Again")).field("Ret"), word);
        lab.cli("channel request hangup all").unwrap();
    }
    call(&mut ami, "admit-", "LIMIT=");
    let id = held(&lab);
    ari(&lab, "POST", &format!("/channels/{id}/variable?variable=TEMOIN&value=HANGUP"));
    ari(&lab, "POST", &format!("/channels/{id}/continue"));
    ami.event("hang-up", |message| message.field("Event") == "Hangup" && message.field("Uniqueid") == id);
    assert!(ami.event_within(Duration::ZERO, user_event("Probe")).is_none());
}
