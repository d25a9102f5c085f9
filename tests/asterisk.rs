//! Real calls on a real Asterisk: every scenario of `tests/scenarios`, played with the program as it was built.
//!
//! `cargo test --test asterisk` plays all, `cargo test --test asterisk -- pause exempt` those whose names hold one of the
//! words (`=pause`: are the word). `TEMOIN_BIN` names another program to be tested (a sabotaged one). What remains of each scenario – recordings,
//! the index's story, the phones' events, logs – lies in the folder that a failure names.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use temoin_lab::scenario::{Prompts, Report, Scenario, Sidecar, Site, Suite};

fn main() -> ExitCode {
    let (flags, words): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|arg| arg.starts_with('-'));
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut scenarios = match Scenario::read_all(&here) {
        Ok(scenarios) => scenarios,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let is_asked = |name: &str, word: &str| match word.strip_prefix('=') {
        Some(whole) => name == whole,
        None => name.contains(word),
    };
    scenarios.retain(|scenario| words.is_empty() || words.iter().any(|word| is_asked(&scenario.name, word)));
    if flags.iter().any(|flag| flag == "--list") {
        for scenario in &scenarios {
            println!("{}: test", scenario.name);
        }
        return ExitCode::SUCCESS;
    }
    let other = std::env::var_os("TEMOIN_BIN");
    let keep = if other.is_some() { "scenarios-of-another" } else { "scenarios" };
    let program = other.unwrap_or_else(|| OsString::from(env!("CARGO_BIN_EXE_temoin")));
    let suite = Suite {
        scenarios,
        site: Site { folder: here.join("site"), prompts: Prompts::Tones },
        sidecar: Sidecar { program: program.into(), prefix_args: Vec::new() },
        stays: None,
        keep: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(keep),
    };
    let count = suite.scenarios.len();
    println!("\nplaying {count} scenarios");
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let begun = std::time::Instant::now();
    let (reports, _) = runtime.block_on(suite.run(|report| println!("{report}")));
    let failed: Vec<&str> =
        reports.iter().filter(|report| !report.is_well()).map(|report| report.name.as_str()).collect();
    // A bench that does not start has scenarios that were not played.
    let played = reports.iter().map(|report| report.name.as_str()).filter(|name| !name.starts_with("bench "));
    let played = played.collect::<BTreeSet<_>>().len();
    let calls: usize = reports.iter().map(|report: &Report| report.calls.len()).sum();
    let took = begun.elapsed().as_secs_f64();
    if failed.is_empty() && played == count {
        println!("\nscenario result: ok. {played} played, {calls} calls, {took:.0} s\n");
        ExitCode::SUCCESS
    } else {
        println!(
            "\nscenario result: FAILED. {played} of {count} played, {calls} calls, {took:.0} s: {failed:?}\n"
        );
        ExitCode::FAILURE
    }
}
