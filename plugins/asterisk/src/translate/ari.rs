//! ARI events to signs.

use serde_json::Value;

use super::{Channel, HookSign};
use crate::ari::event::View;

/// The event's sign; `None` for what we do not need or cannot use.
pub fn read(event: &Value) -> Option<HookSign> {
    let view = View(event);
    let id = |path: &[&str]| view.text(path).filter(|id| !id.is_empty()).map(str::to_owned);
    let channel = || id(&["channel", "id"]);
    let filled = |path: &[&str]| view.text(path).filter(|text| !text.is_empty()).map(str::to_owned);
    let sign = match view.text(&["type"])? {
        "StasisStart" => HookSign::Entered {
            channel: Channel {
                id: channel()?,
                name: view.text(&["channel", "name"]).unwrap_or_default().into(),
                agent: None,
            },
            args: view.texts("args").map(str::to_owned).collect(),
            number: filled(&["channel", "caller", "number"]),
            language: filled(&["channel", "language"]),
            queue: filled(&["channel", "channelvars", "TEMOIN_QUEUE"]),
        },
        "PlaybackStarted" => HookSign::PlaybackStarted { id: id(&["playback", "id"])? },
        "PlaybackFinished" => HookSign::PlaybackFinished {
            id: id(&["playback", "id"])?,
            failed: view.text(&["playback", "state"]) != Some("done"),
        },
        "ChannelDtmfReceived" => HookSign::Digit { id: channel()?, digit: filled(&["digit"])? },
        "StasisEnd" => HookSign::Left { id: channel()? },
        "ChannelDestroyed" => HookSign::Destroyed { id: channel()? },
        _ => return None,
    };
    Some(sign)
}

/// Reads any bytes as an event. For tests and fuzzing: nothing here may panic.
pub fn read_bytes(bytes: &[u8]) -> Option<HookSign> {
    let event = serde_json::from_slice(bytes).ok()?;
    let _ = View(&event).timestamp();
    read(&event)
}
