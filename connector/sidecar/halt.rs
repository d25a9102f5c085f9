//! `temoin halt`: for the moment after Témoin has died, run by the service manager (`ExecStopPost`). Stops the recorders of
//! calls that need not be recorded; the next start keeps their audio up to the last moment that was watched. Recordings
//! that a law demands run on and are kept, flagged as unwatched.

use std::path::Path;

use serde_json::json;
use temoin_core::desk::Unavailable;
use temoin_core::id::CallId;
use temoin_core::ports::Store as _;

use crate::cli::{self, Failure, Outcome};
use crate::wiring;

/// What is wanted.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Those of lines that must be recorded, too.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(file: &Path, json: bool, args: &Args) -> Outcome {
    let (config, _) = cli::config(file)?;
    let away = |why: String| Failure::Unavailable(why);
    let store = match args.all {
        true => None,
        false => Some(wiring::index(&config).await.map_err(|error| {
            away(format!("{error}: which calls must be recorded is not known; --all stops every recorder"))
        })?),
    };
    let spares = async |call: &CallId| match &store {
        None => false,
        // Whoever cannot be looked up is spared: what should not have been recorded is cut off by the next start.
        Some(store) => match store.call(call).await {
            Ok(Some(record)) => {
                config.lines.get(&record.line).is_some_and(|line| line.unavailable == Unavailable::Refuse)
            }
            Ok(None) => false,
            Err(_) => true,
        },
    };
    let (stopped, spared, running) =
        wiring::halt(&config, spares).await.map_err(|why| away(format!("the PBX cannot be asked: {why}")))?;
    if json {
        cli::print(&json!({ "stopped": stopped, "spared": spared, "running": running }))?;
    } else {
        cli::say(format_args!("{stopped} recorders stopped, {spared} calls spared"))?;
        for call in &running {
            cli::say(format_args!("{call}: its recorder may still run"))?;
        }
    }
    if running.is_empty() { Ok(()) } else { Err(Failure::Found) }
}
