//! Who can be in a call, what can be done to it, and the desk he calls.

use jiff::Timestamp;
use temoin_core::desk::{Desk, DeskLine, Text, Unavailable};
use temoin_core::event::{Arrival, Party, Role};
use temoin_core::id::{CallId, LegId};

/// What the generator does to a call.
#[derive(Clone, Debug)]
pub enum Act {
    /// Nothing for so long.
    Wait(u32),
    /// The customer presses a key in the hook, or `*1` in the talk.
    CustomerKey(char),
    /// An agent's code.
    Code(&'static str),
    /// These are connected with the customer from now on.
    Bridge(Vec<Who>),
    /// The customer and the others are apart.
    Apart,
    /// An exempt extension is about to ring: the dialplan stops the recorder, and says so.
    ExemptRings,
    /// An agent puts the call on hold, or takes it back.
    Hold(bool),
    /// The PBX's events are lost for so long; what is done meanwhile is not told.
    Gap(u32),
    /// The sidecar dies and starts again.
    Restart,
    /// The disk is locked for so long.
    LockStore(u32),
    /// The PBX does not answer orders for so long.
    Deaf(u32),
}

/// Who can be in a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Amel,
    Bruno,
    Exempt,
    Stranger,
    OtherCustomer,
    Spy,
}

impl Who {
    pub fn party(self, held: bool) -> Party {
        let (leg, extension, role) = match self {
            Self::Amel => ("amel-1", Some("2001"), Role::Member),
            Self::Bruno => ("bruno-1", Some("2002"), Role::Member),
            Self::Exempt => ("exempt-1", Some("4100"), Role::Member),
            Self::Stranger => ("stranger-1", Some("2999"), Role::Member),
            Self::OtherCustomer => ("other-1", None, Role::Member),
            Self::Spy => ("spy-1", Some("2777"), Role::Listener),
        };
        Party {
            leg: LegId(leg.into()),
            extension: extension.map(str::to_owned),
            agent: None,
            customer_of: (self == Self::OtherCustomer).then(|| CallId("another".into())),
            role,
            held: held && matches!(self, Self::Amel | Self::Bruno),
        }
    }

    /// Whose voice must be in nothing that is kept.
    pub fn is_forbidden(self) -> bool {
        !matches!(self, Self::Amel | Self::Bruno)
    }
}

/// A customer on the line of the laws.
pub fn arrival(at: Timestamp) -> Arrival {
    Arrival {
        call: CallId("c".into()),
        leg: LegId("c".into()),
        line: "accueil".into(),
        direction: temoin_core::words::Direction::Inbound,
        queue: None,
        language: Some("fr".into()),
        number: Some("+33199000123".into()),
        briefed: None,
        at,
    }
}

/// A desk with a sound for every text, named by it.
pub fn desk() -> Desk {
    let texts = [
        Text::OptOut,
        Text::OptIn,
        Text::Notice,
        Text::Info,
        Text::Refused,
        Text::Unavailable,
        Text::Alternative,
        Text::Contract,
    ];
    let sounds = texts.map(|text| {
        let media = temoin_core::command::Media {
            name: format!("/sounds/{text:?}"),
            length: std::time::Duration::from_millis(1500),
            language: "fr".into(),
        };
        (text, Some(media))
    });
    Desk {
        hash: "desk".into(),
        extensions: [("2001", "amel"), ("2002", "bruno")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        sounds: [("fr".to_owned(), sounds.into())].into(),
        lines: [("bourse".to_owned(), DeskLine { unavailable: Unavailable::Refuse, ..DeskLine::default() })]
            .into(),
        ..Desk::default()
    }
}
