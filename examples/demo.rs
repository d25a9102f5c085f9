//! Témoin in a minute and a half: real calls on a real Asterisk, with the shipped prompts, packs and dialplan and the
//! policy of `examples/policies/demo`. What is played, and what must come of it, stands in `examples/policies/demo/calls`.
//!
//! `cargo run --release --example demo` plays the calls, tells what was kept and until when, and stays up, so that you can
//! call yourself. `-- --exit` ends by itself, with status 0 only if every call went as its file says; `-- --json` prints
//! one document `{"calls": […]}` instead of lines.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use temoin_lab::scenario::{CallSeen, Prompts, Report, Scenario, Sidecar, Site, Standing, Suite};

/// The first argument by which the demo is the sidecar.
const SIDECAR: &str = "__temoin";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == SIDECAR).is_some() {
        return temoin::cli::with_args([OsString::from("temoin")].into_iter().chain(args));
    }
    let (mut exit, mut json) = (false, false);
    for arg in args {
        match arg.to_str() {
            Some("--exit") => exit = true,
            Some("--json") => json = true,
            _ => {
                eprintln!("demo: `{}` is neither --exit nor --json", arg.display());
                return ExitCode::from(2);
            }
        }
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("demo: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(demo(exit, json)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("demo: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Plays everything; whether all went as it should.
async fn demo(exit: bool, json: bool) -> Result<bool, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here.join("examples/policies/demo");
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let keep = program.ancestors().nth(3).map_or_else(std::env::temp_dir, Path::to_owned).join("demo");
    let scenarios = Scenario::read_all(&folder.join("calls")).map_err(|error| error.to_string())?;
    let count = scenarios.len();
    if !json {
        println!(
            "{count} stories, each on a real Asterisk, with the policy {}",
            folder.join("policy.toml").display()
        );
        println!(
            "and the shipped announcements. They are played beside each other and take about a minute.\n"
        );
    }
    let suite = Suite {
        scenarios,
        site: Site { folder, prompts: Prompts::Folder(here.join("dialplans/sounds")) },
        sidecar: Sidecar { program: program.clone(), prefix_args: vec![SIDECAR.into()] },
        stays: (!exit).then(|| "main".to_owned()),
        keep: keep.clone(),
    };
    let (reports, standing) = suite
        .run(|report| {
            if !json {
                tell(report);
            }
        })
        .await;
    let played = reports.iter().filter(|report| !is_bench(report)).count();
    let well = played == count && reports.iter().all(Report::is_well);
    if json {
        let calls: Vec<Value> =
            reports.iter().filter(|report| !is_bench(report)).flat_map(document).collect();
        println!("{:#}", json!({ "calls": calls, "well": well }));
    } else {
        let verdict =
            if well { "Every call went as its file says." } else { "Not every call went as its file says." };
        println!("{verdict} Recordings as WAV, logs and stories: {}", keep.display());
    }
    if let Some(standing) = standing {
        stay(&standing, &program, json).await?;
    }
    Ok(well)
}

async fn stay(standing: &Standing, program: &Path, json: bool) -> Result<(), String> {
    if !json {
        let (sip, config) = (standing.sip(), standing.config());
        let temoin = format!("{} {SIDECAR} --config {}", program.display(), config.display());
        println!("\nStill up. With a SIP phone on this machine, user name `visitor`, no registration, call");
        println!("  sip:8101@{sip}   an announcement where you may press 1 to refuse, then an agent");
        println!("  sip:8403@{sip}   a line that must be recorded");
        println!("  sip:8005@{sip}   a staff representative, never recorded");
        println!("and then look, from another window:");
        println!("  {temoin} calls");
        println!("  {temoin} show CALL");
        println!("  {temoin} verify");
        println!("Ctrl-C ends it.");
    }
    tokio::signal::ctrl_c().await.map_err(|error| error.to_string())
}

fn is_bench(report: &Report) -> bool {
    report.name.starts_with("bench ")
}

fn tell(report: &Report) {
    if !report.is_well() {
        println!("{report}\n");
        return;
    }
    if is_bench(report) {
        return;
    }
    println!("{}\n  {}", report.title, report.why);
    for call in &report.calls {
        println!("  -> {}", outcome(call));
        for segment in segments(call) {
            let file = recording(call, segment)
                .map_or_else(String::new, |file| format!("\n     {}", file.display()));
            println!("     {}{file}", fate(segment));
        }
    }
    println!();
}

/// What came of a call, in a few words.
fn outcome(call: &CallSeen) -> String {
    match call.story["call"]["outcome"].as_str() {
        None => "not seen by Témoin; nothing recorded".into(),
        Some("recorded") => "recorded".into(),
        Some(word) => format!("nothing kept: {word}"),
    }
}

/// What came of a segment.
fn fate(segment: &Value) -> String {
    let words = |list: &Value| {
        let words = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        words.collect::<Vec<_>>().join(", ")
    };
    match segment["state"].as_str() {
        Some("kept") => format!(
            "{:.1} s kept for {}, until {} at the latest",
            segment["millis"].as_f64().unwrap_or_default() / 1000.0,
            words(&segment["kept_for"]),
            segment["retention"]["delete_by"].as_str().and_then(|at| at.split('T').next()).unwrap_or("?"),
        ),
        _ => format!("a recording for {} was erased", words(&segment["purposes"])),
    }
}

fn segments(call: &CallSeen) -> impl Iterator<Item = &Value> {
    call.story["segments"].as_array().into_iter().flatten()
}

fn recording<'a>(call: &'a CallSeen, segment: &Value) -> Option<&'a PathBuf> {
    call.recordings.get(segment["id"].as_str()?)
}

fn document(report: &Report) -> Vec<Value> {
    let call = |call: &CallSeen| {
        let segment = |segment: &Value| {
            json!({
                "segment": segment["id"], "state": segment["state"], "kept_for": segment["kept_for"],
                "until": segment["retention"]["delete_by"], "millis": segment["millis"], "file": recording(call, segment),
            })
        };
        json!({
            "scenario": report.name, "title": report.title, "why": report.why,
            "well": report.is_well(), "wrong": report.wrong,
            "call": call.story["call"]["id"], "line": call.story["call"]["line"],
            "outcome": call.story["call"]["outcome"], "agents": call.story["call"]["agents"],
            "segments": segments(call).map(segment).collect::<Vec<_>>(),
        })
    };
    report.calls.iter().map(call).collect()
}
