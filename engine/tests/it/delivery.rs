//! The whole way of a delivery, on a real database and real sockets, with a
//! clock that stands still.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use callboard_domain::clock::{Clock, Timestamp};
use callboard_domain::delivery::State;
use callboard_domain::event::read_events;
use callboard_domain::id::{DeliveryKey, EventId};
use callboard_domain::store::{Edited, EventFilter, Page, WebhookEdit};
use callboard_domain::webhook::Status;
use callboard_engine::Options;
use callboard_engine::lanes::{BreakerView, Standing};
use callboard_testing::TestDatabase;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::gate::Gate;
use crate::world::World;

#[tokio::test]
async fn a_delivery_arrives_and_its_outcome_is_written_down() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::open([]).await);
    let world = World::start(&database, Options::default()).await;
    world.webhook(&gate, "").await;
    let published = world.publish("one").await;
    assert_eq!((published.deliveries, published.duplicate), (1, false));
    assert!(gate.arrived().await.contains("webhook-id: one"));
    world.until(published.first_delivery, State::Delivered).await;
    assert!(world.publish("one").await.duplicate);
    world.stop().await;
    assert_eq!(gate.waiting(), 0, "a duplicate is not delivered again");
}

#[tokio::test]
async fn a_failed_delivery_waits_for_its_time_and_not_a_moment_less() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::open([500, 503]).await);
    let world = World::start(&database, Options::default()).await;
    world.webhook(&gate, r#", "retry": {"schedule_seconds": [100, 100]}"#).await;
    let delivery = world.publish("one").await.first_delivery;
    gate.arrived().await;
    world.until(delivery, State::Waiting).await;
    world.clock.advance(Duration::from_secs(79));
    let next: Option<Timestamp> = world.engine.step().await.unwrap();
    assert!(next.is_none_or(|next| next > world.clock.now()), "not due within the jitter");
    assert_eq!(world.engine.load(), (0, 0));
    for attempts in [1, 2] {
        world.until_attempted(delivery, attempts).await;
        world.clock.advance(Duration::from_secs(121));
        world.engine.step().await.unwrap();
        gate.arrived().await;
    }
    world.until(delivery, State::Delivered).await;
    let (_, attempts) = world.store.delivery(world.tenant, delivery).await.unwrap().unwrap();
    let statuses: Vec<_> = attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [Some(500), Some(503), Some(200)]);
    world.stop().await;
}

#[tokio::test]
async fn what_overflows_a_lane_is_delivered_in_the_order_of_acceptance() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::closed([]).await);
    let options = Options { lane_capacity: 4, ..Options::default() };
    let world = World::start(&database, options).await;
    world.webhook(&gate, r#", "max_in_flight": 1"#).await;
    let mut last = DeliveryKey(0);
    for number in 0..50 {
        last = world.publish(&format!("e{number}")).await.first_delivery;
    }
    assert!(world.engine.load().0 <= 4, "a lane holds no more than its capacity");
    gate.open_wide();
    for number in 0..50 {
        let head = gate.arrived().await;
        assert!(head.contains(&format!("webhook-id: e{number}\r\n")), "expected e{number} in {head}");
    }
    world.until(last, State::Delivered).await;
    assert_eq!(world.engine.load(), (0, 0));
    world.stop().await;
}

#[tokio::test]
async fn who_looks_on_sees_what_waits_and_what_is_under_way() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::closed([]).await);
    let world = World::start(&database, Options { max_in_flight: 7, ..Options::default() }).await;
    assert_eq!(world.engine.options().max_in_flight, 7);
    let webhook = world.webhook(&gate, r#", "max_in_flight": 1"#).await.key;
    assert_eq!(world.engine.standing(webhook), None, "nothing was sent yet");
    world.publish("on-its-way").await;
    gate.arrived().await;
    let last = world.publish("waiting").await.first_delivery;
    let standing = Standing { waiting: 1, in_flight: 1, at_a_time: 1, breaker: BreakerView::Closed };
    assert_eq!(world.engine.standing(webhook), Some(standing));
    gate.open_wide();
    world.until(last, State::Delivered).await;
    world.stop().await;
}

#[tokio::test]
async fn what_waits_for_the_place_of_a_cancelled_delivery_gets_it() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::closed([]).await);
    let world = World::start(&database, Options { lane_capacity: 1, ..Options::default() }).await;
    world.webhook(&gate, r#", "max_in_flight": 1"#).await;
    world.publish("on-its-way").await;
    gate.arrived().await;
    let in_the_lane = world.publish("in-the-lane").await.first_delivery;
    let in_the_store = world.publish("in-the-store").await.first_delivery;
    // There is no room for it, and nobody looks again by themselves.
    world.engine.step().await.unwrap();
    world.engine.cancel(world.tenant, in_the_lane, world.by()).await.unwrap();
    gate.open_wide();
    world.until(in_the_store, State::Delivered).await;
    assert_eq!(world.state(in_the_lane).await, State::Cancelled);
    world.stop().await;
}

#[tokio::test]
async fn a_crash_loses_nothing() {
    let (database, gate) = (TestDatabase::chosen(), Gate::closed([]).await);
    let options = Options { lane_capacity: 4, ..Options::default() };
    let world = World::start(&database, options.clone()).await;
    world.webhook(&gate, "").await;
    let mut deliveries = Vec::new();
    for number in 0..40 {
        deliveries.push(world.publish(&format!("e{number}")).await.first_delivery);
    }
    world.crash().await;
    gate.open_wide();
    let world = World::start(&database, options).await;
    for delivery in deliveries {
        world.until(delivery, State::Delivered).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn a_stop_lets_what_is_under_way_end_and_leaves_the_rest_due() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::closed([]).await);
    let world = World::start(&database, Options::default()).await;
    world.webhook(&gate, r#", "max_in_flight": 1"#).await;
    let first = world.publish("first").await.first_delivery;
    let second = world.publish("second").await.first_delivery;
    assert!(gate.arrived().await.contains("webhook-id: first"));
    world.stop.cancel();
    gate.open_wide();
    let (tenant, store) = (world.tenant, Arc::clone(&world.store));
    world.running.await.unwrap();
    let state = async |delivery| store.delivery(tenant, delivery).await.unwrap().unwrap().0;
    assert_eq!(state(first).await.state, State::Delivered);
    assert_eq!(state(second).await.state, State::Pending);
    assert!(state(second).await.next_attempt_at.is_some(), "given back, so due");
    assert_eq!(gate.waiting(), 0);
    store.close().await;
}

#[tokio::test]
async fn one_dead_receiver_keeps_nobody_else_waiting() {
    let (database, dead) = (TestDatabase::chosen(), Gate::closed([]).await);
    let mut alive = Gate::open([]).await;
    let world = World::start(&database, Options { lane_capacity: 8, ..Options::default() }).await;
    world.webhook(&dead, "").await;
    world.webhook(&alive, r#", "name": "other""#).await;
    for number in 0..200 {
        world.publish(&format!("e{number}")).await;
        alive.arrived().await;
    }
    dead.open_wide();
    world.stop().await;
}

#[tokio::test]
async fn a_tenant_whose_receivers_are_silent_leaves_room_for_others() {
    let database = TestDatabase::chosen();
    let (mut silent, mut healthy) = (Gate::closed([]).await, Gate::open([]).await);
    let world = World::start(&database, Options { max_in_flight: 8, ..Options::default() }).await;
    let webhooks = [world.webhook(&silent, "").await, world.webhook(&silent, "").await];
    let mut waiting = Vec::new();
    for number in 0..20 {
        let first = world.publish(&format!("e{number}")).await.first_delivery;
        waiting.extend([first, DeliveryKey(first.0 + 1)]);
    }
    for _ in 0..4 {
        silent.arrived().await;
    }
    assert_eq!(world.engine.load(), (36, 4), "half of the places, and no more");
    let other = "other".parse().unwrap();
    let other = world.store.create_tenant(other, "Other".to_owned(), None, world.by()).await;
    let other = other.unwrap().unwrap().key;
    let new = world.new_webhook(&format!(r#"{{"url": "{}", "events": ["*"]}}"#, healthy.url()));
    world.engine.create_webhook(other, new, world.by()).await.unwrap();
    for number in 0..20 {
        world.publish_for(other, &format!("e{number}")).await;
        healthy.arrived().await;
    }
    silent.open_wide();
    for delivery in waiting {
        world.until(delivery, State::Delivered).await;
    }
    assert_eq!((webhooks.len(), world.engine.load()), (2, (0, 0)));
    world.stop().await;
}

#[tokio::test]
async fn a_paused_webhook_hears_and_gets_everything_when_it_is_resumed() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::open([]).await);
    let world = World::start(&database, Options { lane_capacity: 4, ..Options::default() }).await;
    let mut webhook = world.webhook(&gate, "").await;
    for status in [Status::Paused, Status::Active] {
        let edit = WebhookEdit { settings: webhook.settings.clone(), status, secret: None };
        let edited =
            world.engine.update_webhook(world.tenant, webhook.id, webhook.revision, edit, world.by()).await;
        let Some(Edited::Done(edited)) = edited.unwrap() else { panic!("it was edited") };
        webhook = *edited;
        if status == Status::Paused {
            for number in 0..20 {
                world.publish(&format!("e{number}")).await;
                world.engine.step().await.unwrap();
            }
            assert_eq!(
                (world.engine.load(), gate.waiting()),
                ((0, 0), 0),
                "nothing is sent while it is paused"
            );
        }
    }
    for _ in 0..20 {
        gate.arrived().await;
    }
    world.stop().await;
}

#[tokio::test]
async fn a_change_is_obeyed_also_when_its_caller_hangs_up() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::open([]).await);
    let world = World::start(&database, Options::default()).await;
    assert_eq!(world.publish("before").await.deliveries, 0, "the tenant is in memory");
    let new = world.new_webhook(&format!(r#"{{"url": "{}", "events": ["*"]}}"#, gate.url()));
    let mut made = Box::pin(world.engine.create_webhook(world.tenant, new, world.by()));
    assert!(made.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(made);
    let heard = async {
        for number in 0.. {
            if world.publish(&format!("e{number}")).await.deliveries > 0 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap();
    gate.arrived().await;
    world.stop().await;
}

#[tokio::test]
async fn five_days_of_nothing_but_failures_disable_a_webhook_and_others_hear_of_it() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::open([500, 500]).await);
    let mut watcher = Gate::open([]).await;
    let world = World::start(&database, Options::default()).await;
    let failing = world.webhook(&gate, r#", "retry": {"schedule_seconds": [60, 60]}"#).await;
    let text = format!(r#"{{"url": "{}", "events": ["webhook.disabled"]}}"#, watcher.url());
    world.make(&text).await;
    let delivery = world.publish("one").await.first_delivery;
    gate.arrived().await;
    world.until(delivery, State::Waiting).await;
    let webhook = || async { world.store.webhook(world.tenant, failing.id).await.unwrap().unwrap() };
    let noted = async {
        while webhook().await.failing_since.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), noted).await.unwrap();
    assert_eq!(webhook().await.status, Status::Active, "one failure disables nothing");
    world.clock.advance(Duration::from_hours(5 * 24 + 1));
    world.engine.step().await.unwrap();
    gate.arrived().await;
    assert!(watcher.arrived().await.contains("webhook-id: "), "the other webhook hears of it");
    let disabled = webhook().await;
    assert_eq!(disabled.status, Status::Disabled);
    assert!(disabled.disabled_reason.is_some_and(|reason| reason.contains("nothing but failures")));
    world.stop().await;
    assert_eq!((gate.waiting(), watcher.waiting()), (0, 0), "it hears nothing, least of all about itself");
}

#[tokio::test]
async fn others_hear_how_a_webhook_fares_and_it_never_hears_of_itself() {
    let (database, mut gate) =
        (TestDatabase::chosen(), Gate::open([500, 500, 500, 500, 500, 500, 200, 200]).await);
    let mut watcher = Gate::open([]).await;
    let world = World::start(&database, Options::default()).await;
    let failing = world
        .make(&format!(
            r#"{{"url": "{}", "events": ["order.*", "webhook.*", "delivery.*"], "retry": {{"schedule_seconds": []}}}}"#,
            gate.url()
        ))
        .await;
    world
        .make(&format!(r#"{{"url": "{}", "events": ["webhook.*", "delivery.exhausted"]}}"#, watcher.url()))
        .await;
    let mut told = Vec::new();
    for number in 0..8 {
        let delivery = world.publish(&format!("e{number}")).await.first_delivery;
        gate.arrived().await;
        world.until(delivery, if number < 6 { State::Failed } else { State::Delivered }).await;
        let notices = match number {
            4 => 2,
            0..=6 => 1,
            _ => 0,
        };
        for _ in 0..notices {
            told.push(watcher.arrived().await);
        }
    }
    assert_eq!(told.iter().filter(|head| head.contains("-exhausted-1\r\n")).count(), 6, "{told:?}");
    let about = async |what: &str| {
        let filter = EventFilter { type_name: Some(what.to_owned()), ..EventFilter::default() };
        let listed = world.store.list_events(world.tenant, filter, Page { limit: 100, after: None }).await;
        listed.unwrap().items
    };
    for (what, count) in [("delivery.exhausted", 6), ("webhook.failing", 1), ("webhook.recovered", 1)] {
        let notices = about(what).await;
        assert_eq!(notices.len(), count, "{what}");
        for notice in notices {
            assert_eq!(notice.deliveries, 1, "{what}: to the other one only");
            assert!(String::from_utf8_lossy(&notice.body).contains(&failing.id.to_string()), "{notice:?}");
        }
    }
    world.stop().await;
    assert_eq!((gate.waiting(), watcher.waiting()), (0, 0));
}

#[tokio::test]
async fn webhooks_that_fail_to_hear_of_failures_come_to_an_end() {
    let database = TestDatabase::chosen();
    let (mut one, mut other) = (Gate::open([500; 8]).await, Gate::open([500; 8]).await);
    let world = World::start(&database, Options::default()).await;
    for gate in [&one, &other] {
        let text = format!(
            r#"{{"url": "{}", "events": ["order.*", "delivery.*"], "retry": {{"schedule_seconds": []}}}}"#,
            gate.url()
        );
        world.make(&text).await;
    }
    let published = world.publish("e").await;
    for index in 0..2 {
        world.until(DeliveryKey(published.first_delivery.0 + index), State::Failed).await;
    }
    for gate in [&mut one, &mut other] {
        gate.arrived().await;
        let notice = gate.arrived().await;
        assert!(notice.contains("-exhausted-1\r\n"), "{notice}");
    }
    world.stop().await;
    assert_eq!((one.waiting(), other.waiting()), (0, 0), "nobody is told that telling failed");
}

#[tokio::test]
async fn a_rate_is_kept_and_nothing_is_forgotten() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::open([]).await);
    let world = World::start(&database, Options::default()).await;
    world.webhook(&gate, r#", "rate_per_second": 0.5"#).await;
    let mut deliveries = Vec::new();
    for number in 0..5 {
        deliveries.push(world.publish(&format!("e{number}")).await.first_delivery);
    }
    for (number, delivery) in deliveries.into_iter().enumerate() {
        assert!(gate.arrived().await.contains(&format!("webhook-id: e{number}\r\n")));
        world.until(delivery, State::Delivered).await;
        world.engine.step().await.unwrap();
        assert_eq!(gate.waiting(), 0, "not before its time");
        world.clock.advance(Duration::from_secs(2));
        world.engine.step().await.unwrap();
    }
    world.stop().await;
}

#[tokio::test]
async fn while_the_breaker_is_open_deliveries_wait_without_spending_attempts() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::open([500; 21]).await);
    let world = World::start(&database, Options::default()).await;
    world.webhook(&gate, r#", "retry": {"schedule_seconds": []}"#).await;
    for number in 0..21 {
        if number == 20 {
            world.clock.advance(Duration::from_secs(10));
        }
        let delivery = world.publish(&format!("e{number}")).await.first_delivery;
        gate.arrived().await;
        world.until(delivery, State::Failed).await;
    }
    let waiting = [world.publish("w1").await.first_delivery, world.publish("w2").await.first_delivery];
    world.clock.advance(Duration::from_millis(4_999));
    world.engine.step().await.unwrap();
    for delivery in waiting {
        let (summary, log) = world.store.delivery(world.tenant, delivery).await.unwrap().unwrap();
        assert_eq!((summary.state, log.len()), (State::Pending, 0));
    }
    assert_eq!(gate.waiting(), 0);
    world.clock.advance(Duration::from_millis(1));
    world.engine.step().await.unwrap();
    for (delivery, id) in waiting.into_iter().zip(["w1", "w2"]) {
        assert!(
            gate.arrived().await.contains(&format!("webhook-id: {id}\r\n")),
            "the probe, and then the rest"
        );
        world.until(delivery, State::Delivered).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn deliveries_about_one_subject_go_in_order_and_others_beside_them() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::open([500, 500]).await);
    let world = World::start(&database, Options::default()).await;
    world.webhook(&gate, r#", "ordering": "subject", "retry": {"schedule_seconds": [60]}"#).await;
    let publish = async |id: &str, subject: &str| {
        let body = format!(r#"{{"id": "{id}", "type": "order.paid", "subject": {{"id": "{subject}"}}}}"#);
        let now = world.clock.now();
        let new_id = &mut || EventId::generate(now, &mut StdRng::seed_from_u64(3));
        let events = read_events(&body, false, now, new_id).unwrap();
        world.engine.publish(world.tenant, events).await.unwrap().remove(0).first_delivery
    };
    let first = publish("a1", "A").await;
    let head = gate.arrived().await;
    assert!(head.contains("webhook-id: a1\r\n"));
    world.until(first, State::Waiting).await;
    let mut rest = Vec::new();
    for number in 2..10 {
        rest.push(publish(&format!("a{number}"), "A").await);
    }
    let other = publish("b1", "B").await;
    assert!(gate.arrived().await.contains("webhook-id: b1\r\n"), "another subject does not wait");
    world.until(other, State::Waiting).await;
    assert_eq!((gate.waiting(), world.engine.load()), (0, (0, 0)));
    world.clock.advance(Duration::from_secs(80));
    world.engine.step().await.unwrap();
    let mut order = Vec::new();
    for _ in 0..10 {
        let head = gate.arrived().await;
        let id = head.lines().find_map(|line| line.strip_prefix("webhook-id: ")).unwrap().to_owned();
        order.extend((id != "b1").then_some(id));
    }
    assert_eq!(order, ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"]);
    for delivery in rest {
        world.until(delivery, State::Delivered).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn only_the_latest_update_follows_when_the_others_are_out_of_date() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::closed([]).await);
    let world = World::start(&database, Options::default()).await;
    world.webhook(&gate, r#", "ordering": "subject", "collapse": "latest""#).await;
    let mut deliveries = Vec::new();
    for number in 1..=20 {
        let body = format!(r#"{{"id": "u{number}", "type": "ticket.updated", "subject": {{"id": "T"}}}}"#);
        let now = world.clock.now();
        let new_id = &mut || EventId::generate(now, &mut StdRng::seed_from_u64(3));
        let events = read_events(&body, false, now, new_id).unwrap();
        deliveries.push(world.engine.publish(world.tenant, events).await.unwrap().remove(0).first_delivery);
    }
    assert!(gate.arrived().await.contains("webhook-id: u1\r\n"));
    gate.open_wide();
    assert!(gate.arrived().await.contains("webhook-id: u20\r\n"));
    for (index, delivery) in deliveries.into_iter().enumerate() {
        let wanted = if [0, 19].contains(&index) { State::Delivered } else { State::Superseded };
        world.until(delivery, wanted).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn a_receiver_that_asks_for_less_gets_less_at_a_time() {
    let (database, mut gate) = (TestDatabase::chosen(), Gate::closed([429; 4]).await);
    let world = World::start(&database, Options::default()).await;
    world.webhook(&gate, r#", "max_in_flight": 4, "retry": {"schedule_seconds": []}"#).await;
    let mut failed = Vec::new();
    for number in 0..4 {
        failed.push(world.publish(&format!("e{number}")).await.first_delivery);
        gate.arrived().await;
    }
    gate.open_wide();
    for delivery in failed {
        world.until(delivery, State::Failed).await;
    }
    gate.shut();
    let mut later = Vec::new();
    for number in 4..10 {
        later.push(world.publish(&format!("e{number}")).await.first_delivery);
    }
    for _ in 0..2 {
        gate.arrived().await;
    }
    assert_eq!(world.engine.load(), (4, 2), "half of what was allowed is under way");
    gate.open_wide();
    for delivery in later {
        world.until(delivery, State::Delivered).await;
    }
    world.stop().await;
}
