//! The register of consents and of those who must not be called, as it is kept and asked here. What an entry is and what
//! follows from it is the core's business ([`temoin_core::register`]).
//!
//! `temoin register` reads what people say (`said`, `csv`) and writes it with its journal line in one commit (`write`,
//! `import`); [`Book`] is what is asked before a number is dialled; [`sweep`] erases what has had its time. No number is
//! written down in clear, neither here nor in what is told of bad lines.

mod ask;
mod book;
mod csv;
mod import;
mod list;
mod said;
pub mod sweep;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use temoin_core::policy::Policy;
use temoin_core::ports::{Clock as _, StoreError};

pub(crate) use book::KEY;
pub use book::{Book, BookError};

use crate::cli::{self, Failure, Outcome};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::rules::Texts;
use crate::{show, wiring};

/// What `temoin register` is told.
#[derive(Debug, Args)]
pub struct RegisterArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enter a consent, or a number that must not be called. The same again changes nothing.
    Add(said::AddArgs),
    /// Enter what a CSV file holds; its first line names the columns. Bad lines are told and do not stop the others
    /// (exit code 1). The same file again changes nothing.
    Import(import::ImportArgs),
    /// List entries, the newest first. Of a number only its country and last two digits are kept in clear.
    List(list::ListArgs),
    /// Tell whether a number may be called, and what its owner agreed to be recorded for: exit code 0 yes, 1 no.
    Check(ask::CheckArgs),
    /// Withdraw what stands of a number. It stays as evidence until its time of proof is over.
    Withdraw(write::WithdrawArgs),
}

/// What every command works with.
struct Desk {
    config: Config,
    policy: Policy,
    now: jiff::Timestamp,
    zone: jiff::tz::TimeZone,
}

/// `temoin register`.
pub(crate) async fn run(file: &std::path::Path, args: RegisterArgs, json: bool) -> Outcome {
    let (config, _) = Config::read(file).map_err(cli::unusable)?;
    let texts = Texts::read(&config).map_err(|fault| cli::unusable(vec![fault]))?;
    let policy = texts.policy().map_err(cli::unusable)?;
    let zone = show::zone_of(texts.site().1);
    let desk = Desk { config, policy, now: SystemClock.now(), zone };
    match args.command {
        Command::Add(args) => said::add(&desk, args, json).await,
        Command::Import(args) => import::import(&desk, args, json).await,
        Command::List(args) => list::list(&desk, args, json).await,
        Command::Check(args) => ask::check(&desk, args, json).await,
        Command::Withdraw(args) => write::withdraw(&desk, args, json).await,
    }
}

impl Desk {
    /// The register, to write in; the index is made where there is none yet.
    async fn book(&self) -> Result<Book, Failure> {
        let store = wiring::index(&self.config).await.map_err(unavailable)?;
        Book::open(Arc::new(store), &self.key()).await.map_err(unusable)
    }

    /// The register, to look only; an index must be there.
    async fn look(&self) -> Result<Book, Failure> {
        let store = cli::index(&self.config).await?;
        Book::look(Arc::new(store), &self.key()).await.map_err(unusable)
    }

    fn key(&self) -> PathBuf {
        self.config.register_key()
    }

    /// A day or an instant that somebody wrote; `end` takes the end of a day.
    fn instant(&self, text: &str, end: bool) -> Result<jiff::Timestamp, String> {
        show::instant(text, &self.zone, end)
            .ok_or_else(|| format!("`{text}` is neither a day (2026-11-21) nor an instant"))
    }

    /// The one country whose numbers all lines have: numbers without a country's code are read as dialled there.
    fn country(&self) -> Option<temoin_core::words::Territory> {
        let numbers = self.policy.site().lines.values().flat_map(|line| &line.numbers);
        let mut countries: Vec<_> = numbers.map(|number| temoin_core::origin::country(number)).collect();
        countries.sort();
        countries.dedup();
        match countries.as_slice() {
            [Some(one)] => Some(one.clone()),
            _ => None,
        }
    }
}

fn unavailable(error: StoreError) -> Failure {
    Failure::Unavailable(error.to_string())
}

fn unusable(error: BookError) -> Failure {
    match error {
        BookError::Store(error) => unavailable(error),
        BookError::Key(fault) => cli::unusable(vec![fault]),
    }
}

fn wrong_use(message: impl Into<String>) -> Failure {
    Failure::Unusable(vec![message.into()])
}
