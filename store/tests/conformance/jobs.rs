//! Jobs that retry or discard what had failed, or send again what was selected.

use callboard_domain::audit::EntryFilter;
use callboard_domain::delivery::{Cause, Outcome, Reason, State};
use callboard_domain::id::JobKey;
use callboard_domain::job::{Counted, Job, JobKind, JobState, Range, Selection};
use callboard_domain::store::{DeliveryFilter, NewReplay, Page};

use serde_json::json;

use crate::failed::{TIMEOUT, answered};
use crate::world::{World, at, attempt, by, event, event_about, nth};

async fn advance(world: &World, job: &Job, limit: usize) -> Job {
    world.store.advance_job(job.key, limit, at(50)).await.expect("no error").expect("the job")
}

pub(crate) async fn a_job_retries_what_had_failed(mut world: World) {
    let lane = world.lane().await;
    let (tenant, webhook) = lane;
    let mut failed = Vec::new();
    for index in 0..5 {
        failed.push(world.ended(lane, event(&format!("f{index}")), Outcome::GivenUp, at(1)).await);
        world.ended(lane, event(&format!("d{index}")), Outcome::Delivered, at(1)).await;
    }
    let job = world.store.create_retry_job(tenant, webhook, None, None, by(9)).await.expect("a job");
    assert_eq!((job.state, job.total, job.done, job.created_at), (JobState::Running, Some(5), 0, at(9)));
    let later = world.ended(lane, event("later"), Outcome::GivenUp, at(10)).await;
    // Somebody is faster with one of them.
    world.store.retry_delivery(tenant, nth(&failed[1], 0), by(11)).await.expect("no error");

    assert_eq!(advance(&world, &job, 2).await.done, 2);
    world.restart().await;
    assert_eq!(world.store.running_jobs().await.expect("jobs").len(), 1);
    let step = advance(&world, &job, 2).await;
    assert_eq!(step.done, 4);
    let last = advance(&world, &job, 2).await;
    assert_eq!((last.state, last.done, last.ended_at), (JobState::Finished, 4, Some(at(50))));
    assert_eq!(advance(&world, &job, 2).await, last, "an ended job does nothing");
    assert_eq!(world.store.running_jobs().await, Ok(vec![]));

    assert_eq!(world.state(tenant, nth(&later, 0)).await, State::Failed);
    let filter = DeliveryFilter { states: vec![State::Failed], ..DeliveryFilter::default() };
    assert_eq!(world.deliveries(webhook, &filter, 10).await, [nth(&later, 0)]);
    let claimed = world.claim(webhook, 10, at(50)).await;
    assert_eq!(claimed.len(), 5);
    assert!(claimed.iter().all(|one| one.tries == 0 && one.attempts == 1));
}

pub(crate) async fn a_job_is_made_once_and_can_be_stopped(world: World) {
    let lane = world.lane().await;
    let (tenant, webhook) = lane;
    let other = world.tenant("other").await;
    for id in ["a", "b", "c"] {
        world.ended(lane, event(id), Outcome::GivenUp, at(1)).await;
    }
    let job = world.store.create_retry_job(tenant, webhook, None, None, by(2)).await.expect("a job");
    assert_eq!(world.store.create_retry_job(tenant, webhook, None, None, by(3)).await, Ok(job.clone()));
    advance(&world, &job, 1).await;
    assert_eq!(world.store.end_job(other, job.key, JobState::Stopped, by(4)).await, Ok(None));
    assert_eq!(world.store.job(other, job.key).await, Ok(None));
    let stopped = world.store.end_job(tenant, job.key, JobState::Stopped, by(4)).await;
    let stopped = stopped.expect("no error").expect("the job");
    assert_eq!((stopped.state, stopped.done, stopped.ended_at), (JobState::Stopped, 1, Some(at(4))));
    assert_eq!(advance(&world, &job, 9).await, stopped);
    let again = world.store.end_job(tenant, job.key, JobState::Finished, by(5)).await;
    assert_eq!(again, Ok(Some(stopped)), "it has ended already");
    let second = world.store.create_retry_job(tenant, webhook, None, None, by(6)).await.expect("a job");
    assert_eq!((second.key > job.key, second.total), (true, Some(2)));
    assert_eq!(world.store.advance_job(JobKey(77), 1, at(7)).await, Ok(None));

    let idle = world.webhook(tenant).await.key;
    let nothing = world.store.create_retry_job(tenant, idle, None, None, by(8)).await.expect("a job");
    assert_eq!(advance(&world, &nothing, 10).await.state, JobState::Finished);
}

pub(crate) async fn jobs_are_listed_for_their_tenant(world: World) {
    let (tenant, one) = world.lane().await;
    let two = world.webhook(tenant).await.key;
    let first = world.store.create_retry_job(tenant, one, None, None, by(1)).await.expect("a job");
    let second = world.store.create_retry_job(tenant, two, None, None, by(2)).await.expect("a job");
    let page = world.store.list_jobs(tenant, Page { limit: 1, after: None }).await.expect("a list");
    assert_eq!(page.items, [second]);
    let page = world.store.list_jobs(tenant, Page { limit: 1, after: page.next }).await.expect("a list");
    assert_eq!((page.items, page.next), (vec![first], None));
    let other = world.tenant("other").await;
    let page = world.store.list_jobs(other, Page { limit: 9, after: None }).await.expect("a list");
    assert!(page.items.is_empty());
}

fn since(seconds: i64, states: &[State]) -> Selection {
    let states = states.to_vec();
    Selection { since: at(seconds), until: None, missing: false, states, type_name: None, subject_id: None }
}

pub(crate) async fn a_replay_sends_again_what_was_selected(mut world: World) {
    let lane = world.lane().await;
    let (tenant, webhook) = lane;
    world.ended(lane, event("early"), Outcome::Delivered, at(1)).await;
    let mut wanted = Vec::new();
    for index in 0..5 {
        let outcome = if index % 2 == 0 { Outcome::Delivered } else { Outcome::GivenUp };
        let time = at(10 + index);
        wanted.push(nth(&world.ended(lane, event(&format!("w{index}")), outcome, time).await, 0));
        let other = event_about(&format!("o{index}"), "ticket.deleted", "T-2");
        world.ended(lane, other, outcome, time).await;
    }
    world.record(tenant, event("waits"), &[webhook], at(20)).await;
    world.claim(webhook, 10, at(20)).await;
    let count = async |selection: &Selection| world.count(webhook, selection).await;
    let both = [State::Delivered, State::Failed];
    let all = since(2, &both);
    assert_eq!(count(&all).await, 10);
    assert_eq!(count(&since(0, &both)).await, 11);
    assert_eq!(count(&Selection { until: Some(at(12)), ..all.clone() }).await, 4);
    assert_eq!(count(&since(2, &[State::Failed])).await, 4);
    assert_eq!(count(&since(2, &[State::Cancelled])).await, 0);
    assert_eq!(count(&since(99, &both)).await, 0);
    let subject = Selection { subject_id: Some("T-1".to_owned()), ..all.clone() };
    assert_eq!(count(&subject).await, 5);
    let selection = Selection { type_name: Some("ticket.updated".to_owned()), ..all };
    assert_eq!(count(&selection).await, 5);

    let job = world.replay(lane, selection.clone(), at(30)).await;
    assert_eq!((job.kind, job.total, job.done), (JobKind::Replay, Some(5), 0));
    assert_eq!(job.selection, Some(selection));
    assert_eq!(world.replay(lane, subject, at(31)).await, job, "one at a time");
    let retry =
        world.store.create_retry_job(tenant, webhook, None, None, by(31)).await.expect("another kind");
    world.store.end_job(tenant, retry.key, JobState::Stopped, by(31)).await.expect("stopped");
    let after = world.ended(lane, event("late"), Outcome::Delivered, at(32)).await;

    let first = advance(&world, &job, 4).await;
    assert!((1..4).contains(&first.done), "{first:?}");
    world.restart().await;
    let mut last = first;
    while last.state == JobState::Running {
        last = advance(&world, &job, 4).await;
    }
    assert_eq!((last.done, last.looked_at, last.ended_at), (5, 11, Some(at(50))));
    let claimed = world.claim(webhook, 20, at(50)).await;
    let claimed: Vec<_> = claimed.iter().filter(|one| one.attempts == 1).map(|one| one.delivery).collect();
    assert_eq!(claimed, wanted, "the oldest first, and nothing else");
    assert_eq!(world.state(tenant, nth(&after, 0)).await, State::Delivered);
}

pub(crate) async fn a_job_ends_with_its_webhook(world: World) {
    let tenant = world.tenant("acme").await;
    let doomed = world.webhook(tenant).await;
    let recorded = world.ended((tenant, doomed.key), event("a"), Outcome::Delivered, at(1)).await;
    let selection = since(0, &Selection::STATES);
    let job = world.replay((tenant, doomed.key), selection, at(2)).await;
    world.store.delete_webhook(tenant, doomed.id, by(3)).await.expect("no error").expect("deleted");
    let ended = advance(&world, &job, 10).await;
    assert_eq!((ended.state, ended.done, ended.ended_at), (JobState::Stopped, 0, Some(at(50))));
    assert_eq!(world.state(tenant, nth(&recorded, 0)).await, State::Delivered, "what was told stays told");
}

pub(crate) async fn a_replay_keeps_the_order_of_a_subject(world: World) {
    let lane = world.ordered_lane().await;
    let webhook = lane.1;
    let mut keys = Vec::new();
    for id in ["a", "b", "c"] {
        keys.push(world.ended(lane, event(id), Outcome::Delivered, at(1)).await);
    }
    let selection = since(0, &Selection::STATES);
    let job = world.replay(lane, selection, at(2)).await;
    assert_eq!(advance(&world, &job, 10).await.done, 3);
    for (index, recorded) in keys.iter().enumerate() {
        let claimed = world.claim(webhook, 10, at(50)).await;
        let claimed: Vec<_> = claimed.iter().map(|one| one.delivery).collect();
        assert_eq!(claimed, [nth(recorded, 0)], "one at a time");
        let next = world.finish(attempt(recorded, 0, webhook, 2, Outcome::Delivered, at(50))).await;
        assert_eq!(next, index < 2);
    }
}

/// One step of counting, of at most three deliveries.
async fn count_on(world: &World, job: &Job) {
    let Some(from) = job.counted_to else { return };
    let (selection, range) = (job.selection.clone().expect("a replay"), Range { from, ..job.left });
    let counted = world.store.count_selected(job.webhook, selection, range, 3).await.expect("a count");
    for _ in 0..2 {
        // Whoever could not see it succeed may do it again.
        world.store.note_counted(job.key, from, counted).await.expect("noted");
    }
}

pub(crate) async fn a_total_is_counted_beside_the_work(mut world: World) {
    let lane = world.lane().await;
    for index in 0..10 {
        let outcome = if index % 3 == 0 { Outcome::GivenUp } else { Outcome::Delivered };
        world.ended(lane, event(&format!("e{index}")), outcome, at(index)).await;
    }
    let mut job = world.uncounted_replay(lane, since(0, &[State::Delivered]), None, at(20)).await;
    assert_eq!((job.total, advance(&world, &job, 9).await.done), (None, 0), "not before it is counted");
    let mut steps = 0;
    while job.state == JobState::Running {
        count_on(&world, &job).await;
        job = advance(&world, &job, 2).await;
        assert!(job.total.is_none() || job.counted_to.is_none());
        steps += 1;
        if steps == 2 {
            assert!(job.total.is_none() && job.done > 0, "{job:?}");
            world.restart().await;
        }
        assert!(steps < 20, "{job:?}");
    }
    assert_eq!((job.total, job.done, job.looked_at), (Some(6), 6, 10));
    let nothing = world.uncounted_replay(lane, since(99, &[State::Delivered]), None, at(60)).await;
    count_on(&world, &nothing).await;
    let ended = advance(&world, &nothing, 9).await;
    assert_eq!((ended.state, ended.total, ended.done), (JobState::Finished, Some(0), 0));
}

pub(crate) async fn a_rate_is_kept_through_a_restart(mut world: World) {
    let lane = world.lane().await;
    let (tenant, webhook) = lane;
    for index in 0..8 {
        let outcome = if index % 2 == 0 { Outcome::GivenUp } else { Outcome::Delivered };
        world.ended(lane, event(&format!("e{index}")), outcome, at(1)).await;
    }
    let job = world.store.create_retry_job(tenant, webhook, None, Some(0.5), by(10)).await.expect("a job");
    assert_eq!(job.rate_per_second, Some(0.5));
    let done = async |world: &World, job: &Job, second| {
        let moved = world.store.advance_job(job.key, 100, at(second)).await.expect("no error");
        moved.expect("the job").done
    };
    assert_eq!(done(&world, &job, 10).await, 1);
    assert_eq!(done(&world, &job, 11).await, 1);
    world.restart().await;
    assert_eq!(done(&world, &job, 11).await, 1, "a restart makes it no faster");
    assert_eq!(done(&world, &job, 12).await, 2);
    assert_eq!(done(&world, &job, 3_600).await, 3, "nor does a long rest");
    assert_eq!(done(&world, &job, 3_602).await, 4);
    // What is passed over costs nothing of it.
    let selection = since(0, &[State::Delivered]);
    let range = world.store.range_of(selection.clone()).await.expect("a range");
    let counted = Counted { selected: 4, looked_at: 8, next: None };
    let replay = NewReplay { selection, range, counted, rate_per_second: Some(2.0) };
    let job = world.store.create_replay_job(tenant, webhook, replay, by(4_000)).await.expect("a job");
    let step = world.store.advance_job(job.key, 100, at(4_000)).await.expect("no error").expect("the job");
    assert_eq!((step.done, step.looked_at), (1, 2));
    assert_eq!(done(&world, &job, 4_000).await, 1);
    assert_eq!(done(&world, &job, 4_001).await, 2);
}

pub(crate) async fn a_job_goes_for_one_reason_beside_others(mut world: World) {
    let lane = world.lane().await;
    let (tenant, webhook) = lane;
    let reasons = [answered(503), TIMEOUT, answered(500)];
    let mut failed = Vec::new();
    for index in 0..9 {
        failed.push(world.failed(lane, &format!("f{index}"), reasons[index % 3], 1).await);
    }
    let retry = async |world: &World, reason| {
        world.store.create_retry_job(tenant, webhook, reason, None, by(9)).await.expect("a job")
    };
    let job = retry(&world, Some(answered(503))).await;
    assert_eq!((job.kind, job.reason, job.total), (JobKind::RetryFailed, Some(answered(503)), Some(3)));
    assert_eq!(retry(&world, Some(answered(503))).await, job, "one at a time");
    let timeouts = retry(&world, Some(TIMEOUT)).await;
    let everything = retry(&world, None).await;
    let any = retry(&world, Some(Reason::default())).await;
    assert_eq!((timeouts.total, everything.total, everything.reason), (Some(3), Some(9), None));
    assert_eq!(any, everything, "a reason that leaves nothing out is none");
    let running = world.store.running_jobs().await.expect("jobs");
    assert_eq!(running.len(), 3);

    // It looks at no more than it may, and passes over what failed otherwise.
    let step = advance(&world, &job, 2).await;
    assert_eq!((step.done, step.looked_at, step.state), (1, 2, JobState::Running));
    world.restart().await;
    assert_eq!(advance(&world, &job, 100).await.done, 3);
    assert_eq!(advance(&world, &job, 100).await.state, JobState::Finished);
    let claimed: Vec<_> = world.claim(webhook, 20, at(50)).await.iter().map(|one| one.delivery).collect();
    assert_eq!(claimed, [failed[0], failed[3], failed[6]]);
    assert_eq!(advance(&world, &everything, 100).await.done, 6, "the others");
    assert_eq!(advance(&world, &timeouts, 100).await.done, 0, "they were retried by then");

    let filter = EntryFilter { action: "retry_failed.started".parse().ok(), ..EntryFilter::default() };
    let log = world.store.list_audit(Some(tenant), filter, Page { limit: 9, after: None }).await;
    let told: Vec<_> = log.expect("a log").items.into_iter().rev().map(|entry| entry.after).collect();
    let reason = |at: usize| told[at].as_ref().and_then(|after| after.get("reason").cloned());
    assert_eq!(reason(0), Some(json!({"cause": "status", "status": 503})));
    assert_eq!((reason(1), reason(2)), (Some(json!({"cause": "timeout", "status": null})), None));
}

pub(crate) async fn a_job_discards_what_had_failed(mut world: World) {
    let lane = world.lane().await;
    let (tenant, webhook) = lane;
    let mut failed = Vec::new();
    for index in 0..5 {
        let reason = if index == 2 { answered(404) } else { TIMEOUT };
        failed.push(world.failed(lane, &format!("f{index}"), reason, 1).await);
    }
    let retried = failed[1];
    let job = world.store.create_discard_job(tenant, webhook, Some(TIMEOUT), by(9)).await.expect("a job");
    assert_eq!((job.kind, job.reason, job.total), (JobKind::Discard, Some(TIMEOUT), Some(4)));
    let again = world.store.create_discard_job(tenant, webhook, Some(TIMEOUT), by(10)).await;
    assert_eq!(again, Ok(job.clone()), "one at a time");
    let retry = world.store.create_retry_job(tenant, webhook, Some(TIMEOUT), None, by(10)).await;
    let retry = retry.expect("another kind");
    assert!(retry.key > job.key);
    world.store.end_job(tenant, retry.key, JobState::Stopped, by(10)).await.expect("stopped");
    let later = world.failed(lane, "later", TIMEOUT, 11).await;
    // Somebody is faster with one of them.
    world.store.retry_delivery(tenant, retried, by(11)).await.expect("no error");

    assert_eq!(advance(&world, &job, 1).await.done, 1);
    world.restart().await;
    let mut last = job;
    while last.state == JobState::Running {
        last = advance(&world, &last, 2).await;
    }
    assert_eq!((last.state, last.done), (JobState::Finished, 3));
    let (summary, log) = world.delivery(tenant, failed[0]).await;
    assert_eq!((summary.state, summary.attempts, summary.next_attempt_at), (State::Cancelled, 2, None));
    let ending = log.last().expect("an entry");
    assert_eq!(
        (ending.state, ending.cause, ending.started_at),
        (State::Cancelled, Some(Cause::Cancelled), at(50))
    );
    assert_eq!(ending.detail.message, "discarded by hand");
    assert_eq!((log[0].state, log[0].cause), (State::Failed, Some(Cause::Timeout)), "what was, stays told");
    for (delivery, state) in [(retried, State::Pending), (failed[2], State::Failed), (later, State::Failed)] {
        assert_eq!(world.state(tenant, delivery).await, state);
    }
    assert_eq!(world.claim(webhook, 20, at(60)).await.len(), 1, "only what was retried");
    let filter = DeliveryFilter { states: vec![State::Failed], ..DeliveryFilter::default() };
    assert_eq!(world.deliveries(webhook, &filter, 10).await, [later, failed[2]]);
    let filter = DeliveryFilter { states: vec![State::Cancelled], ..DeliveryFilter::default() };
    assert_eq!(world.deliveries(webhook, &filter, 10).await, [failed[4], failed[3], failed[0]]);

    let filter = EntryFilter { action: "discard_failed.started".parse().ok(), ..EntryFilter::default() };
    let log = world.store.list_audit(Some(tenant), filter, Page { limit: 9, after: None }).await;
    let [started] = &*log.expect("a log").items else { panic!("not one entry") };
    let reason = started.after.as_ref().and_then(|after| after.get("reason"));
    assert_eq!(reason, Some(&json!({"cause": "timeout", "status": null})));
}

pub(crate) async fn what_is_discarded_holds_nobody_up_and_can_be_retried(world: World) {
    let lane = world.ordered_lane().await;
    let (tenant, webhook) = lane;
    let (first, _) = world.record_in_order(lane, event("a"), (true, false), at(1)).await;
    world.finish(attempt(&first, 0, webhook, 1, Outcome::GivenUp, at(1))).await;
    let (second, behind) = world.record_in_order(lane, event("b"), (true, false), at(2)).await;
    assert!(!behind);
    let (third, behind) = world.record_in_order(lane, event("c"), (false, false), at(2)).await;
    assert!(behind);
    let job = world.store.create_discard_job(tenant, webhook, None, by(3)).await.expect("a job");
    assert_eq!(advance(&world, &job, 10).await.done, 1);
    assert_eq!(world.claim(webhook, 9, at(50)).await, [], "those of its subject stay in order");
    assert!(world.finish(attempt(&second, 0, webhook, 1, Outcome::Delivered, at(51))).await);
    assert_eq!(world.claim(webhook, 9, at(51)).await[0].delivery, nth(&third, 0));
    world.finish(attempt(&third, 0, webhook, 1, Outcome::Delivered, at(52))).await;

    world.store.retry_delivery(tenant, nth(&first, 0), by(53)).await.expect("no error").expect("retried");
    let claimed = world.claim(webhook, 9, at(53)).await;
    assert_eq!((claimed[0].delivery, claimed[0].attempts, claimed[0].tries), (nth(&first, 0), 2, 0));
    world.finish(attempt(&first, 0, webhook, 3, Outcome::Delivered, at(54))).await;
    let (summary, log) = world.delivery(tenant, nth(&first, 0)).await;
    assert_eq!((summary.state, log.len()), (State::Delivered, 3));
}

pub(crate) async fn what_is_retried_and_discarded_at_once_becomes_one_or_the_other(world: World) {
    let lane = world.lane().await;
    let (tenant, webhook) = lane;
    let mut failed = Vec::new();
    for index in 0..60 {
        failed.push(world.failed(lane, &format!("f{index}"), TIMEOUT, 1).await);
    }
    let retry = world.store.create_retry_job(tenant, webhook, None, None, by(2)).await.expect("a job");
    let discard = world.store.create_discard_job(tenant, webhook, None, by(2)).await.expect("a job");
    let moving = [retry.key, discard.key].map(|job| {
        let store = world.store.clone();
        tokio::spawn(async move {
            loop {
                let moved = store.advance_job(job, 7, at(50)).await.expect("no error").expect("the job");
                if moved.state != JobState::Running {
                    return moved.done;
                }
            }
        })
    });
    let by_hand = world.store.clone();
    let (first, last) = (failed[0], failed[59]);
    let retried = tokio::spawn(async move {
        for delivery in [last, first] {
            by_hand.retry_delivery(tenant, delivery, by(50)).await.expect("no error");
        }
    });
    retried.await.expect("no panic");
    let mut done = 0;
    for job in moving {
        done += job.await.expect("no panic");
    }
    assert!((58..=60).contains(&done), "{done}");
    for delivery in failed {
        let (summary, log) = world.delivery(tenant, delivery).await;
        match summary.state {
            State::Pending => assert!(log.len() == 1 + usize::from(summary.attempts == 2), "{log:?}"),
            State::Cancelled => assert_eq!((summary.attempts, log.len()), (2, 2)),
            other => panic!("{other:?}"),
        }
    }
}
