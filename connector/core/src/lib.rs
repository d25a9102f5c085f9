//! What is right: may this call be recorded, by whose rule, what must be said first, what happens on a refusal, until
//! when is it kept. Pure: no I/O, no clock, no runtime, no SQL and no word of any PBX. Time and chance come in as
//! arguments.

pub mod command;
pub mod event;
pub mod id;
pub mod journal;
pub mod life;
pub mod number;
pub mod ports;
pub mod segment;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
