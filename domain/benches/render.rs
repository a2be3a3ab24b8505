//! What it costs to tell an event in each dialect: rendered anew, and spliced
//! for one more webhook.

#![expect(clippy::expect_used, reason = "a benchmark that can't go on has failed")]

use callboard_domain::catalogue;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::event::read_events;
use callboard_domain::id::{DeliveryKey, EventId, EventKey, TenantKey, WebhookId, WebhookKey};
use callboard_domain::resource::Resource;
use callboard_domain::trigger::Trigger;
use callboard_domain::webhook::{Status, Webhook, read_settings};
use callboard_domain::wire::{Recipient, Renderings};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

fn recipient(settings: &str, now: Timestamp) -> Recipient {
    let text = format!(r#"{{"url": "https://partner.example/hook", {settings}}}"#);
    let webhook = Webhook {
        key: WebhookKey(17),
        id: WebhookId::from_bytes([7; 16]),
        tenant: TenantKey(1),
        revision: 1,
        settings: read_settings(&text, None).expect("good settings").0,
        status: Status::Active,
        disabled_reason: None,
        failing_since: None,
        secrets: Vec::new(),
        nonce: Some("5aK2HMgcUlDCWLuC3KWb".to_owned()),
        created_at: now,
        updated_at: now,
        deleted_at: None,
    };
    Recipient::new(&webhook, &"halfmoon".parse().expect("a tenant id"), "https://callboard.example")
}

fn example(resource: Resource, trigger: Trigger, now: Timestamp) -> StoredEvent {
    let text = catalogue::example(resource, trigger).to_string();
    let mut new_id = || EventId::generate(now, &mut StdRng::seed_from_u64(1));
    let event = read_events(&text, false, now, &mut new_id).expect("a good event").remove(0);
    StoredEvent {
        key: EventKey(1),
        tenant: TenantKey(1),
        id: event.id,
        type_name: event.type_name,
        subject_id: event.subject.id,
        accepted_at: now,
        body: event.body,
        deliveries: 1,
        quantity_diff: Some(-20),
        renderings: Renderings::default(),
    }
}

fn render(criterion: &mut Criterion) {
    let now = "2026-11-21T19:00:00Z".parse().expect("a time");
    for (name, resource, trigger, settings) in [
        ("native", Resource::Ticket, Trigger::Update, r#""events": ["*"]"#),
        (
            "ingresse-event",
            Resource::Event,
            Trigger::Update,
            r#""dialect": "ingresse", "hooks": ["event-update"]"#,
        ),
        (
            "ingresse-ticket",
            Resource::Ticket,
            Trigger::Update,
            r#""dialect": "ingresse", "hooks": ["ticket"]"#,
        ),
        ("viagogo-sale", Resource::Sale, Trigger::Create, r#""dialect": "viagogo", "topics": ["Sales"]"#),
        (
            "openticket-ticket",
            Resource::Ticket,
            Trigger::Update,
            r#""dialect": "openticket", "resource": "ticket", "trigger": "update""#,
        ),
    ] {
        let (recipient, event) = (recipient(settings, now), example(resource, trigger, now));
        let mut group = criterion.benchmark_group(format!("{name} ({} bytes)", event.body.len()));
        // A copy of an event has nothing rendered yet.
        group.bench_function("rendered", |bench| {
            bench.iter_batched_ref(
                || event.clone(),
                |event| recipient.tell(event, DeliveryKey(1), now),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("spliced", |bench| bench.iter(|| recipient.tell(&event, DeliveryKey(1), now)));
        group.finish();
    }
}

criterion_group!(benches, render);
criterion_main!(benches);
