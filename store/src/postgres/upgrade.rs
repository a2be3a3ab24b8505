//! A node of a newer release starts beside nodes of this one, and changes the
//! schema as a migration may: it only adds.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::audit::By;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Attempt, AttemptDetail, Outcome, State};
use callboard_domain::event::{Event, Subject};
use callboard_domain::id::{DeliveryKey, TenantKey, WebhookId, WebhookKey};
use callboard_domain::job::{Counted, Selection};
use callboard_domain::signing::{Scheme, Secret};
use callboard_domain::store::{
    AccessStore as _, ClaimRequest, DeliveryFilter, DeliveryStore as _, EventFilter, EventStore as _,
    JobStore as _, Late, NewDelivery, NewEvent, NewReplay, NewWebhook, NodeStore as _, Order,
    OverviewStore as _, Page, Recorded, Signal, UpkeepStore as _, WebhookEdit, WebhookStore as _,
};
use callboard_domain::webhook::{Status, Webhook, read_settings};
use callboard_testing::TestDatabase;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::migrations::{MIGRATIONS, Migrations};
use super::{Options, PostgresStore, open, start};
use crate::OpenError;
use crate::sealing::{EncryptionKey, Keys};

/// A version that no release has, after those that there are.
const LATER: i64 = 1_000;

/// Everything that a migration may do to what an older program uses: columns
/// beside those of every table, indexes, tables, functions.
const ADDED: &str = "
    DO $$
    DECLARE
        name text;
    BEGIN
        FOR name IN SELECT relname FROM pg_class
            WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        LOOP
            EXECUTE format('ALTER TABLE %I ADD COLUMN added text NOT NULL DEFAULT ''later''', name);
        END LOOP;
    END $$;
    CREATE INDEX pending_added ON pending (added, delivery);
    CREATE INDEX events_added ON events (added, key);
    CREATE TABLE additions (key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value text NOT NULL);
    CREATE FUNCTION added() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(*) FROM additions $$;";

fn later() -> Migrations {
    let versions: Vec<_> = MIGRATIONS.iter().copied().chain([(LATER, ADDED)]).collect();
    Box::leak(versions.into_boxed_slice())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).expect("a time")
}

fn by(seconds: i64) -> By {
    By::system(at(seconds))
}

/// The keys that all of them have.
fn keys() -> Keys {
    Keys::new(&[EncryptionKey::from_bytes([7; 32])], Box::new(StdRng::seed_from_u64(7)))
}

/// Small partitions, so that new ones are made after the change as well.
fn options(name: &str) -> Options {
    Options {
        events_a_partition: 16,
        deliveries_a_partition: 16,
        node_name: name.to_owned(),
        ..Options::default()
    }
}

/// A node, and what it does.
struct Node {
    store: PostgresStore,
    rng: StdRng,
}

impl Node {
    async fn start(url: &str, name: &str, known: Migrations) -> Self {
        let address = open::target(url, None).expect("a good URL");
        let store =
            start(&address, &keys(), options(name), (known, crate::unwatched())).await.expect("it starts");
        Self { store, rng: StdRng::seed_from_u64(known.len() as u64) }
    }

    async fn publish(&self, tenant: TenantKey, webhook: WebhookKey, id: &str, order: Order) -> Recorded {
        let event = Event {
            id: id.parse().expect("an event id"),
            id_given: true,
            event_type: "ticket.updated".parse().expect("an event type"),
            type_name: "ticket.updated".to_owned(),
            occurred_at: at(0),
            occurred_at_given: true,
            subject: Subject { id: "T-1".to_owned(), name: None },
            related: std::collections::BTreeMap::new(),
            quantity: None,
            tells_status: false,
            body: format!(r#"{{"id":"{id}"}}"#).into(),
        };
        let deliveries = vec![NewDelivery { webhook, leased: false, order }];
        let new = NewEvent { event: event.into(), deliveries };
        self.store.record_events(tenant, vec![new], at(1)).await.expect("recorded").remove(0)
    }

    async fn claim(&self, webhook: WebhookKey) -> Vec<DeliveryKey> {
        let lanes = vec![ClaimRequest { webhook, limit: 100, alone: false }];
        let claims = self.store.claim_due(lanes, at(50), usize::MAX).await.expect("a claim");
        claims.into_iter().flat_map(|claim| claim.deliveries).map(|claimed| claimed.delivery).collect()
    }

    async fn finish(&self, recorded: &Recorded, webhook: WebhookKey, outcome: Outcome) {
        let attempt = Attempt {
            delivery: recorded.first_delivery,
            event: recorded.key,
            webhook,
            number: 1,
            tries: 1,
            started_at: at(2),
            duration: Duration::from_millis(1),
            outcome,
            status: Some(200),
            cause: None,
            detail: AttemptDetail::default(),
        };
        self.store.finish_attempts(Arc::new(vec![attempt]), at(2)).await.expect("finished");
    }

    async fn make_webhook(&mut self, tenant: TenantKey) -> Webhook {
        let settings = read_settings(r#"{"url": "https://example.com/hook", "events": ["ticket.*"]}"#, None);
        let new = NewWebhook {
            id: WebhookId::generate(at(0), &mut self.rng),
            settings: settings.expect("good").0,
            status: Status::Active,
            secret: Secret::generate(Scheme::Hmac, &mut self.rng),
            nonce: None,
        };
        self.store.create_webhook(tenant, new, by(0)).await.expect("a webhook")
    }

    /// Everything that nodes do all day; `name` keeps apart what it makes.
    async fn work(&mut self, tenant: TenantKey, name: &str) {
        let made = self.make_webhook(tenant).await;
        let (id, webhook) = (made.id, made.key);
        let store = &self.store;
        let edit = WebhookEdit { settings: made.settings, status: Status::Active, secret: None };
        store.update_webhook(tenant, id, made.revision, edit, by(1)).await.expect("an edit");
        for index in 0..40 {
            let order = if index % 2 == 0 { Order::Free } else { Order::BySubject { collapses: false } };
            let recorded = self.publish(tenant, webhook, &format!("{name}-{index}"), order).await;
            assert_eq!(self.claim(webhook).await, [recorded.first_delivery]);
            let outcome = if index % 5 == 0 { Outcome::GivenUp } else { Outcome::Delivered };
            self.finish(&recorded, webhook, outcome).await;
            let shown = self.store.delivery(tenant, recorded.first_delivery).await.expect("no error");
            let state = if index % 5 == 0 { State::Failed } else { State::Delivered };
            assert_eq!(shown.expect("a delivery").0.state, state);
        }
        let store = &self.store;
        let page = Page { limit: 100, after: None };
        let filter = DeliveryFilter { states: vec![State::Failed], ..DeliveryFilter::default() };
        let failed = store.list_deliveries(webhook, filter, page).await.expect("a list").items;
        assert_eq!(failed.len(), 8);
        store.retry_delivery(tenant, failed[0].key, by(3)).await.expect("a retry");
        assert_eq!(self.claim(webhook).await, [failed[0].key]);
        let store = &self.store;
        store.release(vec![failed[0].key], at(3)).await.expect("released");
        let job = store.create_retry_job(tenant, webhook, None, None, by(4)).await.expect("a job");
        store.advance_job(job.key, 100, at(5)).await.expect("a step");
        let selection = Selection {
            since: at(0),
            until: None,
            missing: true,
            states: vec![],
            type_name: None,
            subject_id: None,
        };
        let range = store.range_of(selection.clone()).await.expect("a range");
        let counted = Counted { selected: 0, looked_at: 0, next: None };
        let replay = NewReplay { selection, range, counted, rate_per_second: None };
        let job = store.create_replay_job(tenant, webhook, replay, by(4)).await.expect("a job");
        let step = Late { from: job.left.from, next: job.left.to, looked_at: 0, events: vec![] };
        store.add_late(job.key, step, at(5)).await.expect("a step");
        let listed = store.list_events(tenant, EventFilter::default(), page).await.expect("a list");
        assert!(listed.items.len() >= 40);
        store.webhook_stats(webhook, at(0)).await.expect("counts");
        store.waiting_lanes().await.expect("lanes");
        store.prune(at(10), 1_000_000, 10).await.expect("upkeep");
        store.check().await.expect("it can be written");
        store.delete_webhook(tenant, id, by(6)).await.expect("deleted");
    }
}

#[tokio::test]
async fn a_newer_node_starts_beside_older_ones_and_all_go_on() {
    let database = TestDatabase::postgres();
    let url = database.url();
    let mut old = Node::start(url, "old", MIGRATIONS).await;
    let id = "acme".parse().expect("an id");
    let tenant =
        old.store.create_tenant(id, "A".to_owned(), None, by(0)).await.expect("made").expect("new").key;
    // Its statements are prepared, and know the tables as they are.
    old.work(tenant, "before").await;
    // It publishes while the other one changes the tables.
    let (mut new, ()) = tokio::join!(Node::start(url, "new", later()), old.work(tenant, "meanwhile"));
    old.work(tenant, "after").await;
    new.work(tenant, "newer").await;
    let names: Vec<String> =
        old.store.nodes().await.expect("a list").into_iter().map(|node| node.name).collect();
    assert_eq!(names, ["old", "new"]);
    assert_eq!(database.number("SELECT count(*) FROM additions"), 0, "what the newer one has added is there");

    // What the older one held goes over to the newer one, and it comes back.
    database.execute("UPDATE nodes SET lease_until = 0 WHERE name = 'old'");
    let entered = async { while !old.store.next_signals().await.contains(&Signal::LeaseLost) {} };
    tokio::time::timeout(Duration::from_secs(20), entered).await.expect("it goes on as another node");
    old.work(tenant, "anew").await;

    let address = open::target(url, None).expect("a good URL");
    let again = start(&address, &keys(), options("older"), (MIGRATIONS, crate::unwatched())).await;
    assert!(matches!(again, Err(OpenError::NewerSchema { found: LATER, .. })), "{again:?}");
    old.store.close().await;
    new.store.close().await;
}

/// The version that adds up what is counted by tenants.
const TENANT_STATS: i64 = 5;

#[tokio::test]
async fn what_was_counted_before_and_what_older_nodes_count_is_added_up() {
    let database = TestDatabase::postgres();
    let before: Vec<_> = MIGRATIONS.iter().copied().filter(|(version, _)| *version != TENANT_STATS).collect();
    assert_eq!(before.len() + 1, MIGRATIONS.len());
    let mut old = Node::start(database.url(), "old", Box::leak(before.into_boxed_slice())).await;
    let id = "acme".parse().expect("an id");
    let made = old.store.create_tenant(id, "A".to_owned(), None, by(0)).await;
    let tenant = made.expect("made").expect("new").key;
    let webhooks = [old.make_webhook(tenant).await.key, old.make_webhook(tenant).await.key];
    let count = async |node: &Node, name: &str| {
        for (index, webhook) in (0..).zip([webhooks[0], webhooks[1], webhooks[0]]) {
            let recorded = node.publish(tenant, webhook, &format!("{name}-{index}"), Order::Free).await;
            let outcome = if index == 0 { Outcome::GivenUp } else { Outcome::Delivered };
            node.finish(&recorded, webhook, outcome).await;
        }
    };
    count(&old, "before").await;
    let new = Node::start(database.url(), "new", MIGRATIONS).await;
    count(&old, "after").await;
    count(&new, "newer").await;
    let sums = new.store.tenant_stats(tenant, at(0)).await.expect("sums").buckets;
    let [one, two] = webhooks.map(|webhook| new.store.webhook_stats(webhook, at(0)));
    let (mut expected, other) = (one.await.expect("counts").buckets, two.await.expect("counts").buckets);
    expected[0].add(&other[0]);
    assert_eq!(sums, expected);
    assert_eq!((sums.len(), sums[0].delivered, sums[0].given_up), (1, 6, 3));
    old.store.close().await;
    new.store.close().await;
}
