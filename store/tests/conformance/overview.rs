//! Reads over many webhooks at a time: they find the same as looking at one after the
//! other.

use std::collections::BTreeMap;

use callboard_domain::delivery::{Cause, LoggedAttempt, Outcome};
use callboard_domain::id::{TenantKey, WebhookKey};
use callboard_domain::stats::StatsBucket;
use callboard_domain::store::{
    Backlog, DeliveryFilter, Edited, NewEvent, NewWebhook, Page, Recorded, VITALS_DELIVERIES, VITALS_QUEUED,
    WebhookCounts, WebhookEdit, WebhookFilter,
};
use callboard_domain::webhook::{Status, Webhook, read_settings};
use callboard_domain::wire::Dialect;

use crate::world::{World, at, attempt, attempt_at, by, due, event, event_about, leased, new_webhook, nth};

/// Makes a webhook of this name, at a URL below this host.
async fn made(world: &World, tenant: TenantKey, name: &str, host: &str) -> Webhook {
    let name = serde_json::Value::from(name);
    let text = format!(
        r#"{{"name": {name}, "url": "https://{host}/", "events": ["*"], "authorization_header": "Bearer sesame"}}"#
    );
    let settings = read_settings(&text, None).expect("good settings").0;
    let new = NewWebhook { settings, ..new_webhook() };
    world.store.create_webhook(tenant, new, by(0)).await.expect("a webhook")
}

async fn edited(world: &World, webhook: &Webhook, status: Status) {
    let edit = WebhookEdit { settings: webhook.settings.clone(), status, secret: None };
    let edited = world.store.update_webhook(webhook.tenant, webhook.id, webhook.revision, edit, by(1)).await;
    assert!(matches!(edited, Ok(Some(Edited::Done(_)))), "{edited:?}");
}

/// All webhooks that a filter lets through, read in pages.
async fn found(world: &World, tenant: TenantKey, filter: &WebhookFilter, limit: usize) -> Vec<Webhook> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = Page { limit, after };
        let listed = world.store.find_webhooks(tenant, filter.clone(), page).await.expect("a list");
        assert!(listed.items.len() <= limit);
        found.extend(listed.items);
        after = listed.next;
        if after.is_none() {
            return found;
        }
    }
}

pub(crate) async fn webhooks_are_found_by_name_url_dialect_and_status(world: World) {
    let (tenant, other) = (world.tenant("acme").await, world.tenant("other").await);
    let viagogo =
        r#"{"url": "https://x.example/", "dialect": "viagogo", "topics": ["Sales"], "name": "Sales"}"#;
    let viagogo = NewWebhook { settings: read_settings(viagogo, None).expect("settings").0, ..new_webhook() };
    let paused = made(&world, tenant, "100% Größe_\u{0}\"", "Partner.example").await;
    let disabled = made(&world, tenant, "Box office", "boxes.example").await;
    let viagogo = world.store.create_webhook(tenant, viagogo, by(0)).await.expect("a webhook");
    let plain = made(&world, tenant, "1000 boxes", "partner.example/a%5Fb").await;
    let gone = made(&world, tenant, "Box", "partner.example").await;
    made(&world, other, "Box", "partner.example").await;
    edited(&world, &paused, Status::Paused).await;
    edited(&world, &disabled, Status::Disabled).await;
    for webhook in [&plain, &disabled, &gone] {
        world.store.set_failing_since(webhook.key, Some(at(5))).await.expect("noted");
    }
    world.store.delete_webhook(tenant, gone.id, by(1)).await.expect("deleted");

    let all = [&plain, &viagogo, &disabled, &paused];
    let text = |text: &str| WebhookFilter { text: Some(text.to_owned()), ..WebhookFilter::default() };
    let status = |status| WebhookFilter { status: Some(status), ..WebhookFilter::default() };
    let failing = WebhookFilter { failing: true, ..WebhookFilter::default() };
    let in_viagogo = WebhookFilter { dialect: Some(Dialect::Viagogo), ..WebhookFilter::default() };
    for (filter, expected) in [
        (WebhookFilter::default(), &all[..]),
        (text(""), &all),
        (text("box"), &[&plain, &disabled]),
        (text("PARTNER.example"), &[&plain, &paused]),
        (text("0%"), &[&paused]),
        (text("e_"), &[&paused]),
        (text("größe_\0\""), &[&paused]),
        (text("%5f"), &[&plain]),
        (text("%"), &[&plain, &paused]),
        (text("sesame"), &[]),
        (text("viagogo"), &[]),
        (status(Status::Active), &[&plain, &viagogo]),
        (status(Status::Paused), &[&paused]),
        (status(Status::Disabled), &[&disabled]),
        (failing.clone(), &[&plain, &disabled]),
        (in_viagogo.clone(), &[&viagogo]),
        (WebhookFilter { text: Some("sales".to_owned()), ..in_viagogo.clone() }, &[&viagogo]),
        (WebhookFilter { text: Some("box".to_owned()), ..in_viagogo }, &[]),
        (WebhookFilter { status: Some(Status::Active), ..failing }, &[&plain]),
    ] {
        let expected: Vec<_> = expected.iter().map(|webhook| webhook.key).collect();
        for limit in [1, 2, 50] {
            let found = found(&world, tenant, &filter, limit).await;
            let keys: Vec<_> = found.iter().map(|webhook| webhook.key).collect();
            assert_eq!(keys, expected, "{filter:?} by {limit}");
        }
    }
    let page = Page { limit: 4, after: None };
    let listed = world.store.find_webhooks(tenant, WebhookFilter::default(), page).await.expect("a list");
    assert_eq!(Ok(listed.clone()), world.store.list_webhooks(tenant, page).await, "they are whole");
    assert_eq!(listed.next, None, "a page that is just full is the last");
    let counts = world.store.count_webhooks(tenant).await;
    assert_eq!(counts, Ok(WebhookCounts { all: 4, active: 2, paused: 1, disabled: 1, failing: 2 }));
    let nobody = world.tenant("nobody").await;
    assert_eq!(world.store.count_webhooks(nobody).await, Ok(WebhookCounts::default()));
    assert_eq!(found(&world, nobody, &WebhookFilter::default(), 9).await, []);
}

pub(crate) async fn webhooks_are_looked_for_in_bounded_steps(world: World) {
    let tenant = world.tenant("acme").await;
    let first = made(&world, tenant, "Needle", "a.example").await;
    let random =
        if world.url().starts_with("sqlite:") { "randomblob(16)" } else { "uuid_send(gen_random_uuid())" };
    // None of these could be opened.
    world.execute(&format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 6000)
         INSERT INTO webhooks (id, tenant, revision, settings, status, created_at, updated_at)
         SELECT {random}, {}, 1, '{{\"name\": \"Hay\", \"url\": \"https://a.example/\"}}', 'active', 1, 1
         FROM numbers",
        tenant.0
    ));
    let last = made(&world, tenant, "needles", "a.example").await;
    let filter = WebhookFilter { text: Some("needle".to_owned()), ..WebhookFilter::default() };
    let page = Page { limit: 2, after: None };
    let start = world.store.find_webhooks(tenant, filter.clone(), page).await.expect("a list");
    assert_eq!(start.items.iter().map(|webhook| webhook.key).collect::<Vec<_>>(), [last.key]);
    assert!(start.next.is_some_and(|next| next > first.key.0 + 900), "{:?}", start.next);
    assert_eq!(found(&world, tenant, &filter, 1).await, [last, first]);
    assert_eq!(world.store.count_webhooks(tenant).await.map(|counts| counts.active), Ok(6_002));
}

/// Records an event that is in its lanes already; on SQLite it has no rows of its own
/// yet.
async fn in_lanes(
    world: &World,
    tenant: TenantKey,
    id: &str,
    webhooks: &[WebhookKey],
    second: i64,
) -> Recorded {
    let deliveries = webhooks.iter().flat_map(|webhook| leased(*webhook)).collect();
    let new = NewEvent { event: event(id).into(), deliveries };
    let recorded = world.store.record_events(tenant, vec![new], at(second)).await.expect("recorded");
    recorded.into_iter().next().expect("one event")
}

/// Thirty events for two webhooks, some of them for a third, in all states; the last
/// ones are on their way.
async fn populate(world: &World, tenant: TenantKey, [one, two, few]: [WebhookKey; 3]) {
    for number in 0..30 {
        let second = number * 700;
        let webhooks: &[WebhookKey] = if number < 3 { &[one, two, few] } else { &[one, two] };
        let recorded = in_lanes(world, tenant, &format!("e{number}"), webhooks, second).await;
        for (index, webhook) in (0..).zip(webhooks) {
            let outcome = match (number + index) % 7 {
                0 => continue,
                1 => Outcome::Retry(at(99_999)),
                2 => Outcome::GivenUp,
                3 => Outcome::Superseded,
                _ => Outcome::Delivered,
            };
            // Attempts end in another order than their deliveries were made in.
            let when = at(second + [0, 9_000][usize::from(number % 5 == 0)]);
            let mut made = attempt(&recorded, index, *webhook, 1, outcome, when);
            if outcome == Outcome::Superseded {
                (made.status, made.cause) = (None, Some(Cause::Superseded));
            }
            world.finish(made).await;
        }
        if number % 7 == 6 {
            let delivery = nth(&recorded, 1);
            world.store.cancel_delivery(tenant, delivery, by(second)).await.expect("no error");
        }
        if number == 20 {
            // From here on the logs may be behind, where they ever are.
            world.settle().await;
        }
    }
}

/// The latest of the last attempts that a list shows.
async fn last_attempt(world: &World, webhook: WebhookKey) -> Option<LoggedAttempt> {
    let page = Page { limit: VITALS_DELIVERIES, after: None };
    let listed = world.store.list_deliveries(webhook, DeliveryFilter::default(), page).await.expect("a list");
    let tried = listed.items.into_iter().filter_map(|item| Some((item.key, item.last_attempt?)));
    let made = tried.filter(|(_, attempt)| attempt.was_made());
    made.max_by_key(|(key, attempt)| (attempt.started_at, *key)).map(|(_, attempt)| attempt)
}

pub(crate) async fn vitals_agree_with_what_is_told_of_one(world: World) {
    let (tenant, one) = world.lane().await;
    let two = world.webhook(tenant).await.key;
    let few = world.webhook(tenant).await.key;
    let idle = world.webhook(tenant).await.key;
    populate(&world, tenant, [one, two, few]).await;
    // Nothing is asked for before, so that what has no rows yet has none.
    for since in [at(0), at(9_000), at(99_999_999)] {
        let asked = vec![two, idle, one, few, one];
        let vitals = world.store.vitals(asked.clone(), since).await.expect("vitals");
        assert_eq!(vitals.len(), asked.len());
        for (webhook, vitals) in asked.into_iter().zip(vitals) {
            let stats = world.store.webhook_stats(webhook, since).await.expect("statistics");
            assert_eq!((&vitals.buckets, vitals.queued), (&stats.buckets, stats.queued));
            assert_eq!(vitals.last_attempt, last_attempt(&world, webhook).await);
            assert_eq!(vitals.last_attempt.is_some(), webhook != idle);
        }
    }
    assert_eq!(world.store.vitals(Vec::new(), at(0)).await, Ok(Vec::new()));
}

pub(crate) async fn vitals_see_what_is_on_its_way_and_count_so_far(world: World) {
    let (tenant, webhook) = world.lane().await;
    let queued = async || {
        let vitals = world.store.vitals(vec![webhook], at(0)).await.expect("vitals");
        (vitals[0].queued, vitals[0].last_attempt.as_ref().map(|attempt| attempt.started_at))
    };
    let recorded = in_lanes(&world, tenant, "a", &[webhook], 1).await;
    assert_eq!(queued().await, (1, None));
    world.finish(attempt(&recorded, 0, webhook, 1, Outcome::Delivered, at(2))).await;
    assert_eq!(queued().await, (0, Some(at(2))));
    // What was attempted before that many others came is not looked for.
    let many = vec![webhook; VITALS_DELIVERIES];
    let new = NewEvent { event: event("b").into(), deliveries: due(&many) };
    world.store.record_events(tenant, vec![new], at(3)).await.expect("recorded");
    assert_eq!(queued().await, (many.len() as u64, None));
    let new = |index| NewEvent { event: event(&format!("c{index}")).into(), deliveries: due(&many) };
    world.store.record_events(tenant, (0..100).map(new).collect(), at(4)).await.expect("recorded");
    assert_eq!(queued().await, (VITALS_QUEUED, None));
}

pub(crate) async fn a_tenant_has_the_sums_of_its_webhooks(world: World) {
    let (tenant, one) = world.lane().await;
    let two = world.webhook(tenant).await;
    let few = world.webhook(tenant).await.key;
    populate(&world, tenant, [one, two.key, few]).await;
    let other = world.tenant("other").await;
    let theirs = world.webhook(other).await.key;
    let recorded = world.record(other, event_about("x", "order.paid", "O-1"), &[theirs], at(1)).await;
    world.finish(attempt_at(nth(&recorded, 0), recorded.key, theirs, 1, Outcome::GivenUp, at(2))).await;
    world.record(other, event_about("y", "order.paid", "O-1"), &[theirs], at(0)).await;

    let agree = async |webhooks: &[WebhookKey], since| {
        let sums = world.store.tenant_stats(tenant, since).await.expect("statistics");
        let mut hours: BTreeMap<_, StatsBucket> = BTreeMap::new();
        let (mut queued, mut oldest) = (0, Vec::new());
        for webhook in webhooks {
            let stats = world.store.webhook_stats(*webhook, since).await.expect("statistics");
            queued += stats.queued;
            oldest.extend(stats.oldest_queued_at);
            for bucket in stats.buckets {
                match hours.get_mut(&bucket.start) {
                    Some(sum) => sum.add(&bucket),
                    None => drop(hours.insert(bucket.start, bucket)),
                }
            }
        }
        assert_eq!(sums.buckets, hours.into_values().collect::<Vec<_>>());
        assert_eq!((sums.queued, sums.oldest_queued_at), (queued, oldest.into_iter().min()));
        (sums.buckets.len(), queued)
    };
    let (hours, queued) = agree(&[one, two.key, few], at(0)).await;
    assert!(hours > 3 && queued > 9, "{hours} hours, {queued} wait");
    assert!(agree(&[one, two.key, few], at(9_000)).await.0 < hours);
    // What happened stays when a webhook is deleted, and what waits for it is about to go.
    let before = world.store.tenant_stats(tenant, at(0)).await.expect("statistics");
    world.store.delete_webhook(tenant, two.id, by(1)).await.expect("deleted");
    let after = world.store.tenant_stats(tenant, at(0)).await.expect("statistics");
    assert_eq!(after.buckets, before.buckets);
    let mut left = 0;
    for webhook in [one, few] {
        left += world.store.webhook_stats(webhook, at(0)).await.expect("statistics").queued;
    }
    assert_eq!((after.queued, after.queued < before.queued), (left, true));
    let nobody = world.tenant("nobody").await;
    let nothing = world.store.tenant_stats(nobody, at(0)).await.expect("statistics");
    assert_eq!((nothing.buckets.len(), nothing.queued, nothing.oldest_queued_at), (0, 0, None));
}

pub(crate) async fn the_backlog_is_what_waits_for_anybody(world: World) {
    let backlog = async |seconds| {
        let Backlog { deliveries, due_since } = world.store.backlog(at(seconds)).await.expect("a backlog");
        (deliveries, due_since)
    };
    assert_eq!(backlog(9).await, (0, None));
    let (tenant, one) = world.lane().await;
    let two = world.webhook(tenant).await.key;
    let other = world.tenant("other").await;
    let theirs = world.webhook(other).await.key;
    let first = world.record(tenant, event("a"), &[one, two], at(5)).await;
    world.record(other, event("a"), &[theirs], at(7)).await;
    assert_eq!(backlog(9).await, (3, Some(at(5))));
    assert_eq!(backlog(5).await, (3, Some(at(5))), "it is due from then on");
    assert_eq!(backlog(4).await, (3, None), "nothing is due yet");

    // What a process holds is there still, and not due.
    assert_eq!(world.claim(one, 9, at(10)).await.len(), 1);
    assert_eq!(backlog(10).await, (3, Some(at(5))));
    assert_eq!(world.claim(two, 9, at(10)).await.len(), 1);
    assert_eq!(backlog(10).await, (3, Some(at(7))));
    assert_eq!(world.claim(theirs, 9, at(10)).await.len(), 1);
    assert_eq!(backlog(10).await, (3, None));

    // What waits for its next attempt is due then; what is over is gone.
    world.finish(attempt(&first, 0, one, 1, Outcome::Retry(at(60)), at(11))).await;
    assert_eq!(backlog(59).await, (3, None));
    assert_eq!(backlog(60).await, (3, Some(at(60))));
    world.finish(attempt(&first, 1, two, 1, Outcome::Delivered, at(11))).await;
    assert_eq!(backlog(60).await, (2, Some(at(60))));
    world.store.cancel_delivery(tenant, nth(&first, 0), by(61)).await.expect("no error");
    assert_eq!(backlog(99).await, (1, None));
}

pub(crate) async fn the_space_that_is_taken_grows(world: World) {
    let (tenant, webhook) = world.lane().await;
    let before = world.store.space().await.expect("a size");
    assert!(before.bytes > 0 && before.free_bytes.is_none_or(|free| free < before.bytes), "{before:?}");
    let mut large = event("large");
    // It does not get smaller where texts are compressed.
    let mut seed = 1_u64;
    let body: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed.to_be_bytes()[0]
    })
    .take(3 << 20)
    .collect();
    large.body = body.into();
    world.record(tenant, large, &[webhook], at(1)).await;
    let after = world.store.space().await.expect("a size");
    assert!(after.bytes >= before.bytes + (3 << 20), "{before:?}, {after:?}");
}
