//! Before a customer is dialled: the agent's leg waits in the dialplan until it is told what he must hear.
//!
//! The PBX lets the leg go on by itself after four seconds, unbriefed: then the line's mode decides, and nothing of the
//! call is recorded.

use std::sync::Arc;

use temoin_core::command::{Briefing, DriverError, Notice, Order, Release};
use temoin_core::event::Dialling;
use temoin_core::id::{CallId, OrderNo};
use temoin_core::session::{self, Rules};

use crate::call::Desktop;

/// Works out what must be said, and tells the PBX.
pub async fn brief(dialling: Dialling, rules: Arc<Rules>, desktop: Desktop) {
    let briefing = session::brief(&dialling, &rules);
    // The leg itself; the customer's call begins when he answers.
    let leg = CallId(dialling.leg.0.clone());
    let ask = |number, briefing: &Briefing| {
        desktop.driver.perform(&leg, &dialling.leg, OrderNo(number), Order::Brief(Box::new(briefing.clone())))
    };
    let refused = match ask(1, &briefing).await {
        Ok(_) => return,
        // He has hung up, or the PBX has taken him on.
        Err(DriverError::Gone) => return,
        Err(error @ (DriverError::Unsent | DriverError::Unknown)) => {
            return desktop.alarms.raise(&leg, &Notice::NotStarted { why: format!("not briefed: {error}") });
        }
        Err(error @ DriverError::Refused(_)) => error,
    };
    desktop.alarms.raise(&leg, &Notice::NotStarted { why: refused.to_string() });
    // What cannot be asked is not heard; the call goes on as the law says of one that is not recorded.
    let how = session::release_of(briefing.outcomes.unheard);
    let bare = Briefing { how, announcement: None, ticket: "none".into(), ..briefing };
    let bare = Briefing {
        info: None,
        refused: None,
        alternative: None,
        unavailable: None,
        object: None,
        accept: None,
        info_key: None,
        ..bare
    };
    if how != Release::Admitted {
        tracing::warn!(line = dialling.line, "a customer of a mandatory line cannot be asked: not dialled");
    }
    if let Err(error) = ask(2, &bare).await {
        tracing::warn!(%error, "the dialling leg was not briefed");
    }
}
