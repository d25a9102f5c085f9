//! A clock that can be set: that of the sidecar, or of the whole machine as far as sidecar and PBX see it. libfaketime stands
//! between them and the clock; for how long something lasts is not touched.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde::Deserialize;

use crate::fetch;

/// Whose clock can be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clocks {
    /// Nobody's.
    #[default]
    Real,
    /// The sidecar's.
    Sidecar,
    /// The sidecar's and the PBX's, together.
    Both,
}

/// The clock.
#[derive(Debug)]
pub(super) struct Wall {
    library: PathBuf,
    file: PathBuf,
}

impl Wall {
    /// One that goes right for now; what it says lies in this folder.
    pub(super) fn start(folder: &Path) -> Result<Self, String> {
        let library = fetch::faketime().map_err(|error| error.to_string())?;
        let wall = Self { library, file: folder.join("clock") };
        wall.set(SignedDuration::ZERO).map_err(|error| error.to_string())?;
        Ok(wall)
    }

    /// From now on it is off by so much.
    pub(super) fn set(&self, by: SignedDuration) -> io::Result<()> {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{:+}\n", by.as_secs()))?;
        fs::rename(&new, &self.file)
    }

    /// What makes a program look at it.
    pub(super) fn env(&self) -> Vec<(&'static str, OsString)> {
        let mut env = vec![
            ("LD_PRELOAD", self.library.clone().into_os_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into_os_string()),
        ];
        // Read each time; how long something lasts, and the times of files, are real.
        for name in
            ["FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "NO_FAKE_STAT", "FAKETIME_DISABLE_SHM"]
        {
            env.push((name, "1".into()));
        }
        env
    }
}
