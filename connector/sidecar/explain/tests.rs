//! Every code is explained, and every example is what it says: looked at by the program's own readers.

use std::fs;
use std::path::Path;
use std::process::Command;

use jiff::civil::date;
use temoin_core::{lint, pack};

use super::*;
use crate::check;

pub(crate) const POLICY: &str = r#"
site = "Durand"
timezone = "Europe/Paris"
controller = { name = "Durand SA", contact = "dpo@durand.example", authority = "CNIL" }
purposes = ["quality", "training"]
[lines.accueil]
numbers = ["+33199000100"]
markets = ["FR"]
purposes = ["quality", "training"]
keys = { object = "1", info = "9" }
[lines.accueil.prompts.fr]
version = "fr-3"
purposes = ["quality", "training"]
text = "{controller} enregistre pour {purposes}. Refuser : {object}. Droits ({contact}) : {info}."
[campaigns.autumn]
purpose = "quality"
from = 2026-09-01
until = 2026-11-30
rate = 200
necessity = "The reasons of repeated calls are not visible in the ticket data."
[prerequisites]
register_entry = "RT-014"
dpia = "AIPD-2026-03"
works_council = { consulted = 2026-06-18, minutes = "CSE-2026-06" }
[agents]
amel = { country = "FR", notice = 2026-03-02 }
"#;

pub(crate) const PACK: &str = r#"
pack = "house"
version = "1.0.0"
kind = "territory"
status = "current"
territory = ["IT"]
valid_from = 2026-01-01
reviewed_on = 2026-06-01
review_due = 2027-06-01
[sources.act]
cite = "The Act, art. 1"
kind = "law"
confidence = "verified"
[rules.quality]
facet = "customer"
purposes = ["quality"]
retention = { max = "6 months" }
sources = ["act"]
"#;

pub(crate) const CONFIG: &str = r#"
policy = "policy.toml"
sampling_key = "sampling.key"
store = { path = "index.db" }
vault = { path = "vault", key = "vault.key" }
prompts = { folder = "sounds" }
[asterisk]
spool = "spool"
ami = { user = "temoin", secret = "hush" }
ari = { url = "http://127.0.0.1:1", user = "temoin", password = "hush" }
"#;

#[test]
fn every_code_is_explained_and_nothing_else() {
    let explained: Vec<&str> = all().keys().map(String::as_str).collect();
    let mut codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(explained, codes);
    for (code, about) in all() {
        for text in [&about.title, &about.why, &about.mend, &about.wrong, &about.right] {
            assert!(!text.trim().is_empty(), "{code}");
        }
    }
}

#[test]
fn every_wrong_example_yields_its_code_and_no_right_one_does() {
    for code in Code::ALL {
        let about = of(*code).expect("explained");
        // Tried on a real one, by tests/live.rs.
        if about.part_of == PartOf::Pbx {
            continue;
        }
        let wrong = codes(about.part_of, &about.wrong);
        let right = codes(about.part_of, &about.right);
        assert!(wrong.contains(code), "the wrong example of {code} yields {wrong:?}");
        assert!(!right.contains(code), "the right example of {code} yields it: {right:?}");
        // Mending one fault must not make another.
        let new: Vec<_> = right.iter().filter(|one| one.is_error() && !wrong.contains(one)).collect();
        assert!(new.is_empty(), "the right example of {code} yields {new:?}");
    }
}

/// What the readers say to an example.
fn codes(part_of: PartOf, example: &str) -> Vec<Code> {
    let today = Some(date(2026, 11, 22));
    let lint = |site: Option<(&str, &str)>, own: &[(&str, &str)], of: &str| {
        let packs: Vec<_> = pack::shipped().iter().chain(own).copied().collect();
        let findings = lint::check(site, &packs, today);
        findings.into_iter().filter(|found| found.file == of).map(|found| found.code).collect()
    };
    match part_of {
        PartOf::Policy => lint(Some(("policy.toml", &merged(POLICY, example))), &[], "policy.toml"),
        PartOf::Pack => lint(None, &[("zz.toml", &merged(PACK, example))], "zz.toml"),
        PartOf::Config => codes_of_site(&merged(CONFIG, example), ""),
        PartOf::Shell => codes_of_site(CONFIG, example),
        PartOf::Pbx => Vec::new(),
    }
}

/// What `check` says to a site on disk.
fn codes_of_site(config: &str, commands: &str) -> Vec<Code> {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("temoin.toml"), config).expect("a file");
    fs::write(at("policy.toml"), POLICY).expect("a file");
    fs::write(at("vault.key"), [7; 32]).expect("a file");
    let sounds = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialplans/sounds");
    std::os::unix::fs::symlink(sounds, at("sounds")).expect("a link");
    let told = Command::new("sh").args(["-ec", commands]).current_dir(folder.path()).status();
    assert!(told.expect("a shell").success(), "{commands}");
    let now = "2026-11-22T09:00:00Z".parse().expect("an instant");
    check::look(&at("temoin.toml"), now).faults.into_iter().map(|fault| fault.code).collect()
}

/// A whole file with an example in it: its tables take the place of those of the same name, its first keys too.
pub(crate) fn merged(base: &str, example: &str) -> String {
    let mut whole = sections(base);
    for (head, lines) in sections(example) {
        match whole.iter_mut().find(|(known, _)| *known == head) {
            Some((_, known)) if head.is_empty() => {
                let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
                known.retain(|old| !lines.iter().any(|new| key(new) == key(old)));
                known.extend(lines);
            }
            Some((_, known)) => *known = lines,
            None => whole.push((head, lines)),
        }
    }
    whole.iter().map(|(head, lines)| format!("{head}\n{}\n", lines.join("\n"))).collect()
}

/// The tables of a file, by their headers; what stands before the first has none.
fn sections(text: &str) -> Vec<(String, Vec<&str>)> {
    let mut sections = vec![(String::new(), Vec::new())];
    for line in text.lines() {
        match sections.last_mut() {
            Some((_, lines)) if !line.starts_with('[') => lines.push(line),
            _ => sections.push((line.to_owned(), Vec::new())),
        }
    }
    sections
}
