//! What calls write: one queue, in order, to the index. Nobody's stop or release waits for it.
//!
//! What happened is never dropped: while the index is locked it waits here, in order, and is tried again. Only the
//! opening of a segment may fail: without a durable journal nothing new is recorded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use temoin_core::ports::{Change, Clock, Store, StoreError};
use tokio::sync::{mpsc, oneshot};

/// Where calls put what they write.
#[derive(Clone)]
pub struct Outbox {
    queue: mpsc::UnboundedSender<Letter>,
    waiting: Arc<Waiting>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Letter {
    number: u64,
    changes: Vec<Change>,
    /// Somebody waits, and would rather hear no than wait for long.
    answer: Option<oneshot::Sender<Result<(), StoreError>>>,
}

/// When the letters that are not durable yet were posted, by their numbers.
#[derive(Debug, Default)]
struct Waiting(Mutex<Posted>);

#[derive(Debug, Default)]
struct Posted {
    letters: u64,
    at: BTreeMap<u64, Timestamp>,
}

/// So many letters go into one transaction at the most.
const BATCH: usize = 256;
/// Between two tries while the index is away.
const AGAIN: Duration = Duration::from_millis(250);
/// How often a writer that has nothing to do says that it is there.
const IDLE: Duration = Duration::from_secs(1);

/// What the writer tells: that it goes on, and that there is work for the keeper.
pub trait Tell: Send + 'static {
    /// A commit came back, well or not, or there was none to make.
    fn turned(&self) {}
    /// A commit closed or amended a segment.
    fn wrote(&self) {}
}

impl Tell for () {}

impl Outbox {
    /// Starts the writer.
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        tell: impl Tell,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, letters) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting::default());
        let writer = Writer {
            store,
            waiting: Arc::clone(&waiting),
            queue: VecDeque::new(),
            letters,
            away: None,
            tell,
        };
        (Self { queue, waiting, clock }, tokio::spawn(writer.run()))
    }

    /// Writes this, after all that came before. Nobody waits.
    pub fn post(&self, changes: Vec<Change>) {
        self.send(changes, None);
    }

    /// Writes this after all that came before, or says that it cannot be written now.
    pub fn commit(&self, changes: Vec<Change>) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let (answer, answered) = oneshot::channel();
        self.send(changes, Some(answer));
        async move {
            answered
                .await
                .unwrap_or_else(|_| Err(StoreError::Unavailable("the index is being closed".into())))
        }
    }

    /// Everything posted before this moment is durable: `now`, or when the oldest letter that waits was posted.
    pub fn settled(&self, now: Timestamp) -> Timestamp {
        self.waiting.oldest().map_or(now, |oldest| now.min(oldest))
    }

    fn send(&self, changes: Vec<Change>, answer: Option<oneshot::Sender<Result<(), StoreError>>>) {
        let number = self.waiting.add(self.clock.now());
        // The writer ends only when every sender is gone.
        let _ = self.queue.send(Letter { number, changes, answer });
    }
}

impl Waiting {
    fn locked(&self) -> MutexGuard<'_, Posted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, at: Timestamp) -> u64 {
        let mut posted = self.locked();
        posted.letters += 1;
        let number = posted.letters;
        posted.at.insert(number, at);
        number
    }

    fn done(&self, letter: u64) {
        self.locked().at.remove(&letter);
    }

    fn oldest(&self) -> Option<Timestamp> {
        self.locked().at.values().min().copied()
    }
}

struct Writer<T> {
    store: Arc<dyn Store>,
    waiting: Arc<Waiting>,
    queue: VecDeque<Letter>,
    letters: mpsc::UnboundedReceiver<Letter>,
    /// Why the last commit failed, while the index is away.
    away: Option<StoreError>,
    tell: T,
}

impl<T: Tell> Writer<T> {
    async fn run(mut self) {
        while self.fill().await {
            match self.commit(BATCH).await {
                Ok(()) => {}
                Err(StoreError::Refused(_)) => self.one_by_one().await,
                Err(error @ StoreError::Unavailable(_)) => self.wait(error).await,
            }
        }
    }

    /// Waits for a letter; false once there will be none.
    async fn fill(&mut self) -> bool {
        while self.queue.is_empty() {
            tokio::select! {
                letter = self.letters.recv() => match letter {
                    Some(letter) => self.queue.push_back(letter),
                    None => return false,
                },
                () = tokio::time::sleep(IDLE) => self.tell.turned(),
            }
        }
        while let Ok(letter) = self.letters.try_recv() {
            self.queue.push_back(letter);
        }
        true
    }

    /// Tries the oldest letters in one transaction. Who is in it hears of it where it went well, or was one alone.
    async fn commit(&mut self, most: usize) -> Result<(), StoreError> {
        let count = self.queue.len().min(most);
        let changes: Vec<Change> =
            self.queue.iter().take(count).flat_map(|letter| letter.changes.clone()).collect();
        let ends = changes.iter().any(|change| matches!(change, Change::Close(..) | Change::Amend(..)));
        let store = Arc::clone(&self.store);
        let mut committing = store.commit(changes);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut committing => break result,
                // A slow index must not make anybody wait who would rather hear no.
                Some(letter) = self.letters.recv() => match &self.away {
                    Some(error) => take(&mut self.queue, &self.waiting, letter, error),
                    None => self.queue.push_back(letter),
                },
            }
        };
        drop(committing);
        self.tell.turned();
        match &result {
            Ok(()) => {
                if self.away.take().is_some() {
                    tracing::info!("the journal is written again");
                }
                self.answer(count, &result);
                if ends {
                    self.tell.wrote();
                }
            }
            Err(error @ StoreError::Refused(_)) if count == 1 => {
                tracing::error!(%error, "the index refuses a change; this is a fault of the program");
                self.answer(1, &result);
            }
            Err(_) => {}
        }
        result
    }

    fn answer(&mut self, count: usize, result: &Result<(), StoreError>) {
        for letter in self.queue.drain(..count) {
            self.waiting.done(letter.number);
            letter.answer(result.clone());
        }
    }

    /// Whoever waits hears no and takes his change back; what happened stays in the queue.
    async fn wait(&mut self, error: StoreError) {
        if self.away.is_none() {
            tracing::error!(%error, "the journal cannot be written; what happens is kept and tried again");
        }
        for letter in std::mem::take(&mut self.queue) {
            take(&mut self.queue, &self.waiting, letter, &error);
        }
        let until = tokio::time::Instant::now() + AGAIN;
        while let Ok(Some(letter)) = tokio::time::timeout_at(until, self.letters.recv()).await {
            take(&mut self.queue, &self.waiting, letter, &error);
        }
        // Every sender may be gone: what waits is tried again all the same.
        tokio::time::sleep_until(until).await;
        self.away = Some(error);
    }

    /// One letter contradicts the index: the others must not suffer for it.
    async fn one_by_one(&mut self) {
        for _ in 0..self.queue.len().min(BATCH) {
            if let Err(error @ StoreError::Unavailable(_)) = self.commit(1).await {
                return self.wait(error).await;
            }
        }
    }
}

/// While the index is away: who waits for an answer is told no, what happened joins the queue.
fn take(queue: &mut VecDeque<Letter>, waiting: &Waiting, letter: Letter, error: &StoreError) {
    if letter.answer.is_some() {
        waiting.done(letter.number);
        letter.answer(Err(error.clone()));
    } else {
        queue.push_back(letter);
    }
}

impl Letter {
    fn answer(self, result: Result<(), StoreError>) {
        if let Some(answer) = self.answer {
            let _ = answer.send(result);
        }
    }
}

#[cfg(test)]
mod tests;
