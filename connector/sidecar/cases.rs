//! `temoin cases`: acceptance cases of a folder, run through the engine that decides live calls.
//!
//! Cases are all `*.json` in the folder and in the folders below. A site policy or a pack that a case names is looked
//! for in `sites/` or `packs/` beside the case, then in the folders above, up to the one that the cases' folder lies
//! in; there a policy may also lie itself, so that a site keeps `policy.toml` and `cases/` side by side. A pack that
//! lies nowhere is a shipped one.

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use temoin_core::case::{Case, Difference, Shelf};

/// What came of all cases.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How many were answered as expected.
    pub passed: usize,
    /// How many were not, those that could not be asked among them.
    pub failed: usize,
    /// Each case, in the order of the files.
    pub cases: Vec<Told>,
}

/// What came of one case.
#[derive(Debug, Serialize)]
pub struct Told {
    /// Its file.
    pub file: String,
    /// Its id; empty where the file is no case.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// Why its answer is the right one.
    pub why: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What can come of a case.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The answer is as expected.
    Passed,
    /// It is not.
    Failed {
        /// Where.
        differences: Vec<Difference>,
    },
    /// It could not be asked.
    Unreadable {
        /// Why.
        error: String,
    },
}

/// Runs all cases of a folder, or the one of a file.
///
/// # Errors
/// The folder cannot be read, or there is no case in it.
pub fn run(folder: &Path) -> Result<Report, String> {
    let unreadable =
        |path: &Path, error: io::Error| format!("{}: {error}; name a folder of cases", path.display());
    let top = folder.canonicalize().map_err(|error| unreadable(folder, error))?;
    let top = if top.is_dir() { &*top } else { top.parent().unwrap_or(&top) };
    let mut files = Vec::new();
    collect(folder, &mut files).map_err(|(path, error)| unreadable(&path, error))?;
    if files.is_empty() {
        return Err(format!("{}: no case (*.json) in it; name a folder of cases", folder.display()));
    }
    let mut report = Report::default();
    for file in files {
        let told = one(&file, top);
        match told.outcome {
            Outcome::Passed => report.passed += 1,
            Outcome::Failed { .. } | Outcome::Unreadable { .. } => report.failed += 1,
        }
        report.cases.push(told);
    }
    Ok(report)
}

impl Report {
    /// Whether a case could not be asked.
    pub fn is_unreadable(&self) -> bool {
        self.cases.iter().any(|case| matches!(case.outcome, Outcome::Unreadable { .. }))
    }
}

fn one(file: &Path, top: &Path) -> Told {
    let told = |id: &str, title: &str, why: &str, outcome| Told {
        file: file.display().to_string(),
        id: id.to_owned(),
        title: title.to_owned(),
        why: why.to_owned(),
        outcome,
    };
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"));
    let case = match text.and_then(|text| Case::parse(&text)) {
        Ok(case) => case,
        Err(error) => return told("", "", "", Outcome::Unreadable { error }),
    };
    let outcome = match case.run(&Folders::around(file, top)) {
        Ok(differences) if differences.is_empty() => Outcome::Passed,
        Ok(differences) => Outcome::Failed { differences },
        Err(error) => Outcome::Unreadable { error },
    };
    told(&case.id, &case.title, &case.why, outcome)
}

/// All cases below a folder, or the one file; in the order of their paths.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), (PathBuf, io::Error)> {
    let at = |error| (path.to_owned(), error);
    if !std::fs::metadata(path).map_err(at)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries: io::Result<Vec<_>> = std::fs::read_dir(path).map_err(at)?.collect();
    let mut entries = entries.map_err(at)?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        // A link to a folder is not followed: it may lead back.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "json") {
            files.push(path);
        }
    }
    Ok(())
}

/// The folders in which the files lie that a case names, the nearest first.
struct Folders(Vec<PathBuf>);

impl Folders {
    fn around(file: &Path, top: &Path) -> Self {
        let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let above = top.parent().unwrap_or(top);
        Self(
            file.ancestors()
                .skip(1)
                .take_while(|folder| folder.starts_with(above))
                .map(Path::to_owned)
                .collect(),
        )
    }

    /// The text of the first of these files that is there.
    fn first(files: impl Iterator<Item = PathBuf>) -> Result<Option<String>, String> {
        for file in files {
            match std::fs::read_to_string(&file) {
                Ok(text) => return Ok(Some(text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{}: {error}", file.display())),
            }
        }
        Ok(None)
    }
}

impl Shelf for Folders {
    fn pack(&self, name: &str) -> Result<Option<String>, String> {
        plain(name)?;
        Self::first(self.0.iter().map(|folder| folder.join("packs").join(format!("{name}.toml"))))
    }

    fn site(&self, name: &str) -> Result<String, String> {
        plain(name)?;
        let file = format!("{name}.toml");
        let kept = self.0.iter().map(|folder| folder.join("sites").join(&file));
        let beside = self.0.last().map(|folder| folder.join(&file));
        Self::first(kept.chain(beside))?.ok_or_else(|| {
            format!(
                "no site policy `{name}`: put {file} into sites/ beside the cases, or beside their folder"
            )
        })
    }
}

/// Names of files are names, not ways to other folders.
fn plain(name: &str) -> Result<(), String> {
    match Path::new(name).file_name() {
        Some(file) if file == name && !name.contains('\0') => Ok(()),
        _ => Err(format!("`{name}` is not the plain name of a file")),
    }
}

impl fmt::Display for Report {
    /// Every case that is not as expected, then `N passed, N failed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            let id = if case.id.is_empty() { "?" } else { &case.id };
            let head = |what: &str| format!("{what} {id}: {}\n  in {}", case.title, case.file);
            match &case.outcome {
                Outcome::Passed => {}
                Outcome::Failed { differences } => {
                    writeln!(f, "{}", head("FAILED"))?;
                    if !case.why.is_empty() {
                        writeln!(f, "  why: {}", case.why)?;
                    }
                    for difference in differences {
                        writeln!(f, "{}", indented(&difference.to_string()))?;
                    }
                    f.write_char('\n')?;
                }
                Outcome::Unreadable { error } => {
                    writeln!(f, "{}\n{}\n", head("UNREADABLE"), indented(error))?;
                }
            }
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
