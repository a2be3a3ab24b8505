//! What has been kept long enough goes, with all that came of it.

use callboard_domain::delivery::Outcome;
use callboard_domain::store::{Cleared, DeliveryFilter, EventFilter, Page};

use crate::events::counted;
use crate::world::{World, at, attempt, by, event, nth};

const ALL: Page = Page { limit: 100, after: None };

impl World {
    async fn prune(&self, second: i64, limit: usize) -> Cleared {
        self.store.prune(at(second), 1_000, limit).await.expect("pruned")
    }
}

pub(crate) async fn old_events_go_with_all_that_came_of_them(world: World) {
    let (tenant, webhook) = world.lane().await;
    let lane = (tenant, webhook);
    let mut gone = Vec::new();
    for (index, outcome) in [Outcome::Delivered, Outcome::GivenUp, Outcome::Retry(at(5))].iter().enumerate() {
        gone.push(world.ended(lane, event(&format!("old{index}")), *outcome, at(1)).await);
    }
    gone.push(world.record(tenant, event("pending"), &[webhook, webhook], at(2)).await);
    let kept = world.ended(lane, event("kept"), Outcome::GivenUp, at(3)).await;

    assert_eq!(world.prune(1_001, 10).await, Cleared { rows: 0, more: false });
    assert_eq!(world.prune(1_003, 3).await, Cleared { rows: 3, more: true });
    assert_eq!(world.prune(1_003, 3).await, Cleared { rows: 1, more: false });
    assert_eq!(world.prune(1_003, 3).await, Cleared { rows: 0, more: false });

    for recorded in &gone {
        for index in 0..2 {
            assert_eq!(
                world
                    .store
                    .delivery(tenant, nth(recorded, index))
                    .await
                    .map(|found| { found.filter(|(summary, _)| summary.event == recorded.key) }),
                Ok(None)
            );
        }
        let deliveries = world.store.deliveries_of_event(recorded.key, ALL).await.expect("a list");
        assert!(deliveries.items.is_empty());
    }
    assert!(world.claim(webhook, 100, at(9_999)).await.is_empty());
    let events = world.store.list_events(tenant, EventFilter::default(), ALL).await.expect("a list");
    assert_eq!(events.items.iter().map(|item| item.key).collect::<Vec<_>>(), [kept.key]);
    assert_eq!(world.deliveries(webhook, &DeliveryFilter::default(), 2).await, [nth(&kept, 0)]);
    // Its id is free again.
    assert!(!world.record(tenant, event("old0"), &[], at(1_004)).await.duplicate);
    // Time filters still find their place among keys with gaps.
    let filter = EventFilter { since: Some(at(4)), ..EventFilter::default() };
    let events = world.store.list_events(tenant, filter, ALL).await.expect("a list");
    assert_eq!(events.items.len(), 1);
}

pub(crate) async fn each_tenant_has_its_own_retention(world: World) {
    let short = world.tenant_keeping("short", Some(10)).await.key;
    let long = world.tenant_keeping("long", Some(100_000)).await.key;
    let usual = world.tenant("usual").await;
    for second in 0..10 {
        for tenant in [short, long, usual] {
            world.record(tenant, event(&format!("e{second}")), &[], at(second)).await;
        }
    }
    let left = async |tenant| -> usize {
        let filter = EventFilter::default();
        world.store.list_events(tenant, filter, ALL).await.expect("a list").items.len()
    };
    while world.prune(15, 2).await.more {}
    assert_eq!([left(short).await, left(long).await, left(usual).await], [5, 10, 10]);
    while world.prune(1_005, 2).await.more {}
    assert_eq!([left(short).await, left(long).await, left(usual).await], [0, 10, 5]);
    while world.prune(200_000, 2).await.more {}
    assert_eq!([left(short).await, left(long).await, left(usual).await], [0, 0, 0]);
}

pub(crate) async fn a_shorter_retention_reaches_back(world: World) {
    let short = world.tenant_keeping("short", Some(10)).await.key;
    let tenant = world.tenant_keeping("acme", Some(100_000)).await;
    for second in 0..10 {
        world.record(tenant.key, event(&format!("e{second}")), &[], at(second)).await;
        world.record(short, event(&format!("e{second}")), &[], at(second)).await;
    }
    while world.prune(500, 4).await.more {}
    let kept = world.store.list_events(tenant.key, EventFilter::default(), ALL).await.expect("a list");
    assert_eq!(kept.items.len(), 10);
    world.store.update_tenant(&tenant.id, "A".to_owned(), Some(10), by(0)).await.expect("changed");
    while world.prune(500, 4).await.more {}
    let left = world.store.list_events(tenant.key, EventFilter::default(), ALL).await.expect("a list");
    assert!(left.items.is_empty());
    // The same goes for the default, when the deployment changes it.
    let usual = world.tenant("usual").await;
    world.record(usual, event("a"), &[], at(600)).await;
    world.store.prune(at(700), 50_000, 9).await.expect("pruned");
    assert_eq!(world.store.prune(at(700), 10, 9).await.expect("pruned").rows, 1);
}

pub(crate) async fn keys_are_not_used_again(mut world: World) {
    let (tenant, webhook) = world.lane().await;
    let last = world.record(tenant, event("a"), &[webhook, webhook], at(5)).await;
    assert_eq!(world.prune(9_999, 10).await.rows, 1);
    world.restart().await;
    let next = world.record(tenant, event("b"), &[webhook], at(1)).await;
    assert_eq!((next.key.0, next.first_delivery), (last.key.0 + 1, nth(&last, 2)));
    assert_eq!(next.accepted_at, at(5), "time does not run backwards either");
    assert_eq!(world.deliveries(webhook, &DeliveryFilter::default(), 9).await, [nth(&next, 0)]);
}

pub(crate) async fn late_attempts_of_pruned_events_are_dropped(world: World) {
    let (tenant, webhook) = world.lane().await;
    let recorded = world.record(tenant, event("a"), &[webhook], at(1)).await;
    assert_eq!(world.claim(webhook, 1, at(1)).await.len(), 1);
    assert_eq!(world.prune(9_999, 10).await.rows, 1);
    for outcome in [Outcome::Delivered, Outcome::Retry(at(10_000)), Outcome::GivenUp] {
        world.finish(attempt(&recorded, 0, webhook, 1, outcome, at(2))).await;
        assert_eq!(world.store.delivery(tenant, nth(&recorded, 0)).await, Ok(None));
    }
    world.store.release(vec![nth(&recorded, 0)], at(3)).await.expect("released");
    assert!(world.claim(webhook, 9, at(99)).await.is_empty());
}

pub(crate) async fn old_counts_go_too(world: World) {
    let lane = world.lane().await;
    world.ended(lane, event("a"), Outcome::Delivered, at(1)).await;
    world.ended(lane, event("b"), Outcome::Delivered, at(9_000)).await;
    world.prune(10_000, 10).await;
    let stats = world.store.webhook_stats(lane.1, at(0)).await.expect("statistics");
    assert_eq!(stats.buckets.len(), 1);
    assert!(stats.buckets[0].start > at(4_000));
    let of_all = world.store.tenant_stats(lane.0, at(0)).await.expect("statistics");
    assert_eq!(of_all.buckets, stats.buckets);
}

pub(crate) async fn quantities_are_forgotten_after_a_year(world: World) {
    const YEAR: i64 = 366 * 24 * 60 * 60;
    let tenant = world.tenant("acme").await;
    // More than one step looks at.
    for index in 0..150 {
        let ticket = format!("T-{index}");
        world.record(tenant, counted(&format!("old-{index}"), &ticket, 10), &[], at(1)).await;
    }
    world.record(tenant, counted("again", "T-0", 20), &[], at(5)).await;
    for _ in 0..4 {
        world.prune(YEAR + 3, 10).await;
    }
    let diff = async |id: &str, ticket: &str| {
        world.record(tenant, counted(id, ticket, 25), &[], at(YEAR + 4)).await.quantity_diff
    };
    assert_eq!(diff("new-0", "T-0").await, Some(5), "it was published since");
    assert_eq!(diff("new-1", "T-1").await, None);
    assert_eq!(diff("new-149", "T-149").await, None);
}
