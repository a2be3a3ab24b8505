//! What a lane holds, hands out and gives back, whatever the order of events.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::{ManualClock, Timestamp};
use callboard_domain::delivery::StoredEvent;
use callboard_domain::id::{DeliveryKey, EventKey, TenantKey, WebhookId, WebhookKey};
use callboard_domain::store::Claimed;
use callboard_domain::webhook::{Status, Webhook, read_settings};
use callboard_domain::wire::Renderings;
use proptest::prelude::*;

use super::*;

const BODY: usize = 100;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn target(max_in_flight: u32, status: Status) -> Arc<Target> {
    let text =
        format!(r#"{{"url": "https://example.com", "events": ["*"], "max_in_flight": {max_in_flight}}}"#);
    let webhook = Webhook {
        key: WebhookKey(7),
        id: WebhookId::from_bytes([0; 16]),
        tenant: TenantKey(1),
        revision: 1,
        settings: read_settings(&text, None).expect("good settings").0,
        status,
        disabled_reason: None,
        failing_since: None,
        secrets: Vec::new(),
        created_at: at(0),
        updated_at: at(0),
        nonce: None,
        deleted_at: None,
    };
    let tenant = "acme".parse().expect("a tenant id");
    Arc::new(Target::new(webhook, &tenant, "https://callboard.example", at(0)))
}

fn event() -> Arc<StoredEvent> {
    Arc::new(StoredEvent {
        key: EventKey(1),
        tenant: TenantKey(1),
        id: "e".parse().expect("an id"),
        type_name: "a.b".to_owned(),
        subject_id: "1".to_owned(),
        accepted_at: at(0),
        body: Bytes::from(vec![b'x'; BODY]),
        deliveries: 1,
        quantity_diff: None,
        renderings: Renderings::default(),
    })
}

fn queued(number: i64) -> Queued {
    Queued { delivery: DeliveryKey(number), attempts: 0, tries: 0, event: event(), trace: None }
}

fn claimed(number: i64) -> Claimed {
    Claimed { delivery: DeliveryKey(number), attempts: 1, tries: 1, event: event() }
}

fn lanes(capacity: usize, places: usize) -> (Lanes, Arc<Lane>) {
    let lanes = Lanes::new(capacity, places * (BODY + ENTRY_BYTES));
    let lane = lanes.get_or_make(&target(2, Status::Active));
    (lanes, lane)
}

/// Whether somebody who asks now is let through at once.
fn lets_through(lane: &Lane, clock: &ManualClock) -> bool {
    let asked = std::pin::pin!(lane.room(clock));
    asked.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn room_is_waited_for_in_a_lane_that_gets_on_and_in_no_other() {
    let (_, lane) = lanes(8, 100);
    let clock = ManualClock::new(at(0));
    let end = |ended| lane.finished(ended, at(0), at(0), clock.elapsed());
    for number in 0..7 {
        assert!(lane.reserve(BODY));
        lane.fill(queued(number), clock.elapsed());
    }
    assert!(lets_through(&lane, &clock), "nothing was over yet, so nobody knows how long it takes");
    let refill = |number| {
        assert!(lane.reserve(BODY));
        lane.fill(queued(number), clock.elapsed());
    };
    lane.take(at(0)).expect("work");
    end(Ended::Worked);
    assert!(lets_through(&lane, &clock), "there is room");
    refill(7);
    assert!(!lets_through(&lane, &clock), "there will be room soon");
    clock.advance(2 * room::LATELY);
    assert!(lets_through(&lane, &clock), "it takes too long");
    lane.take(at(0)).expect("work");
    end(Ended::Worked);
    refill(8);
    let mut asked = std::pin::pin!(lane.room(&clock));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(asked.as_mut().poll(&mut cx).is_pending());
    assert!(lets_through(&lane, &clock), "as many wait as were served lately");
    lane.take(at(0)).expect("work");
    assert!(asked.as_mut().poll(&mut cx).is_ready(), "there is room now");
    end(Ended::Down);
    refill(9);
    assert!(lets_through(&lane, &clock), "its receiver is sick");
}

#[test]
fn a_place_given_back_makes_room_for_what_the_store_holds() {
    let (_, lane) = lanes(2, 100);
    assert!(lane.reserve(BODY) && lane.reserve(BODY));
    assert!(!lane.reserve(BODY), "the lane is full");
    lane.note_stored(at(0));
    assert_eq!(lane.begin_claim(at(0)), None, "no room, so what was noted is not claimed");
    lane.fill(queued(1), Duration::ZERO);
    assert!(lane.take(at(0)).is_ok());
    assert!(lane.give_back(BODY), "nothing else would have it claimed");
    assert_eq!(lane.begin_claim(at(0)), Some(2));
}

#[test]
fn who_looks_on_sees_how_a_lane_stands() {
    let (lanes, lane) = lanes(4, 100);
    let (breaker, at_a_time) = (BreakerView::Closed, 2);
    assert_eq!(lane.standing(), Standing { waiting: 0, in_flight: 0, at_a_time, breaker });
    for number in 0..3 {
        assert!(lane.reserve(BODY));
        lane.fill(queued(number), Duration::ZERO);
    }
    assert!(lane.take(at(1)).is_ok());
    assert_eq!(lane.standing(), Standing { waiting: 2, in_flight: 1, at_a_time, breaker });
    lane.finished(Ended::Overloaded, at(1), at(1), Duration::ZERO);
    assert_eq!(lane.standing(), Standing { waiting: 2, in_flight: 0, at_a_time: 1, breaker });
    lanes.forget(lane.key());
    assert!(lanes.get(lane.key()).is_none());
}

#[test]
fn what_does_not_fit_waits_behind_what_does() {
    let (_, lane) = lanes(2, 100);
    assert!(lane.reserve(BODY) && lane.reserve(BODY));
    assert!(!lane.reserve(BODY), "the lane is full");
    lane.fill(queued(1), Duration::ZERO);
    lane.fill(queued(2), Duration::ZERO);
    lane.note_stored(at(10));
    assert!(lane.take(at(0)).is_ok() && lane.take(at(0)).is_ok());
    assert!(!lane.reserve(BODY), "newer deliveries must not overtake the stored one");
    lane.finished(Ended::Worked, at(10), at(10), Duration::ZERO);
    assert_eq!(lane.begin_claim(at(9)), None, "it is not due yet");
    assert_eq!(lane.begin_claim(at(10)), Some(2));
    assert_eq!(lane.begin_claim(at(10)), None, "one claim at a time");
    assert_eq!(lane.claimed(vec![claimed(3)], None, at(10)), None);
    assert!(lane.reserve(BODY), "the backlog is drained");
    assert_eq!(lane.take(at(0)).ok().map(|work| work.queued.delivery), Some(DeliveryKey(3)));
}

#[test]
fn after_a_failed_claim_there_is_a_pause_whatever_is_noted() {
    let (_, lane) = lanes(2, 100);
    lane.note_stored(at(1));
    assert_eq!(lane.begin_claim(at(1)), Some(2));
    lane.claim_failed(at(5));
    lane.note_stored(at(2));
    assert_eq!(lane.begin_claim(at(4)), None);
    assert_eq!(lane.begin_claim(at(5)), Some(2));
}

#[test]
fn all_lanes_share_one_memory() {
    let (lanes, lane) = lanes(100, 3);
    assert!((0..3).all(|_| lane.reserve(BODY)));
    assert!(!lane.reserve(BODY), "the memory is spent");
    assert_eq!(lanes.memory_left(), 0);
    let _ = lane.give_back(BODY);
    assert_eq!(lanes.memory_left(), BODY + ENTRY_BYTES);
}

#[test]
fn a_paused_webhook_is_handed_nothing_and_gives_back_what_waits() {
    let (lanes, lane) = lanes(10, 10);
    assert!(lane.reserve(BODY) && lane.reserve(BODY));
    lane.fill(queued(1), Duration::ZERO);
    assert_eq!(lane.update(target(2, Status::Paused)), [DeliveryKey(1)]);
    lane.fill(queued(2), Duration::ZERO);
    assert!(lane.take(at(0)).is_err() && !lane.reserve(BODY));
    assert_eq!(lane.update(target(2, Status::Active)), []);
    assert_eq!(lane.take(at(0)).ok().map(|work| work.queued.delivery), Some(DeliveryKey(2)));
    assert_eq!(lanes.memory_left(), 10 * (BODY + ENTRY_BYTES));
}

fn paced(rate: f64) -> Arc<Target> {
    let mut webhook = target(4, Status::Active).webhook.clone();
    webhook.settings.rate_per_second = Some(rate);
    let tenant = "acme".parse().expect("a tenant id");
    Arc::new(Target::new(webhook, &tenant, "https://callboard.example", at(0)))
}

#[test]
fn a_webhook_that_gets_a_pace_gives_back_what_waits() {
    let (_, lane) = lanes(10, 10);
    assert!(lane.reserve(BODY) && lane.reserve(BODY));
    lane.fill(queued(1), Duration::ZERO);
    lane.fill(queued(2), Duration::ZERO);
    assert_eq!(lane.update(paced(1.0)), [DeliveryKey(1), DeliveryKey(2)], "one process keeps it");
    lane.claimed(vec![claimed(3)], None, at(0));
    assert_eq!(lane.update(paced(2.0)), [], "this process keeps it already");
}

#[test]
fn who_comes_back_too_early_is_told_a_later_time() {
    let (_, lane) = lanes(64, 64);
    lane.update(paced(1.0));
    lane.claimed((0..30).map(claimed).collect(), None, at(0));
    for second in 0..20 {
        assert!(lane.take(at(second)).is_ok(), "{second}");
        assert_eq!(lane.take(at(second)).map(drop), Err(Some(at(second + 1))), "the rate");
        lane.finished(Ended::Down, at(second), at(second), Duration::ZERO);
    }
    // The breaker has opened, and somebody comes back before it closes.
    assert_eq!(lane.take(at(19)).map(drop), Err(None), "at 20 somebody comes");
    assert_eq!(lane.take(at(20)).map(drop), Err(Some(at(24))));
    assert_eq!(lane.take(at(20)).map(drop), Err(None));
    assert!(lane.take(at(24)).is_ok());
}

#[test]
fn a_sick_lane_holds_less() {
    let (_, lane) = lanes(100, 100);
    assert!(lane.reserve(BODY));
    lane.fill(queued(1), Duration::ZERO);
    assert!(lane.take(at(0)).is_ok());
    assert_eq!(lane.finished(Ended::Down, at(5), at(5), Duration::ZERO), Turn::BeganToFail(at(5)));
    assert_eq!((0..100).filter(|_| lane.reserve(BODY)).count(), 2 * SICK_FACTOR);
}

#[test]
fn turns_tell_first_failure_and_first_success() {
    let (_, lane) = lanes(100, 100);
    let finish = |failed, now| {
        assert!(lane.reserve(BODY));
        lane.fill(queued(1), Duration::ZERO);
        assert!(lane.take(at(0)).is_ok());
        lane.finished(if failed { Ended::Down } else { Ended::Worked }, at(now), at(now), Duration::ZERO)
    };
    assert_eq!(finish(false, 1), Turn::None);
    assert_eq!(finish(true, 2), Turn::BeganToFail(at(2)));
    assert_eq!(finish(true, 3), Turn::FailsSince(at(2)));
    assert_eq!(finish(false, 4), Turn::Recovered { told: false });
    assert_eq!(finish(false, 5), Turn::None);
    assert_eq!(finish(true, 6), Turn::BeganToFail(at(6)));
    for second in 7..10 {
        assert_eq!(finish(true, second), Turn::FailsSince(at(6)));
    }
    assert_eq!(finish(true, 10), Turn::Failing(at(6)), "the fifth in a row, and told once");
    assert_eq!(finish(true, 11), Turn::FailsSince(at(6)));
    assert_eq!(finish(false, 12), Turn::Recovered { told: true });
}

#[test]
fn idle_lanes_are_forgotten_and_used_ones_are_not() {
    let (lanes, lane) = lanes(10, 10);
    let minute = Duration::from_mins(1);
    lanes.forget_idle(minute, minute);
    assert!(lanes.get(WebhookKey(7)).is_some(), "somebody holds it");
    lane.note_stored(at(1));
    drop(lane);
    lanes.forget_idle(minute, minute);
    assert!(lanes.get(WebhookKey(7)).is_some(), "the store holds something for it");
    assert!(lanes.get(WebhookKey(7)).is_some_and(|lane| lane.begin_claim(at(1)).is_some()));
    lanes.get(WebhookKey(7)).map(|lane| lane.claimed(Vec::new(), None, at(1)));
    lanes.forget_idle(minute, minute);
    assert!(lanes.get(WebhookKey(7)).is_none());
}

/// What may happen to a lane.
#[derive(Debug, Clone)]
enum Step {
    Reserve,
    Fill,
    GiveBack,
    Take,
    Finish(bool),
    NoteStored(i64),
    BeginClaim(i64),
    Claimed(usize, Option<i64>),
    ClaimFailed(i64),
    Pause,
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Reserve),
        4 => Just(Step::Fill),
        1 => Just(Step::GiveBack),
        4 => Just(Step::Take),
        4 => any::<bool>().prop_map(Step::Finish),
        1 => (0..20_i64).prop_map(Step::NoteStored),
        2 => (0..20_i64).prop_map(Step::BeginClaim),
        2 => (0..4_usize, proptest::option::of(0..20_i64)).prop_map(|(count, next)| Step::Claimed(count, next)),
        1 => (0..20_i64).prop_map(Step::ClaimFailed),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
    ]
}

proptest! {
    /// Whatever happens, places and bytes are neither lost nor made up, no more
    /// is under way than allowed, and first come is first served.
    #[test]
    fn places_and_bytes_add_up(steps in proptest::collection::vec(step(), 0..200)) {
        let (lanes, lane) = lanes(8, 100);
        let all = lanes.memory_left();
        let (mut reserved, mut in_flight, mut waiting, mut next) = (0_usize, 0_usize, VecDeque::new(), 0_i64);
        let mut room = None;
        for step in steps {
            next += 1;
            match step {
                Step::Reserve => reserved += usize::from(lane.reserve(BODY)),
                Step::Fill if reserved > 0 => {
                    lane.fill(queued(next), Duration::ZERO);
                    reserved -= 1;
                    waiting.push_back(DeliveryKey(next));
                }
                Step::GiveBack if reserved > 0 => {
                    let _ = lane.give_back(BODY);
                    reserved -= 1;
                }
                Step::Take => {
                    if let Ok(work) = lane.take(at(0)) {
                        prop_assert_eq!(Some(work.queued.delivery), waiting.pop_front());
                        in_flight += 1;
                    }
                }
                Step::Finish(failed) if in_flight > 0 => {
                    lane.finished(if failed { Ended::Down } else { Ended::Worked }, at(0), at(0), Duration::ZERO);
                    in_flight -= 1;
                }
                Step::NoteStored(due) => drop(lane.note_stored(at(due))),
                Step::BeginClaim(now) => {
                    let begun = lane.begin_claim(at(now));
                    prop_assert!(begun.is_none() || room.is_none(), "two claims at a time");
                    room = room.or(begun);
                }
                Step::Claimed(count, left) => {
                    if let Some(room) = room.take() {
                        let count = count.min(room);
                        let keys = (0..count).map(|index| next * 100 + i64::try_from(index).expect("small"));
                        let deliveries: Vec<_> = keys.map(claimed).collect();
                        waiting.extend(deliveries.iter().map(|claimed| claimed.delivery));
                        lane.claimed(deliveries, left.map(at), at(0));
                    }
                }
                Step::ClaimFailed(retry_at) => {
                    if room.take().is_some() {
                        lane.claim_failed(at(retry_at));
                    }
                }
                Step::Pause => {
                    let released = lane.update(target(2, Status::Paused));
                    prop_assert_eq!(released, waiting.drain(..).collect::<Vec<_>>());
                }
                Step::Resume => prop_assert_eq!(lane.update(target(2, Status::Active)), []),
                Step::Fill | Step::GiveBack | Step::Finish(_) => {}
            }
            prop_assert!(in_flight <= 2);
            prop_assert_eq!(lane.load(), (waiting.len(), in_flight));
            prop_assert_eq!(lanes.memory_left(), all - (waiting.len() + reserved) * (BODY + ENTRY_BYTES));
        }
    }
}
