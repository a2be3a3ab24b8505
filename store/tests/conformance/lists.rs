//! Lists: every filter, every page, and nobody else's rows.

use callboard_domain::delivery::{AnswerClass, Cause, Outcome, State};
use callboard_domain::event::Event;
use callboard_domain::id::{DeliveryKey, TenantKey, WebhookKey};
use callboard_domain::store::{DeliveryFilter, EventFilter, NewEvent, Page};

use crate::world::{World, at, attempt, attempt_at, by, due, event_about, nth};

/// What a delivery was made of.
struct Made {
    key: DeliveryKey,
    state: State,
    event: Event,
    second: i64,
}

/// Forty events for two webhooks, a second apart, in all states.
async fn populate(world: &World, tenant: TenantKey, webhooks: [WebhookKey; 2]) -> Vec<Made> {
    let mut made = Vec::new();
    for second in 0..40 {
        let type_name = ["ticket.updated", "order.paid"][usize::from(second % 3 == 0)];
        let event = event_about(&format!("e{second}"), type_name, &format!("S-{}", second % 4));
        let recorded = world.record(tenant, event.clone(), &webhooks, at(second)).await;
        let key = nth(&recorded, 1);
        let finish = |outcome| world.finish(attempt(&recorded, 1, webhooks[1], 1, outcome, at(second)));
        let state = State::ALL[usize::try_from(second).expect("small") % 6];
        match state {
            State::Pending => {}
            State::Waiting => drop(finish(Outcome::Retry(at(900))).await),
            State::Delivered => drop(finish(Outcome::Delivered).await),
            State::Failed => drop(finish(Outcome::GivenUp).await),
            State::Superseded => drop(finish(Outcome::Superseded).await),
            State::Cancelled => {
                world.store.cancel_delivery(tenant, key, by(second)).await.expect("no error");
            }
        }
        if second == 20 {
            // From here on the logs may be behind, where they ever are.
            world.settle().await;
        }
        made.push(Made { key, state, event, second });
    }
    made.reverse();
    made
}

fn delivery_filters() -> Vec<DeliveryFilter> {
    let states = [
        vec![],
        vec![State::Failed],
        vec![State::Pending],
        vec![State::Waiting, State::Pending],
        vec![State::Delivered],
        vec![State::Failed, State::Cancelled, State::Superseded],
        State::ALL.to_vec(),
    ];
    let mut filters = Vec::new();
    for states in states {
        for (type_name, subject_id) in [(None, None), (Some("order.paid"), None), (None, Some("S-1"))] {
            for (since, until) in [(None, None), (Some(7), Some(31)), (Some(39), None), (None, Some(0))] {
                filters.push(DeliveryFilter {
                    states: states.clone(),
                    type_name: type_name.map(str::to_owned),
                    subject_id: subject_id.map(str::to_owned),
                    since: since.map(at),
                    until: until.map(at),
                    answer: None,
                });
            }
        }
    }
    filters
}

fn fits(made: &Made, filter: &DeliveryFilter) -> bool {
    (filter.states.is_empty() || filter.states.contains(&made.state))
        && filter.type_name.as_ref().is_none_or(|name| *name == made.event.type_name)
        && filter.subject_id.as_ref().is_none_or(|subject| *subject == made.event.subject.id)
        && filter.since.is_none_or(|since| at(made.second) >= since)
        && filter.until.is_none_or(|until| at(made.second) < until)
}

pub(crate) async fn every_filter_of_deliveries_pages_to_the_end(world: World) {
    let (tenant, one) = world.lane().await;
    let two = world.webhook(tenant).await.key;
    let made = populate(&world, tenant, [one, two]).await;
    for filter in delivery_filters() {
        let expected: Vec<_> = made.iter().filter(|made| fits(made, &filter)).map(|made| made.key).collect();
        for limit in [3, 100] {
            assert_eq!(world.deliveries(two, &filter, limit).await, expected, "{filter:?} by {limit}");
        }
    }
    let page = Page { limit: 40, after: None };
    let listed = world.store.list_deliveries(two, DeliveryFilter::default(), page).await.expect("a list");
    assert_eq!((listed.items.len(), listed.next), (40, None), "a page that is just full is the last");
    for (item, made) in listed.items.iter().zip(&made) {
        assert_eq!((item.state, &item.event_id), (made.state, &made.event.id));
        let attempted = !matches!(made.state, State::Pending);
        assert_eq!(item.last_attempt.is_some(), attempted);
    }
}

pub(crate) async fn every_filter_of_events_pages_to_the_end(world: World) {
    let (tenant, one) = world.lane().await;
    let two = world.webhook(tenant).await.key;
    let made = populate(&world, tenant, [one, two]).await;
    for delivery_filter in delivery_filters().into_iter().filter(|filter| filter.states.is_empty()) {
        let expected: Vec<_> = made
            .iter()
            .filter(|made| fits(made, &delivery_filter))
            .map(|made| made.event.id.clone())
            .collect();
        let DeliveryFilter { type_name, subject_id, since, until, .. } = delivery_filter;
        let filter = EventFilter { type_name, subject_id, since, until };
        for limit in [3, 100] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = Page { limit, after };
                let listed = world.store.list_events(tenant, filter.clone(), page).await.expect("a list");
                found.extend(listed.items.into_iter().map(|item| item.id));
                after = listed.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{filter:?} by {limit}");
        }
    }
    let both = EventFilter {
        type_name: Some("order.paid".to_owned()),
        subject_id: Some("S-1".to_owned()),
        ..EventFilter::default()
    };
    let page = Page { limit: 100, after: None };
    let listed = world.store.list_events(tenant, both, page).await.expect("a list");
    assert_eq!(listed.items.len(), 3);
    assert!(listed.items.iter().all(|item| item.type_name == "order.paid" && item.subject_id == "S-1"));
}

pub(crate) async fn deliveries_of_an_event_page_in_order(world: World) {
    let (tenant, webhook) = world.lane().await;
    let recorded = world.record(tenant, event_about("a", "order.paid", "O-1"), &[webhook; 5], at(1)).await;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = Page { limit: 2, after };
        let listed = world.store.deliveries_of_event(recorded.key, page).await.expect("a list");
        found.extend(listed.items.into_iter().map(|item| item.key));
        after = listed.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, (0..5).map(|index| nth(&recorded, index)).collect::<Vec<_>>());
}

pub(crate) async fn many_events_are_listed_whole(world: World) {
    let (tenant, webhook) = world.lane().await;
    let batch = |name: &str| -> Vec<NewEvent> {
        let event = |index| event_about(&format!("{name}{index}"), "order.paid", &format!("S-{index}"));
        let new = |index| NewEvent { event: event(index).into(), deliveries: due(&[webhook]) };
        (0..1_000).map(new).collect()
    };
    for name in ["a", "b", "c", "d", "e", "f"] {
        world.store.record_events(tenant, batch(name), at(1)).await.expect("recorded");
    }
    world.settle().await;
    let all = world.deliveries(webhook, &DeliveryFilter::default(), 900).await;
    assert!(all.iter().copied().eq((1..=6_000).rev().map(DeliveryKey)));
    let filter = DeliveryFilter { states: vec![State::Delivered], ..DeliveryFilter::default() };
    assert!(world.deliveries(webhook, &filter, 10).await.is_empty());
    let filter = DeliveryFilter { subject_id: Some("S-7".to_owned()), ..DeliveryFilter::default() };
    assert_eq!(world.deliveries(webhook, &filter, 10).await.len(), 6);
    let filter = DeliveryFilter { states: vec![State::Pending], ..DeliveryFilter::default() };
    assert_eq!(world.deliveries(webhook, &filter, 2_000).await.len(), 6_000);
}

pub(crate) async fn webhooks_and_tenants_see_only_their_own(world: World) {
    let (acme, ours) = world.lane().await;
    let other = world.tenant("other").await;
    let theirs = world.webhook(other).await.key;
    world.record(acme, event_about("a", "order.paid", "O-1"), &[ours], at(1)).await;
    world.settle().await;
    world.record(other, event_about("b", "order.paid", "O-1"), &[theirs], at(1)).await;
    let page = Page { limit: 10, after: None };
    for (tenant, webhook, id) in [(acme, ours, "a"), (other, theirs, "b")] {
        let by_subject = EventFilter { subject_id: Some("O-1".to_owned()), ..EventFilter::default() };
        for filter in [EventFilter::default(), by_subject] {
            let listed = world.store.list_events(tenant, filter, page).await.expect("a list");
            let ids: Vec<_> = listed.items.iter().map(|item| item.id.as_str()).collect();
            assert_eq!(ids, [id]);
        }
        assert_eq!(world.deliveries(webhook, &DeliveryFilter::default(), 10).await.len(), 1);
    }
}

pub(crate) async fn deliveries_are_listed_by_the_answer_to_their_last_attempt(world: World) {
    let (tenant, webhook) = world.lane().await;
    let answers = [
        Some((Some(204), None)),
        Some((Some(301), Some(Cause::Status))),
        Some((Some(404), Some(Cause::Status))),
        Some((Some(503), Some(Cause::Status))),
        Some((None, Some(Cause::Timeout))),
        Some((None, Some(Cause::Superseded))),
        Some((Some(999), Some(Cause::Status))),
        None,
    ];
    let mut made = Vec::new();
    for (second, answer) in (0..).zip(answers.iter().cycle().take(24)) {
        let event = event_about(&format!("e{second}"), "order.paid", "O");
        let recorded = world.record(tenant, event, &[webhook], at(second)).await;
        if let Some((status, cause)) = *answer {
            let outcome = match cause {
                None => Outcome::Delivered,
                Some(Cause::Superseded) => Outcome::Superseded,
                Some(_) => [Outcome::Retry(at(900)), Outcome::GivenUp][usize::from(second % 16 > 7)],
            };
            let mut attempt = attempt(&recorded, 0, webhook, 1, outcome, at(second));
            (attempt.status, attempt.cause) = (status, cause);
            world.finish(attempt).await;
        }
        made.push((nth(&recorded, 0), answer.and_then(|(status, cause)| AnswerClass::of(status, cause))));
    }
    // Of one that was answered differently before, only the last attempt counts.
    let (again, answer) = &mut made[3];
    let event = world.delivery(tenant, *again).await.0.event;
    let second = attempt_at(*again, event, webhook, 2, Outcome::Delivered, at(30));
    world.finish(second).await;
    *answer = Some(AnswerClass::Success);
    // One that is called off has no answer any more.
    let (called_off, answer) = &mut made[4];
    world.store.cancel_delivery(tenant, *called_off, by(31)).await.expect("no error");
    *answer = None;
    made.reverse();

    for class in AnswerClass::ALL {
        for states in [vec![], vec![State::Failed], vec![State::Waiting, State::Pending]] {
            let filter = DeliveryFilter { states: states.clone(), ..DeliveryFilter::default() };
            let known = world.deliveries(webhook, &filter, 100).await;
            let fits = |(key, answer): &&(DeliveryKey, _)| *answer == Some(class) && known.contains(key);
            let expected: Vec<_> = made.iter().filter(fits).map(|(key, _)| *key).collect();
            assert!(!states.is_empty() || !expected.is_empty(), "{class:?}");
            let filter = DeliveryFilter { answer: Some(class), ..filter };
            for limit in [1, 3, 100] {
                assert_eq!(
                    world.deliveries(webhook, &filter, limit).await,
                    expected,
                    "{filter:?} by {limit}"
                );
            }
        }
    }
}
