//! What no transcript shows, told in `tests/stories/`: a line of AMI in short, or `->` and what is told then. Each line
//! is written out as AMI, so that frames and translate are walked through as well.

mod support;

use std::time::Duration;

use support::{Player, files, messages};
use temoin_asterisk::translate::ami;

#[test]
fn stories_are_told_as_expected() {
    for (name, text) in files("stories", "txt") {
        let text = String::from_utf8(text).unwrap();
        let told = tell(&text);
        let expected: String =
            text.lines().filter_map(|line| line.strip_prefix("-> ")).flat_map(|line| [line, "\n"]).collect();
        assert_eq!(told, expected, "{name}");
    }
}

fn tell(text: &str) -> String {
    let mut player = Player { zero: Some(jiff::Timestamp::UNIX_EPOCH), ..Player::default() };
    player.many = text.matches("\nfollow ").count() > 1;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("->")) {
        let (time, action) = line.split_once(' ').unwrap();
        if time == "follow" {
            let (id, name) = channel(action);
            player.names.insert(id.clone(), name.clone());
            player.topology.follow(&id, &name);
            continue;
        }
        let wire = format!("Timestamp: {time}\r\n{}\r\n\r\n", wire(action));
        for message in messages(wire.as_bytes()) {
            if let (Some(id), Some(name)) = (message.first("Uniqueid"), message.first("Channel")) {
                player.names.insert(id.into(), name.into());
            }
            match ami::read(&message) {
                Some(sign) => player.play(message.timestamp().unwrap(), &sign),
                None => assert!(action.starts_with("threeway"), "{line}: {message:?}"),
            }
        }
    }
    player.until(player.now + Duration::from_secs(1));
    player.told
}

/// One line of a story as AMI.
fn wire(action: &str) -> String {
    let words: Vec<&str> = action.split(' ').collect();
    let who = |prefix: &str, short: &str| {
        let (id, name) = channel(short);
        format!("{prefix}Channel: {name}\r\n{prefix}Uniqueid: {id}")
    };
    let one = |event: &str| format!("Event: {event}\r\n{}", who("", words[1]));
    let bridge = |id: &str| {
        let technology = if words.contains(&"holding") { "holding_bridge" } else { "simple_bridge" };
        format!("\r\nBridgeUniqueid: {id}\r\nBridgeTechnology: {technology}")
    };
    let after = |word: &str| words.iter().position(|found| *found == word).map(|at| words[at + 1]);
    let part = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    match words[0] {
        "enter" => {
            let swap = after("swap").map(|swap| format!("\r\nSwapUniqueid: {}", channel(swap).0));
            one("BridgeEnter") + &bridge(words[2]) + &swap.unwrap_or_default()
        }
        "leave" => one("BridgeLeave") + &bridge(words[2]),
        "hold" => one("Hold"),
        "unhold" => one("Unhold"),
        "hangup" => one("Hangup"),
        "seen" => one("Newchannel"),
        "agent" => {
            let agent = words.get(2).copied().unwrap_or_default();
            one("Newchannel") + &format!("\r\nChanVariable: TEMOIN_AGENT={agent}")
        }
        "rename" => one("Rename") + &format!("\r\nNewname: {}", words[2]),
        "recorder-start" => one("MixMonitorStart"),
        "recorder-stop" => one("MixMonitorStop"),
        "merge" => {
            format!(
                "Event: BridgeMerge\r\nToBridgeUniqueid: {}\r\nFromBridgeUniqueid: {}",
                words[1], words[2]
            )
        }
        "blind" => {
            let (transferer, transferee) = (who("Transferer", words[1]), who("Transferee", words[2]));
            format!("Event: BlindTransfer\r\nResult: Success\r\n{transferer}\r\n{transferee}")
        }
        "attended" | "threeway" => {
            let kind = if words[0] == "attended" { "Bridge" } else { "Threeway" };
            let first = who("OrigTransferer", words[1]);
            let (second, transferee) = (who("SecondTransferer", words[2]), who("Transferee", words[3]));
            let head = format!("Event: AttendedTransfer\r\nResult: Success\r\nDestType: {kind}");
            [head, first, second, transferee].join("\r\n")
        }
        "opt-begin" | "opt-end" => {
            let event = if words[0] == "opt-begin" { "Begin" } else { "End" };
            let half = |prefix, number| who(prefix, &format!("{};{number}", words[1]));
            format!("Event: LocalOptimization{event}\r\n{}\r\n{}", half("LocalOne", 1), half("LocalTwo", 2))
        }
        "spy" => format!("Event: ChanSpyStart\r\n{}\r\n{}", who("Spyer", words[1]), who("Spyee", words[2])),
        "unspy" => format!("Event: ChanSpyStop\r\n{}", who("Spyer", words[1])),
        "step" => {
            let found = part("found").map(|short| channel(short).1).unwrap_or_default();
            let on = who("", part("on").unwrap());
            format!(
                "Event: UserEvent\r\n{on}\r\nUserEvent: TemoinStep\r\nStage: {}\r\nFound: {found}",
                words[1]
            )
        }
        "code" => {
            let mut wire =
                format!("Event: UserEvent\r\n{}\r\nUserEvent: TemoinCode", who("", part("on").unwrap()));
            wire += &format!("\r\nCode: {}", words[1]);
            for (key, name) in [("chan", "Chan"), ("found", "Found")] {
                let value = part(key).map(|short| channel(short).1).unwrap_or_default();
                wire += &format!("\r\n{name}: {value}");
            }
            for (key, name) in [("by", "By"), ("at", "At")] {
                wire += &format!("\r\n{name}: {}", part(key).unwrap_or_default());
            }
            wire
        }
        word => panic!("{word}"),
    }
}

/// Id and name of a channel: `1011` is a phone, `L;1` half of a Local pair, anything with a slash itself.
fn channel(short: &str) -> (String, String) {
    let name = match short {
        _ if short.contains('/') => short.into(),
        _ if short.contains(';') => format!("Local/0199000123@agents-{short}"),
        // A second channel of the same endpoint.
        _ => match short.strip_suffix('b') {
            Some(endpoint) => format!("PJSIP/{endpoint}-0000000b"),
            None => format!("PJSIP/{short}-00000001"),
        },
    };
    (short.trim_start_matches("Snoop/").into(), name)
}
