//! The words of the port, held against the driver on a fake Asterisk. The real one is held to them by the scenarios.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use support::fake::{Fake, State};
use temoin_asterisk::Asterisk;
use temoin_core::id::CallId;
use temoin_core::ports::PbxDriver;
use temoin_core::testing::pbx::{Asked, Rig, suite};

/// How long the driver waits for an answer here: longer than a busy machine, shorter than a patient reader.
const ORDER: Duration = Duration::from_millis(1500);

struct Loopback {
    fake: Fake,
    driver: Arc<Asterisk>,
    calls: BTreeMap<CallId, Customer>,
    agents: u32,
    cut: bool,
}

#[derive(Default)]
struct Customer {
    in_hook: bool,
    keys: String,
    agent: Option<Agent>,
}

struct Agent {
    id: String,
    name: String,
    bridge: String,
}

impl Loopback {
    async fn up() -> Self {
        let fake = Fake::start(State::default()).await;
        let config = toml::from_str(&format!(
            r#"
            spool = "/var/spool/temoin"
            deadlines = {{ order = "1500ms", connect = "5s" }}
            ami = {{ user = "temoin", secret = "hush", port = {} }}
            ari = {{ url = "http://127.0.0.1:{}", user = "temoin", password = "hush" }}
            "#,
            fake.ami_port, fake.ari_port
        ));
        let driver = Asterisk::connect(config.unwrap()).await.unwrap();
        Self { fake, driver: Arc::new(driver), calls: BTreeMap::new(), agents: 0, cut: false }
    }

    /// What `Status` and the others say is what is.
    fn restate(&self) {
        let mut state = self.fake.state();
        (state.rows, state.bridges, state.in_hook) = Default::default();
        for (call, customer) in &self.calls {
            let bridge = customer.agent.as_ref().map_or("", |agent| &agent.bridge);
            state.rows.push(row(
                &call.0,
                &trunk(call),
                &format!(
                    "BridgeID: {bridge}\nVariable: TEMOIN=ADMITTED\nVariable: TEMOIN_KEYS={}",
                    customer.keys
                ),
            ));
            if let Some(agent) = &customer.agent {
                state.rows.push(row(&agent.id, &agent.name, &format!("BridgeID: {bridge}")));
                state.bridges.push(format!("BridgeUniqueid: {bridge}\nBridgeTechnology: simple_bridge"));
            }
            if customer.in_hook {
                state.in_hook.push(call.0.clone());
            }
        }
    }

    fn bridge(&self, event: &str, bridge: &str, id: &str, name: &str) {
        if self.cut {
            return;
        }
        let at = Timestamp::now();
        let (seconds, micros) = (at.as_second(), at.subsec_microsecond());
        self.fake.ami(&format!(
            "Event: {event}\nTimestamp: {seconds}.{micros:06}\nBridgeUniqueid: {bridge}\n\
             BridgeTechnology: simple_bridge\nChannel: {name}\nUniqueid: {id}"
        ));
    }

    /// A word of the dialplan on a customer's channel.
    fn word(&self, event: &str, call: &CallId, more: &str) {
        let at = Timestamp::now();
        self.fake.ami(&format!(
            "Event: UserEvent\nTimestamp: {}.{:06}\nChannel: {}\nUniqueid: {}\nUserEvent: {event}\n{more}",
            at.as_second(),
            at.subsec_microsecond(),
            trunk(call),
            call.0,
        ));
    }

    fn hooked(&self, call: &CallId, line: &str) {
        self.fake.ari(json!({
            "type": "StasisStart", "timestamp": clock(Timestamp::now()), "application": "temoin",
            "args": ["inbound", line, "admit"],
            "channel": {
                "id": call.0, "name": trunk(call), "language": "fr",
                "caller": {"name": "", "number": "0199000123"}, "channelvars": {},
            },
        }));
    }

    fn playback(&self, kind: &str, id: &str, at: Timestamp) {
        let state = if kind == "PlaybackStarted" { "playing" } else { "done" };
        let playback = json!({"id": id, "media_uri": "sound:x", "state": state});
        self.fake.ari(json!({"type": kind, "timestamp": clock(at), "playback": playback}));
    }
}

fn trunk(call: &CallId) -> String {
    format!("PJSIP/trunk-{:0>8}", call.0.split('.').nth(1).unwrap_or("0"))
}

fn clock(at: Timestamp) -> Value {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string().into()
}

fn row(id: &str, name: &str, more: &str) -> String {
    format!("Channel: {name}\nUniqueid: {id}\nApplication: Dial\nData: x\n{more}")
}

#[async_trait]
impl Rig for Loopback {
    fn driver(&self) -> Arc<dyn PbxDriver> {
        self.driver.clone()
    }

    async fn arrive(&mut self, call: &CallId, line: &str) {
        let customer = Customer { in_hook: true, ..Customer::default() };
        self.calls.insert(call.clone(), customer);
        self.restate();
        self.hooked(call, line);
    }

    async fn dial(&mut self, leg: &CallId, line: &str, number: &str) {
        let mut state = self.fake.state();
        state.rows.push(row(&leg.0, "PJSIP/2001-00000009", "BridgeID: \nVariable: TEMOIN_DIAL=ASKED"));
        state.in_hook.push(leg.0.clone());
        drop(state);
        self.fake.ari(json!({
            "type": "StasisStart", "timestamp": clock(Timestamp::now()), "application": "temoin",
            "args": ["outbound", line, "admit", number],
            "channel": {
                "id": leg.0, "name": "PJSIP/2001-00000009", "language": "fr",
                "caller": {"name": "", "number": "2001"}, "channelvars": {},
            },
        }));
    }

    async fn answer(&mut self, call: &CallId, line: &str, ticket: &str) {
        self.calls.insert(call.clone(), Customer::default());
        self.restate();
        self.word("TemoinAnswer", call, &format!("Ticket: {ticket}\nLine: {line}\nNumber: +33199000123"));
    }

    async fn ask(&mut self, call: &CallId, played: Duration, key: &str) {
        let played = played.as_millis();
        self.word("TemoinSaid", call, &format!("Text: opt-out\nStatus: SUCCESS\nPlayed: {played}"));
        self.word("TemoinPressed", call, &format!("Key: {key}"));
        self.word("TemoinAsked", call, "Verdict: ADMITTED");
    }

    async fn come_back(&mut self, call: &CallId) {
        self.hooked(call, "support");
    }

    async fn alive(&mut self, call: &CallId) {
        self.calls.insert(call.clone(), Customer::default());
        self.restate();
    }

    async fn connect(&mut self, call: &CallId, extension: &str) {
        self.agents += 1;
        let agent = Agent {
            id: format!("1795282800.{}", self.agents),
            name: format!("PJSIP/{extension}-{:08x}", self.agents),
            bridge: format!("B{}", self.agents),
        };
        for (id, name) in [(&agent.id, &agent.name), (&call.0, &trunk(call))] {
            self.bridge("BridgeEnter", &agent.bridge, id, name);
        }
        let customer = self.calls.get_mut(call).unwrap();
        (customer.in_hook, customer.agent) = (false, Some(agent));
        self.restate();
    }

    async fn prompt_ends(&mut self, call: &CallId) {
        let begin = format!("POST channels/{}/play/", call.0);
        let log = self.fake.state().log.clone();
        let asked = log.iter().rev().find_map(|line| line.strip_prefix(&begin)).unwrap();
        let id = asked.split('?').next().unwrap();
        let ended = Timestamp::now();
        self.playback("PlaybackStarted", id, ended - Duration::from_secs(1));
        self.playback("PlaybackFinished", id, ended);
    }

    async fn note(&mut self, call: &CallId, keys: &str) {
        self.calls.get_mut(call).unwrap().keys = keys.into();
        self.restate();
    }

    async fn hang_up(&mut self, call: &CallId) {
        self.calls.remove(call);
        self.restate();
        self.bridge("Hangup", "", &call.0, &trunk(call));
    }

    async fn withhold(&mut self, withholds: bool) {
        let mut state = self.fake.state();
        state.withheld.clear();
        if withholds {
            let orders =
                ["MixMonitor", "StopMixMonitor", "BEAT channels/1795", "POST channels/1795", "DELETE "];
            state.withheld.extend(orders.map(String::from));
        }
    }

    async fn deadline(&mut self) {
        tokio::time::sleep(ORDER + Duration::from_millis(200)).await;
    }

    async fn refuse(&mut self, refuses: bool) {
        let mut state = self.fake.state();
        state.status.clear();
        if refuses {
            state.status.insert("POST channels/1795".into(), 500);
        }
    }

    async fn cut(&mut self, cut: bool) {
        self.cut = cut;
        self.fake.cut_ami(cut);
    }

    /// What Asterisk was asked, as the orders that it belongs to.
    async fn asked(&self, call: &CallId) -> Vec<Asked> {
        let log = self.fake.state().log.clone();
        let of_call =
            log.iter().filter(|line| line.contains(&call.0) || line.starts_with("DELETE playbacks/"));
        let dials = log.iter().any(|line| line.contains(&call.0) && line.contains("TEMOIN_ASK"));
        let mut asked: Vec<Asked> = of_call
            .filter_map(|line| match line {
                line if line.starts_with("MixMonitor") => Some(Asked::Record),
                line if line.starts_with("StopMixMonitor") => Some(Asked::Stop),
                line if line.contains("/play/") => Some(Asked::Announce),
                line if line.starts_with("DELETE playbacks/") => Some(Asked::Silence),
                line if line.starts_with("BEAT ") => Some(Asked::Beat),
                line if line.ends_with("/continue") && dials => Some(Asked::Brief),
                line if line.ends_with("/continue") => Some(Asked::Release),
                line if line.starts_with("DELETE channels/") => Some(Asked::HangUp),
                _ => None,
            })
            .collect();
        // A stop asks until none is left.
        asked.dedup_by(|a, b| a == b && *a == Asked::Stop);
        asked
    }

    async fn exempt(&self) -> BTreeSet<String> {
        self.fake.state().database.clone()
    }

    async fn tamper(&mut self, exempt: BTreeSet<String>) {
        self.fake.state().database = exempt;
    }

    async fn pass(&self) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn the_driver_keeps_the_words_of_its_port() {
    suite(async || Box::new(Loopback::up().await) as Box<dyn Rig>).await;
}
