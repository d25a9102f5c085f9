//! The command line. Exit codes, the same for every command: 0 well; 1 something is wrong with what was looked at
//! (findings, a broken journal, a damaged recording); 2 the call or a file it needs is not usable; 3 nothing by that
//! name; 4 the index, the vault or the PBX is not available now.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use temoin_core::facts::Facts;
use temoin_core::id::{CallId, SegmentId};
use temoin_core::journal::{Entry, What};
use temoin_core::ports::{
    CallQuery, CallRecord, Change, Clock as _, SegmentQuery, Store, StoreError, Vault, VaultError,
};
use temoin_core::segment::{Sealed, State};
use temoin_core::{audit, decide, origin};

use crate::authoring::{CasesArgs, CheckArgs, ExplainArgs, PacksArgs};
use crate::clock::SystemClock;
use crate::config::{Config, LogFormat, hex};
use crate::fault::Fault;
use crate::init::{self, InitArgs};
use crate::papers::{self, PapersArgs};
use crate::register::{self, RegisterArgs};
use crate::{authoring, check, counts, dialplan, halt, rules, schema, show, simulate, verified, wiring};

/// Lawful call recording beside an existing Asterisk.
#[derive(Debug, Parser)]
#[command(name = "temoin", version, about)]
struct Cli {
    /// The configuration.
    #[arg(long, global = true, default_value = CONFIG, value_name = "FILE")]
    config: PathBuf,
    /// Answer as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration is unless somebody says otherwise.
const CONFIG: &str = "/etc/temoin/temoin.toml";

#[derive(Debug, Subcommand)]
enum Command {
    /// Stand beside the PBX and do the work. SIGHUP reads policy and configuration anew.
    Serve,
    /// Look at configuration, policy, packs, sounds, keys and folders, and tell all that is wrong. Codes that begin
    /// with E must be mended (exit code 1); those with W are for a person to think about.
    Check(CheckArgs),
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
    /// Run the acceptance cases of a folder through the engine that decides live calls. A site keeps its own beside
    /// its policy.
    Cases(CasesArgs),
    /// List the packs that are known, or show one: which law, how sure, when it is to be reviewed.
    Packs(PacksArgs),
    /// Explain a code that `check` tells, or what a pack asks for a purpose.
    Explain(ExplainArgs),
    /// Print the JSON Schema of a policy, a pack or temoin.toml.
    Schema {
        /// Of what.
        of: schema::Of,
    },
    /// Replay calls of the past through a policy: what would be recorded, what not, and why.
    Simulate(simulate::Args),
    /// Look whether the journal is whole, the vault holds what the index says, and nothing is kept that the story of its
    /// call forbids.
    Verify {
        /// Tell each call with somebody exempt in it: when he was there, and what is kept of it. The proof for staff
        /// representatives; no telephone numbers.
        #[arg(long)]
        exempt: bool,
    },
    /// About the draws.
    Sampling {
        #[command(subcommand)]
        command: SamplingCommand,
    },
    /// Draw up the papers that the law asks for (register entry, impact assessment, notices, retention, …), from policy,
    /// packs and index. What they cannot know is marked as a field to be completed.
    Papers(PapersArgs),
    /// Keep the register of consents and of those who must not be called, and ask it.
    Register(RegisterArgs),
    /// Print what Asterisk includes that depends on policy and configuration: the codes of the talk, and a hook for each
    /// line.
    Dialplan(dialplan::Args),
    /// Stop recorders while Témoin is dead, but for those of lines that must be recorded: for the service manager.
    Halt(halt::Args),
    /// Write a first policy and configuration, by a few questions or by flags. What only you can supply is marked TODO(you)
    /// in them, and listed.
    Init(InitArgs),
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
    /// Count all of them instead, by line and outcome: how many objected, were refused a service, were recorded, …
    #[arg(long, conflicts_with = "limit")]
    count: bool,
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
pub(crate) enum Failure {
    /// 1, and everything was said already.
    Found,
    /// 1.
    Wrong(String),
    /// 2.
    Unusable(Vec<String>),
    /// 3.
    NotFound(String),
    /// 4.
    Unavailable(String),
}

pub(crate) type Outcome = Result<(), Failure>;

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
            complain(&format!("no runtime: {error}"));
            return ExitCode::from(4);
        }
    };
    let (code, messages) = match runtime.block_on(command(cli)) {
        Ok(()) => (0, Vec::new()),
        Err(Failure::Found) => (1, Vec::new()),
        Err(Failure::Wrong(message)) => (1, vec![message]),
        Err(Failure::Unusable(messages)) => (2, messages),
        Err(Failure::NotFound(message)) => (3, vec![message]),
        Err(Failure::Unavailable(message)) => (4, vec![message]),
    };
    for message in messages {
        complain(&message);
    }
    // Blocking reads of files must not hold the exit up.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Where nobody listens to what went wrong, that is no reason to fall.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "temoin: {message}");
}

async fn command(cli: Cli) -> Outcome {
    let Cli { config, json, command } = cli;
    match command {
        Command::Serve => serve(&config).await,
        Command::Check(args) => authoring::check(&config, &args, json).await,
        Command::Calls(args) => calls(&config, json, args).await,
        Command::Show { call } => story(&config, json, call).await,
        Command::Play(args) => play(&config, json, args).await,
        Command::Decide(args) => decide(args),
        Command::Cases(args) => authoring::run_cases(&args, json),
        Command::Packs(args) => authoring::list_packs(&config, &args, json),
        Command::Schema { of } => print(&of.schema()),
        Command::Explain(args) => authoring::explain_topic(&config, &args, json),
        Command::Simulate(args) => dry_run(&config, json, args).await,
        Command::Verify { exempt } => verify_all(&config, json, exempt).await,
        Command::Sampling { command: SamplingCommand::Audit { campaign } } => {
            audit_draws(&config, json, &campaign).await
        }
        Command::Papers(args) => draw_up(&config, json, args).await,
        Command::Register(args) => register::run(&config, args, json).await,
        Command::Dialplan(args) => dialplan::run(&config, json, &args),
        Command::Halt(args) => halt::run(&config, json, &args).await,
        Command::Init(args) => begin(json, &args),
    }
}

async fn serve(file: &Path) -> Outcome {
    let report = check::look(file, SystemClock.now());
    let usable = report.is_usable();
    let faults = report.faults;
    if !usable {
        return Err(unusable(faults.into_iter().filter(|fault| fault.bars).collect()));
    }
    let (rules, config) = rules::load(file).map_err(unusable)?;
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
    let lines = lines.log_internal_errors(false);
    // A second call in one process (tests) keeps the first.
    let _ = match config.log.format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}

async fn calls(file: &Path, json: bool, args: CallsArgs) -> Outcome {
    let (config, _) = config(file)?;
    let zone = show::zone(&config);
    let bound = |text: Option<String>, end| {
        text.map(|text| {
            show::instant(&text, &zone, end).ok_or_else(|| {
                Failure::Unusable(vec![format!("`{text}` is neither a day (2026-11-21) nor an instant")])
            })
        })
        .transpose()
    };
    let query = CallQuery {
        number: args.number,
        agent: args.agent,
        line: args.line,
        from: bound(args.from, false)?,
        until: bound(args.until, true)?,
        outcome: args.state,
        limit: args.limit,
    };
    let store = index(&config).await?;
    if args.count {
        let counts = counts::of(&store, &query).await.map_err(unavailable)?;
        return if json {
            print(&counts::json(&counts))
        } else {
            say(format_args!("{}", counts::table(&counts)))
        };
    }
    let calls = store.calls(&query).await.map_err(unavailable)?;
    let calls: Vec<CallRecord> = calls.into_iter().map(CallRecord::for_report).collect();
    if json {
        return print(&json!({ "calls": calls }));
    }
    say(format_args!("{}", show::table(&calls, &zone)))
}

async fn story(file: &Path, json: bool, call: String) -> Outcome {
    let (config, _) = config(file)?;
    let zone = show::zone(&config);
    let store = index(&config).await?;
    let id = CallId(call);
    let record = store.call(&id).await.map_err(unavailable)?;
    let record =
        record.ok_or_else(|| Failure::NotFound(format!("no call {id}; `temoin calls` lists them")))?;
    let record = record.for_report();
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
    let store = index(&config).await?;
    let record = store.segments(SegmentQuery::Id(id)).await.map_err(unavailable)?.pop();
    let record = record.ok_or_else(|| Failure::NotFound(format!("no segment {id}")))?;
    let state = record.state;
    // What waits to be erased is not to be heard any more, although it is still there.
    let sealed = record.sealed.filter(|_| state == State::Kept).ok_or_else(|| {
        Failure::NotFound(format!("segment {id} cannot be listened to: it is {}", show::state(state)))
    })?;
    let vault = vault(&config).await?;
    // The listening is in the journal before the first byte is out.
    let entry = Entry {
        at: SystemClock.now(),
        call: Some(record.segment.call.clone()),
        segment: Some(id),
        what: What::Listened { who: args.who, reason: args.reason },
    };
    store.commit(vec![Change::Journal(entry)]).await.map_err(unavailable)?;
    let sha256 = match write_out(&vault, id, &sealed, &args.output).await {
        Ok(sha256) if record.sha256.as_ref().is_none_or(|known| *known == sha256) => sha256,
        failed => {
            // Half a recording is none. What is no file (a pipe) is left alone.
            if std::fs::metadata(&args.output).is_ok_and(|found| found.is_file()) {
                let _ = std::fs::remove_file(&args.output);
            }
            failed?;
            let message =
                format!("segment {id} is not what was recorded: its SHA-256 differs from the index");
            return Err(Failure::Wrong(message));
        }
    };
    let bytes = sealed.plain_len;
    if json {
        return print(&json!({ "segment": id, "file": args.output, "bytes": bytes, "sha256": sha256 }));
    }
    say(format_args!("{} ({bytes} bytes)", args.output.display()))
}

/// Writes a recording to a file that only its owner can read; gives its SHA-256, hex.
async fn write_out(vault: &dyn Vault, id: SegmentId, sealed: &Sealed, to: &Path) -> Result<String, Failure> {
    const STEP: u64 = 1 << 20;
    let unwritable = |error: std::io::Error| Failure::Unusable(vec![format!("{}: {error}", to.display())]);
    let mut options = std::fs::OpenOptions::new();
    let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(to).map_err(unwritable)?;
    let mut hash = Sha256::new();
    let mut at = 0;
    while at < sealed.plain_len {
        let bytes = vault.read(id, sealed, at..at + STEP).await.map_err(|error| match error {
            VaultError::Unavailable(_) => Failure::Unavailable(error.to_string()),
            VaultError::Missing(_) | VaultError::Damaged(..) => Failure::Wrong(error.to_string()),
        })?;
        if bytes.is_empty() {
            break;
        }
        at += bytes.len() as u64;
        hash.update(&bytes);
        out.write_all(&bytes).map_err(unwritable)?;
    }
    Ok(hex(&hash.finalize()))
}

fn decide(args: DecideArgs) -> Outcome {
    let texts =
        rules::Texts::of(&args.policy, args.packs.as_deref()).map_err(|fault| unusable(vec![fault]))?;
    let policy = texts.policy().map_err(unusable)?;
    let mut text = String::new();
    let read = if args.facts == Path::new("-") {
        std::io::Read::read_to_string(&mut std::io::stdin(), &mut text).map(drop)
    } else {
        std::fs::read_to_string(&args.facts).map(|read| text = read)
    };
    let unreadable =
        |error: &dyn std::fmt::Display| Failure::Unusable(vec![format!("{}: {error}", args.facts.display())]);
    read.map_err(|error| unreadable(&error))?;
    let mut facts: Facts = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    origin::locate(&mut facts, &policy);
    print(&json!(decide::explain(&facts, &policy)))
}

async fn dry_run(file: &Path, json: bool, args: simulate::Args) -> Outcome {
    let failed = |error: simulate::SimulateError| match error {
        simulate::SimulateError::Index(error) => unavailable(error),
        other => Failure::Unusable(other.to_string().lines().map(str::to_owned).collect()),
    };
    args.check().map_err(failed)?;
    // A policy and records are enough; a configuration that is there is used.
    let has_config = file.exists() || args.index || args.policy.is_none() || file != Path::new(CONFIG);
    let config = if has_config { Some(config(file)?.0) } else { None };
    let store = match &config {
        Some(config) if args.index => Some(index(config).await?),
        _ => None,
    };
    let ground = simulate::Ground::read(&args, config.as_ref()).map_err(failed)?;
    let report = simulate::run(&ground, &args, store.as_ref()).await.map_err(failed)?;
    if json {
        print(&json!(report))?;
    } else {
        say(format_args!("{}", simulate::text::text(&report)))?;
    }
    if report.unreadable() == 0 { Ok(()) } else { Err(Failure::Found) }
}

async fn verify_all(file: &Path, json: bool, exempt: bool) -> Outcome {
    let (config, _) = config(file)?;
    let store = index(&config).await?;
    let vault = vault(&config).await?;
    verified::verify(&store, &vault, &show::zone(&config), json, exempt).await
}

async fn audit_draws(file: &Path, json: bool, campaign: &str) -> Outcome {
    let (rules, config) = rules::load(file).map_err(unusable)?;
    let store = index(&config).await?;
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

async fn draw_up(file: &Path, json: bool, args: PapersArgs) -> Outcome {
    let now = SystemClock.now();
    let one = |fault| unusable(vec![fault]);
    let (texts, index_of) = match &args.policy {
        Some(policy) => (rules::Texts::of(policy, args.packs.as_deref()).map_err(one)?, None),
        None => {
            let (config, _) = config(file)?;
            // Before the first start there is none, and papers are wanted before the first start.
            let there = config.store.path.exists();
            (rules::Texts::read(&config).map_err(one)?, there.then_some(config))
        }
    };
    let policy = texts.policy().map_err(unusable)?;
    let figures = match &index_of {
        Some(config) => {
            let store = index(config).await?;
            Some(papers::count(&store, &policy, now).await.map_err(unavailable)?)
        }
        None => None,
    };
    let on = policy.site().zone.day(now);
    let written = papers::write(&args, &texts, &policy, figures.as_ref(), on);
    let written = written.map_err(|error| Failure::Unusable(vec![error.to_string()]))?;
    if json {
        return print(&json!({ "papers": written, "index": figures.is_some() }));
    }
    for paper in &written {
        let fields = match paper.open.len() {
            0 => String::new(),
            1 => " (1 field to be completed)".to_owned(),
            fields => format!(" ({fields} fields to be completed)"),
        };
        let file = paper.files.first().map(|file| file.display().to_string()).unwrap_or_default();
        say(format_args!("{:<4} {file}{fields}", paper.id))?;
    }
    if figures.is_none() {
        say(format_args!("no index was read: figures are fields to be completed"))?;
    }
    Ok(())
}

fn begin(json: bool, args: &InitArgs) -> Outcome {
    let today = SystemClock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    // Questions go where answers for machines do not.
    let made = init::init(args, &mut std::io::stdin().lock(), &mut std::io::stderr().lock(), today);
    let made = made.map_err(|error| Failure::Unusable(vec![error.to_string()]))?;
    if json { print(&json!(made)) } else { say(format_args!("{made}")) }
}

pub(crate) fn config(file: &Path) -> Result<(Config, String), Failure> {
    Config::read(file).map_err(unusable)
}

/// The index, which `serve` makes: looking for something must not leave an empty one behind.
pub(crate) async fn index(config: &Config) -> Result<impl Store + use<>, Failure> {
    there(&config.store.path, "index")?;
    wiring::index(config).await.map_err(unavailable)
}

async fn vault(config: &Config) -> Result<impl Vault + use<>, Failure> {
    there(&config.vault.path, "vault")?;
    wiring::vault(config).await.map_err(|error| Failure::Unavailable(format!("{error:#}")))
}

fn there(path: &Path, what: &str) -> Outcome {
    let missing = |error| {
        Failure::Unavailable(format!("no {what} at {}: {error}; `temoin serve` makes it", path.display()))
    };
    std::fs::metadata(path).map(drop).map_err(missing)
}

pub(crate) fn unusable(faults: Vec<Fault>) -> Failure {
    Failure::Unusable(faults.iter().map(ToString::to_string).collect())
}

fn unavailable(error: StoreError) -> Failure {
    Failure::Unavailable(error.to_string())
}

pub(crate) fn print(value: &serde_json::Value) -> Outcome {
    say(format_args!("{value:#}"))
}

/// A reader that went away (`| head`) is no failure.
pub(crate) fn say(text: std::fmt::Arguments<'_>) -> Outcome {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Unavailable(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
