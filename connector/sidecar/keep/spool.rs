//! The directory into which the PBX records. Files are named by the segment alone.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use temoin_core::id::SegmentId;

const IN: &str = "-in.wav";
const OUT: &str = "-out.wav";

/// What lies in the spool without belonging to a row, and what a row has not got there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    /// Segments with files, but no row.
    pub files: Vec<SegmentId>,
    /// Closed segments whose files should be there and are not.
    pub rows: Vec<SegmentId>,
    /// Names that are no segment's.
    pub strangers: Vec<OsString>,
}

/// The spool. What it does happens on a thread that may block.
#[derive(Clone, Debug)]
pub struct Spool {
    directory: Arc<PathBuf>,
    /// The file system. Another one, or none, means that a mount is away: then missing files are not missing.
    device: u64,
}

/// A segment's files that are there.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// The customer's voice.
    pub customer: Option<SpoolFile>,
    /// What he heard: the agent.
    pub agent: Option<SpoolFile>,
}

/// A file and its length when it was looked at.
#[derive(Clone, Debug)]
pub struct SpoolFile {
    pub path: PathBuf,
    pub len: u64,
}

impl Files {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.customer.is_none() && self.agent.is_none()
    }

    /// Whether there are both.
    pub fn are_both(&self) -> bool {
        self.customer.is_some() && self.agent.is_some()
    }

    /// Their lengths.
    pub fn lengths(&self) -> [Option<u64>; 2] {
        [&self.customer, &self.agent].map(|file| file.as_ref().map(|file| file.len))
    }
}

impl Spool {
    /// The directory must be there.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let device = fs::metadata(directory)?.dev();
        fs::read_dir(directory)?;
        Ok(Self { directory: Arc::new(directory.to_owned()), device })
    }

    /// An error where the directory is away, or another file system is in its place.
    pub async fn present(&self) -> io::Result<()> {
        self.blocking(|spool| match fs::metadata(&*spool.directory)?.dev() {
            device if device == spool.device => Ok(()),
            _ => Err(io::Error::other("another file system lies there than at the start")),
        })
        .await
    }

    /// A segment's files.
    pub async fn find(&self, id: SegmentId) -> io::Result<Files> {
        self.blocking(move |spool| Ok(Files { customer: spool.file(id, IN)?, agent: spool.file(id, OUT)? }))
            .await
    }

    /// Removes a segment's files, durably. The bytes are not overwritten: on today's disks that reaches nothing.
    pub async fn remove(&self, id: SegmentId) -> io::Result<()> {
        self.blocking(move |spool| {
            for ending in [IN, OUT] {
                match fs::remove_file(spool.path(id, ending)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            File::open(&*spool.directory)?.sync_all()
        })
        .await
    }

    /// The segments that have files.
    pub async fn list(&self) -> io::Result<BTreeSet<SegmentId>> {
        self.blocking(|spool| {
            let mut ids = BTreeSet::new();
            for entry in fs::read_dir(&*spool.directory)? {
                ids.extend(entry?.file_name().to_str().and_then(segment));
            }
            Ok(ids)
        })
        .await
    }

    /// Names that are no segment's.
    pub async fn strangers(&self) -> io::Result<Orphans> {
        self.blocking(|spool| {
            let mut orphans = Orphans::default();
            for entry in fs::read_dir(&*spool.directory)? {
                let name = entry?.file_name();
                if name.to_str().and_then(segment).is_none() {
                    orphans.strangers.push(name);
                }
            }
            orphans.strangers.sort();
            Ok(orphans)
        })
        .await
    }

    /// Only a file is a recording: whoever may write here must not have us read elsewhere.
    fn file(&self, id: SegmentId, ending: &str) -> io::Result<Option<SpoolFile>> {
        let path = self.path(id, ending);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => Ok(Some(SpoolFile { path, len: found.len() })),
            Ok(_) => Err(io::Error::other("what should be a recording is no file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, id: SegmentId, ending: &str) -> PathBuf {
        self.directory.join(format!("{id}{ending}"))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let spool = self.clone();
        tokio::task::spawn_blocking(move || work(&spool)).await.map_err(io::Error::other)?
    }
}

fn segment(name: &str) -> Option<SegmentId> {
    let id = name.strip_suffix(IN).or_else(|| name.strip_suffix(OUT))?;
    SegmentId::parse(id).filter(|parsed| parsed.to_string() == id)
}
