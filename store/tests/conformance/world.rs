//! A database of its own for each case, and short words for what cases do.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};
use std::time::Duration;

use callboard_domain::access::Tenant;
use callboard_domain::audit::By;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{
    Attempt, AttemptDetail, Cause, DeliverySummary, LoggedAttempt, Outcome, State,
};
use callboard_domain::event::{Event, Subject};
use callboard_domain::id::{DeliveryKey, EventKey, TenantKey, WebhookId, WebhookKey};
use callboard_domain::job::{Counted, Job, Selection};
use callboard_domain::signing::{Scheme, Secret};
use callboard_domain::store::{
    ClaimRequest, Claimed, DeliveryFilter, NewDelivery, NewEvent, NewReplay, NewWebhook, Order, Page,
    Recorded, Store,
};
use callboard_domain::webhook::{Ordering, Settings, Status, Webhook, read_settings};
use callboard_store::sealing::{EncryptionKey, Keys};
use callboard_store::{OpenError, postgres, sqlite};
use callboard_testing::TestDatabase;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A database, and how to open it again.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    /// Of SQLite only.
    options: sqlite::Options,
    database: TestDatabase,
}

impl World {
    pub(crate) async fn sqlite(max_unindexed_events: i64) -> Self {
        let options = sqlite::Options { max_unindexed_events, ..sqlite::Options::default() };
        Self::on(TestDatabase::sqlite(), options).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::on(TestDatabase::postgres(), sqlite::Options::default()).await
    }

    async fn on(database: TestDatabase, options: sqlite::Options) -> Self {
        Self { store: open(&database, &keys(&[7]), options).await, options, database }
    }

    /// Where the database is.
    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    /// Closes the database and opens it again.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(&keys(&[7])).await;
    }

    /// Closes the database and opens it again with these keys.
    pub(crate) async fn restart_with(&mut self, keys: &Keys) {
        self.store.close().await;
        self.store = open(&self.database, keys, self.options).await;
    }

    /// Closes the database, and tells why it does not open with these keys.
    pub(crate) async fn refusal(&self, keys: Keys) -> OpenError {
        self.store.close().await;
        callboard_store::open(self.url(), keys).await.err().expect("a refusal")
    }

    /// Runs a statement that no store would.
    pub(crate) fn execute(&self, sql: &str) {
        match self.url().strip_prefix("sqlite:") {
            Some(path) => {
                let conn = rusqlite::Connection::open(path).expect("the file");
                conn.execute_batch(sql).expect(sql);
            }
            None => self.database.execute(sql),
        }
    }

    pub(crate) async fn tenant(&self, id: &str) -> TenantKey {
        self.tenant_keeping(id, None).await.key
    }

    pub(crate) async fn tenant_keeping(&self, id: &str, seconds: Option<u32>) -> Tenant {
        let id = id.parse().expect("a tenant id");
        let made = self.store.create_tenant(id, "A tenant".to_owned(), seconds, by(0)).await;
        made.expect("no error").expect("a new tenant")
    }

    pub(crate) async fn webhook(&self, tenant: TenantKey) -> Webhook {
        self.store.create_webhook(tenant, new_webhook(), by(0)).await.expect("a webhook")
    }

    /// A tenant with one webhook.
    pub(crate) async fn lane(&self) -> (TenantKey, WebhookKey) {
        let tenant = self.tenant("acme").await;
        (tenant, self.webhook(tenant).await.key)
    }

    /// Records one event that is due at once for each webhook.
    pub(crate) async fn record(
        &self,
        tenant: TenantKey,
        event: Event,
        webhooks: &[WebhookKey],
        now: Timestamp,
    ) -> Recorded {
        let new = NewEvent { event: event.into(), deliveries: due(webhooks) };
        let recorded = self.store.record_events(tenant, vec![new], now).await.expect("recorded");
        recorded.into_iter().next().expect("one event")
    }

    pub(crate) async fn claim(&self, webhook: WebhookKey, limit: usize, now: Timestamp) -> Vec<Claimed> {
        let request = ClaimRequest { webhook, limit, alone: false };
        let claims = self.store.claim_due(vec![request], now, usize::MAX).await.expect("a claim");
        claims.into_iter().next().expect("one lane").deliveries
    }

    /// Returns whether something that waited behind is due now.
    pub(crate) async fn finish(&self, attempt: Attempt) -> bool {
        let now = attempt.started_at;
        let due = self.store.finish_attempts(Arc::new(vec![attempt]), now).await.expect("finished");
        !due.is_empty()
    }

    /// Records an event for a webhook that asks for order; true when it waits
    /// behind another one.
    pub(crate) async fn record_in_order(
        &self,
        (tenant, webhook): (TenantKey, WebhookKey),
        event: Event,
        (leased, collapses): (bool, bool),
        now: Timestamp,
    ) -> (Recorded, bool) {
        let deliveries = vec![NewDelivery { webhook, leased, order: Order::BySubject { collapses } }];
        let new = NewEvent { event: event.into(), deliveries };
        let recorded = self.store.record_events(tenant, vec![new], now).await.expect("recorded");
        let recorded = recorded.into_iter().next().expect("one event");
        let behind = recorded.behind == [0];
        (recorded, behind)
    }

    /// A tenant with one webhook that asks for order.
    pub(crate) async fn ordered_lane(&self) -> (TenantKey, WebhookKey) {
        let tenant = self.tenant("acme").await;
        let settings = Settings { ordering: Ordering::Subject, ..settings() };
        let webhook =
            self.store.create_webhook(tenant, NewWebhook { settings, ..new_webhook() }, by(0)).await;
        (tenant, webhook.expect("a webhook").key)
    }

    /// Records an event and ends its only delivery in one attempt.
    pub(crate) async fn ended(
        &self,
        (tenant, webhook): (TenantKey, WebhookKey),
        event: Event,
        outcome: Outcome,
        now: Timestamp,
    ) -> Recorded {
        let recorded = self.record(tenant, event, &[webhook], now).await;
        self.finish(attempt(&recorded, 0, webhook, 1, outcome, now)).await;
        recorded
    }

    pub(crate) async fn delivery(
        &self,
        tenant: TenantKey,
        delivery: DeliveryKey,
    ) -> (DeliverySummary, Vec<LoggedAttempt>) {
        self.store.delivery(tenant, delivery).await.expect("no error").expect("a delivery")
    }

    pub(crate) async fn state(&self, tenant: TenantKey, delivery: DeliveryKey) -> State {
        self.delivery(tenant, delivery).await.0.state
    }

    /// All deliveries that a filter lets through, read in pages.
    pub(crate) async fn deliveries(
        &self,
        webhook: WebhookKey,
        filter: &DeliveryFilter,
        limit: usize,
    ) -> Vec<DeliveryKey> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = Page { limit, after };
            let listed = self.store.list_deliveries(webhook, filter.clone(), page).await.expect("a list");
            assert!(listed.items.len() <= limit);
            found.extend(listed.items.into_iter().map(|item| item.key));
            after = listed.next;
            if after.is_none() {
                return found;
            }
        }
    }

    /// Counts what a replay by state would send, a few at a time.
    pub(crate) async fn count(&self, webhook: WebhookKey, selection: &Selection) -> u64 {
        let mut range = self.store.range_of(selection.clone()).await.expect("a range");
        let mut total = 0;
        loop {
            let counted = self.store.count_selected(webhook, selection.clone(), range, 3).await;
            let counted = counted.expect("a count");
            assert!(counted.looked_at <= 3);
            total += counted.selected;
            let Some(next) = counted.next else { return total };
            range.from = next;
        }
    }

    /// Starts a replay of which nothing is counted yet.
    pub(crate) async fn uncounted_replay(
        &self,
        (tenant, webhook): (TenantKey, WebhookKey),
        selection: Selection,
        rate_per_second: Option<f64>,
        now: Timestamp,
    ) -> Job {
        let range = self.store.range_of(selection.clone()).await.expect("a range");
        let counted = Counted { selected: 0, looked_at: 0, next: Some(range.from) };
        let replay = NewReplay { selection, range, counted, rate_per_second };
        self.store.create_replay_job(tenant, webhook, replay, By::system(now)).await.expect("a job")
    }

    /// Starts a replay by state, counted to the end.
    pub(crate) async fn replay(
        &self,
        (tenant, webhook): (TenantKey, WebhookKey),
        selection: Selection,
        now: Timestamp,
    ) -> Job {
        let range = self.store.range_of(selection.clone()).await.expect("a range");
        let selected = self.count(webhook, &selection).await;
        let counted = Counted { selected, looked_at: 0, next: None };
        let replay = NewReplay { selection, range, counted, rate_per_second: None };
        self.store.create_replay_job(tenant, webhook, replay, By::system(now)).await.expect("a job")
    }

    /// Comes back when the logs are where the options want them: the writer
    /// does that between one command and the next.
    pub(crate) async fn settle(&self) {
        self.store.check().await.expect("a check");
    }
}

async fn open(database: &TestDatabase, keys: &Keys, options: sqlite::Options) -> Arc<dyn Store> {
    if let Some(path) = database.url().strip_prefix("sqlite:") {
        return Arc::new(sqlite::open(Path::new(path), keys, options).expect("a database"));
    }
    let options = postgres::Options::default();
    Arc::new(postgres::open(database.url(), keys, options).await.expect("a database"))
}

/// Keys that are made of these bytes, the first of which seals.
pub(crate) fn keys(bytes: &[u8]) -> Keys {
    let keys: Vec<_> = bytes.iter().map(|byte| EncryptionKey::from_bytes([*byte; 32])).collect();
    Keys::new(&keys, Box::new(rng()))
}

/// The key that is made of this byte, as sealed values name it.
pub(crate) fn key_id(byte: u8) -> String {
    EncryptionKey::from_bytes([byte; 32]).id().to_string()
}

/// A time that many seconds after a fixed one.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).expect("a time")
}

pub(crate) fn rng() -> StdRng {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    StdRng::seed_from_u64(NEXT.fetch_add(1, atomic::Ordering::Relaxed))
}

pub(crate) fn settings() -> Settings {
    let text = r#"{"url": "https://example.com/hook", "events": ["ticket.*"], "name": "Ours",
        "headers": {"x-tenant": "acme"}, "authorization_header": "Bearer sesame",
        "retry": {"schedule_seconds": [0.5, 30]}, "timeout_seconds": 2.5}"#;
    read_settings(text, None).expect("good settings").0
}

pub(crate) fn secret() -> Secret {
    Secret::generate(Scheme::Hmac, &mut rng())
}

/// What Callboard itself does, so many seconds after the start.
pub(crate) fn by(seconds: i64) -> By {
    By::system(at(seconds))
}

pub(crate) fn new_webhook() -> NewWebhook {
    let id = WebhookId::generate(at(0), &mut rng());
    NewWebhook { id, settings: settings(), status: Status::Active, secret: secret(), nonce: None }
}

/// An event about ticket T-1.
pub(crate) fn event(id: &str) -> Event {
    event_about(id, "ticket.updated", "T-1")
}

pub(crate) fn event_about(id: &str, type_name: &str, subject: &str) -> Event {
    let body = format!(r#"{{"type":"{type_name}","id":"{id}","subject":"{subject}"}}"#);
    Event {
        id: id.parse().expect("an event id"),
        id_given: true,
        event_type: type_name.parse().expect("an event type"),
        type_name: type_name.to_owned(),
        occurred_at: at(0),
        occurred_at_given: true,
        subject: Subject { id: subject.to_owned(), name: None },
        related: std::collections::BTreeMap::new(),
        quantity: None,
        tells_status: false,
        body: body.into(),
    }
}

pub(crate) fn due(webhooks: &[WebhookKey]) -> Vec<NewDelivery> {
    webhooks
        .iter()
        .map(|webhook| NewDelivery { webhook: *webhook, leased: false, order: Order::Free })
        .collect()
}

pub(crate) fn leased(webhook: WebhookKey) -> Vec<NewDelivery> {
    vec![NewDelivery { webhook, leased: true, order: Order::Free }]
}

/// The nth delivery of an event.
pub(crate) fn nth(recorded: &Recorded, index: i64) -> DeliveryKey {
    DeliveryKey(recorded.first_delivery.0 + index)
}

/// An attempt at the nth delivery of an event.
pub(crate) fn attempt(
    recorded: &Recorded,
    index: i64,
    webhook: WebhookKey,
    number: u32,
    outcome: Outcome,
    now: Timestamp,
) -> Attempt {
    attempt_at(nth(recorded, index), recorded.key, webhook, number, outcome, now)
}

pub(crate) fn attempt_at(
    delivery: DeliveryKey,
    event: EventKey,
    webhook: WebhookKey,
    number: u32,
    outcome: Outcome,
    now: Timestamp,
) -> Attempt {
    let failed = matches!(outcome, Outcome::Retry(_) | Outcome::GivenUp);
    Attempt {
        delivery,
        event,
        webhook,
        number,
        tries: number,
        started_at: now,
        duration: Duration::from_micros(40_001),
        outcome,
        status: Some(if failed { 503 } else { 200 }),
        cause: failed.then_some(Cause::Status),
        detail: AttemptDetail::default(),
    }
}
