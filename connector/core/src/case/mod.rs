//! Acceptance cases: a question to the engine that decides live calls, and the answer that is expected of it.
//!
//! A [`Case`] is one JSON file. It is given names of packs and of a site policy; the texts come from a [`Shelf`], so
//! that nothing here touches a disk. What an answer means is defined in `FORMAT.md`; how cases are kept, in
//! `tests/cases/README.md`. A site keeps its own cases beside its policy, and runs them with the same code.

mod answer;
mod compare;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub use compare::{Difference, compare};

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// Why the answer is the right one.
    pub why: String,
    /// What is asked: `decide period instant retention access call sample lint`.
    pub ask: String,
    /// What is given, as the ask wants it.
    given: Box<RawValue>,
    /// The part of the answer that must be there.
    pub expect: Value,
}

/// Where the files lie that cases name.
pub trait Shelf {
    /// The text of a pack that lies beside the cases; none where it is to be a shipped one.
    ///
    /// # Errors
    /// There is one, and it cannot be read: why.
    fn pack(&self, name: &str) -> Result<Option<String>, String>;

    /// The text of a site policy.
    ///
    /// # Errors
    /// There is none, or it cannot be read: why, and where it was looked for.
    fn site(&self, name: &str) -> Result<String, String>;
}

impl Case {
    /// Reads a case. Unknown keys are refused.
    ///
    /// # Errors
    /// Why it is none, with line and column.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("not a case: {error}"))
    }

    /// Asks, and tells where the answer is not as expected.
    ///
    /// # Errors
    /// There is no answer: the question or a file that it names cannot be read.
    pub fn run(&self, shelf: &dyn Shelf) -> Result<Vec<Difference>, String> {
        let answer = answer::answer(&self.ask, self.given.get(), shelf)?;
        Ok(compare(&self.expect, &answer))
    }
}
