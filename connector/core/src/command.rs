//! All that a call can ask for. A step returns these; the shell carries them out and answers with events.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{OrderNo, SegmentId};
use crate::journal::Entry;
use crate::ports::{Ballot, CallRecord};
use crate::segment::{Closing, Deadlines, Segment};

/// What a call asks of the shell.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Write this into the journal. Nobody waits for it.
    Journal(Entry),
    /// The call, new or changed, for the index. Nobody waits for it.
    Index(CallRecord),
    /// Draw lots, count them and journal them in one transaction; comes back as `Drawn`.
    Draw(Vec<Ballot>),
    /// Make the segment and its journal entry durable; comes back as `Opened`. Only then a recorder starts.
    Open(Box<Segment>, Entry),
    /// Ask the PBX.
    Order(OrderNo, Order),
    /// The segment is over: keep it or erase it.
    Close(SegmentId, Closing, Entry),
    /// Fewer purposes remain for a segment that is closed (an objection, a private call); none: it is erased.
    Amend(SegmentId, Vec<String>, Deadlines, Entry),
    /// Tell people: a log line and a metric.
    Notify(Notice),
}

/// What a call asks of the PBX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Play this prompt to the customer in the hook. `Done` means that it began; `Played` tells how it ended.
    Announce(Media),
    /// Stop the prompt that plays.
    Silence,
    /// Push the dead-man timer out: without a beat the PBX takes the caller on without us.
    Beat,
    /// Leave with the customer's leg, in the hook, what the dialplan plays to him as a contract talk begins, and the key
    /// by which he objects while it plays.
    Prepare {
        /// The sound.
        step: Media,
        /// The key, where he has one.
        object: Option<String>,
    },
    /// Give the call back to the dialplan, with these variables set on the customer's channel.
    Release(Release),
    /// Start the PBX's own recorder on the customer's leg, both sides apart, into the segment's two files.
    Record(SegmentId),
    /// Stop every recorder on the customer's leg. `Done` when the PBX has said that none runs.
    Stop,
    /// End the call.
    HangUp,
}

/// How a call leaves the hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// The call goes on.
    Admitted,
    /// A mandatory line must not go on unrecorded: the dialplan decides, as shipped it hangs up.
    Refused,
    /// The call ends.
    HangUp,
}

/// A prompt as the PBX plays it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// The name or absolute path without its ending, as the PBX wants it.
    pub name: String,
    /// The length of the file: less played is not heard.
    pub length: Duration,
    /// Language in which the PBX looks for it.
    pub language: String,
}

/// What the PBX said to an order that it carried out.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Reply {
    /// How many recorders a `Stop` found running: more than one means a foreign one.
    pub stopped: u32,
}

/// Why an order failed. Callers act differently on each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// The channel is no longer there: nothing to do.
    #[error("the channel is gone")]
    Gone,
    /// The PBX said no.
    #[error("refused by the PBX: {0}")]
    Refused(String),
    /// The order never left: safe to send again.
    #[error("not sent: no link to the PBX")]
    Unsent,
    /// Sent, and no answer: it may have happened. The dangerous one.
    #[error("sent, but not answered")]
    Unknown,
}

/// What people must be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "alarm")]
pub enum Notice {
    /// A recorder that is not ours ran on a call and was stopped.
    ForeignRecorder,
    /// A stop is not confirmed; it is ordered again.
    StopNotConfirmed,
    /// A recording that was allowed could not start.
    NotStarted {
        /// Why.
        why: String,
    },
    /// The announcement could not be played to its end.
    NotAnnounced,
    /// A new policy or configuration is broken; the old one stays in force.
    ReloadRefused {
        /// How many faults it has.
        faults: usize,
    },
    /// A mandatory line was refused or goes on unwatched.
    Mandatory {
        /// Why.
        why: String,
    },
}

/// When audio began and ended, by the PBX's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First instant.
    pub from: Timestamp,
    /// Exclusive end.
    pub until: Timestamp,
}

/// Variables of a channel, for the dialplan.
pub type Variables = BTreeMap<String, String>;
