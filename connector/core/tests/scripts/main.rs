//! Whole calls as stories: `scripts/*.txt` says what happens, and below each line stands what the session does about
//! it. Lines that begin with a time or a condition are read; lines that begin with `  ` are what came of it, compared to
//! the letter. `UPDATE_SCRIPTS=1 cargo test -p temoin-core --test scripts` writes them anew: read the difference.

#[path = "../laws/cast.rs"]
#[allow(dead_code)]
mod cast;
mod perform;
mod read;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use jiff::{SignedDuration, Timestamp};
use temoin_core::event::CallEvent;
use temoin_core::id::{OrderNo, SegmentId};
use temoin_core::pack;
use temoin_core::policy::Policy;
use temoin_core::ports::{CallRecord, SegmentRecord};
use temoin_core::session::{DrawKey, Rules, Session};

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
    /// The disk answers when it is fast again.
    slow: bool,
    /// Segments that a slow disk has not written yet.
    unwritten: Vec<SegmentId>,
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
            let site = include_str!("site.toml");
            let own = [("talk.toml", include_str!("talk.toml"))];
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
            slow: false,
            unwritten: Vec::new(),
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
