//! `temoin register import`: a CSV file into the register, streamed.
//!
//! The file is read twice: first to find what is wrong with it and to know its SHA-256, then to enter it in parts, each a
//! commit of its own. What is there already stays as it is, so that the same file again changes nothing, and one that was
//! broken off goes on where it is begun anew. A list (`--list`) is replaced: numbers that are not in the file any more are
//! erased, but only after a whole file without a bad line, so that nobody is taken off a list by a damaged copy.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use temoin_core::journal::RegisterAct;
use temoin_core::ports::RegisterQuery;
use temoin_core::register::{Entry, RegisterKey};
use temoin_core::words::Territory;

use super::csv::{Next, Sheet};
use super::said::{By, Words};
use super::{Book, Desk, unavailable, write, wrong_use};
use crate::cli::{self, Failure, Outcome};
use crate::config::hex;

/// Entries of one commit.
const PART: usize = 500;
/// Bad lines that are shown.
const SHOWN: usize = 20;

/// The columns that a file may have. Those of a list are the first three.
const COLUMNS: [&str; 12] = [
    "number",
    "at",
    "until",
    "kind",
    "to",
    "source",
    "selling_only",
    "how",
    "text",
    "evidence",
    "line",
    "campaign",
];
const OF_LIST: usize = 3;

/// What `temoin register import` is told.
#[derive(Debug, Args)]
#[command(
    after_help = "Columns: number, kind (consent or do-not-call), at, until; of a consent: to (marketing, recording, \
recording:quality+training), how, text, evidence, line, campaign; of a do-not-call: source (own or request), selling_only \
(yes or no). With --list: number, at, until. Comma, semicolon or tab between them; UTF-8."
)]
pub struct ImportArgs {
    /// The CSV file.
    file: PathBuf,
    /// It is a whole list of numbers not to be called by those who sell, of a country or a trade, by this name
    /// (bloctel): it replaces what was imported of that list before.
    #[arg(long, value_name = "NAME")]
    list: Option<String>,
    /// Every line is of this kind, so that the file needs no such column: consent or do-not-call.
    #[arg(long)]
    kind: Option<String>,
    #[command(flatten)]
    by: By,
}

/// What became of a file.
#[derive(Debug, Default)]
struct Tally {
    lines: u64,
    entered: u64,
    delisted: u64,
    bad: u64,
    /// The first bad lines and what is wrong with them.
    shown: Vec<(u64, String)>,
}

/// How the lines of a file are read.
struct Reading<'a> {
    desk: &'a Desk,
    key: &'a RegisterKey,
    country: Option<Territory>,
    list: Option<&'a str>,
    kind: Option<&'a str>,
    file: &'a Path,
}

/// `temoin register import`.
pub(super) async fn import(desk: &Desk, args: ImportArgs, json: bool) -> Outcome {
    let plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if let Some(name) = args.list.as_deref().filter(|name| !plain(name)) {
        return Err(wrong_use(format!("--list {name}: write lower-case letters, digits and hyphens")));
    }
    if let Some(kind) = args.kind.as_deref().filter(|kind| !["consent", "do-not-call"].contains(kind)) {
        return Err(wrong_use(format!("--kind {kind}: write consent or do-not-call")));
    }
    let country = args.by.territory(desk)?;
    // Looked at before an index or a key is made for it.
    let (list, kind) = (args.list.as_deref(), args.kind.as_deref());
    let unkeyed = RegisterKey::new([0; 32]);
    let reading = Reading { desk, key: &unkeyed, country: country.clone(), list, kind, file: &args.file };
    let mut tally = Tally::default();
    let mut lines = reading.lines()?;
    while let Some(line) = lines.next()? {
        tally.note(line);
    }
    let sha256 = lines.sha256();
    if list.is_some() && tally.lines == tally.bad {
        return Err(wrong_use(format!("{}: no number in it; the list stays as it is", args.file.display())));
    }
    let book = desk.book().await?;
    let reading = Reading { key: book.key(), ..reading };
    let origin = write::Origin { who: &args.by.who, file: Some(&sha256), of_list: list.is_some() };
    tally.entered = enter(&reading, &book, &origin).await?;
    if let Some(list) = list.filter(|_| tally.bad == 0) {
        tally.delisted = delist(desk, &book, list, &sha256, &args.by.who).await?;
    }
    tell(&tally, &args, &sha256, json)?;
    if tally.bad == 0 { Ok(()) } else { Err(Failure::Found) }
}

/// Enters every good line; tells how many were not there yet.
async fn enter(reading: &Reading<'_>, book: &Book, origin: &write::Origin<'_>) -> Result<u64, Failure> {
    let mut lines = reading.lines()?;
    let (mut entered, mut over) = (0, false);
    while !over {
        let mut part = Vec::with_capacity(PART);
        while part.len() < PART && !over {
            match lines.next()? {
                Some(line) => part.extend(line.ok()),
                None => over = true,
            }
        }
        if !part.is_empty() {
            entered += write::enter(book, part, origin, reading.desk.now).await.map_err(unavailable)?;
        }
    }
    if origin.file != Some(&lines.sha256()) {
        let file = reading.file.display();
        return Err(wrong_use(format!("{file} was changed while it was read: import it again")));
    }
    Ok(entered)
}

/// Erases what is not on the list any more.
async fn delist(desk: &Desk, book: &Book, list: &str, batch: &str, who: &str) -> Result<u64, Failure> {
    let mut delisted = 0;
    loop {
        let most = u32::try_from(PART).unwrap_or(u32::MAX);
        let query = RegisterQuery::NotSeen { list: list.to_owned(), batch: batch.to_owned(), most };
        let gone = book.store().register(query).await.map_err(unavailable)?;
        if gone.is_empty() {
            return Ok(delisted);
        }
        let store = &**book.store();
        write::forget(store, &gone, RegisterAct::Delisted, who, desk.now).await.map_err(unavailable)?;
        delisted += gone.len() as u64;
    }
}

impl Reading<'_> {
    /// The lines of the file, from its beginning.
    fn lines(&self) -> Result<Lines<'_>, Failure> {
        let file = File::open(self.file).map_err(|error| self.unreadable(&error))?;
        let hashing = BufReader::with_capacity(1 << 16, Hashing { file, hash: Sha256::new() });
        let (sheet, columns) = Sheet::open(hashing).map_err(|error| self.unreadable(&error))?;
        let places = self.columns(&columns)?;
        Ok(Lines { reading: self, sheet, places, columns: columns.len() })
    }

    fn unreadable(&self, error: &std::io::Error) -> Failure {
        wrong_use(format!("{}: {error}", self.file.display()))
    }

    /// Where each column of [`COLUMNS`] stands.
    fn columns(&self, columns: &[String]) -> Result<[Option<usize>; COLUMNS.len()], Failure> {
        let known = if self.list.is_some() { &COLUMNS[..OF_LIST] } else { &COLUMNS[..] };
        let refuse = |hint: String| Err(wrong_use(format!("{}:1: {hint}", self.file.display())));
        let mut places = [None; COLUMNS.len()];
        for (place, column) in columns.iter().enumerate() {
            let Some(at) = known.iter().position(|name| name == column) else {
                let column: String = column.chars().filter(|c| !c.is_control()).take(40).collect();
                return refuse(format!("no column `{column}` is known; known are: {}", known.join(", ")));
            };
            if places[at].replace(place).is_some() {
                return refuse(format!("the column `{column}` is there twice"));
            }
        }
        let missing = |name: &str| !columns.iter().any(|column| column == name);
        if missing("number") {
            return refuse("there is no column `number`".into());
        }
        if self.list.is_none() && self.kind.is_none() && missing("kind") {
            return refuse(
                "there is no column `kind`; add it, or name the kind of all lines with --kind".into(),
            );
        }
        if self.kind.is_some() && !missing("kind") {
            return refuse("--kind is named, and there is a column `kind`: one of them is enough".into());
        }
        Ok(places)
    }

    fn entry(&self, places: &[Option<usize>; COLUMNS.len()], values: &[String]) -> Result<Entry, String> {
        let value = |name: &str| {
            let place = COLUMNS.iter().position(|column| *column == name).and_then(|at| places[at]);
            place.and_then(|place| values.get(place)).map(|text| text.trim().to_owned()).unwrap_or_default()
        };
        let words = Words {
            number: value("number"),
            kind: self.kind.map_or_else(|| value("kind"), str::to_owned),
            to: value("to"),
            source: value("source"),
            selling_only: value("selling_only"),
            how: value("how"),
            text: value("text"),
            evidence: value("evidence"),
            line: value("line"),
            campaign: value("campaign"),
            at: value("at"),
            until: value("until"),
        };
        words.entry(self.desk, self.key, self.country.as_ref(), self.list)
    }
}

/// The number of a line that cannot be used, and why not.
type BadLine = (u64, String);

/// The lines of a file.
struct Lines<'r> {
    reading: &'r Reading<'r>,
    sheet: Sheet<BufReader<Hashing>>,
    places: [Option<usize>; COLUMNS.len()],
    columns: usize,
}

impl Lines<'_> {
    /// The next line as an entry, or what is wrong with it; none at the end of the file.
    fn next(&mut self) -> Result<Option<Result<Entry, BadLine>>, Failure> {
        let next = self.sheet.read().map_err(|error| self.reading.unreadable(&error))?;
        Ok(match next {
            Next::End => None,
            Next::Bad(line, why) => Some(Err((line, why))),
            Next::Values(line, values) if values.len() != self.columns => {
                Some(Err((line, format!("{} values for {} columns", values.len(), self.columns))))
            }
            Next::Values(line, values) => {
                Some(self.reading.entry(&self.places, &values).map_err(|why| (line, why)))
            }
        })
    }

    /// SHA-256 of the whole file, hex, once its end was reached.
    fn sha256(self) -> String {
        hex(&self.sheet.into_inner().into_inner().hash.finalize())
    }
}

/// A file whose bytes are hashed as they are read.
struct Hashing {
    file: File,
    hash: Sha256,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

impl Tally {
    fn note(&mut self, line: Result<Entry, BadLine>) {
        self.lines += 1;
        if let Err(bad) = line {
            self.bad += 1;
            if self.shown.len() < SHOWN {
                self.shown.push(bad);
            }
        }
    }
}

fn tell(tally: &Tally, args: &ImportArgs, sha256: &str, json: bool) -> Outcome {
    let Tally { lines, entered, delisted, bad, shown } = tally;
    let file = args.file.display();
    let known = lines - bad - entered;
    if json {
        let shown: Vec<_> = shown.iter().map(|(line, why)| json!({ "line": line, "hint": why })).collect();
        return cli::print(&json!({
            "file": args.file, "sha256": sha256, "lines": lines, "entered": entered, "known": known,
            "delisted": delisted, "bad": bad, "bad_lines": shown,
        }));
    }
    for (line, why) in shown {
        cli::say(format_args!("{file}:{line}: {why}"))?;
    }
    if *bad > shown.len() as u64 {
        cli::say(format_args!("… and {} other bad lines", bad - shown.len() as u64))?;
    }
    cli::say(format_args!("{lines} lines: {entered} entered, {known} there already, {bad} bad"))?;
    match &args.list {
        Some(list) if *bad > 0 => cli::say(format_args!(
            "nobody was taken off the list {list}: mend the bad lines, and import it again"
        )),
        Some(list) => cli::say(format_args!("{delisted} taken off the list {list}")),
        None => Ok(()),
    }
}
