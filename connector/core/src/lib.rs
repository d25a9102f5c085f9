//! What is right: the law, the call, the orders; no I/O.

pub mod access;
mod campaign;
mod combine;
pub mod decide;
mod document;
pub mod facts;
pub mod finding;
mod force;
pub mod lint;
pub mod pack;
pub mod policy;
pub mod retention;
pub mod sampling;
pub mod talk;
pub mod time;
pub mod words;
