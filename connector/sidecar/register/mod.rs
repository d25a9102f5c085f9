//! The register of consents and of those who must not be called, as it is kept and asked here. What an entry is and what
//! follows from it is the core's business ([`temoin_core::register`]).

mod book;

pub(crate) use book::KEY;
pub use book::{Book, BookError};
