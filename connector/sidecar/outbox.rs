//! What calls write: one queue, in order, to the index. Nobody's stop or release waits for it.
//!
//! What happened is never dropped: while the index is locked it waits here, in order, and is tried again. Only the
//! opening of a segment may fail: without a durable journal nothing new is recorded.

use std::sync::Arc;
use std::time::Duration;

use temoin_core::id::SegmentId;
use temoin_core::ports::{Change, Store, StoreError};
use tokio::sync::{mpsc, oneshot};

/// Where calls put what they write.
#[derive(Clone, Debug)]
pub struct Outbox {
    queue: mpsc::UnboundedSender<Letter>,
}

#[derive(Debug)]
struct Letter {
    changes: Vec<Change>,
    /// Somebody waits, and would rather hear no than wait for long.
    answer: Option<oneshot::Sender<Result<(), StoreError>>>,
}

/// So many letters go into one transaction at the most.
const BATCH: usize = 256;
/// Between two tries while the index is away.
const AGAIN: Duration = Duration::from_millis(250);

impl Outbox {
    /// Starts the writer; `wrote` is called after every commit that closed or doomed a segment.
    pub fn start(
        store: Arc<dyn Store>,
        wrote: impl Fn() + Send + 'static,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, letters) = mpsc::unbounded_channel();
        (Self { queue }, tokio::spawn(write(store, letters, wrote)))
    }

    /// Writes this, after all that came before. Nobody waits.
    pub fn post(&self, changes: Vec<Change>) {
        // The writer ends only when every sender is gone.
        let _ = self.queue.send(Letter { changes, answer: None });
    }

    /// Writes this after all that came before, or says that it cannot be written now.
    pub fn commit(&self, changes: Vec<Change>) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let (answer, answered) = oneshot::channel();
        let _ = self.queue.send(Letter { changes, answer: Some(answer) });
        async move {
            answered
                .await
                .unwrap_or_else(|_| Err(StoreError::Unavailable("the index is being closed".into())))
        }
    }
}

async fn write(store: Arc<dyn Store>, mut letters: mpsc::UnboundedReceiver<Letter>, wrote: impl Fn()) {
    let mut batch = Vec::new();
    loop {
        if batch.is_empty() && letters.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let changes: Vec<Change> = batch.iter().flat_map(|letter| letter.changes.iter().cloned()).collect();
        let closes = changes.iter().any(|change| matches!(change, Change::Close(..) | Change::Amend(..)));
        match store.commit(changes).await {
            Ok(()) => batch.drain(..).for_each(|letter| letter.answer(Ok(()))),
            Err(StoreError::Refused(_)) => one_by_one(&*store, &mut batch).await,
            Err(error @ StoreError::Unavailable(_)) => {
                tracing::error!(%error, waiting = batch.len(), "the journal cannot be written; it is kept and tried again");
                // Whoever waits hears no and takes his change back; what happened stays in the queue.
                for letter in batch.extract_if(.., |letter| letter.answer.is_some()) {
                    letter.answer(Err(error.clone()));
                }
                tokio::time::sleep(AGAIN).await;
                while let Ok(letter) = letters.try_recv() {
                    batch.push(letter);
                }
                continue;
            }
        }
        if closes {
            wrote();
        }
    }
}

/// One letter contradicts the index: the others must not suffer for it.
async fn one_by_one(store: &dyn Store, batch: &mut Vec<Letter>) {
    while !batch.is_empty() {
        match store.commit(batch[0].changes.clone()).await {
            Err(StoreError::Unavailable(error)) => {
                tracing::error!(%error, "the journal cannot be written; it is kept and tried again");
                if batch[0].answer.is_some() {
                    batch.remove(0).answer(Err(StoreError::Unavailable(error)));
                } else {
                    tokio::time::sleep(AGAIN).await;
                }
            }
            result => {
                if let Err(error) = &result {
                    tracing::error!(%error, "the index refuses a change; this is a fault of the program");
                }
                batch.remove(0).answer(result);
            }
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

/// What a segment's opening needs durable.
pub fn opening(
    segment: temoin_core::segment::Segment,
    entry: temoin_core::journal::Entry,
) -> (SegmentId, Vec<Change>) {
    (segment.id, vec![Change::Journal(entry), Change::Open(segment)])
}
