//! `temoin dialplan`: what the PBX includes that depends on policy and configuration, printed or written; and what is wrong
//! with the codes. The words of the PBX are its plugin's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use temoin_core::desk::{Codes, Unavailable};
use temoin_core::finding::Code;
use temoin_core::policy::Policy;
use temoin_core::words::{AgentCode, Function, Word as _};

use crate::cli::{self, Failure, Outcome};
use crate::config::{Config, hex};
use crate::fault::Fault;
use crate::wiring::{self, DialplanCode, DialplanLine, Does};
use crate::{reading, rules};

/// What is wanted.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the codes: temoin-features.conf.
    #[arg(long)]
    features: bool,
    /// Only the lines' hooks: temoin-lines.conf.
    #[arg(long)]
    extensions: bool,
    /// Write them into this folder instead. A file there that was not written by this command, or was changed since, is
    /// left as it is.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Overwrite it all the same.
    #[arg(long, requires = "write")]
    force: bool,
}

const FEATURES: &str = "temoin-features.conf";
const LINES: &str = "temoin-lines.conf";
/// How a file that we wrote begins; the SHA-256 of what follows the first line ends it.
const MARK: &str = "; Written by `temoin dialplan`; changed by hand it is not overwritten. ";

pub(crate) fn run(file: &Path, json: bool, args: &Args) -> Outcome {
    let (config, _) = cli::config(file)?;
    let texts = rules::Texts::read(&config).map_err(|fault| cli::unusable(vec![fault]))?;
    let policy = texts.policy().map_err(cli::unusable)?;
    let both = args.features == args.extensions;
    let mut files: Vec<(&str, String)> = Vec::new();
    if both || args.features {
        files.push((FEATURES, wiring::features(&codes(&policy, &config.codes.codes()))));
    }
    if both || args.extensions {
        let hooks = wiring::hooks(&lines(&policy, &config));
        let hooks = hooks.map_err(|error| Failure::Unusable(vec![format!("{error}: rename the line")]))?;
        files.push((LINES, hooks));
    }
    let Some(folder) = &args.write else {
        if json {
            return cli::print(&json!(files.into_iter().collect::<BTreeMap<_, _>>()));
        }
        let texts: Vec<String> = files.into_iter().map(|(_, text)| text).collect();
        return cli::say(format_args!("{}", texts.join("\n").trim_end()));
    };
    // All or none: first it is looked at, then written.
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.join(name)).collect();
    let foreign: Vec<String> = paths
        .iter()
        .filter(|path| !args.force && !is_ours(path))
        .map(|path| {
            format!(
                "{}: not written by this command, or changed since; move it away, or say --force",
                path.display()
            )
        })
        .collect();
    if !foreign.is_empty() {
        return Err(Failure::Unusable(foreign));
    }
    let failed =
        |path: &Path, error: std::io::Error| Failure::Unusable(vec![format!("{}: {error}", path.display())]);
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for (path, (_, text)) in paths.iter().zip(&files) {
        std::fs::write(path, marked(text)).map_err(|error| failed(path, error))?;
    }
    if json {
        return cli::print(&json!({ "written": paths }));
    }
    paths.iter().try_for_each(|path| cli::say(format_args!("{}", path.display())))
}

/// The codes of a policy and a machine: by function, then those of further lines that have other digits for it.
pub(crate) fn codes(policy: &Policy, own: &Codes) -> Vec<DialplanCode> {
    let mut agents: Vec<(&str, String)> = Vec::new();
    let named = [
        (Function::AgentStop, "pause"),
        (Function::AgentObject, "objection"),
        (Function::AgentPrivate, "private"),
        (Function::AgentContract, "contract"),
        (Function::AgentTold, "told"),
    ];
    for (function, name) in named {
        agents.extend(digits(policy, function).into_iter().map(|digits| (name, digits)));
    }
    let own = AgentCode::ALL.iter().filter_map(|code| Some((code.as_str(), own.digits(*code)?.to_owned())));
    agents.extend(own);
    let mut codes: Vec<DialplanCode> = Vec::new();
    for (name, digits) in agents {
        let does = match name {
            "told" => Does::Keeps,
            "contract" => Does::Steps,
            _ => Does::Stops,
        };
        // One code may mean this on one line and that on another: whatever stops, stops.
        match codes.iter_mut().find(|code| code.digits == digits) {
            Some(known) if known.does == Does::Steps || does == Does::Keeps => {}
            Some(known) => known.does = does,
            None => codes.push(DialplanCode { name: name_of(&codes, name), digits, does }),
        }
    }
    for key in digits(policy, Function::Object) {
        let (name, does) = (name_of(&codes, "object"), Does::Customers);
        codes.push(DialplanCode { name, digits: format!("*{key}"), does });
    }
    codes
}

/// `pause`, then `pause-2`.
fn name_of(codes: &[DialplanCode], name: &str) -> String {
    let is_taken = |wanted: &str| codes.iter().any(|code| code.name == wanted);
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(name)).unwrap_or_default()
}

/// All digits that a function has, on whatever line and in whatever language.
fn digits(policy: &Policy, function: Function) -> BTreeSet<String> {
    let lines = policy.site().lines.values();
    let keys = lines.flat_map(|line| line.prompts.iter().map(|prompt| &prompt.keys).chain([&line.keys]));
    keys.filter_map(|keys| keys.digits(function)).map(ToString::to_string).collect()
}

fn lines(policy: &Policy, config: &Config) -> Vec<DialplanLine> {
    let refuses =
        |name: &str| config.lines.get(name).is_some_and(|line| line.unavailable == Unavailable::Refuse);
    let lines = policy.site().lines.values();
    let line = |line: &temoin_core::policy::Line| DialplanLine {
        name: line.name.to_string(),
        numbers: line.numbers.iter().map(ToString::to_string).collect(),
        refuses: refuses(&line.name),
        calls: line.outbound.is_some(),
    };
    lines.map(line).collect()
}

/// Codes of the machine that mean something else to an agent already. A customer's own code may be the same: nobody can
/// press the other's, and which it was is noted.
pub(crate) fn look_at_codes(file: &Path, config: &Config, policy: &Policy) -> Vec<Fault> {
    let own = config.codes.codes();
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut faults = Vec::new();
    for (no, code) in AgentCode::ALL.iter().enumerate() {
        let Some(digits) = own.digits(*code) else {
            continue;
        };
        let other = AgentCode::ALL[..no].iter().find(|other| own.digits(**other) == Some(digits));
        let taken = other.map(|other| format!("codes.{other}")).or_else(|| meaning(policy, digits));
        if let Some(taken) = taken {
            let hint = format!("`{digits}` is {taken} already; give it other digits, or \"off\"");
            let place = reading::locate(&text, &["codes", code.as_str()]);
            let fault = Fault::of(file.display(), Code::KeyClash, hint);
            faults.push(fault.at(format!("codes.{code}"), place));
        }
    }
    faults
}

/// What digits mean by the policy, on the first line on which they mean anything.
fn meaning(policy: &Policy, digits: &str) -> Option<String> {
    let lines = policy.site().lines.values();
    let mut keys = lines.flat_map(|line| {
        line.prompts.iter().map(|prompt| &prompt.keys).chain([&line.keys]).map(|k| (k, &line.name))
    });
    keys.find_map(|(keys, line)| {
        let is = |function: &&Function| keys.digits(**function).is_some_and(|key| **key == *digits);
        let function = Function::ALL.iter().filter(|function| function.is_agents()).find(is)?;
        Some(format!("`{function}` on the line {line}"))
    })
}

fn marked(text: &str) -> String {
    format!("{MARK}{}\n{text}", hex(&Sha256::digest(text.as_bytes())))
}

/// Whether a file is not there, or is as we wrote it.
fn is_ours(path: &Path) -> bool {
    match std::fs::read_to_string(path) {
        Ok(text) => text.split_once('\n').is_some_and(|(_, rest)| marked(rest) == text),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}
