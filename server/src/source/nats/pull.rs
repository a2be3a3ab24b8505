//! Takes messages from the consumer, one bounded request after the other.
//!
//! A request is short, and the next is made when it is over. So what was taken
//! and is not acknowledged stays within the bounds of one request, nothing is
//! missed for long when an answer got lost, and a stop only has to wait for the
//! end of the request to know that nothing more comes.

use std::time::Duration;

use async_nats::jetstream::consumer::Consumer;
use async_nats::jetstream::consumer::pull::{BatchConfig, Config};
use async_nats::jetstream::{self, Message};
use async_nats::{StatusCode, Subject, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::Lost;
use super::connect::Connected;
use crate::config::Nats;

/// How long a request waits for messages.
const EXPIRES: Duration = Duration::from_secs(1);

/// How much longer its end may take to arrive.
const GRACE: Duration = Duration::from_secs(1);

/// Requests in a row without any answer after which the connection is given up.
const MOST_SILENT: u32 = 3;

/// Room for the subject and the headers of the largest message.
const AROUND: usize = 64 * 1024;

/// Asks for messages, and hands them out as they come.
pub(super) struct Pull {
    consumer: Consumer<Config>,
    context: jetstream::Context,
    lost: CancellationToken,
    inbox: Subject,
    answers: Subscriber,
    bounds: BatchConfig,
    /// How many messages the request under way may still bring.
    open: usize,
    /// Whether it has brought any.
    brought: bool,
    /// Requests in a row that nothing was heard of.
    silent: u32,
    /// The next message is larger than a request may be: it is asked for alone.
    alone: bool,
}

impl Pull {
    /// Gets ready; nothing is asked for yet.
    ///
    /// # Errors
    /// When the connection is lost already.
    pub(super) async fn new(connected: &Connected, settings: &Nats) -> Result<Self, Lost> {
        let inbox = Subject::from(connected.client.new_inbox());
        let answers = connected
            .client
            .subscribe(inbox.clone())
            .await
            .map_err(|error| Lost::new("no connection", &error))?;
        let config = &connected.consumer.cached_info().config;
        // A consumer that was there may allow less.
        let allowed =
            |limit: i64| usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let largest = connected.client.max_payload().saturating_add(AROUND);
        let bounds = BatchConfig {
            batch: settings.batch_messages.min(allowed(config.max_batch)),
            max_bytes: (settings.batch_mib * 1024 * 1024).max(largest).min(allowed(config.max_bytes)),
            expires: Some(if config.max_expires.is_zero() {
                EXPIRES
            } else {
                EXPIRES.min(config.max_expires)
            }),
            ..BatchConfig::default()
        };
        Ok(Self {
            consumer: connected.consumer.clone(),
            context: connected.context.clone(),
            lost: connected.lost.clone(),
            inbox,
            answers,
            bounds,
            open: 0,
            brought: false,
            silent: 0,
            alone: false,
        })
    }

    /// Waits for messages, and takes all that have come, in their order. None
    /// when a second has passed without any.
    ///
    /// # Errors
    /// When no more will come by this connection.
    pub(super) async fn take(&mut self) -> Result<Vec<Message>, Lost> {
        if self.open == 0 {
            self.ask().await?;
        }
        let mut taken = Vec::new();
        if let Some(message) = self.wait().await? {
            taken.push(message);
        }
        // No further than the request: the next one is made when these are durable.
        while self.open > 0
            && let Some(Some(answer)) = self.answers.next().now_or_never()
        {
            // What is wrong is met again by the next request.
            taken.extend(self.note(answer).ok().flatten());
        }
        Ok(taken)
    }

    /// Takes what the request under way still brings, and asks for no more.
    pub(super) async fn rest(&mut self) -> Vec<Message> {
        let mut taken = Vec::new();
        while self.open > 0 {
            match self.wait().await {
                Ok(message) => taken.extend(message),
                Err(_) => break,
            }
        }
        taken
    }

    async fn ask(&mut self) -> Result<(), Lost> {
        let mut request = self.bounds.clone();
        if self.alone {
            (request.batch, request.max_bytes) = (1, 0);
        }
        self.open = request.batch;
        self.brought = false;
        let asked = self.consumer.request_batch(request, self.inbox.clone()).await;
        asked.map_err(|error| Lost::new("no connection", &error))
    }

    async fn wait(&mut self) -> Result<Option<Message>, Lost> {
        let answer = tokio::select! {
            // What has come is worth its work, even if nothing follows.
            biased;
            answer = self.answers.next() => answer.ok_or_else(|| Lost::said("the connection broke"))?,
            () = self.lost.cancelled() => return Err(Lost::said("the connection broke")),
            () = tokio::time::sleep(EXPIRES + GRACE) => {
                self.silent += 1;
                self.open = 0;
                if self.silent == MOST_SILENT {
                    return Err(Lost::said("the server does not answer"));
                }
                return Ok(None);
            }
        };
        self.note(answer)
    }

    /// Takes notice of an answer, and returns the message that it is, if it is one.
    fn note(&mut self, answer: async_nats::Message) -> Result<Option<Message>, Lost> {
        self.silent = 0;
        let Some(status) = answer.status.filter(|status| *status != StatusCode::OK) else {
            self.open = self.open.saturating_sub(1);
            self.brought = true;
            self.alone = false;
            return Ok(Some(Message { message: answer, context: self.context.clone() }));
        };
        let said = answer.description.unwrap_or_default();
        match status {
            StatusCode::IDLE_HEARTBEAT => return Ok(None),
            StatusCode::TIMEOUT | StatusCode::NOT_FOUND => {}
            _ if said == "Batch Completed" => {}
            _ if said == "Message Size Exceeds MaxBytes" => self.alone = !self.brought,
            status => {
                self.open = 0;
                return Err(Lost::said(format!("the server said {status} {said}")));
            }
        }
        self.open = 0;
        Ok(None)
    }
}
