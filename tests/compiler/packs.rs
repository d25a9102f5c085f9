//! `temoin packs` and `temoin explain`.

use std::fs;

use super::desk::{Desk, ROOT};

#[test]
fn packs_are_listed_with_what_one_has_to_know_of_them() {
    let desk = Desk::new();
    let told = desk.run(&["packs"]).ends(0).says("20 packs").says("falls to default-strict");
    let fr = told.out.lines().find(|line| line.starts_with("fr ")).expect("France");
    for cell in ["FR", "France: quality", "1.0.0", "2026-11-21", "2027-11-21", " 3 ", "disputed"] {
        assert!(fr.contains(cell), "no {cell}: {fr}");
    }
    let json = desk.run(&["packs", "--json"]).ends(0).json();
    let packs = json["packs"].as_array().expect("a list");
    assert_eq!(packs.len(), 20);
    assert!(
        packs.iter().any(|pack| pack["id"] == "fr" && pack["rule_count"] == 3 && pack["overdue"] == false)
    );
}

#[test]
fn a_review_that_is_due_is_told() {
    let desk = Desk::new();
    let text =
        fs::read_to_string(format!("{ROOT}/connector/core/packs/default-strict.toml")).expect("a pack");
    let text = text.replace("reviewed_on = 2026-11-21", "reviewed_on = 2020-01-01");
    desk.write("packs/old.toml", text.replace("review_due = 2027-11-21", "review_due = 2020-12-31"));
    desk.run(&["packs", "--packs", "packs"]).ends(0).says("2020-12-31 OVERDUE").says("1 to be reviewed");
    desk.run(&["packs", "--packs", "packs", "show", "default-strict"]).ends(0).says("(OVERDUE)");
    let json = desk.run(&["packs", "--packs", "packs", "--json"]).ends(0).json();
    assert_eq!(json["packs"][0]["overdue"], true);
}

#[test]
fn a_pack_is_shown_with_its_rules_and_their_sources() {
    let desk = Desk::new();
    let told = desk.run(&["packs", "show", "fr"]).ends(0).says("fr/quality").says("fr/employee");
    told.says("regulator, verified, seen 2026-11-21").says("https://www.cnil.fr").says("due by 2027-11-21");
    desk.run(&["packs", "show", "xx"]).ends(3).says("no pack `xx`; there are be, ca,");
    let json = desk.run(&["packs", "show", "fr", "--json"]).ends(0).json();
    assert_eq!(json["rules"].as_array().map(Vec::len), Some(3));
}

#[test]
fn the_rules_for_a_purpose_are_explained_with_those_of_the_parents() {
    let desk = Desk::new();
    let told = desk.run(&["explain", "fr/training"]).ends(0);
    for rule in ["fr/quality", "fr/employee", "eu-base/customer"] {
        assert!(told.out.lines().any(|line| line.starts_with(rule)), "no {rule}: {told:#?}");
    }
    // By the name of a rule, too; and what is neither is told.
    desk.run(&["explain", "uk-fca/order"])
        .ends(0)
        .says("at least 5 years, at least 7 years if the authority asks");
    desk.run(&["explain", "fr/nothing"]).ends(3).says("employee, evidence, quality");
    desk.run(&["explain", "xx/quality"]).ends(3).says("no pack `xx`");
    let json = desk.run(&["explain", "fr/quality", "--json"]).ends(0).json();
    assert_eq!(json["rules"][0]["rule"], "fr/quality");
    assert_eq!(json["rules"][0]["sources"][0]["confidence"], "verified");
}

#[test]
fn a_code_is_explained_with_a_wrong_and_a_right_example() {
    let desk = Desk::new();
    let told = desk.run(&["explain", "E-KEY-CLASH"]).ends(0).says("Two functions on one key");
    told.says("info = \"1\"").says("info = \"9\"").says("To mend it");
    desk.run(&["explain", "e-key-clash"]).ends(0).says("E-KEY-CLASH");
    desk.run(&["explain", "E-NOTHING"]).ends(3).says("no code E-NOTHING");
    desk.run(&["explain"]).ends(0).says("E-KEY-CLASH").says("W-LANGUAGE");
    assert_eq!(desk.run(&["explain", "E-PARSE", "--json"]).ends(0).json()["code"], "E-PARSE");
}

#[test]
fn a_country_without_a_pack_falls_to_the_strictest() {
    let desk = Desk::new();
    let policy =
        fs::read_to_string(format!("{ROOT}/examples/policies/french-call-centre.toml")).expect("a policy");
    desk.write("policy.toml", policy.replace("markets = [\"FR\"]", "markets = [\"IT\"]"));
    let decide = |number: &str| {
        let facts = format!(
            r#"{{"at":"2026-10-06T09:00:00Z","line":"accueil","direction":"inbound","legs":[
            {{"id":"c1","kind":"customer"{number}}},{{"id":"a1","kind":"agent","agent":"amel"}}]}}"#
        );
        desk.write("facts.json", facts);
        let told = desk.run(&["decide", "--policy", "policy.toml", "--facts", "facts.json"]).ends(0);
        told.json()["purposes"]["quality"].clone()
    };
    let quality = decide("");
    let rules = quality["rules"].as_array().expect("rules");
    assert!(rules.iter().any(|rule| rule == "default-strict/customer"), "{quality}");
    assert_eq!(quality["gate"], "opt-in");
    // A French number on that line brings the French rules, too.
    let quality = decide(r#","number":"+33 1 99 00 12 34""#);
    let rules = quality["rules"].as_array().expect("rules");
    assert!(rules.iter().any(|rule| rule == "fr/quality"), "{quality}");
    assert!(rules.iter().any(|rule| rule == "default-strict/customer"), "{quality}");
}
