//! What the names in the records mean to a policy: which line was dialled, which agent sits at an endpoint.
//!
//! Lines are found by the dialled number as the policy has it, agents by `[extensions]` of `temoin.toml`. For whatever
//! else the records hold there is a map, a small TOML file:
//!
//! ```toml
//! timezone = "Europe/Paris"        # of the times in the records; the policy's by default
//! [dialled]                        # what was dialled → line
//! "0199000100" = "accueil"
//! [queues]                         # queue → line
//! "support" = "accueil"
//! [contexts]                       # context of the dialplan → line
//! "from-trunk" = "accueil"
//! [endpoints]                      # endpoint → agent of the policy
//! "SIP/2003" = "bruno"
//! "Local/2004@agents" = "carla"
//! ```
//!
//! The first of dialled, queues and contexts that has the name gives the line. Nothing is guessed: a name that is nowhere
//! is counted and told.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use temoin_core::finding::Code;
use temoin_core::policy::Policy;
use temoin_core::time::Zone;

use super::contact::{Contact, Endpoint};
use crate::fault::Fault;
use crate::reading;

/// What a map says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Map {
    /// The zone of the times in the records.
    pub timezone: Option<String>,
    /// What was dialled, to lines.
    pub dialled: BTreeMap<String, String>,
    /// Queues, to lines.
    pub queues: BTreeMap<String, String>,
    /// Contexts, to lines.
    pub contexts: BTreeMap<String, String>,
    /// Endpoints, to agents.
    pub endpoints: BTreeMap<String, String>,
}

impl Map {
    /// Reads a map and compares it with a policy.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(file: &Path, policy: &Policy) -> Result<Self, Vec<Fault>> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| {
            vec![
                Fault::of(&name, Code::Unreadable, format!("cannot be read: {error}; --map names it"))
                    .barring(),
            ]
        })?;
        let map = match reading::read::<Self>(&name, &text, |_| None) {
            (Some(map), faults) if faults.is_empty() => map,
            (_, faults) => return Err(faults),
        };
        let unknown = |table: &str, key: &str, hint: String| {
            let place = reading::locate(&text, &[table, key]);
            Fault::of(&name, Code::UnknownRef, hint).at(format!("{table}.{key}"), place).barring()
        };
        let tables = [("dialled", &map.dialled), ("queues", &map.queues), ("contexts", &map.contexts)];
        let mut faults = Vec::new();
        for (table, entries) in tables {
            for (key, line) in entries.iter().filter(|(_, line)| policy.line(line).is_none()) {
                faults.push(unknown(
                    table,
                    key,
                    format!("the policy has no line `{line}`; name one of its lines"),
                ));
            }
        }
        for (key, agent) in map.endpoints.iter().filter(|(_, agent)| policy.agent(agent).is_none()) {
            faults.push(unknown(
                "endpoints",
                key,
                format!("the policy has no agent `{agent}`; add him to [agents]"),
            ));
        }
        if map.timezone.as_ref().is_some_and(|zone| Zone::named(zone).is_none()) {
            let place = reading::locate(&text, &["timezone"]);
            let hint = "no such time zone; write it as IANA does, such as Europe/Paris";
            faults.push(Fault::of(&name, Code::BadValue, hint).at("timezone", place).barring());
        }
        if faults.is_empty() { Ok(map) } else { Err(faults) }
    }
}

/// The same, ready to look up bytes.
#[derive(Debug)]
pub struct Names {
    dialled: HashMap<Box<[u8]>, Arc<str>>,
    queues: HashMap<Box<[u8]>, Arc<str>>,
    contexts: HashMap<Box<[u8]>, Arc<str>>,
    endpoints: HashMap<Box<[u8]>, Arc<str>>,
    exempt: HashMap<Box<[u8]>, Arc<str>>,
}

/// Who sits at an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seat {
    /// The agent.
    pub agent: Option<Arc<str>>,
    /// The extension, where it matters: an exempt one needs no agent to be exempt.
    pub extension: Option<Arc<str>>,
}

impl Seat {
    /// Whether anything is known of who sits there.
    pub fn is_known(&self) -> bool {
        self.agent.is_some() || self.extension.is_some()
    }
}

impl Names {
    /// From a policy, the extensions of the configuration, and a map.
    pub fn of(policy: &Policy, extensions: &BTreeMap<String, String>, map: &Map) -> Self {
        let bytes = |text: &str| Box::<[u8]>::from(text.as_bytes());
        let table = |entries: &BTreeMap<String, String>| {
            entries.iter().map(|(name, to)| (bytes(name), Arc::from(to.as_str()))).collect::<HashMap<_, _>>()
        };
        let mut dialled = HashMap::new();
        for line in policy.site().lines.values() {
            for number in &line.numbers {
                dialled.insert(bytes(number), line.name.clone());
                // As it is dialled from abroad; the policy reads a leading 00 so, too.
                if let Some(digits) = number.strip_prefix('+') {
                    dialled.insert(bytes(&format!("00{digits}")), line.name.clone());
                }
            }
        }
        dialled.extend(table(&map.dialled));
        let mut endpoints = table(extensions);
        endpoints.extend(table(&map.endpoints));
        let exempt = policy.site().exempt.extensions.iter().map(|name| (bytes(name), name.clone())).collect();
        Self { dialled, queues: table(&map.queues), contexts: table(&map.contexts), endpoints, exempt }
    }

    /// The line of a contact.
    pub fn line(&self, contact: &Contact<'_>) -> Option<&Arc<str>> {
        self.dialled
            .get(contact.dialled)
            .or_else(|| self.queues.get(contact.queue))
            .or_else(|| self.contexts.get(contact.context))
    }

    /// Who sits at an endpoint.
    pub fn seat(&self, endpoint: Endpoint<'_>) -> Seat {
        if let Endpoint::Agent(name) = endpoint {
            return Seat { agent: Some(String::from_utf8_lossy(name).into()), extension: None };
        }
        let extension = endpoint.of_extension();
        let agent = || extension.and_then(|extension| self.endpoints.get(extension));
        Seat {
            agent: self.endpoints.get(endpoint.name()).or_else(agent).cloned(),
            extension: extension.and_then(|extension| self.exempt.get(extension)).cloned(),
        }
    }
}
