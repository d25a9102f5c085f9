//! What Témoin costs, and how fast it is: the same calls on the same real Asterisk, in one run, not recorded, recorded by
//! Asterisk alone, and by Témoin; then the hook alone.
//!
//! `cargo run --release --example load` takes five minutes on a machine that should have nothing else to do;
//! `-- --quick` takes one and shows only that all of it works. `--help` names the options. It prints tables in Markdown.
//! The exit status is 0 when every call went as it should and no recording lost anything; a missed target is named with
//! what the machine was doing, and does not change it.
//!
//! All calls hear the same prompt, wait as long for a key, and talk as long, in tones that are looked for afterwards in
//! every recording. Where moments come from stands in the parts: `proxy` (the sidecar's share of the hook), `judge` (the
//! first and last recorded packet), `machine` (CPU and memory).
//!
//! The calls are made by the tests' own phones and not by sipp, because only they know the instant of every packet; what
//! they cost the machine stands in the tables. The first call after the sidecar's start finds nothing remembered, so with
//! few calls it is the 99th of a hundred.
//!
//! Left out: transfers, queues and conferences, several nodes, a store or vault that is not on this machine's disk.

mod ground;
mod judge;
mod machine;
mod pass;
mod proxy;
mod report;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use temoin_lab::scenario::Sidecar;

use ground::{Ground, told};
use judge::judge;
use pass::{Pace, Way, run};
use report::{Measured, tables, targets};

/// The first argument by which this is the sidecar.
const SIDECAR: &str = "__temoin";
/// The numbers of customers: +33 1 99 00 and four digits.
const NUMBERS: usize = 10_000;
/// How long a call is up beside its talk: prompt, wait for a key, ringing, and whatever is late.
const AROUND_TALK: f64 = 6.0;
/// How long a call of the hook alone is up.
const HOOK: f64 = 5.0;

/// What Témoin costs a call, beside the same calls without it.
#[derive(Clone, Debug, Parser)]
#[command(name = "load")]
struct Options {
    /// Calls begun in a second.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// How long they talk, in seconds.
    #[arg(long, default_value_t = 6.0)]
    length: f64,
    /// Calls of each way; without it those of half a minute.
    #[arg(long)]
    count: Option<u16>,
    /// Calls begun in a second that only pass the hook.
    #[arg(long, default_value_t = 30.0)]
    hook_rate: f64,
    /// 2 calls a second for 10 s: shows that it works, measures little.
    #[arg(long, conflicts_with_all = ["rate", "length", "count", "hook_rate"])]
    quick: bool,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == SIDECAR).is_some() {
        return temoin::cli::with_args([OsString::from("temoin")].into_iter().chain(args));
    }
    let options = Options::parse().settled();
    let measured = options.check().and_then(|()| {
        let runtime = tokio::runtime::Runtime::new().map_err(told)?;
        runtime.block_on(load(&options))
    });
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("load: {why}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn settled(self) -> Self {
        if self.quick {
            return Self { rate: 2.0, length: 4.0, count: Some(20), hook_rate: 2.0, ..self };
        }
        self
    }

    fn check(&self) -> Result<(), String> {
        for (name, value, most) in
            [("rate", self.rate, 200.0), ("hook-rate", self.hook_rate, 200.0), ("length", self.length, 240.0)]
        {
            if !(1.0..=most).contains(&value) {
                return Err(format!("--{name} must be from 1 to {most}, not {value}"));
            }
        }
        if self.count.is_some_and(|count| count < 2) {
            return Err("--count must be at least 2".into());
        }
        let all: usize = self.passes().iter().map(|(_, pace)| usize::from(pace.count)).sum();
        if all > NUMBERS {
            return Err(format!(
                "{all} calls are more than there are numbers ({NUMBERS}): a smaller --count"
            ));
        }
        Ok(())
    }

    /// The ways and their paces, in order.
    fn passes(&self) -> Vec<(Way, Pace)> {
        let count = self.count.unwrap_or((30.0 * self.rate) as u16);
        let talk = Duration::from_secs_f64(self.length);
        let talked = Pace { rate: self.rate, talk, count };
        let hook =
            Pace { rate: self.hook_rate, talk, count: self.count.unwrap_or((20.0 * self.hook_rate) as u16) };
        vec![
            (Way::Bare, talked),
            (Way::MixMonitor, talked),
            (Way::Temoin, talked),
            (Way::Code, talked),
            (Way::BareHook, hook),
            (Way::Hook, hook),
            (Way::SilentHook, hook),
        ]
    }
}

/// Plays and judges everything, and prints it; whether nothing failed and nothing was lost.
async fn load(options: &Options) -> Result<bool, String> {
    println!("{}; {}", jiff::Zoned::now().strftime("%F %R"), machine::about());
    let program = std::env::current_exe().map_err(told)?;
    let sidecar = Sidecar { program, prefix_args: vec![SIDECAR.into()] };
    let room = (options.rate * (options.length + AROUND_TALK)).max(options.hook_rate * HOOK);
    let mut ground = Ground::start(sidecar, (1.5 * room) as u16 + 20).await?;
    println!(
        "Asterisk {}, the calls talk {} s and hear a prompt of 1.2 s; phones in this process\n",
        ground.lab.version(),
        options.length
    );
    let (mut all, mut first, mut well) = (Vec::new(), 0, true);
    for (way, pace) in options.passes() {
        // Only between passes, so that none has a part of what starting costs.
        if way.is_served() {
            ground.serve()?;
        } else if ground.sidecar().is_some() {
            ground.end()?;
        }
        let shared = Arc::new(ground);
        let pass = run(Arc::clone(&shared), way, pace, first).await?;
        let found = if way.talks() && way != Way::Bare { Some(judge(&shared, &pass).await?) } else { None };
        let shares = shared.proxy.shares();
        ground = Arc::into_inner(shared).ok_or("a call has not ended with its pass")?;
        first += pace.count;
        for why in pass.failed.iter().chain(found.iter().flat_map(|found| &found.missing)).take(5) {
            println!("{way:?}: {why}");
        }
        if let Some(found) = found.as_ref().filter(|found| found.unknown > 0) {
            println!("{way:?}: of {} recordings an end was heard by nobody", found.unknown);
        }
        well &= pass.failed.is_empty() && found.as_ref().is_none_or(judge::Found::is_whole);
        all.push(Measured { pass, found, shares });
    }
    ground.end()?;
    let (targets, met) = targets(&all);
    println!("{}{targets}", tables(&all));
    println!("\nSpreads are p50 / p95 / p99, worst (how many).");
    if met {
        println!("Every target was met.");
    }
    if !well {
        println!("**Calls failed, or recordings lost something: the figures are of no use.**");
    }
    Ok(well)
}
