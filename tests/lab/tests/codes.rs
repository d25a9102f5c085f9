//! The shipped codes and the exempt list in real SIP calls, without any sidecar. A second lab plays all the phones.

mod support;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use support::{Ami, Message, eventually};
use temoin_lab::{AMI_SECRET, Lab, LabOptions};

/// The PBX under test and, in `far`, the customer's and the agents' phones.
struct Call {
    near: Lab,
    far: Lab,
    ami: Ami,
}

impl Drop for Call {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("phones:\n{}\nPBX:\n{}", self.far.log_tail(30), self.near.log_tail(60));
        }
    }
}

impl Call {
    fn phones() -> Self {
        Self::with("extensions.conf", "")
    }

    /// With more in a file of the PBX under test.
    fn with(file: &'static str, more: &str) -> Self {
        let more_near = vec![(file, more.to_owned())];
        let customer = UdpSocket::bind("127.0.0.2:0").unwrap().local_addr().unwrap().port();
        let pjsip = format!(
            "[customer]\ntype = transport\nprotocol = udp\nbind = 127.0.0.2:{customer}\n\
             [out](phone)\ntransport = customer\naors = out\n[out]\ntype = aor\n\
             [far](phone)\ncontext = answering\n[far]\ntype = identify\nendpoint = far\nmatch = 127.0.0.1\n"
        );
        let extensions = "[answering]\nexten => _X.,1,Answer()\n same => n,Playtones(600/60000)\n same => n,Wait(60)\n\
                          [talking]\nexten => s,1,Playtones(880/60000)\n same => n,Wait(60)\n";
        let more = vec![("pjsip.conf", pjsip), ("extensions.conf", extensions.to_owned())];
        let far = Lab::start(LabOptions { more, ..LabOptions::default() }).unwrap();
        let all = |phones: &[u16]| phones.iter().map(|phone| (*phone, far.sip.port())).collect();
        let phones = all(&[2001, 2003, 4100, 2999]);
        let near = Lab::start(LabOptions { phones, more: more_near, ..LabOptions::default() }).unwrap();
        let ami = Ami::admin(&near);
        Self { near, far, ami }
    }

    /// The customer calls a number; returns his channel and the agent's once they are in talk.
    fn talk(&mut self, number: &str) -> (String, String) {
        self.dial(number);
        let is = |kind: &'static str| {
            move |message: &Message| {
                message.field("Event") == "BridgeEnter" && message.field("Channel").starts_with(kind)
            }
        };
        let agent = self.ami.event("agent in a bridge", is("PJSIP/2001"));
        let customer = self.ami.event("customer in a bridge", is("PJSIP/trunk"));
        (customer.field("Channel").to_owned(), agent.field("Channel").to_owned())
    }

    fn dial(&self, number: &str) {
        let to = format!("PJSIP/out/sip:{number}@{}", self.near.sip);
        self.far.cli(&format!("channel originate {to} extension s@talking")).unwrap();
    }

    fn record(&mut self, channel: &str, name: &str) {
        let file = self.near.recordings().join(name);
        let answer = self.ami.action(&[
            ("Action", "MixMonitor"),
            ("Channel", channel),
            ("File", file.to_str().unwrap()),
        ]);
        assert_eq!(answer.field("Response"), "Success", "{answer:?}");
    }

    fn recorders(&self, channel: &str) -> usize {
        let list = self.near.cli(&format!("mixmonitor list {channel}")).unwrap();
        list.lines().filter(|line| line.contains("0x")).count()
    }

    fn press(&mut self, channel: &str, digits: &str) {
        // In one breath: between two keys the PBX waits for a second only.
        let digits: Vec<String> = digits.chars().map(String::from).collect();
        let presses = digits.iter().map(|digit| {
            [("Action", "PlayDTMF"), ("Channel", channel), ("Digit", digit), ("Receive", "true")]
        });
        for answer in self.ami.actions(presses) {
            assert_eq!(answer.field("Response"), "Success");
        }
    }

    fn code(&mut self) -> Message {
        self.ami.event("TemoinCode", |message| message.field("UserEvent") == "TemoinCode")
    }

    /// No code is told within the time that the PBX waits for further digits, and a little.
    fn no_code(&mut self) -> bool {
        self.ami
            .event_within(Duration::from_millis(1500), |event| event.field("UserEvent") == "TemoinCode")
            .is_none()
    }
}

#[test]
fn an_agents_code_stops_every_recorder_notes_itself_and_is_told() {
    let mut call = Call::phones();
    let (customer, agent) = call.talk("8001");
    for name in ["one.wav", "two.wav", "three.wav"] {
        call.record(&customer, name);
    }
    assert_eq!(call.recorders(&customer), 3);
    let mut keys = String::new();
    for code in ["*9", "*8", "*7", "*6"] {
        call.press(&agent, code);
        let told = call.code();
        assert_eq!((told.field("Code"), told.field("By")), (code, "agent"), "{told:?}");
        assert_eq!(
            (told.field("Chan"), told.field("Found")),
            (agent.as_str(), customer.as_str()),
            "{told:?}"
        );
        assert_eq!(call.recorders(&customer), 0, "stopped before it is told");
        keys = format!("{keys}{code}@{} ", told.field("At"));
        assert_eq!(format!("{} ", call.ami.variable(&customer, "TEMOIN_KEYS").trim_end()), keys);
        call.record(&customer, "next.wav");
    }
    // The keys are on the customer's last event too, for whoever missed the rest.
    call.near.cli(&format!("channel request hangup {customer}")).unwrap();
    let hangup = call
        .ami
        .event("hang-up", |event| event.field("Event") == "Hangup" && event.field("Channel") == customer);
    let noted = format!("TEMOIN_KEYS={}", keys.trim_end());
    let variables: Vec<&str> = hangup
        .all(&format!("ChanVariable({customer})"))
        .into_iter()
        .chain(hangup.all("ChanVariable"))
        .collect();
    assert!(variables.iter().any(|variable| variable.trim_end() == noted), "{hangup:?}");
}

#[test]
fn i_have_told_him_stops_nothing() {
    let mut call = Call::phones();
    let (customer, agent) = call.talk("8001");
    call.record(&customer, "one.wav");
    call.press(&agent, "*5");
    let told = call.code();
    assert_eq!(
        (told.field("Code"), told.field("By"), told.field("Found")),
        ("*5", "agent", customer.as_str())
    );
    assert_eq!(call.recorders(&customer), 1);
    assert!(call.ami.variable(&customer, "TEMOIN_KEYS").starts_with("*5@"));
}

#[test]
fn the_customer_has_his_own_code_and_no_other() {
    let mut call = Call::phones();
    let (customer, agent) = call.talk("8001");
    call.record(&customer, "one.wav");
    call.press(&customer, "*9");
    assert!(call.no_code());
    call.press(&agent, "*1");
    assert!(call.no_code());
    assert_eq!(call.recorders(&customer), 1);
    call.press(&customer, "*1");
    let told = call.code();
    assert_eq!((told.field("Code"), told.field("By")), ("*1", "customer"));
    assert_eq!((told.field("Chan"), told.field("Found")), (customer.as_str(), customer.as_str()));
    assert_eq!(call.recorders(&customer), 0);
}

#[test]
fn behind_local_channels_the_customer_is_found_and_stopped_all_the_same() {
    let mut call = Call::phones();
    let (customer, agent) = call.talk("8009");
    assert!(call.near.cli("core show channels concise").unwrap().contains("Local/2001@extensions"));
    for name in ["one.wav", "two.wav", "three.wav"] {
        call.record(&customer, name);
    }
    call.press(&agent, "*9");
    let told = call.code();
    assert_eq!(
        (told.field("By"), told.field("Found"), told.field("Chan")),
        ("agent", customer.as_str(), agent.as_str())
    );
    let since = Instant::now();
    eventually("all stopped", || call.recorders(&customer) == 0);
    eprintln!("stopped through the command line within {:?}", since.elapsed());
    assert!(call.ami.variable(&customer, "TEMOIN_KEYS").starts_with("*9@"));
}

#[test]
fn after_a_transfer_the_new_agents_code_finds_the_customer() {
    let mut call = Call::phones();
    let (customer, agent) = call.talk("8001");
    let answer = call.ami.action(&[
        ("Action", "BlindTransfer"),
        ("Channel", &agent),
        ("Context", "extensions"),
        ("Exten", "2003"),
    ]);
    assert_eq!(answer.field("Response"), "Success", "{answer:?}");
    let entered = call.ami.event("the new agent", |event| {
        event.field("Event") == "BridgeEnter" && event.field("Channel").starts_with("PJSIP/2003")
    });
    call.ami.event("the customer with him", |event| {
        event.field("Event") == "BridgeEnter"
            && event.field("BridgeUniqueid") == entered.field("BridgeUniqueid")
            && event.field("Channel") == customer
    });
    call.record(&customer, "one.wav");
    call.press(entered.field("Channel"), "*8");
    let told = call.code();
    assert_eq!((told.field("Chan"), told.field("Found")), (entered.field("Channel"), customer.as_str()));
    assert_eq!(call.recorders(&customer), 0);
}

#[test]
fn after_a_consultation_the_new_agents_code_finds_the_customer_through_local_channels() {
    let mut call = Call::phones();
    let (customer, agent) = call.talk("8001");
    call.press(&agent, "*2");
    call.press(&agent, "2003");
    let second = call.ami.event("the consulted agent", |event| {
        event.field("Event") == "BridgeEnter" && event.field("Channel").starts_with("PJSIP/2003")
    });
    call.near.cli(&format!("channel request hangup {agent}")).unwrap();
    call.ami.event("the transfer", |event| event.field("Event") == "AttendedTransfer");
    call.record(&customer, "one.wav");
    call.press(second.field("Channel"), "*8");
    let told = call.code();
    assert_eq!((told.field("By"), told.field("Found")), ("agent", customer.as_str()), "{told:?}");
    eventually("stopped", || call.recorders(&customer) == 0);
}

#[test]
fn an_exempt_extension_is_not_rung_before_the_recorders_have_stopped() {
    let mut call = Call::phones();
    call.near.cli("database put temoin-exempt 4100 1").unwrap();
    let (customer, agent) = call.talk("8001");
    call.record(&customer, "one.wav");
    let transfer = |call: &mut Call, agent: &str, to: &str| {
        let action =
            [("Action", "BlindTransfer"), ("Channel", agent), ("Context", "extensions"), ("Exten", to)];
        assert_eq!(call.ami.action(&action).field("Response"), "Success");
    };
    transfer(&mut call, &agent, "2003");
    let second = call.ami.event("agent 2003", |event| {
        event.field("Event") == "BridgeEnter" && event.field("Channel").starts_with("PJSIP/2003")
    });
    assert_eq!(call.recorders(&customer), 1, "2003 is not exempt");
    transfer(&mut call, second.field("Channel"), "4100");
    let mut order = Vec::new();
    while order.last() != Some(&"rings") {
        let event = call.ami.event("the exempt extension rung", |event| {
            event.field("Event") == "MixMonitorStop"
                || event.field("UserEvent") == "TemoinExempt"
                || event.field("Event") == "DialBegin" && event.field("DestChannel").starts_with("PJSIP/4100")
        });
        order.push(match event.field("Event") {
            "MixMonitorStop" => "stopped",
            "UserEvent" => {
                assert_eq!((event.field("Exempt"), event.field("Found")), ("4100", customer.as_str()));
                "told"
            }
            _ => "rings",
        });
    }
    assert_eq!(order, ["stopped", "told", "rings"]);
    assert_eq!(call.recorders(&customer), 0);
}

#[test]
fn an_exempt_extension_behind_a_local_channel_stops_the_customer_too() {
    let mut call = Call::phones();
    call.near.cli("database put temoin-exempt 4100 1").unwrap();
    let (customer, agent) = call.talk("8001");
    call.record(&customer, "one.wav");
    // A consultation dials through a Local channel that the agent's leg made.
    call.press(&agent, "*2");
    call.press(&agent, "4100");
    let told = call.ami.event("TemoinExempt", |event| event.field("UserEvent") == "TemoinExempt");
    assert_eq!(told.field("Found"), customer);
    eventually("stopped", || call.recorders(&customer) == 0);
}

#[test]
fn the_shipped_account_hears_what_the_sidecar_needs_and_little_else() {
    let mut call = Call::phones();
    let mut sidecar = Ami::login(call.near.ami, "temoin", AMI_SECRET);
    let (customer, agent) = call.talk("8002");
    let entered = sidecar.event("agent in a bridge", |event| event.field("Channel") == agent);
    assert_eq!(entered.field("Event"), "BridgeEnter");
    assert!(entered.all("ChanVariable").contains(&"TEMOIN_LEG=agent"), "{entered:?}");
    call.record(&customer, "one.wav");
    call.press(&agent, "*9");
    call.code();
    call.near.cli(&format!("channel request hangup {customer}")).unwrap();
    let mut heard: Vec<String> = vec![entered.field("Event").to_owned()];
    while heard.last().is_none_or(|last| last != "Hangup customer") {
        let event = sidecar.event("hang-up of the customer", |event| !event.field("Event").is_empty());
        let last = event.field("Event") == "Hangup" && event.field("Channel") == customer;
        heard.push(if last { "Hangup customer".to_owned() } else { event.field("Event").to_owned() });
    }
    for needed in ["BridgeEnter", "MixMonitorStart", "MixMonitorStop", "UserEvent", "BridgeLeave"] {
        assert!(heard.iter().any(|event| event == needed), "{needed} in {heard:?}");
    }
    for noise in [
        "AgentConnect",
        "DialBegin",
        "Newchannel",
        "Newstate",
        "NewConnectedLine",
        "VarSet",
        "Newexten",
        "QueueMemberStatus",
        "BridgeCreate",
    ] {
        assert!(heard.iter().all(|event| event != noise), "{noise} in {heard:?}");
    }
}

#[test]
fn a_hostile_channel_name_runs_nothing_in_the_shell() {
    const OPEN: &str = "[open]\nexten => _4!,1,Gosub(temoin-inbound,s,1(accueil))\n same => n,Dial(Local/2001@extensions/n)\n";
    let mut call = Call::with("extensions.conf", OPEN);
    // The widest way in: an extension as the caller sent it, in the name of a Local channel that takes the hook and
    // whose recorder can only be stopped through the shell.
    for hostile in [
        "4\" & touch owned & \"",
        "4`touch owned`",
        "4$(touch owned)",
        "4\\\" & touch owned & \\\"",
        "4' & touch owned & '",
    ] {
        let channel = format!("Local/{hostile}@open/n");
        let originate = [
            ("Action", "Originate"),
            ("Channel", &channel),
            ("Application", "Wait"),
            ("Data", "30"),
            ("Async", "true"),
        ];
        assert_eq!(call.ami.action(&originate).field("Response"), "Success");
        let agent = call.ami.event("agent in a bridge", |event| {
            event.field("Event") == "BridgeEnter" && event.field("Channel").starts_with("PJSIP/2001")
        });
        call.ami.event("the Local channel with him", |event| {
            event.field("Event") == "BridgeEnter" && event.field("Channel").starts_with("Local/2001")
        });
        call.press(agent.field("Channel"), "*9");
        let told = call.code();
        assert!(told.field("Found").starts_with("Local/4"), "{told:?}");
        assert!(
            told.field("Found").chars().all(|c| c.is_ascii_alphanumeric() || "/_.@:+-;".contains(c)),
            "{told:?}"
        );
        call.near.cli("channel request hangup all").unwrap();
        eventually("all gone", || {
            call.near.cli("core show channels count").unwrap().contains("0 active channels")
        });
    }
    let log = std::fs::read_to_string(call.near.log()).unwrap();
    assert!(log.contains("mixmonitor stop Local/4touchowned@open"), "the way through the shell was taken");
    // What the shell was given runs in the background, in Asterisk's own folder.
    let owned = call.near.dir().join("owned");
    let deadline = Instant::now() + Duration::from_secs(1);
    while Instant::now() < deadline {
        assert!(!owned.exists());
        std::thread::sleep(Duration::from_millis(50));
    }
}
