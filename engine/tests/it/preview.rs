//! What a request is said to look like, against what a receiver gets.

use std::time::Duration;

use callboard_domain::clock::{Clock, Timestamp};
use callboard_domain::delivery::{Cause, State, StoredEvent};
use callboard_domain::event::read_events;
use callboard_domain::id::{DeliveryKey, EventId, TenantId};
use callboard_domain::signing::{Scheme, Secret};
use callboard_domain::store::NewWebhook;
use callboard_domain::webhook::{MASK, Webhook};
use callboard_engine::{Options, Preview};
use callboard_testing::TestDatabase;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::receiver::{Received, Receiver};
use crate::world::World;

const SESAME: &str = "Bearer sesame";

/// For each dialect what a webhook of it asks for, and an event that it alone hears.
const DIALECTS: [(&str, &str); 4] = [
    (
        r#""events": ["ticket.updated"], "signature": "ed25519""#,
        r#"{"type": "ticket.updated", "subject": {"id": "t"}, "data": {"name": "Loge \u00e9"}}"#,
    ),
    (
        r#""dialect": "ingresse", "hooks": ["sale"]"#,
        r#"{"type": "order.created", "subject": {"id": "o"}, "data": {"status": "paid"}}"#,
    ),
    (
        r#""dialect": "viagogo", "topics": ["Sales"]"#,
        r#"{"type": "sale.created", "subject": {"id": "9"}, "related": {"event": ["3"]}}"#,
    ),
    (
        r#""dialect": "openticket", "resource": "event", "trigger": "delete", "triggered_by_related": true"#,
        r#"{"type": "order.deleted", "subject": {"id": "o"}, "related": {"event": ["3"]}}"#,
    ),
];

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

/// A webhook of these settings, with everything that makes headers.
async fn webhook(world: &World, url: &str, asked: &str) -> Webhook {
    let text = format!(
        r#"{{"url": "{url}", {asked}, "authorization_header": "{SESAME}",
            "headers": {{"x-shop": "halfmoon", "accept": "*/*"}}}}"#
    );
    let nonce = asked.contains("openticket").then(|| "5aK2HMgcUlDCWLuC3KWb".to_owned());
    let new = NewWebhook { nonce, ..world.new_webhook(&text) };
    world.engine.create_webhook(world.tenant, new, world.by()).await.unwrap()
}

/// Publishes an event that one webhook hears, and waits until it has arrived. Returns
/// the delivery, the event as it is stored, and when the attempt began.
async fn deliver(world: &World, event: &str) -> (DeliveryKey, StoredEvent, Timestamp) {
    let now = world.clock.now();
    let new_id = &mut || EventId::generate(now, &mut StdRng::seed_from_u64(3));
    let events = read_events(event, false, now, new_id).unwrap();
    let published = world.engine.publish(world.tenant, events).await.unwrap().remove(0);
    assert_eq!(published.deliveries, 1, "{event}");
    let delivery = published.first_delivery;
    world.until(delivery, State::Delivered).await;
    let (_, attempts) = world.store.delivery(world.tenant, delivery).await.unwrap().unwrap();
    let stored = world.store.event(world.tenant, &published.id).await.unwrap().unwrap();
    (delivery, stored, attempts[0].started_at)
}

/// The request line and the headers that a preview promises.
fn head(preview: &Preview) -> String {
    let (_, target) = preview.url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let headers = preview.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("{} /{target} HTTP/1.1\r\n{}\r\n", preview.method, headers.collect::<String>())
}

#[track_caller]
fn assert_same(preview: &Preview, received: &Received) {
    assert_eq!(head(preview).replace(MASK, SESAME), received.head);
    assert_eq!(preview.body, received.body);
    let masked: Vec<_> = preview.headers.iter().filter(|(_, value)| value == MASK).collect();
    assert_eq!(masked, [&("authorization".to_owned(), MASK.to_owned())]);
    assert!(!format!("{preview:?}").contains("sesame"));
    for name in ["host", "content-type", "user-agent", "content-length", "webhook-signature", "x-shop"] {
        assert_eq!(preview.headers.iter().filter(|(own, _)| own == name).count(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_preview_is_what_a_receiver_gets_in_every_dialect() {
    let (database, receiver) = (TestDatabase::chosen(), Receiver::start([]).await);
    let world = World::start(&database, Options::default()).await;
    for (number, (asked, event)) in DIALECTS.into_iter().enumerate() {
        world.clock.advance(Duration::from_micros(1_234_567));
        let webhook = webhook(&world, &receiver.url(), asked).await;
        let (delivery, stored, at) = deliver(&world, event).await;
        // However much later it is asked for.
        world.clock.advance(Duration::from_hours(1));
        let preview = world.engine.preview(&acme(), &webhook, &stored, delivery, at).unwrap();
        assert_same(&preview, &receiver.received()[number]);
        assert_eq!(preview.url, receiver.url());
    }
    world.stop().await;
    assert_eq!(receiver.received().len(), DIALECTS.len(), "nothing is sent for a preview");
}

#[tokio::test]
async fn a_preview_is_signed_by_the_secrets_of_its_time() {
    let (database, receiver) = (TestDatabase::chosen(), Receiver::start([]).await);
    let world = World::start(&database, Options::default()).await;
    let webhook = webhook(&world, &receiver.url(), r#""events": ["*"]"#).await;
    let event = r#"{"type": "order.paid", "subject": {"id": "o"}}"#;
    let (delivery, stored, first) = deliver(&world, event).await;
    world.clock.advance(Duration::from_hours(1));
    let secret = Secret::generate(Scheme::Hmac, &mut StdRng::seed_from_u64(9));
    let until = world.clock.now().saturating_add(Duration::from_hours(24)).unwrap();
    let (tenant, by) = (world.tenant, world.by());
    let rotated = world.engine.rotate_secret(tenant, webhook.id, secret, until, by).await.unwrap().unwrap();
    let (second_delivery, second_stored, second) = deliver(&world, event).await;
    let of = |stored, delivery, at| world.engine.preview(&acme(), &rotated, stored, delivery, at).unwrap();
    assert_same(&of(&stored, delivery, first), &receiver.received()[0]);
    assert_same(&of(&second_stored, second_delivery, second), &receiver.received()[1]);
    let signatures = |at| {
        let preview = of(&stored, delivery, at);
        let signature = preview.headers.into_iter().find(|(name, _)| name == "webhook-signature");
        signature.map_or(0, |(_, value)| value.split(' ').count())
    };
    assert_eq!((signatures(first), signatures(second), signatures(until)), (1, 2, 1));
    let before = first.saturating_sub(Duration::from_secs(1)).unwrap();
    assert_eq!(signatures(before), 0, "nothing could have signed it then");
    world.stop().await;
}

#[tokio::test]
async fn what_can_not_be_sent_has_the_cause_that_an_attempt_has() {
    let (database, receiver) = (TestDatabase::chosen(), Receiver::start([]).await);
    let world = World::start(&database, Options::default()).await;
    let webhook = webhook(&world, &receiver.url(), DIALECTS[0].0).await;
    let (delivery, stored, at) = deliver(&world, DIALECTS[0].1).await;
    let mut edited = webhook.clone();
    edited.settings = world.new_webhook(&format!(r#"{{"url": "http://x/", {}}}"#, DIALECTS[2].0)).settings;
    let (cause, message) = world.engine.preview(&acme(), &edited, &stored, delivery, at).unwrap_err();
    assert_eq!(cause, Cause::Unrenderable, "{message}");
    let mut edited = webhook;
    edited.settings.url = "ftp://x/".to_owned();
    let refused = world.engine.preview(&acme(), &edited, &stored, delivery, at).unwrap_err();
    assert_eq!(refused, (Cause::Connect, "must start with https:// or http://, not ftp:".to_owned()));
    world.stop().await;
}
