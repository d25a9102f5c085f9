//! What can go wrong with the lab, and how to mend it.

use std::io;
use std::path::PathBuf;

/// Why there is no Asterisk, or why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// `TEMOIN_ASTERISK` names something that is not an Asterisk that the lab can use.
    #[error("TEMOIN_ASTERISK={path}: {why}", path = .path.display())]
    Unusable {
        /// What the variable names.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// None is installed, and this machine offers no way to fetch one.
    #[error("{why}; install asterisk 20 or later or set TEMOIN_ASTERISK to its program")]
    NoneToFetch {
        /// What is missing: apt, a Debian mirror, a cache folder.
        why: String,
    },
    /// A step of fetching failed.
    #[error(
        "fetching Asterisk: {step}: {why}; install asterisk 20 or later or set TEMOIN_ASTERISK to its program"
    )]
    Fetch {
        /// What was being done.
        step: String,
        /// The tool's last words.
        why: String,
    },
    /// No file system can be had that may be filled.
    #[error(
        "no small file system here: {why}; allow user namespaces, or give this machine a /dev/shm of 64 MiB"
    )]
    NoSmallDisk {
        /// What was tried, and why it was not taken.
        why: String,
    },
    /// A program was started and is not up.
    #[error("{program} did not start: {why}\n{log}")]
    Start {
        /// Which program.
        program: &'static str,
        /// Exit, or the limit that passed.
        why: String,
        /// The end of its log and of what it wrote to stderr.
        log: String,
    },
    /// Asterisk's command line did not take a command.
    #[error("asterisk -rx {command:?}: {why}")]
    Command {
        /// The command.
        command: String,
        /// What came back.
        why: String,
    },
    /// The machine refused a file, a port or a process.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's error.
        source: io::Error,
    },
}

/// Names what was being done when the machine refused it.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, LabError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|source| LabError::Io { what: what(), source })
    }
}
