//! What people do to single deliveries.

use callboard_domain::delivery::{Cause, MAX_ATTEMPTS, Outcome, State};
use callboard_domain::id::DeliveryKey;
use callboard_domain::store::{ByHand, DeliveryFilter};

use crate::world::{World, at, attempt, by, event, nth};

pub(crate) async fn a_retry_by_hand_has_its_whole_schedule_before_it(world: World) {
    let (tenant, webhook) = world.lane().await;
    let outcomes = [Outcome::GivenUp, Outcome::Delivered, Outcome::Superseded, Outcome::Retry(at(500))];
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let recorded = world.ended((tenant, webhook), event(&format!("e{index}")), outcome, at(1)).await;
        let key = nth(&recorded, 0);
        let retry = || world.store.retry_delivery(tenant, key, by(9));
        assert_eq!(retry().await, Ok(Some(ByHand::Done(webhook))));
        assert_eq!(retry().await, Ok(Some(ByHand::NotInState(State::Pending))));
        let summary = world.delivery(tenant, key).await.0;
        assert_eq!((summary.state, summary.next_attempt_at), (State::Pending, Some(at(9))));
        let claimed = world.claim(webhook, 10, at(9)).await;
        assert_eq!((claimed.len(), claimed[0].attempts, claimed[0].tries), (1, 1, 0));
        let filter = DeliveryFilter { states: vec![State::Failed], ..DeliveryFilter::default() };
        assert!(world.deliveries(webhook, &filter, 10).await.is_empty());
        world.finish(attempt(&recorded, 0, webhook, 2, Outcome::GivenUp, at(10))).await;
        assert_eq!(world.deliveries(webhook, &filter, 10).await, [key]);
        world.store.retry_delivery(tenant, key, by(11)).await.expect("no error");
        world.finish(attempt(&recorded, 0, webhook, 3, Outcome::Delivered, at(12))).await;
    }
}

pub(crate) async fn never_attempted_or_on_its_way_is_not_retried(world: World) {
    let (tenant, webhook) = world.lane().await;
    let recorded = world.record(tenant, event("a"), &[webhook], at(1)).await;
    let retry = || world.store.retry_delivery(tenant, nth(&recorded, 0), by(5));
    assert_eq!(retry().await, Ok(Some(ByHand::NotInState(State::Pending))));
    world.claim(webhook, 1, at(2)).await;
    assert_eq!(retry().await, Ok(Some(ByHand::OnItsWay)));
    world.finish(attempt(&recorded, 0, webhook, 1, Outcome::Retry(at(3)), at(2))).await;
    world.claim(webhook, 1, at(3)).await;
    assert_eq!(retry().await, Ok(Some(ByHand::OnItsWay)));
}

pub(crate) async fn too_many_attempts_are_refused(world: World) {
    let (tenant, webhook) = world.lane().await;
    let recorded = world.record(tenant, event("a"), &[webhook], at(1)).await;
    for number in 1..=MAX_ATTEMPTS {
        let outcome = if number < MAX_ATTEMPTS { Outcome::Retry(at(3)) } else { Outcome::GivenUp };
        world.finish(attempt(&recorded, 0, webhook, number, outcome, at(2))).await;
    }
    let refused = world.store.retry_delivery(tenant, nth(&recorded, 0), by(5)).await;
    assert_eq!(refused, Ok(Some(ByHand::Exhausted)));
    let job = world.store.create_retry_job(tenant, webhook, None, None, by(6)).await.expect("a job");
    let job = world.store.advance_job(job.key, 10, at(7)).await.expect("no error").expect("the job");
    assert_eq!((job.total, job.done), (Some(1), 0));
    assert_eq!(world.delivery(tenant, nth(&recorded, 0)).await.1.len(), 1_000);
}

pub(crate) async fn calling_off_leaves_a_trace(world: World) {
    let (tenant, webhook) = world.lane().await;
    let fresh = world.record(tenant, event("a"), &[webhook], at(1)).await;
    let tried = world.ended((tenant, webhook), event("b"), Outcome::Retry(at(50)), at(1)).await;
    for (recorded, attempts) in [(&fresh, 1), (&tried, 2)] {
        let cancel = || world.store.cancel_delivery(tenant, nth(recorded, 0), by(5));
        assert_eq!(cancel().await, Ok(Some(ByHand::Done(webhook))));
        let (summary, log) = world.delivery(tenant, nth(recorded, 0)).await;
        assert_eq!((summary.state, summary.attempts), (State::Cancelled, attempts));
        let last = log.last().expect("a trace");
        assert_eq!((last.state, last.cause, last.status), (State::Cancelled, Some(Cause::Cancelled), None));
        assert_eq!(last.started_at, at(5));
        assert_eq!(cancel().await, Ok(Some(ByHand::NotInState(State::Cancelled))));
    }
    assert!(world.claim(webhook, 10, at(99)).await.is_empty());
    let done = world.ended((tenant, webhook), event("c"), Outcome::Delivered, at(1)).await;
    let refused = world.store.cancel_delivery(tenant, nth(&done, 0), by(5)).await;
    assert_eq!(refused, Ok(Some(ByHand::NotInState(State::Delivered))));
}

pub(crate) async fn deliveries_of_other_tenants_are_not_there(world: World) {
    let lane = world.lane().await;
    let stranger = world.tenant("other").await;
    let recorded = world.ended(lane, event("a"), Outcome::GivenUp, at(1)).await;
    for key in [nth(&recorded, 0), nth(&recorded, 1), DeliveryKey(i64::MAX), DeliveryKey(0)] {
        assert_eq!(world.store.delivery(stranger, key).await, Ok(None));
        assert_eq!(world.store.retry_delivery(stranger, key, by(2)).await, Ok(None));
        assert_eq!(world.store.cancel_delivery(stranger, key, by(2)).await, Ok(None));
    }
    assert_eq!(world.state(lane.0, nth(&recorded, 0)).await, State::Failed);
}

pub(crate) async fn what_waits_for_a_deleted_webhook_is_called_off(world: World) {
    let tenant = world.tenant("acme").await;
    let (doomed, kept) = (world.webhook(tenant).await, world.webhook(tenant).await.key);
    let mut recorded = Vec::new();
    for id in ["a", "b", "c"] {
        recorded.push(world.record(tenant, event(id), &[doomed.key, kept], at(1)).await);
    }
    world.claim(doomed.key, 1, at(1)).await;
    assert_eq!(world.store.cancel_orphans(10, at(2)).await.expect("no error").rows, 0);
    world.store.delete_webhook(tenant, doomed.id, by(2)).await.expect("no error").expect("deleted");
    // One that was being recorded meanwhile is an orphan too.
    recorded.push(world.record(tenant, event("d"), &[doomed.key], at(3)).await);
    let first = world.store.cancel_orphans(3, at(4)).await.expect("no error");
    assert_eq!((first.rows, first.more), (3, true));
    let second = world.store.cancel_orphans(3, at(4)).await.expect("no error");
    assert_eq!((second.rows, second.more), (1, false));
    for one in &recorded {
        assert_eq!(world.state(tenant, nth(one, 0)).await, State::Cancelled);
    }
    assert_eq!(world.claim(kept, 10, at(5)).await.len(), 3);
    world.finish(attempt(&recorded[0], 0, doomed.key, 1, Outcome::Retry(at(9)), at(3))).await;
    assert_eq!(world.state(tenant, nth(&recorded[0], 0)).await, State::Cancelled);
}
