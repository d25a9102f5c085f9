//! What is done: the sources of the `temoin` program. `connector/README.md` is the map.

pub mod audio;
pub mod call;
pub mod cli;
pub mod clock;
pub mod config;
pub mod engine;
pub mod keep;
pub mod outbox;
pub mod rules;
pub mod show;
pub mod wiring;
