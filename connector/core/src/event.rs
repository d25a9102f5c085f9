//! All that a PBX, a disk or a clock can tell a call. Closed: whoever adds a variant meets every `match`.
//!
//! Foreign shapes end before this file: a plugin's `translate` and `topology` turn its PBX's words into these.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::{DriverError, Release, Reply};
use crate::desk::Text;
use crate::id::{CallId, LegId, OrderNo, SegmentId};
use crate::ports::{Drawn, StoreError};
pub use crate::words::Direction;

/// A customer's leg that has reached the hook in the dialplan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The customer's channel; it names the call.
    pub call: CallId,
    /// The PBX's name of that channel, for logs of the plugin alone.
    pub leg: LegId,
    /// The line, as the dialplan names it.
    pub line: String,
    /// Which way the call goes.
    pub direction: Direction,
    /// The queue, where the dialplan said one.
    pub queue: Option<String>,
    /// The channel's language, as `fr` or `fr-BE`.
    pub language: Option<String>,
    /// The customer's number as the PBX has it; hostile until proven otherwise, personal always.
    pub number: Option<String>,
    /// Outbound: what the PBX was told to say to him, [`crate::command::Briefing::ticket`]. The PBX says it by itself.
    pub briefed: Option<String>,
    /// When the leg reached the hook.
    pub at: Timestamp,
}

/// An agent's leg that is about to dial a customer, and waits in the dialplan to be told what the customer must hear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialling {
    /// The leg that dials.
    pub leg: LegId,
    /// Its endpoint, as the PBX authenticated it; `None` where something else dials for somebody.
    pub extension: Option<String>,
    /// The line, as the dialplan names it.
    pub line: String,
    /// The number that is dialled; personal.
    pub number: Option<String>,
    /// The queue, where the dialplan said one.
    pub queue: Option<String>,
    /// The channel's language, as `fr` or `fr-BE`: in it the customer is spoken to.
    pub language: Option<String>,
    /// When the leg reached the hook.
    pub at: Timestamp,
}

/// One member of the bridge beside the customer, seen through whatever channels lie between.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Party {
    /// The channel of the real device.
    pub leg: LegId,
    /// The endpoint that the PBX authenticated (`2001`), never a caller id.
    pub extension: Option<String>,
    /// The agent, where the channel itself says so (hot desking).
    pub agent: Option<String>,
    /// Set when this leg is the customer of another call.
    pub customer_of: Option<CallId>,
    /// Whether he talks or only listens in.
    pub role: Role,
    /// On hold, or away on a consultation: in the bridge, but not to be counted on.
    pub held: bool,
}

/// How a party takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A member of the bridge.
    Member,
    /// Somebody who spies on a leg of the call; he counts as a party.
    Listener,
}

/// How a prompt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Playback {
    /// Played to its end, for at least the length of the file.
    Heard,
    /// Ended before its end.
    Cut,
    /// Could not be played, or failed on the way.
    Failed,
}

/// What happens in one call.
#[derive(Clone, Debug, PartialEq)]
pub enum CallEvent {
    /// The customer's leg came to the hook again (an IVR, then a queue).
    Returned {
        /// When.
        at: Timestamp,
    },
    /// A prompt ended.
    Played {
        /// The `Announce` that asked for it.
        order: OrderNo,
        /// How.
        outcome: Playback,
        /// When.
        at: Timestamp,
    },
    /// Outbound: the PBX itself has said something to the customer who answered, as it was briefed.
    Said {
        /// What.
        text: Text,
        /// How it ended, as far as the PBX tells.
        outcome: Playback,
        /// How long it played.
        played: Duration,
        /// When it ended.
        at: Timestamp,
    },
    /// Outbound: the PBX takes whoever answered for a machine.
    Machine {
        /// When.
        at: Timestamp,
    },
    /// Outbound: the customer has been asked, and is about to be bridged with the agent, or turned away.
    Asked {
        /// How he went on.
        how: Release,
        /// When.
        at: Timestamp,
    },
    /// Keys were pressed: one by the customer in the hook, or a whole code in the talk.
    Pressed {
        /// Whose channel; `None` where the PBX cannot tell: such a press only stops.
        leg: Option<LegId>,
        /// `1`, `*9`.
        keys: String,
        /// When. Two presses with the same leg, keys and instant are one.
        at: Timestamp,
    },
    /// The codes that the dialplan noted on the customer's leg, `*9@1795285695.182 …`, read after a gap; `None` where
    /// they cannot be read. Those that were heard are known; the others are applied before anything else.
    Noted {
        /// As noted.
        keys: Option<String>,
    },
    /// Who is connected with the customer now: always the whole set, so that a repeated one changes nothing.
    Parties {
        /// Everybody beside the customer. Empty: he is alone, on music, or between two bridges.
        parties: Vec<Party>,
        /// When.
        at: Timestamp,
    },
    /// A recorder on the customer's channel started.
    RecorderStarted {
        /// When, by the PBX's clock.
        at: Timestamp,
    },
    /// A recorder on the customer's channel stopped.
    RecorderStopped {
        /// When, by the PBX's clock.
        at: Timestamp,
    },
    /// An extension that must never be recorded is about to ring for this call; the dialplan has stopped the recorder.
    /// Holds until the parties change.
    ExemptRings {
        /// When, by the PBX's clock.
        at: Timestamp,
    },
    /// The dialplan has begun to tell the customer that a contract talk begins; the code that asked for it follows.
    /// Nothing is recorded until it has ended.
    StepBegan {
        /// When, by the PBX's clock.
        at: Timestamp,
    },
    /// It ended.
    StepEnded {
        /// How.
        outcome: Playback,
        /// When, by the PBX's clock.
        at: Timestamp,
    },
    /// The customer's leg is gone. The last word of a call.
    Ended {
        /// When.
        at: Timestamp,
    },
    /// The PBX's events are no longer heard; what happens now is unknown.
    LinkLost {
        /// The last certain moment.
        since: Timestamp,
    },
    /// Events are heard again; the state of the call follows as `Parties` or `Ended`.
    LinkBack,
    /// An order was carried out.
    Done {
        /// Which.
        order: OrderNo,
        /// What the PBX said.
        reply: Reply,
    },
    /// An order was not, or perhaps not, carried out.
    Failed {
        /// Which.
        order: OrderNo,
        /// Why.
        error: DriverError,
    },
    /// The journal and the open segment are durable: now the recorder may start.
    Opened(SegmentId),
    /// They are not: no journal, no recording.
    NotOpened(SegmentId, StoreError),
    /// What was written before `Prove` is durable.
    Proven,
    /// Whether there is room for what is recorded.
    Room {
        /// Which disk lacks it, in words; nothing: there is.
        lacks: Option<String>,
        /// None at all for the recorder: what it writes would have holes.
        full: bool,
    },
    /// The clock of this machine was set, forwards or (negative) back. What was told before was told by the old one.
    ClockSet {
        /// By so much.
        by: SignedDuration,
    },
    /// The draws, durable with their counters.
    Drawn(Vec<Drawn>),
    /// No draw could be made.
    NotDrawn(StoreError),
    /// The time that `wake_at` named has come.
    Woken,
}

impl CallEvent {
    /// When it happened, by the PBX's clock, where it tells.
    pub fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Returned { at }
            | Self::Played { at, .. }
            | Self::Said { at, .. }
            | Self::Machine { at }
            | Self::Asked { at, .. }
            | Self::Pressed { at, .. }
            | Self::Parties { at, .. }
            | Self::RecorderStarted { at }
            | Self::RecorderStopped { at }
            | Self::ExemptRings { at }
            | Self::StepBegan { at }
            | Self::StepEnded { at, .. }
            | Self::Ended { at } => Some(*at),
            _ => None,
        }
    }
}

/// What a PBX tells the sidecar.
#[derive(Clone, Debug, PartialEq)]
pub enum PbxEvent {
    /// A customer at the hook; outbound: one who has answered, and is being asked.
    Arrived(Arrival),
    /// Somebody is about to dial a customer. Answered by [`crate::command::Order::Brief`] on that leg.
    Dials(Dialling),
    /// Something in a call that is known, or was.
    Call(CallId, CallEvent),
    /// The link is up; `calls()` answers. Comes once at the start and after every gap.
    LinkUp,
    /// The link is down.
    LinkDown {
        /// The last certain moment.
        since: Timestamp,
    },
}
