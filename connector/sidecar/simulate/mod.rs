//! `temoin simulate`: the calls of the past through a policy, before it is put in force.
//!
//! Records of a PBX ([`source`], [`mod@format`], [`cel`]) or of our own index ([`index`]) become contacts ([`contact`]);
//! contacts of one call are put together ([`replay`]); each call goes through the hook, the lots and the decision
//! ([`mod@run`], [`hook`], [`facts`], [`lots`]), by the same functions that a live call uses; what came of it is counted ([`tally`]) and reported
//! ([`report`], [`text`], [`html`], [`svg`], [`wilson`]). Memory does not grow with the files: one record, the calls that are open (at most
//! [`replay::MOST`]), and counts.
//!
//! Left out: talk that the records do not tell of (who pressed a code, when a contract talk began), and sounds: every
//! announcement counts as heard to its end.

pub mod cel;
pub mod contact;
pub mod csv;
pub mod facts;
pub mod format;
pub mod hook;
pub mod html;
pub mod index;
pub mod lots;
pub mod names;
pub mod replay;
pub mod report;
pub mod run;
pub mod source;
pub mod svg;
pub mod tally;
pub mod text;
pub mod wilson;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use temoin_core::policy::Policy;
use temoin_core::ports::{Store, StoreError};
use temoin_core::time::Zone;

use self::run::{Run, Settings};
use crate::config::Config;
use crate::fault::Fault;
use crate::rules::{Texts, look_at_key};
use format::Format;
use names::{Map, Names};
use replay::Replay;
use report::{Price, Report};
use source::{Progress, Read1, SourceError};

/// What is asked for.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_help = "Formats, told apart by their content:
  asterisk-cdr    Master.csv of cdr_csv, with or without uniqueid, userfield and the new columns
  asterisk-cel    cel_custom as in the sample configuration: the exact time people were connected
  freeswitch-cdr  cdr_csv with the template `example`

What --map may say (TOML): timezone = \"Europe/Paris\" of the times in the records; and the tables [dialled], [queues] and
[contexts], from names in the records to lines of the policy, and [endpoints], from `SIP/2001` or `Local/2001@agents` to
agents. Lines are found by the policy's numbers, agents by [extensions] of temoin.toml; nothing is guessed.")]
pub struct Args {
    /// The site policy; that of the configuration if absent.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Another policy: what would it change?
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// A folder of packs instead of the shipped ones (or of the configuration's).
    #[arg(long, value_name = "FOLDER")]
    pub packs: Option<PathBuf>,
    /// What names in the records mean to the policy.
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// The format of the files, where it is not to be told from their content.
    #[arg(long)]
    pub format: Option<Format>,
    /// The zone of the times in the records; the map's or the policy's if absent.
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// Replay the calls of our own index, instead of files or after them.
    #[arg(long)]
    pub index: bool,
    /// List every call (with --against: every call that is decided otherwise), as CSV.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub calls: Option<PathBuf>,
    /// Write a page with charts.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// What a gigabyte costs for a month.
    #[arg(long, allow_negative_numbers = true)]
    pub price: Option<f64>,
    /// The currency of that price.
    #[arg(long, default_value = "EUR")]
    pub currency: String,
    /// Of a thousand customers who may refuse, so many do.
    #[arg(long, value_name = "PER MILLE", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub refusing: u16,
    /// Of a thousand customers who are asked for a yes, so many say it.
    #[arg(long, value_name = "PER MILLE", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub consenting: u16,
    /// Call records; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Why a simulation failed.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// What it was given cannot be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Unusable(Vec<Fault>),
    /// What it was asked makes no sense.
    #[error("{0}")]
    Asked(String),
    /// A file of records cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The index does not answer.
    #[error(transparent)]
    Index(#[from] StoreError),
    /// Something cannot be written.
    #[error("{0}: {1}")]
    Unwritable(String, io::Error),
}

/// The key of the draws where there is none of the site: anybody gets the same lots.
const OPEN_KEY: [u8; 32] = *b"temoin simulate: no key of site.";

/// What a simulation stands on.
pub struct Ground {
    policy: (Policy, String),
    against: Option<(Policy, String)>,
    extensions: BTreeMap<String, String>,
    map: Map,
    zone: Zone,
    settings: Settings,
    assumptions: Vec<String>,
}

impl Ground {
    /// Reads policies, configuration, map and key.
    ///
    /// # Errors
    /// All that is wrong with one of them.
    pub fn read(args: &Args, config: Option<&Config>) -> Result<Self, SimulateError> {
        let unusable = SimulateError::Unusable;
        let Some(file) = args.policy.as_deref().or(config.map(|config| config.policy.as_path())) else {
            let hint = "no policy: name one by --policy, or a configuration by --config";
            return Err(SimulateError::Asked(hint.into()));
        };
        let packs = args.packs.as_deref().or(config.and_then(|config| config.packs.as_deref()));
        let load = |file: &Path| {
            let texts = Texts::of(file, packs).map_err(|fault| vec![fault])?;
            Ok((texts.policy()?, file.display().to_string()))
        };
        let policy = load(file).map_err(unusable)?;
        let against = args.against.as_deref().map(load).transpose().map_err(unusable)?;
        let map = match &args.map {
            Some(file) => Map::read(file, &policy.0).map_err(unusable)?,
            None => Map::default(),
        };
        let zone = args.timezone.as_deref().or(map.timezone.as_deref());
        let zone = match zone {
            None => policy.0.site().zone.clone(),
            Some(name) => Zone::named(name).ok_or_else(|| {
                SimulateError::Asked(format!(
                    "`{name}` is no time zone; write it as IANA does, such as Europe/Paris"
                ))
            })?,
        };
        let key = config.map(|config| look_at_key(&config.sampling_key, "the key of the draws")).transpose();
        let key = key.map_err(|fault| unusable(vec![fault]))?.flatten();
        let mut assumptions = vec![
            format!("times in the records are of {}, where they do not say it themselves", zone.name()),
            match key {
                Some(_) => "lots are drawn with the site's own key".into(),
                None => "lots are drawn with an open key, as the site's own is not here".to_owned(),
            },
            "every announcement is heard to its end".into(),
        ];
        assumptions.push(format!(
            "of a thousand customers {} refuse where they may, {} say yes where they are asked",
            args.refusing, args.consenting
        ));
        let settings =
            Settings { key: key.unwrap_or(OPEN_KEY), refusing: args.refusing, consenting: args.consenting };
        let extensions = config.map(|config| config.extensions.clone()).unwrap_or_default();
        Ok(Self { policy, against, extensions, map, zone, settings, assumptions })
    }

    fn run<'p>(&self, policy: &'p Policy) -> Run<'p> {
        Run::new(policy, Names::of(policy, &self.extensions, &self.map), self.settings.clone())
    }

    /// Replays files, and an index where one is given. Calls are listed where a writer is given.
    ///
    /// # Errors
    /// A file or the index cannot be read, or the list cannot be written.
    pub async fn replay<'w>(
        &self,
        args: &Args,
        store: Option<&impl Store>,
        listing: Option<&'w mut (dyn Write + 'w)>,
    ) -> Result<Report, SimulateError> {
        let against = self.against.as_ref().map(|(policy, _)| self.run(policy));
        let mut replay = Replay::new(self.run(&self.policy.0), against, listing);
        let mut progress = Progress::of(&args.files);
        let mut sources = Vec::new();
        for file in &args.files {
            let read = source::read(file, args.format, &self.zone, &mut progress, &mut |c| replay.take(c));
            if read.is_err() {
                progress.end();
            }
            sources.push(read?);
        }
        progress.end();
        if let Some(store) = store {
            let records = index::read(store, &mut |contact| replay.take(contact)).await?;
            sources.push(Read1 { file: "index".into(), format: Some("index"), records, ..Read1::default() });
        }
        replay.end().map_err(|error| SimulateError::Unwritable("the list of calls".into(), error))?;
        let files = (self.policy.1.as_str(), self.against.as_ref().map(|(_, file)| file.as_str()));
        let currency = (!args.currency.is_empty()).then(|| args.currency.clone());
        let price = Price { gigabyte_month: args.price, currency };
        Ok(Report::of(&replay, files, sources, self.assumptions.clone(), &price))
    }
}

/// Replays, lists the calls and writes the page where they are asked for.
///
/// # Errors
/// Something cannot be read or written.
pub async fn run(ground: &Ground, args: &Args, store: Option<&impl Store>) -> Result<Report, SimulateError> {
    let unwritable = |file: &Path, error| SimulateError::Unwritable(file.display().to_string(), error);
    let mut listing: Option<Box<dyn Write>> = match args.calls.as_deref() {
        None => None,
        Some(file) if file == Path::new("-") => Some(Box::new(io::BufWriter::new(io::stdout()))),
        Some(file) => {
            let file = private(file).map_err(|error| unwritable(file, error))?;
            Some(Box::new(io::BufWriter::new(file)))
        }
    };
    let report = ground.replay(args, store, listing.as_mut().map(|out| &mut **out as &mut dyn Write)).await?;
    if let (Some(out), Some(file)) = (&mut listing, &args.calls) {
        out.flush().map_err(|error| unwritable(file, error))?;
    }
    if let Some(file) = &args.html {
        let written = private(file).and_then(|mut out| out.write_all(html::page(&report).as_bytes()));
        written.map_err(|error| unwritable(file, error))?;
    }
    Ok(report)
}

/// A file that only its owner can read: it tells of agents.
fn private(file: &Path) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)
}

impl Args {
    /// What can be told before anything is read.
    ///
    /// # Errors
    /// Nothing to replay, or a price that is none.
    pub fn check(&self) -> Result<(), SimulateError> {
        let asked = |hint: &str| Err(SimulateError::Asked(hint.to_owned()));
        if self.files.is_empty() && !self.index {
            return asked("nothing to replay: name files of call records, or take our own index by --index");
        }
        if self.price.is_some_and(|price| !price.is_finite() || price < 0.0) {
            return asked("--price is what a gigabyte costs for a month: a number, 0 or more");
        }
        Ok(())
    }
}
