//! The examples are what they say: every policy is whole and decides as it should, the configuration has no key that
//! the program does not know.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use jiff::civil::{Date, date};
use serde_json::Value;
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

/// What is found in a policy, without the place.
fn findings(text: &str) -> Vec<String> {
    let findings = lint::check(Some(("policy", text)), pack::shipped(), Some(DAY));
    findings.iter().map(|finding| format!("{} {} {}", finding.file, finding.code, finding.path)).collect()
}

/// What only a person can supply stands in `[prerequisites]`, in the agents' dates and in a campaign's necessity: with
/// these examples of it there is no error; without it, these findings and no others.
#[test]
fn every_policy_is_whole_but_for_what_only_people_can_supply() {
    let people = ["E-PREREQUISITE", "E-NO-NECESSITY", "W-AGENT-NO-NOTICE"];
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(format!("{ROOT}/examples/policies")).expect("examples") {
        let mut path = entry.expect("an example").path();
        seen.push(path.file_stem().expect("a name").to_string_lossy().into_owned());
        if path.is_dir() {
            path.push("policy.toml");
        }
        let text = std::fs::read_to_string(&path).expect("an example");
        let before = findings(&text);
        let errors: Vec<_> = before.iter().filter(|finding| finding.contains(" E-")).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        let found: Vec<_> =
            findings(&without_people(&text)).into_iter().filter(|f| !before.contains(f)).collect();
        assert!(!found.is_empty(), "{}: nothing is asked of anybody", path.display());
        let others: Vec<_> = found.iter().filter(|f| !people.iter().any(|code| f.contains(code))).collect();
        assert!(others.is_empty(), "{}: {others:#?}", path.display());
    }
    seen.sort();
    let decided = CALLS.iter().map(|(policy, _)| *policy);
    let mut expected: Vec<_> = decided.chain(["demo"]).collect();
    expected.sort_unstable();
    assert_eq!(seen, expected, "every example is decided below");
}

/// Everybody who begins with an example reads first for whom it is, and what he alone can supply.
#[test]
fn every_policy_says_for_whom_it_is_and_what_only_you_can_supply() {
    for (name, _) in CALLS {
        let text = policy(name);
        let head: String = text.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(head.starts_with("# For a"), "{name}: for whom?");
        assert!(head.contains("can supply: "), "{name}: what can only people supply?");
    }
}

fn without_people(text: &str) -> String {
    let mut table: toml::Table = text.parse().expect("TOML");
    table.remove("prerequisites");
    for (group, key) in [("agents", "notice"), ("campaigns", "necessity")] {
        let entries = table.get_mut(group).and_then(toml::Value::as_table_mut);
        for entry in entries.into_iter().flat_map(|entries| entries.iter_mut()) {
            entry.1.as_table_mut().expect("a table").remove(key);
        }
    }
    table.to_string()
}

/// A call that tells something: what it tells, what is different from the facts beside the policy (a merge patch; a leg
/// is named by its id), whether it is recorded, and the reason of each purpose.
type Call = (&'static str, &'static str, bool, &'static [(&'static str, &'static str)]);

/// What each policy does with calls, worked out by hand from what its head promises.
const CALLS: &[(&str, &[Call])] = &[
    (
        "french-call-centre",
        &[
            ("told, drawn, not refused", "{}", true, &[("quality", "ok")]),
            (
                "the lot fell on others",
                r#"{"sampling": {"drawn": {"autumn": false}}}"#,
                false,
                &[("quality", "not-sampled")],
            ),
            (
                "the announcement was cut short",
                r#"{"c1": {"heard": null}}"#,
                false,
                &[("quality", "announcement-pending")],
            ),
            ("refused", r#"{"c1": {"objected": true}}"#, false, &[("quality", "objected")]),
            (
                "a staff representative",
                r#"{"a1": {"extension": "4100"}}"#,
                false,
                &[("quality", "exempt-leg")],
            ),
            ("paused by the agent", r#"{"flags": ["agent-stop"]}"#, false, &[("quality", "agent-stop")]),
            (
                "before the agent was informed",
                r#"{"a1": {"agent": "bruno"}, "at": "2026-09-09T08:30:00Z"}"#,
                false,
                &[("quality", "prerequisite-missing")],
            ),
            (
                "after the season",
                r#"{"at": "2026-12-01T08:30:00Z"}"#,
                false,
                &[("quality", "no-open-campaign")],
            ),
        ],
    ),
    (
        "contract-proof",
        &[
            ("the talk bears on the contract", "{}", true, &[("contract-proof", "ok")]),
            ("it does not yet", r#"{"flags": []}"#, false, &[("contract-proof", "out-of-phase")]),
            (
                "there is a signed order",
                r#"{"flags": ["contract-talk", "other-proof"]}"#,
                false,
                &[("contract-proof", "other-proof-exists")],
            ),
            ("refused", r#"{"c1": {"objected": true}}"#, false, &[("contract-proof", "objected")]),
        ],
    ),
    (
        "german-line",
        &[
            ("both said yes", "{}", true, &[("quality", "ok")]),
            ("silence is a no", r#"{"c1": {"consented": null}}"#, false, &[("quality", "consent-pending")]),
            (
                "the agent has not agreed",
                r#"{"a1": {"agent": "bernd"}}"#,
                false,
                &[("quality", "consent-pending")],
            ),
            ("the agent objects", r#"{"a1": {"objected": true}}"#, false, &[("quality", "objected")]),
        ],
    ),
    (
        "bank-order-line",
        &[
            ("told: every call, no lot", "{}", true, &[("regulated-order", "ok")]),
            (
                "not told to the end",
                r#"{"c1": {"heard": null}}"#,
                false,
                &[("regulated-order", "announcement-pending")],
            ),
            ("refused", r#"{"c1": {"objected": true}}"#, false, &[("regulated-order", "objected")]),
            (
                "a staff representative",
                r#"{"a1": {"extension": "4100"}}"#,
                false,
                &[("regulated-order", "exempt-leg")],
            ),
        ],
    ),
    (
        "outsourcer",
        &[
            ("answered in Casablanca", "{}", true, &[("quality", "ok")]),
            (
                "by somebody not informed there",
                r#"{"a1": {"agent": "imane"}}"#,
                false,
                &[("quality", "prerequisite-missing")],
            ),
            (
                "the other brand's season has not begun, and this brand's lot does not count for it",
                r#"{"line": "pourpre", "at": "2026-10-30T09:12:00Z"}"#,
                false,
                &[("quality", "no-open-campaign")],
            ),
            (
                "a customer in Morocco, whose law no pack knows: he must say yes, and so must the agent",
                r#"{"c1": {"evidence": [{"territory": "MA", "source": "crm-address"}]}}"#,
                false,
                &[("quality", "consent-pending")],
            ),
            (
                "answered in a country that the contract does not name",
                r#"{"a1": {"agent": "hicham", "country": "TN"}}"#,
                false,
                &[("quality", "prerequisite-missing")],
            ),
        ],
    ),
    (
        "emergency-line",
        &[
            ("told: every call, no lot", "{}", true, &[("emergency", "ok")]),
            ("nobody may object to a duty", r#"{"c1": {"objected": true}}"#, true, &[("emergency", "ok")]),
            (
                "not told to the end",
                r#"{"c1": {"heard": null}}"#,
                false,
                &[("emergency", "announcement-pending")],
            ),
            (
                "a private call of the operator",
                r#"{"flags": ["private"]}"#,
                false,
                &[("emergency", "private-call")],
            ),
        ],
    ),
    (
        "canadian-office",
        &[
            ("in Québec, with a yes", "{}", true, &[("quality", "ok"), ("evaluation", "ok")]),
            (
                "in Québec without one: quality, but no evaluation",
                r#"{"c1": {"consented": null}}"#,
                true,
                &[("quality", "ok"), ("evaluation", "consent-pending")],
            ),
            (
                "in Alberta who stays has agreed",
                r#"{"c1": {"consented": null, "evidence": [{"territory": "CA-AB", "source": "crm-address"}]}, "language": "en"}"#,
                true,
                &[("quality", "ok"), ("evaluation", "ok")],
            ),
            (
                "nothing is known of the caller",
                r#"{"c1": {"evidence": [], "consented": null}}"#,
                true,
                &[("quality", "ok"), ("evaluation", "consent-pending")],
            ),
            (
                "only new hires are evaluated",
                r#"{"a1": {"agent": "oliver"}}"#,
                true,
                &[("quality", "ok"), ("evaluation", "no-open-campaign")],
            ),
            (
                "refused",
                r#"{"c1": {"consented": null, "objected": true}}"#,
                false,
                &[("quality", "objected"), ("evaluation", "objected")],
            ),
        ],
    ),
    (
        "professional-mobiles",
        &[
            ("in working hours", "{}", true, &[("quality", "ok")]),
            (
                "in the evening",
                r#"{"at": "2026-11-03T19:00:00Z"}"#,
                false,
                &[("quality", "no-open-campaign")],
            ),
            ("private", r#"{"flags": ["private"]}"#, false, &[("quality", "private-call")]),
            (
                "a mobile whose owner was not informed",
                r#"{"a1": {"agent": "lea"}}"#,
                false,
                &[("quality", "prerequisite-missing")],
            ),
            (
                "the staff representative's mobile",
                r#"{"a1": {"number": "+33 1 99 00 06 99"}}"#,
                false,
                &[("quality", "exempt-leg")],
            ),
        ],
    ),
];

/// The facts beside a policy, changed. A key that names a leg is merged into it; `null` takes a key away.
fn changed(name: &str, change: &str) -> String {
    let mut facts: Value = serde_json::from_str(&facts(name)).expect("JSON");
    let change: Value = serde_json::from_str(change).expect("JSON");
    for (key, value) in change.as_object().expect("an object") {
        let legs = facts["legs"].as_array_mut().expect("legs");
        match legs.iter_mut().find(|leg| leg["id"] == key.as_str()) {
            Some(leg) => {
                for (key, value) in value.as_object().expect("an object") {
                    if value.is_null() {
                        leg.as_object_mut().expect("a leg").remove(key);
                    } else {
                        leg[key] = value.clone();
                    }
                }
            }
            None => facts[key] = value.clone(),
        }
    }
    facts.to_string()
}

#[test]
fn every_policy_decides_as_its_head_promises() {
    for (name, calls) in CALLS {
        assert!(calls.len() >= 4, "{name}: too little is told of it");
        for (tells, change, record, expected) in *calls {
            let decision = decided(name, &changed(name, change));
            let reasons: BTreeMap<_, _> =
                decision.purposes.iter().map(|(p, v)| (p.to_string(), v.reason.to_string())).collect();
            let expected: BTreeMap<_, _> =
                expected.iter().map(|(p, reason)| ((*p).to_owned(), (*reason).to_owned())).collect();
            assert_eq!((decision.record, reasons), (*record, expected), "{name}: {tells}");
        }
    }
}

/// What becomes of the service where there is no recording.
#[test]
fn an_order_needs_a_recording_and_an_emergency_never_waits_for_one() {
    let service = |name, change| decided(name, &changed(name, change)).service.to_string();
    assert_eq!(service("bank-order-line", r#"{"c1": {"objected": true}}"#), "refuse-regulated-service");
    assert_eq!(service("bank-order-line", r#"{"c1": {"heard": null}}"#), "refuse-regulated-service");
    assert_eq!(service("emergency-line", r#"{"c1": {"heard": null}}"#), "continue");
    assert_eq!(service("canadian-office", r#"{"c1": {"objected": true}}"#), "alternative-channel");
    assert_eq!(service("french-call-centre", r#"{"c1": {"objected": true}}"#), "continue");
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
    for (name, _) in CALLS {
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
