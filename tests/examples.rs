//! The examples are what they say: every policy is whole and decides as it should, the configuration has no key that
//! the program does not know.

use std::path::Path;
use std::process::Command;

use jiff::civil::{Date, date};
use temoin_core::decide::{Decision, decide};
use temoin_core::facts::Facts;
use temoin_core::lint;
use temoin_core::pack;
use temoin_core::policy::Policy;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// A day on which every shipped pack is valid.
const DAY: Date = date(2026, 11, 21);

fn policy(name: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/examples/policies/{name}.toml")).expect("an example")
}

fn facts(name: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/examples/facts/{name}.json")).expect("an example")
}

fn decided(name: &str, facts: &str) -> Decision {
    let policy = Policy::load((name, &policy(name)), pack::shipped()).expect("a policy");
    let facts: Facts = serde_json::from_str(facts).expect("facts");
    decide(&facts, &policy)
}

fn errors(text: &str) -> Vec<String> {
    let findings = lint::check(Some(("policy", text)), pack::shipped(), Some(DAY));
    findings.iter().filter(|finding| finding.code.is_error()).map(ToString::to_string).collect()
}

/// What only a person can supply stands in `[prerequisites]`, in the agents' dates and in a campaign's necessity: with
/// these examples of it there is no error; without it, these and no others.
#[test]
fn every_policy_is_whole_but_for_what_only_people_can_supply() {
    let people = ["E-PREREQUISITE", "E-NO-NECESSITY"];
    let mut seen = 0;
    for entry in std::fs::read_dir(format!("{ROOT}/examples/policies")).expect("examples") {
        let mut path = entry.expect("an example").path();
        if path.is_dir() {
            path.push("policy.toml");
        }
        let text = std::fs::read_to_string(&path).expect("an example");
        assert_eq!(errors(&text), Vec::<String>::new(), "{}", path.display());
        let mut table: toml::Table = text.parse().expect("TOML");
        table.insert("prerequisites".into(), toml::Table::new().into());
        let found = errors(&table.to_string());
        assert!(!found.is_empty(), "{}: nothing is asked of anybody", path.display());
        let others = found.iter().filter(|error| !people.iter().any(|code| error.contains(code)));
        assert_eq!(others.count(), 0, "{}: {found:#?}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn the_french_call_centre_records_whom_the_lot_chose_and_who_did_not_refuse() {
    let told = facts("french-call-centre");
    assert_eq!(policy("french-call-centre").lines().count(), 40, "forty lines");
    assert!(decided("french-call-centre", &told).record);
    for (change, into, reason) in [
        ("\"autumn\": true", "\"autumn\": false", "not-sampled"),
        ("\"heard\": [\"quality\"]", "\"market\": \"FR\"", "announcement-pending"),
        ("\"heard\"", "\"objected\": true, \"heard\"", "objected"),
        ("\"agent\": \"amel\"", "\"agent\": \"amel\", \"extension\": \"4100\"", "exempt-leg"),
    ] {
        let decision = decided("french-call-centre", &told.replace(change, into));
        let told = decision.purposes.values().map(|verdict| verdict.reason.to_string()).collect::<Vec<_>>();
        assert_eq!((decision.record, told), (false, vec![reason.to_owned()]));
    }
}

#[test]
fn a_contract_is_recorded_only_while_it_is_made() {
    let told = facts("contract-proof");
    assert!(decided("contract-proof", &told).record);
    let before = decided("contract-proof", &told.replace("\"contract-talk\"", ""));
    let reasons: Vec<_> = before.purposes.values().map(|verdict| verdict.reason.to_string()).collect();
    assert_eq!((before.record, reasons), (false, vec!["out-of-phase".to_owned()]));
}

#[test]
fn the_german_line_waits_for_everybody_s_yes() {
    let told = facts("german-line");
    assert!(decided("german-line", &told).record);
    assert!(
        !decided("german-line", &told.replace(", \"consented\": [\"quality\"]", "")).record,
        "silence is a no"
    );
    assert!(!decided("german-line", &told.replace("anna", "bernd")).record, "the agent has not agreed");
}

#[test]
fn the_configuration_has_no_key_that_the_program_does_not_know() {
    let file = Path::new(ROOT).join("examples/temoin.toml");
    let (config, _) = temoin::config::Config::read(&file).expect("a whole configuration");
    assert_eq!(config.policy, Path::new(ROOT).join("examples/policies/french-call-centre.toml"));
    let (desk, faults) = config.desk(String::new());
    assert!(faults.is_empty(), "{faults:?}");
    assert!(!desk.sounds.is_empty());
    let policy = Policy::load(("policy", &policy("french-call-centre")), pack::shipped()).expect("a policy");
    assert!(config.lines.keys().all(|line| policy.line(line).is_some()));
    assert!(config.extensions.values().all(|agent| policy.agent(agent).is_some()));
}

#[test]
fn the_program_decides_the_same_as_the_example() {
    for name in ["french-call-centre", "contract-proof", "german-line"] {
        let output = Command::new(env!("CARGO_BIN_EXE_temoin"))
            .args(["decide", "--policy"])
            .arg(format!("{ROOT}/examples/policies/{name}.toml"))
            .arg("--facts")
            .arg(format!("{ROOT}/examples/facts/{name}.json"))
            .output()
            .expect("it runs");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(told["record"], true, "{name}: {told:#}");
    }
}
