//! Late deliveries: of events from before their webhook heard them.

use callboard_domain::audit::By;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Outcome, State};
use callboard_domain::id::{DeliveryKey, EventId, EventKey, TenantKey, WebhookKey};
use callboard_domain::job::{Counted, Job, JobState, Range, Selection};
use callboard_domain::store::{
    ByHand, ClaimRequest, DeliveryFilter, EventFilter, Late, NewEvent, NewReplay, Page, RecordError,
};
use callboard_domain::webhook::{Collapse, Ordering, Settings};

use crate::events::counted;
use crate::world::{World, at, attempt_at, by, event, event_about, new_webhook, nth, settings};

const ALL: Page = Page { limit: 100, after: None };

type Lane = (TenantKey, WebhookKey);

fn missing(since: i64) -> Selection {
    let (type_name, subject_id) = (None, None);
    Selection { since: at(since), until: None, missing: true, states: Vec::new(), type_name, subject_id }
}

impl World {
    /// A running job that has everything there is before it.
    async fn late_job(&self, (tenant, webhook): Lane, now: Timestamp) -> Job {
        let selection = missing(0);
        let range = self.store.range_of(selection.clone()).await.expect("a range");
        let counted = Counted { selected: 0, looked_at: 0, next: None };
        let replay = NewReplay { selection, range, counted, rate_per_second: None };
        self.store.create_replay_job(tenant, webhook, replay, By::system(now)).await.expect("a job")
    }

    async fn add_late(&self, job: &Job, late: Late, now: Timestamp) -> Job {
        self.store.add_late(job.key, late, now).await.expect("no error").expect("the job")
    }

    /// Tells a webhook of events, by a job that has nothing else to do, and
    /// returns the deliveries that were made.
    pub(crate) async fn tell_late(
        &self,
        whose: Lane,
        events: &[EventKey],
        now: Timestamp,
    ) -> Vec<DeliveryKey> {
        let before = self.deliveries(whose.1, &DeliveryFilter::default(), 100).await;
        let job = self.late_job(whose, now).await;
        let late = Late { from: job.left.from, next: job.left.to, looked_at: 1, events: events.to_vec() };
        let ended = self.add_late(&job, late, now).await;
        assert_eq!((ended.state, ended.ended_at), (JobState::Finished, Some(now)));
        let mut made = self.deliveries(whose.1, &DeliveryFilter::default(), 100).await;
        made.retain(|delivery| !before.contains(delivery));
        made.reverse();
        assert_eq!(made.len() as u64, ended.done);
        made
    }

    /// The events that a webhook has no delivery of, in pieces.
    async fn undelivered(
        &self,
        (tenant, webhook): Lane,
        selection: &Selection,
        limit: usize,
    ) -> Vec<EventId> {
        let mut range = self.store.range_of(selection.clone()).await.expect("a range");
        let (mut found, mut looked_at) = (Vec::new(), 0);
        loop {
            let piece = self.store.undelivered(tenant, webhook, selection.clone(), range, limit, 1_000);
            let piece = piece.await.expect("a piece");
            assert!(piece.looked_at <= limit && piece.events.len() <= piece.looked_at);
            looked_at += piece.looked_at;
            assert!(looked_at < 1_000, "it comes to no end");
            assert!(piece.events.iter().all(|(before, _)| *before < piece.looked_at));
            found.extend(piece.events.into_iter().map(|(_, event)| event.id));
            let Some(next) = piece.next else { return found };
            assert!(next > range.from);
            range.from = next;
        }
    }

    async fn events(&self, tenant: TenantKey, filter: EventFilter) -> Vec<(EventId, u32)> {
        let listed = self.store.list_events(tenant, filter, ALL).await.expect("a list");
        assert_eq!(listed.next, None);
        listed.items.into_iter().map(|item| (item.id, item.deliveries)).collect()
    }
}

fn ids(ids: &[&str]) -> Vec<EventId> {
    ids.iter().map(|id| id.parse().expect("an id")).collect()
}

pub(crate) async fn a_late_delivery_is_told_from_its_event(mut world: World) {
    let whose = world.lane().await;
    let (tenant, webhook) = whose;
    world.record(tenant, counted("first", "T-9", 10), &[], at(1)).await;
    let origin = world.record(tenant, counted("e", "T-9", 13), &[], at(2)).await;
    let body = world.store.event(tenant, &"e".parse().expect("an id")).await.expect("no error");
    let body = body.expect("the event").body;
    let late = world.tell_late(whose, &[origin.key], at(60)).await;

    assert!(world.claim(webhook, 9, at(59)).await.is_empty(), "due when it is made");
    let claimed = world.claim(webhook, 9, at(60)).await.remove(0);
    assert_eq!((claimed.delivery, claimed.attempts, claimed.tries), (late[0], 0, 0));
    assert_eq!((claimed.event.id.as_str(), &claimed.event.body), ("e", &body));
    assert_eq!((claimed.event.quantity_diff, claimed.event.accepted_at), (Some(3), at(2)));
    assert_ne!(claimed.event.key, origin.key);
    // It lives like any other.
    world.restart().await;
    let claimed = world.claim(webhook, 9, at(61)).await.remove(0);
    assert_eq!((claimed.delivery, &claimed.event.body), (late[0], &body), "the lease has ended");
    let finish = |number, outcome| attempt_at(late[0], claimed.event.key, webhook, number, outcome, at(62));
    world.finish(finish(1, Outcome::GivenUp)).await;
    assert_eq!(world.state(tenant, late[0]).await, State::Failed);
    let stranger = world.tenant("other").await;
    assert_eq!(world.store.delivery(stranger, late[0]).await, Ok(None));
    let retried = world.store.retry_delivery(tenant, late[0], by(63)).await;
    assert_eq!(retried, Ok(Some(ByHand::Done(webhook))));
    assert_eq!(world.claim(webhook, 9, at(63)).await[0].event.body, body);
    world.finish(finish(2, Outcome::Delivered)).await;
    let stats = world.store.webhook_stats(webhook, at(0)).await.expect("statistics");
    assert_eq!((stats.buckets[0].delivered, stats.buckets[0].given_up, stats.queued), (1, 1, 0));
    // And is replayed like any other.
    let delivered = Selection { missing: false, states: vec![State::Delivered], ..missing(50) };
    let job = world.replay(whose, delivered, at(70)).await;
    assert_eq!(job.total, Some(1));
    world.store.advance_job(job.key, 9, at(70)).await.expect("no error");
    assert_eq!(world.claim(webhook, 9, at(70)).await[0].delivery, late[0]);
}

pub(crate) async fn a_claim_tells_what_is_late_until_it_was_attempted(world: World) {
    let whose = world.lane().await;
    let (tenant, webhook) = whose;
    let early = world.record(tenant, event("early"), &[], at(1)).await;
    let with = world.record(tenant, event("with"), &[webhook], at(2)).await;
    let late = world.tell_late(whose, &[early.key], at(60)).await[0];
    let claim = async |second| {
        let request = ClaimRequest { webhook, limit: 9, alone: false };
        let claims = world.store.claim_due(vec![request], at(second), usize::MAX).await.expect("a claim");
        claims.into_iter().next().expect("one lane")
    };
    let first = claim(61).await;
    let keys: Vec<_> = first.deliveries.iter().map(|claimed| claimed.delivery).collect();
    assert_eq!((keys, first.late), (vec![nth(&with, 0), late], vec![(late, at(60))]));
    world.store.release(vec![late], at(62)).await.expect("released");
    let again = claim(62).await;
    assert_eq!((again.deliveries.len(), again.late), (1, vec![(late, at(60))]), "it was never attempted");
    let echo = again.deliveries[0].event.key;
    world.finish(attempt_at(late, echo, webhook, 1, Outcome::Retry(at(63)), at(62))).await;
    let retried = claim(63).await;
    assert_eq!((retried.deliveries.len(), retried.late), (1, Vec::new()));
}

pub(crate) async fn lists_show_late_deliveries_where_they_were_made(world: World) {
    let whose = world.lane().await;
    let (tenant, webhook) = whose;
    let origin = world.record(tenant, event_about("old", "ticket.updated", "T-1"), &[], at(1)).await;
    let between = world.record(tenant, event_about("between", "order.paid", "O-1"), &[webhook], at(2)).await;
    let late = world.tell_late(whose, &[origin.key], at(60)).await[0];
    world.settle().await;
    let after = world.record(tenant, event_about("after", "order.paid", "O-1"), &[webhook], at(3)).await;
    assert_eq!(after.accepted_at, at(60), "time does not run backwards behind it");
    let all = DeliveryFilter::default();
    let keys = [nth(&after, 0), late, nth(&between, 0)];
    assert_eq!(world.deliveries(webhook, &all, 2).await, keys);
    let of_it = DeliveryFilter { subject_id: Some("T-1".to_owned()), ..all.clone() };
    assert_eq!(world.deliveries(webhook, &of_it, 2).await, [late]);
    let since = DeliveryFilter { since: Some(at(30)), ..of_it.clone() };
    assert_eq!(world.deliveries(webhook, &since, 2).await, [late]);
    let until = DeliveryFilter { until: Some(at(30)), ..of_it };
    assert_eq!(world.deliveries(webhook, &until, 2).await, []);
    let summary = world.delivery(tenant, late).await.0;
    assert_eq!((summary.event_id.as_str(), summary.created_at), ("old", at(60)));
    assert_eq!((&*summary.type_name, &*summary.subject_id), ("ticket.updated", "T-1"));

    let listed = |ids: &[(&str, u32)]| -> Vec<(EventId, u32)> {
        ids.iter().map(|(id, count)| (id.parse().expect("an id"), *count)).collect()
    };
    let every = listed(&[("after", 1), ("between", 1), ("old", 1)]);
    assert_eq!(world.events(tenant, EventFilter::default()).await, every);
    let filter = EventFilter { type_name: Some("ticket.updated".to_owned()), ..EventFilter::default() };
    assert_eq!(world.events(tenant, filter).await, listed(&[("old", 1)]));
    let filter = EventFilter { subject_id: Some("T-1".to_owned()), ..EventFilter::default() };
    assert_eq!(world.events(tenant, filter.clone()).await, listed(&[("old", 1)]));
    let filter = EventFilter { since: Some(at(30)), ..filter };
    assert_eq!(world.events(tenant, filter).await, []);
}

pub(crate) async fn late_deliveries_of_an_event_page_behind_its_own(world: World) {
    let (tenant, first) = world.lane().await;
    let own = [first, world.webhook(tenant).await.key];
    let origin = world.record(tenant, event("e"), &own, at(1)).await;
    let mut expected = vec![nth(&origin, 0), nth(&origin, 1)];
    world.record(tenant, event("another"), &own, at(1)).await;
    for second in 10..13 {
        let webhook = world.webhook(tenant).await.key;
        expected.extend(world.tell_late((tenant, webhook), &[origin.key], at(second)).await);
    }
    assert_eq!(expected.len(), 5);
    for limit in [1, 2, 3, 4, 5, 100] {
        let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let listed = world.store.deliveries_of_event(origin.key, Page { limit, after }).await;
            let listed = listed.expect("a list");
            assert!(listed.items.len() <= limit);
            found.extend(listed.items.iter().map(|item| item.key));
            (after, pages) = (listed.next, pages + 1);
            if after.is_none() {
                break;
            }
        }
        assert_eq!((&found, pages), (&expected, 5_usize.div_ceil(limit)), "by {limit}");
    }
    let nobody = world.record(tenant, event("nobody"), &[], at(20)).await;
    let late = world.tell_late((tenant, first), &[nobody.key], at(21)).await;
    let listed = world.store.deliveries_of_event(nobody.key, ALL).await.expect("a list");
    assert_eq!(listed.items.iter().map(|item| item.key).collect::<Vec<_>>(), late);
}

pub(crate) async fn an_event_is_found_and_published_once_whatever_echoes_it_has(world: World) {
    let whose = world.lane().await;
    let (tenant, webhook) = whose;
    let origin = world.record(tenant, event("e"), &[], at(1)).await;
    world.tell_late(whose, &[origin.key], at(60)).await;
    world.tell_late((tenant, world.webhook(tenant).await.key), &[origin.key], at(61)).await;
    let found = world.store.event(tenant, &"e".parse().expect("an id")).await.expect("no error");
    let found = found.expect("the event");
    assert_eq!((found.key, found.accepted_at, found.deliveries), (origin.key, at(1), 2));
    assert!(!found.body.is_empty());
    let again = world.record(tenant, event("e"), &[webhook], at(62)).await;
    assert!(again.duplicate);
    assert_eq!((again.key, again.accepted_at), (origin.key, at(1)));
    let other = NewEvent { event: event_about("e", "order.paid", "O-1").into(), deliveries: vec![] };
    let conflict = world.store.record_events(tenant, vec![other], at(62)).await;
    assert_eq!(conflict, Err(RecordError::Conflict(0)));
}

pub(crate) async fn what_is_missing_is_found_in_pieces(world: World) {
    let whose = world.lane().await;
    let (tenant, webhook) = whose;
    let (other, someone) = (world.tenant("other").await, world.webhook(tenant).await.key);
    for second in 0..12 {
        let type_name = ["ticket.updated", "order.paid"][usize::from(second % 2 == 0)];
        let event = event_about(&format!("e{second}"), type_name, &format!("S-{}", second % 3));
        let hears: &[WebhookKey] = if second % 4 == 3 { &[someone, webhook] } else { &[someone] };
        world.record(tenant, event.clone(), hears, at(second)).await;
        world.record(other, event, &[], at(second)).await;
        if second == 7 {
            // From here on the logs may be behind, where they ever are.
            world.settle().await;
        }
    }
    for limit in [1, 3, 100] {
        let found = async |selection: Selection| world.undelivered(whose, &selection, limit).await;
        let all = ["e0", "e1", "e2", "e4", "e5", "e6", "e8", "e9", "e10"];
        assert_eq!(found(missing(0)).await, ids(&all));
        assert_eq!(found(Selection { until: Some(at(9)), ..missing(4) }).await, ids(&all[3..7]));
        let of_type = Selection { type_name: Some("order.paid".to_owned()), ..missing(1) };
        assert_eq!(found(of_type.clone()).await, ids(&["e2", "e4", "e6", "e8", "e10"]));
        let about = Selection { subject_id: Some("S-1".to_owned()), ..missing(0) };
        assert_eq!(found(about).await, ids(&["e1", "e4", "e10"]));
        let both = Selection { subject_id: Some("S-1".to_owned()), ..of_type };
        assert_eq!(found(both).await, ids(&["e4", "e10"]));
        assert_eq!(found(missing(99)).await, []);
    }
    // What was told late is not missing any more.
    let keys = world.store.list_events(tenant, EventFilter::default(), ALL).await.expect("a list");
    let keys: Vec<EventKey> = keys.items.iter().rev().map(|item| item.key).collect();
    world.tell_late(whose, &keys[..5], at(60)).await;
    assert_eq!(world.undelivered(whose, &missing(0), 3).await, ids(&["e5", "e6", "e8", "e9", "e10"]));
    // A body that is larger than all that may be read comes by itself.
    let range = world.store.range_of(missing(0)).await.expect("a range");
    let piece = world.store.undelivered(tenant, webhook, missing(0), range, 100, 1).await.expect("a piece");
    assert_eq!((piece.events.len(), piece.next.is_some()), (1, true));
}

pub(crate) async fn nobody_gets_an_event_twice(world: World) {
    let whose = world.lane().await;
    let (tenant, webhook) = whose;
    let told = world.record(tenant, event("told"), &[webhook], at(1)).await;
    let missed = world.record(tenant, event("missed"), &[], at(2)).await;
    let other = world.tenant("other").await;
    let foreign = world.record(other, event("foreign"), &[], at(2)).await;
    let later = world.record(tenant, event("later"), &[], at(3)).await;
    let all = [told.key, missed.key, missed.key, foreign.key, EventKey(9_999)];
    let job = world.late_job(whose, at(10)).await;
    let step = Late { from: job.left.from, next: later.key.0, looked_at: 3, events: all.to_vec() };
    let after = world.add_late(&job, step.clone(), at(10)).await;
    assert_eq!((after.done, after.looked_at, after.left.from), (1, 3, later.key.0));
    assert_eq!(after.state, JobState::Running);
    assert_eq!(after.left.to, job.left.to, "what the step did not reach is left");
    // The same step once more, as after a lost answer, changes nothing.
    assert_eq!(world.add_late(&job, step, at(11)).await, after);
    // A job that moves by itself does not touch it.
    assert_eq!(world.store.advance_job(job.key, 100, at(11)).await, Ok(Some(after.clone())));
    world.store.end_job(tenant, job.key, JobState::Stopped, by(12)).await.expect("stopped");
    let step = Late { from: after.left.from, next: after.left.to, looked_at: 1, events: vec![later.key] };
    assert_eq!(world.add_late(&job, step, at(12)).await.done, 1, "it was stopped");
    // Another job is made, and an echo is not echoed.
    let echo = world.claim(webhook, 9, at(12)).await.pop().expect("the late one").event.key;
    let again = world.tell_late(whose, &[told.key, missed.key, echo, later.key], at(13)).await;
    assert_eq!(again.len(), 1);
    assert_eq!(world.deliveries(webhook, &DeliveryFilter::default(), 9).await.len(), 3);
}

pub(crate) async fn what_a_step_did_not_reach_is_left_though_the_count_goes_on(world: World) {
    let whose = world.lane().await;
    let first = world.record(whose.0, event("first"), &[], at(1)).await.key;
    let second = world.record(whose.0, event("second"), &[], at(2)).await.key;
    let job = world.uncounted_replay(whose, missing(0), None, at(10)).await;
    let counted = |next| Counted { selected: 1, looked_at: 1, next };
    let begun = job.counted_to.expect("it is being counted");
    world.store.note_counted(job.key, begun, counted(Some(second.0))).await.expect("noted");
    let step = Late { from: job.left.from, next: second.0, looked_at: 1, events: vec![first] };
    // The count comes to its end while the step is under way.
    world.store.note_counted(job.key, second.0, counted(None)).await.expect("noted");
    let after = world.add_late(&job, step, at(11)).await;
    assert_eq!((after.state, after.total, after.done), (JobState::Running, Some(2), 1));
    assert_eq!(after.reach(), Range { from: second.0, to: second.0 + 1 });
    let step = Late { from: second.0, next: after.left.to, looked_at: 1, events: vec![second] };
    let ended = world.add_late(&after, step, at(12)).await;
    assert_eq!((ended.state, ended.done, ended.looked_at), (JobState::Finished, 2, 2));
}

pub(crate) async fn a_step_is_written_whole_or_not_at_all(mut world: World) {
    let whose = world.lane().await;
    let (tenant, webhook) = whose;
    let mut keys = Vec::new();
    for index in 0..6 {
        keys.push(world.record(tenant, event(&format!("e{index}")), &[], at(index)).await.key);
    }
    let mut job = world.late_job(whose, at(10)).await;
    for index in 0..6_usize {
        let next = keys.get(index + 1).map_or(job.left.to, |key| key.0);
        let late = Late { from: job.left.from, next, looked_at: 1, events: vec![keys[index]] };
        let after = world.add_late(&job, late.clone(), at(20)).await;
        // The process ends, and whoever is next knows what was done by the job's row alone.
        world.restart().await;
        let found = world.store.job(tenant, job.key).await.expect("no error").expect("the job");
        assert_eq!(found, after);
        assert_eq!(found.done, world.deliveries(webhook, &DeliveryFilter::default(), 4).await.len() as u64);
        assert_eq!(world.add_late(&job, late, at(21)).await, after, "not once more");
        job = after;
    }
    assert_eq!((job.state, job.done), (JobState::Finished, 6));
    let claimed = world.claim(webhook, 100, at(30)).await;
    let claimed: Vec<_> = claimed.iter().map(|one| one.event.id.as_str()).collect();
    assert_eq!(claimed, ["e0", "e1", "e2", "e3", "e4", "e5"], "the oldest first");
    let next = world.record(tenant, event("next"), &[webhook], at(31)).await;
    assert_eq!(next.key.0, keys[5].0 + 7, "keys go on behind the echoes");
}

pub(crate) async fn what_is_late_goes_behind_what_waits_of_its_subject(world: World) {
    let whose = world.ordered_lane().await;
    let (tenant, webhook) = whose;
    let about = |id: &str, subject: &str| event_about(id, "ticket.updated", subject);
    let mut missed = Vec::new();
    for (id, subject) in [("a1", "A"), ("b1", "B"), ("a2", "A")] {
        missed.push(world.record(tenant, about(id, subject), &[], at(1)).await.key);
    }
    world.record_in_order(whose, about("a3", "A"), (false, false), at(2)).await;
    world.tell_late(whose, &missed, at(10)).await;
    let mut told = Vec::new();
    loop {
        let claimed = world.claim(webhook, 9, at(20)).await;
        if claimed.is_empty() {
            break;
        }
        for one in claimed {
            told.push(one.event.id.as_str().to_owned());
            let (delivery, key) = (one.delivery, one.event.key);
            world.finish(attempt_at(delivery, key, webhook, 1, Outcome::Delivered, at(20))).await;
        }
    }
    assert_eq!(told.iter().filter(|id| id.starts_with('a')).collect::<Vec<_>>(), ["a3", "a1", "a2"]);
    assert_eq!(told[1], "b1", "another subject waits for nobody: {told:?}");
}

pub(crate) async fn what_is_late_makes_nothing_superfluous(world: World) {
    let tenant = world.tenant("acme").await;
    let settings = Settings { ordering: Ordering::Subject, collapse: Collapse::Latest, ..settings() };
    let new = callboard_domain::store::NewWebhook { settings, ..new_webhook() };
    let webhook = world.store.create_webhook(tenant, new, by(0)).await.expect("a webhook").key;
    let whose = (tenant, webhook);
    let old = world.record(tenant, event("old"), &[], at(1)).await;
    world.record_in_order(whose, event("first"), (true, true), at(2)).await;
    let newest = world.record_in_order(whose, event("newest"), (false, true), at(3)).await.0;
    let late = world.tell_late(whose, &[old.key], at(10)).await[0];
    world.store.release(vec![DeliveryKey(newest.first_delivery.0 - 1)], at(11)).await.expect("released");
    let mut told = Vec::new();
    for _ in 0..4 {
        for one in world.claim(webhook, 9, at(20)).await {
            told.push(one.event.id.as_str().to_owned());
            let (delivery, key) = (one.delivery, one.event.key);
            world.finish(attempt_at(delivery, key, webhook, 1, Outcome::Delivered, at(20))).await;
        }
    }
    assert_eq!(told, ["newest", "old"], "only the first was out of date");
    assert_eq!(world.state(tenant, late).await, State::Delivered);
}

pub(crate) async fn retention_takes_late_deliveries_with_their_event(mut world: World) {
    let whose = world.lane().await;
    let (tenant, webhook) = whose;
    let old = world.record(tenant, event("old"), &[], at(1)).await;
    let kept = world.record(tenant, event("kept"), &[], at(900)).await;
    let second = world.webhook(tenant).await.key;
    let late = world.tell_late(whose, &[old.key, kept.key], at(950)).await;
    world.settle().await;
    let waits = world.tell_late((tenant, second), &[old.key], at(951)).await;
    let echo = world.delivery(tenant, late[0]).await.0.event;
    world.finish(attempt_at(late[0], echo, webhook, 1, Outcome::GivenUp, at(952))).await;
    // Leased while its event gets too old.
    assert_eq!(world.claim(second, 9, at(952)).await.len(), 1);

    let cleared = world.store.prune(at(1_100), 1_000, 10).await.expect("pruned");
    assert_eq!((cleared.rows, cleared.more), (1, false));
    for gone in [late[0], waits[0]] {
        assert_eq!(world.store.delivery(tenant, gone).await, Ok(None));
    }
    world.finish(attempt_at(late[0], echo, webhook, 2, Outcome::Delivered, at(1_100))).await;
    assert_eq!(world.store.delivery(tenant, late[0]).await, Ok(None), "a late attempt is dropped");
    assert_eq!(world.deliveries(webhook, &DeliveryFilter::default(), 9).await, [late[1]]);
    assert_eq!(world.deliveries(second, &DeliveryFilter::default(), 9).await, []);
    let failed = DeliveryFilter { states: vec![State::Failed], ..DeliveryFilter::default() };
    assert_eq!(world.deliveries(webhook, &failed, 9).await, []);
    // What is younger itself does not keep its origin, and goes with it.
    assert_eq!(world.store.event(tenant, &"old".parse().expect("an id")).await, Ok(None));
    assert_eq!(world.claim(webhook, 9, at(1_100)).await[0].delivery, late[1]);
    while world.store.prune(at(1_901), 1_000, 10).await.expect("pruned").more {}
    assert_eq!(world.deliveries(webhook, &DeliveryFilter::default(), 9).await, []);
    assert_eq!(world.events(tenant, EventFilter::default()).await, []);
    world.restart().await;
    let next = world.record(tenant, event("next"), &[webhook], at(2_000)).await;
    assert_eq!(next.key.0, kept.key.0 + 4, "keys are not used again");
    assert_eq!(next.first_delivery.0, waits[0].0 + 1);
    assert_eq!(world.deliveries(webhook, &DeliveryFilter::default(), 9).await, [nth(&next, 0)]);
    // A step that comes too late makes nothing of what is gone.
    assert_eq!(world.tell_late(whose, &[old.key, kept.key], at(2_001)).await, []);
}

pub(crate) async fn retention_lets_the_next_of_a_subject_go(world: World) {
    let whose = world.ordered_lane().await;
    let (tenant, webhook) = whose;
    let old = world.record(tenant, event("old"), &[], at(1)).await;
    world.tell_late(whose, &[old.key], at(900)).await;
    world.record_in_order(whose, event("next"), (false, false), at(901)).await;
    assert_eq!(world.claim(webhook, 9, at(901)).await.len(), 1, "the late one");
    assert!(world.claim(webhook, 9, at(901)).await.is_empty());
    world.store.prune(at(1_100), 1_000, 10).await.expect("pruned");
    let claimed = world.claim(webhook, 9, at(1_100)).await;
    assert_eq!(claimed[0].event.id.as_str(), "next");
}

pub(crate) async fn a_late_job_ends_with_its_webhook(world: World) {
    let tenant = world.tenant("acme").await;
    let doomed = world.webhook(tenant).await;
    let missed = world.record(tenant, event("e"), &[], at(1)).await;
    let told = world.record(tenant, event("f"), &[], at(1)).await;
    let late = world.tell_late((tenant, doomed.key), &[told.key], at(5)).await;
    let job = world.late_job((tenant, doomed.key), at(10)).await;
    assert_eq!(job.left, Range { from: missed.key.0, to: told.key.0 + 2 });
    world.store.delete_webhook(tenant, doomed.id, by(11)).await.expect("no error").expect("deleted");
    let step = Late { from: job.left.from, next: job.left.to, looked_at: 2, events: vec![missed.key] };
    let ended = world.add_late(&job, step, at(12)).await;
    assert_eq!((ended.state, ended.done, ended.ended_at), (JobState::Stopped, 0, Some(at(12))));
    assert_eq!(world.store.cancel_orphans(9, at(13)).await.expect("cancelled").rows, 1);
    assert_eq!(world.state(tenant, late[0]).await, State::Cancelled);
}
