//! Leases: who has which delivery in its hands.

use callboard_domain::delivery::{Outcome, State};
use callboard_domain::store::{ClaimRequest, NewEvent};

use crate::world::{World, at, attempt, event, leased, nth};

pub(crate) async fn what_is_due_is_claimed_once_and_oldest_first(world: World) {
    let (tenant, webhook) = world.lane().await;
    let (a, b) = (event("a"), event("b"));
    let later = world.record(tenant, a, &[webhook], at(1)).await;
    let sooner = world.record(tenant, b, &[webhook], at(1)).await;
    world.finish(attempt(&later, 0, webhook, 1, Outcome::Retry(at(30)), at(2))).await;
    world.finish(attempt(&sooner, 0, webhook, 1, Outcome::Retry(at(20)), at(2))).await;
    assert!(world.claim(webhook, 10, at(19)).await.is_empty());

    let request = vec![ClaimRequest { webhook, limit: 1, alone: false }];
    let claims = world.store.claim_due(request, at(40), usize::MAX).await.expect("a claim");
    assert_eq!(claims[0].deliveries.len(), 1);
    let claimed = &claims[0].deliveries[0];
    assert_eq!((claimed.delivery, claimed.attempts, claimed.tries), (nth(&sooner, 0), 1, 1));
    assert_eq!(claimed.event.body, event("b").body);
    assert_eq!(claims[0].next_due, Some(at(30)));

    let rest = world.claim(webhook, 10, at(40)).await;
    assert_eq!(rest.iter().map(|one| one.delivery).collect::<Vec<_>>(), [nth(&later, 0)]);
    assert!(world.claim(webhook, 10, at(99)).await.is_empty());
    let summary = world.delivery(tenant, nth(&later, 0)).await.0;
    assert_eq!((summary.state, summary.next_attempt_at), (State::Waiting, None));
}

pub(crate) async fn leased_at_birth_is_not_claimed(world: World) {
    let (tenant, webhook) = world.lane().await;
    let new = NewEvent { event: event("a").into(), deliveries: leased(webhook) };
    let recorded = world.store.record_events(tenant, vec![new], at(1)).await.expect("recorded");
    assert!(world.claim(webhook, 10, at(99)).await.is_empty());
    assert_eq!(world.state(tenant, nth(&recorded[0], 0)).await, State::Pending);
    world.finish(attempt(&recorded[0], 0, webhook, 1, Outcome::Delivered, at(2))).await;
    assert_eq!(world.state(tenant, nth(&recorded[0], 0)).await, State::Delivered);
}

pub(crate) async fn bodies_bound_a_claim(world: World) {
    let (tenant, one) = world.lane().await;
    let two = world.webhook(tenant).await.key;
    for id in ["a", "b", "c"] {
        let mut large = event(id);
        large.body = vec![b'x'; 1_000].into();
        world.record(tenant, large, &[one, two], at(1)).await;
    }
    let lanes = || [one, two].map(|webhook| ClaimRequest { webhook, limit: 10, alone: false }).to_vec();
    let claims = world.store.claim_due(lanes(), at(2), 1_500).await.expect("a claim");
    let counts: Vec<_> = claims.iter().map(|claim| claim.deliveries.len()).collect();
    assert_eq!(counts, [1, 1], "an event shared by lanes counts once");
    assert_eq!(claims[0].next_due, Some(at(1)));
    let claims = world.store.claim_due(lanes(), at(2), 0).await.expect("a claim");
    assert!(claims.iter().all(|claim| claim.deliveries.len() == 1), "nobody starves");
    let claims = world.store.claim_due(lanes(), at(2), 1_000).await.expect("a claim");
    assert!(claims.iter().all(|claim| claim.deliveries.len() == 1 && claim.next_due.is_none()));
}

pub(crate) async fn released_deliveries_are_due_again(world: World) {
    let (tenant, webhook) = world.lane().await;
    let recorded = world.record(tenant, event("a"), &[webhook], at(1)).await;
    assert_eq!(world.claim(webhook, 10, at(2)).await.len(), 1);
    world.store.release(vec![nth(&recorded, 0), nth(&recorded, 7)], at(3)).await.expect("released");
    let summary = world.delivery(tenant, nth(&recorded, 0)).await.0;
    assert_eq!((summary.state, summary.next_attempt_at, summary.attempts), (State::Pending, Some(at(3)), 0));
    assert_eq!(world.claim(webhook, 10, at(3)).await.len(), 1);
}

pub(crate) async fn leases_end_with_the_process(mut world: World) {
    let (tenant, webhook) = world.lane().await;
    let other = world.webhook(tenant).await.key;
    let waiting = world.record(tenant, event("a"), &[webhook, other], at(1)).await;
    world.finish(attempt(&waiting, 0, webhook, 1, Outcome::Retry(at(50)), at(2))).await;
    world.record(tenant, event("b"), &[webhook, other], at(1)).await;
    assert_eq!(world.claim(webhook, 10, at(2)).await.len(), 1);
    assert_eq!(world.claim(other, 1, at(2)).await.len(), 1);
    world.restart().await;
    assert_eq!(world.claim(webhook, 10, at(3)).await.len(), 1, "only what was leased is due");
    assert_eq!(world.claim(other, 10, at(3)).await.len(), 2);
}

pub(crate) async fn waiting_lanes_name_the_earliest(world: World) {
    let (tenant, one) = world.lane().await;
    let (two, three) = (world.webhook(tenant).await.key, world.webhook(tenant).await.key);
    assert_eq!(world.store.waiting_lanes().await, Ok(vec![]));
    let recorded = world.record(tenant, event("a"), &[one, three], at(1)).await;
    world.finish(attempt(&recorded, 0, one, 1, Outcome::Retry(at(60)), at(2))).await;
    world.record(tenant, event("b"), &[one, two, three], at(4)).await;
    assert_eq!(world.claim(two, 10, at(9)).await.len(), 1);
    let mut lanes = world.store.waiting_lanes().await.expect("lanes");
    lanes.sort_unstable();
    assert_eq!(lanes, [(one, at(4)), (three, at(1))]);
}
