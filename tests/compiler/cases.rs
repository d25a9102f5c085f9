//! `temoin cases`.

use std::fs;

use super::desk::{Desk, ROOT};

/// A case about the policy that lies beside the folder of cases.
fn case(id: &str, reason: &str) -> String {
    format!(
        r#"{{
  "id": "{id}", "title": "Nothing is recorded before the announcement", "why": "Nobody may be recorded unawares.",
  "ask": "decide",
  "given": {{
    "packs": ["std"], "site": "policy",
    "facts": {{ "at": "2026-10-06T09:00:00Z", "line": "accueil", "direction": "inbound", "sampling": {{ "draw": 0.05 }},
      "legs": [ {{ "id": "c1", "kind": "customer", "market": "FR" }}, {{ "id": "a1", "kind": "agent", "agent": "amel" }} ] }}
  }},
  "expect": {{ "record": false, "purposes": {{ "quality": {{ "reason": "{reason}" }} }} }}
}}"#
    )
}

fn own() -> Desk {
    let desk = Desk::new();
    let policy = fs::read(format!("{ROOT}/examples/policies/french-call-centre.toml")).expect("the example");
    desk.write("policy.toml", policy).write("cases/good.json", case("own-1", "announcement-pending"));
    desk
}

#[test]
fn all_shipped_cases_pass() {
    let told = Desk::new().run(&["cases", &format!("{ROOT}/tests/cases")]).ends(0);
    let last = told.out.lines().last().expect("a line");
    let passed: usize = last.strip_suffix(" passed, 0 failed").expect(last).parse().expect("a number");
    assert!(passed >= 358, "{last}");
}

#[test]
fn the_same_cases_pass_from_one_of_their_folders_and_from_one_file() {
    let desk = Desk::new();
    desk.run(&["cases", &format!("{ROOT}/tests/cases/decide")]).ends(0).says(" passed, 0 failed");
    desk.run(&["cases", &format!("{ROOT}/tests/cases/decide/D-order1.json")])
        .ends(0)
        .says("1 passed, 0 failed");
}

#[test]
fn a_site_keeps_its_own_cases_beside_its_policy() {
    let desk = own();
    desk.run(&["cases", "cases"]).ends(0).says("1 passed, 0 failed");
    // Also from inside.
    desk.run(&["cases", "cases/good.json"]).ends(0).says("1 passed, 0 failed");
}

#[test]
fn a_broken_expectation_is_told_with_what_was_expected_and_what_came() {
    let desk = own();
    desk.write("cases/bad.json", case("own-2", "ok"));
    let told = desk.run(&["cases", "cases"]).ends(1);
    let wanted = "FAILED own-2: Nothing is recorded before the announcement\n  in cases/bad.json\n  \
                  why: Nobody may be recorded unawares.\n    purposes.quality.reason\n      expected  \"ok\"\n      \
                  got       \"announcement-pending\"\n\n1 passed, 1 failed\n";
    assert_eq!(told.out, wanted);

    let json = desk.run(&["cases", "cases", "--json"]).ends(1).json();
    assert_eq!((&json["passed"], &json["failed"]), (&1.into(), &1.into()));
    assert_eq!(json["cases"][0]["differences"][0]["at"], ".purposes.quality.reason");
    assert_eq!(json["cases"][0]["differences"][0]["got"], "announcement-pending");
    assert_eq!(json["cases"][1]["outcome"], "passed");
}

#[test]
fn what_cannot_be_asked_is_told_with_file_and_case_and_the_rest_is_run() {
    let desk = own();
    let good = case("own-3", "announcement-pending");
    for (name, text, why) in [
        ("half.json", "{\"id\":".to_owned(), "not a case: EOF"),
        ("key.json", good.replace("\"why\"", "\"wy\""), "unknown field `wy`"),
        ("ask.json", good.replace("\"decide\"", "\"decid\""), "no such ask `decid`"),
        ("site.json", good.replace("\"policy\"", "\"polly\""), "no site policy `polly`"),
        ("pack.json", good.replace("\"std\"", "\"france\""), "no pack `france`"),
        ("way.json", good.replace("\"policy\"", "\"../policy\""), "not the plain name"),
        ("facts.json", good.replace("\"market\"", "\"markt\""), "unknown field `markt`"),
    ] {
        desk.write(&format!("cases/{name}"), text);
        let told = desk.run(&["cases", "cases"]).ends(2).says(why).says(&format!("in cases/{name}"));
        if !matches!(name, "half.json" | "key.json") {
            assert!(told.out.contains("UNREADABLE own-3:"), "{told:#?}");
        }
        assert!(told.out.ends_with("\n1 passed, 1 failed\n"), "{told:#?}");
        fs::remove_file(desk.path(&format!("cases/{name}"))).expect("it was written");
    }
    desk.write("cases/bytes.json", [0xff, 0x00, 0x7b]);
    desk.run(&["cases", "cases"]).ends(2).says("in cases/bytes.json");
}

#[test]
fn a_policy_that_cannot_be_read_is_told_with_its_place() {
    let desk = own();
    desk.write("policy.toml", "site = 'x'\nlinez = {}\n");
    desk.run(&["cases", "cases"])
        .ends(2)
        .says("policy.toml:2:1: E-UNKNOWN-KEY linez")
        .says("UNREADABLE own-1");
}

#[test]
fn a_folder_without_cases_is_an_error() {
    let desk = Desk::new();
    desk.run(&["cases", "nowhere"]).ends(2).says("nowhere").says("name a folder of cases");
    desk.write("empty/readme.md", "");
    desk.run(&["cases", "empty"]).ends(2).says("no case");
}
