//! `temoin init`: a first `policy.toml` and `temoin.toml`, by a few questions or flags. What the law of the country asks
//! is found out by drafting and deciding, not known here. Nothing that is there is written over; what only people can
//! supply is marked `TODO(you)` in the files and listed at the end.

mod answers;
mod dialogue;
mod law;
mod machine;
mod policy;

use std::io::{BufRead, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::civil::Date;
use serde::Serialize;
use temoin_core::finding::Code;
use temoin_core::policy::Policy;
use temoin_core::words::{Purpose, Territory};

use crate::clock::chance;
use crate::config::hex;
use answers::{Answers, Bad};
use dialogue::Dialogue;
use machine::Places;

/// What `temoin init` is told.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder for the two files; made where it is not there.
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// Whose law protects the callers: FR, DE, CA-QC …
    #[arg(long, value_name = "COUNTRY")]
    pub country: Option<String>,
    /// The PBX.
    #[arg(long, value_name = "PBX")]
    pub pbx: Option<String>,
    /// Who decides why calls are recorded.
    #[arg(long, value_name = "NAME")]
    pub controller: Option<String>,
    /// Where people write about their rights.
    #[arg(long, value_name = "ADDRESS")]
    pub contact: Option<String>,
    /// A line, with its number or without: accueil=+33199000100. Again for another.
    #[arg(long = "line", value_name = "NAME[=NUMBER]")]
    pub lines: Vec<String>,
    /// What calls are recorded for: quality, training, contract-proof … Again for another.
    #[arg(long = "purpose", value_name = "PURPOSE", value_delimiter = ',')]
    pub purposes: Vec<String>,
    /// A language of the announcements. Again for another.
    #[arg(long = "language", value_name = "LANGUAGE", value_delimiter = ',')]
    pub languages: Vec<String>,
    /// The share of the calls to be recorded, per cent.
    #[arg(long, value_name = "PER CENT")]
    pub rate: Option<String>,
    /// The folder of the sounds.
    #[arg(long, value_name = "DIR")]
    pub sounds: Option<PathBuf>,
    /// The folder for index, vault, keys and spool.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Ask nothing: what is not told is as offered.
    #[arg(long)]
    pub yes: bool,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// The policy.
    pub policy: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// What only people can supply.
    pub todo: Vec<Todo>,
}

/// Something that only people can supply.
#[derive(Clone, Debug, Serialize)]
pub struct Todo {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What.
    pub what: String,
}

/// Why there are no two files.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file is there already.
    #[error("{} is there already, and is left as it is; name another folder", .0.display())]
    Exists(PathBuf),
    /// A flag, or what all answers make together.
    #[error("{0}")]
    Bad(String),
    /// Nobody answers any more.
    #[error(
        "the answers ended before the questions; tell the rest by flags, or take what is offered with --yes"
    )]
    Ended,
    /// Something could not be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// The mark of what only people can supply.
const MARK: &str = "TODO(you): ";

/// Asks, and writes the two files.
///
/// # Errors
/// As [`InitError`] says; then nothing was written over, and no half of a pair is left.
pub fn init(
    args: &InitArgs,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
    today: Date,
) -> Result<Made, InitError> {
    let files = [args.folder.join("policy.toml"), args.folder.join("temoin.toml")];
    if let Some(there) = files.iter().find(|file| file.symlink_metadata().is_ok()) {
        return Err(InitError::Exists(there.clone()));
    }
    let packs = answers::packs().map_err(InitError::Bad)?;
    let answers = Asker { args, packs: &packs, today, dialogue: Dialogue { input, output } }.answers()?;
    let law = law::ask(&answers, &packs, today).map_err(InitError::Bad)?;
    let refuse = law.values().any(|asked| asked.must && asked.refuses);
    let places = Places::of(&args.folder, args.state.clone(), args.sounds.clone());
    let secrets = [secret()?, secret()?];
    let texts =
        [policy::text(&answers, &law, &packs, today), machine::text(&answers, &places, refuse, &secrets)];
    std::fs::create_dir_all(&args.folder)?;
    let [policy, config] = files;
    create(&policy, &texts[0], 0o644)?;
    if let Err(error) = create(&config, &texts[1], 0o600) {
        // Half a pair is none.
        let _ = std::fs::remove_file(&policy);
        return Err(error);
    }
    let mut todo = todo(&policy, &texts[0]);
    todo.extend(self::todo(&config, &texts[1]));
    Ok(Made { policy, config, todo })
}

/// A secret of chance.
fn secret() -> std::io::Result<String> {
    Ok(hex(&chance()?[..16]))
}

fn create(file: &Path, text: &str, mode: u32) -> Result<(), InitError> {
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    let mut out = opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => InitError::Exists(file.to_owned()),
        _ => InitError::Bad(format!("{}: {error}", file.display())),
    })?;
    out.write_all(text.as_bytes())?;
    Ok(out.sync_all()?)
}

/// What is marked in a text, with the comment lines that go on with it.
fn todo(file: &Path, text: &str) -> Vec<Todo> {
    let mut found: Vec<Todo> = Vec::new();
    let mut goes_on = false;
    for (at, line) in text.lines().enumerate() {
        if let Some((_, what)) = line.split_once(MARK) {
            found.push(Todo { file: file.to_owned(), line: at + 1, what: what.to_owned() });
            goes_on = !what.ends_with('.');
        } else if let Some((last, more)) = found.last_mut().filter(|_| goes_on).zip(line.strip_prefix("# ")) {
            last.what = format!("{} {more}", last.what);
            goes_on = !more.ends_with('.');
        } else {
            goes_on = false;
        }
    }
    found
}

/// The questions, in their order; what a flag tells is not asked.
struct Asker<'a> {
    args: &'a InitArgs,
    packs: &'a Policy,
    today: Date,
    dialogue: Dialogue<'a>,
}

impl Asker<'_> {
    fn answers(mut self) -> Result<Answers, InitError> {
        let (args, packs, today) = (self.args, self.packs, self.today);
        let country =
            self.one(&args.country, "Whose law protects the callers (FR, DE, CA-QC …)", "FR", |text| {
                answers::country(text, packs)
            })?;
        self.one(&args.pbx, "PBX", "asterisk", answers::pbx)?;
        let free = |text: &str| Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()));
        let controller =
            self.one(&args.controller, "Who decides why calls are recorded (empty: later)", "", free)?;
        let contact =
            self.one(&args.contact, "Where people write about their rights (empty: later)", "", free)?;
        let lines = self.many(
            &args.lines,
            "Lines, with numbers: accueil=+33199000100, …",
            "accueil",
            answers::parts,
            answers::lines,
        )?;
        let purposes = self.many(
            &args.purposes,
            "Purposes: quality, training, contract-proof, …",
            "quality",
            answers::words,
            |texts| answers::purposes(texts, &country, packs),
        )?;
        let usual = answers::usual_languages(&country, packs).join(", ");
        let languages = self.many(
            &args.languages,
            "Languages of the announcements",
            &usual,
            answers::words,
            answers::languages,
        )?;
        let answers = Answers { country, controller, contact, lines, purposes, languages, rate: 1 };
        let law = law::ask(&answers, packs, today).map_err(InitError::Bad)?;
        if !law.values().any(|asked| asked.campaign) {
            return Ok(answers);
        }
        let allowed = |rate: u16| -> Result<u16, Bad> {
            let drafted = policy::text(&Answers { rate, ..answers.clone() }, &law, packs, today);
            match law::found(&drafted, Code::RateAboveCap) {
                Some(reason) => Err(format!("{} per cent is too much: {reason}", f64::from(rate) / 10.0)),
                None => Ok(rate),
            }
        };
        let usual = if allowed(200).is_ok() { "20" } else { "10" };
        let rate = self.one(&args.rate, "Share of the calls to be recorded, per cent", usual, |text| {
            answers::rate(text).and_then(allowed)
        })?;
        Ok(Answers { rate, ..answers })
    }

    /// An answer: by flag, as offered, or asked for.
    fn one<T>(
        &mut self,
        flag: &Option<String>,
        question: &str,
        offered: &str,
        good: impl Fn(&str) -> Result<T, Bad>,
    ) -> Result<T, InitError> {
        match flag {
            Some(told) => good(told).map_err(InitError::Bad),
            None if self.args.yes => good(offered).map_err(InitError::Bad),
            None => self.dialogue.ask(question, offered, good),
        }
    }

    fn many<T>(
        &mut self,
        flags: &[String],
        question: &str,
        offered: &str,
        split: fn(&str) -> Vec<String>,
        good: impl Fn(&[String]) -> Result<T, Bad>,
    ) -> Result<T, InitError> {
        match flags {
            [] => self.one(&None, question, offered, |text| good(&split(text))),
            told => good(told).map_err(InitError::Bad),
        }
    }
}

/// What the answers mean, for those who look.
impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\n{}", self.policy.display(), self.config.display())?;
        writeln!(f, "\nOnly you can supply:")?;
        for Todo { file, line, what } in &self.todo {
            writeln!(f, "  {}:{line}: {what}", file.display())?;
        }
        write!(f, "\nNext: temoin check --config {}", self.config.display())
    }
}

/// The territories and purposes that it knows, for whoever wants to try them all.
///
/// # Errors
/// The shipped packs cannot be read.
pub fn known() -> Result<(Vec<Territory>, Vec<Purpose>), String> {
    let packs = answers::packs()?;
    let purposes = Purpose::KNOWN.iter().filter_map(|name| Purpose::parse(name)).collect();
    Ok((answers::countries(&packs).into_iter().collect(), purposes))
}
