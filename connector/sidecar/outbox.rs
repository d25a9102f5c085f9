//! What calls write: one queue, in order, to the index. Nobody's stop or release waits for it.
//!
//! What happened is never dropped: while the index is locked it waits here, in order, and is tried again. Only the
//! opening of a segment may fail: without a durable journal nothing new is recorded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
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
    changes: Vec<Change>,
    /// Somebody waits, and would rather hear no than wait for long.
    answer: Option<oneshot::Sender<Result<(), StoreError>>>,
}

/// When the letters that are not durable yet were posted, oldest first.
#[derive(Debug, Default)]
struct Waiting(Mutex<VecDeque<Timestamp>>);

/// So many letters go into one transaction at the most.
const BATCH: usize = 256;
/// Between two tries while the index is away.
const AGAIN: Duration = Duration::from_millis(250);

impl Outbox {
    /// Starts the writer; `wrote` is called after every commit that closed or amended a segment.
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        wrote: impl Fn() + Send + 'static,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, letters) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting::default());
        let writer = Writer { store, waiting: Arc::clone(&waiting), batch: Vec::new() };
        (Self { queue, waiting, clock }, tokio::spawn(writer.run(letters, wrote)))
    }

    /// Writes this, after all that came before. Nobody waits.
    pub fn post(&self, changes: Vec<Change>) {
        self.send(Letter { changes, answer: None });
    }

    /// Writes this after all that came before, or says that it cannot be written now.
    pub fn commit(&self, changes: Vec<Change>) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let (answer, answered) = oneshot::channel();
        self.send(Letter { changes, answer: Some(answer) });
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

    fn send(&self, letter: Letter) {
        self.waiting.push(self.clock.now());
        // The writer ends only when every sender is gone.
        let _ = self.queue.send(letter);
    }
}

impl Waiting {
    fn locked(&self) -> std::sync::MutexGuard<'_, VecDeque<Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, at: Timestamp) {
        self.locked().push_back(at);
    }

    fn done(&self, letters: usize) {
        self.locked().drain(..letters);
    }

    fn oldest(&self) -> Option<Timestamp> {
        self.locked().front().copied()
    }
}

struct Writer {
    store: Arc<dyn Store>,
    waiting: Arc<Waiting>,
    batch: Vec<Letter>,
}

impl Writer {
    async fn run(mut self, mut letters: mpsc::UnboundedReceiver<Letter>, wrote: impl Fn()) {
        loop {
            if self.batch.is_empty() && letters.recv_many(&mut self.batch, BATCH).await == 0 {
                return;
            }
            let changes: Vec<Change> = self.batch.iter().flat_map(|letter| letter.changes.clone()).collect();
            let ends = changes.iter().any(|change| matches!(change, Change::Close(..) | Change::Amend(..)));
            match self.store.commit(changes).await {
                Ok(()) => {
                    self.waiting.done(self.batch.len());
                    self.batch.drain(..).for_each(|letter| letter.answer(Ok(())));
                }
                Err(StoreError::Refused(_)) => self.one_by_one().await,
                Err(error @ StoreError::Unavailable(_)) => {
                    self.wait(&error).await;
                    continue;
                }
            }
            if ends {
                wrote();
            }
        }
    }

    /// Whoever waits hears no and takes his change back; what happened stays in the queue.
    async fn wait(&mut self, error: &StoreError) {
        tracing::error!(%error, waiting = self.batch.len(), "the journal cannot be written; it is kept and tried again");
        let taken_back: Vec<Letter> = self.batch.extract_if(.., |letter| letter.answer.is_some()).collect();
        self.waiting.done(taken_back.len());
        taken_back.into_iter().for_each(|letter| letter.answer(Err(error.clone())));
        tokio::time::sleep(AGAIN).await;
    }

    /// One letter contradicts the index: the others must not suffer for it.
    async fn one_by_one(&mut self) {
        while let Some(letter) = self.batch.first() {
            let result = self.store.commit(letter.changes.clone()).await;
            if let Err(error @ StoreError::Unavailable(_)) = &result {
                self.wait(error).await;
                continue;
            }
            if let Err(error) = &result {
                tracing::error!(%error, "the index refuses a change; this is a fault of the program");
            }
            self.waiting.done(1);
            self.batch.remove(0).answer(result);
        }
    }
}

impl Letter {
    fn answer(self, result: Result<(), StoreError>) {
        if let Some(answer) = self.answer {
            let _ = answer.send(result);
        }
    }
}
