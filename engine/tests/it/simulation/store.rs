//! The real store in simulated time: each call is run to its end before the
//! scheduler goes on, and may then be answered late, fail, or be the last thing
//! that the process did.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use async_trait::async_trait;
use callboard_domain::access::{Client, Tenant};
use callboard_domain::audit::{By, Change, Entry, EntryFilter};
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Attempt, DeliverySummary, LoggedAttempt, Reason, StoredEvent};
use callboard_domain::id::{
    ClientId, DeliveryKey, EventId, EventKey, JobKey, PortalLinkKey, TenantId, TenantKey, WebhookId,
    WebhookKey,
};
use callboard_domain::job::{Counted, Job, JobState, Range, Selection};
use callboard_domain::portal::PortalLink;
use callboard_domain::signing::Secret;
use callboard_domain::stats::WebhookStats;
use callboard_domain::store::{
    AccessStore, AuditStore, Backlog, ByHand, ClaimRequest, Cleared, DeliveryFilter, DeliveryStore, Edited,
    EventFilter, EventStore, FailedCount, FailedFilter, FailedGroups, FailedStore, JobStore, KeyStore,
    LaneClaim, Late, Listed, NewClient, NewEvent, NewPortalLink, NewReplay, NewSession, NewWebhook, Node,
    NodeStore, OverviewStore, Page, PortalStore, RecordError, Recorded, Result, SealingKey, SessionStore,
    Signal, Space, Store, StoreError, Stretch, Undelivered, UpkeepStore, Vitals, WebhookCounts, WebhookEdit,
    WebhookFilter, WebhookSlice, WebhookStore,
};
use callboard_domain::webhook::Webhook;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};

use super::record::Record;

/// Calls after which a seed is running in circles.
const MOST_CALLS: usize = 100_000;

/// Runs a future to its end without the scheduler: simulated time stands still
/// meanwhile, however long the database's own threads take.
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    // The budget of the task that waits here would never be filled up again.
    let mut future = pin!(tokio::task::unconstrained(future));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// When the process dies: so many calls from now on, and whether that one is
/// still done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CrashPoint {
    pub(crate) calls: u32,
    pub(crate) done: bool,
}

/// The store as the engine sees it.
pub(crate) struct SimulatedStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) record: Arc<Record>,
    /// When nothing can be read or written.
    pub(crate) outages: Vec<(Duration, Duration)>,
    /// How many of eight answers come late.
    pub(crate) late: u32,
    pub(crate) rng: Mutex<StdRng>,
    pub(crate) crash: Mutex<Option<CrashPoint>>,
}

impl SimulatedStore {
    /// Whether it can't be used now.
    pub(crate) fn is_out(&self) -> bool {
        let now = self.record.elapsed();
        self.outages.iter().any(|(from, to)| *from <= now && now < *to)
    }

    async fn call<T, E: From<StoreError>>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.call_and(name, work, |_| {}).await
    }

    /// Calls, and notes what came of it even if the process dies right then.
    async fn call_and<T, E: From<StoreError>>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, E>>,
        note: impl FnOnce(&T),
    ) -> Result<T, E> {
        if self.record.calls.fetch_add(1, Ordering::Relaxed) > MOST_CALLS {
            self.record.fail(|| format!("{MOST_CALLS} calls of the store"));
        }
        let dies = self.dies();
        if dies == Some(false) {
            self.die(name).await;
        }
        let outcome = if self.is_out() {
            Err(StoreError::Unavailable("for the sake of the simulation".to_owned()).into())
        } else {
            at_once(work)
        };
        self.record.note(|| format!("{name}{}", if outcome.is_err() { " fails" } else { "" }));
        if let Ok(value) = &outcome {
            note(value);
        }
        if dies == Some(true) {
            self.die(name).await;
        }
        self.dawdle().await;
        outcome
    }

    /// Whether the process dies at this call, and whether after it was done.
    fn dies(&self) -> Option<bool> {
        let mut crash = self.crash.lock();
        let point = crash.as_mut()?;
        if point.calls > 0 {
            point.calls -= 1;
            return None;
        }
        let done = point.done;
        *crash = None;
        Some(done)
    }

    /// Whoever called never gets an answer.
    async fn die(&self, name: &str) {
        self.record.note(|| format!("the process dies in {name}"));
        self.record.over.lock().cancel();
        std::future::pending::<()>().await;
    }

    /// The call stands, and whoever made it learns so later: others may be
    /// first.
    async fn dawdle(&self) {
        let (late, wait) = {
            let mut rng = self.rng.lock();
            (rng.next_u32() % 8 < self.late, rng.random_range(0..30))
        };
        match wait {
            _ if !late => {}
            0..10 => tokio::task::yield_now().await,
            wait => tokio::time::sleep(Duration::from_millis(wait - 10)).await,
        }
    }
}

/// Methods that are only passed on.
macro_rules! pass_on {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(
            fn $name<'life0, 'async_trait>(
                &'life0 self,
                $($argument: $type),*
            ) -> std::pin::Pin<Box<dyn Future<Output = Result<$answer>> + Send + 'async_trait>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                Box::pin(async move { self.call(stringify!($name), self.inner.$name($($argument),*)).await })
            }
        )*
    };
}

#[async_trait]
impl EventStore for SimulatedStore {
    async fn record_events(
        &self,
        tenant: TenantKey,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> Result<Vec<Recorded>, RecordError> {
        self.call("record_events", self.inner.record_events(tenant, events, now)).await
    }

    async fn record_by_hand(
        &self,
        tenant: TenantKey,
        event: NewEvent,
        audited: (By, Change),
    ) -> Result<Recorded, RecordError> {
        self.call("record_by_hand", self.inner.record_by_hand(tenant, event, audited)).await
    }

    async fn event(&self, tenant: TenantKey, id: &EventId) -> Result<Option<StoredEvent>> {
        self.call("event", self.inner.event(tenant, id)).await
    }

    pass_on! {
        fn list_events(tenant: TenantKey, filter: EventFilter, page: Page) -> Listed<StoredEvent>;
        fn place(before: Option<Timestamp>) -> EventKey;
        fn events_after(tenant: TenantKey, webhook: Option<WebhookKey>, after: EventKey, limit: usize,
            max_bytes: usize) -> Stretch;
        fn deliveries_of_event(event: EventKey, page: Page) -> Listed<DeliverySummary>;
    }
}

#[async_trait]
impl DeliveryStore for SimulatedStore {
    async fn finish_attempts(&self, attempts: Arc<Vec<Attempt>>, now: Timestamp) -> Result<Vec<WebhookKey>> {
        let work = self.inner.finish_attempts(Arc::clone(&attempts), now);
        self.call_and("finish_attempts", work, |_| {
            for Attempt { delivery, number, outcome, .. } in &*attempts {
                self.record.note(|| format!("  {delivery} attempt {number}: {outcome:?}"));
            }
            self.record.made(&attempts);
        })
        .await
    }

    async fn retry_delivery(
        &self,
        tenant: TenantKey,
        delivery: DeliveryKey,
        by: By,
    ) -> Result<Option<ByHand>> {
        let work = self.inner.retry_delivery(tenant, delivery, by);
        let note = |done: &Option<ByHand>| {
            self.record.note(|| format!("  {delivery}: {done:?}"));
            if let Some(ByHand::Done(_)) = done {
                self.record.retried.lock().push((delivery, self.record.elapsed()));
            }
        };
        self.call_and("retry_delivery", work, note).await
    }

    async fn cancel_delivery(
        &self,
        tenant: TenantKey,
        delivery: DeliveryKey,
        by: By,
    ) -> Result<Option<ByHand>> {
        let work = self.inner.cancel_delivery(tenant, delivery, by);
        let note = |done: &Option<ByHand>| {
            self.record.note(|| format!("  {delivery}: {done:?}"));
            if let Some(ByHand::Done(_)) = done {
                self.record.cancelled.lock().insert(delivery);
            }
        };
        self.call_and("cancel_delivery", work, note).await
    }

    async fn claim_due(
        &self,
        lanes: Vec<ClaimRequest>,
        now: Timestamp,
        max_bytes: usize,
    ) -> Result<Vec<LaneClaim>> {
        let note = |claims: &Vec<LaneClaim>| {
            for LaneClaim { webhook, deliveries, next_due, .. } in claims {
                let keys = deliveries.iter().map(|claimed| claimed.delivery.to_string());
                let keys: Vec<_> = keys.collect();
                self.record.note(|| format!("  {webhook:?} {keys:?}, more at {next_due:?}"));
            }
        };
        self.call_and("claim_due", self.inner.claim_due(lanes, now, max_bytes), note).await
    }

    pass_on! {
        fn release(deliveries: Vec<DeliveryKey>, now: Timestamp) -> ();
        fn waiting_lanes() -> Vec<(WebhookKey, Timestamp)>;
        fn delivery(tenant: TenantKey, delivery: DeliveryKey)
            -> Option<(DeliverySummary, Vec<LoggedAttempt>)>;
        fn list_deliveries(webhook: WebhookKey, filter: DeliveryFilter, page: Page)
            -> Listed<DeliverySummary>;
        fn webhook_stats(webhook: WebhookKey, since: Timestamp) -> WebhookStats;
    }
}

#[async_trait]
impl WebhookStore for SimulatedStore {
    async fn disable_webhook(
        &self,
        key: WebhookKey,
        reason: String,
        now: Timestamp,
    ) -> Result<Option<Webhook>> {
        let note = |disabled: &Option<Webhook>| {
            self.record.disabled.lock().extend(disabled.as_ref().map(|webhook| webhook.key));
        };
        self.call_and("disable_webhook", self.inner.disable_webhook(key, reason, now), note).await
    }

    async fn delete_webhook(&self, tenant: TenantKey, id: WebhookId, by: By) -> Result<Option<WebhookKey>> {
        let note = |key: &Option<WebhookKey>| self.record.deleted.lock().extend(*key);
        self.call_and("delete_webhook", self.inner.delete_webhook(tenant, id, by), note).await
    }

    pass_on! {
        fn create_webhook(tenant: TenantKey, webhook: NewWebhook, by: By) -> Webhook;
        fn update_webhook(tenant: TenantKey, id: WebhookId, revision: i64, edit: WebhookEdit,
            by: By) -> Option<Edited>;
        fn set_failing_since(key: WebhookKey, since: Option<Timestamp>) -> Option<Timestamp>;
        fn webhook(tenant: TenantKey, id: WebhookId) -> Option<Webhook>;
        fn webhook_by_key(key: WebhookKey) -> Option<Webhook>;
        fn list_webhooks(tenant: TenantKey, page: Page) -> Listed<Webhook>;
        fn list_webhooks_in(tenant: TenantKey, slice: WebhookSlice) -> (Vec<Webhook>, u64);
        fn webhook_or_deleted(tenant: TenantKey, id: WebhookId) -> Option<Webhook>;
        fn webhooks_of(tenant: TenantKey) -> Vec<Webhook>;
        fn rotate_secret(tenant: TenantKey, id: WebhookId, secret: Secret,
            overlap_until: Timestamp, by: By) -> Option<Webhook>;
    }
}

#[async_trait]
impl AccessStore for SimulatedStore {
    async fn update_tenant(
        &self,
        id: &TenantId,
        name: String,
        retention_seconds: Option<u32>,
        by: By,
    ) -> Result<Option<Tenant>> {
        self.call("update_tenant", self.inner.update_tenant(id, name, retention_seconds, by)).await
    }

    async fn tenant(&self, id: &TenantId) -> Result<Option<Tenant>> {
        self.call("tenant", self.inner.tenant(id)).await
    }

    async fn client(&self, id: &ClientId) -> Result<Option<Client>> {
        self.call("client", self.inner.client(id)).await
    }

    async fn set_client_enabled(
        &self,
        tenant: TenantKey,
        id: &ClientId,
        enabled: bool,
        by: By,
    ) -> Result<Option<Client>> {
        self.call("set_client_enabled", self.inner.set_client_enabled(tenant, id, enabled, by)).await
    }

    async fn delete_client(&self, tenant: TenantKey, id: &ClientId, by: By) -> Result<bool> {
        self.call("delete_client", self.inner.delete_client(tenant, id, by)).await
    }

    async fn touch_client(&self, id: &ClientId, at: Timestamp) -> Result<()> {
        self.call("touch_client", self.inner.touch_client(id, at)).await
    }

    async fn deployment_value(&self, name: &str, value: Vec<u8>) -> Result<(Vec<u8>, bool)> {
        self.call("deployment_value", self.inner.deployment_value(name, value)).await
    }

    pass_on! {
        fn create_tenant(id: TenantId, name: String, retention_seconds: Option<u32>, by: By)
            -> Option<Tenant>;
        fn tenant_by_key(key: TenantKey) -> Option<Tenant>;
        fn list_tenants(page: Page) -> Listed<Tenant>;
        fn create_client(tenant: TenantKey, client: NewClient, by: By) -> Client;
        fn list_clients(tenant: TenantKey, page: Page) -> Listed<Client>;
    }
}

#[async_trait]
impl JobStore for SimulatedStore {
    async fn advance_job(&self, job: JobKey, limit: usize, now: Timestamp) -> Result<Option<Job>> {
        let note = |job: &Option<Job>| {
            if let Some(job) = job {
                self.record.moved.lock().push((job.webhook, self.record.elapsed()));
            }
        };
        self.call_and("advance_job", self.inner.advance_job(job, limit, now), note).await
    }

    pass_on! {
        fn create_retry_job(tenant: TenantKey, webhook: WebhookKey, reason: Option<Reason>,
            rate_per_second: Option<f64>, by: By) -> Job;
        fn create_discard_job(tenant: TenantKey, webhook: WebhookKey, reason: Option<Reason>, by: By) -> Job;
        fn create_replay_job(tenant: TenantKey, webhook: WebhookKey, replay: NewReplay, by: By)
            -> Job;
        fn range_of(selection: Selection) -> Range;
        fn count_selected(webhook: WebhookKey, selection: Selection, range: Range, limit: usize) -> Counted;
        fn undelivered(tenant: TenantKey, webhook: WebhookKey, selection: Selection, range: Range,
            limit: usize, max_bytes: usize) -> Undelivered;
        fn note_counted(job: JobKey, from: i64, counted: Counted) -> ();
        fn add_late(job: JobKey, late: Late, now: Timestamp) -> Option<Job>;
        fn job(tenant: TenantKey, job: JobKey) -> Option<Job>;
        fn list_jobs(tenant: TenantKey, page: Page) -> Listed<Job>;
        fn running_jobs() -> Vec<Job>;
        fn end_job(tenant: TenantKey, job: JobKey, state: JobState, by: By) -> Option<Job>;
    }
}

#[async_trait]
impl UpkeepStore for SimulatedStore {
    async fn close(&self) {
        at_once(self.inner.close());
    }

    pass_on! {
        fn cancel_orphans(limit: usize, now: Timestamp) -> Cleared;
        fn prune(now: Timestamp, default_retention_seconds: u32, limit: usize) -> Cleared;
        fn check() -> ();
    }
}

#[async_trait]
impl AuditStore for SimulatedStore {
    pass_on! {
        fn note(tenant: TenantKey, by: By, change: Change) -> ();
        fn list_audit(tenant: Option<TenantKey>, filter: EntryFilter, page: Page) -> Listed<Entry>;
        fn prune_audit(before: Timestamp, limit: usize) -> Cleared;
    }
}

#[async_trait]
impl PortalStore for SimulatedStore {
    pass_on! {
        fn create_portal_link(tenant: TenantKey, link: NewPortalLink, by: By) -> PortalLink;
        fn portal_link(tenant: TenantKey, link: PortalLinkKey) -> Option<PortalLink>;
        fn list_portal_links(tenant: TenantKey, page: Page) -> Listed<PortalLink>;
        fn revoke_portal_link(tenant: TenantKey, link: PortalLinkKey, by: By) -> Option<PortalLink>;
        fn open_portal_link(token_digest: [u8; 32], session_digest: [u8; 32], address: Option<IpAddr>,
            now: Timestamp) -> Option<PortalLink>;
        fn portal_session(session_digest: [u8; 32], now: Timestamp) -> Option<PortalLink>;
        fn end_portal_session(session_digest: [u8; 32]) -> ();
        fn prune_portal(now: Timestamp, links_before: Timestamp, limit: usize) -> Cleared;
    }
}

#[async_trait]
impl OverviewStore for SimulatedStore {
    pass_on! {
        fn find_webhooks(tenant: TenantKey, filter: WebhookFilter, page: Page) -> Listed<Webhook>;
        fn count_webhooks(tenant: TenantKey) -> WebhookCounts;
        fn vitals(webhooks: Vec<WebhookKey>, since: Timestamp) -> Vec<Vitals>;
        fn tenant_stats(tenant: TenantKey, since: Timestamp) -> WebhookStats;
        fn backlog(now: Timestamp) -> Backlog;
        fn space() -> Space;
    }
}

#[async_trait]
impl SessionStore for SimulatedStore {
    pass_on! {
        fn create_operator_session(session: NewSession, by: By) -> ();
        fn operator_session(digest: [u8; 32], now: Timestamp) -> Option<Timestamp>;
        fn end_operator_session(digest: [u8; 32]) -> ();
        fn create_sign_in_link(token_digest: [u8; 32], expires_at: Timestamp, by: By) -> ();
        fn open_sign_in_link(token_digest: [u8; 32], session: NewSession, by: By) -> bool;
    }
}

#[async_trait]
impl FailedStore for SimulatedStore {
    pass_on! {
        fn failed_groups(tenant: TenantKey) -> FailedGroups;
        fn count_failed(tenant: TenantKey, webhook: WebhookKey, reason: Option<Reason>, most: u64) -> FailedCount;
        fn list_failed(tenant: TenantKey, filter: FailedFilter, page: Page) -> Listed<DeliverySummary>;
    }
}

#[async_trait]
impl KeyStore for SimulatedStore {
    async fn sealing_keys(&self) -> Result<Vec<SealingKey>> {
        self.inner.sealing_keys().await
    }

    async fn seal_anew(&self, limit: usize) -> Result<Cleared> {
        self.call("seal_anew", self.inner.seal_anew(limit)).await
    }
}

#[async_trait]
impl NodeStore for SimulatedStore {
    async fn next_signals(&self) -> Vec<Signal> {
        self.inner.next_signals().await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn lease(&self) -> Option<i64> {
        self.inner.lease()
    }

    async fn nodes(&self) -> Result<Vec<Node>> {
        self.inner.nodes().await
    }

    async fn database_time(&self) -> Result<Option<Timestamp>> {
        self.inner.database_time().await
    }
}
