//! What a session is besides its story: what it is told before it begins, and what it does not give away.

#[path = "laws/cast.rs"]
#[allow(dead_code)]
mod cast;

use std::collections::BTreeSet;
use std::sync::Arc;

use cast::Who;
use jiff::{SignedDuration, Timestamp};
use temoin_core::command::{Command, DriverError, Order, Reply};
use temoin_core::desk::{DeskLine, Machine};
use temoin_core::event::{CallEvent, Dialling};
use temoin_core::id::{LegId, SegmentId};
use temoin_core::pack;
use temoin_core::policy::Policy;
use temoin_core::session::{self, DrawKey, Rules, Session};

fn rules(version: &str) -> Rules {
    let site = include_str!("scripts/site.toml").replace("\"fr-1\"", &format!("{version:?}"));
    let own = [("talk.toml", include_str!("scripts/talk.toml"))];
    let packs: Vec<_> = pack::shipped().iter().copied().chain(own).collect();
    let policy = Policy::load(("scripts/site.toml", &site), &packs).expect("a readable site");
    Rules { policy, desk: cast::desk(), key: DrawKey([7; 32]) }
}

fn start() -> Timestamp {
    "2026-10-06T09:00:00Z".parse().expect("an instant")
}

fn dialling(line: &str) -> Dialling {
    Dialling {
        leg: LegId("a".into()),
        extension: Some("2001".into()),
        line: line.into(),
        number: Some("+33199000123".into()),
        queue: None,
        language: Some("fr".into()),
        at: start(),
    }
}

/// Whoever answers is held to what he was told: another text, or another gate, has another ticket.
#[test]
fn a_ticket_tells_what_was_said_apart() {
    let (first, second) = (rules("fr-1"), rules("fr-2"));
    let ticket = |line, rules| session::brief(&dialling(line), rules).ticket;
    assert_eq!(ticket("accueil", &first), ticket("accueil", &first));
    let different: BTreeSet<_> = [
        ticket("accueil", &first),
        ticket("accueil", &second),
        ticket("berlin", &first),
        ticket("bourse", &first),
    ]
    .into();
    assert_eq!(different.len(), 4, "{different:?}");
}

#[test]
fn a_machine_is_looked_for_where_the_desk_says_so() {
    let mut rules = rules("fr-1");
    let briefed = |rules: &Rules| session::brief(&dialling("accueil"), rules).detect_machine;
    for (machine, expected) in [(Machine::Amd, true), (Machine::Code, false)] {
        rules.desk.lines.insert("accueil".into(), DeskLine { machine, ..DeskLine::default() });
        assert_eq!(briefed(&rules), expected);
    }
}

#[test]
fn a_stranger_is_whoever_is_no_agent_that_may_be_recorded() {
    let rules = rules("fr-1");
    for (who, is_stranger) in [
        (Who::Amel, false),
        (Who::Bruno, false),
        (Who::Exempt, true),
        (Who::Stranger, true),
        (Who::OtherCustomer, true),
    ] {
        assert_eq!(rules.is_stranger(&who.party(false)), is_stranger, "{who:?}");
    }
}

/// Who knows the key can foretell who is recorded.
#[test]
fn the_key_of_the_draws_does_not_print() {
    assert_eq!(format!("{:?}", DrawKey([7; 32])), "DrawKey(…)");
}

/// The segments of a call that is recorded, paused and recorded again.
fn segments(seed: u8, rules: &Arc<Rules>) -> Vec<SegmentId> {
    let mut now = start();
    let (mut session, mut commands) = Session::begin(now, cast::arrival(now), Arc::clone(rules), [seed; 32]);
    let mut opened = Vec::new();
    let events = [
        CallEvent::Woken,
        CallEvent::Parties { parties: vec![Who::Amel.party(false)], at: now },
        CallEvent::Parties { parties: vec![], at: now },
        CallEvent::Parties { parties: vec![Who::Amel.party(false)], at: now },
    ];
    for event in events {
        while !commands.is_empty() {
            let mut next = Vec::new();
            for command in commands {
                next.extend(answer(&mut session, now, command, &mut opened));
            }
            commands = next;
        }
        now += SignedDuration::from_secs(5);
        commands = session.step(now, event);
    }
    for command in commands {
        answer(&mut session, now, command, &mut opened);
    }
    opened
}

fn answer(
    session: &mut Session,
    now: Timestamp,
    command: Command,
    opened: &mut Vec<SegmentId>,
) -> Vec<Command> {
    use temoin_core::event::Playback;
    use temoin_core::ports::Drawn;
    match command {
        Command::Order(order, Order::Announce(_)) => {
            session.step(now, CallEvent::Played { order, outcome: Playback::Heard, at: now })
        }
        Command::Order(order, _) => session.step(now, CallEvent::Done { order, reply: Reply::default() }),
        Command::Draw(ballots) => {
            let drawn = |ballot| Drawn { ballot, before: Default::default(), selected: true };
            session.step(now, CallEvent::Drawn(ballots.into_iter().map(drawn).collect()))
        }
        Command::Open(segment, _) => {
            opened.push(segment.id);
            session.step(now, CallEvent::Opened(segment.id))
        }
        _ => Vec::new(),
    }
}

/// The shell forgets a call that is over: not before the customer is gone, nor while a lot of it may still fall.
#[test]
fn a_call_is_over_when_nothing_of_it_can_happen() {
    let rules = Arc::new(rules("fr-1"));
    let (mut session, _) = Session::begin(start(), cast::arrival(start()), rules, [1; 32]);
    assert!(!session.is_over(), "in the hook");
    let at = start() + SignedDuration::from_secs(1);
    let commands = session.step(at, CallEvent::Parties { parties: vec![Who::Amel.party(false)], at });
    assert!(!session.is_over(), "in the talk");
    assert!(commands.iter().all(|command| !matches!(command, Command::Draw(_))), "he left the hook alone");
    session.step(at, CallEvent::Ended { at });
    assert!(session.is_over(), "gone, and nothing is recorded");
}

/// The dead-man timer is beaten while the caller is in the hook, one request at a time, and left alone afterwards.
#[test]
fn the_timer_is_beaten_until_the_call_is_given_back() {
    let rules = Arc::new(rules("fr-1"));
    let (mut session, mut commands) = Session::begin(start(), cast::arrival(start()), rules, [1; 32]);
    let mut beats = Vec::new();
    for second in 1..=8 {
        let now = start() + SignedDuration::from_secs(second);
        commands = session.step(now, CallEvent::Woken);
        for command in std::mem::take(&mut commands) {
            if let Command::Order(order, Order::Beat) = command {
                beats.push(second);
                commands.extend(session.step(now, CallEvent::Done { order, reply: Reply::default() }));
            }
        }
    }
    assert_eq!(beats, [2, 4, 6, 8], "every 1.3 s, by a clock that ticks in seconds");
    assert!(commands.is_empty());
}

/// A beat that may have come without anybody telling so is the last: else whoever hears nothing of a caller would hold him. One
/// that did not come holds nobody; and what is heard again is held again.
#[test]
fn who_is_not_heard_of_is_not_held() {
    for (error, expected) in [
        (DriverError::Unknown, vec![2, 7]),
        (DriverError::Unsent, vec![2, 4, 6]),
        (DriverError::Refused("busy".into()), vec![2, 4, 6]),
    ] {
        let rules = Arc::new(rules("fr-1"));
        let (mut session, _) = Session::begin(start(), cast::arrival(start()), rules, [1; 32]);
        let mut beats = Vec::new();
        for second in 1..=7 {
            let now = start() + SignedDuration::from_secs(second);
            let event = match second {
                5 => CallEvent::LinkLost { since: now },
                7 => CallEvent::LinkBack,
                _ => CallEvent::Woken,
            };
            for command in session.step(now, event) {
                if let Command::Order(order, Order::Beat) = command {
                    beats.push(second);
                    session.step(now, CallEvent::Failed { order, error: error.clone() });
                }
            }
        }
        assert_eq!(beats, expected, "{error}");
    }
}

/// Two calls may begin in one millisecond: their files must not be one.
#[test]
fn calls_that_begin_at_once_have_segments_of_their_own() {
    let rules = Arc::new(rules("fr-1"));
    let (first, again, second) = (segments(1, &rules), segments(1, &rules), segments(2, &rules));
    assert_eq!(first.len(), 2, "{first:?}");
    assert_eq!(first, again, "a call can be played again to the letter");
    let all: BTreeSet<_> = first.iter().chain(&second).collect();
    assert_eq!(all.len(), 4, "{all:?}");
    // Chance goes on within a call.
    let chance = |id: &SegmentId| id.to_string().chars().rev().take(12).collect::<String>();
    assert_ne!(chance(&first[0]), chance(&first[1]));
}
