//! Calls on a real PBX that stand in files, and the one runner that plays and judges them.
//!
//! A [`Scenario`] is a TOML file: who takes part, a script in plain sentences ([`GRAMMAR`]), and what must come of each
//! call, written by hand: what the customer heard, how it ended, what the index and the journal say, what is in the
//! audio that the real `temoin play` writes out. A [`Suite`] plays many of them, the sidecar a child process started as
//! systemd would. Every wait is for a condition, with a limit. Nothing is tried twice, but for what failed while the machine itself
//! stood still, which proves nothing: it is told as void, and played again on a new bench.
//!
//! For every bench, whatever was played: the spool ends empty, every file that was ever in it belongs to a segment of the
//! index (or there never was one), `temoin verify` finds nothing, and nobody's number is in the log.
//!
//! Left out: judging by ear what is speech (phones speak tones; prompts are compared with their files).

mod bench;
mod file;
mod judge;
mod sidecar;
mod site;
mod sound;
mod spool;
mod stage;
mod step;
mod still;
mod suite;
mod tones;
mod wall;

pub use file::{Bench, Cast, Expected, Instant, PromptHeard, Scenario, ScenarioError, SegmentExpected};
pub use judge::CallSeen;
pub use sidecar::{Child, Cli, Sidecar};
pub use site::{Machine, Prompts, Site, TEXTS};
pub use step::{Act, Condition, Does, Fate, GRAMMAR, Link, Room, Step, Trouble};
pub use suite::{Report, Standing, Suite};
pub use wall::Clocks;
