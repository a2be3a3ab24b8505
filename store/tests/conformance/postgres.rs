//! What only PostgreSQL has: several nodes on one database, leases in its time,
//! and partitions.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::delivery::{Outcome, State};
use callboard_domain::id::WebhookKey;
use callboard_domain::job::{Counted, Selection};
use callboard_domain::store::{
    ClaimRequest, DeliveryStore as _, EventFilter, EventStore as _, JobStore as _, Late, NewDelivery,
    NewEvent, NewReplay, Node, NodeStore as _, Order, Page, Signal, UpkeepStore as _, WebhookStore as _,
};
use callboard_store::postgres::{self, Options, PostgresStore};
use tokio_postgres::{Client, NoTls};

use crate::world::{World, at, attempt, by, due, event, event_about, keys, leased, new_webhook, nth};

const ALL: Page = Page { limit: 1_000, after: None };

impl World {
    /// Another node on the same database.
    async fn beside(&self, options: Options) -> PostgresStore {
        postgres::open(self.url(), &keys(&[7]), options).await.expect("the same database")
    }

    /// A connection for what no store would do.
    async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(self.url(), NoTls).await.expect("a connection");
        tokio::spawn(connection);
        client
    }
}

async fn claim(store: &PostgresStore, webhook: WebhookKey, limit: usize) -> Vec<i64> {
    let claims =
        store.claim_due(vec![ClaimRequest { webhook, limit, alone: false }], at(50), usize::MAX).await;
    claims.expect("a claim").remove(0).deliveries.iter().map(|claimed| claimed.delivery.0).collect()
}

#[tokio::test]
async fn a_fact_is_recorded_once_whichever_node_is_told() {
    let world = World::postgres().await;
    let other = world.beside(Options::default()).await;
    let (tenant, webhook) = world.lane().await;
    for round in 0..20 {
        let ids = [format!("a{round}"), format!("b{round}")];
        let new = |id: &String| NewEvent { event: event(id).into(), deliveries: due(&[webhook]) };
        let here = world.store.record_events(tenant, ids.iter().map(new).collect(), at(1));
        let there = other.record_events(tenant, ids.iter().rev().map(new).collect(), at(1));
        let (here, there) = tokio::join!(here, there);
        let (here, there) = (here.expect("recorded"), there.expect("recorded"));
        assert_eq!((here[0].key, here[1].key), (there[1].key, there[0].key));
        for (one, same) in [(&here[0], &there[1]), (&here[1], &there[0])] {
            assert!(one.duplicate != same.duplicate, "one of them was first");
        }
    }
    let events = world.store.list_events(tenant, EventFilter::default(), ALL).await.expect("a list");
    assert_eq!(events.items.len(), 40);
    assert_eq!(world.claim(webhook, 1_000, at(2)).await.len(), 40);
}

#[tokio::test]
async fn no_two_nodes_claim_the_same() {
    let world = World::postgres().await;
    let nodes = [world.beside(Options::default()).await, world.beside(Options::default()).await];
    let (tenant, webhook) = world.lane().await;
    for index in 0..200 {
        world.record(tenant, event(&format!("e{index}")), &[webhook], at(1)).await;
    }
    let mut claimed = Vec::new();
    while claimed.len() < 200 {
        let (one, two) = tokio::join!(claim(&nodes[0], webhook, 7), claim(&nodes[1], webhook, 5));
        assert!(!one.is_empty() || !two.is_empty(), "only {} of 200", claimed.len());
        claimed.extend(one);
        claimed.extend(two);
    }
    assert_eq!(claimed.len(), claimed.iter().collect::<HashSet<_>>().len());
}

#[tokio::test]
async fn nodes_that_add_to_one_chain_keep_its_order() {
    let world = World::postgres().await;
    let other = world.beside(Options::default()).await;
    let (tenant, webhook) = world.ordered_lane().await;
    let record = |store: Arc<dyn callboard_domain::store::Store>, id: String| async move {
        let order = Order::BySubject { collapses: false };
        let deliveries = vec![NewDelivery { webhook, leased: true, order }];
        let new = NewEvent { event: event_about(&id, "ticket.updated", "T-1").into(), deliveries };
        let recorded = store.record_events(tenant, vec![new], at(1)).await.expect("recorded").remove(0);
        (recorded.behind.is_empty(), recorded)
    };
    let other: Arc<dyn callboard_domain::store::Store> = Arc::new(other);
    let mut going = Vec::new();
    for round in 0..15 {
        let (one, two) = tokio::join!(
            record(Arc::clone(&world.store), format!("a{round}")),
            record(Arc::clone(&other), format!("b{round}"))
        );
        going.extend([one, two].into_iter().filter(|(goes, _)| *goes).map(|(_, recorded)| recorded));
    }
    assert_eq!(going.len(), 1, "one goes, and all others wait behind it");
    let mut seen = vec![nth(&going[0], 0)];
    world.finish(attempt(&going[0], 0, webhook, 1, Outcome::Delivered, at(2))).await;
    for turn in 0_usize..29 {
        let store = if turn % 2 == 0 { &world.store } else { &other };
        let claims =
            store.claim_due(vec![ClaimRequest { webhook, limit: 9, alone: false }], at(9), usize::MAX).await;
        let claimed = claims.expect("a claim").remove(0).deliveries;
        assert_eq!(claimed.len(), 1);
        seen.push(claimed[0].delivery);
        let key = claimed[0].event.key;
        let over = crate::world::attempt_at(claimed[0].delivery, key, webhook, 1, Outcome::Delivered, at(9));
        store.finish_attempts(Arc::new(vec![over]), at(9)).await.expect("finished");
    }
    assert!(seen.is_sorted(), "{seen:?}");
}

#[tokio::test]
async fn what_a_node_held_is_given_to_others_when_its_lease_has_passed() {
    let world = World::postgres().await;
    let lost = world.beside(Options::default()).await;
    let (tenant, webhook) = world.lane().await;
    let held = NewEvent { event: event("held").into(), deliveries: leased(webhook) };
    let held = lost.record_events(tenant, vec![held], at(1)).await.expect("recorded").remove(0);
    world.record(tenant, event("claimed"), &[webhook], at(2)).await;
    assert_eq!(claim(&lost, webhook, 9).await.len(), 1);
    assert!(world.claim(webhook, 9, at(60)).await.is_empty());

    let listed = lost.nodes().await.expect("a list");
    let id = listed.into_iter().find(|node| node.is_this).expect("itself").id;
    let passed = "UPDATE nodes SET lease_until = 0 WHERE key = (SELECT max(key) FROM nodes)";
    world.client().await.execute(passed, &[]).await.expect("an update");
    let third = world.beside(Options::default()).await;
    let signals = world.store.next_signals().await;
    assert_eq!(signals, [Signal::WorkDue], "everybody hears of it");
    assert_eq!(third.next_signals().await, [Signal::WorkDue], "also who gave it back, who may be alone");
    assert_eq!(claim(&third, webhook, 9).await.len(), 2);

    // What it holds no longer it can't give back, but it may say how it went.
    lost.release(vec![nth(&held, 0)], at(3)).await.expect("no error");
    assert!(claim(&third, webhook, 9).await.is_empty());
    let over = attempt(&held, 0, webhook, 1, Outcome::Delivered, at(3));
    lost.finish_attempts(Arc::new(vec![over.clone()]), at(3)).await.expect("finished");
    third.finish_attempts(Arc::new(vec![over]), at(4)).await.expect("finished");
    let (summary, log) = world.delivery(tenant, nth(&held, 0)).await;
    assert_eq!((summary.state, log.len()), (State::Delivered, 1));
    // It becomes another node as soon as it claims, and says so.
    world.record(tenant, event("later"), &[webhook], at(5)).await;
    assert_eq!(claim(&lost, webhook, 9).await.len(), 1);
    assert!(lost.next_signals().await.contains(&Signal::LeaseLost));
    let listed = lost.nodes().await.expect("a list");
    assert!(listed.iter().any(|node| node.is_this && node.id != id), "{id}: {listed:?}");
    assert!(claim(&third, webhook, 9).await.is_empty());
    lost.close().await;
    assert_eq!(claim(&third, webhook, 9).await.len(), 1, "who closes gives back what it holds");
}

#[tokio::test]
async fn nodes_hear_of_each_other() {
    let world = World::postgres().await;
    let other = world.beside(Options::default()).await;
    let tenant = world.tenant("acme").await;
    let webhook = other.create_webhook(tenant, new_webhook(), by(0)).await.expect("a webhook").key;
    let signals = world.store.next_signals().await;
    assert_eq!(signals, [Signal::WebhookChanged { tenant, webhook }]);
    other
        .record_events(tenant, vec![NewEvent { event: event("a").into(), deliveries: vec![] }], at(1))
        .await
        .expect("recorded");
    assert_eq!(world.store.next_signals().await, [Signal::EventsRecorded { tenant }]);
}

#[tokio::test]
async fn a_stream_stops_before_keys_that_are_not_visible_yet() {
    let world = World::postgres().await;
    let (tenant, webhook) = world.lane().await;
    let first = world.record(tenant, event("a"), &[webhook], at(1)).await;
    let client = world.client().await;
    client.batch_execute("BEGIN; SELECT next_keys(1, 1, 0)").await.expect("keys");
    let third = world.record(tenant, event("c"), &[webhook], at(1)).await;
    assert_eq!(third.key.0, first.key.0 + 2);
    assert_eq!(world.store.place(None).await, Ok(first.key));
    let start = callboard_domain::id::EventKey(0);
    let read =
        async || world.store.events_after(tenant, None, start, 10, usize::MAX).await.expect("a stretch");
    let stretch = read().await;
    assert_eq!(stretch.events.len(), 1, "the third may not be told before the second");
    assert_eq!(stretch.end, first.key);
    client.batch_execute("ROLLBACK").await.expect("the end");
    assert_eq!(world.store.place(None).await, Ok(third.key));
    assert_eq!(read().await.events.len(), 2);
}

#[tokio::test]
async fn partitions_come_in_time_and_go_whole() {
    let world = World::postgres().await;
    let options = Options { events_a_partition: 4, deliveries_a_partition: 8, ..Options::default() };
    // The first partitions are large; the small ones begin where they end.
    let client = world.client().await;
    client
        .batch_execute("SELECT setval('event_keys', (SELECT max(beyond) FROM partitions WHERE parent = 'events') - 2, FALSE);
                        SELECT setval('delivery_keys', (SELECT max(beyond) FROM partitions WHERE parent = 'attempts') - 2, FALSE)")
        .await
        .expect("keys at the edge");
    let small = world.beside(options).await;
    let tenant = world.tenant_keeping("acme", Some(10)).await.key;
    let webhook = world.webhook(tenant).await.key;
    let mut recorded = Vec::new();
    for batch in 0..10 {
        let new = |index: usize| NewEvent {
            event: event(&format!("e{batch}-{index}")).into(),
            deliveries: due(&[webhook, webhook]),
        };
        recorded
            .extend(small.record_events(tenant, (0..5).map(new).collect(), at(1)).await.expect("recorded"));
    }
    for one in &recorded[..49] {
        world.finish(attempt(one, 0, webhook, 1, Outcome::Delivered, at(2))).await;
    }
    // More at once than there are partitions for.
    let new =
        |index: usize| NewEvent { event: event(&format!("many{index}")).into(), deliveries: due(&[webhook]) };
    let many = small.record_events(tenant, (0..100).map(new).collect(), at(30)).await.expect("recorded");
    assert_eq!(many.len(), 100);
    let tables = async |parent: &str| -> i64 {
        let count = "SELECT count(*) FROM pg_inherits WHERE inhparent = $1::text::regclass";
        client.query_one(count, &[&parent]).await.expect("a count").get(0)
    };
    let before = (tables("events").await, tables("attempts").await);
    let mut pruned = 0;
    for _ in 0..60 {
        pruned += small.prune(at(20), 1_000, 7).await.expect("pruned").rows;
    }
    assert_eq!(pruned, 50);
    let after = (tables("events").await, tables("attempts").await);
    assert!(after.0 < before.0 - 8 && after.1 < before.1 - 8, "{before:?} {after:?}");
    let events = world.store.list_events(tenant, EventFilter::default(), ALL).await.expect("a list");
    assert_eq!(events.items.len(), 100);
    assert_eq!(world.claim(webhook, 1_000, at(40)).await.len(), 100);
}

#[tokio::test]
async fn nodes_that_move_one_job_on_do_it_once() {
    let world = World::postgres().await;
    let other = world.beside(Options::default()).await;
    let lane = world.lane().await;
    let (tenant, webhook) = lane;
    for round in 0..10 {
        let mut missed = Vec::new();
        for index in 0..5 {
            missed.push(world.record(tenant, event(&format!("m{round}-{index}")), &[], at(1)).await.key);
        }
        let selection = Selection {
            since: at(0),
            until: None,
            missing: true,
            states: vec![],
            type_name: None,
            subject_id: None,
        };
        let range = world.store.range_of(selection.clone()).await.expect("a range");
        let counted = Counted { selected: 5, looked_at: 5, next: None };
        let replay = NewReplay { selection, range, counted, rate_per_second: None };
        let (one, two) = tokio::join!(
            world.store.create_replay_job(tenant, webhook, replay.clone(), by(2)),
            other.create_replay_job(tenant, webhook, replay, by(2))
        );
        let job = one.expect("a job");
        assert_eq!(job, two.expect("the same job"));
        let step = Late { from: job.left.from, next: job.left.to, looked_at: 5, events: missed };
        let (one, two) = tokio::join!(
            world.store.add_late(job.key, step.clone(), at(3)),
            other.add_late(job.key, step, at(3))
        );
        assert_eq!(one, two);
        assert_eq!(one.expect("no error").expect("the job").done, 5);
        assert_eq!(world.claim(webhook, 100, at(4)).await.len(), 5);
    }
}

#[tokio::test]
async fn what_has_a_pace_is_claimed_by_one_node_until_it_leaves() {
    let world = World::postgres().await;
    let (owner, other) = (world.beside(Options::default()).await, world.beside(Options::default()).await);
    let (tenant, webhook) = world.lane().await;
    for index in 0..3 {
        world.record(tenant, event(&format!("e{index}")), &[webhook], at(1)).await;
    }
    let paced = async |store: &PostgresStore| {
        let lanes = vec![ClaimRequest { webhook, limit: 1, alone: true }];
        store.claim_due(lanes, at(50), usize::MAX).await.expect("a claim").remove(0)
    };
    assert_eq!(paced(&owner).await.deliveries.len(), 1);
    let refused = paced(&other).await;
    assert_eq!((refused.deliveries.len(), refused.next_due), (0, Some(at(51))), "it asks again later");
    assert_eq!(paced(&owner).await.deliveries.len(), 1);
    owner.close().await;
    assert_eq!(paced(&other).await.deliveries.len(), 1);
}

/// A commit that ends the connection may have happened, and then nobody holds what
/// it leased.
#[tokio::test]
async fn a_node_that_is_in_doubt_about_a_commit_gives_everything_back() {
    let world = World::postgres().await;
    let (tenant, webhook) = world.lane().await;
    let store = world.beside(Options::default()).await;
    world.record(tenant, event("a"), &[webhook], at(1)).await;
    assert_eq!(claim(&store, webhook, 9).await.len(), 1);
    let before = store.nodes().await.expect("nodes");
    world
        .client()
        .await
        .batch_execute(
            "CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER hang_up AFTER INSERT ON pending DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION hang_up()",
        )
        .await
        .expect("a trigger");
    let new = NewEvent { event: event("b").into(), deliveries: due(&[webhook]) };
    assert!(store.record_events(tenant, vec![new], at(2)).await.is_err());
    let noticed = async { while !store.next_signals().await.contains(&Signal::LeaseLost) {} };
    tokio::time::timeout(Duration::from_secs(20), noticed).await.expect("it notices with its next renewal");
    let after = store.nodes().await.expect("nodes");
    let this = |nodes: &[Node]| nodes.iter().find(|node| node.is_this).map(|node| node.id.clone());
    assert_ne!(this(&before), this(&after), "it goes on as another");
    assert_eq!(after.len(), before.len());
    assert_eq!(claim(&store, webhook, 9).await.len(), 1, "what it held is due again");
}
