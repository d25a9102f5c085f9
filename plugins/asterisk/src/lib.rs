//! The Asterisk driver: ARI for the hook, AMI for the talk.
//!
//! A customer's leg enters the Stasis application from the dialplan; while it is there, prompts, keys and the
//! dead-man timer go over ARI ([`ari`]). Once it is released, everything that matters (who is bridged with whom,
//! holds, transfers, recorders, codes) comes over AMI, and the recorder is started and stopped there ([`ami`]).
//! Foreign shapes end in [`translate`], pure functions over captured traffic; [`topology`], pure state, turns the signs
//! into the parties of each followed customer. The driver ([`Asterisk`]) ties the two links together, keeps them up,
//! and looks at the PBX itself after every gap.
//!
//! Left out: anything that Asterisk can do and Témoin does not need. Unknown events are counted and passed over.

pub mod ami;
pub mod ari;
mod config;
pub mod dialplan;
mod driver;
mod error;
mod halt;
mod probe;
mod tls;
pub mod topology;
pub mod translate;

pub use config::{AmiConfig, AriConfig, AsteriskConfig, Deadlines, Secret, Tls};
pub use driver::Asterisk;
pub use error::{Place, StartError, TESTED_MAJORS};
pub use halt::{Halted, halt};
pub use probe::{Probe, probe};
