//! What is done: the sources of the `temoin` program.

pub mod audio;
pub mod keep;
