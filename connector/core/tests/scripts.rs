//! Whole calls as stories: `scripts/*.txt` says what happens, and below each line stands what the session does about
//! it. Lines that begin with a time or a condition are read; lines that begin with `  ` are what came of it, compared to
//! the letter. `UPDATE_SCRIPTS=1 cargo test -p temoin-core --test scripts` writes them anew: read the difference.

#[path = "laws/cast.rs"]
#[allow(dead_code)]
mod cast;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use jiff::{SignedDuration, Timestamp};
use temoin_core::command::{Command, DriverError, Order, Release, Reply};
use temoin_core::event::{Arrival, CallEvent, Dialling, Party, Playback, Role};
use temoin_core::id::{CallId, LegId, OrderNo, SegmentId};
use temoin_core::journal::What;
use temoin_core::pack;
use temoin_core::policy::Policy;
use temoin_core::ports::{CallRecord, Drawn, SegmentRecord, StoreError};
use temoin_core::segment::{Closing, Segment, State};
use temoin_core::session::{self, DrawKey, Rules, Session};
use temoin_core::words::Direction;

struct Stage {
    rules: Arc<Rules>,
    session: Option<Session>,
    now: Timestamp,
    start: Timestamp,
    playing: Option<OrderNo>,
    selected: bool,
    /// Whether the index can draw.
    lots: bool,
    locked: bool,
    /// How late timers wake on a busy machine.
    late: SignedDuration,
    pbx: Pbx,
    /// Orders that the PBX has not answered yet.
    unanswered: Vec<OrderNo>,
    segments: Vec<SegmentRecord>,
    record: Option<CallRecord>,
    said: String,
    /// A proof is asked for, and the journal is locked.
    unproven: bool,
    /// The line and the ticket.
    dialled: Option<(String, String)>,
}

#[derive(PartialEq)]
enum Pbx {
    Answers,
    Silent,
    Refuses,
    Gone,
}

impl Stage {
    fn new() -> Self {
        // Reading it takes longer than any of the stories.
        static POLICY: LazyLock<Policy> = LazyLock::new(|| {
            let site = include_str!("scripts/site.toml");
            let own = [("talk.toml", include_str!("scripts/talk.toml"))];
            let packs: Vec<_> = pack::shipped().iter().copied().chain(own).collect();
            Policy::load(("scripts/site.toml", site), &packs).expect("a readable site")
        });
        let start: Timestamp = "2026-10-06T09:00:00Z".parse().expect("an instant");
        Self {
            rules: Arc::new(Rules { policy: POLICY.clone(), desk: cast::desk(), key: DrawKey([7; 32]) }),
            session: None,
            now: start,
            start,
            playing: None,
            selected: true,
            lots: true,
            locked: false,
            late: SignedDuration::ZERO,
            pbx: Pbx::Answers,
            unanswered: Vec::new(),
            segments: Vec::new(),
            record: None,
            said: String::new(),
            unproven: false,
            dialled: None,
        }
    }

    fn line(&mut self, line: &str) {
        match line {
            "the lot falls on this call" => return self.selected = true,
            "the lot does not fall on this call" => return self.selected = false,
            "the journal is locked" => return self.locked = true,
            "the journal is free" => return self.free(),
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
            ["the", "link", "is", "back"] => CallEvent::LinkBack,
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

    fn time_of(&self, line: &str) -> Option<Timestamp> {
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

    /// Lets the timers wake that are due before.
    fn until(&mut self, at: Timestamp) {
        let due = |stage: &Self| Some(stage.session.as_ref()?.wake_at()? + stage.late);
        for woken in 0.. {
            let Some(wake) = due(self).filter(|wake| *wake <= at) else { break };
            assert!(woken < 1000, "the timers never rest:\n{}", self.said);
            // Never twice at one instant.
            self.now = wake.max(self.now + SignedDuration::from_millis(1));
            if self.now > at {
                break;
            }
            self.step(CallEvent::Woken);
        }
        self.now = at;
    }

    fn step(&mut self, event: CallEvent) {
        let session = self.session.as_mut().expect("the customer has arrived");
        let commands = session.step(self.now, event);
        self.perform(commands);
    }

    fn perform(&mut self, commands: Vec<Command>) {
        let mut answers = Vec::new();
        for command in commands {
            if let Command::Close(_, Closing { kept, retention, .. }, _)
            | Command::Amend(_, kept, retention, _) = &command
            {
                assert_eq!(retention.delete_by.is_some(), !kept.is_empty(), "what is kept has an end");
            }
            let text = match command {
                Command::Journal(entry) => format!("journal: {}", words(&entry.what)),
                Command::Index(record) => {
                    self.record = Some(record.clone());
                    format!("index: {} with [{}]", record.outcome, record.agents.join(", "))
                }
                Command::Prove => {
                    self.unproven = self.locked;
                    if !self.locked {
                        answers.push(CallEvent::Proven);
                    }
                    "prove that the journal can be written".to_owned()
                }
                Command::Draw(ballots) => {
                    let text =
                        ballots.iter().map(|b| format!("{} at {} for {}", b.campaign, b.rate, b.stratum));
                    let text = format!("draw: {}", text.collect::<Vec<_>>().join(", "));
                    let drawn = ballots.into_iter().map(|ballot| Drawn {
                        ballot,
                        before: Default::default(),
                        selected: self.selected,
                    });
                    answers.push(match self.lots {
                        true => CallEvent::Drawn(drawn.collect()),
                        false => CallEvent::NotDrawn(StoreError::Unavailable("locked".into())),
                    });
                    text
                }
                Command::Open(segment, _) => {
                    self.segments.push(row(&segment));
                    answers.push(if self.locked {
                        CallEvent::NotOpened(segment.id, StoreError::Unavailable("locked".into()))
                    } else {
                        CallEvent::Opened(segment.id)
                    });
                    let late = match segment.since == segment.opened {
                        true => String::new(),
                        false => format!(" since {}", self.time(segment.since)),
                    };
                    let number = self.segments.len();
                    format!("open: segment {number} for {}{late}", segment.purposes.join(", "))
                }
                Command::Close(id, closing, _) => format!(
                    "close: segment {}, {:?}, {}{}, keeps [{}]",
                    self.number(id),
                    closing.ending,
                    closing.from.map_or_else(
                        || "never recorded".to_owned(),
                        |from| format!("{} to {}", self.time(from), self.time(closing.until))
                    ),
                    if closing.cut_tail { " less its tail" } else { "" },
                    closing.kept.join(", ")
                ),
                Command::Amend(id, kept, ..) => {
                    format!("amend: segment {} keeps [{}]", self.number(id), kept.join(", "))
                }
                Command::Notify(notice) => format!("ALARM: {notice:?}"),
                Command::Order(number, order) => {
                    let text = match &order {
                        Order::Announce(media) => {
                            self.playing = Some(number);
                            format!("play {}", media.name.rsplit('/').next().unwrap_or_default())
                        }
                        Order::Record(id) => format!("record segment {}", self.number(*id)),
                        Order::Prepare { step, object } => format!(
                            "leave with the leg: {}, stopped by {}",
                            step.name.rsplit('/').next().unwrap_or_default(),
                            object.as_deref().unwrap_or("nothing")
                        ),
                        Order::Release(how) => format!("release: {how:?}"),
                        Order::Beat | Order::Silence | Order::Brief(_) | Order::Stop | Order::HangUp => {
                            format!("{order:?}").to_lowercase()
                        }
                    };
                    match self.pbx {
                        Pbx::Answers => {
                            answers.push(CallEvent::Done { order: number, reply: Reply::default() })
                        }
                        Pbx::Silent => self.unanswered.push(number),
                        Pbx::Refuses => answers.push(CallEvent::Failed {
                            order: number,
                            error: DriverError::Refused("busy".into()),
                        }),
                        Pbx::Gone => {
                            answers.push(CallEvent::Failed { order: number, error: DriverError::Gone })
                        }
                    }
                    // One every 1.3 s in the hook: they would drown the story.
                    if order == Order::Beat {
                        continue;
                    }
                    format!("PBX: {text}")
                }
            };
            let time = self.time(self.now);
            let _ = writeln!(self.said, "  {time} {text}");
        }
        answers.into_iter().for_each(|answer| self.step(answer));
    }

    fn number(&self, id: SegmentId) -> usize {
        self.segments.iter().position(|known| known.segment.id == id).map_or(0, |at| at + 1)
    }

    fn time(&self, at: Timestamp) -> String {
        let millis = at.duration_since(self.start).as_millis();
        format!("{}.{:03}", millis / 1000, millis % 1000)
    }
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

/// `amel`, `amel-on-hold`, `amel-listening`, `amel=4100` (her channel, at another extension); `lea` is another call's
/// customer.
fn party(who: &str) -> Party {
    let (who, held) = who.strip_suffix("-on-hold").map_or((who, false), |who| (who, true));
    let (who, listens) = who.strip_suffix("-listening").map_or((who, false), |who| (who, true));
    let (who, at) = who.split_once('=').map_or((who, None), |(who, at)| (who, Some(at)));
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
        agent: None,
        customer_of: (who == "lea").then(|| CallId(leg(who))),
        role: if listens { Role::Listener } else { Role::Member },
        held,
    }
}

fn row(segment: &Segment) -> SegmentRecord {
    SegmentRecord {
        segment: segment.clone(),
        state: State::Open,
        closing: None,
        kept_for: segment.purposes.clone(),
        retention: segment.retention,
        millis: None,
        sha256: None,
        sealed: None,
        flags: Vec::new(),
        disposed: None,
    }
}

fn words(what: &What) -> String {
    let json = serde_json::to_value(what).expect("JSON");
    let mut text = json["what"].as_str().unwrap_or_default().to_owned();
    for (key, value) in json.as_object().into_iter().flatten() {
        // Hashes and instants change with the packs; the lines around tell the rest.
        if !["what", "policy", "config", "until", "since"].contains(&key.as_str()) {
            let _ = write!(text, " {key}={value}");
        }
    }
    text
}

fn play(text: &str) -> String {
    let mut stage = Stage::new();
    for line in text.lines() {
        if line.starts_with("  ") {
            continue;
        }
        // What the timers did before stands before.
        if let Some(at) = stage.time_of(line) {
            stage.until(at);
        }
        let _ = writeln!(stage.said, "{line}");
        if !line.is_empty() && !line.starts_with('#') {
            stage.line(line);
        }
    }
    stage.said
}

#[test]
fn calls_go_as_they_are_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut scripts: Vec<_> =
        std::fs::read_dir(&folder).expect("scripts").map(|entry| entry.expect("a script").path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    scripts.sort();
    assert!(scripts.len() >= 42, "only {} scripts", scripts.len());
    let mut wrong = Vec::new();
    for path in scripts {
        let wanted = std::fs::read_to_string(&path).expect("a readable script");
        let got = play(&wanted);
        if got == wanted {
            continue;
        }
        if std::env::var_os("UPDATE_SCRIPTS").is_some() {
            std::fs::write(&path, got).expect("a writable script");
        } else {
            let differs = wanted.lines().zip(got.lines()).position(|(a, b)| a != b).unwrap_or_default();
            let line = |text: &str| text.lines().nth(differs).unwrap_or("(nothing)").to_owned();
            wrong.push(format!(
                "{}:{}\n  expected {}\n  got      {}",
                path.display(),
                differs + 1,
                line(&wanted),
                line(&got)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
