//! From messages to recorded events, in the order of the stream.
//!
//! While the database can't be used, what was taken is held and tried again,
//! and nothing further is taken: so the order stays, and no message pays for it.

use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use callboard_domain::audit::By;
use callboard_domain::clock::Timestamp;
use callboard_domain::event::{Event, MAX_EVENTS};
use callboard_domain::id::TenantId;
use callboard_domain::store::{RecordError, StoreError};
use tokio_util::sync::CancellationToken;

use super::read::{Letter, Reason, read};
use super::{NatsSource, settle};
use crate::source::Condition;

/// The first wait before the database is tried again; it doubles up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// A message that is no event, and why.
pub(super) type Unreadable = (Message, Reason);

/// Messages of one tenant, in the order of the stream.
pub(super) struct Batch {
    tenant: TenantId,
    messages: Vec<Message>,
    /// Of each message.
    said: Vec<Said>,
}

/// What a message of a batch says.
struct Said {
    events: Vec<Event>,
    single: bool,
}

/// Why events were not recorded.
enum Unrecorded {
    /// That one has the id of another event.
    Conflict(usize),
    /// The program stops.
    Stopped,
}

impl Batch {
    fn events(&self) -> Vec<Event> {
        self.said.iter().flat_map(|said| said.events.iter().cloned()).collect()
    }

    fn push(&mut self, message: Message, said: Said) {
        self.messages.push(message);
        self.said.push(said);
    }

    /// Takes what stands at `at` and behind it away.
    fn split_off(&mut self, at: usize) -> Self {
        let (messages, said) = (self.messages.split_off(at), self.said.split_off(at));
        Self { tenant: self.tenant.clone(), messages, said }
    }

    /// The message that the event at `index` is of, and its place there.
    fn place(&self, mut index: usize) -> Option<(usize, usize)> {
        for (message, said) in self.said.iter().enumerate() {
            match index.checked_sub(said.events.len()) {
                None => return Some((message, index)),
                Some(rest) => index = rest,
            }
        }
        None
    }

    /// In parts of no more events than a request may have, or of one message.
    fn parts(mut self) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut count = 0;
        let mut at = 0;
        while at < self.said.len() {
            count += self.said[at].events.len();
            if count > MAX_EVENTS && at > 0 {
                let rest = self.split_off(at);
                parts.push(std::mem::replace(&mut self, rest));
                (count, at) = (0, 0);
            } else {
                at += 1;
            }
        }
        parts.push(self);
        parts
    }
}

impl NatsSource {
    /// Reads messages: those that are events, by tenant, and those that are none.
    pub(super) fn sort(&self, taken: Vec<Message>) -> (Vec<Batch>, Vec<Unreadable>) {
        let mut batches: Vec<Batch> = Vec::new();
        let mut unreadable = Vec::new();
        for message in taken {
            // Otherwise it came from nobody who could be answered.
            let Some(read) = letter(&message).map(|letter| read(&letter, &self.settings)) else { continue };
            match read {
                Err(reason) => unreadable.push((message, reason)),
                Ok(read) => {
                    let said = Said { events: read.events, single: read.single };
                    match batches.iter_mut().find(|batch| batch.tenant == read.tenant) {
                        Some(batch) => batch.push(message, said),
                        None => batches.push(Batch {
                            tenant: read.tenant,
                            messages: vec![message],
                            said: vec![said],
                        }),
                    }
                }
            }
        }
        (batches, unreadable)
    }

    /// Records a batch in its order, and acknowledges each message that is on
    /// disk. Returns those whose ids are taken.
    pub(super) async fn record(&self, batch: Batch, stop: &CancellationToken) -> Vec<Unreadable> {
        let mut parts = batch.parts();
        parts.reverse();
        let mut conflicts = Vec::new();
        while let Some(mut part) = parts.pop() {
            match self.publish(&part, stop).await {
                Ok(()) => settle(&part.messages, AckKind::Ack).await,
                Err(Unrecorded::Stopped) => {
                    settle(&part.messages, AckKind::Nak(None)).await;
                    for part in parts.drain(..) {
                        settle(&part.messages, AckKind::Nak(None)).await;
                    }
                }
                Err(Unrecorded::Conflict(index)) => {
                    let Some((at, within)) = part.place(index) else { continue };
                    let behind = part.split_off(at + 1);
                    if let (Some(message), Some(said)) = (part.messages.pop(), part.said.pop()) {
                        conflicts.push((message, Reason::conflict(said.single, within)));
                    }
                    // What stands before it goes first.
                    parts.extend([behind, part].into_iter().filter(|part| !part.messages.is_empty()));
                }
            }
        }
        conflicts
    }

    /// Publishes a part, however long the database can't be used.
    async fn publish(&self, part: &Batch, stop: &CancellationToken) -> Result<(), Unrecorded> {
        let mut wait = FIRST_WAIT;
        loop {
            match self.try_to_publish(part).await {
                Ok(()) => {
                    self.release();
                    return Ok(());
                }
                Err(RecordError::Conflict(index)) => return Err(Unrecorded::Conflict(index)),
                Err(RecordError::Store(error)) => self.hold(&error),
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = LAST_WAIT.min(wait * 2),
                () = stop.cancelled() => return Err(Unrecorded::Stopped),
            }
        }
    }

    async fn try_to_publish(&self, part: &Batch) -> Result<(), RecordError> {
        let tenant =
            self.directory.tenant_or_make(part.tenant.clone(), By::system(self.directory.now())).await?;
        self.engine.publish(tenant.key, part.events()).await?;
        Ok(())
    }

    fn hold(&self, error: &StoreError) {
        let changed =
            |condition: &mut Condition| std::mem::replace(condition, Condition::Held) != Condition::Held;
        if self.condition.send_if_modified(changed) {
            tracing::warn!(%error, "messages of NATS can't be recorded yet; they are held");
        }
    }

    fn release(&self) {
        let changed = |condition: &mut Condition| {
            let held = *condition == Condition::Held;
            if held {
                *condition = Condition::Consuming;
            }
            held
        };
        if self.condition.send_if_modified(changed) {
            tracing::info!("messages of NATS are recorded again");
        }
    }
}

/// What is read of a message; `None` where JetStream did not send it.
fn letter(message: &Message) -> Option<Letter<'_>> {
    let info = message.info().ok()?;
    let header = |name: &str| message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str);
    // Whole microseconds: what databases keep.
    let stored_at = i64::try_from(info.published.unix_timestamp_nanos() / 1_000).ok()?;
    Some(Letter {
        subject: &message.subject,
        body: &message.payload,
        content_type: header("Content-Type"),
        message_id: header("Nats-Msg-Id"),
        stream: info.stream,
        sequence: info.stream_sequence,
        stored_at: Timestamp::from_microsecond(stored_at).ok()?,
    })
}
