//! `temoin papers`, as people call it: the files it writes, those it does not touch, and what it counts.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use temoin_core::id::CallId;
use temoin_core::journal::{Entry, What};
use temoin_core::ports::{Change, Store as _};
use temoin_core::words::Direction;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn temoin(folder: &Path, args: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_temoin"));
    program.current_dir(folder).args(args).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with a policy of the examples and a configuration.
fn site(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = format!("{ROOT}/examples/policies/{name}.toml");
    fs::copy(policy, folder.path().join("policy.toml")).expect("a policy");
    let config = fs::read_to_string(format!("{ROOT}/examples/temoin.toml")).expect("a configuration");
    let config = config
        .replace("policies/french-call-centre.toml", "policy.toml")
        .replace("/var/lib/temoin/", "")
        .replace("/etc/temoin/", "")
        .replace("/var/spool/temoin", "spool");
    fs::write(folder.path().join("temoin.toml"), config).expect("a configuration");
    folder
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for language in ["en", "fr"] {
        for entry in fs::read_dir(folder.join(language)).into_iter().flatten() {
            found.push(format!("{language}/{}", entry.expect("a file").file_name().to_string_lossy()));
        }
    }
    found.sort();
    found
}

#[test]
fn from_a_policy_alone_all_papers_in_both_languages_and_formats() {
    let site = site("french-call-centre");
    let told = temoin(site.path(), &["papers", "dossier", "--policy", "policy.toml"]);
    assert!(told.status.success(), "{}", text(&told.stderr));
    let out = text(&told.stdout);
    assert!(out.contains("D1   dossier/fr/D01-registre-des-activites-de-traitement.html ("), "{out}");
    assert!(out.ends_with("no index was read: figures are fields to be completed\n"), "{out}");
    let written = files(&site.path().join("dossier"));
    // The list and twelve papers (nothing needs proof of a contract here), two formats, two languages.
    assert_eq!(written.len(), 13 * 2 * 2, "{written:#?}");
    assert!(
        written.iter().all(|file| file.ends_with(".md") || file.ends_with(".html")),
        "nothing else is left"
    );
    let page =
        fs::read_to_string(site.path().join("dossier/fr/D05-information-des-salaries.html")).expect("a page");
    assert!(page.starts_with("<!doctype html>\n<html lang=\"fr\">") && page.contains("@media print"));
    for loaded in ["http:", "https:", "src=", "<link", "@import", "url("] {
        assert!(!page.contains(loaded), "the page loads something: {loaded}");
    }
}

#[test]
fn papers_that_are_there_stay_as_they_are_unless_forced() {
    let site = site("french-call-centre");
    let mine = site.path().join("dossier/fr/D02-analyse-d-impact-aipd.md");
    fs::create_dir_all(mine.parent().expect("a folder")).expect("a folder");
    fs::write(&mine, "filled in by hand").expect("a file");
    let args = ["papers", "dossier", "--policy", "policy.toml", "--language", "fr", "--format", "md"];
    let told = temoin(site.path(), &args);
    assert_eq!(told.status.code(), Some(2));
    let error = text(&told.stderr);
    assert!(error.contains("D02-analyse-d-impact-aipd.md is there already; name another folder"), "{error}");
    assert_eq!(files(&site.path().join("dossier")).len(), 1, "nothing was written beside it");
    assert_eq!(fs::read_to_string(&mine).expect("a file"), "filled in by hand");

    let told = temoin(site.path(), &[&args[..], &["--force"]].concat());
    assert!(told.status.success(), "{}", text(&told.stderr));
    assert!(fs::read_to_string(&mine).expect("a file").starts_with("# Analyse d'impact"));
    assert_eq!(files(&site.path().join("dossier")).len(), 13);
}

#[test]
fn a_folder_that_cannot_be_one_and_a_policy_that_is_none_are_told() {
    let site = site("french-call-centre");
    fs::write(site.path().join("file"), "").expect("a file");
    let told = temoin(site.path(), &["papers", "file", "--policy", "policy.toml"]);
    assert_eq!(told.status.code(), Some(2));
    assert!(text(&told.stderr).contains("file/fr: "), "{}", text(&told.stderr));
    fs::write(site.path().join("policy.toml"), "site = 1\nnope = 2\n").expect("a file");
    let told = temoin(site.path(), &["papers", "dossier", "--policy", "policy.toml"]);
    assert_eq!(told.status.code(), Some(2));
    let error = text(&told.stderr);
    assert!(
        error.contains("policy.toml:2:1: E-UNKNOWN-KEY nope") && error.contains("E-MISSING-KEY"),
        "{error}"
    );
    assert!(!site.path().join("dossier").exists());
}

#[test]
fn before_the_first_start_there_are_papers_and_afterwards_figures() {
    let site = site("french-call-centre");
    let before =
        temoin(site.path(), &["--config", "temoin.toml", "--json", "papers", "before", "--language", "en"]);
    assert!(before.status.success(), "{}", text(&before.stderr));
    let told: serde_json::Value = serde_json::from_slice(&before.stdout).expect("JSON");
    assert_eq!(told["index"], false);
    assert!(!site.path().join("index.db").exists(), "looking makes no index");
    let open = |told: &serde_json::Value, id: &str| {
        let papers = told["papers"].as_array().expect("papers").clone();
        let paper = papers.into_iter().find(|paper| paper["id"] == id).expect("the paper");
        paper["open"].to_string()
    };
    assert!(open(&told, "D18").contains("figures from the index"));

    let (config, _) =
        temoin::config::Config::read(&site.path().join("temoin.toml")).expect("a configuration");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = temoin::wiring::index(&config).await.expect("an index");
        // More than a page of them.
        let entry = |call: usize| {
            let what = What::Arrived {
                line: "accueil".into(),
                direction: Direction::Inbound,
                policy: String::new(),
                config: String::new(),
            };
            let at = "2026-10-05T08:30:00Z".parse().expect("an instant");
            Change::Journal(Entry { at, call: Some(CallId(format!("call-{call}"))), segment: None, what })
        };
        store.commit((0..1234).map(entry).collect()).await.expect("it lasts");
    });
    let after =
        temoin(site.path(), &["--config", "temoin.toml", "--json", "papers", "after", "--language", "en"]);
    assert!(after.status.success(), "{}", text(&after.stderr));
    let told: serde_json::Value = serde_json::from_slice(&after.stdout).expect("JSON");
    assert_eq!(told["index"], true);
    assert!(!open(&told, "D18").contains("figures from the index"));
    let audit = site.path().join("after/en/D18-audit-of-draws-and-access.md");
    let audit = fs::read_to_string(audit).expect("a paper");
    assert!(audit.contains("| Calls that came in | 1234 |"), "{audit}");
    assert!(audit.contains("| Journal read | from 5 October 2026 to 5 October 2026 |"), "{audit}");
}
