//! Before a customer is dialled: the agent's leg waits in the dialplan until it is told whether the number may be called, and
//! what its owner must hear.
//!
//! The PBX lets the leg go on by itself after four seconds, unbriefed: then the line's mode decides, and nothing of the
//! call is recorded. So everything here has a limit.

use std::sync::Arc;
use std::time::Duration;

use temoin_core::command::{Briefing, DriverError, Notice, Order, Release};
use temoin_core::desk::Unavailable;
use temoin_core::event::Dialling;
use temoin_core::id::{CallId, OrderNo};
use temoin_core::journal::{Entry, What};
use temoin_core::ports::Change;
use temoin_core::register::{Asked, Bar, Because, Dial, Verdict};
use temoin_core::session::{self, Rules};
use tokio::time::timeout;

use crate::call::Desktop;
use crate::register::Book;
use crate::room::Lack;

/// So long somebody who dials waits for the register, and so long for the journal of a line that must be recorded.
const PATIENCE: Duration = Duration::from_secs(1);

/// Works out whether and how the customer may be called, and tells the PBX.
pub async fn brief(dialling: Dialling, rules: Arc<Rules>, desktop: Desktop) {
    // The leg itself; the customer's call begins when he answers.
    let leg = CallId(dialling.leg.0.clone());
    let refuses = rules.desk.unavailable(&dialling.line) == Unavailable::Refuse;
    let mut briefing = session::brief(&dialling, &rules);
    let refuse = |briefing: &mut Briefing, why: &str| {
        (briefing.how, briefing.why) = (Release::Refused, why.to_owned());
    };
    let mut rests_on = Vec::new();
    match asked(&dialling, &rules, &desktop).await {
        Ok(Some(verdict)) => {
            rests_on = verdict.because.iter().map(name).collect();
            if let Dial::MustNot(bar) = verdict.dial {
                refuse(&mut briefing, word(bar));
            }
        }
        Ok(None) => {}
        Err(why) => {
            desktop.alarms.raise(&leg, &Notice::RegisterNotAsked { why });
            if refuses {
                refuse(&mut briefing, "register-not-asked");
            }
        }
    }
    let note = |briefing: &Briefing, rests_on: Vec<String>| {
        let Briefing { how, why, .. } = briefing;
        let what = What::Dialling { line: dialling.line.clone(), how: *how, why: why.clone(), rests_on };
        let entry = Entry { at: desktop.clock.now(), call: Some(leg.clone()), segment: None, what };
        desktop.outbox.post(vec![Change::Journal(entry)]);
    };
    note(&briefing, rests_on);
    if refuses && briefing.how == Release::Admitted {
        let lacks = desktop.lacks.borrow().clone();
        let written = timeout(PATIENCE, desktop.outbox.commit(Vec::new())).await;
        if let Some(Lack { why, .. }) = lacks {
            desktop.alarms.raise(&leg, &Notice::Mandatory { why });
            refuse(&mut briefing, "no-room");
            note(&briefing, Vec::new());
        } else if !matches!(written, Ok(Ok(()))) {
            desktop.alarms.raise(&leg, &Notice::Mandatory { why: "the journal cannot be written".into() });
            refuse(&mut briefing, "journal-not-written");
            note(&briefing, Vec::new());
        }
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
            note(&bare, Vec::new());
            if let Err(error) = ask(2, bare).await {
                tracing::warn!(%error, "a leg that dials was not briefed");
            }
        }
    }
}

/// What the register says of the number; nothing where there is no number or no such line.
async fn asked(dialling: &Dialling, rules: &Rules, desktop: &Desktop) -> Result<Option<Verdict>, String> {
    let (Some(number), Some(line)) = (dialling.number.as_deref(), rules.policy.line(&dialling.line)) else {
        return Ok(None);
    };
    let asked = Asked { line, number, errand: None, campaign: None, at: desktop.clock.now() };
    let verdict = async {
        // Opened each time: what was entered meanwhile counts, and a key that went missing is noticed.
        let book = Book::look(Arc::clone(&desktop.store), &desktop.register_key).await;
        let book = book.map_err(|error| error.to_string())?;
        book.ask(&rules.policy, &asked).await.map_err(|error| error.to_string())
    };
    let verdict = timeout(PATIENCE, verdict).await;
    verdict.map_err(|_| "the index did not answer in time".to_owned()).flatten().map(Some)
}

fn word(bar: Bar) -> &'static str {
    match bar {
        Bar::DoNotCall => "do-not-call",
        Bar::NoConsent => "no-consent",
        Bar::Unreadable => "number-unreadable",
    }
}

fn name(because: &Because) -> String {
    match because {
        Because::Entry { id, .. } => id.to_string(),
        Because::Law { rule, .. } => rule.clone(),
        Because::NoPack { territory } => format!("no-pack/{territory}"),
        Because::LineSilent => "line-silent".into(),
    }
}
