//! Before a customer is dialled: the agent's leg waits in the dialplan until it is told what he must hear.
//!
//! The PBX lets the leg go on by itself after four seconds, unbriefed: then the line's mode decides, and nothing of the
//! call is recorded.

use std::sync::Arc;
use std::time::Duration;

use temoin_core::command::{Briefing, DriverError, Notice, Order, Release};
use temoin_core::desk::Unavailable;
use temoin_core::event::Dialling;
use temoin_core::id::{CallId, OrderNo};
use temoin_core::journal::{Entry, What};
use temoin_core::ports::Change;
use temoin_core::session::{self, Rules};

use crate::call::Desktop;

/// So long somebody who dials waits for the journal of a line that must be recorded.
const PROOF: Duration = Duration::from_secs(1);

/// Works out what must be said, and tells the PBX.
pub async fn brief(dialling: Dialling, rules: Arc<Rules>, desktop: Desktop) {
    let mut briefing = session::brief(&dialling, &rules);
    // The leg itself; the customer's call begins when he answers.
    let leg = CallId(dialling.leg.0.clone());
    let law = match briefing.how {
        Release::Admitted => "goes-on",
        Release::Refused | Release::HangUp => "mandatory-and-not-possible",
    };
    let note = |how, why: &str| {
        let what = What::Dialling { line: dialling.line.clone(), how, why: why.into() };
        vec![Change::Journal(Entry { at: desktop.clock.now(), call: Some(leg.clone()), segment: None, what })]
    };
    desktop.outbox.post(note(briefing.how, law));
    let must_be = rules.desk.unavailable(&dialling.line) == Unavailable::Refuse;
    let written = || tokio::time::timeout(PROOF, desktop.outbox.commit(Vec::new()));
    if must_be && !matches!(written().await, Ok(Ok(()))) {
        let why = "the journal cannot be written";
        desktop.alarms.raise(&leg, &Notice::Mandatory { why: why.into() });
        desktop.outbox.post(note(Release::Refused, why));
        briefing.how = Release::Refused;
    }
    let ask = |number, briefing: Briefing| {
        desktop.driver.perform(&leg, &dialling.leg, OrderNo(number), Order::Brief(Box::new(briefing)))
    };
    match ask(1, briefing.clone()).await {
        // Who is gone has hung up, or the PBX has taken him on.
        Ok(_) | Err(DriverError::Gone) => {}
        Err(error @ (DriverError::Unsent | DriverError::Unknown)) => {
            desktop.alarms.raise(&leg, &Notice::NotStarted { why: format!("not briefed: {error}") });
        }
        Err(error @ DriverError::Refused(_)) => {
            desktop.alarms.raise(&leg, &Notice::NotStarted { why: error.to_string() });
            // What cannot be asked is not heard; the call goes on as the law says of one that is not recorded.
            let bare = briefing.unasked();
            desktop.outbox.post(note(bare.how, "cannot-be-asked"));
            if let Err(error) = ask(2, bare).await {
                tracing::warn!(%error, "a leg that dials was not briefed");
            }
        }
    }
}
