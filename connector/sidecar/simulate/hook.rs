//! What calls that arrive alike have in common, so that it is worked out once for all of them.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use temoin_core::decide::Stake;
use temoin_core::words::{Prerequisite, Purpose, Reason};

use super::names::Seat;

/// What a caller hears on arriving, for as long as the calendar does not change it.
#[derive(Debug)]
pub struct Hook {
    /// While the calendar stands still.
    pub steady: Range<Timestamp>,
    /// The local day.
    pub day: Arc<str>,
    /// The purposes that are announced; none where nothing is.
    pub heard: Option<BTreeSet<Purpose>>,
    /// For each purpose of the line, by name: whether it is among them.
    pub names: Vec<bool>,
    /// Whether it names a key to refuse.
    pub may_refuse: bool,
    /// Whether it asks for a yes.
    pub asks: bool,
    /// What is known of talks with one agent, by who it is.
    pub known: RefCell<HashMap<Seat, Rc<Known>>>,
}

/// A talk that is not recorded unless a lot falls on it: as long as the calendar stands still, every other customer who
/// says nothing and comes to the same agent from the same hook has the same verdict.
#[derive(Debug)]
pub struct Known {
    /// The lots that are drawn for it.
    pub lots: Vec<Stake>,
    /// The reason of each purpose of the line, by name.
    pub reasons: Vec<Reason>,
    /// What is missing on file.
    pub missing: BTreeSet<Prerequisite>,
}
