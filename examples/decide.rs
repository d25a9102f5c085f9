//! Decides once and says why: `cargo run --example decide -- POLICY FACTS`, without arguments the French call centre.
//!
//! The policy is a site policy (TOML), the facts are what is known of a call at a moment (JSON); the packs are those
//! that come with the program.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use temoin_core::decide::{Decision, Verdict, explain};
use temoin_core::facts::Facts;
use temoin_core::pack;
use temoin_core::policy::Policy;

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut files = std::env::args_os().skip(1).map(PathBuf::from);
    let policy = files.next().unwrap_or_else(|| folder.join("policies/french-call-centre.toml"));
    let facts = files.next().unwrap_or_else(|| folder.join("facts/french-call-centre.json"));
    match decide(&policy, &facts) {
        Ok(verdict) => {
            print!("{verdict}");
            ExitCode::SUCCESS
        }
        Err(faults) => {
            eprintln!("{faults}");
            ExitCode::from(2)
        }
    }
}

fn decide(policy: &Path, facts: &Path) -> Result<String, String> {
    let read =
        |file: &Path| std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()));
    let name = policy.display().to_string();
    let policy = Policy::load((&name, &read(policy)?), pack::shipped())
        .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let told: Facts =
        serde_json::from_str(&read(facts)?).map_err(|error| format!("{}: {error}", facts.display()))?;
    Ok(readable(&explain(&told, &policy)))
}

/// The verdict for people: the answer first, then every purpose with its reason and the rules behind it.
fn readable(decision: &Decision) -> String {
    let list = |things: &mut dyn Iterator<Item = String>| things.collect::<Vec<_>>().join(", ");
    let mut lines = vec![if decision.record {
        format!("RECORD, for {}", list(&mut decision.recorded_purposes.iter().map(ToString::to_string)))
    } else {
        "DO NOT RECORD".to_owned()
    }];
    for (purpose, verdict) in &decision.purposes {
        let Verdict { record, reason, gate, rules, missing, .. } = verdict;
        let answer = if *record { "yes" } else { "no" };
        lines.push(format!("  {purpose}: {answer}, because: {reason}; gate: {gate}"));
        if !missing.is_empty() {
            lines
                .push(format!("    missing on file: {}", list(&mut missing.iter().map(ToString::to_string))));
        }
        lines.push(format!("    rules: {}", list(&mut rules.iter().map(ToString::to_string))));
    }
    if let Some(dates) = &decision.retention {
        let day =
            |at: Option<_>| at.map_or_else(|| "no day".to_owned(), |at: jiff::Timestamp| at.to_string());
        lines.push(format!("erased: planned for {}, gone by {}", day(dates.scheduled), day(dates.delete_by)));
    }
    if !decision.obligations.is_empty() {
        lines.push(format!("also: {}", list(&mut decision.obligations.iter().map(ToString::to_string))));
    }
    lines.push(format!("never: {}", list(&mut decision.never.iter().map(ToString::to_string))));
    lines.join("\n") + "\n"
}
