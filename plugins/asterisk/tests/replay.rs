//! Every transcript of a real Asterisk through frames, translate and topology, against expectations written by hand:
//! who was connected with whom when. `tests/wire/` holds the transcripts, `tests/replay/` the expectations; times are
//! seconds since the first `Newchannel`.

mod support;

use std::collections::BTreeMap;

use support::{Player, files, messages};
use temoin_asterisk::ami::frame::Message;
use temoin_asterisk::topology::Topology;
use temoin_asterisk::translate::status::Row;
use temoin_asterisk::translate::{Channel, Sign, ami, ari};

#[test]
fn transcripts_tell_who_was_connected_with_whom() {
    let wire: BTreeMap<_, _> = files("wire", "raw").into_iter().collect();
    for (name, expected) in files("replay", "txt") {
        let expected = String::from_utf8(expected).unwrap();
        let (customer, expected) = expected.split_once('\n').unwrap();
        let customer = customer.strip_prefix("customer ").unwrap();
        let player = replay(&messages(&wire[&name]), customer);
        assert_eq!(player.told, expected, "{name}");
    }
}

/// Every transcript with a bridge in it has an expectation, so that none is forgotten.
#[test]
fn no_transcript_of_a_call_is_without_expectation() {
    let expected: Vec<String> = files("replay", "txt").into_iter().map(|(name, _)| name).collect();
    for (name, bytes) in files("wire", "raw") {
        let call = messages(&bytes).iter().any(|message| message.first("Event") == Some("Newchannel"));
        assert_eq!(call, expected.contains(&name), "{name}");
    }
}

/// After any prefix of a transcript: what the signs say is what a look at the PBX at that moment would say.
#[test]
fn any_prefix_equals_a_look_at_the_pbx() {
    let mut looks = 0;
    for (name, _) in files("replay", "txt") {
        let bytes = files("wire", "raw").into_iter().find(|(found, _)| *found == name).unwrap().1;
        let messages = messages(&bytes);
        let channels: Vec<Channel> = messages.iter().filter_map(seen).collect();
        let (mut signs, mut pbx) = (Topology::default(), BTreeMap::<String, Row>::new());
        let never = std::time::Duration::from_secs(1_000_000);
        for message in &messages {
            let Some(at) = message.timestamp() else { continue };
            if let Some(sign) = ami::read(message) {
                signs.apply(std::time::Duration::ZERO, at, &sign);
            }
            look(&mut pbx, message);
            let rows: Vec<Row> = pbx.values().cloned().collect();
            let mut looked = Topology::default();
            looked.rebuild(&rows, &BTreeMap::new());
            for channel in &channels {
                let (a, b) = (signs.parties(&channel.id, never), looked.parties(&channel.id, never));
                assert_eq!(a, b, "{name}: {} after {:?} {at}", channel.name, message.first("Event"));
            }
            looks += 1;
        }
    }
    assert!(looks > 500, "{looks}");
}

/// The application's own events: what of them is a sign of the hook.
#[test]
fn the_hook_is_told_from_its_own_events() {
    let signs = |name: &str| -> Vec<String> {
        let (_, bytes) = files("wire", "jsonl").into_iter().find(|(found, _)| found == name).unwrap();
        let lines = bytes.split(|byte| *byte == b'\n');
        lines.filter_map(ari::read_bytes).map(|sign| format!("{sign:?}")).collect()
    };
    let optout = signs("ari-optout");
    let words = ["Entered", "PlaybackStarted", "Digit", "PlaybackFinished", "Left"];
    assert_eq!(optout.len(), words.len(), "{optout:#?}");
    for (sign, word) in optout.iter().zip(words) {
        assert!(sign.starts_with(word), "{sign}");
    }
    assert!(optout[0].contains("PJSIP/trunk-000000d8") && optout[0].contains("0199000123"));
    assert!(optout[2].contains("digit: \"1\""));
    // `done` although a key cut it: the state says nothing, only the time played does.
    assert!(optout[3].contains("failed: false"));
    // Of 112 events of everything, four are of the application's channel in the hook, two are of other channels.
    let all = signs("ari-inbound-recorded-all");
    assert!(all.len() < 10, "{all:#?}");
}

fn replay(messages: &[Message], customer: &str) -> Player {
    let mut player = Player::default();
    let first = messages.iter().find(|message| message.first("Event") == Some("Newchannel")).unwrap();
    player.zero = first.timestamp();
    for message in messages {
        let Some(at) = message.timestamp() else { continue };
        if let Some(channel) = seen(message) {
            player.name(&channel);
            if channel.name == customer {
                player.topology.follow(&channel.id, &channel.name);
            }
        }
        if let Some(sign) = ami::read(message) {
            player.play(at, &sign);
        }
    }
    player.until(player.now + std::time::Duration::from_secs(1));
    player
}

fn seen(message: &Message) -> Option<Channel> {
    match ami::read(message)? {
        Sign::Seen(channel) => Some(channel),
        _ => None,
    }
}

/// What `Status` would have said: kept by rules of its own, not by the topology.
fn look(pbx: &mut BTreeMap<String, Row>, message: &Message) {
    let Some(id) = message.first("Uniqueid") else {
        return;
    };
    let text = |key| message.first(key).unwrap().to_owned();
    match message.first("Event") {
        Some("Newchannel") => {
            let channel = Channel { id: id.into(), name: text("Channel"), agent: None };
            let application = (String::new(), String::new());
            let row = Row {
                channel,
                bridge: None,
                held: false,
                application,
                passed: false,
                dials: false,
                keys: None,
            };
            pbx.insert(id.into(), row);
        }
        Some("Hangup") => {
            pbx.remove(id);
        }
        Some(event) => {
            let Some(row) = pbx.get_mut(id) else { return };
            match event {
                "BridgeEnter" => row.bridge = Some(text("BridgeUniqueid")),
                "BridgeLeave" if row.bridge == Some(text("BridgeUniqueid")) => {
                    (row.bridge, row.held) = (None, false);
                }
                "Hold" => row.held = true,
                "Unhold" => row.held = false,
                _ => {}
            }
        }
        None => {}
    }
}
