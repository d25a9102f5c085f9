//! What can go wrong, as far as a test acts differently or wants to be told.

use std::time::Duration;

use crate::state::State;

/// Why a phone could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket could not be opened.
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
    /// An address that is not `sip:user@ip:port` with an address of the loopback: a test phone talks to nobody else.
    #[error("cannot reach '{0}': not a SIP URI with a loopback address")]
    Address(String),
    /// Not seen within the limit.
    #[error("{phone} waited {limit:?} for {wanted}; {seen}")]
    Missed {
        /// Who waited.
        phone: String,
        /// For what.
        wanted: String,
        /// For how long.
        limit: Duration,
        /// What was seen instead: the state of the call, what is heard, the last messages.
        seen: String,
    },
    /// Not seen before the call ended, so it never will be.
    #[error("{phone} waited for {wanted}, but the call has ended; {seen}")]
    Over {
        /// Who waited.
        phone: String,
        /// For what.
        wanted: String,
        /// What was seen instead.
        seen: String,
    },
    /// The other side refused a request within the call, with this SIP status.
    #[error("{method} was refused with {status}")]
    Refused {
        /// The SIP method.
        method: String,
        /// 300 to 699.
        status: u16,
    },
    /// The other side did not answer a request within 32 s (RFC 3261, timers B and F).
    #[error("{method} was not answered")]
    Unanswered {
        /// The SIP method.
        method: String,
    },
    /// Not possible in the state of the call.
    #[error("cannot {wish} when the call is {state:?}")]
    Unfit {
        /// What was asked.
        wish: &'static str,
        /// The state.
        state: State,
    },
    /// Not a key of a telephone.
    #[error("no key of a telephone: '{0}'")]
    Key(char),
    /// The phone's task is gone: its runtime has been shut down.
    #[error("the phone is gone")]
    Gone,
}
