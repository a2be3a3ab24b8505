//! What has failed, over all webhooks of a tenant.

use callboard_domain::delivery::{Attempt, Cause, Outcome, Reason};
use callboard_domain::id::{DeliveryKey, TenantKey, WebhookKey};
use callboard_domain::job::JobState;
use callboard_domain::store::{FailedCount, FailedFilter, FailedGroup, Page};

use crate::world::{World, at, attempt, by, event, nth};

pub(crate) const TIMEOUT: Reason = Reason { cause: Some(Cause::Timeout), status: None };

/// Answered with this status.
pub(crate) fn answered(status: u16) -> Reason {
    Reason { cause: Some(Cause::Status), status: Some(status) }
}

impl World {
    /// Records an event whose only delivery fails so.
    pub(crate) async fn failed(
        &self,
        (tenant, webhook): (TenantKey, WebhookKey),
        id: &str,
        reason: Reason,
        seconds: i64,
    ) -> DeliveryKey {
        let recorded = self.record(tenant, event(id), &[webhook], at(seconds)).await;
        let attempt = attempt(&recorded, 0, webhook, 1, Outcome::GivenUp, at(seconds));
        self.finish(Attempt { cause: reason.cause, status: reason.status, ..attempt }).await;
        nth(&recorded, 0)
    }

    /// All that is failed, read in pages.
    async fn all_failed(&self, tenant: TenantKey, filter: FailedFilter, limit: usize) -> Vec<DeliveryKey> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = Page { limit, after };
            let listed = self.store.list_failed(tenant, filter, page).await.expect("a list");
            assert!(listed.items.len() <= limit);
            found.extend(listed.items.into_iter().map(|item| item.key));
            after = listed.next;
            if after.is_none() {
                return found;
            }
        }
    }

    async fn groups(&self, tenant: TenantKey) -> Vec<FailedGroup> {
        let groups = self.store.failed_groups(tenant).await.expect("groups");
        assert!(!groups.capped);
        groups.groups
    }
}

pub(crate) async fn what_failed_is_grouped_by_webhook_and_reason(world: World) {
    let tenant = world.tenant("acme").await;
    let (one, two) = (world.webhook(tenant).await, world.webhook(tenant).await);
    let other = world.tenant("other").await;
    let theirs = world.webhook(other).await.key;
    assert_eq!(world.groups(tenant).await, []);
    for index in 0..6 {
        let lane = (tenant, if index < 4 { one.key } else { two.key });
        world.failed(lane, &format!("a{index}"), answered(503), 10 + index).await;
    }
    world.failed((tenant, one.key), "b", answered(500), 20).await;
    let timeout = world.failed((tenant, one.key), "c", TIMEOUT, 21).await;
    world.failed((other, theirs), "d", answered(503), 22).await;
    world.ended((tenant, one.key), event("e"), Outcome::Delivered, at(23)).await;
    let group = |webhook, reason, count, oldest, newest| FailedGroup {
        webhook,
        reason,
        count,
        oldest: at(oldest),
        newest: at(newest),
    };
    let expected = [
        group(one.key, answered(503), 4, 10, 13),
        group(two.key, answered(503), 2, 14, 15),
        group(one.key, TIMEOUT, 1, 21, 21),
        group(one.key, answered(500), 1, 20, 20),
    ];
    assert_eq!(world.groups(tenant).await, expected);
    assert_eq!(world.groups(other).await, [group(theirs, answered(503), 1, 22, 22)]);

    // What is no longer failed is gone, and so is a webhook with all of it.
    world.store.retry_delivery(tenant, timeout, by(30)).await.expect("no error");
    world.store.delete_webhook(tenant, two.id, by(30)).await.expect("no error").expect("deleted");
    assert_eq!(world.groups(tenant).await, [expected[0], expected[3]]);
}

pub(crate) async fn what_failed_of_one_webhook_is_counted_so_far(world: World) {
    let (tenant, webhook) = world.lane().await;
    let (other, stranger) = (world.webhook(tenant).await, world.tenant("stranger").await);
    let counted = async |tenant, webhook, reason, most| {
        let counted = world.store.count_failed(tenant, webhook, reason, most).await.expect("a count");
        (counted.count, counted.capped)
    };
    assert_eq!(world.store.count_failed(tenant, webhook, None, 9).await, Ok(FailedCount::default()));
    let mut failed = Vec::new();
    for (id, reason) in [("a", TIMEOUT), ("b", TIMEOUT), ("c", answered(503)), ("d", answered(500))] {
        failed.push(world.failed((tenant, webhook), id, reason, 10).await);
        world.failed((tenant, other.key), &format!("other-{id}"), reason, 10).await;
    }
    world.ended((tenant, webhook), event("e"), Outcome::Delivered, at(11)).await;
    assert_eq!(counted(tenant, webhook, None, 5).await, (4, false));
    assert_eq!(counted(tenant, webhook, None, 4).await, (4, true), "there may be more");
    assert_eq!(counted(tenant, webhook, None, 3).await, (3, true));
    let status = Reason { cause: Some(Cause::Status), status: None };
    for (reason, most, expected) in [
        (TIMEOUT, 9, (2, false)),
        (TIMEOUT, 3, (1, true)),
        (TIMEOUT, 2, (0, true)),
        (status, 9, (2, false)),
        (answered(503), 9, (1, false)),
        (answered(404), 9, (0, false)),
        (Reason { cause: None, status: Some(500) }, 9, (1, false)),
        (Reason::default(), 9, (4, false)),
    ] {
        assert_eq!(counted(tenant, webhook, Some(reason), most).await, expected, "{reason:?} of {most}");
    }

    // What is no longer failed does not count, nor what is another's or deleted.
    world.store.retry_delivery(tenant, failed[0], by(30)).await.expect("no error");
    assert_eq!(counted(tenant, webhook, None, 9).await, (3, false));
    assert_eq!(counted(stranger, webhook, None, 9).await, (0, false));
    assert_eq!(counted(tenant, other.key, None, 9).await, (4, false));
    world.store.delete_webhook(tenant, other.id, by(31)).await.expect("no error").expect("deleted");
    assert_eq!(counted(tenant, other.key, None, 9).await, (0, false));
}

pub(crate) async fn what_failed_is_listed_over_all_webhooks(world: World) {
    let tenant = world.tenant("acme").await;
    let mut webhooks = Vec::new();
    for _ in 0..5 {
        webhooks.push(world.webhook(tenant).await);
    }
    let other = world.tenant("other").await;
    let theirs = world.webhook(other).await.key;
    world.failed((other, theirs), "theirs", TIMEOUT, 1).await;
    let reasons = [answered(503), TIMEOUT, answered(500), Reason::default()];
    let mut all = Vec::new();
    for index in 0..60 {
        // Of the last one only the oldest failed.
        let webhook = if index < 3 { 4 } else { index * index % 4 };
        let reason = reasons[index % 7 % 4];
        let id = format!("e{index}");
        let webhook = webhooks[webhook].key;
        all.push((world.failed((tenant, webhook), &id, reason, 1).await, webhook, reason));
        world.ended((tenant, webhook), event(&format!("d{index}")), Outcome::Delivered, at(1)).await;
    }
    all.reverse();
    let status = |status| Some(Reason { cause: None, status });
    let chosen =
        [None, status(None), status(Some(503)), status(Some(404)), Some(TIMEOUT), Some(answered(500))];
    for reason in chosen.into_iter().chain([Some(Reason { cause: Some(Cause::Status), status: None })]) {
        for webhook in [None, Some(webhooks[0].key), Some(webhooks[4].key), Some(theirs)] {
            let filter = FailedFilter { webhook, reason };
            let fits = |failed: Reason| {
                let wanted = reason.unwrap_or_default();
                wanted.cause.is_none_or(|cause| failed.cause == Some(cause))
                    && wanted.status.is_none_or(|status| failed.status == Some(status))
            };
            let expected =
                all.iter().filter(|(_, of, failed)| webhook.is_none_or(|one| *of == one) && fits(*failed));
            let expected: Vec<_> = expected.map(|(key, ..)| *key).collect();
            for limit in [1, 4, 100] {
                assert_eq!(world.all_failed(tenant, filter, limit).await, expected, "{filter:?}");
            }
        }
    }
    let page = Page { limit: 3, after: None };
    let first = world.store.list_failed(tenant, FailedFilter::default(), page).await.expect("a list");
    assert_eq!(first.items[0].last_attempt.as_ref().map(|attempt| attempt.number), Some(1));
    let gone = world.store.delete_webhook(tenant, webhooks[4].id, by(2)).await;
    gone.expect("no error").expect("deleted");
    let left = all.iter().filter(|(_, webhook, _)| *webhook != webhooks[4].key).map(|(key, ..)| *key);
    assert_eq!(world.all_failed(tenant, FailedFilter::default(), 9).await, left.collect::<Vec<_>>());
}

pub(crate) async fn what_is_discarded_is_no_longer_failed(world: World) {
    let lane = world.lane().await;
    let (tenant, webhook) = lane;
    world.failed(lane, "a", TIMEOUT, 1).await;
    let kept = world.failed(lane, "b", answered(503), 2).await;
    let job = world.store.create_discard_job(tenant, webhook, Some(TIMEOUT), by(3)).await.expect("a job");
    let ended = world.store.advance_job(job.key, 10, at(4)).await.expect("no error").expect("the job");
    assert_eq!((ended.state, ended.done), (JobState::Finished, 1));
    assert_eq!(world.all_failed(tenant, FailedFilter::default(), 9).await, [kept]);
    assert_eq!(world.groups(tenant).await.len(), 1);
}
