//! Laws of the topology, on signs made up at random: a look at the PBX says the same; what is told arrives at the
//! truth; a doubled sign changes nothing; inside a window no talk begins.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use support::Player;
use temoin_asterisk::topology::Topology;
use temoin_asterisk::translate::status::Row;
use temoin_asterisk::translate::{Bridge, Channel, Sign};
use temoin_core::event::{CallEvent, PbxEvent};

const NAMES: [&str; 10] = [
    "PJSIP/trunk-00000001",
    "PJSIP/trunk-00000002",
    "PJSIP/1011-00000003",
    "PJSIP/1012-00000004",
    "PJSIP/2003-00000005",
    "Local/a@b-00000001;1",
    "Local/a@b-00000001;2",
    "Local/a@b-00000002;1",
    "Local/a@b-00000002;2",
    "DAHDI/1-1",
];
const CUSTOMERS: [&str; 2] = ["u0", "u1"];
const NEVER: Duration = Duration::from_secs(1_000_000);

fn channel(which: usize) -> Channel {
    Channel { id: format!("u{which}"), name: NAMES[which].into(), agent: None }
}

fn bridge(which: usize) -> Bridge {
    Bridge { id: format!("B{which}"), holding: which == 3 }
}

fn sign() -> impl Strategy<Value = Sign> {
    let who = 0..NAMES.len();
    prop_oneof![
        8 => (who.clone(), 0..4usize).prop_map(|(c, b)| Sign::Entered {
            channel: channel(c), bridge: bridge(b), swap: None
        }),
        4 => (who.clone(), 0..4usize).prop_map(|(c, b)| Sign::Left { channel: channel(c), bridge: bridge(b) }),
        1 => who.clone().prop_map(|c| Sign::Hold(channel(c))),
        1 => who.clone().prop_map(|c| Sign::Unhold(channel(c))),
        1 => (0..4usize, 0..4usize).prop_map(|(to, from)| Sign::Merged { to: bridge(to).id, from: bridge(from).id }),
        1 => (2..NAMES.len()).prop_map(|c| Sign::Transfer { leaving: vec![channel(c)], transferee: Some(channel(0)) }),
        1 => prop_oneof![Just(5), Just(7)].prop_map(|c| Sign::OptimizationBegan { halves: [channel(c), channel(c + 1)] }),
        1 => prop_oneof![Just(5), Just(7)].prop_map(|c| Sign::OptimizationEnded { halves: [channel(c), channel(c + 1)] }),
        1 => (2..NAMES.len()).prop_map(|c| Sign::HungUp(channel(c))),
    ]
}

/// Signs, each so many milliseconds after the one before.
fn signs() -> impl Strategy<Value = Vec<(u32, Sign)>> {
    proptest::collection::vec((0u32..40, sign()), 1..60)
}

/// What `Status` would say, kept by rules of its own.
fn look(pbx: &mut BTreeMap<String, Row>, gone: &mut Vec<String>, sign: &Sign) {
    let mut seen = |channel: &Channel| {
        let application = (String::new(), String::new());
        let row = Row {
            channel: channel.clone(),
            bridge: None,
            held: false,
            application,
            passed: false,
            dials: false,
            keys: None,
        };
        if !gone.contains(&channel.id) {
            pbx.entry(channel.id.clone()).or_insert(row);
        }
    };
    match sign {
        Sign::Entered { channel, .. }
        | Sign::Left { channel, .. }
        | Sign::Hold(channel)
        | Sign::Unhold(channel) => {
            seen(channel);
        }
        Sign::Transfer { leaving, transferee } => leaving.iter().chain(transferee).for_each(seen),
        Sign::OptimizationBegan { halves } | Sign::OptimizationEnded { halves } => {
            halves.iter().for_each(seen)
        }
        _ => {}
    }
    let mut row = |channel: &Channel, change: &dyn Fn(&mut Row)| {
        pbx.get_mut(&channel.id).map(change);
    };
    match sign {
        Sign::Entered { channel, bridge, .. } => row(channel, &|row| row.bridge = Some(bridge.id.clone())),
        Sign::Left { channel, bridge } => row(channel, &|row| {
            if row.bridge.as_ref() == Some(&bridge.id) {
                (row.bridge, row.held) = (None, false);
            }
        }),
        Sign::Hold(channel) => row(channel, &|row| row.held = true),
        Sign::Unhold(channel) => row(channel, &|row| row.held = false),
        Sign::HungUp(channel) => {
            pbx.remove(&channel.id);
            gone.push(channel.id.clone());
        }
        _ => {}
    }
}

fn follow(topology: &mut Topology) {
    for (which, id) in CUSTOMERS.into_iter().enumerate() {
        topology.follow(id, NAMES[which]);
    }
}

/// All that is told, in words, with each sign played so many times.
fn told(signs: &[(u32, Sign)], times: usize) -> (String, Player) {
    let mut player = Player { zero: Some(Timestamp::UNIX_EPOCH), many: true, ..Player::default() };
    follow(&mut player.topology);
    let mut at = Timestamp::UNIX_EPOCH;
    for (after, sign) in signs {
        at += SignedDuration::from_millis(i64::from(*after));
        for _ in 0..times {
            player.play(at, sign);
        }
    }
    player.until(player.now + Duration::from_secs(2));
    (player.told.clone(), player)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_prefix_equals_a_look(signs in signs()) {
        let (mut topology, mut pbx, mut gone) = (Topology::default(), BTreeMap::new(), Vec::new());
        follow(&mut topology);
        for which in 0..2 {
            look(&mut pbx, &mut gone, &Sign::Left { channel: channel(which), bridge: bridge(0) });
        }
        let bridges: BTreeMap<String, bool> = (0..4).map(|b| (bridge(b).id, bridge(b).holding)).collect();
        for (_, sign) in &signs {
            topology.apply(Duration::ZERO, Timestamp::UNIX_EPOCH, sign);
            look(&mut pbx, &mut gone, sign);
            let rows: Vec<Row> = pbx.values().cloned().collect();
            let mut looked = Topology::default();
            follow(&mut looked);
            looked.rebuild(&rows, &bridges);
            for customer in CUSTOMERS {
                prop_assert_eq!(topology.parties(customer, NEVER), looked.parties(customer, NEVER), "{:?}", sign);
            }
        }
    }

    /// Once all has settled, what was told last is the truth.
    #[test]
    fn what_is_told_arrives_at_the_truth(signs in signs()) {
        let (told, player) = told(&signs, 1);
        for customer in CUSTOMERS {
            let truth = player.parties(&player.topology.parties(customer, NEVER));
            let last = told.lines().rev().find_map(|line| line.split_once(&format!("{customer}: ")));
            let last = last.map_or("nobody", |(_, what)| what);
            prop_assert_eq!(last, truth, "{}", told);
        }
    }

    #[test]
    fn a_doubled_sign_changes_nothing(signs in signs()) {
        prop_assert_eq!(told(&signs, 1).0, told(&signs, 2).0);
    }

    /// Right after a transfer or a merge begins, nobody becomes somebody, and whoever held goes on holding.
    #[test]
    fn inside_a_window_no_talk_begins(before in signs(), after in proptest::collection::vec(sign(), 1..6)) {
        let mut topology = Topology::default();
        follow(&mut topology);
        let mut talking = BTreeMap::new();
        let mut note = |events: Vec<PbxEvent>| {
            let mut began = Vec::new();
            for event in events {
                if let PbxEvent::Call(call, CallEvent::Parties { parties, .. }) = event {
                    let was = talking.insert(call.clone(), !parties.is_empty()).unwrap_or(false);
                    if !was && !parties.is_empty() {
                        began.push(call);
                    }
                }
            }
            began
        };
        for (_, sign) in &before {
            note(topology.apply(Duration::ZERO, Timestamp::UNIX_EPOCH, sign));
        }
        let transfer = Sign::Transfer { leaving: vec![channel(2)], transferee: Some(channel(0)) };
        note(topology.apply(Duration::from_secs(9), Timestamp::UNIX_EPOCH, &transfer));
        for sign in &after {
            let began = note(topology.apply(Duration::from_secs(9), Timestamp::UNIX_EPOCH, sign));
            prop_assert!(began.iter().all(|call| call.0 != CUSTOMERS[0]), "{:?}", sign);
        }
    }
}
