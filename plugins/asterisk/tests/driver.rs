//! The driver against a fake Asterisk on the loopback: the start, the hook, the recorder, the gaps.

mod support;

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde_json::{Value, json};
use support::fake::{Fake, State};
use temoin_asterisk::{Asterisk, AsteriskConfig, StartError};
use temoin_core::command::{DriverError, Media, Order, Release, Reply};
use temoin_core::event::{CallEvent, Direction, PbxEvent, Playback};
use temoin_core::id::{CallId, LegId, OrderNo, SegmentId};
use temoin_core::ports::PbxDriver;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const CALL: &str = "1795282741.222";
const AGENT: &str = "1795282741.223";

struct Rig {
    fake: Fake,
    driver: Asterisk,
    events: BoxStream<'static, PbxEvent>,
    orders: u32,
}

fn config(ami_port: u16, ari_port: u16) -> AsteriskConfig {
    patient(ami_port, ari_port, "700ms")
}

/// So long for a connection; four times as long until the driver gives itself up for waiting.
fn patient(ami_port: u16, ari_port: u16, connect: &str) -> AsteriskConfig {
    toml::from_str(&format!(
        r#"
        spool = "/var/spool/temoin"
        deadlines = {{ order = "400ms", connect = "{connect}" }}
        ami = {{ user = "temoin", secret = "hush", port = {ami_port} }}
        ari = {{ url = "http://127.0.0.1:{ari_port}", user = "temoin", password = "hush" }}
        "#
    ))
    .unwrap()
}

impl Rig {
    /// Connected, and `LinkUp` said.
    async fn up() -> Self {
        Self::with(State::default()).await
    }

    async fn with(state: State) -> Self {
        let fake = Fake::start(state).await;
        let driver = Asterisk::connect(config(fake.ami_port, fake.ari_port)).await.unwrap();
        let events = driver.events();
        let mut rig = Self { fake, driver, events, orders: 0 };
        assert_eq!(rig.next().await, PbxEvent::LinkUp);
        rig
    }

    /// Up, and a customer in the hook.
    async fn in_hook() -> Self {
        let mut rig = Self::up().await;
        rig.fake.ari(stasis_start(CALL));
        assert!(matches!(rig.next().await, PbxEvent::Arrived(_)));
        rig
    }

    async fn next(&mut self) -> PbxEvent {
        timeout(Duration::from_secs(10), self.events.next()).await.expect("an event").unwrap()
    }

    async fn next_of_call(&mut self) -> CallEvent {
        match self.next().await {
            PbxEvent::Call(_, event) => event,
            other => panic!("{other:?}"),
        }
    }

    /// Orders, and gives the number and the answer to come.
    fn order(&mut self, order: Order) -> (OrderNo, JoinHandle<Result<Reply, DriverError>>) {
        self.order_on(CALL, order)
    }

    fn order_on(&mut self, call: &str, order: Order) -> (OrderNo, JoinHandle<Result<Reply, DriverError>>) {
        self.orders += 1;
        let number = OrderNo(self.orders);
        let answer = self.driver.perform(&CallId(call.into()), &LegId(call.into()), number, order);
        (number, tokio::spawn(answer))
    }

    async fn done(&mut self, order: Order) -> Result<Reply, DriverError> {
        self.order(order).1.await.unwrap()
    }

    /// Orders a prompt of two seconds and gives its number and the playback's id.
    async fn announce(&mut self) -> (OrderNo, String) {
        let media = Media {
            name: "/srv/prompts/notice".into(),
            length: Duration::from_secs(2),
            language: "fr".into(),
        };
        let (number, answer) = self.order(Order::Announce(media));
        assert_eq!(answer.await.unwrap(), Ok(Reply::default()));
        let asked = self.fake.orders().pop().unwrap();
        let (path, query) = asked.split_once('?').unwrap();
        assert_eq!(query, "media=sound:%2Fsrv%2Fprompts%2Fnotice&lang=fr");
        let id = path.strip_prefix(&format!("POST channels/{CALL}/play/")).unwrap();
        (number, id.into())
    }

    fn playback(&self, kind: &str, id: &str, state: &str, millis: u32) {
        let timestamp = format!("2026-11-21T17:39:{:02}.{:03}+0000", millis / 1000, millis % 1000);
        let playback = json!({"id": id, "media_uri": "sound:x", "state": state});
        self.fake.ari(json!({"type": kind, "timestamp": timestamp, "playback": playback}));
    }

    fn bridge(&self, event: &str, id: &str, name: &str) {
        self.fake.ami(&bridge_event(event, id, name));
    }
}

fn bridge_event(event: &str, id: &str, name: &str) -> String {
    let at = Timestamp::now();
    let (seconds, micros) = (at.as_second(), at.subsec_microsecond());
    format!(
        "Event: {event}\nTimestamp: {seconds}.{micros:06}\nBridgeUniqueid: B1\nBridgeTechnology: simple_bridge\n\
         Channel: {name}\nUniqueid: {id}"
    )
}

fn stasis_start(id: &str) -> Value {
    json!({
        "type": "StasisStart", "timestamp": "2026-11-21T17:39:01.012+0000", "application": "temoin",
        "args": ["inbound", "support", "admit"],
        "channel": {
            "id": id, "name": "PJSIP/trunk-000000d8", "language": "fr",
            "caller": {"name": "", "number": "0199000123"}, "channelvars": {"TEMOIN_QUEUE": "first"},
        },
    })
}

fn segment() -> SegmentId {
    SegmentId::parse("018f4000-0000-7000-8000-000000000001").unwrap()
}

fn row(id: &str, name: &str, more: &str) -> String {
    format!("Channel: {name}\nUniqueid: {id}\nApplication: Dial\nData: x\n{more}")
}

#[tokio::test]
async fn a_fault_that_waiting_does_not_mend_is_an_error_that_says_how() {
    let without = |name| State {
        commands: State::default().commands.into_iter().filter(|found| *found != name).collect(),
        ..State::default()
    };
    let cases = [
        (State { secret: "other".into(), ..State::default() }, "`secret`"),
        (without("MixMonitor"), "MixMonitor: add `system`"),
        (without("StopMixMonitor"), "StopMixMonitor: add `call`"),
        (State { ears: (false, true), ..State::default() }, "class call: add `call` to its `read=`"),
        (State { ears: (true, false), ..State::default() }, "class user: add `user` to its `read=`"),
        (State { read_only: true, ..State::default() }, "`read_only=no`"),
        (State { ari_status: 401, ..State::default() }, "`password`"),
        (State { ari_status: 404, ..State::default() }, "`enabled=yes`"),
        (State { version: "16.28.0".into(), ..State::default() }, "allow_untested_version"),
    ];
    for (state, how) in cases {
        let fake = Fake::start(state).await;
        let config = patient(fake.ami_port, fake.ari_port, "2s");
        let error = Asterisk::connect(config).await.err().expect(how);
        assert!(error.to_string().contains(how), "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    let fake = Fake::start(State { version: "16.28.0".into(), ..State::default() }).await;
    let mut config = config(fake.ami_port, fake.ari_port);
    config.allow_untested_version = true;
    assert!(Asterisk::connect(config).await.is_ok());
}

#[tokio::test]
async fn addresses_and_certificates_are_looked_at_first() {
    let fault = async |change: fn(&mut AsteriskConfig)| {
        let mut config = config(1, 1);
        change(&mut config);
        Asterisk::connect(config).await.err().unwrap()
    };
    let tls = || toml::from_str(r#"ca = "/nonexistent/ca.pem""#).unwrap();
    let address = |error| assert!(matches!(error, StartError::Address { .. }), "{error:?}");
    address(fault(|config| config.ari.url = "127.0.0.1:8088".into()).await);
    address(fault(|config| config.ari.url = "https://127.0.0.1:8089".into()).await);
    address(fault(|config| config.ari.url = "ftp://127.0.0.1".into()).await);
    let mut config = config(1, 1);
    config.ami.tls = Some(tls());
    let error = Asterisk::connect(config).await.err().unwrap();
    assert!(matches!(&error, StartError::Tls { path, .. } if path.ends_with("ca.pem")), "{error:?}");
}

#[tokio::test]
async fn an_absent_pbx_is_waited_for() {
    // Ports that were free a moment ago.
    let gone = Fake::start(State::default()).await;
    let (ami, ari) = (gone.ami_port, gone.ari_port);
    drop(gone);
    let driver = Asterisk::connect(config(ami, ari)).await.unwrap();
    let mut events = driver.events();
    assert!(driver.calls().await.is_err());
    let answer = driver.perform(&CallId(CALL.into()), &LegId(CALL.into()), OrderNo(1), Order::Stop).await;
    assert_eq!(answer, Err(DriverError::Unsent));
    let _fake = Fake::on(State::default(), ami, ari).await;
    assert_eq!(timeout(Duration::from_secs(10), events.next()).await.unwrap(), Some(PbxEvent::LinkUp));
    assert_eq!(driver.events().next().await, None, "events are taken once");
}

#[tokio::test]
async fn a_customer_arrives_and_comes_back() {
    let mut rig = Rig::up().await;
    rig.fake.ari(stasis_start("temoin-probe-7-1"));
    rig.fake.ari(stasis_start(CALL));
    let PbxEvent::Arrived(arrival) = rig.next().await else { panic!() };
    assert_eq!((arrival.call.0.as_str(), arrival.leg.0.as_str()), (CALL, CALL));
    assert_eq!((arrival.line.as_str(), arrival.direction), ("support", Direction::Inbound));
    assert_eq!(arrival.queue.as_deref(), Some("first"));
    assert_eq!((arrival.language.as_deref(), arrival.number.as_deref()), (Some("fr"), Some("0199000123")));
    assert_eq!(arrival.at.as_millisecond(), 1_795_282_741_012);
    rig.fake.ari(stasis_start(CALL));
    assert!(matches!(rig.next_of_call().await, CallEvent::Returned { .. }));
    rig.fake.ari(json!({"type": "ChannelDtmfReceived", "digit": "1", "channel": {"id": CALL}}));
    let CallEvent::Pressed { leg, keys, .. } = rig.next_of_call().await else { panic!() };
    assert_eq!((leg, keys.as_str()), (Some(LegId(CALL.into())), "1"));
    // Strangers and unknown events are passed over.
    rig.fake.ari(json!({"type": "ChannelDtmfReceived", "digit": "1", "channel": {"id": "9.9"}}));
    rig.fake.ari(json!({"type": "RockAndRoll"}));
    rig.fake.ari(json!({"type": "ChannelDestroyed", "channel": {"id": CALL}}));
    assert!(matches!(rig.next_of_call().await, CallEvent::Ended { .. }));
    assert!(rig.driver.passed_over() > 0);
}

#[tokio::test]
async fn heard_is_only_what_was_played_to_its_end() {
    // Started, finished (in ms), the state, whether we stopped it; the outcome.
    let cases = [
        (Some(1000), 3000, "done", false, Playback::Heard),
        (Some(1000), 2981, "done", false, Playback::Heard),
        (Some(1000), 2979, "done", false, Playback::Cut),
        (Some(1000), 1460, "done", false, Playback::Cut),
        (Some(1000), 4000, "done", true, Playback::Cut),
        (Some(1000), 1000, "failed", false, Playback::Failed),
        (Some(1000), 4000, "failed", false, Playback::Failed),
        (None, 4000, "done", false, Playback::Cut),
    ];
    let mut rig = Rig::in_hook().await;
    for (started, finished, state, stopped, expected) in cases {
        let (number, id) = rig.announce().await;
        if let Some(started) = started {
            rig.playback("PlaybackStarted", &id, "playing", started);
        }
        if stopped {
            assert_eq!(rig.done(Order::Silence).await, Ok(Reply::default()));
            assert_eq!(rig.fake.orders().pop().unwrap(), format!("DELETE playbacks/{id}"));
        }
        rig.playback("PlaybackFinished", &id, state, finished);
        // Twice is once.
        rig.playback("PlaybackFinished", &id, state, finished);
        let CallEvent::Played { order, outcome, .. } = rig.next_of_call().await else { panic!() };
        assert_eq!((order, outcome), (number, expected), "{started:?} {finished} {state} {stopped}");
    }
    let media = Media { name: "a,b".into(), length: Duration::ZERO, language: "fr".into() };
    assert!(matches!(rig.done(Order::Announce(media)).await, Err(DriverError::Refused(_))));
}

#[tokio::test]
async fn one_request_at_a_time_and_no_beat_after_the_release() {
    let mut rig = Rig::in_hook().await;
    let beat = format!("BEAT channels/{CALL}");
    rig.fake.state().withheld.insert(beat.clone());
    let (_, beaten) = rig.order(Order::Beat);
    let (_, released) = rig.order(Order::Release(Release::Admitted));
    rig.fake.logged("BEAT channels/1795", 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.fake.orders(), std::slice::from_ref(&beat), "the release waits for the beat's answer");
    rig.fake.state().withheld.clear();
    assert_eq!(
        (beaten.await.unwrap(), released.await.unwrap()),
        (Ok(Reply::default()), Ok(Reply::default()))
    );
    let set = format!("POST channels/{CALL}/variable?variable=TEMOIN&value=ADMITTED");
    assert_eq!(rig.fake.orders(), [beat, set, format!("POST channels/{CALL}/continue")]);
    for (release, word) in [(Release::Refused, "REFUSED"), (Release::HangUp, "HANGUP")] {
        rig.done(Order::Release(release)).await.unwrap();
        let orders = rig.fake.orders();
        assert!(orders[orders.len() - 2].ends_with(word), "{orders:?}");
    }
    rig.done(Order::HangUp).await.unwrap();
    assert_eq!(rig.fake.orders().pop().unwrap(), format!("DELETE channels/{CALL}"));
}

#[tokio::test]
async fn a_channel_that_has_left_the_hook_is_gone() {
    let mut rig = Rig::in_hook().await;
    rig.fake.state().left.insert(CALL.into());
    assert_eq!(rig.done(Order::Beat).await, Err(DriverError::Gone), "there, but not in the hook");
    rig.fake.state().left.clear();
    let (beat, set) = (format!("BEAT channels/{CALL}"), format!("POST channels/{CALL}/variable"));
    for status in [400, 404, 409] {
        for order in [&beat, &set] {
            rig.fake.state().status.insert(order.clone(), status);
        }
        assert_eq!(rig.done(Order::Beat).await, Err(DriverError::Gone), "{status}");
        assert_eq!(rig.done(Order::Release(Release::Admitted)).await, Err(DriverError::Gone), "{status}");
    }
    assert!(!rig.fake.orders().iter().any(|order| order.ends_with("continue")));
    rig.fake.state().status.insert(beat, 500);
    assert_eq!(rig.done(Order::Beat).await, Err(DriverError::Refused("500 as told".into())));
    assert_eq!(rig.done(Order::Silence).await, Ok(Reply::default()), "nothing plays");
}

#[tokio::test]
async fn an_order_without_an_answer_is_unknown_and_what_waits_behind_it_unsent() {
    let mut rig = Rig::in_hook().await;
    rig.fake.state().withheld.insert("BEAT channels/1795".into());
    let (_, beat) = rig.order(Order::Beat);
    let (_, release) = rig.order(Order::Release(Release::Admitted));
    assert_eq!(beat.await.unwrap(), Err(DriverError::Unknown));
    assert_eq!(release.await.unwrap(), Err(DriverError::Unsent));
    rig.fake.state().withheld.clear();
    assert!(rig.done(Order::Release(Release::Admitted)).await.is_ok());
}

#[tokio::test]
async fn the_recorder_starts_with_both_sides_apart_and_stops_until_none_is_left() {
    let mut rig = Rig::in_hook().await;
    assert_eq!(rig.done(Order::Record(segment())).await, Ok(Reply::default()));
    let file = "/var/spool/temoin/018f4000-0000-7000-8000-000000000001";
    let options = format!("r({file}-in.wav)t({file}-out.wav)i(TEMOIN_MIX)");
    assert_eq!(rig.fake.state().options, [options]);
    *rig.fake.state().recorders.get_mut(CALL).unwrap() += 2;
    assert_eq!(rig.done(Order::Stop).await, Ok(Reply { stopped: 3 }), "two of them are not ours");
    assert_eq!(rig.done(Order::Stop).await, Ok(Reply { stopped: 0 }));
    assert_eq!(rig.order_on("gone", Order::Stop).1.await.unwrap(), Ok(Reply { stopped: 0 }));
    let record = Order::Record(segment());
    assert_eq!(rig.order_on("gone", record).1.await.unwrap(), Err(DriverError::Gone));
}

#[tokio::test]
async fn a_stop_waits_for_no_reply() {
    let mut rig = Rig::in_hook().await;
    rig.fake.state().withheld.extend(["MixMonitor".into(), "BEAT channels/1795".into()]);
    let (_, beat) = rig.order(Order::Beat);
    let (_, record) = rig.order(Order::Record(segment()));
    rig.fake.logged("MixMonitor", 1).await;
    assert_eq!(rig.done(Order::Stop).await, Ok(Reply { stopped: 0 }));
    assert!(!record.is_finished() && !beat.is_finished());
    assert_eq!(record.await.unwrap(), Err(DriverError::Unknown));
}

#[tokio::test]
async fn a_start_waits_for_the_end_of_a_stop_and_a_later_stop_takes_it_back() {
    let mut rig = Rig::in_hook().await;
    rig.fake.state().withheld.insert("StopMixMonitor".into());
    let (_, stop) = rig.order(Order::Stop);
    let (_, record) = rig.order(Order::Record(segment()));
    rig.fake.logged("StopMixMonitor", 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!rig.fake.orders().iter().any(|order| order.starts_with("MixMonitor")));
    let (_, second) = rig.order(Order::Stop);
    let (_, last) = rig.order(Order::Record(segment()));
    rig.fake.state().withheld.clear();
    assert!(stop.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    assert_eq!(record.await.unwrap(), Err(DriverError::Unsent), "the second stop took it back");
    assert_eq!(last.await.unwrap(), Ok(Reply::default()));
    assert_eq!(rig.fake.state().recorders[CALL], 1);
}

#[tokio::test]
async fn a_dropped_future_takes_nothing_back() {
    let rig = Rig::in_hook().await;
    drop(rig.driver.perform(&CallId(CALL.into()), &LegId(CALL.into()), OrderNo(1), Order::Record(segment())));
    rig.fake.until(|state| state.recorders.get(CALL) == Some(&1)).await;
    drop(rig.driver.perform(&CallId(CALL.into()), &LegId(CALL.into()), OrderNo(2), Order::Stop));
    rig.fake.until(|state| state.recorders.get(CALL) == Some(&0)).await;
    drop(rig.driver.perform(&CallId(CALL.into()), &LegId(CALL.into()), OrderNo(3), Order::HangUp));
    rig.fake.logged("DELETE channels/1795", 1).await;
}

#[tokio::test]
async fn parties_and_recorders_of_the_customer_are_told() {
    let mut rig = Rig::in_hook().await;
    rig.bridge("BridgeEnter", AGENT, "PJSIP/1011-000000d9");
    rig.bridge("BridgeEnter", CALL, "PJSIP/trunk-000000d8");
    let CallEvent::Parties { parties, .. } = rig.next_of_call().await else { panic!() };
    assert_eq!(parties.len(), 1);
    assert_eq!((parties[0].leg.0.as_str(), parties[0].extension.as_deref()), (AGENT, Some("1011")));
    rig.bridge("MixMonitorStart", CALL, "PJSIP/trunk-000000d8");
    assert!(matches!(rig.next_of_call().await, CallEvent::RecorderStarted { .. }));
    rig.bridge("Unhold", AGENT, "PJSIP/1011-000000d9");
    rig.bridge("Hangup", CALL, "PJSIP/trunk-000000d8");
    assert!(matches!(rig.next_of_call().await, CallEvent::Ended { .. }));
    // Whoever follows a call that is over is told so.
    rig.driver.follow(&CallId(CALL.into()), &LegId(CALL.into()));
    assert!(matches!(rig.next_of_call().await, CallEvent::Ended { .. }));
}

#[tokio::test]
async fn a_recorder_on_the_agents_leg_is_stopped_once_he_is_connected() {
    let mut rig = Rig::in_hook().await;
    rig.fake.state().recorders.insert(AGENT.into(), 2);
    rig.bridge("MixMonitorStart", AGENT, "PJSIP/1011-000000d9");
    rig.bridge("BridgeEnter", AGENT, "PJSIP/1011-000000d9");
    assert!(rig.fake.orders().iter().all(|order| !order.starts_with("StopMixMonitor")));
    rig.bridge("BridgeEnter", CALL, "PJSIP/trunk-000000d8");
    assert!(matches!(rig.next_of_call().await, CallEvent::RecorderStarted { .. }));
    assert!(matches!(rig.next_of_call().await, CallEvent::Parties { .. }));
    rig.fake.until(|state| state.recorders[AGENT] == 0).await;
    rig.fake.logged("Setvar", 1).await;
    // Another one, in the talk.
    rig.fake.state().recorders.insert(AGENT.into(), 1);
    rig.bridge("MixMonitorStart", AGENT, "PJSIP/1011-000000d9");
    assert!(matches!(rig.next_of_call().await, CallEvent::RecorderStarted { .. }));
    rig.fake.until(|state| state.recorders[AGENT] == 0).await;
}

#[tokio::test]
async fn what_had_to_wait_is_told_when_it_has_settled() {
    let mut rig = Rig::in_hook().await;
    rig.bridge("BridgeEnter", AGENT, "PJSIP/1011-000000d9");
    rig.bridge("BridgeEnter", CALL, "PJSIP/trunk-000000d8");
    rig.bridge("Hold", AGENT, "PJSIP/1011-000000d9");
    rig.bridge("Unhold", AGENT, "PJSIP/1011-000000d9");
    let mut held = Vec::new();
    for _ in 0..3 {
        let CallEvent::Parties { parties, .. } = rig.next_of_call().await else { panic!() };
        held.push(parties[0].held);
    }
    assert_eq!(held, [false, true, false]);
}

#[tokio::test]
async fn links_that_go_together_leave_certain_what_ami_has_told() {
    // Which loss is heard of first is the scheduler's affair: so, many times.
    for ari_first in [true, false].repeat(20) {
        let mut rig = Rig::in_hook().await;
        let heard_by_ari = Timestamp::now();
        rig.bridge("BridgeEnter", AGENT, "PJSIP/1011-000000d9");
        rig.bridge("BridgeEnter", CALL, "PJSIP/trunk-000000d8");
        assert!(matches!(rig.next_of_call().await, CallEvent::Parties { .. }));
        rig.fake.cut_ari(ari_first);
        rig.fake.cut_ami(true);
        rig.fake.cut_ari(true);
        let PbxEvent::LinkDown { since } = rig.next().await else { panic!() };
        assert!(since >= heard_by_ari, "ARI first: {ari_first}");
    }
}

#[tokio::test]
async fn after_a_gap_the_pbx_itself_is_looked_at() {
    let mut rig = Rig::in_hook().await;
    let other = "1795282741.300";
    rig.fake.ari(stasis_start(other));
    assert!(matches!(rig.next().await, PbxEvent::Arrived(_)));
    rig.bridge("BridgeEnter", AGENT, "PJSIP/1011-000000d9");
    rig.bridge("BridgeEnter", CALL, "PJSIP/trunk-000000d8");
    assert!(matches!(rig.next_of_call().await, CallEvent::Parties { .. }));
    let before = Timestamp::now();
    rig.fake.cut_ami(true);
    let PbxEvent::LinkDown { since } = rig.next().await else { panic!() };
    assert!(since <= before, "certain is only what was heard");
    assert_eq!(rig.done(Order::Stop).await, Err(DriverError::Unsent));
    assert_eq!(rig.driver.calls().await, Err(DriverError::Unsent));
    // Meanwhile the other customer hung up, and a colleague took over.
    {
        let mut state = rig.fake.state();
        let keys = "BridgeID: B2\nVariable: TEMOIN=ADMITTED\nVariable: TEMOIN_KEYS=*9@1795285695.182 ";
        state.rows = vec![
            row(CALL, "PJSIP/trunk-000000d8", keys),
            row("1.7", "PJSIP/1012-000000da", "BridgeID: B2\nVariable: CHANNEL(onhold)=1"),
            row("1.8", "PJSIP/2009-000000db", "BridgeID: \nVariable: TEMOIN=(null)")
                .replace("Dial", "ChanSpy")
                .replace("Data: x", "Data: PJSIP/1012,q"),
            row(
                "1.9",
                "PJSIP/trunk-000000dc",
                "BridgeID: \nVariable: TEMOIN=(null)\nVariable: TEMOIN_KEYS=(null)",
            ),
        ];
        state.bridges = vec!["BridgeUniqueid: B2\nBridgeTechnology: simple_bridge".into()];
        state.in_hook = vec!["1.9".into(), "temoin-probe-0-1".into()];
    }
    rig.fake.cut_ami(false);
    assert_eq!(rig.next().await, PbxEvent::LinkUp);
    let (PbxEvent::Call(ended, event), told) = (rig.next().await, rig.next_of_call().await) else { panic!() };
    assert_eq!((ended.0.as_str(), matches!(event, CallEvent::Ended { .. })), (other, true));
    let CallEvent::Parties { parties, .. } = told else { panic!("{told:?}") };
    let words = support::Player::default().parties(&parties);
    assert_eq!(words, "1012 held, listener 2009");
    let calls = rig.driver.calls().await.unwrap();
    let seen: Vec<_> = calls
        .iter()
        .map(|call| (call.call.0.as_str(), call.parties.len(), call.keys.as_deref(), call.in_hook))
        .collect();
    assert_eq!(seen, [(CALL, 2, Some("*9@1795285695.182 "), false), ("1.9", 0, Some(""), true)]);
}

#[tokio::test]
async fn what_happens_during_the_look_is_not_lost() {
    let mut rig = Rig::in_hook().await;
    rig.fake.state().rows = vec![
        row(CALL, "PJSIP/trunk-000000d8", "BridgeID: B1"),
        row(AGENT, "PJSIP/1011-000000d9", "BridgeID: B1"),
    ];
    rig.fake.state().withheld.insert("BridgeList".into());
    let calls = tokio::spawn(rig.driver.calls());
    rig.fake.logged("BridgeList", 2).await;
    rig.bridge("BridgeLeave", AGENT, "PJSIP/1011-000000d9");
    let arrived = "1795282741.400";
    rig.fake.ari(stasis_start(arrived));
    assert!(matches!(rig.next().await, PbxEvent::Arrived(_)));
    rig.fake.state().withheld.clear();
    let calls = calls.await.unwrap().unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].parties, [], "the agent left after the rows were written down");
    assert_eq!(calls[0].keys, None, "what cannot be read is not empty");
    for _ in 0..2 {
        let event = rig.next_of_call().await;
        assert!(matches!(&event, CallEvent::Parties { parties, .. } if parties.is_empty()), "{event:?}");
    }
}

#[tokio::test]
async fn the_other_link_lost_is_a_gap_too() {
    let mut rig = Rig::in_hook().await;
    rig.fake.cut_ari(true);
    assert!(matches!(rig.next().await, PbxEvent::LinkDown { .. }));
    // The recorder still obeys: AMI is there.
    assert_eq!(rig.done(Order::Stop).await, Ok(Reply { stopped: 0 }));
    assert!(matches!(rig.done(Order::Beat).await, Err(DriverError::Unsent | DriverError::Unknown)));
    {
        let mut state = rig.fake.state();
        state.rows = vec![row(CALL, "PJSIP/trunk-000000d8", "BridgeID: ")];
        state.in_hook = vec![CALL.into()];
    }
    rig.fake.cut_ari(false);
    assert_eq!(rig.next().await, PbxEvent::LinkUp);
    assert!(matches!(rig.next_of_call().await, CallEvent::Parties { .. }));
    assert!(rig.driver.calls().await.unwrap()[0].in_hook);
}

#[tokio::test]
async fn another_program_takes_the_application_and_lets_go() {
    let mut rig = Rig::up().await;
    rig.fake.ari(json!({"type": "ApplicationReplaced", "application": "temoin"}));
    assert!(matches!(rig.next().await, PbxEvent::LinkDown { .. }));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(rig.fake.state().sockets, 1, "no tug of war");
    rig.fake.state().sockets = 0;
    assert_eq!(rig.next().await, PbxEvent::LinkUp);
}
