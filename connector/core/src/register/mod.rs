//! The register: who agreed to be called or recorded, and who must not be called.
//!
//! An [`Entry`] is a consent or a do-not-call, of one number, from an instant on. It is never changed but once: it may be
//! withdrawn, and stays as evidence that it was given and withdrawn, until the proof period is over. [`judge`] says from a
//! line, what is called for and the entries of a number whether the number may be dialled, and by which law and entry.
//!
//! **What is in clear and what is not.** A number is kept as a [`NumberTag`]: HMAC-SHA256 under a key of the
//! installation, which lies apart from the index, so that whoever has the index alone cannot try all numbers of a country.
//! In clear are only the country's code and the last two digits ([`Entry::shown`]), so that people recognise an entry
//! that they look at; what kind of entry it is, its dates, how it was obtained, and a reference to the evidence. The
//! evidence itself (a form, a contract) stays where it is. Whoever loses the key can neither find nor add: it belongs
//! into the backup. A reference should not be the number again.
//!
//! Left out: calling hours and how often somebody may be called; who is a consumer (the line's errand says it).

mod entry;
mod judge;
mod tag;

pub use entry::{Consent, ConsentTo, DoNotCall, Entry, Source, State, Subject, Withdrawal};
pub(crate) use judge::laws_of;
pub use judge::{Asked, Bar, Because, Dial, Grant, Verdict, judge, proof_ended_by, proof_period};
pub use tag::{EntryId, NumberTag, RegisterKey};
