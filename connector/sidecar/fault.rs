//! What is wrong with a file, where, and how to mend it: the same shape for configuration, policy, packs and sounds.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use temoin_core::finding::{Code, Finding};

/// One fault of one file. A code that begins with `E` must be mended; one with `W` is for a person to think about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The key at fault, `asterisk.ami.secret`; empty for the whole file.
    pub path: String,
    /// The stable name of the fault.
    pub code: Code,
    /// The line, from 1, where known.
    pub line: Option<u32>,
    /// The column, from 1, in characters, where known.
    pub column: Option<u32>,
    /// What, and how to mend it.
    pub hint: String,
    /// The rules that ask for what is missing or broken: `fr/quality`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub because: BTreeSet<Arc<str>>,
    /// Whether `serve` refuses to start with it.
    pub bars: bool,
}

impl Fault {
    /// A fault of a whole file, which bars nothing.
    pub fn of(file: impl fmt::Display, code: Code, hint: impl Into<String>) -> Self {
        Self {
            file: file.to_string(),
            path: String::new(),
            code,
            line: None,
            column: None,
            hint: hint.into(),
            because: BTreeSet::new(),
            bars: false,
        }
    }

    /// The same, at a key.
    pub fn at(self, path: impl Into<String>, place: Option<(u32, u32)>) -> Self {
        let (line, column) = place.unzip();
        Self { path: path.into(), line, column, ..self }
    }

    /// The same, and `serve` refuses to start with it.
    pub fn barring(self) -> Self {
        Self { bars: true, ..self }
    }

    /// Whether it must be mended.
    pub fn is_error(&self) -> bool {
        self.code.is_error()
    }
}

impl From<Finding> for Fault {
    fn from(finding: Finding) -> Self {
        let Finding { file, path, code, line, column, hint, because } = finding;
        Self { file, path, code, line, column, hint, because, bars: false }
    }
}

impl fmt::Display for Fault {
    /// `file:line:column: CODE path: hint`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.code)?;
        if !self.path.is_empty() {
            write!(f, " {}", self.path)?;
        }
        write!(f, ": {}", self.hint)
    }
}

impl std::error::Error for Fault {}
