//! Recording events: whole batches or nothing, and each fact once.

use callboard_domain::event::Event;
use callboard_domain::id::{EventKey, WebhookKey};
use callboard_domain::store::{NewEvent, Page, RecordError};

use crate::world::{World, at, due, event, event_about, nth};

fn new(id: &str, webhooks: &[WebhookKey]) -> NewEvent {
    NewEvent { event: event(id).into(), deliveries: due(webhooks) }
}

const ALL: Page = Page { limit: 100, after: None };

pub(crate) async fn a_batch_is_recorded_in_order(world: World) {
    let (tenant, one) = world.lane().await;
    let two = world.webhook(tenant).await.key;
    let batch = vec![new("a", &[one, two]), new("b", &[]), new("c", &[two])];
    let recorded = world.store.record_events(tenant, batch, at(5)).await.expect("recorded");
    assert!(recorded.iter().all(|event| event.accepted_at == at(5) && !event.duplicate));
    assert!(recorded.is_sorted_by_key(|event| event.key));
    assert_eq!(recorded[2].first_delivery, nth(&recorded[0], 2));

    let stored = world.store.event(tenant, &event("a").id).await.expect("no error").expect("the event");
    assert_eq!((stored.key, stored.tenant, stored.deliveries), (recorded[0].key, tenant, 2));
    assert_eq!((stored.body, stored.accepted_at), (event("a").body, at(5)));
    let deliveries = world.store.deliveries_of_event(recorded[0].key, ALL).await.expect("a list");
    let webhooks: Vec<_> = deliveries.items.iter().map(|item| item.webhook).collect();
    assert_eq!(webhooks, [one, two]);
    assert_eq!(deliveries.next, None);
    assert!(world.store.record_events(tenant, vec![], at(6)).await.expect("nothing").is_empty());
}

pub(crate) async fn duplicates_are_recognised_across_and_within_batches(world: World) {
    let (tenant, webhook) = world.lane().await;
    // Both kinds of id: those that start with the time, and those that do not.
    for id in ["order-1", "01890a5d-ac96-774b-bcce-b302099a8057"] {
        let first = world.record(tenant, event(id), &[webhook], at(1)).await;
        let accepted_at = first.accepted_at;
        let batch = vec![new("fresh", &[webhook]), new(id, &[webhook]), new("fresh", &[webhook])];
        let again = world.store.record_events(tenant, batch, at(2)).await.expect("recorded");
        assert!(again[1].duplicate && again[2].duplicate);
        assert_eq!((again[1].key, again[1].accepted_at), (first.key, accepted_at));
        assert_eq!(again[1].first_delivery, first.first_delivery);
        assert_eq!((again[2].key, again[2].first_delivery), (again[0].key, again[0].first_delivery));
    }
    assert_eq!(world.claim(webhook, 100, at(9)).await.len(), 3);
    // A publisher that names no time does not tell another fact by it.
    let mut timeless = event("timeless");
    timeless.occurred_at_given = false;
    timeless.body = r#"{"id":"timeless","timestamp":"2026-01-01T00:00:00Z"}"#.into();
    let first = world.record(tenant, timeless.clone(), &[], at(3)).await;
    timeless.body = r#"{"timestamp":"2026-01-01T00:00:09Z", "id":"timeless"}"#.into();
    let again = world.record(tenant, timeless, &[], at(4)).await;
    assert!(again.duplicate && again.key == first.key);
}

pub(crate) async fn a_conflict_records_nothing_of_the_batch(world: World) {
    let (tenant, webhook) = world.lane().await;
    world.record(tenant, event("taken"), &[webhook], at(1)).await;
    let other =
        |id| NewEvent { event: event_about(id, "ticket.updated", "T-2").into(), deliveries: due(&[webhook]) };
    let across = vec![new("x", &[webhook]), other("taken")];
    let within = vec![new("x", &[webhook]), new("y", &[webhook]), other("y")];
    for (batch, index) in [(across, 1), (within, 2)] {
        let refused = world.store.record_events(tenant, batch, at(2)).await;
        assert_eq!(refused, Err(RecordError::Conflict(index)));
    }
    assert_eq!(world.store.event(tenant, &event("x").id).await, Ok(None));
    assert_eq!(world.claim(webhook, 100, at(9)).await.len(), 1);
    let next = world.record(tenant, event("z"), &[webhook], at(3)).await;
    assert_eq!(next.key, EventKey(2), "what was refused used up no key");
}

pub(crate) async fn another_tenant_may_use_the_same_id(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    for id in ["order-1", "01890a5d-ac96-774b-bcce-b302099a8057"] {
        let ours = world.record(acme, event(id), &[], at(1)).await;
        let theirs = world.record(other, event_about(id, "order.paid", "O-1"), &[], at(1)).await;
        assert!(!theirs.duplicate && ours.key != theirs.key);
        let stored = world.store.event(acme, &event(id).id).await.expect("no error").expect("the event");
        assert_eq!(stored.key, ours.key);
    }
}

pub(crate) async fn acceptance_never_runs_backwards(mut world: World) {
    let tenant = world.tenant("acme").await;
    assert_eq!(world.record(tenant, event("a"), &[], at(10)).await.accepted_at, at(10));
    assert_eq!(world.record(tenant, event("b"), &[], at(5)).await.accepted_at, at(10));
    world.restart().await;
    assert_eq!(world.record(tenant, event("c"), &[], at(7)).await.accepted_at, at(10));
}

pub(crate) async fn keys_go_on_after_a_restart(mut world: World) {
    let (tenant, webhook) = world.lane().await;
    let before = world.record(tenant, event("a"), &[webhook, webhook], at(1)).await;
    world.restart().await;
    let after = world.record(tenant, event("b"), &[webhook], at(2)).await;
    assert_eq!(after.key.0, before.key.0 + 1);
    assert_eq!(after.first_delivery, nth(&before, 2));
}

pub(crate) async fn large_bodies_survive(world: World) {
    let tenant = world.tenant("acme").await;
    let mut large = event("large");
    large.body = vec![b'x'; 256 * 1024].into();
    world.record(tenant, large.clone(), &[], at(1)).await;
    let stored = world.store.event(tenant, &large.id).await.expect("no error").expect("the event");
    assert_eq!(stored.body, large.body);
}

/// An event that says how many of ticket `ticket` there are.
pub(crate) fn counted(id: &str, ticket: &str, quantity: i64) -> Event {
    Event { quantity: Some(quantity), ..event_about(id, "ticket.updated", ticket) }
}

pub(crate) async fn quantities_are_compared_with_the_last_that_was_published(mut world: World) {
    let (tenant, webhook) = world.lane().await;
    let other = world.tenant("other").await;
    let record = async |world: &World, tenant, event| world.record(tenant, event, &[webhook], at(1)).await;
    assert_eq!(record(&world, tenant, counted("a", "T-1", 100)).await.quantity_diff, None);
    assert_eq!(record(&world, tenant, counted("b", "T-1", 80)).await.quantity_diff, Some(-20));
    assert_eq!(record(&world, other, counted("b", "T-1", 7)).await.quantity_diff, None);
    assert_eq!(record(&world, tenant, counted("c", "T-2", 5)).await.quantity_diff, None);
    // An event that tells no quantity leaves the last one standing, and so does
    // one that was published before.
    assert_eq!(record(&world, tenant, event("none")).await.quantity_diff, None);
    assert!(record(&world, tenant, counted("a", "T-1", 100)).await.duplicate);
    let batch = [counted("d", "T-1", 90), counted("e", "T-1", 90), counted("f", "T-1", 0)];
    let batch = batch.map(|event| NewEvent { event: event.into(), deliveries: due(&[webhook]) }).to_vec();
    let recorded = world.store.record_events(tenant, batch, at(2)).await.expect("recorded");
    let diffs: Vec<_> = recorded.iter().map(|event| event.quantity_diff).collect();
    assert_eq!(diffs, [Some(10), Some(0), Some(-90)]);

    world.restart().await;
    assert_eq!(record(&world, tenant, counted("g", "T-1", 1)).await.quantity_diff, Some(1));
    let extreme = record(&world, tenant, counted("h", "T-1", i64::MIN)).await;
    assert_eq!((extreme.quantity_diff, extreme.duplicate), (None, false));
    // What is claimed or looked up later knows it too.
    let stored = world.store.event(tenant, &event("b").id).await.expect("no error").expect("the event");
    assert_eq!(stored.quantity_diff, Some(-20));
    let claimed = world.claim(webhook, 100, at(9)).await;
    let claimed = claimed.iter().find(|claimed| claimed.event.id.as_str() == "f").expect("a claim");
    assert_eq!(claimed.event.quantity_diff, Some(-90));
}

pub(crate) async fn quantities_of_a_refused_batch_are_not_remembered(world: World) {
    let (tenant, _) = world.lane().await;
    world.record(tenant, counted("a", "T-1", 10), &[], at(1)).await;
    let batch = [counted("b", "T-1", 50), counted("a", "T-1", 60)];
    let batch = batch.map(|event| NewEvent { event: event.into(), deliveries: vec![] }).to_vec();
    let mut conflicting = batch;
    conflicting[1].event = Event { body: "{}".into(), ..counted("a", "T-1", 60) }.into();
    let refused = world.store.record_events(tenant, conflicting, at(2)).await;
    assert_eq!(refused, Err(RecordError::Conflict(1)));
    let next = world.record(tenant, counted("c", "T-1", 12), &[], at(3)).await;
    assert_eq!(next.quantity_diff, Some(2));
}
