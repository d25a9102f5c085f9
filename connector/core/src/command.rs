//! All that a call can ask for. A step returns these; the shell carries them out and answers with events.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::desk::Text;
use crate::id::{OrderNo, SegmentId};
use crate::journal::Entry;
use crate::ports::{Ballot, CallRecord};
use crate::segment::{Closing, Deadlines, Segment};
use crate::words::Refusal;

/// What a call asks of the shell.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Write this into the journal. Nobody waits for it.
    Journal(Entry),
    /// Tell when everything written so far is durable; comes back as `Proven`. A call that must not go on unrecorded does
    /// not, where the journal cannot be written.
    Prove,
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
    /// Tell a leg that is about to dial a customer what he must hear and may press, and let it go on. Its call is the leg
    /// itself; the customer's begins when he answers.
    Brief(Box<Briefing>),
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

/// What the PBX must know before it dials a customer: it asks him by itself when he answers, before he is bridged,
/// whether we live by then or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Briefing {
    /// Whether the agent may dial at all.
    pub how: Release,
    /// Why, in one word, for the dialplan and the journal: `goes-on`, `do-not-call`.
    pub why: String,
    /// What will have been said, and by which text; told back when the customer answers. Letters, digits, `/` and `-`.
    pub ticket: String,
    /// What is played first, and what it says. Without it nothing is asked.
    pub announcement: Option<(Text, Media)>,
    /// The details, after the info key.
    pub info: Option<Media>,
    /// After an objection, where the call goes on.
    pub refused: Option<Media>,
    /// Where the call goes on, but other ways are named.
    pub alternative: Option<Media>,
    /// Where the call does not go on.
    pub unavailable: Option<Media>,
    /// What is played in the talk, as a contract talk begins.
    pub step: Option<Media>,
    /// One digit each.
    pub object: Option<String>,
    /// Counts only once the announcement was heard.
    pub accept: Option<String>,
    /// Asks for the details.
    pub info_key: Option<String>,
    /// How long a key is awaited after the announcement.
    pub wait: Duration,
    /// What becomes of the call.
    pub outcomes: Outcomes,
    /// Whether the PBX must find out first if a machine has answered.
    pub detect_machine: bool,
}

impl Briefing {
    /// The same where nothing can be asked: the customer hears nothing, and nothing of him is recorded.
    pub fn unasked(self) -> Self {
        let how = match self.how {
            Release::Admitted => release_of(self.outcomes.unheard),
            refused => refused,
        };
        Self {
            how,
            why: "cannot-be-asked".into(),
            ticket: "none".into(),
            announcement: None,
            info: None,
            refused: None,
            alternative: None,
            unavailable: None,
            object: None,
            accept: None,
            info_key: None,
            ..self
        }
    }
}

/// How a call goes on, by what the law says of the service.
pub fn release_of(service: Refusal) -> Release {
    match service {
        Refusal::Continue | Refusal::AlternativeChannel => Release::Admitted,
        Refusal::RefuseRegulatedService => Release::Refused,
        Refusal::TerminateCall => Release::HangUp,
    }
}

/// What becomes of a service, by what the customer heard and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcomes {
    /// He heard it, and said yes.
    pub accepted: Refusal,
    /// He heard it, and said nothing.
    pub silent: Refusal,
    /// He objected.
    pub objected: Refusal,
    /// He did not hear it.
    pub unheard: Refusal,
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
    /// The register could not be asked whether a number may be dialled; the line's mode decides.
    RegisterNotAsked {
        /// Why.
        why: String,
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
