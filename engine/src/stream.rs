//! Events as they become durable, for those who can't be called.
//!
//! A stream reads the log from any place on, so that it goes on where it ended
//! after a restart too. It holds nothing back for its reader: one that is slow
//! reads later, and costs no memory meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::id::{DeliveryKey, EventKey, TenantKey, WebhookId, WebhookKey};
use callboard_domain::matching::Listener;
use callboard_domain::measures::Entered;
use callboard_domain::store::{Result, StoreError};
use callboard_domain::webhook::{Settings, Status, Webhook};
use tokio::sync::watch;

mod tail;

use tail::Tail;
pub(crate) use tail::Tails;

use crate::Engine;
use crate::attempt::signature_headers;
use crate::target::Target;

/// Most events that are read at a time, and about how many bytes of them.
const STRETCH: (usize, usize) = (200, 256 * 1024);

/// Most streams of one tenant: each reads the log, and holds a connection.
const MOST: usize = 256;

/// What a stream tells of.
#[derive(Debug)]
pub enum Listening {
    /// The deliveries of this webhook, whether it is called or not.
    ToWebhook(WebhookKey),
    /// What a webhook of these settings would hear.
    As(Box<Settings>),
}

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With what is accepted from now on.
    Now,
    /// With what was accepted at or after this time, as far as it is kept.
    Since(Timestamp),
    /// Behind this place.
    After(EventKey),
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The tenant has as many as it may have.
    #[error("the tenant has {MOST} streams")]
    TooMany,
    /// There is no such webhook.
    #[error("there is no such webhook")]
    NoWebhook,
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A delivery as a stream tells it.
#[derive(Debug)]
pub struct Told {
    /// Its place in the log: a stream that begins after it goes on here.
    pub place: EventKey,
    /// The event's type.
    pub type_name: String,
    /// The headers that the dialect and the signature bring.
    pub headers: Vec<(String, String)>,
    /// The body, as it is signed.
    pub body: Bytes,
}

/// A reader of the log.
pub struct Stream {
    engine: Arc<Engine>,
    tenant: TenantKey,
    listening: Listening,
    /// For what is told as if to a webhook.
    target: Arc<Target>,
    listener: Listener,
    tail: Arc<Tail>,
    recorded: watch::Receiver<()>,
    place: EventKey,
    _counted: Entered,
}

impl Engine {
    /// Begins to tell a tenant's events.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub async fn stream(
        self: &Arc<Self>,
        tenant: TenantKey,
        listening: Listening,
        from: From,
    ) -> Result<Stream, StreamError> {
        let target = match &listening {
            Listening::ToWebhook(webhook) => self.target_of(tenant, *webhook).await?,
            Listening::As(settings) => {
                self.registry.make_unstored(self.nobody(tenant, settings.as_ref().clone())).await?
            }
        };
        let (tail, recorded) = self.tails.join(tenant, MOST).ok_or(StreamError::TooMany)?;
        let place = match from {
            From::Now => self.store.place(None).await?,
            From::Since(time) => self.store.place(Some(time)).await?,
            // A place that does not exist yet would pass over what comes.
            From::After(place) => place.min(self.store.place(None).await?),
        };
        let listener = Listener::new(&target.webhook);
        let counted = self.streams.enter();
        Ok(Stream {
            engine: Arc::clone(self),
            tenant,
            listening,
            target,
            listener,
            tail,
            recorded,
            place,
            _counted: counted,
        })
    }

    async fn target_of(&self, tenant: TenantKey, webhook: WebhookKey) -> Result<Arc<Target>, StreamError> {
        let target = self.registry.target(webhook).await?;
        target.filter(|target| target.tenant() == tenant).ok_or(StreamError::NoWebhook)
    }

    /// A webhook that is not stored: it is told of events in its dialect, and
    /// has no secret to sign them with.
    pub(crate) fn nobody(&self, tenant: TenantKey, settings: Settings) -> Webhook {
        let now = self.clock.now();
        Webhook {
            key: WebhookKey(0),
            id: WebhookId::generate(now, &mut *self.rng.lock()),
            tenant,
            revision: 0,
            settings,
            status: Status::Active,
            disabled_reason: None,
            failing_since: None,
            secrets: Vec::new(),
            nonce: None,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }
}

impl Stream {
    /// Behind what was told or passed over so far.
    #[must_use]
    pub const fn place(&self) -> EventKey {
        self.place
    }

    /// Tells what follows, and whether there is more already. Nothing may be
    /// told although there is more: what was passed over is not for this one.
    ///
    /// # Errors
    /// When the log can't be read, or the webhook is gone.
    pub async fn read(&mut self) -> Result<(Vec<Told>, bool), StreamError> {
        // Before the log is read, so that nothing recorded meanwhile is waited
        // for in vain.
        self.recorded.mark_unchanged();
        match self.listening {
            Listening::ToWebhook(webhook) => {
                self.target = self.engine.target_of(self.tenant, webhook).await?;
                let (limit, max_bytes) = STRETCH;
                let (tenant, store) = (self.tenant, &self.engine.store);
                let stretch = store.events_after(tenant, Some(webhook), self.place, limit, max_bytes).await?;
                let told = stretch.events.iter().filter_map(|(event, delivery)| self.tell(event, *delivery));
                let told = told.collect();
                self.place = stretch.end;
                Ok((told, stretch.more))
            }
            Listening::As(_) => {
                let stretch = self.tail.after(&*self.engine.store, self.tenant, self.place).await?;
                let told = stretch.events.iter().filter(|event| self.listener.hears(event));
                let told = told.filter_map(|event| self.tell(event, None)).collect();
                self.place = stretch.end;
                Ok((told, stretch.more))
            }
        }
    }

    /// Waits until there may be more to read.
    pub async fn changed(&mut self) {
        // The sender lives as long as the tail, which is held here.
        let _ = self.recorded.changed().await;
    }

    /// `None` for what its dialect has no words for.
    fn tell(&self, event: &StoredEvent, delivery: Option<DeliveryKey>) -> Option<Told> {
        let now = self.engine.clock.now();
        let message = self.target.recipient.tell(event, delivery.unwrap_or(DeliveryKey(0)), now).ok()?;
        let body = one_kind_of_line_end(message.body);
        let own = message.headers.into_iter().map(|(name, value)| (name.to_owned(), value));
        let signature = signature_headers(&self.target, &event.id, now, &body);
        let signature = signature.into_iter().map(|(name, value)| (name.as_str().to_owned(), value));
        let headers = signature.chain(own).filter(|(_, value)| !value.is_empty()).collect();
        Some(Told { place: event.key, type_name: event.type_name.clone(), headers, body })
    }
}

/// Streams tell no carriage return from a line feed. In JSON both are white
/// space, so what is signed has the one that arrives.
fn one_kind_of_line_end(body: Bytes) -> Bytes {
    if !body.contains(&b'\r') {
        return body;
    }
    let mut lines = Vec::with_capacity(body.len());
    let mut bytes = body.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\r' {
            bytes.next_if_eq(&b'\n');
        }
        lines.push(if byte == b'\r' { b'\n' } else { byte });
    }
    lines.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_end_becomes_a_line_feed() {
        for (body, told) in [("{}", "{}"), ("{\r\n \r\r\n\n}\r", "{\n \n\n\n}\n")] {
            assert_eq!(one_kind_of_line_end(Bytes::from_static(body.as_bytes())), told);
        }
    }
}
