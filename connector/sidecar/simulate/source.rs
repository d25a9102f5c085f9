//! The files: opened, told apart, read from end to end. What cannot be read is counted, the first of it told with its
//! line, and the reading goes on.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use temoin_core::time::Zone;

use super::cel::Cel;
use super::contact::Contact;
use super::csv::{Next, Records};
use super::format::{Format, asterisk_cdr, freeswitch_cdr};

/// So many unreadable lines are told; all are counted.
const TOLD: usize = 20;
/// A file of whose first records none is of any format is none.
const UNDECIDED: u64 = 100;

/// What was read of a file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Read1 {
    /// The file.
    pub file: String,
    /// Its format; none where no record told.
    pub format: Option<&'static str>,
    /// Records.
    pub records: u64,
    /// Lines that are none.
    pub unreadable: u64,
    /// The first of them.
    pub faults: Vec<Unreadable>,
    /// Bytes.
    pub bytes: u64,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it. Nothing of what it says: it may be somebody's number.
    pub why: &'static str,
}

/// Why a file cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be opened or read on.
    #[error("{}: {error}; name a file of call records, or `-` for standard input", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It looks like nothing known.
    #[error(
        "{}: its first {UNDECIDED} records are of no format that is known; say which it is by --format, or see \
         `temoin simulate --help` for the fields", .0.display()
    )]
    Format(PathBuf),
}

/// Reads one file; every record of it goes to `take`.
///
/// # Errors
/// It cannot be read, or is of no format that is known.
pub fn read(
    file: &Path,
    format: Option<Format>,
    zone: &Zone,
    progress: &mut Progress,
    take: &mut dyn FnMut(&Contact<'_>),
) -> Result<Read1, SourceError> {
    let failed = |error| SourceError::Io { file: file.to_owned(), error };
    if file == Path::new("-") {
        return lines(file, io::stdin().lock(), format, zone, progress, take);
    }
    let opened = File::open(file).map_err(failed)?;
    if opened.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    lines(file, BufReader::with_capacity(256 * 1024, opened), format, zone, progress, take)
}

fn lines(
    file: &Path,
    from: impl BufRead,
    mut format: Option<Format>,
    zone: &Zone,
    progress: &mut Progress,
    take: &mut dyn FnMut(&Contact<'_>),
) -> Result<Read1, SourceError> {
    let mut records = Records::new(from);
    let mut read = Read1 { file: file.display().to_string(), ..Read1::default() };
    let mut cel = Cel::default();
    let before = progress.bytes;
    loop {
        let next = records.read().map_err(|error| SourceError::Io { file: file.to_owned(), error })?;
        let fault = match next {
            Next::End => break,
            Next::Unreadable(line, why) => Some((line, why)),
            Next::Record(line) => {
                let fields = records.fields();
                format = format.or_else(|| Format::detect(fields));
                let taken = match format {
                    Some(Format::AsteriskCdr) => asterisk_cdr(fields, zone).map(|contact| take(&contact)),
                    Some(Format::FreeswitchCdr) => freeswitch_cdr(fields, zone).map(|contact| take(&contact)),
                    Some(Format::AsteriskCel) => cel.take(fields, zone, take),
                    None if read.unreadable >= UNDECIDED => return Err(SourceError::Format(file.to_owned())),
                    None => Err("of no format that is known"),
                };
                taken.err().map(|why| (line, why))
            }
        };
        match fault {
            None => read.records += 1,
            Some((line, why)) => {
                read.unreadable += 1;
                if read.faults.len() < TOLD {
                    read.faults.push(Unreadable { line, why });
                }
            }
        }
        if (read.records + read.unreadable) & 0x3fff == 0 {
            progress.tell(before + records.bytes(), 0x4000);
        }
    }
    if format.is_none() && read.unreadable > 0 {
        return Err(SourceError::Format(file.to_owned()));
    }
    cel.finish(take);
    progress.bytes = before + records.bytes();
    read.bytes = records.bytes();
    read.format = format.map(Format::name);
    Ok(read)
}

/// How far it is, on a terminal; silent elsewhere.
pub struct Progress {
    shown: bool,
    total: u64,
    bytes: u64,
    records: u64,
    began: Instant,
    told: Instant,
}

impl Progress {
    /// For these files.
    pub fn of(files: &[PathBuf]) -> Self {
        let size = |file: &PathBuf| std::fs::metadata(file).map_or(0, |found| found.len());
        let now = Instant::now();
        let shown = io::stderr().is_terminal();
        Self { shown, total: files.iter().map(size).sum(), bytes: 0, records: 0, began: now, told: now }
    }

    fn tell(&mut self, bytes: u64, records: u64) {
        self.records += records;
        if !self.shown || self.told.elapsed() < Duration::from_millis(200) {
            return;
        }
        self.told = Instant::now();
        const WIDTH: u64 = 30;
        let of = |whole: u64| (whole * bytes).checked_div(self.total).unwrap_or(0).min(whole);
        let done = of(WIDTH);
        let bar: String = (0..WIDTH).map(|at| if at < done { '█' } else { '░' }).collect();
        let rate = self.records as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let percent = of(100);
        let _ = write!(io::stderr(), "\r{bar} {percent:3} %  {} records, {rate:.0} a second ", self.records);
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r{:80}\r", "");
        }
    }
}

/// Reads the beginning of a text, so that a small file need not be streamed.
#[cfg(test)]
pub fn read_text(
    text: &str,
    format: Option<Format>,
    zone: &Zone,
    take: &mut dyn FnMut(&Contact<'_>),
) -> Read1 {
    lines(Path::new("test"), text.as_bytes(), format, zone, &mut Progress::of(&[]), take).expect("memory")
}
