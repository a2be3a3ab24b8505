//! A running engine on a database of its own, with a clock that stands still.

use crate::gate::Gate;
use callboard_domain::audit::By;
use callboard_domain::clock::{Clock, ManualClock};
use callboard_domain::delivery::State;
use callboard_domain::event::read_events;
use callboard_domain::id::{DeliveryKey, EventId, TenantKey, WebhookId};
use callboard_domain::signing::Secret;
use callboard_domain::store::{NewWebhook, Store};
use callboard_domain::webhook::{Status, Webhook, read_settings};
use callboard_engine::guard::Guard;
use callboard_engine::http::{Client, ClientOptions};
use callboard_engine::{Engine, Options, Published};
use callboard_store::sealing::{EncryptionKey, Keys};
use callboard_testing::{ENCRYPTION_KEY, TestDatabase};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Makes the ids of all webhooks differ.
static SEED: AtomicU64 = AtomicU64::new(0);

/// A running engine.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) tenant: TenantKey,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<()>,
}

impl World {
    pub(crate) async fn start(database: &TestDatabase, options: Options) -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-21T19:00:00Z".parse().unwrap()));
        let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
        let client = Client::new(guard, ClientOptions::default(), clock.clone());
        Self::start_with(database, options, client, clock).await
    }

    /// As [`Self::start`], with another client, which has the same clock.
    pub(crate) async fn start_with(
        database: &TestDatabase,
        options: Options,
        client: Client,
        clock: Arc<ManualClock>,
    ) -> Self {
        let key = EncryptionKey::from_bytes(ENCRYPTION_KEY);
        let keys = Keys::new(&[key], Box::new(StdRng::seed_from_u64(0)));
        let store = callboard_store::open(database.url(), keys).await.unwrap();
        let rng = Box::new(StdRng::seed_from_u64(1));
        let engine = Engine::new(Arc::clone(&store), clock.clone(), rng, client, options);
        let id = "acme".parse().unwrap();
        let made = store.create_tenant(id, "Acme".to_owned(), None, By::system(clock.now())).await.unwrap();
        let tenant = match made {
            Some(tenant) => tenant.key,
            None => store.tenant(&"acme".parse().unwrap()).await.unwrap().unwrap().key,
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(Arc::clone(&engine).run(stop.clone()));
        Self { store, clock, engine, tenant, stop, running }
    }

    pub(crate) async fn webhook(&self, gate: &Gate, more: &str) -> Webhook {
        self.make(&format!(r#"{{"url": "{}", "events": ["*"]{more}}}"#, gate.url())).await
    }

    pub(crate) async fn make(&self, text: &str) -> Webhook {
        self.engine.create_webhook(self.tenant, self.new_webhook(text), self.by()).await.unwrap()
    }

    /// What Callboard itself does now.
    pub(crate) fn by(&self) -> By {
        By::system(self.clock.now())
    }

    pub(crate) fn new_webhook(&self, text: &str) -> NewWebhook {
        let (settings, _) = read_settings(text, None).unwrap();
        let now = self.clock.now();
        let mut rng = StdRng::seed_from_u64(SEED.fetch_add(1, Ordering::Relaxed));
        let secret = Secret::generate(settings.signature, &mut rng);
        let id = WebhookId::generate(now, &mut rng);
        NewWebhook { id, settings, status: Status::Active, secret, nonce: None }
    }

    pub(crate) async fn publish(&self, id: &str) -> Published {
        self.publish_for(self.tenant, id).await
    }

    pub(crate) async fn publish_for(&self, tenant: TenantKey, id: &str) -> Published {
        let body = format!(r#"{{"id": "{id}", "type": "order.paid", "subject": {{"id": "1"}}}}"#);
        let now = self.clock.now();
        let new_id = &mut || EventId::generate(now, &mut StdRng::seed_from_u64(3));
        let events = read_events(&body, false, now, new_id).unwrap();
        self.engine.publish(tenant, events).await.unwrap().remove(0)
    }

    /// Waits until the delivery is in `wanted` and that is on disk.
    pub(crate) async fn until(&self, delivery: DeliveryKey, wanted: State) {
        let reached = async {
            while self.state(delivery).await != wanted {
                tokio::task::yield_now().await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(20), reached).await;
        assert!(seen.is_ok(), "{delivery} is {:?}, not {wanted:?}", self.state(delivery).await);
    }

    /// Waits until so many attempts of the delivery are on disk.
    pub(crate) async fn until_attempted(&self, delivery: DeliveryKey, attempts: u32) {
        let attempted = async {
            while self.store.delivery(self.tenant, delivery).await.unwrap().unwrap().0.attempts < attempts {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), attempted).await.unwrap();
    }

    pub(crate) async fn state(&self, delivery: DeliveryKey) -> State {
        self.store.delivery(self.tenant, delivery).await.unwrap().unwrap().0.state
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
        self.store.close().await;
    }

    /// Ends as a crash does: nothing is finished, nothing given back.
    pub(crate) async fn crash(self) {
        self.running.abort();
        let _ = self.running.await;
        self.store.close().await;
    }
}
