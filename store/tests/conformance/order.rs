//! Deliveries about one subject, in the order of acceptance: at most one at a
//! time, and none is forgotten.

use std::collections::HashMap;

use callboard_domain::delivery::{Cause, Outcome, State};
use callboard_domain::event::Event;
use callboard_domain::id::{DeliveryKey, TenantKey, WebhookKey};
use callboard_domain::store::{ByHand, Claimed};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::world::{World, at, attempt_at, by, event_about, nth, rng};

fn about(id: &str, subject: &str) -> Event {
    event_about(id, "ticket.updated", subject)
}

fn ids(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|claimed| claimed.event.id.as_str()).collect()
}

async fn end(world: &World, webhook: WebhookKey, claimed: &Claimed, outcome: Outcome, second: i64) -> bool {
    let (delivery, number) = (claimed.delivery, claimed.attempts + 1);
    world.finish(attempt_at(delivery, claimed.event.key, webhook, number, outcome, at(second))).await
}

pub(crate) async fn the_next_about_a_subject_goes_when_the_one_before_is_over(world: World) {
    let lane = world.ordered_lane().await;
    let record = async |id: &str, subject: &str, leased| {
        world.record_in_order(lane, about(id, subject), (leased, false), at(1)).await
    };
    let (first, behind) = record("a1", "A", true).await;
    assert!(!behind, "nobody is before it");
    assert!(record("a2", "A", true).await.1 && record("a3", "A", false).await.1);
    assert!(!record("b1", "B", false).await.1, "another subject waits for nobody");
    let claimed = world.claim(lane.1, 100, at(2)).await;
    assert_eq!(ids(&claimed), ["b1"]);
    let summary = world.delivery(lane.0, nth(&first, 1)).await.0;
    assert_eq!((summary.state, summary.next_attempt_at), (State::Pending, None));
    // The outcome of the first one, and only then the next.
    let over = attempt_at(nth(&first, 0), first.key, lane.1, 1, Outcome::Delivered, at(3));
    assert!(world.finish(over).await, "something is due now");
    let claimed = world.claim(lane.1, 100, at(3)).await;
    assert_eq!(ids(&claimed), ["a2"]);
    assert!(end(&world, lane.1, &claimed[0], Outcome::GivenUp, 4).await);
    let claimed = world.claim(lane.1, 100, at(4)).await;
    assert_eq!(ids(&claimed), ["a3"]);
    assert!(!end(&world, lane.1, &claimed[0], Outcome::Delivered, 5).await, "nobody is left");
    assert!(!record("a4", "A", true).await.1);
}

pub(crate) async fn a_retry_keeps_its_place_and_so_does_a_restart(mut world: World) {
    let lane = world.ordered_lane().await;
    for id in ["a1", "a2"] {
        world.record_in_order(lane, about(id, "A"), (false, false), at(1)).await;
    }
    let claimed = world.claim(lane.1, 100, at(1)).await;
    assert_eq!(ids(&claimed), ["a1"]);
    assert!(!end(&world, lane.1, &claimed[0], Outcome::Retry(at(50)), 2).await);
    assert!(world.claim(lane.1, 100, at(49)).await.is_empty(), "it waits, and so does what is behind it");
    let claimed = world.claim(lane.1, 100, at(50)).await;
    assert_eq!(ids(&claimed), ["a1"]);
    world.restart().await;
    let claimed = world.claim(lane.1, 100, at(51)).await;
    assert_eq!(ids(&claimed), ["a1"], "the lease ended, the order did not");
    assert!(end(&world, lane.1, &claimed[0], Outcome::Delivered, 52).await);
    world.restart().await;
    assert_eq!(ids(&world.claim(lane.1, 100, at(53)).await), ["a2"]);
}

pub(crate) async fn one_that_is_retried_by_hand_goes_before_what_waits_and_beside_nothing(world: World) {
    let lane = world.ordered_lane().await;
    let mut recorded = Vec::new();
    for id in ["a1", "a2", "a3"] {
        recorded.push(world.record_in_order(lane, about(id, "A"), (false, false), at(1)).await.0);
    }
    let claimed = world.claim(lane.1, 100, at(1)).await;
    end(&world, lane.1, &claimed[0], Outcome::GivenUp, 2).await;
    let second = world.claim(lane.1, 100, at(2)).await;
    assert_eq!(ids(&second), ["a2"]);
    let retried = world.store.retry_delivery(lane.0, nth(&recorded[0], 0), by(3)).await;
    assert_eq!(retried, Ok(Some(ByHand::Done(lane.1))));
    assert!(world.claim(lane.1, 100, at(3)).await.is_empty(), "a2 is on its way");
    assert!(end(&world, lane.1, &second[0], Outcome::Delivered, 4).await);
    let claimed = world.claim(lane.1, 100, at(4)).await;
    assert_eq!(ids(&claimed), ["a1"]);
    assert!(end(&world, lane.1, &claimed[0], Outcome::Delivered, 5).await);
    assert_eq!(ids(&world.claim(lane.1, 100, at(5)).await), ["a3"]);
}

pub(crate) async fn calling_off_and_retention_let_the_next_go(world: World) {
    let lane = world.ordered_lane().await;
    let mut recorded = Vec::new();
    for (second, id) in ["a1", "a2", "a3", "a4"].into_iter().enumerate() {
        let now = at(i64::try_from(second).expect("small"));
        recorded.push(world.record_in_order(lane, about(id, "A"), (false, false), now).await.0);
    }
    let cancel =
        async |index: usize| world.store.cancel_delivery(lane.0, nth(&recorded[index], 0), by(5)).await;
    assert_eq!(cancel(1).await, Ok(Some(ByHand::Done(lane.1))), "from the middle");
    assert_eq!(cancel(0).await, Ok(Some(ByHand::Done(lane.1))), "and the first");
    // a3 may go now; it gets too old first.
    world.store.prune(at(1_003), 1_000, 100).await.expect("pruned");
    assert_eq!(ids(&world.claim(lane.1, 100, at(1_003)).await), ["a4"]);
}

pub(crate) async fn what_is_on_its_way_in_order_is_not_called_off(world: World) {
    let lane = world.ordered_lane().await;
    let (first, _) = world.record_in_order(lane, about("a1", "A"), (true, false), at(1)).await;
    world.record_in_order(lane, about("a2", "A"), (true, false), at(1)).await;
    let cancel = async || world.store.cancel_delivery(lane.0, nth(&first, 0), by(2)).await;
    assert_eq!(cancel().await, Ok(Some(ByHand::OnItsWay)));
    world.store.release(vec![nth(&first, 0)], at(2)).await.expect("released");
    assert_eq!(cancel().await, Ok(Some(ByHand::Done(lane.1))));
    assert_eq!(ids(&world.claim(lane.1, 100, at(2)).await), ["a2"]);
}

pub(crate) async fn updates_that_are_out_of_date_are_superseded(world: World) {
    let lane = world.ordered_lane().await;
    let record = async |id: &str, collapses| {
        world.record_in_order(lane, about(id, "A"), (false, collapses), at(1)).await.0
    };
    let first = record("u1", true).await;
    let claimed = world.claim(lane.1, 100, at(1)).await;
    assert_eq!(ids(&claimed), ["u1"], "it is the latest yet");
    let (second, created, third) =
        (record("u2", true).await, record("other", false).await, record("u3", true).await);
    assert!(end(&world, lane.1, &claimed[0], Outcome::Delivered, 2).await);
    let claimed = world.claim(lane.1, 100, at(2)).await;
    assert_eq!(ids(&claimed), ["other"], "only updates are skipped");
    assert_eq!(world.state(lane.0, nth(&second, 0)).await, State::Superseded);
    let log = world.delivery(lane.0, nth(&second, 0)).await.1;
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].cause, log[0].detail.message.is_empty()), (Some(Cause::Superseded), false));
    assert!(end(&world, lane.1, &claimed[0], Outcome::Delivered, 3).await);
    let claimed = world.claim(lane.1, 100, at(3)).await;
    assert_eq!(ids(&claimed), ["u3"]);
    // One that waits for its retry is out of date as well when a newer comes.
    assert!(!end(&world, lane.1, &claimed[0], Outcome::Retry(at(60)), 4).await);
    record("u4", true).await;
    assert!(world.claim(lane.1, 100, at(60)).await.is_empty(), "skipped, and the next is due");
    assert_eq!(world.state(lane.0, nth(&third, 0)).await, State::Superseded);
    assert_eq!(ids(&world.claim(lane.1, 100, at(60)).await), ["u4"]);
    assert_eq!(world.state(lane.0, nth(&first, 0)).await, State::Delivered);
    assert_eq!(world.state(lane.0, nth(&created, 0)).await, State::Delivered);
}

pub(crate) async fn many_superseded_updates_are_skipped_in_steps(world: World) {
    let lane = world.ordered_lane().await;
    let (_, _) = world.record_in_order(lane, about("first", "A"), (true, false), at(1)).await;
    for number in 0..600 {
        world.record_in_order(lane, about(&format!("u{number}"), "A"), (true, true), at(1)).await;
    }
    let first = world.store.event(lane.0, &about("first", "A").id).await.expect("no error").expect("it");
    let delivery =
        world.store.deliveries_of_event(first.key, callboard_domain::store::Page { limit: 1, after: None });
    let delivery = delivery.await.expect("a list").items[0].key;
    assert!(world.finish(attempt_at(delivery, first.key, lane.1, 1, Outcome::Delivered, at(2))).await);
    let mut claimed = Vec::new();
    for _ in 0..10 {
        claimed.extend(world.claim(lane.1, 100, at(3)).await);
    }
    assert_eq!(ids(&claimed), ["u599"]);
}

/// What a test knows of a delivery.
struct Known {
    delivery: DeliveryKey,
    subject: usize,
    on_its_way: Option<Claimed>,
}

/// Walks at random through everything that may happen, and looks at each step
/// whether two deliveries of one subject are on their way; in the end nothing
/// may be left behind.
async fn walk(world: &mut World, lane: (TenantKey, WebhookKey), seed: u64) {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut known: HashMap<String, Known> = HashMap::new();
    let mut delivered: HashMap<usize, Vec<DeliveryKey>> = HashMap::new();
    let mut by_hand = false;
    let mut now = 10;
    for step in 0..120 {
        now += 1;
        let all: Vec<String> = known.keys().cloned().collect();
        let some = (!all.is_empty()).then(|| all[chance.random_range(0..all.len())].clone());
        match (chance.random_range(0..12_u8), some) {
            (0..=3, _) => {
                let (id, subject) = (format!("s{seed}-{step}"), chance.random_range(0..3_usize));
                let event = about(&id, &format!("subject-{seed}-{subject}"));
                let leased = chance.next_u32() % 2 == 0;
                let (recorded, behind) = world.record_in_order(lane, event, (leased, false), at(now)).await;
                let delivery = nth(&recorded, 0);
                let event =
                    world.store.event(lane.0, &id.parse().expect("an id")).await.expect("ok").expect("it");
                let held = leased && !behind;
                let claimed = Claimed { delivery, attempts: 0, tries: 0, event: event.into() };
                known.insert(id, Known { delivery, subject, on_its_way: held.then_some(claimed) });
            }
            (4..=6, _) => {
                for claimed in world.claim(lane.1, 2, at(now)).await {
                    let id = claimed.event.id.to_string();
                    known.get_mut(&id).expect("a known one").on_its_way = Some(claimed);
                }
            }
            (7..=8, Some(id)) => {
                let one = known.get_mut(&id).expect("it");
                if let Some(claimed) = one.on_its_way.take() {
                    let outcome = match chance.random_range(0..3_u8) {
                        0 => Outcome::Retry(at(now + 5)),
                        1 => Outcome::GivenUp,
                        _ => Outcome::Delivered,
                    };
                    if outcome == Outcome::Delivered {
                        delivered.entry(one.subject).or_default().push(one.delivery);
                    }
                    end(world, lane.1, &claimed, outcome, now).await;
                }
            }
            (9, Some(id)) => {
                let done =
                    world.store.retry_delivery(lane.0, known[&id].delivery, by(now)).await.expect("ok");
                by_hand |= matches!(done, Some(ByHand::Done(_)));
            }
            (10, Some(id)) => {
                let done =
                    world.store.cancel_delivery(lane.0, known[&id].delivery, by(now)).await.expect("ok");
                assert!(known[&id].on_its_way.is_none() || !matches!(done, Some(ByHand::Done(_))));
            }
            (11, _) => {
                world.restart().await;
                for one in known.values_mut() {
                    one.on_its_way = None;
                }
            }
            _ => {}
        }
        for subject in 0..3 {
            let moving = known.values().filter(|one| one.subject == subject && one.on_its_way.is_some());
            assert!(moving.count() <= 1, "seed {seed}, step {step}");
        }
    }
    // Give back what is held, and let everything come to its end.
    let held: Vec<DeliveryKey> =
        known.values().filter(|one| one.on_its_way.is_some()).map(|one| one.delivery).collect();
    world.store.release(held, at(now)).await.expect("released");
    now += 100;
    loop {
        let claimed = world.claim(lane.1, 100, at(now)).await;
        if claimed.is_empty() {
            break;
        }
        for one in claimed {
            let it = &known[one.event.id.as_str()];
            delivered.entry(it.subject).or_default().push(it.delivery);
            end(world, lane.1, &one, Outcome::Delivered, now).await;
        }
    }
    for one in known.values() {
        let state = world.state(lane.0, one.delivery).await;
        assert!(
            !matches!(state, State::Pending | State::Waiting),
            "seed {seed}: {} is forgotten",
            one.delivery
        );
    }
    if !by_hand {
        for (subject, order) in delivered {
            assert!(order.is_sorted(), "seed {seed}, subject {subject}: {order:?}");
        }
    }
}

pub(crate) async fn any_interleaving_keeps_the_order(mut world: World) {
    let lane = world.ordered_lane().await;
    let first = rng().next_u64() % 1_000_000;
    for seed in first..first + 25 {
        walk(&mut world, lane, seed).await;
    }
}
