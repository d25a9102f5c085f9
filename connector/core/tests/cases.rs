//! The acceptance cases of `tests/cases`, each a JSON file, run through the engine that decides live calls.

use std::fs;
use std::path::{Path, PathBuf};

use temoin_core::case::{Case, Shelf};

#[test]
fn every_case_is_answered_as_expected() {
    let mut ran = 0;
    let mut failures = Vec::new();
    for kind in ["decide", "time", "retention", "access", "lint", "call", "sample"] {
        for file in json_files(&directory().join(kind)) {
            ran += 1;
            let text = fs::read_to_string(&file).expect("a readable case");
            let case = Case::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            match case.run(&Beside) {
                Ok(differences) if differences.is_empty() => {}
                Ok(differences) => {
                    let told: Vec<String> = differences.iter().map(ToString::to_string).collect();
                    failures.push(format!("{}: {}\n{}", case.id, case.title, told.join("\n")));
                }
                Err(error) => failures.push(format!("{}: {error}", case.id)),
            }
        }
    }
    assert!(failures.is_empty(), "{} of {ran} cases failed:\n\n{}", failures.len(), failures.join("\n\n"));
    assert!(ran >= 358, "only {ran} cases ran");
}

/// The `packs/` and `sites/` beside the cases.
struct Beside;

impl Shelf for Beside {
    fn pack(&self, name: &str) -> Result<Option<String>, String> {
        Ok(fs::read_to_string(directory().join(format!("packs/{name}.toml"))).ok())
    }

    fn site(&self, name: &str) -> Result<String, String> {
        fs::read_to_string(directory().join(format!("sites/{name}.toml"))).map_err(|error| error.to_string())
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases")
}

fn json_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of cases");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}
