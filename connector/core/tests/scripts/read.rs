//! What a line of a story means.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use temoin_core::command::{DriverError, Release, Reply};
use temoin_core::event::{Arrival, CallEvent, Dialling, Party, Playback, Role};
use temoin_core::id::{CallId, LegId};
use temoin_core::session::{self, Session};
use temoin_core::words::Direction;

use crate::{Pbx, Stage};

impl Stage {
    pub(super) fn line(&mut self, line: &str) {
        match line {
            "the lot falls on this call" => return self.selected = true,
            "the lot does not fall on this call" => return self.selected = false,
            "the journal is locked" => return self.locked = true,
            "the journal is free" => return self.free(),
            "the disk is slow" => return self.slow = true,
            "the disk is fast again" => return self.hurry(),
            "timers wake a second late" => return self.late = SignedDuration::from_secs(1),
            "the pbx answers" => return self.pbx = Pbx::Answers,
            "the pbx does not answer" => return self.pbx = Pbx::Silent,
            "the pbx refuses orders" => return self.pbx = Pbx::Refuses,
            "the channel is gone" => return self.pbx = Pbx::Gone,
            "no lot can be drawn" => return self.lots = false,
            "lots can be drawn" => return self.lots = true,
            "there are no sounds" => {
                let rules = Arc::get_mut(&mut self.rules).expect("no call has begun");
                return rules.desk.sounds.clear();
            }
            _ => {}
        }
        let (_, what) = line.split_once(' ').unwrap_or_else(|| panic!("cannot read `{line}`"));
        assert!(self.time_of(line).is_some(), "`{line}` begins with no time");
        let at = self.now;
        let words: Vec<&str> = what.split(' ').collect();
        let event = match words.as_slice() {
            ["the", "customer", "arrives", "on", line] => return self.arrive(line),
            ["an", "agent", "dials", "on", line] => return self.dial(line, "2001"),
            ["a", "delegate", "dials", "on", line] => return self.dial(line, "4100"),
            ["the", "customer", "answers"] => return self.answer(None),
            ["the", "customer", "answers,", "briefed", "by", ticket] => {
                return self.answer(Some((*ticket).to_owned()));
            }
            ["the", "pbx", "says", text, how, "in", seconds] => CallEvent::Said {
                text: serde_json::from_value((*text).into()).expect("a text"),
                outcome: match *how {
                    "whole" => Playback::Heard,
                    "cut" => Playback::Cut,
                    _ => Playback::Failed,
                },
                played: std::time::Duration::from_secs_f64(seconds.parse().expect("seconds")),
                at,
            },
            ["a", "machine", "answers"] => CallEvent::Machine { at },
            ["the", "asking", "is", "over"] => CallEvent::Asked { how: Release::Admitted, at },
            ["the", "asking", "is", "over:", "refused"] => CallEvent::Asked { how: Release::Refused, at },
            ["the", "customer", "comes", "back"] => CallEvent::Returned { at },
            ["he", "came", "back", "at", time] => CallEvent::Returned { at: self.seconds(time) },
            ["the", "sidecar", "starts", "again"] => return self.start_again(),
            ["the", "oldest", "answer", "comes"] => {
                CallEvent::Done { order: self.unanswered.remove(0), reply: Reply::default() }
            }
            ["it", "is", "told", "that", who, "pressed", keys, "at", time] => {
                pressed(&leg(who), keys, self.seconds(time))
            }
            ["an", "exempt", "extension", "rings"] => CallEvent::ExemptRings { at },
            ["it", "is", "told", "that", "an", "exempt", "extension", "rang", "at", time] => {
                CallEvent::ExemptRings { at: self.seconds(time) }
            }
            ["the", "step", "begins"] => CallEvent::StepBegan { at },
            ["the", "step", how] => CallEvent::StepEnded { outcome: outcome(how), at },
            ["the", "recorder", "started"] => CallEvent::RecorderStarted { at },
            ["the", "recorder", "stopped"] => CallEvent::RecorderStopped { at },
            ["it", "is", "told", "that", "the", "recorder", "stopped", "at", time] => {
                CallEvent::RecorderStopped { at: self.seconds(time) }
            }
            ["the", "prompt", how] => {
                let order = self.playing.take().expect("a prompt plays");
                CallEvent::Played { order, outcome: outcome(how), at }
            }
            ["the", "oldest", "order", "is", "refused"] => {
                self.oldest_fails(DriverError::Refused("busy".into()))
            }
            ["nobody", "knows", "of", "the", "oldest", "order"] => self.oldest_fails(DriverError::Unknown),
            ["the", "oldest", "answer", "comes:", stopped, "stopped"] => CallEvent::Done {
                order: self.unanswered.remove(0),
                reply: Reply { stopped: stopped.parse().expect("a number") },
            },
            ["it", "is", "told", "that", "the", "step", "began", "at", time] => {
                CallEvent::StepBegan { at: self.seconds(time) }
            }
            ["the", "customer", "presses", keys] => pressed("c", keys, at),
            ["somebody", "presses", keys] => CallEvent::Pressed { leg: None, keys: (*keys).into(), at },
            [who, "presses", keys] => pressed(&leg(who), keys, at),
            ["connected", "with", who @ ..] => {
                CallEvent::Parties { parties: who.iter().map(|who| party(who)).collect(), at }
            }
            ["apart"] => CallEvent::Parties { parties: Vec::new(), at },
            ["the", "link", "is", "lost"] => CallEvent::LinkLost { since: at },
            ["it", "is", "told", "that", "the", "link", "is", "lost", "since", time] => {
                CallEvent::LinkLost { since: self.seconds(time) }
            }
            ["the", "link", "is", "back"] => CallEvent::LinkBack,
            ["the", "clock", "is", "set", "by", seconds] => return self.set_clock(seconds),
            ["a", "disk", "has", "little", "room"] => room(true, false),
            ["a", "disk", "is", "full"] => room(true, true),
            ["there", "is", "room"] => room(false, false),
            ["noted", keys @ ..] => {
                let notes: Vec<String> = keys.iter().map(|keys| self.note(keys)).collect();
                CallEvent::Noted { keys: Some(notes.join(" ")) }
            }
            ["the", "notes", "cannot", "be", "read"] => CallEvent::Noted { keys: None },
            ["a", "foreign", "recorder", "starts"] => CallEvent::RecorderStarted { at },
            ["the", "customer", "hangs", "up"] => CallEvent::Ended { at },
            ["time", "passes"] => return,
            _ => panic!("cannot read `{line}`"),
        };
        self.step(event);
    }

    /// From now on the times of the story are those of the new clock.
    fn set_clock(&mut self, seconds: &str) {
        let by = self.seconds(seconds).duration_since(self.start);
        self.now += by;
        self.step(CallEvent::ClockSet { by });
    }

    pub(super) fn time_of(&self, line: &str) -> Option<Timestamp> {
        let time = line.split_once(' ')?.0;
        time.parse::<f64>().ok()?;
        Some(self.seconds(time))
    }

    fn seconds(&self, text: &str) -> Timestamp {
        let millis = (text.parse::<f64>().expect("seconds") * 1000.0).round() as i64;
        self.start + SignedDuration::from_millis(millis)
    }

    /// `*9@5.000` with the time of the script → as the dialplan notes it.
    fn note(&self, text: &str) -> String {
        let (code, at) = text.split_once('@').expect("code@seconds");
        let at = self.seconds(at);
        format!("{code}@{}.{:03}", at.as_second(), at.subsec_millisecond())
    }

    fn arrive(&mut self, line: &str) {
        let arrival = Arrival {
            call: CallId("c".into()),
            leg: LegId("c".into()),
            line: line.into(),
            direction: Direction::Inbound,
            queue: None,
            language: Some("fr".into()),
            number: Some("+33199000123".into()),
            briefed: None,
            at: self.now,
        };
        let (session, commands) = Session::begin(self.now, arrival, Arc::clone(&self.rules), [1; 32]);
        self.session = Some(session);
        self.perform(commands);
    }

    fn oldest_fails(&mut self, error: DriverError) -> CallEvent {
        CallEvent::Failed { order: self.unanswered.remove(0), error }
    }

    /// What waited for the journal is written.
    fn free(&mut self) {
        self.locked = false;
        if std::mem::take(&mut self.unproven) {
            self.step(CallEvent::Proven);
        }
    }

    /// What the disk was slow with is written.
    fn hurry(&mut self) {
        self.slow = false;
        for id in std::mem::take(&mut self.unwritten) {
            self.step(CallEvent::Opened(id));
        }
    }

    /// What the PBX is told before it dials.
    fn dial(&mut self, line: &str, extension: &str) {
        let dialling = Dialling {
            leg: LegId("a".into()),
            extension: Some(extension.into()),
            line: line.into(),
            number: Some("+33199000123".into()),
            queue: None,
            language: Some("fr".into()),
            at: self.now,
        };
        let briefing = session::brief(&dialling, &self.rules);
        let said = briefing.announcement.as_ref().map(|(text, _)| *text);
        let outcomes = briefing.outcomes;
        let _ = writeln!(
            self.said,
            "  briefed: {:?}, says {said:?}, object {:?}, accept {:?}, info {:?}, waits {:?}",
            briefing.how, briefing.object, briefing.accept, briefing.info_key, briefing.wait
        );
        let _ = writeln!(
            self.said,
            "  then: accepted {}, silent {}, objected {}, unheard {}",
            outcomes.accepted, outcomes.silent, outcomes.objected, outcomes.unheard
        );
        self.dialled = Some((line.to_owned(), briefing.ticket));
    }

    fn answer(&mut self, other: Option<String>) {
        let (line, ticket) = self.dialled.clone().expect("somebody has dialled");
        let arrival = Arrival {
            call: CallId("c".into()),
            leg: LegId("c".into()),
            line,
            direction: Direction::Outbound,
            queue: None,
            language: Some("fr".into()),
            number: Some("+33199000123".into()),
            briefed: Some(other.unwrap_or(ticket)),
            at: self.now,
        };
        let (session, commands) = Session::begin(self.now, arrival, Arc::clone(&self.rules), [1; 32]);
        self.session = Some(session);
        self.perform(commands);
    }

    /// Only the PBX and the index remember; the new session knows nothing.
    fn start_again(&mut self) {
        let record = self.record.clone().expect("the call is in the index");
        let rules = Arc::clone(&self.rules);
        let leg = LegId("c".into());
        self.unanswered.clear();
        let (session, commands) = Session::adopt(self.now, record, leg, &self.segments, rules, [2; 32]);
        self.session = Some(session);
        self.perform(commands);
    }
}

fn room(lacks: bool, full: bool) -> CallEvent {
    CallEvent::Room { lacks: lacks.then(|| "the spool".into()), full }
}

fn outcome(how: &str) -> Playback {
    match how {
        "is-heard" => Playback::Heard,
        "is-cut" => Playback::Cut,
        "fails" => Playback::Failed,
        _ => panic!("cannot read `{how}`"),
    }
}

fn pressed(leg: &str, keys: &str, at: Timestamp) -> CallEvent {
    CallEvent::Pressed { leg: Some(LegId(leg.into())), keys: keys.into(), at }
}

fn leg(who: &str) -> String {
    format!("{who}-1")
}

/// `amel`, `amel-on-hold`, `amel-listening`, `amel=4100` (her channel, at another extension), `amel:bruno` (her channel,
/// at which he is logged in); `lea` is another call's customer.
fn party(who: &str) -> Party {
    let (who, held) = who.strip_suffix("-on-hold").map_or((who, false), |who| (who, true));
    let (who, listens) = who.strip_suffix("-listening").map_or((who, false), |who| (who, true));
    let (who, at) = who.split_once('=').map_or((who, None), |(who, at)| (who, Some(at)));
    let (who, agent) = who.split_once(':').map_or((who, None), |(who, agent)| (who, Some(agent)));
    let extension = at.unwrap_or_else(|| match who {
        "amel" => "2001",
        "bruno" => "2002",
        "delegate" => "4100",
        "a-stranger" => "2998",
        "stranger" => "2999",
        "lea" => "trunk",
        _ => panic!("who is {who}?"),
    });
    Party {
        leg: LegId(leg(who)),
        extension: Some(extension.into()),
        agent: agent.map(str::to_owned),
        customer_of: (who == "lea").then(|| CallId(leg(who))),
        role: if listens { Role::Listener } else { Role::Member },
        held,
    }
}
