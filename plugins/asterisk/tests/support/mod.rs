//! Plays signs into a topology as the driver does, and writes what is told in words.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod fake;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use temoin_asterisk::ami::frame::{Frame, Message, decode_all};
use temoin_asterisk::topology::Topology;
use temoin_asterisk::translate::{Channel, Sign};
use temoin_core::event::{CallEvent, Party, PbxEvent, Role};

/// A topology, and a clock that runs with the PBX's.
#[derive(Default)]
pub struct Player {
    pub topology: Topology,
    pub zero: Option<Timestamp>,
    pub now: Duration,
    /// From id to name.
    pub names: BTreeMap<String, String>,
    pub told: String,
    /// Whether more than one customer is followed, so that each line says which.
    pub many: bool,
}

impl Player {
    /// One sign, after whatever was due before it.
    pub fn play(&mut self, at: Timestamp, sign: &Sign) {
        let zero = *self.zero.get_or_insert(at);
        let now = Duration::try_from(at.duration_since(zero)).unwrap_or_default().max(self.now);
        self.until(now);
        self.now = now;
        let events = self.topology.apply(now, at, sign);
        self.write(events);
    }

    /// Lets time pass.
    pub fn until(&mut self, now: Duration) {
        while let Some(alarm) = self.topology.wake_at().filter(|alarm| *alarm <= now) {
            let at = self.zero.unwrap_or_default() + SignedDuration::try_from(alarm).unwrap();
            let events = self.topology.wake(alarm, at);
            self.write(events);
        }
        self.now = self.now.max(now);
    }

    pub fn name(&mut self, channel: &Channel) {
        self.names.insert(channel.id.clone(), channel.name.clone());
    }

    fn write(&mut self, events: Vec<PbxEvent>) {
        for event in events {
            let PbxEvent::Call(call, event) = event else { panic!("{event:?}") };
            let (at, what) = match event {
                CallEvent::Parties { parties, at } => (at, self.parties(&parties)),
                CallEvent::RecorderStarted { at } => (at, "recorder started".into()),
                CallEvent::RecorderStopped { at } => (at, "recorder stopped".into()),
                CallEvent::StepBegan { at } => (at, "step begins".into()),
                CallEvent::StepEnded { outcome, at } => (at, format!("step {outcome:?}")),
                CallEvent::Ended { at } => (at, "ended".into()),
                CallEvent::Pressed { leg, keys, at } => {
                    let leg = leg.map_or("somebody".into(), |leg| self.short(&leg.0));
                    (at, format!("pressed {keys} by {leg}"))
                }
                other => panic!("{other:?}"),
            };
            let millis = at.duration_since(self.zero.unwrap_or_default()).as_millis();
            let whose = if self.many { format!("{}: ", self.short(&call.0)) } else { String::new() };
            writeln!(self.told, "{}.{:03} {whose}{what}", millis / 1000, millis % 1000).unwrap();
        }
    }

    /// The parties in words, sorted.
    pub fn parties(&self, parties: &[Party]) -> String {
        let mut words: Vec<String> = parties
            .iter()
            .map(|party| {
                let listener = if party.role == Role::Listener { "listener " } else { "" };
                let who = match &party.customer_of {
                    Some(_) => format!("{} customer", self.short(&party.leg.0)),
                    None => party.extension.clone().unwrap_or("unknown".into()),
                };
                let agent = party.agent.as_ref().map(|agent| format!("={agent}")).unwrap_or_default();
                let held = if party.held { " held" } else { "" };
                format!("{listener}{who}{agent}{held}")
            })
            .collect();
        words.sort();
        if words.is_empty() { "nobody".into() } else { words.join(", ") }
    }

    fn short(&self, id: &str) -> String {
        let name = self.names.get(id).map_or(id, String::as_str);
        let name = name.strip_prefix("PJSIP/").unwrap_or(name);
        name.split_once("-0").map_or(name, |(endpoint, _)| endpoint).into()
    }
}

/// All messages of a transcript.
pub fn messages(bytes: &[u8]) -> Vec<Message> {
    let (frames, error) = decode_all(bytes, usize::MAX);
    assert!(error.is_none(), "{error:?}");
    frames
        .into_iter()
        .filter_map(|frame| match frame {
            Frame::Message(message) => Some(message),
            Frame::Banner(_) => None,
        })
        .collect()
}

/// The files of a folder of this crate's tests, sorted: name without ending, content.
pub fn files(folder: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}
