//! The one writer: a task that drains its queue, and commits all that it found in one transaction.
//!
//! Whoever asks is answered exactly once: after the transaction is on the disk, or with the reason why nothing of what
//! he asked for was written. It is the writer that decides when an asker's patience is over, so no commit that was
//! answered `Unavailable` is written later. Dropping the asking future takes nothing back.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use temoin_core::ports::{Ballot, Change, Drawn, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use crate::apply::Pen;
use crate::row::Fault;

/// At the most so many commits share a transaction: the first of them waits for all.
const BATCH: usize = 256;
/// How long SQLite itself waits for a lock; between two such waits the writer looks whose patience is over.
const LOCK_WAIT: Duration = Duration::from_millis(200);
/// Pause before the write-ahead log is tried to be emptied again.
const EMPTY_AGAIN: Duration = Duration::from_secs(1);

/// What the writer can be asked.
#[derive(Debug)]
pub enum Task {
    /// All of these, or nothing.
    Commit(Vec<Change>),
    /// These lots.
    Draw(Vec<Ballot>),
}

/// Asks the writer. It lives until the last of these is gone and its queue is empty.
#[derive(Clone, Debug)]
pub struct Writer(mpsc::Sender<Job>);

#[derive(Debug)]
struct Job {
    task: Task,
    deadline: Instant,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<Vec<Drawn>, StoreError>;

impl Writer {
    /// Starts the task.
    pub fn start(connect: SqliteConnectOptions, node: &str, site: &str, queue: usize) -> Self {
        let (sender, jobs) = mpsc::channel(queue.max(1));
        let scribe = Scribe {
            connect: connect.busy_timeout(LOCK_WAIT),
            connection: None,
            node: node.to_owned(),
            site: site.to_owned(),
            log_to_empty: false,
        };
        tokio::spawn(scribe.run(jobs));
        Self(sender)
    }

    /// Has a task done, or not done at all.
    pub async fn perform(&self, task: Task, patience: Duration) -> Answer {
        let deadline = Instant::now() + patience;
        let (answer, answered) = oneshot::channel();
        let job = Job { task, deadline, answer };
        match timeout_at(deadline, self.0.send(job)).await {
            Ok(Ok(())) => answered.await.unwrap_or_else(|_| Err(gone())),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(late()),
        }
    }
}

/// The task behind [`Writer`].
struct Scribe {
    connect: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    node: String,
    site: String,
    /// Whether the write-ahead log may still hold what was destroyed.
    log_to_empty: bool,
}

impl Scribe {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        loop {
            let found = tokio::select! {
                found = jobs.recv_many(&mut batch, BATCH) => found,
                () = sleep(EMPTY_AGAIN), if self.log_to_empty => {
                    self.empty_log().await;
                    continue;
                }
            };
            if found == 0 {
                break;
            }
            while !batch.is_empty() {
                batch = self.settle(batch).await;
                let room = BATCH.saturating_sub(batch.len());
                while batch.len() < room
                    && let Ok(job) = jobs.try_recv()
                {
                    batch.push(job);
                }
            }
            self.empty_log().await;
        }
        if let Some(connection) = self.connection {
            let _ = connection.close().await;
        }
    }

    /// Writes and answers; returns those that must wait on, because the database is locked.
    async fn settle(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let now = Instant::now();
        let (jobs, over): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.deadline > now);
        over.into_iter().for_each(|job| job.settle(Err(late())));
        if jobs.is_empty() {
            return jobs;
        }
        let fault = match self.write(&jobs).await {
            Ok(answers) => {
                jobs.into_iter().zip(answers).for_each(|(job, answer)| job.settle(answer));
                return Vec::new();
            }
            Err(error) => error,
        };
        if is_locked(&fault) {
            return jobs;
        }
        self.connection = None;
        if jobs.len() == 1 {
            tracing::error!(error = %fault, "the index could not be written");
            let answer = store_error(fault.into());
            jobs.into_iter().for_each(|job| job.settle(Err(answer.clone())));
            return Vec::new();
        }
        // One of them may be the cause: each on its own then, so that it does not fail its neighbours.
        let mut waiting = Vec::new();
        for job in jobs {
            waiting.extend(Box::pin(self.settle(vec![job])).await);
        }
        waiting
    }

    /// One transaction for all; an answer for each once it is on the disk.
    async fn write(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.connect.connect().await?),
        };
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut pen = match Pen::load(&mut transaction, &self.node, &self.site).await {
            Ok(pen) => pen,
            Err(Fault::Sql(error)) => return Err(error),
            Err(Fault::Refused(why)) => return Err(sqlx::Error::Protocol(why)),
        };
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            let before = pen.clone();
            let mut part = transaction.begin().await?;
            let answer = match &job.task {
                Task::Commit(changes) => pen.commit(&mut part, changes).await.map(|()| Vec::new()),
                Task::Draw(ballots) => pen.draw(&mut part, ballots).await,
            };
            match answer {
                Ok(drawn) => {
                    part.commit().await?;
                    answers.push(Ok(drawn));
                }
                Err(Fault::Sql(error)) if !contradicts(&error) => return Err(error),
                Err(fault) => {
                    part.rollback().await?;
                    pen = before;
                    answers.push(Err(store_error(fault)));
                }
            }
        }
        transaction.commit().await?;
        self.log_to_empty |= pen.destroyed;
        Ok(answers)
    }

    /// After a disposal: moves the log into the database and cuts it to nothing. A reader can be in the way; then later.
    async fn empty_log(&mut self) {
        let Some(connection) = self.connection.as_mut().filter(|_| self.log_to_empty) else {
            return;
        };
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await;
        match row.and_then(|row| row.try_get::<i64, _>(0)) {
            Ok(busy) => self.log_to_empty = busy != 0,
            Err(error) => tracing::warn!(%error, "the write-ahead log could not be emptied yet"),
        }
    }
}

impl Job {
    /// Nobody may be listening any more; that is his affair.
    fn settle(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }
}

/// How a fault looks from outside.
pub fn store_error(fault: Fault) -> StoreError {
    match fault {
        Fault::Sql(error) if !contradicts(&error) => StoreError::Unavailable(error.to_string()),
        fault => StoreError::Refused(fault.to_string()),
    }
}

/// Whether a constraint was broken: that will never work, whoever asks.
fn contradicts(error: &sqlx::Error) -> bool {
    use sqlx::error::ErrorKind::{CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation};
    let kind = error.as_database_error().map(|error| error.kind());
    matches!(kind, Some(UniqueViolation | ForeignKeyViolation | NotNullViolation | CheckViolation))
}

/// Whether somebody else holds the database (SQLITE_BUSY and SQLITE_LOCKED, with their extended codes).
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    matches!(code.map(|code| code & 0xff), Some(5 | 6))
}

fn late() -> StoreError {
    StoreError::Unavailable("the index stayed locked for too long".to_owned())
}

fn gone() -> StoreError {
    StoreError::Unavailable("the index is closed".to_owned())
}
