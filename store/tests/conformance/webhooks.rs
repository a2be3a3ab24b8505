//! Webhooks and their secrets.

use callboard_domain::store::{Edited, NewWebhook, Page, WebhookEdit, WebhookSlice};
use callboard_domain::webhook::{Status, Webhook, read_settings};
use callboard_domain::wire::Dialect;

use crate::world::{World, at, by, new_webhook, secret, settings};

pub(crate) async fn a_webhook_survives_the_round_trip(mut world: World) {
    let tenant = world.tenant("acme").await;
    let new = new_webhook();
    let made = world.store.create_webhook(tenant, new.clone(), by(0)).await.expect("a webhook");
    assert_eq!((made.id, made.tenant, made.status), (new.id, tenant, Status::Active));
    assert_eq!((&made.settings, made.created_at, made.updated_at), (&new.settings, at(0), at(0)));
    assert_eq!(made.secrets[0].secret, new.secret);
    assert_eq!((made.secrets.len(), made.secrets[0].expires_at), (1, None));
    assert!((1..=i64::from(i32::MAX)).contains(&made.key.0));
    world.restart().await;
    assert_eq!(world.store.webhook(tenant, new.id).await, Ok(Some(made.clone())));
    assert_eq!(world.store.webhook_by_key(made.key).await, Ok(Some(made)));
}

pub(crate) async fn stale_edits_are_refused(world: World) {
    let tenant = world.tenant("acme").await;
    let made = world.webhook(tenant).await;
    let mut changed = settings();
    "Another name".clone_into(&mut changed.name);
    let edit = |revision| {
        let edit = WebhookEdit { settings: changed.clone(), status: Status::Paused, secret: None };
        world.store.update_webhook(tenant, made.id, revision, edit, by(5))
    };
    let Ok(Some(Edited::Done(edited))) = edit(made.revision).await else { panic!("an edit") };
    assert_eq!((edited.settings.name.as_str(), edited.status), ("Another name", Status::Paused));
    assert_eq!((edited.updated_at, edited.created_at), (at(5), at(0)));
    assert_eq!(edit(made.revision).await, Ok(Some(Edited::Stale)));
    assert!(matches!(edit(edited.revision).await, Ok(Some(Edited::Done(_)))));

    let other = world.tenant("other").await;
    let edit = WebhookEdit { settings: settings(), status: Status::Active, secret: None };
    let foreign = world.store.update_webhook(other, made.id, edited.revision, edit, by(6)).await;
    assert_eq!(foreign, Ok(None));
}

pub(crate) async fn deletion_hides_it_everywhere(world: World) {
    let (tenant, other) = (world.tenant("acme").await, world.tenant("other").await);
    let made = world.webhook(tenant).await;
    assert_eq!(world.store.delete_webhook(other, made.id, by(1)).await, Ok(None));
    assert_eq!(world.store.delete_webhook(tenant, made.id, by(1)).await, Ok(Some(made.key)));
    assert_eq!(world.store.delete_webhook(tenant, made.id, by(1)).await, Ok(None));
    assert_eq!(world.store.webhook(tenant, made.id).await, Ok(None));
    assert_eq!(world.store.webhook_by_key(made.key).await, Ok(None));
    assert_eq!(world.store.webhooks_of(tenant).await, Ok(vec![]));
    let rotated = world.store.rotate_secret(tenant, made.id, secret(), at(3), by(2)).await;
    assert_eq!(rotated, Ok(None));
    let disabled = world.store.disable_webhook(made.key, "it is gone".to_owned(), at(2)).await;
    assert_eq!(disabled, Ok(None));
    assert!(world.webhook(tenant).await.key > made.key, "keys are not used again");
}

pub(crate) async fn secrets_overlap_and_end(world: World) {
    let tenant = world.tenant("acme").await;
    let made = world.webhook(tenant).await;
    let [second, third, fourth] = [secret(), secret(), secret()];
    let rotate = async |secret, now, until| -> Webhook {
        let rotated = world.store.rotate_secret(tenant, made.id, secret, at(until), by(now)).await;
        rotated.expect("no error").expect("the webhook")
    };
    let ends = |webhook: &Webhook| -> Vec<_> {
        webhook.secrets.iter().map(|stored| (stored.secret.clone(), stored.expires_at)).collect()
    };
    let first = made.secrets[0].secret.clone();
    let rotated = rotate(second.clone(), 10, 100).await;
    assert_eq!(ends(&rotated), [(second.clone(), None), (first.clone(), Some(at(100)))]);
    assert_eq!(rotated.revision, made.revision);
    let rotated = rotate(third.clone(), 20, 200).await;
    let expected = [(third.clone(), None), (second, Some(at(200))), (first, Some(at(100)))];
    assert_eq!(ends(&rotated), expected);
    let rotated = rotate(fourth.clone(), 200, 300).await;
    assert_eq!(ends(&rotated), [(fourth, None), (third, Some(at(300)))]);
    let last = secret();
    assert_eq!(ends(&rotate(last.clone(), 400, 400).await), [(last, None)]);
}

pub(crate) async fn an_edit_may_bring_a_secret_that_signs_alone(world: World) {
    let tenant = world.tenant("acme").await;
    let made = world.webhook(tenant).await;
    let edit = |secret| WebhookEdit { settings: settings(), status: Status::Active, secret };
    let update = async |revision, secret| -> Edited {
        let edited = world.store.update_webhook(tenant, made.id, revision, edit(secret), by(5)).await;
        edited.expect("no error").expect("the webhook")
    };
    let new = secret();
    let Edited::Done(edited) = update(made.revision, Some(new.clone())).await else { panic!("an edit") };
    let secrets: Vec<_> = edited.secrets.iter().map(|stored| (&stored.secret, stored.expires_at)).collect();
    assert_eq!(secrets, [(&new, None)]);
    assert_eq!(update(made.revision, Some(secret())).await, Edited::Stale);
    let Edited::Done(again) = update(edited.revision, None).await else { panic!("an edit") };
    assert_eq!(again.secrets, edited.secrets, "neither a stale edit nor one without a secret changes them");
}

pub(crate) async fn disabling_tells_why_until_the_status_changes(world: World) {
    let tenant = world.tenant("acme").await;
    let made = world.webhook(tenant).await;
    assert_eq!((made.disabled_reason.as_ref(), made.failing_since), (None, None));
    assert_eq!(world.store.set_failing_since(made.key, Some(at(5))).await, Ok(Some(at(5))));
    assert_eq!(world.store.set_failing_since(made.key, Some(at(7))).await, Ok(Some(at(5))), "it fails since");
    assert_eq!(world.store.set_failing_since(made.key, None).await, Ok(None));
    assert_eq!(world.store.set_failing_since(made.key, Some(at(5))).await, Ok(Some(at(5))));
    let failing = world.store.webhook_by_key(made.key).await.expect("no error").expect("the webhook");
    assert_eq!((failing.failing_since, failing.revision), (Some(at(5)), made.revision));

    let disable = async |reason: &str| -> Webhook {
        let disabled = world.store.disable_webhook(made.key, reason.to_owned(), at(9)).await;
        disabled.expect("no error").expect("the webhook")
    };
    let disabled = disable("it answered 410").await;
    assert_eq!((disabled.status, disabled.updated_at), (Status::Disabled, at(9)));
    assert_eq!(disabled.disabled_reason.as_deref(), Some("it answered 410"));
    let again = world.store.disable_webhook(made.key, "another reason".to_owned(), at(9)).await;
    assert_eq!(again, Ok(None), "it is disabled already");

    let edit = async |revision, status| -> Webhook {
        let edit = WebhookEdit { settings: settings(), status, secret: None };
        let edited = world.store.update_webhook(tenant, made.id, revision, edit, by(10)).await;
        let Ok(Some(Edited::Done(edited))) = edited else { panic!("{edited:?}") };
        *edited
    };
    let kept = edit(disabled.revision, Status::Disabled).await;
    assert_eq!(kept.disabled_reason, disabled.disabled_reason);
    let enabled = edit(kept.revision, Status::Active).await;
    assert_eq!((enabled.disabled_reason, enabled.failing_since), (None, None));
}

pub(crate) async fn webhooks_page_newest_first(world: World) {
    let tenant = world.tenant("acme").await;
    let other = world.tenant("other").await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(world.webhook(tenant).await);
        world.webhook(other).await;
    }
    assert_eq!(world.store.webhooks_of(tenant).await.expect("webhooks").len(), 5);
    made.reverse();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let listed = world.store.list_webhooks(tenant, Page { limit: 2, after }).await.expect("a list");
        found.extend(listed.items);
        after = listed.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, made);
}

fn in_dialect(text: &str, nonce: Option<&str>) -> NewWebhook {
    let settings = read_settings(text, None).expect("good settings").0;
    NewWebhook { settings, nonce: nonce.map(str::to_owned), ..new_webhook() }
}

pub(crate) async fn webhooks_of_one_dialect_are_counted_and_sliced(world: World) {
    let (tenant, other) = (world.tenant("acme").await, world.tenant("other").await);
    let topics = r#"{"url": "https://example.com", "dialect": "viagogo", "topics": ["Sales"]}"#;
    let pair = r#"{"url": "https://example.com", "dialect": "openticket", "resource": "event", "trigger": "create"}"#;
    let mut made = Vec::new();
    for index in 0..5 {
        world.webhook(tenant).await;
        let nonce = format!("nonce-{index}");
        let named = world.store.create_webhook(tenant, in_dialect(pair, Some(&nonce)), by(0)).await;
        assert_eq!(named.expect("a webhook").nonce.as_deref(), Some(&*nonce));
        world.store.create_webhook(other, in_dialect(topics, None), by(0)).await.expect("a webhook");
        made.push(
            world.store.create_webhook(tenant, in_dialect(topics, None), by(0)).await.expect("a webhook"),
        );
    }
    let slice = async |newest_first, offset, limit| {
        let slice = WebhookSlice { dialect: Dialect::Viagogo, newest_first, offset, limit };
        world.store.list_webhooks_in(tenant, slice).await.expect("a list")
    };
    assert_eq!(slice(false, 0, 100).await, (made.clone(), 5));
    assert_eq!(slice(false, 1, 2).await, (made[1..3].to_vec(), 5));
    assert_eq!(slice(true, 3, 9).await, (vec![made[1].clone(), made[0].clone()], 5));
    assert_eq!(slice(true, 5, 9).await, (vec![], 5));
    assert_eq!(slice(false, u64::MAX, u64::MAX).await, (vec![], 5));
    world.store.delete_webhook(tenant, made[0].id, by(1)).await.expect("deleted");
    assert_eq!(slice(false, 0, 1).await, (vec![made[1].clone()], 4));
}

pub(crate) async fn deleted_ones_can_still_be_shown(world: World) {
    let (tenant, other) = (world.tenant("acme").await, world.tenant("other").await);
    let made = world.webhook(tenant).await;
    assert_eq!(world.store.webhook_or_deleted(tenant, made.id).await, Ok(Some(made.clone())));
    assert_eq!(made.deleted_at, None);
    world.store.delete_webhook(tenant, made.id, by(7)).await.expect("deleted");
    let deleted = Webhook { deleted_at: Some(at(7)), secrets: vec![], ..made.clone() };
    assert_eq!(world.store.webhook_or_deleted(tenant, made.id).await, Ok(Some(deleted)));
    assert_eq!(world.store.webhook_or_deleted(other, made.id).await, Ok(None));
    assert_eq!(world.store.webhook(tenant, made.id).await, Ok(None));
}
