//! What a session orders: how it is told, and what the PBX, the disk and the index answer.

use std::fmt::Write as _;

use jiff::Timestamp;
use temoin_core::command::{Command, DriverError, Order, Reply};
use temoin_core::event::CallEvent;
use temoin_core::id::SegmentId;
use temoin_core::journal::What;
use temoin_core::ports::{Drawn, SegmentRecord, StoreError};
use temoin_core::segment::{Closing, Segment, State};

use crate::{Pbx, Stage};

impl Stage {
    pub(super) fn perform(&mut self, commands: Vec<Command>) {
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
                    let private = if record.private { ", private" } else { "" };
                    format!("index: {} with [{}]{private}", record.outcome, record.agents.join(", "))
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
                    match (self.locked, self.slow) {
                        (true, _) => {
                            let error = StoreError::Unavailable("locked".into());
                            answers.push(CallEvent::NotOpened(segment.id, error));
                        }
                        (false, true) => self.unwritten.push(segment.id),
                        (false, false) => answers.push(CallEvent::Opened(segment.id)),
                    }
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
