//! From Asterisk's words to a closed set of signs. Pure; unknown events are none of our business and give `None`.
//!
//! Two sources, one set each: [`ami::read`] gives a [`Sign`] (who is where), [`ari::read`] a [`HookSign`] (what
//! happens in the hook). A channel is its `Uniqueid`; names change when channels are masqueraded, and carry dialled
//! numbers where they are Local channels, so they stay inside this crate.

pub mod ami;
pub mod ari;
pub mod status;

use std::time::Duration;

use jiff::Timestamp;
use temoin_core::command::Release;
use temoin_core::desk::Text;
use temoin_core::event::Playback;

/// A channel as one event shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// `Uniqueid`.
    pub id: String,
    /// `PJSIP/2001-0000002a`, as of now.
    pub name: String,
    /// The variable `TEMOIN_AGENT`: `None` where the event does not carry it, empty where it is not set.
    pub agent: Option<String>,
}

/// A bridge as one event shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// `BridgeUniqueid`.
    pub id: String,
    /// A holding bridge: its members do not hear each other (parking, waiting rooms).
    pub holding: bool,
}

/// What AMI tells about channels and bridges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `BridgeEnter`.
    Entered {
        /// Who.
        channel: Channel,
        /// Which bridge.
        bridge: Bridge,
        /// The channel whose place it takes, which may be told as left before or after.
        swap: Option<String>,
    },
    /// `BridgeLeave`.
    Left {
        /// Who.
        channel: Channel,
        /// Which bridge.
        bridge: Bridge,
    },
    /// `BridgeMerge`: members are about to be moved, one by one.
    Merged {
        /// Into this bridge.
        to: String,
        /// Out of that one.
        from: String,
    },
    /// `Hold`, told of the channel that holds.
    Hold(Channel),
    /// `Unhold`; comes also 1-3 ms before a transfer.
    Unhold(Channel),
    /// `BlindTransfer` or `AttendedTransfer` that succeeded: these are leaving.
    Transfer {
        /// The channels of the one who transfers.
        leaving: Vec<Channel>,
        /// The one who is transferred, where told.
        transferee: Option<Channel>,
    },
    /// `LocalOptimizationBegin`: one of two Local halves will be replaced by the channel behind the other.
    OptimizationBegan {
        /// The two halves.
        halves: [Channel; 2],
    },
    /// `LocalOptimizationEnd`.
    OptimizationEnded {
        /// The two halves.
        halves: [Channel; 2],
    },
    /// `ChanSpyStart`.
    SpyBegan {
        /// Who listens.
        spyer: Channel,
        /// To whom.
        spyee: Channel,
    },
    /// `ChanSpyStop`. Says only who listened.
    SpyEnded {
        /// Who listened.
        spyer: Channel,
    },
    /// `MixMonitorStart`.
    RecorderStarted(Channel),
    /// `MixMonitorStop`; never comes at a hang-up.
    RecorderStopped(Channel),
    /// `Newchannel`, `Rename`, and whatever else only shows a channel.
    Seen(Channel),
    /// `Hangup`.
    HungUp(Channel),
    /// `UserEvent: TemoinExempt`: an exempt extension is about to ring, and the dialplan has stopped the recorder.
    ExemptRings {
        /// The channel that dials.
        on: Channel,
        /// The name of the customer's channel.
        customer: Option<String>,
    },
    /// `UserEvent: TemoinStep`: the dialplan tells the customer that a contract talk begins.
    Step {
        /// The channel that the dialplan runs on.
        on: Channel,
        /// The name of the customer's channel.
        customer: Option<String>,
        /// How far it is.
        stage: StepStage,
    },
    /// `UserEvent: TemoinAnswer`: a customer who was called has answered; the dialplan asks him.
    Answered {
        /// His channel.
        channel: Channel,
        /// The line.
        line: String,
        /// The number that was dialled.
        number: Option<String>,
        /// His language.
        language: Option<String>,
        /// The queue.
        queue: Option<String>,
        /// The ticket of the briefing.
        ticket: String,
    },
    /// `UserEvent: TemoinSaid`, `TemoinMachine`, `TemoinAsked` and `TemoinPressed`: how the asking goes.
    Asking {
        /// The customer's channel.
        channel: Channel,
        /// What.
        what: Asking,
    },
    /// `UserEvent: TemoinCode`: a code was pressed, and the dialplan has stopped the recorder.
    Code(Code),
}

/// How far the dialplan is in telling the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepStage {
    /// It begins.
    Begins,
    /// It ended so.
    Ended(Playback),
}

/// A step of the asking, as the dialplan tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Something was said.
    Said {
        /// What.
        text: Text,
        /// How it ended.
        outcome: Playback,
        /// How long it played.
        played: Duration,
    },
    /// One key.
    Pressed(String),
    /// A machine has answered.
    Machine,
    /// It is over.
    Over(Release),
}

/// A code as the dialplan tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// `*9`.
    pub code: String,
    /// The channel that the dialplan ran on.
    pub on: Channel,
    /// The name of a channel on the presser's side: his own, a Local half before him, or the customer's.
    pub presser: Option<String>,
    /// The name of the customer's channel.
    pub customer: Option<String>,
    /// Whose code it is, where the dialplan says so.
    pub by: Option<By>,
    /// When it was pressed, by the dialplan's clock.
    pub at: Option<Timestamp>,
}

/// Whose code it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// An agent's.
    Agent,
    /// The customer's.
    Customer,
}

/// What ARI tells about a channel in the hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookSign {
    /// `StasisStart`.
    Entered {
        /// Who.
        channel: Channel,
        /// The arguments of `Stasis()`.
        args: Vec<String>,
        /// The caller's number.
        number: Option<String>,
        /// The channel's language.
        language: Option<String>,
        /// The variable `TEMOIN_QUEUE`.
        queue: Option<String>,
    },
    /// `PlaybackStarted`.
    PlaybackStarted {
        /// The playback's id, which is ours.
        id: String,
    },
    /// `PlaybackFinished`.
    PlaybackFinished {
        /// The playback's id, which is ours.
        id: String,
        /// State `failed`; `done` says nothing about how.
        failed: bool,
    },
    /// `ChannelDtmfReceived`.
    Digit {
        /// Whose channel.
        id: String,
        /// One of `0-9*#A-D`.
        digit: String,
    },
    /// `StasisEnd`: the channel has left the hook.
    Left {
        /// Which channel.
        id: String,
    },
    /// `ChannelDestroyed`.
    Destroyed {
        /// Which channel.
        id: String,
    },
}
