//! Whether the running dialplan has the shipped contexts, and `features.conf` the codes.
//!
//! `Getvar` without a channel reads a function on a channel made for it alone, so that `DIALPLAN_EXISTS` answers to a user
//! of class `call`; ARI gives it no channel, and `ShowDialPlan` wants the classes `config` or `reporting`. The codes that
//! are loaded no interface tells with these rights: `GetConfig` (class `system`) tells what the file says, its includes
//! with it, which is the same after a reload. Where the user may use neither, or
//! `func_dialplan.so` is not loaded, nothing is told.

use std::collections::BTreeSet;

use temoin_core::finding::Code;
use tokio::time::Instant;

use super::Probe;
use crate::ami::connection::{Handle, Urgency};
use crate::ami::frame::{Action, Message};

/// The contexts of the shipped `temoin.conf`, each with an extension and a label or priority that an older one lacks.
const CONTEXTS: [(&str, &str, &str); 10] = [
    ("temoin-inbound", "s", "there"),
    ("temoin-outbound", "s", "back"),
    ("temoin-predial", "s", "1"),
    ("temoin-answer", "s", "first"),
    ("temoin-code", "s", "1"),
    ("temoin-note", "s", "1"),
    ("temoin-step", "s", "1"),
    ("temoin-exempt", "s", "exempt"),
    ("temoin-find", "s", "inherited"),
    ("temoin-stop", "s", "other"),
];

/// Looks at both.
pub(super) async fn look(ami: &Handle, may: &Message, deadline: Instant, probe: &mut Probe) {
    if may.first("Getvar").is_some() {
        for (context, extension, label) in CONTEXTS {
            look_at_context(ami, (context, extension, label), deadline, probe).await;
        }
    }
    if may.first("GetConfig").is_some() {
        let ask =
            Action::new("GetConfig").with("Filename", "features.conf").with("Category", "applicationmap");
        if let Ok(answer) = ami.send(ask, Urgency::Normal, None, deadline).await {
            probe.codes = Some(codes(&answer));
        }
    }
}

async fn look_at_context(
    ami: &Handle,
    (context, extension, label): (&str, &str, &str),
    deadline: Instant,
    probe: &mut Probe,
) {
    let is_there = async |label: &str| {
        let function = format!("DIALPLAN_EXISTS({context},{extension},{label})");
        let ask = Action::new("Getvar").with("Variable", function);
        let answer = ami.send(ask, Urgency::Normal, None, deadline).await.ok()?;
        match answer.first("Value")? {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        }
    };
    let hint = match (is_there("1").await, is_there(label).await) {
        (Some(false), _) => format!(
            "the context `{context}` is not loaded: `#include temoin.conf` at the end of extensions.conf, then `dialplan \
             reload`"
        ),
        (Some(true), Some(false)) => format!(
            "the context `{context}` is of an older Témoin: copy dialplans/asterisk/temoin.conf anew, then `dialplan reload`"
        ),
        _ => return,
    };
    probe.tell("extensions.conf", context, Code::PbxDialplan, hint);
}

/// The codes of an application map that lead to the shipped context: `Line-000000-000001: temoin-pause=*9,peer,Gosub,…`.
fn codes(answer: &Message) -> BTreeSet<String> {
    let lines = answer.headers.iter().filter(|(key, _)| key.to_ascii_lowercase().starts_with("line-"));
    let code = |value: &str| {
        let (_, rest) = value.split_once('=')?;
        let (code, runs) = rest.trim_start_matches('>').trim().split_once(',')?;
        runs.contains("temoin-").then(|| code.trim().to_owned())
    };
    lines.filter_map(|(_, value)| code(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_in_the_shipped_dialplan() {
        let shipped = include_str!("../../../../dialplans/asterisk/temoin.conf");
        let contexts: Vec<&str> = shipped
            .lines()
            .filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'))
            .filter(|name| name.starts_with("temoin-"))
            .collect();
        for (context, extension, label) in CONTEXTS {
            assert!(contexts.contains(&context), "{context}");
            let body = shipped.split(&format!("[{context}]\n")).nth(1).expect("a context");
            let body = body.split("\n[").next().expect("its lines");
            assert!(body.contains(&format!("exten => {extension},1,")), "{context}");
            assert!(label == "1" || body.contains(&format!("({label}),")), "{context},{extension},{label}");
        }
    }

    #[test]
    fn codes_are_those_that_run_ours() {
        let mut answer = Message::default();
        for (key, value) in [
            ("Response", "Success"),
            ("Category-000000", "applicationmap"),
            ("Line-000000-000000", "temoin-pause=*9,peer,Gosub,\"temoin-code,s,1(*9)\""),
            ("Line-000000-000001", "park=*3,self,Park"),
            ("Line-000000-000002", "odd"),
            ("Line-000000-000003", "temoin-told=>*5 , peer,Gosub,\"temoin-code,s,1(*5,keep)\""),
        ] {
            answer.headers.push((key.into(), value.into()));
        }
        assert_eq!(codes(&answer), BTreeSet::from(["*9".to_owned(), "*5".to_owned()]));
        assert!(codes(&Message::default()).is_empty());
    }
}
