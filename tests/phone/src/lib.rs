//! A SIP and RTP test phone: it calls and is called, speaks a tone, hears and measures what comes back.
//!
//! For functional tests against a real PBX, or of two phones against each other: no registration, no authentication, one
//! codec (A-law, 20 ms), UDP on the loopback only. Everything is told, nothing left to chance: which tone, which RTP
//! numbers, when to answer, what gets lost. Whatever a test waits for it waits for with a limit, and learns what was
//! seen instead.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), temoin_phone::Error> {
//! use std::{net::Ipv4Addr, time::Duration};
//! use temoin_phone::{Answering, CallOptions, Phone, Tone, Until};
//!
//! let limit = Duration::from_secs(5);
//! let agent = Phone::bind(Ipv4Addr::LOCALHOST, "1001").await?;
//! agent.speak(Tone::new(600));
//! agent.answer_with(Answering::After(Duration::ZERO));
//!
//! let customer = Phone::bind(Ipv4Addr::new(127, 0, 0, 2), "+33199000123").await?;
//! let call = customer.call(&agent.uri(), CallOptions::default()).await?;
//! call.wait_for(Until::Answered, limit).await?;
//! call.wait_for(Until::Hears(600), limit).await?;
//! call.hang_up().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Phone`] is one task with one SIP socket; each [`Call`] has a task and a pair of ports for its sound. Recordings
//! are measured with the same means as what is heard: [`Audio`], [`Sound`].
//!
//! Left out: TCP, TLS, SRTP, RTCP, PRACK, proxies and their routes, more than one stream, tones told by ear from speech.

mod alaw;
mod audio;
mod call;
mod ear;
mod error;
mod events;
mod line;
mod media;
mod mouth;
mod phone;
mod rtp;
mod sip;
mod sound;
mod state;

pub use audio::{Audio, AudioError};
pub use call::{Call, Until};
pub use ear::{Ear, Jump, Key, MEMORY, Way};
pub use error::Error;
pub use events::Event;
pub use mouth::{Tone, Voice};
pub use phone::{Answering, CallOptions, Phone};
pub use rtp::Stream;
pub use sip::address::Party;
pub use sound::{NOTHING, PRESENT, Sound};
pub use state::{Ending, How, Side, State};
