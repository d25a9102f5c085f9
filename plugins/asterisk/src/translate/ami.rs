//! AMI events to signs.

use std::time::Duration;

use temoin_core::command::Release;
use temoin_core::desk::Text;
use temoin_core::event::Playback;

use super::{Asking, Bridge, By, Channel, Code, Sign, StepStage};
use crate::ami::frame::{Frame, Message, decode_all, timestamp};

/// The variable that names an agent on his channel.
pub const AGENT: &str = "TEMOIN_AGENT";

/// The event's sign; `None` for what we do not need or cannot use.
pub fn read(message: &Message) -> Option<Sign> {
    let channel = || channel(message, "");
    let sign = match message.first("Event")? {
        "BridgeEnter" => {
            let swap = message.first("SwapUniqueid").filter(|id| !id.is_empty()).map(Into::into);
            Sign::Entered { channel: channel()?, bridge: bridge(message)?, swap }
        }
        "BridgeLeave" => Sign::Left { channel: channel()?, bridge: bridge(message)? },
        "BridgeMerge" => Sign::Merged {
            to: message.first("ToBridgeUniqueid")?.into(),
            from: message.first("FromBridgeUniqueid")?.into(),
        },
        "Hold" => Sign::Hold(channel()?),
        "Unhold" => Sign::Unhold(channel()?),
        "BlindTransfer" => transfer(message, &["Transferer"])?,
        // In a three-way one the transferer stays.
        "AttendedTransfer" if message.first("DestType") == Some("Threeway") => return None,
        "AttendedTransfer" => transfer(message, &["OrigTransferer", "SecondTransferer"])?,
        "LocalOptimizationBegin" => Sign::OptimizationBegan { halves: halves(message)? },
        "LocalOptimizationEnd" => Sign::OptimizationEnded { halves: halves(message)? },
        "ChanSpyStart" => Sign::SpyBegan {
            spyer: self::channel(message, "Spyer")?,
            spyee: self::channel(message, "Spyee")?,
        },
        "ChanSpyStop" => Sign::SpyEnded { spyer: self::channel(message, "Spyer")? },
        "MixMonitorStart" => Sign::RecorderStarted(channel()?),
        "MixMonitorStop" => Sign::RecorderStopped(channel()?),
        "Hangup" => Sign::HungUp(channel()?),
        "Rename" => Sign::Seen(Channel {
            id: message.first("Uniqueid")?.into(),
            name: message.first("Newname")?.into(),
            agent: None,
        }),
        "Newchannel" => Sign::Seen(channel()?),
        "UserEvent" => match message.first("UserEvent")? {
            "TemoinCode" => Sign::Code(code(message)?),
            "TemoinStep" => Sign::Step {
                on: channel()?,
                customer: message.first("Found").filter(|name| !name.is_empty()).map(Into::into),
                stage: stage(message.first("Stage")?)?,
            },
            "TemoinAnswer" => {
                let text = |key| message.first(key).filter(|text| !text.is_empty()).map(str::to_owned);
                Sign::Answered {
                    channel: channel()?,
                    line: text("Line").unwrap_or_default(),
                    number: text("Number"),
                    language: text("Language"),
                    queue: text("Queue"),
                    ticket: text("Ticket").unwrap_or_default(),
                }
            }
            "TemoinSaid" | "TemoinPressed" | "TemoinMachine" | "TemoinAsked" => {
                Sign::Asking { channel: channel()?, what: asking(message)? }
            }
            "TemoinExempt" => Sign::ExemptRings {
                on: channel()?,
                customer: message.first("Found").filter(|name| !name.is_empty()).map(Into::into),
            },
            _ => return None,
        },
        _ => return None,
    };
    Some(sign)
}

/// Reads any bytes as a connection's: its signs. For tests and fuzzing: nothing here may panic.
pub fn read_bytes(bytes: &[u8], piece: usize) -> Vec<Sign> {
    let (frames, _) = decode_all(bytes, piece);
    let signs = frames.iter().filter_map(|frame| match frame {
        Frame::Message(message) => {
            let _ = message.timestamp();
            read(message)
        }
        Frame::Banner(_) => None,
    });
    signs.collect()
}

/// The channel whose keys begin with `prefix`.
pub(super) fn channel(message: &Message, prefix: &str) -> Option<Channel> {
    let id = message.first(&format!("{prefix}Uniqueid")).filter(|id| !id.is_empty())?;
    Some(Channel {
        id: id.into(),
        name: message.first(&format!("{prefix}Channel"))?.into(),
        agent: message.variable(prefix, AGENT).map(Into::into),
    })
}

fn bridge(message: &Message) -> Option<Bridge> {
    Some(Bridge { id: message.first("BridgeUniqueid")?.into(), holding: holding(message) })
}

/// Whether the bridge that the message describes is a holding one.
pub(super) fn holding(message: &Message) -> bool {
    message.first("BridgeTechnology") == Some("holding_bridge")
}

fn transfer(message: &Message, who: &[&str]) -> Option<Sign> {
    if message.first("Result") != Some("Success") {
        return None;
    }
    let leaving: Vec<Channel> = who.iter().filter_map(|prefix| channel(message, prefix)).collect();
    (!leaving.is_empty()).then(|| Sign::Transfer { leaving, transferee: channel(message, "Transferee") })
}

fn halves(message: &Message) -> Option<[Channel; 2]> {
    Some([channel(message, "LocalOne")?, channel(message, "LocalTwo")?])
}

/// What `ControlPlayback` says in the end, but for `begins`, which is our own.
fn stage(word: &str) -> Option<StepStage> {
    Some(match word {
        "begins" => StepStage::Begins,
        "SUCCESS" => StepStage::Ended(Playback::Heard),
        "USERSTOPPED" => StepStage::Ended(Playback::Cut),
        _ => StepStage::Ended(Playback::Failed),
    })
}

/// A word that is not known is no step: nothing follows from it.
fn asking(message: &Message) -> Option<Asking> {
    let what = match message.first("UserEvent")? {
        "TemoinSaid" => Asking::Said {
            text: match message.first("Text")? {
                "opt-out" => Text::OptOut,
                "opt-in" => Text::OptIn,
                "notice" => Text::Notice,
                _ => return None,
            },
            outcome: match message.first("Status")? {
                "SUCCESS" => Playback::Heard,
                "USERSTOPPED" => Playback::Cut,
                _ => Playback::Failed,
            },
            played: Duration::from_millis(message.first("Played").and_then(|ms| ms.parse().ok())?),
        },
        "TemoinPressed" => Asking::Pressed(message.first("Key").filter(|key| !key.is_empty())?.into()),
        "TemoinMachine" => Asking::Machine,
        _ => Asking::Over(match message.first("Verdict")? {
            "ADMITTED" => Release::Admitted,
            _ => Release::Refused,
        }),
    };
    Some(what)
}

fn code(message: &Message) -> Option<Code> {
    let text = |key| message.first(key).filter(|text| !text.is_empty());
    Some(Code {
        code: text("Code")?.into(),
        on: channel(message, "")?,
        presser: text("Chan").map(Into::into),
        customer: text("Found").map(Into::into),
        by: match text("By") {
            Some("agent") => Some(By::Agent),
            Some("customer") => Some(By::Customer),
            _ => None,
        },
        at: text("At").and_then(timestamp),
    })
}
