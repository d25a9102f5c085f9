//! A real Asterisk for the tests and the demo, fetched and started without root.
//!
//! [`Asterisk::find_or_fetch`] takes the one that is installed or fetches one into the user's cache. [`Lab::start`] runs
//! it in a folder and on loopback ports of its own, with the files of `dialplans/` included exactly as they are shipped,
//! a trunk, agents' phones, queues and a conference around them. [`FaultProxy`] stands between two programs and delays,
//! splits, swallows, cuts or refuses what they say.
//!
//! [`scenario`] plays calls on it that stand in files, and judges what came of them.
//!
//! Left out: the phones themselves (the crate `temoin-phone`) and clients for AMI and ARI (the plugin under test).

mod error;
mod fault;
mod fetch;
mod guarded;
mod install;
mod lab;
mod ports;
pub mod scenario;
mod small;

pub use error::LabError;
pub use fault::{Direction, FaultProxy};
pub use install::{Asterisk, Install};
pub use lab::{ADMIN_SECRET, AMI_SECRET, ARI_SECRET, Lab, LabOptions};
