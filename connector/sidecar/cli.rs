//! The command line. Exit codes, the same for every command: 0 well; 1 something is wrong with what was looked at
//! (findings, a broken journal); 2 the call or a file it needs is not usable; 3 nothing by that name; 4 the index, the
//! vault or the PBX is not available now.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde_json::json;
use temoin_core::facts::Facts;
use temoin_core::id::{CallId, SegmentId};
use temoin_core::journal::{Entry, What};
use temoin_core::policy::Policy;
use temoin_core::ports::{
    CallQuery, Change, Clock as _, SegmentQuery, Store as _, StoreError, Vault as _, VaultError,
};
use temoin_core::{audit, decide};

use crate::clock::SystemClock;
use crate::config::{Config, LogFormat};
use crate::rules::{self, Fault};
use crate::{keep, show, wiring};

/// Lawful call recording beside an existing Asterisk.
#[derive(Debug, Parser)]
#[command(name = "temoin", version, about)]
struct Cli {
    /// The configuration.
    #[arg(long, global = true, default_value = "/etc/temoin/temoin.toml", value_name = "FILE")]
    config: PathBuf,
    /// Answer as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stand beside the PBX and do the work. SIGHUP reads policy and configuration anew.
    Serve,
    /// Look at configuration, policy, packs and sounds, and tell all that is wrong.
    Check,
    /// List calls, newest first.
    Calls(CallsArgs),
    /// Tell the story of one call, with reasons.
    Show {
        /// The call, as `calls` names it.
        call: String,
    },
    /// Write a recording out as WAV. Who listens and why goes into the journal.
    Play(PlayArgs),
    /// Decide once, for facts from a file.
    Decide(DecideArgs),
    /// Look whether the journal is whole and the vault holds what the index says.
    Verify,
    /// About the draws.
    Sampling {
        #[command(subcommand)]
        command: SamplingCommand,
    },
}

#[derive(Debug, Args)]
struct CallsArgs {
    /// The end of the customer's number.
    #[arg(long)]
    number: Option<String>,
    /// An agent of the policy.
    #[arg(long)]
    agent: Option<String>,
    /// A line of the policy.
    #[arg(long)]
    line: Option<String>,
    /// Started on this day or later: 2026-11-21, or an instant.
    #[arg(long)]
    from: Option<String>,
    /// Started before the end of this day, or before an instant.
    #[arg(long)]
    until: Option<String>,
    /// What came of it: recorded, not-sampled, objected, …
    #[arg(long, value_name = "OUTCOME")]
    state: Option<String>,
    /// At the most so many.
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

#[derive(Debug, Args)]
struct PlayArgs {
    /// The segment, as `show` names it.
    segment: String,
    /// Where the WAV goes: left the customer, right the agent.
    #[arg(short, long)]
    output: PathBuf,
    /// Why it is listened to.
    #[arg(long)]
    reason: String,
    /// Who listens.
    #[arg(long, env = "USER", default_value = "unknown")]
    who: String,
}

#[derive(Debug, Args)]
struct DecideArgs {
    /// The site policy.
    #[arg(long)]
    policy: PathBuf,
    /// The facts, JSON; `-` for standard input.
    #[arg(long)]
    facts: PathBuf,
    /// A folder of packs instead of the shipped ones.
    #[arg(long)]
    packs: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum SamplingCommand {
    /// Draw every lot of a campaign again, from the journal, and compare.
    Audit {
        /// The campaign.
        campaign: String,
    },
}

/// Why a command failed; each has its exit code.
#[derive(Debug)]
enum Failure {
    /// 1, and everything was said already.
    Found,
    /// 2.
    Unusable(Vec<String>),
    /// 3.
    NotFound(String),
    /// 4.
    Unavailable(String),
}

type Outcome = Result<(), Failure>;

/// The program.
pub fn main() -> ExitCode {
    run(Cli::parse())
}

/// The program with other arguments than the process's own; the first is its name.
pub fn with_args(args: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    run(Cli::parse_from(args))
}

fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("temoin: no runtime: {error}");
            return ExitCode::from(4);
        }
    };
    let (code, messages) = match runtime.block_on(command(cli)) {
        Ok(()) => (0, Vec::new()),
        Err(Failure::Found) => (1, Vec::new()),
        Err(Failure::Unusable(messages)) => (2, messages),
        Err(Failure::NotFound(message)) => (3, vec![message]),
        Err(Failure::Unavailable(message)) => (4, vec![message]),
    };
    for message in messages {
        eprintln!("temoin: {message}");
    }
    // Blocking reads of files must not hold the exit up.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn command(cli: Cli) -> Outcome {
    let Cli { config, json, command } = cli;
    match command {
        Command::Serve => serve(&config).await,
        Command::Check => check(&config, json),
        Command::Calls(args) => calls(&config, json, args).await,
        Command::Show { call } => story(&config, json, call).await,
        Command::Play(args) => play(&config, json, args).await,
        Command::Decide(args) => decide(args),
        Command::Verify => verify_all(&config, json).await,
        Command::Sampling { command: SamplingCommand::Audit { campaign } } => {
            audit_draws(&config, json, &campaign).await
        }
    }
}

async fn serve(file: &Path) -> Outcome {
    let (rules, config, faults) = rules::load(file).map_err(unusable)?;
    logs(&config);
    for fault in faults {
        tracing::warn!(%fault, "not well");
    }
    wiring::serve(file.to_owned(), rules, config)
        .await
        .map_err(|error| Failure::Unavailable(format!("{error:#}")))
}

fn logs(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TEMOIN_LOG")
        .ok()
        .or_else(|| tracing_subscriber::EnvFilter::try_new(config.log.level.as_deref()?).ok())
        .unwrap_or_else(|| tracing_subscriber::EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call in one process (tests) keeps the first.
    let _ = match config.log.format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}

fn check(file: &Path, json: bool) -> Outcome {
    let (faults, fatal) = match rules::load(file) {
        Ok((rules, _, mut faults)) => {
            faults.extend(rules.policy.left_out().iter().cloned().map(Fault::Law));
            (faults, false)
        }
        Err(faults) => (faults, true),
    };
    if json {
        print(&json!({ "usable": !fatal, "findings": faults.iter().map(finding).collect::<Vec<_>>() }))?;
    } else {
        for fault in &faults {
            say(format_args!("{fault}"))?;
        }
        let verdict = match (fatal, faults.len()) {
            (true, count) => format!("not usable: {count} finding(s)"),
            (false, 0) => "all well".to_owned(),
            (false, count) => format!("usable, {count} finding(s)"),
        };
        say(format_args!("{verdict}"))?;
    }
    if fatal || !faults.is_empty() { Err(Failure::Found) } else { Ok(()) }
}

fn finding(fault: &Fault) -> serde_json::Value {
    match fault {
        Fault::Config(error) => json!({
            "code": "E-CONFIG", "file": error.file, "line": error.place.map(|(line, _)| line),
            "column": error.place.map(|(_, column)| column), "message": error.message,
        }),
        Fault::Law(finding) => json!(finding),
    }
}

async fn calls(file: &Path, json: bool, args: CallsArgs) -> Outcome {
    let (config, _) = config(file)?;
    let zone = show::zone(&config);
    let digits = args.number.map(|number| number.chars().filter(char::is_ascii_digit).collect::<String>());
    let bound = |text: Option<String>, end| {
        text.map(|text| {
            show::instant(&text, &zone, end).ok_or_else(|| {
                Failure::Unusable(vec![format!("`{text}` is neither a day (2026-11-21) nor an instant")])
            })
        })
        .transpose()
    };
    let query = CallQuery {
        // A national number is found by its digits without the leading 0, as the PBX may have it either way.
        number: digits.map(|digits| digits.strip_prefix('0').map(str::to_owned).unwrap_or(digits)),
        agent: args.agent,
        line: args.line,
        from: bound(args.from, false)?,
        until: bound(args.until, true)?,
        outcome: args.state,
        limit: args.limit,
    };
    let store = wiring::index(&config).await.map_err(unavailable)?;
    let calls = store.calls(&query).await.map_err(unavailable)?;
    if json {
        return print(&json!({ "calls": calls }));
    }
    say(format_args!("{}", show::table(&calls, &zone)))
}

async fn story(file: &Path, json: bool, call: String) -> Outcome {
    let (config, _) = config(file)?;
    let zone = show::zone(&config);
    let store = wiring::index(&config).await.map_err(unavailable)?;
    let id = CallId(call);
    let record = store.call(&id).await.map_err(unavailable)?;
    let record =
        record.ok_or_else(|| Failure::NotFound(format!("no call {id}; `temoin calls` lists them")))?;
    let segments = store.segments(SegmentQuery::Call(id.clone())).await.map_err(unavailable)?;
    let story = store.story(&id).await.map_err(unavailable)?;
    if json {
        return print(&show::story_json(&record, &segments, &story));
    }
    say(format_args!("{}", show::story(&record, &segments, &story, &zone)))
}

async fn play(file: &Path, json: bool, args: PlayArgs) -> Outcome {
    let (config, _) = config(file)?;
    if args.reason.trim().is_empty() {
        return Err(Failure::Unusable(vec!["--reason is empty: say why you listen".into()]));
    }
    let id = SegmentId::parse(&args.segment).ok_or_else(|| {
        Failure::Unusable(vec![format!("`{}` is not a segment; `temoin show` lists them", args.segment)])
    })?;
    let store = wiring::index(&config).await.map_err(unavailable)?;
    let record = store.segments(SegmentQuery::Id(id)).await.map_err(unavailable)?.pop();
    let record = record.ok_or_else(|| Failure::NotFound(format!("no segment {id}")))?;
    let state = record.state;
    let sealed = record.sealed.ok_or_else(|| {
        Failure::NotFound(format!("segment {id} cannot be listened to: it is {}", show::state(state)))
    })?;
    let vault = wiring::vault(&config).await.map_err(|error| Failure::Unavailable(format!("{error:#}")))?;
    // The listening is in the journal before the first byte is out.
    let entry = Entry {
        at: SystemClock.now(),
        call: Some(record.segment.call.clone()),
        segment: Some(id),
        what: What::Listened { who: args.who, reason: args.reason },
    };
    store.commit(vec![Change::Journal(entry)]).await.map_err(unavailable)?;
    let unwritable =
        |error: std::io::Error| Failure::Unusable(vec![format!("{}: {error}", args.output.display())]);
    let mut out = std::fs::File::create(&args.output).map_err(unwritable)?;
    let mut at = 0;
    const STEP: u64 = 1 << 20;
    while at < sealed.plain_len {
        let bytes = vault.read(id, &sealed, at..at + STEP).await.map_err(|error| match error {
            VaultError::Unavailable(_) => Failure::Unavailable(error.to_string()),
            VaultError::Missing(_) => Failure::NotFound(error.to_string()),
            VaultError::Damaged(..) => Failure::Unusable(vec![error.to_string()]),
        })?;
        if bytes.is_empty() {
            break;
        }
        at += bytes.len() as u64;
        out.write_all(&bytes).map_err(unwritable)?;
    }
    if json {
        return print(&json!({ "segment": id, "file": args.output, "bytes": at, "sha256": record.sha256 }));
    }
    say(format_args!("{} ({at} bytes)", args.output.display()))
}

fn decide(args: DecideArgs) -> Outcome {
    let policy = policy(&args.policy, args.packs.as_deref())?;
    let mut text = String::new();
    let read = if args.facts == Path::new("-") {
        std::io::Read::read_to_string(&mut std::io::stdin(), &mut text).map(drop)
    } else {
        std::fs::read_to_string(&args.facts).map(|read| text = read)
    };
    read.map_err(|error| Failure::Unusable(vec![format!("{}: {error}", args.facts.display())]))?;
    let facts: Facts = serde_json::from_str(&text)
        .map_err(|error| Failure::Unusable(vec![format!("{}: {error}", args.facts.display())]))?;
    print(&json!(decide::explain(&facts, &policy)))
}

fn policy(file: &Path, packs: Option<&Path>) -> Result<Policy, Failure> {
    let texts = rules::Texts::of(file, packs).map_err(|error| Failure::Unusable(vec![error.to_string()]))?;
    Policy::load((&texts.site.0, &texts.site.1), &texts.packs())
        .map_err(|findings| Failure::Unusable(findings.iter().map(ToString::to_string).collect()))
}

async fn verify_all(file: &Path, json: bool) -> Outcome {
    let (config, _) = config(file)?;
    let store = wiring::index(&config).await.map_err(unavailable)?;
    let vault = wiring::vault(&config).await.map_err(|error| Failure::Unavailable(format!("{error:#}")))?;
    let report =
        keep::verify(&store, &vault).await.map_err(|error| Failure::Unavailable(error.to_string()))?;
    if json {
        print(&show::report_json(&report))?;
    } else {
        say(format_args!("{}", show::report(&report)))?;
    }
    if report.is_sound() { Ok(()) } else { Err(Failure::Found) }
}

async fn audit_draws(file: &Path, json: bool, campaign: &str) -> Outcome {
    let (rules, config, _) = rules::load(file).map_err(unusable)?;
    let store = wiring::index(&config).await.map_err(unavailable)?;
    let draws = store.draws(campaign).await.map_err(unavailable)?;
    if draws.is_empty() {
        return Err(Failure::NotFound(format!("no call was drawn for a campaign `{campaign}`")));
    }
    let audit = audit::audit(&rules.key.0, campaign, &draws);
    if json {
        print(&json!(audit))?;
    } else {
        say(format_args!("{audit}"))?;
    }
    if audit.is_clean() { Ok(()) } else { Err(Failure::Found) }
}

fn config(file: &Path) -> Result<(Config, String), Failure> {
    Config::read(file).map_err(|errors| Failure::Unusable(errors.iter().map(ToString::to_string).collect()))
}

fn unusable(faults: Vec<Fault>) -> Failure {
    Failure::Unusable(faults.iter().map(ToString::to_string).collect())
}

fn unavailable(error: StoreError) -> Failure {
    Failure::Unavailable(error.to_string())
}

fn print(value: &serde_json::Value) -> Outcome {
    say(format_args!("{value:#}"))
}

/// A reader that went away (`| head`) is no failure.
fn say(text: std::fmt::Arguments<'_>) -> Outcome {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Unavailable(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
