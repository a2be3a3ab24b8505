//! Fills a database through the storage ports, before a server runs on it:
//! what would take hours by requests takes minutes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::audit::By;
use callboard_domain::clock::{Clock, Timestamp};
use callboard_domain::delivery::{Attempt, AttemptDetail, Cause, Outcome, Timings};
use callboard_domain::event::{Event, read_events};
use callboard_domain::id::{DeliveryKey, EventId, TenantId, TenantKey, WebhookId, WebhookKey};
use callboard_domain::signing::Secret;
use callboard_domain::store::{NewDelivery, NewEvent, NewWebhook, Order, Recorded, Store};
use callboard_domain::webhook::{Status, read_settings};
use parking_lot::Mutex;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{load, server};
use crate::app;
use crate::cli::{Failure, note};

/// Writes at the same time: enough for a transaction to be a large one.
const WRITERS: u64 = 64;

/// Deliveries that are recorded by one call.
const DELIVERIES_PER_CALL: usize = 400;

/// A database that no server runs on.
pub(super) struct Database {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// How many webhooks were asked for so far: what their ids come from. Two
    /// that are made within a millisecond must not have the same.
    webhooks: AtomicU64,
}

/// What has become of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They are still to be made.
    Pending,
    /// They arrived at the first attempt.
    Delivered,
    /// They were given up at the first attempt.
    Failed,
}

/// Events to be written.
#[derive(Debug, Clone)]
pub(super) struct Filling {
    /// Whose they are.
    pub(super) tenant: TenantKey,
    /// Who hears each.
    pub(super) webhooks: Vec<WebhookKey>,
    /// How many deliveries there are to be at least.
    pub(super) deliveries: u64,
    /// What has become of them.
    pub(super) fate: Fate,
    /// Bytes of an event.
    pub(super) event_bytes: usize,
    /// When the first was accepted.
    pub(super) from: Timestamp,
    /// How much later the last was.
    pub(super) span: Duration,
}

impl Filling {
    /// How many events that takes.
    pub(super) fn events(&self) -> u64 {
        self.deliveries.div_ceil(self.webhooks.len().max(1) as u64)
    }

    fn events_per_call(&self) -> usize {
        (DELIVERIES_PER_CALL / self.webhooks.len().max(1)).max(1)
    }

    /// When call `number` of `calls` is made.
    fn time(&self, number: u64, calls: u64) -> Timestamp {
        let share = u32::try_from(number * 1_000 / calls.max(1)).unwrap_or(1_000);
        self.from.saturating_add(self.span / 1_000 * share).unwrap_or(self.from)
    }
}

impl Database {
    /// Makes it.
    ///
    /// # Errors
    /// When it can't be made.
    pub(super) async fn open(folder: &Path, clock: &Arc<dyn Clock>) -> Result<Self, Failure> {
        Ok(Self {
            store: app::open_store(&server::database(folder)).await?,
            clock: Arc::clone(clock),
            webhooks: AtomicU64::new(0),
        })
    }

    /// Closes it, so that a server can open it.
    pub(super) async fn close(self) {
        self.store.close().await;
    }

    /// Makes a tenant.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) async fn tenant(&self, id: &str) -> Result<TenantKey, Failure> {
        let id: TenantId = id.parse()?;
        let made =
            self.store.create_tenant(id.clone(), id.to_string(), None, By::system(self.clock.now())).await?;
        Ok(made.ok_or_else(|| format!("tenant {id} is there already"))?.key)
    }

    /// A tenant that is there.
    ///
    /// # Errors
    /// When it is not, or can't be read.
    pub(super) async fn known_tenant(&self, id: &str) -> Result<TenantKey, Failure> {
        let found = self.store.tenant(&id.parse()?).await?;
        Ok(found.ok_or_else(|| format!("there is no tenant {id}"))?.key)
    }

    /// Makes `count` webhooks with these settings, for one tenant after the
    /// other.
    ///
    /// # Errors
    /// When they can't be written.
    pub(super) async fn webhooks(
        &self,
        tenants: Vec<TenantKey>,
        count: u64,
        settings: impl Fn(u64) -> Value + Send + Sync + 'static,
    ) -> Result<Vec<WebhookKey>, Failure> {
        let keys: Arc<Mutex<Vec<WebhookKey>>> = Arc::default();
        let (store, clock, made) = (Arc::clone(&self.store), Arc::clone(&self.clock), Arc::clone(&keys));
        let before = self.webhooks.fetch_add(count, Ordering::Relaxed);
        let work = move |number: u64| {
            let (store, made, now) = (Arc::clone(&store), Arc::clone(&made), clock.now());
            let turn = usize::try_from(number).unwrap_or_default() % tenants.len().max(1);
            let (tenant, settings) = (tenants.get(turn).copied(), settings(number));
            async move {
                let tenant = tenant.ok_or("no tenant")?;
                let webhook = new_webhook(&settings, before + number, now)?;
                let key = store.create_webhook(tenant, webhook, By::system(now)).await?.key;
                made.lock().push(key);
                Ok(())
            }
        };
        // Each is a write of its own: more of them make up a transaction.
        in_parallel(count, WRITERS * 4, ("webhooks", 1), work).await?;
        let keys = std::mem::take(&mut *keys.lock());
        Ok(keys)
    }

    /// Writes events with their deliveries.
    ///
    /// # Errors
    /// When they can't be written.
    pub(super) async fn fill(&self, filling: Filling) -> Result<(), Failure> {
        let per_call = filling.events_per_call() as u64;
        let (events, calls) = (filling.events(), filling.events().div_ceil(per_call));
        let orders: Arc<[Bytes]> = load::orders(filling.event_bytes).into();
        let (store, filling) = (Arc::clone(&self.store), Arc::new(filling));
        let deliveries_per_call = per_call * filling.webhooks.len() as u64;
        let work = move |number: u64| {
            let (store, filling, orders) = (Arc::clone(&store), Arc::clone(&filling), Arc::clone(&orders));
            async move {
                let now = filling.time(number, calls);
                let wanted = usize::try_from(per_call.min(events - number * per_call))?;
                let first = usize::try_from(number * per_call % orders.len() as u64)?;
                let orders: Vec<Bytes> = orders.iter().cycle().skip(first).take(wanted).cloned().collect();
                let recorded = record(&*store, &filling, &orders, (number, now)).await?;
                if filling.fate != Fate::Pending {
                    let attempts = recorded.iter().flat_map(|event| attempts(event, &filling, now));
                    store.finish_attempts(Arc::new(attempts.collect()), now).await?;
                }
                Ok(())
            }
        };
        in_parallel(calls, WRITERS, ("deliveries", deliveries_per_call), work).await
    }
}

fn new_webhook(settings: &Value, seed: u64, now: Timestamp) -> Result<NewWebhook, Failure> {
    let (settings, _) = read_settings(&settings.to_string(), None).map_err(|faults| format!("{faults:?}"))?;
    let mut rng = StdRng::seed_from_u64(seed);
    let id = WebhookId::generate(now, &mut rng);
    let secret = Secret::generate(settings.signature, &mut rng);
    Ok(NewWebhook { id, settings, status: Status::Active, secret, nonce: None })
}

async fn record(
    store: &dyn Store,
    filling: &Filling,
    orders: &[Bytes],
    (number, now): (u64, Timestamp),
) -> Result<Vec<Recorded>, Failure> {
    let mut rng = StdRng::seed_from_u64(number);
    let text = load::batch(orders);
    let mut new_id = || EventId::generate(now, &mut rng);
    let events = read_events(std::str::from_utf8(&text)?, false, now, &mut new_id);
    let delivery = |webhook: &WebhookKey| NewDelivery {
        webhook: *webhook,
        leased: filling.fate != Fate::Pending,
        order: Order::Free,
    };
    let new = |event: Event| NewEvent {
        event: event.into(),
        deliveries: filling.webhooks.iter().map(delivery).collect(),
    };
    let events = events.map_err(|faults| format!("{faults:?}"))?.into_iter().map(new).collect();
    Ok(store.record_events(filling.tenant, events, now).await?)
}

/// The attempts by which all deliveries of an event ended.
fn attempts(recorded: &Recorded, filling: &Filling, now: Timestamp) -> Vec<Attempt> {
    let failed = filling.fate == Fate::Failed;
    let attempt = |(delivery, webhook): (i64, &WebhookKey)| Attempt {
        delivery: DeliveryKey(delivery),
        event: recorded.key,
        webhook: *webhook,
        number: 1,
        tries: 1,
        started_at: now,
        duration: Duration::from_millis(12),
        outcome: if failed { Outcome::GivenUp } else { Outcome::Delivered },
        status: Some(if failed { 500 } else { 204 }),
        cause: failed.then_some(Cause::Status),
        detail: AttemptDetail {
            peer: Some("192.0.2.1:443".to_owned()),
            timings: Timings { exchange_us: 11_800, ..Timings::default() },
            ..AttemptDetail::default()
        },
    };
    (recorded.first_delivery.0..).zip(&filling.webhooks).map(attempt).collect()
}

/// Does `work` for each number below `count`, `writers` at a time, and tells
/// at each tenth how many of `what` are written: so many by each call.
async fn in_parallel<F, W>(
    count: u64,
    writers: u64,
    (what, by_each): (&'static str, u64),
    work: F,
) -> Result<(), Failure>
where
    F: Fn(u64) -> W + Send + Sync + 'static,
    W: Future<Output = Result<(), Failure>> + Send,
{
    let (work, next, done) = (Arc::new(work), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    // Small ones are quick enough to go without a word.
    let tenth = if count * by_each < 100_000 { u64::MAX } else { count.div_ceil(10) };
    let mut tasks = JoinSet::new();
    for _ in 0..writers.min(count) {
        let (work, next, done) = (Arc::clone(&work), Arc::clone(&next), Arc::clone(&done));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<_, Failure>(());
                }
                work(number).await?;
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                if done.is_multiple_of(tenth) {
                    note(&format!("wrote {} of {} {what}", done * by_each, count * by_each));
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}
