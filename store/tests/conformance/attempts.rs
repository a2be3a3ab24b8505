//! Writing attempts down, also when they come late.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::delivery::{AttemptDetail, Cause, Outcome, State, Timings};
use callboard_domain::store::ByHand;

use crate::world::{World, at, attempt, by, event, nth};

pub(crate) async fn a_delivery_goes_through_its_states(world: World) {
    let (tenant, webhook) = world.lane().await;
    let recorded = world.record(tenant, event("a"), &[webhook], at(1)).await;
    let key = nth(&recorded, 0);
    let summary = world.delivery(tenant, key).await.0;
    assert_eq!((summary.state, summary.attempts, summary.last_attempt), (State::Pending, 0, None));
    assert_eq!((summary.event, summary.event_id), (recorded.key, event("a").id));
    assert_eq!((summary.created_at, summary.next_attempt_at), (at(1), Some(at(1))));

    world.finish(attempt(&recorded, 0, webhook, 1, Outcome::Retry(at(30)), at(2))).await;
    let (summary, attempts) = world.delivery(tenant, key).await;
    assert_eq!((summary.state, summary.attempts), (State::Waiting, 1));
    assert_eq!(summary.next_attempt_at, Some(at(30)));
    assert_eq!(summary.last_attempt, attempts.last().cloned());

    world.finish(attempt(&recorded, 0, webhook, 2, Outcome::GivenUp, at(30))).await;
    let (summary, attempts) = world.delivery(tenant, key).await;
    assert_eq!((summary.state, summary.attempts, summary.next_attempt_at), (State::Failed, 2, None));
    let told: Vec<_> = attempts.iter().map(|one| (one.number, one.state, one.status, one.cause)).collect();
    let cause = Some(Cause::Status);
    assert_eq!(told, [(1, State::Waiting, Some(503), cause), (2, State::Failed, Some(503), cause)]);
}

pub(crate) async fn finishing_twice_changes_nothing(world: World) {
    let (tenant, webhook) = world.lane().await;
    for (id, outcome) in [("a", Outcome::Retry(at(30))), ("b", Outcome::GivenUp), ("c", Outcome::Delivered)] {
        let recorded = world.record(tenant, event(id), &[webhook], at(1)).await;
        let finished = attempt(&recorded, 0, webhook, 1, outcome, at(2));
        world.finish(finished.clone()).await;
        let before = world.delivery(tenant, nth(&recorded, 0)).await;
        world
            .store
            .finish_attempts(Arc::new(vec![finished.clone(), finished]), at(9))
            .await
            .expect("no error");
        assert_eq!(world.delivery(tenant, nth(&recorded, 0)).await, before);
    }
    let stats = world.store.webhook_stats(webhook, at(0)).await.expect("statistics");
    assert_eq!(stats.buckets[0].latencies.iter().sum::<u64>(), 3);
}

pub(crate) async fn details_survive(world: World) {
    let (tenant, webhook) = world.lane().await;
    let recorded = world.record(tenant, event("a"), &[webhook], at(1)).await;
    let mut finished = attempt(&recorded, 0, webhook, 1, Outcome::GivenUp, at(2));
    finished.detail = AttemptDetail {
        message: "it said \"no\"".to_owned(),
        peer: Some("192.0.2.1:443".to_owned()),
        timings: Timings { dns_us: 1, connect_us: 2, tls_us: 3, exchange_us: 4 },
        answer_headers: vec![("x-reason".to_owned(), "é".to_owned())],
        answer_body: "{}\u{0}\u{fffd}".to_owned(),
        answer_cut: true,
    };
    world.finish(finished.clone()).await;
    let logged = world.delivery(tenant, nth(&recorded, 0)).await.1.remove(0);
    assert_eq!(logged.detail, finished.detail);
    assert_eq!((logged.started_at, logged.duration), (at(2), Duration::from_micros(40_001)));
}

pub(crate) async fn what_was_called_off_stays_so_unless_it_was_delivered(world: World) {
    let (tenant, webhook) = world.lane().await;
    let outcomes = [
        ("a", Outcome::Retry(at(30)), State::Cancelled),
        ("b", Outcome::GivenUp, State::Cancelled),
        ("c", Outcome::Delivered, State::Delivered),
    ];
    for (id, outcome, state) in outcomes {
        let recorded = world.record(tenant, event(id), &[webhook], at(1)).await;
        let key = nth(&recorded, 0);
        assert_eq!(world.claim(webhook, 10, at(1)).await.len(), 1);
        let done = world.store.cancel_delivery(tenant, key, by(2)).await;
        assert_eq!(done, Ok(Some(ByHand::Done(webhook))));
        assert_eq!(world.state(tenant, key).await, State::Cancelled);
        for _ in 0..2 {
            world.finish(attempt(&recorded, 0, webhook, 1, outcome, at(2))).await;
            let (summary, attempts) = world.delivery(tenant, key).await;
            assert_eq!((summary.state, summary.attempts, summary.next_attempt_at), (state, 1, None));
            assert_eq!((attempts.len(), attempts[0].status.is_some()), (1, true));
        }
        assert!(world.claim(webhook, 10, at(99)).await.is_empty());
    }
}

pub(crate) async fn a_late_answer_leaves_a_new_life_alone(world: World) {
    let (tenant, webhook) = world.lane().await;
    let recorded = world.record(tenant, event("a"), &[webhook], at(1)).await;
    let key = nth(&recorded, 0);
    assert_eq!(world.claim(webhook, 10, at(1)).await.len(), 1);
    world.store.cancel_delivery(tenant, key, by(2)).await.expect("no error");
    let revived = world.store.retry_delivery(tenant, key, by(3)).await;
    assert_eq!(revived, Ok(Some(ByHand::Done(webhook))));
    world.finish(attempt(&recorded, 0, webhook, 1, Outcome::Delivered, at(4))).await;
    let (summary, attempts) = world.delivery(tenant, key).await;
    assert_eq!((summary.state, summary.attempts), (State::Pending, 1));
    assert_eq!(attempts[0].state, State::Delivered, "what arrived is written down");
    let again = world.claim(webhook, 10, at(5)).await;
    assert_eq!((again.len(), again[0].attempts, again[0].tries), (1, 1, 0));
    world.finish(attempt(&recorded, 0, webhook, 2, Outcome::Delivered, at(6))).await;
    assert_eq!(world.state(tenant, key).await, State::Delivered);
}

pub(crate) async fn superseded_without_an_attempt(world: World) {
    let (tenant, webhook) = world.lane().await;
    let recorded = world.record(tenant, event("a"), &[webhook], at(1)).await;
    let mut skipped = attempt(&recorded, 0, webhook, 1, Outcome::Superseded, at(2));
    skipped.status = None;
    world.finish(skipped).await;
    assert_eq!(world.state(tenant, nth(&recorded, 0)).await, State::Superseded);
    let stats = world.store.webhook_stats(webhook, at(0)).await.expect("statistics");
    assert!(stats.buckets.is_empty(), "nothing was sent");
    let retried = world.store.retry_delivery(tenant, nth(&recorded, 0), by(3)).await;
    assert_eq!(retried, Ok(Some(ByHand::Done(webhook))));
}
