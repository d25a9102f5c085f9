//! `temoin papers`: the papers that the law asks for, as files. What they say is the core's business
//! ([`temoin_core::papers`]); here the index is counted, and files are written: whole or not at all, and none over
//! another unless told so.

mod count;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use serde::Serialize;
use temoin_core::papers::{Figures, Language, Material, draw_up};
use temoin_core::policy::Policy;

pub use count::count;

use crate::rules::Texts;

/// What `temoin papers` is told.
#[derive(Debug, Args)]
pub struct PapersArgs {
    /// The folder that the papers go into; made where it is not there.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// A site policy alone: no configuration, no index; figures are then fields to be completed.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// With --policy: a folder of packs instead of the shipped ones.
    #[arg(long, value_name = "DIR", requires = "policy")]
    pub packs: Option<PathBuf>,
    /// In these languages.
    #[arg(long = "language", value_enum, value_name = "LANGUAGE", default_values = ["fr", "en"], value_delimiter = ',')]
    pub languages: Vec<Tongue>,
    /// In these formats.
    #[arg(long = "format", value_enum, value_name = "FORMAT", default_values = ["html", "md"], value_delimiter = ',')]
    pub formats: Vec<Format>,
    /// Write over papers that are there.
    #[arg(long)]
    pub force: bool,
}

/// A language on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Tongue {
    /// French.
    Fr,
    /// English.
    En,
}

impl From<Tongue> for Language {
    fn from(tongue: Tongue) -> Self {
        match tongue {
            Tongue::Fr => Self::Fr,
            Tongue::En => Self::En,
        }
    }
}

/// A format on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Format {
    /// A page that needs nothing else.
    Html,
    /// Markdown.
    Md,
}

/// A paper that was written.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// Its number: `D1`.
    pub id: String,
    /// `fr` or `en`.
    pub language: &'static str,
    /// Its title.
    pub title: String,
    /// Its files.
    pub files: Vec<PathBuf>,
    /// What people have to fill in.
    pub open: Vec<String>,
}

/// Why papers could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PapersError {
    /// Papers are there already; none was written.
    #[error("{} is there already{}; name another folder, or write over them with --force", .first.display(), others(.more))]
    Exists {
        /// One of them.
        first: PathBuf,
        /// How many others.
        more: usize,
    },
    /// A file or folder cannot be written.
    #[error("{}: {error}", .path.display())]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

fn others(more: &usize) -> String {
    if *more == 0 { String::new() } else { format!(", and {more} others") }
}

/// Draws the papers up and writes them: `<folder>/<language>/<paper>.<format>`.
///
/// # Errors
/// Files that are there already, unless forced; then nothing was written. Or a file that cannot be written: those before
/// it are whole.
pub fn write(
    args: &PapersArgs,
    texts: &Texts,
    policy: &Policy,
    figures: Option<&Figures>,
    on: Date,
) -> Result<Vec<Written>, PapersError> {
    let packs = texts.packs();
    let material = Material { policy, packs: &packs, figures, on, version: env!("CARGO_PKG_VERSION") };
    let mut files = Vec::new();
    let mut written = Vec::new();
    for language in distinct(&args.languages).into_iter().map(Language::from) {
        let folder = args.folder.join(language.code());
        for paper in draw_up(&material, language) {
            let mut of_paper = Vec::new();
            for format in distinct(&args.formats) {
                let (ending, text) = match format {
                    Format::Html => ("html", paper.html()),
                    Format::Md => ("md", paper.markdown()),
                };
                let file = folder.join(format!("{}.{ending}", paper.file));
                of_paper.push(file.clone());
                files.push((file, text));
            }
            written.push(Written {
                id: paper.id,
                language: language.code(),
                title: paper.title,
                files: of_paper,
                open: paper.open,
            });
        }
    }
    if !args.force {
        let mut there = files.iter().map(|(file, _)| file).filter(|file| file.symlink_metadata().is_ok());
        if let Some(first) = there.next() {
            return Err(PapersError::Exists { first: first.clone(), more: there.count() });
        }
    }
    for (file, text) in files {
        let unwritable = |path: &Path, error| PapersError::Unwritable { path: path.to_owned(), error };
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
        }
        put(&file, &text, args.force).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => PapersError::Exists { first: file.clone(), more: 0 },
            _ => unwritable(&file, error),
        })?;
    }
    Ok(written)
}

fn distinct<T: Copy + Ord>(things: &[T]) -> Vec<T> {
    things.iter().copied().collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// Writes a file whole: beside its place first, then into it.
fn put(file: &Path, text: &str, over: bool) -> std::io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = PathBuf::from(beside);
    let moved = write_synced(&beside, text).and_then(|()| {
        // A link, unlike a renaming, never goes over what is there.
        if over { fs::rename(&beside, file) } else { fs::hard_link(&beside, file) }
    });
    if !over || moved.is_err() {
        let _ = fs::remove_file(&beside);
    }
    moved
}

fn write_synced(file: &Path, text: &str) -> std::io::Result<()> {
    let mut out = fs::File::create(file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}
