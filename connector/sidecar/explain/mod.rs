//! `temoin explain`: why a code is told, with a wrong and a right example; and what a pack says of a purpose, with its
//! sources. The texts about codes are data (`codes.toml`); a test has the program's own readers look at every example.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use temoin_core::finding::Code;

#[cfg(test)]
pub(crate) mod tests;

/// What a code means.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// In a few words.
    pub title: String,
    /// Why it matters.
    pub why: String,
    /// How to mend it.
    pub mend: String,
    /// What the examples are a part of.
    #[serde(rename = "in")]
    pub part_of: PartOf,
    /// An example that yields the code.
    pub wrong: String,
    /// The same without the fault.
    pub right: String,
}

/// What an example is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartOf {
    /// A site policy.
    Policy,
    /// A pack.
    Pack,
    /// temoin.toml.
    Config,
    /// Commands of a shell.
    Shell,
    /// What a PBX is told, by its files or on its command line.
    Pbx,
}

/// What a code means; nothing where nobody wrote it down, which a test does not let pass.
pub fn of(code: Code) -> Option<&'static Explanation> {
    all().get(code.as_str())
}

/// All explanations by their code.
fn all() -> &'static BTreeMap<String, Explanation> {
    static ALL: OnceLock<BTreeMap<String, Explanation>> = OnceLock::new();
    ALL.get_or_init(|| toml::from_str(include_str!("codes.toml")).unwrap_or_default())
}

/// Every code with its title, errors first.
pub fn list() -> String {
    let line =
        |code: &Code| format!("{:<24}  {}\n", code.as_str(), of(*code).map_or("", |about| &about.title));
    let mut codes = Code::ALL.to_vec();
    codes.sort_by_key(|code| code.as_str());
    codes.iter().map(line).collect::<String>() + "\ntemoin explain CODE, or PACK/PURPOSE"
}

/// A page about one code.
pub struct Page(pub Code, pub &'static Explanation);

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(code, about) = self;
        let severity = if code.is_error() { "must be mended" } else { "for a person to think about" };
        let place = match about.part_of {
            PartOf::Policy => "in a policy",
            PartOf::Pack => "in a pack",
            PartOf::Config => "in temoin.toml",
            PartOf::Shell => "in a shell",
            PartOf::Pbx => "on the PBX",
        };
        writeln!(f, "{code}: {} ({severity})\n", about.title)?;
        writeln!(f, "{}\n", filled(&about.why))?;
        writeln!(f, "To mend it: {}\n", filled(&about.mend))?;
        writeln!(f, "Wrong, {place}:\n\n{}\n", shifted(&about.wrong))?;
        write!(f, "Right:\n\n{}", shifted(&about.right))
    }
}

/// Broken into lines that a terminal holds.
pub(crate) fn filled(text: &str) -> String {
    const WIDTH: usize = 100;
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n")
}

fn shifted(text: &str) -> String {
    text.trim_start_matches('\n').lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
