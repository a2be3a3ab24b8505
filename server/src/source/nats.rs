//! Takes events from a stream of NATS JetStream, for as long as the program runs.
//!
//! A message is acknowledged when its events are on disk, or when it was handed
//! on as one that is no event; anything else that may happen to it makes the
//! server give it again. What comes twice is known by its id.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use callboard_domain::clock::Clock;
use callboard_domain::store::Store;
use callboard_engine::Engine;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Condition, Watch};
use crate::api::Directory;
use crate::config::Nats;

mod connect;
mod dead_letter;
mod pull;
mod read;
mod record;
pub mod subject;

use connect::{Connected, connect};
use pull::Pull;

/// The first wait before the server is tried again; it doubles up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LAST_WAIT: Duration = Duration::from_secs(10);

/// How long acknowledgements may wait to be sent, before they are left to be
/// given again.
const SETTLE: Duration = Duration::from_secs(2);

/// Why nothing more comes by this connection, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lost(String);

impl Lost {
    fn said(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    fn new(what: &str, error: &dyn std::error::Error) -> Self {
        let mut text = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(deeper) = cause {
            let said = deeper.to_string();
            // Many say what lies below them by themselves.
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = deeper.source();
        }
        Self(text)
    }
}

impl Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The source of events in NATS.
pub struct NatsSource {
    settings: Nats,
    engine: Arc<Engine>,
    directory: Directory,
    condition: watch::Sender<Condition>,
}

impl NatsSource {
    /// The source that the settings name, if they do.
    #[must_use]
    pub fn new(
        settings: &Nats,
        engine: &Arc<Engine>,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
    ) -> Option<Self> {
        settings.url.is_some().then(|| Self {
            settings: settings.clone(),
            engine: Arc::clone(engine),
            directory: Directory::new(Arc::clone(store), Arc::clone(clock)),
            condition: watch::Sender::new(Condition::Connecting),
        })
    }

    /// Tells how it is.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.condition.subscribe())
    }

    /// Consumes until `stop` is cancelled; then gives back what it has taken and
    /// not recorded.
    pub async fn run(self, stop: CancellationToken) {
        let mut wait = FIRST_WAIT;
        let mut told = None;
        loop {
            let Err(lost) = self.session(&stop).await else { return };
            if matches!(*self.condition.borrow(), Condition::Consuming | Condition::Held) {
                (wait, told) = (FIRST_WAIT, None);
            }
            self.condition.send_replace(Condition::Away);
            // Once, and not at each try.
            if told.as_ref() != Some(&lost) {
                tracing::warn!(error = %lost, "can't take events from NATS; trying again until it works");
                told = Some(lost);
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = LAST_WAIT.min(wait * 2),
                () = stop.cancelled() => return,
            }
        }
    }

    /// Consumes by one connection, until the stop.
    async fn session(&self, stop: &CancellationToken) -> Result<(), Lost> {
        let connected = tokio::select! {
            connected = connect(&self.settings) => connected?,
            () = stop.cancelled() => return Ok(()),
        };
        let mut pull = Pull::new(&connected, &self.settings).await?;
        while !stop.is_cancelled() {
            let taken = pull.take().await?;
            self.note_consuming(&connected);
            if !taken.is_empty() {
                self.handle(&connected, taken, stop).await;
            }
        }
        settle(&pull.rest().await, AckKind::Nak(None)).await;
        // So that they are given to others at once, and not when their time is up.
        let _ = tokio::time::timeout(SETTLE, connected.client.flush()).await;
        Ok(())
    }

    fn note_consuming(&self, connected: &Connected) {
        let changed = |condition: &mut Condition| {
            let new = matches!(condition, Condition::Connecting | Condition::Away);
            if new {
                *condition = Condition::Consuming;
            }
            new
        };
        if self.condition.send_if_modified(changed) {
            let info = connected.consumer.cached_info();
            tracing::info!(stream = info.stream_name, consumer = info.name, "taking events from NATS");
        }
    }

    /// Records what messages say, and hands on what says nothing.
    async fn handle(&self, connected: &Connected, taken: Vec<Message>, stop: &CancellationToken) {
        let (batches, mut unreadable) = self.sort(taken);
        let recorded = batches.into_iter().map(|batch| self.record(batch, stop));
        for conflicts in futures_util::future::join_all(recorded).await {
            unreadable.extend(conflicts);
        }
        dead_letter::hand_on(connected, &self.settings, unreadable).await;
    }
}

/// Answers the server what is to become of messages. It may not hear it; then
/// it gives them again, and their ids are known.
async fn settle(messages: &[Message], kind: AckKind) {
    let send = async {
        for message in messages {
            if let Err(error) = message.ack_with(kind).await {
                tracing::debug!(%error, "messages of NATS are left to be given again");
                break;
            }
        }
    };
    let _ = tokio::time::timeout(SETTLE, send).await;
}
