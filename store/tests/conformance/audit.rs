//! The audit log: an entry for each change, with it or not at all.

use callboard_domain::access::{Scopes, digest};
use callboard_domain::audit::{Actor, By, Change, Entry, EntryFilter};
use callboard_domain::delivery::Outcome;
use callboard_domain::id::{ClientId, TenantKey};
use callboard_domain::job::JobState;
use callboard_domain::store::{Edited, NewClient, NewEvent, NewWebhook, Page, WebhookEdit};
use callboard_domain::webhook::{MASK, Status, read_settings};
use serde_json::json;

use crate::world::{World, at, by, due, event, new_webhook, nth, secret};

const ALL: Page = Page { limit: 100, after: None };

impl World {
    /// Everything in the log of a tenant, or of the deployment, newest first.
    async fn log(&self, tenant: Option<TenantKey>, filter: &EntryFilter, limit: usize) -> Vec<Entry> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = Page { limit, after };
            let listed = self.store.list_audit(tenant, filter.clone(), page).await.expect("a list");
            assert!(listed.items.len() <= limit);
            found.extend(listed.items);
            after = listed.next;
            if after.is_none() {
                return found;
            }
        }
    }

    async fn actions(&self, tenant: TenantKey) -> Vec<String> {
        let log = self.log(Some(tenant), &EntryFilter::default(), 100).await;
        log.into_iter().rev().map(|entry| entry.action).collect()
    }
}

fn client_at(seconds: i64) -> By {
    let actor = Actor::Client { id: "shop".parse().expect("an id"), name: "Ticket shop".to_owned() };
    By { actor, address: Some([203, 0, 113, 7].into()), at: at(seconds) }
}

pub(crate) async fn a_change_is_told_with_who_made_it_and_what_differs(world: World) {
    let tenant = world.tenant("acme").await;
    let text = r#"{"name": "One", "url": "https://one.example/", "events": ["*"],
        "headers": {"x-key": "sesame-1"}, "authorization_header": "Bearer sesame-2"}"#;
    let settings = |text: &str| read_settings(text, None).expect("good settings").0;
    let new = NewWebhook { settings: settings(text), ..new_webhook() };
    let made = world.store.create_webhook(tenant, new, client_at(1)).await.expect("a webhook");
    let other = text.replace("one.example", "two.example").replace("sesame-1", "sesame-3");
    let edit = WebhookEdit { settings: settings(&other), status: Status::Active, secret: Some(secret()) };
    let edited = world.store.update_webhook(tenant, made.id, made.revision, edit, client_at(2)).await;
    assert!(matches!(edited, Ok(Some(Edited::Done(_)))));
    world.store.rotate_secret(tenant, made.id, secret(), at(9), client_at(3)).await.expect("rotated");
    world.store.delete_webhook(tenant, made.id, client_at(4)).await.expect("deleted");

    let log = world.log(Some(tenant), &EntryFilter::default(), 100).await;
    let [deleted, rotated, updated, created] = &*log else { panic!("{log:?}") };
    for (entry, action, seconds) in [
        (created, "webhook.created", 1),
        (updated, "webhook.updated", 2),
        (rotated, "webhook.secret_rotated", 3),
        (deleted, "webhook.deleted", 4),
    ] {
        assert_eq!((&*entry.action, entry.at), (action, at(seconds)));
        assert_eq!((&*entry.target_kind, &entry.target_id), ("webhook", &made.id.to_string()));
        let actor = (&*entry.actor_kind, &*entry.actor_id, &*entry.actor_name);
        assert_eq!(actor, ("client", "shop", "Ticket shop"));
        assert_eq!(entry.address.as_deref(), Some("203.0.113.7"));
    }
    assert_eq!(
        (updated.before.clone(), updated.after.clone()),
        (
            Some(json!({"url": "https://one.example/", "headers": {"x-key": MASK}, "secret": MASK})),
            Some(json!({"url": "https://two.example/", "headers": {"x-key": MASK}, "secret": MASK})),
        )
    );
    assert_eq!(created.before, None);
    assert_eq!(created.after.as_ref().expect("all of it")["authorization_header"], MASK);
    assert_eq!((deleted.before.is_some(), &deleted.after), (true, &None));
    let told = format!("{log:?}");
    let secrets = [made.secrets[0].secret.to_text(), secret().to_text()];
    assert!(!told.contains("sesame") && secrets.iter().all(|secret| !told.contains(&**secret)), "{told}");
}

pub(crate) async fn what_was_refused_or_changes_nothing_is_not_told(world: World) {
    let (tenant, other) = (world.tenant("acme").await, world.tenant("other").await);
    let made = world.webhook(tenant).await;
    let edit = |status| WebhookEdit { settings: made.settings.clone(), status, secret: None };
    let update = async |tenant, revision, status| {
        world.store.update_webhook(tenant, made.id, revision, edit(status), by(2)).await.expect("no error")
    };
    assert_eq!(update(tenant, made.revision + 1, Status::Paused).await, Some(Edited::Stale));
    assert_eq!(update(other, made.revision, Status::Paused).await, None);
    assert!(matches!(update(tenant, made.revision, Status::Active).await, Some(Edited::Done(_))));
    world.store.delete_webhook(other, made.id, by(3)).await.expect("no error");
    world.store.rotate_secret(other, made.id, secret(), at(9), by(3)).await.expect("no error");
    assert_eq!(world.actions(tenant).await, ["webhook.created"]);
    assert!(matches!(update(tenant, made.revision + 1, Status::Paused).await, Some(Edited::Done(_))));
    assert_eq!(world.actions(tenant).await, ["webhook.created", "webhook.paused"]);
    assert_eq!(world.actions(other).await, [] as [&str; 0]);

    let id: ClientId = "one".parse().expect("an id");
    let new = NewClient {
        id: id.clone(),
        name: "Shop".to_owned(),
        secret_digest: digest("sesame"),
        scopes: Scopes::all(),
    };
    world.store.create_client(tenant, new, by(4)).await.expect("a client");
    world.store.set_client_enabled(tenant, &id, true, by(5)).await.expect("no error");
    world.store.set_client_enabled(other, &id, false, by(5)).await.expect("no error");
    world.store.delete_client(other, &id, by(5)).await.expect("no error");
    world.store.set_client_enabled(tenant, &id, false, by(5)).await.expect("no error");
    world.store.delete_client(tenant, &id, by(6)).await.expect("no error");
    let expected = ["client.created", "client.disabled", "client.deleted"];
    assert_eq!(world.actions(tenant).await[2..], expected);
    assert_eq!(world.actions(other).await, [] as [&str; 0]);
}

pub(crate) async fn what_callboard_does_itself_is_told_too(world: World) {
    let tenant = world.tenant("acme").await;
    let made = world.webhook(tenant).await;
    let reason = "the receiver answered 410".to_owned();
    for _ in 0..2 {
        world.store.disable_webhook(made.key, reason.clone(), at(7)).await.expect("no error");
    }
    let log = world.log(Some(tenant), &EntryFilter::default(), 100).await;
    let [disabled, _] = &*log else { panic!("{log:?}") };
    assert_eq!(
        (&*disabled.action, &*disabled.actor_kind, disabled.at),
        ("webhook.disabled", "system", at(7))
    );
    assert_eq!(disabled.before, Some(json!({"status": "active"})));
    assert_eq!(disabled.after, Some(json!({"status": "disabled", "disabled_reason": reason})));
}

pub(crate) async fn what_is_done_by_hand_is_told(world: World) {
    let (tenant, webhook) = world.lane().await;
    let failed = world.ended((tenant, webhook), event("e-1"), Outcome::GivenUp, at(1)).await;
    let key = nth(&failed, 0);
    world.store.retry_delivery(tenant, key, by(2)).await.expect("no error");
    world.store.retry_delivery(tenant, key, by(2)).await.expect("refused");
    world.store.cancel_delivery(tenant, key, by(3)).await.expect("no error");
    world.store.cancel_delivery(tenant, key, by(3)).await.expect("refused");
    let job = world.store.create_retry_job(tenant, webhook, None, Some(2.0), by(4)).await.expect("a job");
    world.store.create_retry_job(tenant, webhook, None, None, by(4)).await.expect("the same job");
    world.store.end_job(tenant, job.key, JobState::Stopped, by(5)).await.expect("stopped");
    world.store.end_job(tenant, job.key, JobState::Stopped, by(5)).await.expect("stopped already");
    let id = world.store.webhook_by_key(webhook).await.expect("no error").expect("a webhook").id;
    let ping = NewEvent { event: event("ping").into(), deliveries: due(&[webhook]) };
    let pinged = world.store.record_by_hand(tenant, ping, (by(6), Change::pinged(id))).await.expect("a ping");
    assert_eq!(world.claim(webhook, 9, at(9)).await.last().map(|one| one.delivery), Some(nth(&pinged, 0)));
    world.store.note(tenant, by(7), Change::secret_shown(id)).await.expect("noted");

    let log = world.log(Some(tenant), &EntryFilter::default(), 2).await;
    let told: Vec<_> = log.iter().rev().map(|entry| (&*entry.action, &*entry.target_id)).collect();
    let (id, key, job) = (id.to_string(), key.to_string(), job.key.to_string());
    let expected = [
        ("webhook.created", &*id),
        ("delivery.retried", &*key),
        ("delivery.cancelled", &*key),
        ("retry_failed.started", &*job),
        ("job.stopped", &*job),
        ("webhook.pinged", &*id),
        ("webhook.secret_shown", &*id),
    ];
    assert_eq!(told, expected);
    let started = log.iter().find(|entry| entry.action == "retry_failed.started").expect("an entry");
    assert_eq!(started.after, Some(json!({"webhook_id": id, "rate_per_second": 2.0})));
}

pub(crate) async fn each_tenant_sees_its_own_and_nobody_the_deployments(world: World) {
    let (tenant, other) = (world.tenant_keeping("acme", None).await, world.tenant("other").await);
    world.webhook(tenant.key).await;
    world.webhook(other).await;
    world.store.update_tenant(&tenant.id, "Acme".to_owned(), None, by(1)).await.expect("edited");
    world.store.update_tenant(&tenant.id, "Acme".to_owned(), None, by(2)).await.expect("the same");
    assert_eq!(world.actions(tenant.key).await, ["webhook.created"]);
    assert_eq!(world.actions(other).await, ["webhook.created"]);
    let log = world.log(None, &EntryFilter::default(), 100).await;
    let told: Vec<_> = log.iter().map(|entry| (&*entry.action, &*entry.target_id)).collect();
    assert_eq!(told, [("tenant.updated", "acme"), ("tenant.created", "other"), ("tenant.created", "acme")]);
    assert_eq!(log[0].before, Some(json!({"name": "A tenant"})));
    assert_eq!(log[0].after, Some(json!({"name": "Acme"})));
}

pub(crate) async fn every_filter_of_the_log_pages_to_the_end(world: World) {
    let tenant = world.tenant("acme").await;
    let made = world.webhook(tenant).await;
    for seconds in 1..=40 {
        let by = if seconds % 4 == 0 { client_at(seconds) } else { by(seconds) };
        let change =
            if seconds % 3 == 0 { Change::pinged(made.id) } else { Change::secret_shown(other_id(seconds)) };
        world.store.note(tenant, by, change).await.expect("noted");
    }
    let all = world.log(Some(tenant), &EntryFilter::default(), 7).await;
    assert_eq!(all.len(), 41);
    let action = |text: &str| Some(text.parse().expect("a pattern"));
    let none = EntryFilter::default;
    for filter in [
        EntryFilter { actor_id: Some("shop".to_owned()), ..none() },
        EntryFilter { actor_id: Some("system".to_owned()), ..none() },
        EntryFilter { action: action("webhook.pinged"), ..none() },
        EntryFilter { action: action("webhook.*"), ..none() },
        EntryFilter { action: action("delivery.*"), ..none() },
        EntryFilter { target_id: Some(made.id.to_string()), ..none() },
        EntryFilter { target_id: Some(made.id.to_string()), actor_id: Some("shop".to_owned()), ..none() },
        EntryFilter { since: Some(at(10)), until: Some(at(20)), ..none() },
        EntryFilter { actor_id: Some("\0".to_owned()), ..none() },
    ] {
        let fits = |entry: &&Entry| {
            filter.actor_id.as_ref().is_none_or(|id| *id == entry.actor_id)
                && filter.target_id.as_ref().is_none_or(|id| *id == entry.target_id)
                && filter.action.as_ref().is_none_or(|action| match action.exact() {
                    Some(exact) => exact == entry.action,
                    None => entry.action.starts_with(action.start()),
                })
                && filter.since.is_none_or(|since| entry.at >= since)
                && filter.until.is_none_or(|until| entry.at < until)
        };
        let expected: Vec<_> = all.iter().filter(fits).collect();
        for limit in [1, 3, 100] {
            let found = world.log(Some(tenant), &filter, limit).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
        }
    }
}

fn other_id(number: i64) -> callboard_domain::id::WebhookId {
    let mut bytes = [9; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    callboard_domain::id::WebhookId::from_bytes(bytes)
}

pub(crate) async fn old_entries_go_in_steps(world: World) {
    let tenant = world.tenant("acme").await;
    let made = world.webhook(tenant).await;
    for seconds in 1..=10 {
        world.store.note(tenant, by(seconds), Change::pinged(made.id)).await.expect("noted");
    }
    let prune = async |seconds| world.store.prune_audit(at(seconds), 4).await.expect("pruned");
    // The tenant's and the webhook's are of second 0.
    assert_eq!((prune(5).await.rows, prune(5).await.rows, prune(5).await.rows), (4, 2, 0));
    let left = world.log(Some(tenant), &EntryFilter::default(), 100).await;
    let times: Vec<_> = left.iter().map(|entry| entry.at).collect();
    assert_eq!(times, [10, 9, 8, 7, 6, 5].map(at));
    let newer = world.store.note(tenant, by(11), Change::pinged(made.id)).await;
    newer.expect("noted");
    let listed = world.store.list_audit(Some(tenant), EntryFilter::default(), ALL).await.expect("a list");
    assert!(listed.items[0].key > left[0].key && listed.next.is_none());
}
