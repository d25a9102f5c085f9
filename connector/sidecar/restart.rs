//! What an earlier run left: when it last watched, and segments that it could not close.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use temoin_core::id::CallId;
use temoin_core::journal::{Entry, Link, What};
use temoin_core::ports::{Change, SegmentQuery, StoreError};
use temoin_core::reconcile;
use temoin_core::segment::State;
use tokio::task::JoinHandle;

use crate::call::Desktop;

/// Between two tries while the index is away.
const AGAIN: Duration = Duration::from_millis(250);

/// A file that tells the next run until when this one watched, and had written down what it saw.
#[derive(Debug)]
pub struct Alive {
    path: PathBuf,
    /// What the run before this one wrote there.
    before: Option<Timestamp>,
    writing: Option<JoinHandle<()>>,
}

impl Alive {
    /// The file, and what it says now.
    pub fn new(path: PathBuf) -> Self {
        let before = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        Self { path, before, writing: None }
    }

    /// Writes an instant there, whole or not at all. Nobody waits for the disk; while it is slow, it is left out.
    pub fn note(&mut self, at: Timestamp) {
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        let path = self.path.clone();
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let new = path.with_extension("alive-new");
            let written = std::fs::write(&new, at.to_string()).and_then(|()| std::fs::rename(&new, &path));
            if let Err(error) = written {
                tracing::warn!(%error, "the time of the last watch cannot be noted");
            }
        }));
    }

    /// When the run before this one last watched.
    pub fn before(&self) -> Option<Timestamp> {
        self.before
    }
}

/// Closes every segment that is open since before `started`: kept as far as somebody watched, erased beyond. `mixed` are
/// the calls in which somebody is who must not be recorded. Tries until the index takes it.
pub async fn close_segments(
    desktop: Desktop,
    alive: Option<Timestamp>,
    started: Timestamp,
    mixed: HashSet<CallId>,
) {
    let mut told = false;
    while let Err(error) = try_to_close(&desktop, alive, started, &mixed).await {
        if !std::mem::replace(&mut told, true) {
            tracing::error!(%error, "segments of an earlier run are not closed yet; it is tried again");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn try_to_close(
    desktop: &Desktop,
    alive: Option<Timestamp>,
    started: Timestamp,
    mixed: &HashSet<CallId>,
) -> Result<(), StoreError> {
    let store = &desktop.store;
    for record in store.segments(SegmentQuery::In(State::Open, u32::MAX)).await? {
        let segment = &record.segment;
        // Of this run; what was opened in the future was opened by a clock that has been set back since.
        if (started..=desktop.clock.now()).contains(&segment.opened) {
            continue;
        }
        let story = store.story(&segment.call).await?;
        let story: Vec<Entry> = story.iter().filter_map(Link::entry).collect();
        let now = desktop.clock.now();
        let closing = reconcile::close(&record, &story, alive, now, mixed.contains(&segment.call));
        let entry =
            |what| Entry { at: now, call: Some(segment.call.clone()), segment: Some(segment.id), what };
        let since = alive.unwrap_or(segment.opened);
        let changes = vec![
            Change::Journal(entry(What::Gap { since })),
            Change::Journal(entry(What::Closed(closing.clone()))),
            Change::Close(segment.id, closing),
        ];
        desktop.outbox.commit(changes).await?;
    }
    Ok(())
}
