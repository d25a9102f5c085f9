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

/// Whether a disk lacks room; nothing: there is.
pub type Lacks = watch::Receiver<Option<Lack>>;

/// A disk lacks room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Which, in words.
    pub why: String,
    /// The spool has so little left that a recorder would write with holes.
    pub full: bool,
}

const SPOOL: &str = "the spool";
/// With less left than this part of what is needed, the spool counts as full.
const FULL: u64 = 16;
/// Between two looks. A recording of both sides takes 32 kB a second.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at the disks.
pub struct Room {
    places: Vec<(&'static str, PathBuf, Size)>,
    lacks: watch::Sender<Option<Lack>>,
    alarms: Arc<Alarms>,
}

impl Room {
    /// Looks once; gives what is told from then on.
    pub fn new(config: &Config, alarms: Arc<Alarms>) -> (Self, Lacks) {
        let folder = config.store.path.parent().unwrap_or(&config.store.path);
        let places = vec![
            (SPOOL, config.asterisk.spool.clone(), config.room.spool),
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

    fn tell(&self, found: Option<Lack>) {
        let before = self.lacks.borrow().clone();
        match (&found, &before) {
            (Some(Lack { why, full }), None) => {
                tracing::error!(alarm = "no-room", why, full, "there is no room for recordings");
                self.alarms.count("no-room");
            }
            (None, Some(_)) => tracing::info!("there is room for recordings again"),
            (Some(now), Some(before)) if now.full != before.full => {
                tracing::error!(why = now.why, full = now.full, "there is still no room for recordings");
            }
            (Some(_), Some(_)) | (None, None) => return,
        }
        self.lacks.send_replace(found);
    }
}

/// The first place with too little left. One that lacked room has it again with an eighth more, so that it does not come
/// and go.
fn lack(places: &[(&'static str, PathBuf, Size)], lacking: bool) -> Option<Lack> {
    places.iter().find_map(|(what, path, Size(least))| {
        let found = rustix::fs::statvfs(path).ok()?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        let least = if lacking { least.saturating_add(least / 8) } else { *least };
        let full = *what == SPOOL && free < least / FULL;
        let why = || format!("{what} has {} KiB left and needs {}", free >> 10, least >> 10);
        (free < least).then(|| Lack { why: why(), full })
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
        assert!(found.why.starts_with("the vault has ") && !found.full, "{found:?}");
        let spool = (SPOOL, folder.path().to_owned(), Size(u64::MAX / 2));
        assert!(lack(&[spool], false).is_some_and(|lack| lack.full), "what is far too little is nothing");
        let left = rustix::fs::statvfs(folder.path()).expect("a disk");
        let left = left.f_bavail * left.f_frsize;
        assert_eq!(lack(&[here(left / 20 * 19)], false), None, "it has room");
        assert!(lack(&[here(left / 20 * 19)], true).is_some(), "but not enough to have it again");
    }
}
