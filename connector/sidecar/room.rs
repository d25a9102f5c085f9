//! Whether the disks have room for what is recorded. Looked at every second; with too little left nothing new is
//! recorded, what runs is stopped save where a law demands it, and lines that must be recorded are refused: in time, so
//! that no recording breaks off in the middle.
//!
//! Left out: making room. A disk that cannot be looked at is not told here; what cannot be written is noticed by whoever
//! writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::call::Alarms;
use crate::config::{Config, Size};

/// Which disk lacks room, in words; nothing: there is room.
pub type Lacks = watch::Receiver<Option<Arc<str>>>;

/// Between two looks. A recording of both sides takes 32 kB a second.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at the disks.
pub struct Room {
    places: Vec<(&'static str, PathBuf, Size)>,
    lacks: watch::Sender<Option<Arc<str>>>,
    alarms: Arc<Alarms>,
}

impl Room {
    /// Looks once; gives what is told from then on.
    pub fn new(config: &Config, alarms: Arc<Alarms>) -> (Self, Lacks) {
        let folder = config.store.path.parent().unwrap_or(&config.store.path);
        let places = vec![
            ("the spool", config.asterisk.spool.clone(), config.room.spool),
            ("the index", folder.to_owned(), config.room.index),
            ("the vault", config.vault.path.clone(), config.room.vault),
        ];
        let (lacks, told) = watch::channel(None);
        let room = Self { places, lacks, alarms };
        room.tell(lack(&room.places, false));
        (room, told)
    }

    /// Looks for ever.
    pub async fn run(self) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let (places, lacking) = (self.places.clone(), self.lacks.borrow().is_some());
            // A file system that is away may not answer for long.
            if let Ok(found) = tokio::task::spawn_blocking(move || lack(&places, lacking)).await {
                self.tell(found);
            }
        }
    }

    fn tell(&self, found: Option<String>) {
        let before = self.lacks.borrow().is_some();
        match (&found, before) {
            (Some(why), false) => {
                tracing::error!(alarm = "no-room", why, "there is no room for recordings");
                self.alarms.count("no-room");
            }
            (None, true) => tracing::info!("there is room for recordings again"),
            (Some(_), true) | (None, false) => return,
        }
        self.lacks.send_replace(found.map(Into::into));
    }
}

/// The first place with too little left. One that lacked room has it again with an eighth more, so that it does not come
/// and go.
fn lack(places: &[(&'static str, PathBuf, Size)], lacking: bool) -> Option<String> {
    places.iter().find_map(|(what, path, Size(least))| {
        let found = rustix::fs::statvfs(path).ok()?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        let least = if lacking { least.saturating_add(least / 8) } else { *least };
        (free < least).then(|| format!("{what} has {} KiB left and needs {}", free >> 10, least >> 10))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_disk_with_too_little_left_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = |least: u64| ("the vault", folder.path().to_owned(), Size(least));
        let nowhere = ("the spool", folder.path().join("nowhere"), Size(u64::MAX));
        assert_eq!(lack(&[nowhere.clone(), here(0)], false), None, "what is not there lacks nothing");
        let found = lack(&[nowhere, here(u64::MAX / 2)], false).expect("no disk has so much");
        assert!(found.starts_with("the vault has "), "{found}");
        let left = rustix::fs::statvfs(folder.path()).expect("a disk");
        let left = left.f_bavail * left.f_frsize;
        assert_eq!(lack(&[here(left / 20 * 19)], false), None, "it has room");
        assert!(lack(&[here(left / 20 * 19)], true).is_some(), "but not enough to have it again");
    }
}
