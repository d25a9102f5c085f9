//! A lenient view of an ARI event: what we need of it, each field on its own, the rest passed over.

use jiff::Timestamp;
use serde_json::Value;

/// A JSON event, looked at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a>(pub &'a Value);

impl<'a> View<'a> {
    /// The text at this path, where there is one.
    pub fn text(self, path: &[&str]) -> Option<&'a str> {
        path.iter().try_fold(self.0, |value, key| value.get(key))?.as_str()
    }

    /// The texts of the array under this key.
    pub fn texts(self, key: &str) -> impl Iterator<Item = &'a str> {
        self.0.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// When it happened, to the millisecond: `2026-11-21T17:39:01.012+0000`, an offset without the colon.
    pub fn timestamp(self) -> Option<Timestamp> {
        timestamp(self.text(&["timestamp"])?)
    }
}

fn timestamp(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).ok()?.to_timestamp().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_asterisks_time_and_passes_over_what_is_missing() {
        let value = serde_json::json!({"timestamp": "2026-11-21T17:39:01.012+0000", "args": ["a", 1, "b"]});
        let view = View(&value);
        assert_eq!(view.timestamp().unwrap().as_millisecond(), 1_795_282_741_012);
        assert_eq!(view.texts("args").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(view.text(&["channel", "id"]), None);
        assert_eq!(timestamp("2026-11-21T18:39:01.012+0100"), view.timestamp());
        assert_eq!(timestamp("2026-11-21T17:39:01.012Z"), view.timestamp());
        assert_eq!(timestamp("yesterday"), None);
    }
}
