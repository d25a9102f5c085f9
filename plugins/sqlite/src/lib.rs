//! The index and the journal in SQLite.
//!
//! One writer, many readers. The writer is a task with a connection of its own: it drains its queue and commits what
//! it found in ONE transaction (`BEGIN IMMEDIATE`, each commit in a savepoint), so that the price of a sync is shared.
//! Readers are a small pool on the same file in WAL mode and never wait for the writer. An answer `Ok` means: on the
//! disk (`synchronous=FULL`). What is deleted is overwritten (`secure_delete`), and after a disposal the write-ahead
//! log is emptied, so that a destroyed key does not lie on in it.
//!
//! Left out: several nodes on one file (each node has a file of its own), and anything that decides; what moves a
//! segment on is `temoin_core::life`.

mod apply;
mod read;
mod register;
mod row;
mod writer;

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, SqlSafeStr as _};
use temoin_core::id::CallId;
use temoin_core::journal::Link;
use temoin_core::ports::{
    Ballot, CallQuery, CallRecord, Change, Drawn, RegisterCount, RegisterQuery, SegmentQuery, SegmentRecord,
    Store, StoreError,
};
use temoin_core::register::Entry;

use crate::writer::{Task, Writer};

/// Every migration ever shipped, oldest first. One that was applied somewhere is never edited: its checksum is in the
/// database, and opening fails where they differ.
const MIGRATIONS: [(i64, &str, &str); 3] = [
    (1, "index", include_str!("../../../migrations/0001_index.sql")),
    (2, "register", include_str!("../../../migrations/0002_register.sql")),
    (3, "private", include_str!("../../../migrations/0003_private.sql")),
];

/// How a store behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a commit, a draw or a query waits for a locked or slow database before it is `Unavailable`. Default 5 s.
    pub patience: Duration,
    /// Connections for readers. Default 4.
    pub readers: u32,
    /// Commits that may wait for the writer; more wait outside, within their patience. Default 1024.
    pub queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { patience: Duration::from_secs(5), readers: 4, queue: 1024 }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be made, or not be made private.
    #[error("the index file cannot be used: {0}")]
    File(#[from] io::Error),
    /// SQLite does not take it: locked, damaged, no database.
    #[error("the index cannot be opened: {0}")]
    Database(#[from] sqlx::Error),
    /// It was made by a newer program, or by a migration that is not ours.
    #[error("the index has another shape than this program knows: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

/// The index of one node.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    node: String,
    patience: Duration,
    readers: SqlitePool,
    writer: Writer,
}

impl SqliteStore {
    /// Opens the index at `path`, made with mode 0600 where there is none and brought to the newest shape. The chain
    /// is that of `node`. Must be called within a tokio runtime with time enabled.
    pub async fn open(path: &Path, node: &str, site: &str, options: Options) -> Result<Self, OpenError> {
        make_private(path)?;
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .pragma("secure_delete", "ON")
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(options.patience)
            .disable_statement_logging();
        let mut connection = connect.connect().await?;
        migrations().run(&mut connection).await?;
        drop(connection);

        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers.max(1))
            .acquire_timeout(options.patience)
            .connect_lazy_with(connect.clone().pragma("query_only", "ON"));
        let writer = Writer::start(connect, node, site, options.queue);
        Ok(Self { node: node.to_owned(), patience: options.patience, readers, writer })
    }
}

/// Makes the file and what SQLite lays beside it (which takes its mode) readable for us alone.
fn make_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn migrations() -> Migrator {
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.map(migration).into())
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.writer.perform(Task::Commit(changes), self.patience).await.map(drop)
    }

    async fn draw(&self, ballots: Vec<Ballot>) -> Result<Vec<Drawn>, StoreError> {
        if ballots.is_empty() {
            return Ok(Vec::new());
        }
        self.writer.perform(Task::Draw(ballots), self.patience).await
    }

    async fn draws(&self, campaign: &str) -> Result<Vec<Drawn>, StoreError> {
        self.read(read::draws(campaign), row::drawn).await
    }

    async fn call(&self, id: &CallId) -> Result<Option<CallRecord>, StoreError> {
        Ok(self.read(read::call(id), row::call).await?.pop())
    }

    async fn calls(&self, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        self.read(read::calls(query), row::call).await
    }

    async fn segments(&self, query: SegmentQuery) -> Result<Vec<SegmentRecord>, StoreError> {
        self.read(read::segments(&query), row::segment).await
    }

    async fn story(&self, call: &CallId) -> Result<Vec<Link>, StoreError> {
        self.read(read::story(&self.node, call), row::link).await
    }

    async fn chain(&self, after: u64, limit: u32) -> Result<Vec<Link>, StoreError> {
        self.read(read::chain(&self.node, after, limit), row::link).await
    }

    async fn register(&self, query: RegisterQuery) -> Result<Vec<Entry>, StoreError> {
        self.read(register::entries(&query), register::entry).await
    }

    async fn register_counts(&self, at: Timestamp) -> Result<Vec<RegisterCount>, StoreError> {
        let mut counts = self.read(register::counts(at), register::count).await?;
        counts.sort();
        Ok(counts)
    }
}

#[cfg(test)]
mod tests;
