//! Watches the spool: every file that was ever there is known by name, however short its life.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use inotify::{EventMask, Inotify, WatchMask};

/// Watches folders from its making on. The kernel keeps the events; they are read when asked.
#[derive(Debug)]
pub(super) struct SpoolWatch {
    folders: Vec<PathBuf>,
    inotify: Inotify,
    seen: BTreeSet<String>,
}

impl SpoolWatch {
    pub(super) fn start(folders: &[&Path]) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        for folder in folders {
            let mask = WatchMask::CREATE | WatchMask::MOVED_TO;
            inotify.watches().add(folder, mask)?;
        }
        let folders = folders.iter().map(|folder| folder.to_path_buf()).collect();
        let mut watch = Self { folders, inotify, seen: BTreeSet::new() };
        watch.seen.extend(watch.present());
        Ok(watch)
    }

    /// The names of all files that were ever there.
    pub(super) fn seen(&mut self) -> io::Result<&BTreeSet<String>> {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.inotify.read_events(&mut buffer) {
                Ok(events) => {
                    for event in events {
                        if event.mask.contains(EventMask::Q_OVERFLOW) {
                            return Err(io::Error::other("more files in the spool than could be counted"));
                        }
                        self.seen.extend(event.name.map(|name| name.to_string_lossy().into_owned()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(&self.seen),
                Err(error) => return Err(error),
            }
        }
    }

    /// The names of the files that are there now.
    pub(super) fn present(&self) -> Vec<String> {
        let entries =
            self.folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_lived_for_a_moment_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("before"), "").unwrap();
        let mut watch = SpoolWatch::start(&[folder.path()]).unwrap();
        for n in 0..3 {
            let file = folder.path().join(format!("moment-{n}"));
            std::fs::write(&file, "").unwrap();
            std::fs::remove_file(&file).unwrap();
        }
        let expected = ["before", "moment-0", "moment-1", "moment-2"].map(str::to_owned);
        assert_eq!(watch.seen().unwrap(), &BTreeSet::from(expected));
        assert_eq!(watch.present(), ["before"]);
    }
}
