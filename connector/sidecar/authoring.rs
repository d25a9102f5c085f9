//! The commands of those who write policies, packs and cases: arguments, and what they answer.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;
use temoin_core::finding::Code;
use temoin_core::policy::Packs;
use temoin_core::ports::Clock as _;

use crate::cli::{Failure, Outcome, print, say, unusable};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::rules::packs_of;
use crate::{cases, check, explain, live, packs};

/// `temoin check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Look at this policy alone: no temoin.toml is needed, so that a repository of policies can check them.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// With --policy: a folder of packs instead of the shipped ones.
    #[arg(long, value_name = "DIR", requires = "policy")]
    packs: Option<PathBuf>,
    /// Look at the running PBX, too, and at what it shares with us: logins, rights, dialplan, clock, files, room.
    #[arg(long, conflicts_with = "policy")]
    live: bool,
}

/// `temoin cases`.
#[derive(Debug, Args)]
pub struct CasesArgs {
    /// The folder: `*.json`, with `sites/` and `packs/` beside them.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// `temoin packs`.
#[derive(Debug, Args)]
pub struct PacksArgs {
    /// A folder of packs instead of those of the configuration, or the shipped ones.
    #[arg(long, global = true, value_name = "DIR")]
    packs: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<PacksCommand>,
}

#[derive(Debug, Subcommand)]
enum PacksCommand {
    /// One pack: its rules, with source, confidence and review.
    Show {
        /// Its id.
        pack: String,
    },
}

/// `temoin explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A code, as E-KEY-CLASH; or a pack and a purpose or a rule, as fr/quality. Without it: all codes.
    topic: Option<String>,
    /// A folder of packs instead of those of the configuration, or the shipped ones.
    #[arg(long, value_name = "DIR")]
    packs: Option<PathBuf>,
}

/// Tells everything that is wrong; an error is exit code 1.
pub async fn check(config: &Path, args: &CheckArgs, json: bool) -> Outcome {
    let now = SystemClock.now();
    let report = match &args.policy {
        Some(policy) => check::look_at_policy(policy, args.packs.as_deref(), now)
            .map_err(|fault| unusable(vec![fault]))?,
        None => {
            std::fs::File::open(config).map_err(|error| {
                let hint = "name the file with --config, or put it there";
                Failure::Unusable(vec![format!("{}: {error}; {hint}", config.display())])
            })?;
            let mut report = check::look(config, now);
            if args.live && report.is_usable() {
                let (read, _) = Config::read(config).map_err(unusable)?;
                report.faults.extend(live::look(&read).await);
            }
            report
        }
    };
    if json {
        print(&report.json())?;
    } else {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        say(format_args!("{}", report.page(colours)))?;
    }
    if report.has_errors() { Err(Failure::Found) } else { Ok(()) }
}

/// Runs the cases of a folder; the last line says how many passed and failed.
pub fn run_cases(args: &CasesArgs, json: bool) -> Outcome {
    let report = cases::run(&args.folder).map_err(|error| Failure::Unusable(vec![error]))?;
    if json {
        print(&json!(report))?;
    } else {
        say(format_args!("{report}"))?;
    }
    match &report {
        report if report.is_unreadable() => Err(Failure::Unusable(Vec::new())),
        report if report.failed > 0 => Err(Failure::Found),
        _ => Ok(()),
    }
}

/// Lists packs, or shows one.
pub fn list_packs(config: &Path, args: &PacksArgs, json: bool) -> Outcome {
    let known = known(config, args.packs.as_deref())?;
    let today = today();
    let Some(PacksCommand::Show { pack: id }) = &args.command else {
        return if json {
            print(&packs::table_json(&known, today))
        } else {
            say(format_args!("{}", packs::table(&known, today)))
        };
    };
    let pack = known.named(id).ok_or_else(|| no_pack(&known, id))?;
    if json {
        return print(&packs::page_json(pack, today));
    }
    say(format_args!("{}", packs::page(&known, pack, today)))
}

/// Explains a code, or the rules of a pack.
pub fn explain_topic(config: &Path, args: &ExplainArgs, json: bool) -> Outcome {
    let Some(topic) = args.topic.as_deref() else {
        if json {
            let codes: Vec<_> =
                Code::ALL.iter().map(|code| json!({ "code": code, "about": explain::of(*code) })).collect();
            return print(&json!({ "codes": codes }));
        }
        return say(format_args!("{}", explain::list()));
    };
    if let Some(code) = Code::parse(&topic.to_uppercase()) {
        let about =
            explain::of(code).ok_or_else(|| Failure::NotFound(format!("nothing is known of {code}")))?;
        if json {
            return print(&json!({ "code": code, "about": about }));
        }
        return say(format_args!("{}", explain::Page(code, about)));
    }
    let known = known(config, args.packs.as_deref())?;
    let (id, name) = topic.split_once('/').map_or((topic, None), |(id, name)| (id, Some(name)));
    let pack = known.named(id).ok_or_else(|| {
        if topic.starts_with("E-") || topic.starts_with("W-") {
            return Failure::NotFound(format!("no code {topic}; `temoin explain` lists them"));
        }
        no_pack(&known, id)
    })?;
    let Some(name) = name else {
        let today = today();
        return if json {
            print(&packs::page_json(pack, today))
        } else {
            say(format_args!("{}", packs::page(&known, pack, today)))
        };
    };
    let rules = packs::rules(&known, pack, name);
    if rules.is_empty() {
        let names: Vec<&str> = pack.rules.iter().map(|rule| &*rule.name).collect();
        let message = format!("{id} has no rule for `{name}`: it has {}", names.join(", "));
        return Err(Failure::NotFound(message));
    }
    if json {
        return print(&packs::rules_json(&rules));
    }
    say(format_args!("{}", packs::rules_page(&rules)))
}

/// The packs of a folder, of the configuration where there is one that can be read, else the shipped ones.
fn known(config: &Path, folder: Option<&Path>) -> Result<Packs, Failure> {
    let configured = || Config::read(config).ok()?.0.packs;
    let folder = folder.map(Path::to_owned).or_else(configured);
    let texts = packs_of(folder.as_deref()).map_err(|fault| unusable(vec![fault]))?;
    let files: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (packs, findings) = Packs::load(&files);
    if findings.is_empty() {
        Ok(packs)
    } else {
        Err(unusable(findings.into_iter().map(Into::into).collect()))
    }
}

/// The day, UTC: reviews are not due by the hour.
fn today() -> Date {
    SystemClock.now().to_zoned(TimeZone::UTC).date()
}

fn no_pack(packs: &Packs, id: &str) -> Failure {
    let ids: Vec<&str> = packs.iter().map(|pack| &*pack.id).collect();
    Failure::NotFound(format!("no pack `{id}`; there are {}", ids.join(", ")))
}
