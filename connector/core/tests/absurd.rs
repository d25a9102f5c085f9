//! No bytes in a pack, a policy or a case of facts end in anything but an answer.

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use temoin_core::decide::{announcement, explain, stakes};
use temoin_core::facts::Facts;
use temoin_core::finding::Code;
use temoin_core::lint::{activate, check};
use temoin_core::pack::shipped;
use temoin_core::policy::Policy;
use temoin_core::time::{Bound, Period, Zone};

const SITE: &str = include_str!("../../../tests/cases/sites/group.toml");
const FACTS: &str = r#"{ "at": "2026-09-15T08:12:00Z", "call_start": "2026-09-15T08:11:50Z", "line": "accueil",
  "direction": "inbound", "queue": "sav", "language": "fr", "legs": [ { "id": "c1", "kind": "customer",
  "number": "+33199000001", "market": "FR", "evidence": [ { "territory": "FR", "source": "crm-address" } ],
  "heard": ["quality"], "objected": ["training"], "consented": true }, { "id": "a1", "kind": "agent", "agent": "amel" } ],
  "flags": ["private"], "sampling": { "draw": 0.05 } }"#;

/// A few edits of a text: something cut out, doubled, or replaced by what hurts.
fn edited(text: &'static str) -> impl Strategy<Value = String> {
    let hurtful = select(vec![
        "",
        "\0",
        "\u{202e}",
        "é",
        "[",
        "]]",
        "\"",
        "\n",
        "=",
        "{",
        "}",
        "*",
        "-1",
        "1e999",
        "99999999999999999999",
        "9999-12-31",
        "0000-01-01",
        "2026-02-30",
        "true",
        "[]",
        "\"\"",
        "{ a = 1 }",
        "off",
        "ZZ",
        "x-",
        "#",
        ".a.b.c",
    ]);
    vec((any::<Index>(), 0..40_usize, hurtful), 1..6).prop_map(move |edits| {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, length, put) in edits {
            let at = at.index(chars.len().max(1)).min(chars.len());
            let end = (at + length).min(chars.len());
            chars.splice(at..end, put.chars());
        }
        chars.into_iter().collect()
    })
}

fn answer_everything(site: &str, packs: &[(&str, &str)], facts: &Facts) {
    let today = "2026-11-22".parse().expect("a day");
    check(Some(("site.toml", site)), packs, Some(today));
    if let Ok(policy) = Policy::load(("site.toml", site), packs) {
        explain(facts, &policy);
        announcement(facts, &policy);
        stakes(facts, &policy);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn edited_policies_are_answered(site in edited(SITE)) {
        answer_everything(&site, shipped(), &Facts::from_json(FACTS).expect("facts"));
    }

    #[test]
    fn edited_packs_are_answered(pack in edited(shipped()[9].1)) {
        let packs: Vec<_> = shipped().iter().filter(|(name, _)| *name != shipped()[9].0).copied().collect();
        let packs: Vec<_> = packs.into_iter().chain([("edited.toml", pack.as_str())]).collect();
        answer_everything(SITE, &packs, &Facts::from_json(FACTS).expect("facts"));
    }

    #[test]
    fn edited_facts_are_answered(text in edited(FACTS)) {
        if let Ok(facts) = Facts::from_json(&text) {
            let policy = Policy::load(("site.toml", SITE), shipped()).expect("a policy");
            explain(&facts, &policy);
            announcement(&facts, &policy);
        }
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,400}", zone in "\\PC{0,20}") {
        answer_everything(&text, &[("pack.toml", &text)], &Facts::from_json(FACTS).expect("facts"));
        let _ = Facts::from_json(&text);
        let _ = text.parse::<Period>();
        let _ = text.parse::<Bound>();
        let _ = text.parse::<temoin_core::sampling::Draw>();
        let _ = Zone::named(&zone);
    }

    #[test]
    fn any_moment_is_answered(second in -377_705_023_201_i64..253_402_207_200) {
        let policy = Policy::load(("site.toml", SITE), shipped()).expect("a policy");
        let mut facts = Facts::from_json(FACTS).expect("facts");
        facts.flags.clear();
        facts.at = Timestamp::from_second(second).expect("an instant");
        facts.call_start = None;
        explain(&facts, &policy);
    }
}

#[test]
fn the_shipped_packs_are_fit_to_be_loaded() {
    let today = "2026-11-22".parse().expect("a day");
    let errors: Vec<_> =
        check(None, shipped(), Some(today)).into_iter().filter(|f| f.code.is_error()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(
        shipped().len(),
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/packs")).expect("packs").count()
    );
}

#[test]
fn a_large_file_is_one_finding() {
    let large = "a = 1\n".repeat(2_000_000);
    let findings = check(Some(("site.toml", &large)), &[("pack.toml", &large)], None);
    assert_eq!(findings.iter().map(|f| f.code).collect::<Vec<_>>(), [Code::Parse, Code::Parse]);
}

#[test]
fn deep_nesting_is_one_finding() {
    let arrays = format!("a = {}", "[".repeat(100_000));
    let tables = format!("[{}]", vec!["a"; 100_000].join("."));
    for text in [arrays, tables] {
        let findings = check(Some(("site.toml", &text)), &[], None);
        assert!(!findings.is_empty());
    }
}

#[test]
fn parents_in_a_circle_are_findings_and_decide() {
    let pack = |id: &str, parent: &str| {
        format!(
            "pack = \"{id}\"\nversion = \"1.0.0\"\nkind = \"territory\"\nstatus = \"current\"\nparent = \"{parent}\"\n\
             territory = [\"FR\"]\nvalid_from = 2026-01-01\nreviewed_on = 2026-01-01\nreview_due = 2026-12-31\n\
             [rules.r]\nfacet = \"customer\"\npurposes = [\"*\"]\nretention = {{ max = \"1 day\" }}\n"
        )
    };
    let (a, b, own) = (pack("a", "b"), pack("b", "a"), pack("own", "own"));
    let packs = [("a.toml", a.as_str()), ("b.toml", b.as_str()), ("own.toml", own.as_str())];
    let codes: Vec<_> =
        check(None, &packs, None).into_iter().filter(|f| f.path == "parent").map(|f| f.code).collect();
    assert_eq!(codes, [Code::ParentCycle; 3]);
    answer_everything(SITE, &packs, &Facts::from_json(FACTS).expect("facts"));
}

#[test]
fn two_packs_with_one_id_are_refused_and_one_file_twice_is_not() {
    let other = shipped()[9].1.replace("opt-out", "silent");
    let twice: Vec<_> = shipped().iter().chain(shipped()).copied().collect();
    assert!(Policy::load(("site.toml", SITE), &twice).is_ok());
    let doubled: Vec<_> = shipped().iter().copied().chain([("other.toml", other.as_str())]).collect();
    let findings = Policy::load(("site.toml", SITE), &doubled).expect_err("an ambiguity");
    assert_eq!(findings[0].code, Code::DuplicatePack);
}

#[test]
fn only_a_policy_without_errors_is_activated() {
    let today = "2026-11-22".parse().expect("a day");
    let clean = include_str!("../../../tests/cases/sites/lint-l-clean.toml");
    let (policy, warnings) = activate(("clean.toml", clean), shipped(), today).expect("a clean policy");
    assert!(warnings.iter().all(|finding| !finding.code.is_error()));
    assert!(policy.line_by_number("00 33 1 99 00 01 00").is_some());
    let long = include_str!("../../../tests/cases/sites/lint-l-long.toml");
    assert!(activate(("long.toml", long), shipped(), today).is_err());
}

#[test]
fn the_hash_is_of_the_texts_alone() {
    let policy =
        |packs: &[(&str, &str)]| Policy::load(("site.toml", SITE), packs).expect("a policy").hash_hex();
    let renamed: Vec<_> = shipped().iter().rev().map(|(_, text)| ("renamed", *text)).collect();
    assert_eq!(policy(shipped()), policy(&renamed));
    assert_ne!(policy(shipped()), policy(&shipped()[1..]));
    assert_eq!(policy(shipped()).len(), 64);
}
