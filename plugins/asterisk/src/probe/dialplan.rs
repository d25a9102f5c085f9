//! Whether the running dialplan has the shipped contexts, and `features.conf` the codes.
//!
//! `Getvar` without a channel reads a function on a channel made for it alone, so that `DIALPLAN_EXISTS` answers to a user
//! of class `call`; ARI gives it no channel, and `ShowDialPlan` wants the classes `config` or `reporting`. Where the user
//! may not use it, or `func_dialplan.so` is not loaded, that is told. The codes that are loaded no interface tells with
//! these rights: they are those of the file ([`super::conf`]).

use std::collections::BTreeSet;

use temoin_core::finding::Code;
use tokio::time::Instant;

use super::Probe;
use super::conf::Conf;
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
    ("temoin-stop", "s", "blank"),
];

/// Looks at the contexts.
pub(super) async fn look(ami: &Handle, may: &Message, deadline: Instant, probe: &mut Probe) {
    if may.first("Getvar").is_none() {
        return;
    }
    for (context, extension, label) in CONTEXTS {
        let hint = match (
            exists(ami, context, extension, "1", deadline).await,
            exists(ami, context, extension, label, deadline).await,
        ) {
            (Some(Exists::Unknown), _) => {
                let hint = "whether the shipped contexts are loaded cannot be asked for: put `load => func_dialplan.so` into \
                            modules.conf and `module load func_dialplan.so`, or look yourself: `dialplan show \
                            temoin-inbound`";
                return probe.tell("modules.conf", "func_dialplan.so", Code::PbxUnseen, hint);
            }
            (Some(Exists::No), _) => format!(
                "the context `{context}` is not loaded: `#include temoin.conf` at the end of extensions.conf, then \
                 `dialplan reload`"
            ),
            (Some(Exists::Yes), Some(Exists::No)) => format!(
                "the context `{context}` is of an older Témoin: copy dialplans/asterisk/temoin.conf anew, then `dialplan \
                 reload`"
            ),
            _ => continue,
        };
        probe.tell("extensions.conf", context, Code::PbxDialplan, hint);
    }
}

/// What `DIALPLAN_EXISTS` says.
enum Exists {
    Yes,
    No,
    /// There is no such function.
    Unknown,
}

async fn exists(
    ami: &Handle,
    context: &str,
    extension: &str,
    label: &str,
    deadline: Instant,
) -> Option<Exists> {
    let function = format!("DIALPLAN_EXISTS({context},{extension},{label})");
    let ask = Action::new("Getvar").with("Variable", function);
    let answer = ami.send(ask, Urgency::Normal, None, deadline).await.ok()?;
    Some(match answer.first("Value") {
        Some("1") => Exists::Yes,
        Some("0") => Exists::No,
        _ => Exists::Unknown,
    })
}

/// The codes of `features.conf` that lead to the shipped context: `temoin-pause => *9,peer,Gosub,…`.
pub(super) fn codes(features: &Conf) -> BTreeSet<String> {
    let code = |(_, value): (&str, &str)| {
        let (code, runs) = value.split_once(',')?;
        runs.contains("temoin-").then(|| code.trim().to_owned())
    };
    features.lines("applicationmap").filter_map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::super::conf;
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
        let features = conf::told(&[
            ("Response", "Success"),
            ("Category-000000", "applicationmap"),
            ("Line-000000-000000", "temoin-pause=*9,peer,Gosub,\"temoin-code,s,1(*9)\""),
            ("Line-000000-000001", "park=*3,self,Park"),
            ("Line-000000-000002", "odd"),
            ("Line-000000-000003", "temoin-told=>*5 , peer,Gosub,\"temoin-code,s,1(*5,keep)\""),
            ("Category-000001", "temoin-agent"),
            ("Line-000001-000000", "temoin-private=*7,peer,Gosub,\"temoin-code,s,1(*7)\""),
        ]);
        assert_eq!(codes(&features), BTreeSet::from(["*9".to_owned(), "*5".to_owned()]));
        assert!(codes(&Conf::default()).is_empty());
    }
}
