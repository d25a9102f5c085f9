//! What is right: may this call be recorded, by whose rule, what must be said first, what happens on a refusal, until
//! when is it kept. Pure: no I/O, no clock, no runtime, no database language and no word of any PBX. Time and chance
//! come in as arguments.

pub mod access;
pub mod audit;
mod campaign;
pub mod case;
mod combine;
pub mod command;
pub mod decide;
pub mod desk;
mod document;
pub mod event;
pub mod facts;
pub mod finding;
mod force;
mod ground;
pub mod id;
pub mod journal;
pub mod life;
pub mod lint;
pub mod number;
pub mod origin;
pub mod pack;
pub mod papers;
pub mod policy;
pub mod ports;
pub mod proof;
pub mod reconcile;
pub mod register;
pub mod retention;
mod sabotage;
pub mod sampling;
pub mod segment;
pub mod session;
pub mod spelling;
pub mod talk;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod words;
