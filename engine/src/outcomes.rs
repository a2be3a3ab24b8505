//! Writes outcomes of attempts down in batches, and keeps them until they are.
//!
//! The channel is bounded: when the database can't be written, the lanes come
//! to rest with what is in flight instead of piling outcomes up.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::delivery::{Attempt, Outcome};
use tokio::sync::mpsc;

use crate::Engine;

/// Most attempts that are made but not written down; with what is in flight it
/// bounds what a crash can repeat.
pub const UNWRITTEN: usize = 4_096;

/// Most attempts in one transaction.
const BATCH: usize = 1_024;

/// How long to wait before a batch is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// How long outcomes that only say "try again later" wait for company: nobody is
/// in a hurry for them, and a commit for each few of a thousand endpoints that
/// fail would stand before what others publish.
const LINGER: Duration = Duration::from_millis(25);

/// Writes batches until every sender is gone and the channel is empty.
pub(crate) async fn run(engine: Arc<Engine>, mut unwritten: mpsc::Receiver<Attempt>) {
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        let received = tokio::select! {
            biased;
            received = unwritten.recv_many(&mut batch, BATCH) => received,
            () = engine.outcomes_done.cancelled(), if !unwritten.is_closed() => {
                // What was sent before is still received.
                unwritten.close();
                continue;
            }
        };
        if received == 0 {
            return;
        }
        linger(&engine, &mut unwritten, &mut batch).await;
        write(&engine, Arc::new(batch)).await;
    }
}

/// Receives more, as long as nothing in the batch is urgent.
async fn linger(engine: &Engine, unwritten: &mut mpsc::Receiver<Attempt>, batch: &mut Vec<Attempt>) {
    let waited = tokio::time::sleep(LINGER);
    tokio::pin!(waited);
    let mut seen = 0;
    while batch.len() < BATCH
        && batch[seen..].iter().all(|attempt| matches!(attempt.outcome, Outcome::Retry(_)))
    {
        seen = batch.len();
        let room = BATCH - seen;
        // In this order, because chance comes from outside.
        tokio::select! {
            biased;
            received = unwritten.recv_many(batch, room) => if received == 0 { return },
            () = &mut waited => return,
            () = engine.stopping.cancelled() => return,
        }
    }
}

/// Writes one batch, as often as it takes; gives up only when the process is
/// being stopped the hard way.
async fn write(engine: &Arc<Engine>, batch: Arc<Vec<Attempt>>) {
    loop {
        let now = engine.clock.now();
        match engine.store.finish_attempts(Arc::clone(&batch), now).await {
            Ok(due) => {
                for webhook in due {
                    engine.note_stored(webhook, now);
                }
                break;
            }
            Err(error) => {
                engine.measures.outcomes_delayed.add(batch.len() as u64);
                tracing::warn!(%error, attempts = batch.len(), "outcomes can't be written yet");
            }
        }
        // In this order, because chance comes from outside.
        tokio::select! {
            biased;
            () = tokio::time::sleep(PAUSE) => {}
            () = engine.giving_up.cancelled() => return,
        }
    }
    for attempt in batch.iter() {
        if let Outcome::Retry(due) = attempt.outcome {
            engine.note_stored(attempt.webhook, due);
        }
    }
}
