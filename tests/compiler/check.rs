//! `temoin check` as a compiler of policies: everything at once, in the order of the file, with the source.

use std::fs;

use serde_json::Value;

use super::desk::{Desk, ROOT, Told};

fn example() -> String {
    fs::read_to_string(format!("{ROOT}/examples/policies/french-call-centre.toml")).expect("the example")
}

/// The example with changes.
fn changed(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(example(), |text, (from, to)| {
        assert!(text.contains(from), "the example has no {from}");
        text.replacen(from, to, 1)
    })
}

fn check(policy: impl AsRef<[u8]>) -> Told {
    Desk::new().write("policy.toml", policy).run(&["check", "--policy", "policy.toml"])
}

/// Codes and lines of the findings in the policy.
fn findings(policy: &str) -> Vec<(String, u64)> {
    let desk = Desk::new();
    let told = desk.write("policy.toml", policy).run(&["check", "--policy", "policy.toml", "--json"]);
    let json = told.json();
    let all = json["findings"].as_array().expect("a list").iter();
    all.filter(|one| one["file"] == "policy.toml")
        .map(|one| (one["code"].as_str().expect("a code").to_owned(), one["line"].as_u64().expect("a line")))
        .collect()
}

#[test]
fn a_policy_is_checked_without_a_machine() {
    check(example()).ends(0).says("usable: 0 to mend");
    let desk = Desk::new();
    desk.run(&["check", "--policy", "nowhere.toml"]).ends(2).says("nowhere.toml");
    desk.write("policy.toml", example())
        .run(&["check", "--policy", "policy.toml", "--packs", "nowhere"])
        .ends(2);
    let pack = fs::read_to_string(format!("{ROOT}/connector/core/packs/fr.toml")).expect("a pack");
    let base = fs::read_to_string(format!("{ROOT}/connector/core/packs/eu-base.toml")).expect("a pack");
    desk.write("packs/fr.toml", pack.replace("max = 300", "max = 100")).write("packs/eu-base.toml", base);
    let args = ["check", "--policy", "policy.toml", "--packs", "packs"];
    desk.run(&args).ends(1).says("E-RATE-ABOVE-CAP campaigns.autumn.rate: at most 100 of a thousand");
}

#[test]
fn ten_faults_are_ten_findings_in_the_order_of_the_file() {
    let policy = changed(&[
        ("numbers = [\"+33199000100\"]", "numbers = [\"+33199000100\"]\nsectors = []"),
        ("object = \"1\", info = \"9\"", "info = \"9\", agent_contract = \"*9\""),
        (" Vos droits ({contact}) : touche {info}.", ""),
        (
            "[campaigns.autumn]",
            "[campaigns.summer]\npurpose = \"quality\"\nfrom = 2026-07-01\nrate = 200\n\n[campaigns.autumn]",
        ),
        ("until = 2026-11-30\nrate = 200", "until = 2027-11-30\nrate = 400"),
        ("dpia = \"AIPD-2026-03\"\n", ""),
        (", notice = 2026-09-10", ""),
        ("[roles]", "[tighten.quality]\nrate_max = 900\n\n[roles]"),
    ]);
    let found = findings(&policy);
    let codes: Vec<&str> = found.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "E-KEY-MISSING",
            "E-KEY-CLASH",
            "E-ELEMENT-MISSING",
            "E-NO-NECESSITY",
            "E-CAMPAIGN-NO-END",
            "E-CAMPAIGN-TOO-LONG",
            "E-RATE-ABOVE-CAP",
            "E-PREREQUISITE",
            "W-AGENT-NO-NOTICE",
            "E-LOOSENS-PACK",
        ],
        "{found:#?}"
    );
    assert!(found.is_sorted_by_key(|(_, line)| *line), "{found:?}");
}

#[test]
fn a_day_that_does_not_exist_hides_no_other_fault() {
    let policy = r#"site = "Durand"
timezone = "Europe/Pariss"
controler = { name = "Durand SA", contact = "dpo@durand.example" }
purposes = ["quality", "qualité"]

[lines.accueil]
numbers = ["0199000100"]
markets = ["France"]
prompts = { fr = { version = 3, purposes = ["quality"] } }

[campaigns.autumn]
purpose = "quality"
from = 2026-02-30
until = "soon"
rate = 1200
"#;
    let found = findings(policy);
    let places: Vec<(&str, u64)> = found.iter().map(|(code, line)| (code.as_str(), *line)).collect();
    assert_eq!(
        places,
        [
            ("E-MISSING-KEY", 1),
            ("E-BAD-VALUE", 2),
            ("E-UNKNOWN-KEY", 3),
            ("E-BAD-VALUE", 4),
            ("E-BAD-VALUE", 7),
            ("E-BAD-VALUE", 8),
            ("E-BAD-VALUE", 9),
            ("E-PARSE", 13),
            ("E-BAD-VALUE", 14),
            ("E-BAD-VALUE", 15),
        ]
    );
}

#[test]
fn every_place_at_which_a_policy_is_no_toml_is_told_and_nothing_of_packs_that_it_may_not_use() {
    let told = check(
        "site = \"Durand\ntimezone = Europe/Paris\npurposes = [\"quality\"]\n[lines.accueil\nrate = 1\n",
    )
    .ends(1);
    let heads: Vec<&str> =
        told.out.lines().filter(|line| line.contains(": E-") || line.contains(": W-")).collect();
    assert_eq!(heads.len(), 3, "{heads:#?}");
    for (head, line) in heads.iter().zip([1, 2, 4]) {
        assert!(head.starts_with(&format!("policy.toml:{line}:")) && head.contains("E-PARSE"), "{head}");
    }
    assert!(told.out.ends_with("not usable: 3 to mend, 0 to think about\n"), "{}", told.out);
}

#[test]
fn what_is_misspelt_is_told_with_what_was_meant() {
    for (from, to, meant) in [
        ("controller =", "controler =", "E-UNKNOWN-KEY controler: no such key; did you mean `controller`?"),
        ("purposes = [\"quality\"]", "purposes = [\"qualité\"]", "no such purpose; did you mean `quality`?"),
        ("rate = 200 #", "lines = [\"acueil\"]\nrate = 200 #", "no such line; did you mean `accueil`?"),
        ("rate = 200 #", "agents = [\"nobody\"]\nrate = 200 #", "no such agent; there are: amel, bruno"),
        (
            "markets = [\"FR\"]",
            "markets = [\"FR\"]\nsectors = [\"fr-contrat\"]",
            "is not loaded; did you mean `fr-contract`?",
        ),
        ("rate = 200 #", "direction = \"inbuond\"\nrate = 200 #", "did you mean `inbound`?"),
    ] {
        check(changed(&[(from, to)])).ends(1).says(meant);
    }
}

#[test]
fn a_finding_shows_the_source_the_rule_and_the_mend() {
    let told = check(changed(&[("rate = 200 #", "rate = 400 #")])).ends(1);
    let page = &told.out;
    let text = changed(&[("rate = 200 #", "rate = 400 #")]);
    let line = text.lines().position(|line| line.starts_with("rate = 400")).expect("the line") + 1;
    let head = format!("policy.toml:{line}:1: E-RATE-ABOVE-CAP campaigns.autumn.rate: at most 300");
    let at = page.find(&head).expect(page);
    let block: Vec<&str> = page[at..].lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(
        block[1..4],
        ["   |", &format!("{line} | rate = 400 # per mille"), "   | ^^^^^^^^^^"],
        "{page}"
    );
    assert_eq!(block[4], "   = because of: fr/quality", "{page}");
    assert!(block[5].starts_with("       CNIL, ") && block[5].ends_with(" (verified)"), "{page}");
    let mend = block.iter().position(|line| line.starts_with("   = mend: Lower the rate")).expect(page);
    assert_eq!(block[mend + 1], "   = more: temoin explain E-RATE-ABOVE-CAP");
    assert!(!page.contains('\u{1b}'), "no colours into a pipe");

    let desk = Desk::new();
    desk.write("policy.toml", changed(&[("rate = 200 #", "rate = 400 #")]));
    let json = desk.run(&["check", "--policy", "policy.toml", "--json"]).ends(1).json();
    let found =
        json["findings"].as_array().and_then(|all| all.iter().find(|one| one["code"] == "E-RATE-ABOVE-CAP"));
    let found = found.expect("the finding");
    assert_eq!((&found["line"], &found["column"]), (&line.into(), &1.into()));
    assert_eq!(found["because"][0]["rule"], "fr/quality");
    assert!(found["because"][0]["sources"].as_array().is_some_and(|all| !all.is_empty()));
    assert!(found["mend"].is_string() && json["usable"] == Value::Bool(true));
}

#[test]
fn parents_in_a_circle_are_a_finding() {
    let desk = Desk::new();
    let pack = |id: &str, parent: &str| {
        let text = fs::read_to_string(format!("{ROOT}/connector/core/packs/fr.toml")).expect("a pack");
        text.replace("pack = \"fr\"", &format!("pack = \"{id}\""))
            .replace("\"eu-base\"", &format!("\"{parent}\""))
    };
    desk.write("policy.toml", example())
        .write("packs/fr.toml", pack("fr", "b"))
        .write("packs/b.toml", pack("b", "c"))
        .write("packs/c.toml", pack("c", "fr"))
        .write("packs/self.toml", pack("self", "self"));
    let told = desk.run(&["check", "--policy", "policy.toml", "--packs", "packs"]).ends(1);
    for pack in ["fr", "b", "c", "self"] {
        assert!(
            told.out.contains(&format!("packs/{pack}.toml:6:1: E-PARENT-CYCLE parent")),
            "{pack}: {told:#?}"
        );
    }
}

#[test]
fn absurd_files_are_findings_and_never_a_fall() {
    let keys: String = (0..200_000).map(|n| format!("k{n} = 1\n")).collect();
    let lines: String = (0..20_000).map(|n| format!("[lines.l{n}]\nnumbers = []\n")).collect();
    for (name, policy, code) in [
        ("nothing", String::new(), "E-MISSING-KEY"),
        ("ten megabytes", "# x\n".repeat(2_500_000), "E-PARSE"),
        ("ten megabytes in one line", format!("site = \"{}\"", "x".repeat(10_000_000)), "E-PARSE"),
        ("many unknown keys", keys, "E-UNKNOWN-KEY"),
        ("many bad lines", lines, "E-MISSING-KEY"),
        ("deep", format!("a = {}1{}", "[".repeat(100_000), "]".repeat(100_000)), "E-PARSE"),
        ("deep keys", format!("{}b = 1", "a.".repeat(100_000)), "E-"),
        ("control characters", "site = \"a\u{0}b\"\n".to_owned(), "E-PARSE"),
        (
            "escapes",
            changed(&[("amel =", "\"\\u001b[2J\" =")]).replace("\"FR\", notice", "\"XX\u{202e}\", notice"),
            "E-",
        ),
        ("a day that does not exist", changed(&[("2026-09-01", "2026-02-30")]), "E-"),
        ("a year that does not exist", changed(&[("2026-09-01", "99999-01-01")]), "E-"),
        ("the last year", changed(&[("until = 2026-11-30", "until = 9999-12-31")]), "E-CAMPAIGN-TOO-LONG"),
        ("the first year", changed(&[("from = 2026-09-01", "from = 0000-01-01")]), "E-CAMPAIGN-TOO-LONG"),
        ("backwards", changed(&[("until = 2026-11-30", "until = 2025-11-30")]), "E-BAD-VALUE"),
        ("no such zone", changed(&[("Europe/Paris", "Europe/Durand")]), "E-BAD-VALUE"),
        ("a zone upwards", changed(&[("Europe/Paris", "../../etc/passwd")]), "E-BAD-VALUE"),
        ("a zone of spaces", changed(&[("Europe/Paris", " ")]), "E-BAD-VALUE"),
        (
            "another letter",
            changed(&[("purposes = [\"quality\"]", "purposes = [\"quаlity\"]")]),
            "E-BAD-VALUE",
        ),
    ] {
        let told = check(&policy);
        assert_eq!(told.code, Some(1), "{name}: {:.2000}", told.out);
        assert!(told.out.contains(code), "{name}: no {code}: {:.2000}", told.out);
        assert!(told.out.starts_with("policy.toml"), "{name}: {:.200}", told.out);
        assert!(told.out.len() < 1_000_000, "{name}: {} bytes", told.out.len());
        assert!(told.out.chars().all(|c| c == '\n' || !c.is_control()), "{name}: control characters");
    }
    check([0xff, 0xfe, 0x00]).ends(2).says("policy.toml").says("UTF-8");
}

#[test]
fn a_pack_whose_review_is_due_warns() {
    let desk = Desk::new();
    desk.write("policy.toml", example());
    let due = |now: &str| {
        let now = now.parse().expect("an instant");
        let report =
            temoin::check::look_at_policy(&desk.path("policy.toml"), None, now).expect("it can be read");
        let due = report.faults.iter().filter(|fault| fault.code.as_str() == "W-PACK-REVIEW-DUE");
        due.map(|fault| fault.file.clone()).collect::<Vec<_>>()
    };
    assert_eq!(due("2027-11-21T12:00:00Z"), [""; 0]);
    // Only the packs that the policy uses.
    assert_eq!(due("2027-11-23T12:00:00Z"), ["eu-base.toml", "fr.toml"]);
}
