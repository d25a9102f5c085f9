//! What is done: the sources of the `temoin` program. `connector/README.md` is the map.

pub mod audio;
mod authoring;
pub mod call;
pub mod cases;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod engine;
pub mod explain;
pub mod fault;
pub mod init;
pub mod keep;
pub mod live;
pub mod outbox;
pub mod packs;
pub mod papers;
pub mod reading;
pub mod report;
pub mod restart;
pub mod rules;
pub mod schema;
pub mod show;
pub mod simulate;
pub mod sweep;
pub mod watchdog;
pub mod wiring;
