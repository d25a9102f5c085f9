//! What every format comes to: one party's contact with others, as the replay takes it.

use jiff::Timestamp;

/// One record of a call: who called, what was dialled, who answered, how long they talked. Bytes as in the file.
#[derive(Clone, Debug)]
pub struct Contact<'r> {
    /// What all records of one call share: the linkedid where there is one.
    pub call: &'r [u8],
    /// When it began.
    pub started: Timestamp,
    /// When two parties were connected and for how many seconds; none where they never were.
    pub talk: Option<(Timestamp, u32)>,
    /// The endpoint that called.
    pub near: Endpoint<'r>,
    /// The endpoint that answered.
    pub far: Endpoint<'r>,
    /// Further endpoints in the same talk.
    pub more: Vec<Endpoint<'r>>,
    /// The line of the policy, where the source knows it.
    pub line: Option<&'r str>,
    /// What was dialled.
    pub dialled: &'r [u8],
    /// In which context of the dialplan.
    pub context: &'r [u8],
    /// The queue; empty for none.
    pub queue: &'r [u8],
    /// The caller's number; never shown.
    pub caller: &'r [u8],
    /// Which way it went, where the source tells it.
    pub direction: Option<temoin_core::words::Direction>,
    /// Whether the source tells that the customer refused.
    pub refused: bool,
    /// Whether no more of this call is to come.
    pub last: bool,
}

/// How a source names an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'r> {
    /// None.
    Nobody,
    /// A channel by its name: `PJSIP/2001-0000002a`.
    Channel(&'r [u8]),
    /// An extension or user that the PBX authenticated or dialled: `2001`.
    Extension(&'r [u8]),
    /// An agent of the policy.
    Agent(&'r [u8]),
}

impl<'r> Endpoint<'r> {
    /// A channel, unless its name is empty.
    pub fn channel(name: &'r [u8]) -> Self {
        if name.is_empty() { Self::Nobody } else { Self::Channel(name) }
    }

    /// An extension, unless it is empty.
    pub fn extension(name: &'r [u8]) -> Self {
        if name.is_empty() { Self::Nobody } else { Self::Extension(name) }
    }

    /// Its name without what is of one call only: `PJSIP/2001`, `Local/2001@agents`, `2001`.
    pub fn name(self) -> &'r [u8] {
        match self {
            Self::Nobody => &[],
            Self::Extension(name) | Self::Agent(name) => name,
            Self::Channel(name) => {
                // `…-0000002a`, and `;1` behind it for a Local channel.
                let end = name.iter().rposition(|byte| *byte == b'-').unwrap_or(name.len());
                let serial = name.get(end + 1..).unwrap_or_default();
                let serial = serial.split(|byte| *byte == b';').next().unwrap_or_default();
                let is_serial = serial.len() >= 8 && serial.iter().all(u8::is_ascii_hexdigit);
                if is_serial { &name[..end] } else { name }
            }
        }
    }

    /// The extension it is: of a PJSIP channel the endpoint that was authenticated; of other technologies nobody knows.
    pub fn of_extension(self) -> Option<&'r [u8]> {
        match self {
            Self::Nobody | Self::Agent(_) => None,
            Self::Extension(name) => Some(name),
            Self::Channel(name) => {
                let stem = self.name();
                if stem.len() == name.len() { None } else { stem.strip_prefix(b"PJSIP/") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_named_without_its_serial_number() {
        for (channel, name, extension) in [
            ("PJSIP/2001-0000002a", "PJSIP/2001", Some("2001")),
            ("PJSIP/sales-team-0000002a", "PJSIP/sales-team", Some("sales-team")),
            ("PJSIP/2001", "PJSIP/2001", None),
            ("SIP/2001-0000002a", "SIP/2001", None),
            ("Local/2001@agents-00000003;1", "Local/2001@agents", None),
            ("PJSIP/-0000002a", "PJSIP/", Some("")),
            ("-", "-", None),
            ("", "", None),
        ] {
            let endpoint = Endpoint::Channel(channel.as_bytes());
            assert_eq!(endpoint.name(), name.as_bytes(), "{channel}");
            assert_eq!(endpoint.of_extension(), extension.map(str::as_bytes), "{channel}");
        }
    }
}
