//! The facts of a simulated call: who is in it, as a live session would know them.

use std::sync::Arc;

use jiff::Timestamp;
use temoin_core::facts::{Facts, Leg};
use temoin_core::policy::Line;
use temoin_core::words::{Direction, LegKind};

use super::contact::Contact;
use super::names::Seat;

/// A moment of a call in which nobody is yet.
pub fn facts(
    line: &Line,
    direction: Direction,
    queue: Option<&Arc<str>>,
    at: Timestamp,
    began: Timestamp,
) -> Facts {
    Facts {
        at,
        call_start: Some(began),
        line: line.name.clone(),
        direction: Some(direction),
        queue: queue.cloned(),
        language: None,
        legs: Vec::with_capacity(2),
        flags: Default::default(),
        sampling: Default::default(),
    }
}

thread_local! {
    /// The ids that legs have here: made once.
    static LEGS: [Arc<str>; 5] = ["customer", "agent", "agent-2", "agent-3", "agent-4"].map(Arc::from);
}

fn leg_id(place: usize) -> Arc<str> {
    let known = LEGS.with(|legs| legs.get(place).cloned());
    known.unwrap_or_else(|| format!("agent-{place}").into())
}

/// The customer's leg, with the number as it came.
pub fn customer_leg(direction: Direction, contact: &Contact<'_>) -> Leg {
    let called = direction == Direction::Outbound && !contact.dialled.is_empty();
    let number = if called { contact.dialled } else { contact.caller };
    let number = (!number.is_empty()).then(|| String::from_utf8_lossy(number).into());
    Leg { number, ..Leg::new(leg_id(0), LegKind::Customer) }
}

/// The leg of the agent at a place, from 0.
pub fn agent_leg(place: usize, seat: &Seat) -> Leg {
    let Seat { agent, extension } = seat.clone();
    Leg { agent, extension, ..Leg::new(leg_id(place + 1), LegKind::Agent) }
}
