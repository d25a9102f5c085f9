//! The PBX's own account of itself: the answers to `Status` and `BridgeList`.

use std::collections::BTreeMap;

use super::Channel;
use super::ami::{AGENT, channel, holding};
use crate::ami::frame::Message;

/// What to ask `Status` for.
pub const VARIABLES: &str = "TEMOIN,TEMOIN_DIAL,TEMOIN_KEYS,TEMOIN_CUSTOMER,TEMOIN_AGENT,CHANNEL(onhold)";

/// A channel that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub channel: Channel,
    /// The bridge that it is in.
    pub bridge: Option<String>,
    /// Whether it holds.
    pub held: bool,
    /// The application that it runs, and that one's argument: a spy is known by it.
    pub application: (String, String),
    /// The variable `TEMOIN`: set on a customer's channel that has passed the hook.
    pub passed: bool,
    /// The variable `TEMOIN_DIAL`: set on a leg that dials a customer.
    pub dials: bool,
    /// The variable `TEMOIN_KEYS`, empty where it is not set; `None`: it could not be read.
    pub keys: Option<String>,
}

/// The channels of a list of `Status` events.
pub fn rows(messages: &[Message]) -> Vec<Row> {
    messages.iter().filter(|message| message.first("Event") == Some("Status")).filter_map(row).collect()
}

/// Every bridge of a list of `BridgeListItem` events, and whether it is a holding one.
pub fn bridges(messages: &[Message]) -> BTreeMap<String, bool> {
    let items = messages.iter().filter(|message| message.first("Event") == Some("BridgeListItem"));
    items.filter_map(|item| Some((item.first("BridgeUniqueid")?.to_owned(), holding(item)))).collect()
}

fn row(message: &Message) -> Option<Row> {
    let mut channel = channel(message, "")?;
    if let Some(agent) = variable(message, AGENT) {
        channel.agent = Some(agent.into());
    }
    let text = |key| message.first(key).unwrap_or_default().to_owned();
    Some(Row {
        channel,
        bridge: message.first("BridgeID").filter(|id| !id.is_empty()).map(Into::into),
        held: variable(message, "CHANNEL(onhold)") == Some("1"),
        application: (text("Application"), text("Data")),
        passed: variable(message, "TEMOIN").is_some_and(|value| !value.is_empty()),
        dials: variable(message, "TEMOIN_DIAL").is_some_and(|value| !value.is_empty()),
        keys: variable(message, "TEMOIN_KEYS").map(Into::into),
    })
}

/// A `Variable: NAME=value` line; Asterisk writes `(null)` where it is not set.
fn variable<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let value = message.all("Variable").find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(if value == "(null)" { "" } else { value })
}
