//! Measures how many events a second are recorded and finished durably:
//! `cargo run --release -p callboard-store --example rate -- URL [DELIVERIES [SECONDS [WRITERS]]]`.
//! The URL is that of an empty database, such as `sqlite:/tmp/rate.db`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use callboard_domain::audit::By;
use callboard_domain::clock::{Clock, SystemClock, Timestamp};
use callboard_domain::delivery::{Attempt, AttemptDetail, Outcome, Timings};
use callboard_domain::event::{Event, Subject};
use callboard_domain::id::{DeliveryKey, EventId, TenantKey, WebhookId, WebhookKey};
use callboard_domain::signing::{Scheme, Secret};
use callboard_domain::store::{NewDelivery, NewEvent, NewWebhook, Order, Recorded, Store};
use callboard_domain::webhook::{Status, read_settings};
use callboard_store::sealing::{EncryptionKey, Keys};
use rand::SeedableRng;
use rand::rngs::StdRng;

type Outcomes<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcomes<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: rate URL [DELIVERIES [SECONDS [WRITERS]]]")?;
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (deliveries, seconds, writers) = (number(1)?, number(10)?, number(64)?);
    let key = EncryptionKey::from_bytes([1; 32]);
    let keys = Keys::new(&[key], Box::new(StdRng::seed_from_u64(0)));
    let store: Arc<dyn Store> = callboard_store::open(&url, keys).await?;
    let clock = Arc::new(SystemClock::new());
    let tenant =
        store.create_tenant("bench".parse()?, "Bench".to_owned(), None, By::system(clock.now())).await?;
    let tenant = tenant.ok_or("the database is in use already; choose an empty one")?.key;
    let mut webhooks = Vec::new();
    for seed in 0..deliveries {
        webhooks.push(webhook(&*store, tenant, seed, clock.now()).await?);
    }
    let (webhooks, stop, events) = (Arc::new(webhooks), Arc::new(AtomicBool::new(false)), Arc::default());
    let started = clock.elapsed();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (store, clock, webhooks) = (Arc::clone(&store), Arc::clone(&clock), Arc::clone(&webhooks));
            let (stop, events): (_, Arc<AtomicU64>) = (Arc::clone(&stop), Arc::clone(&events));
            tokio::spawn(async move {
                let mut rng = StdRng::seed_from_u64(writer);
                let mut times = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let before = clock.elapsed();
                    let recorded = record(&*store, tenant, &webhooks, clock.now(), &mut rng).await?;
                    times.push(clock.elapsed().saturating_sub(before));
                    finish(&*store, &recorded, &webhooks, clock.now()).await?;
                    events.fetch_add(1, Ordering::Relaxed);
                }
                Outcomes::Ok(times)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let took = clock.elapsed().saturating_sub(started);
    times.sort_unstable();
    let quantile =
        |thousandths: usize| times.get(times.len() * thousandths / 1_000).copied().unwrap_or_default();
    let rate = u128::from(events.load(Ordering::Relaxed)) * 1_000 / took.as_millis().max(1);
    report(format_args!(
        "{rate} events/s with {deliveries} deliveries each, {writers} writers; \
         recording took {:?} (median), {:?} (p99), {:?} (p99.9)\n",
        quantile(500),
        quantile(990),
        quantile(999)
    ))?;
    store.close().await;
    Ok(())
}

fn report(text: std::fmt::Arguments<'_>) -> std::io::Result<()> {
    std::io::Write::write_fmt(&mut std::io::stdout(), text)
}

async fn webhook(store: &dyn Store, tenant: TenantKey, seed: u64, now: Timestamp) -> Outcomes<WebhookKey> {
    let mut rng = StdRng::seed_from_u64(seed);
    let text = r#"{"url": "https://example.com", "events": ["ticket.*"]}"#;
    let (settings, _) = read_settings(text, None).map_err(|faults| format!("{faults:?}"))?;
    let secret = Secret::generate(Scheme::Hmac, &mut rng);
    let id = WebhookId::generate(now, &mut rng);
    let new = NewWebhook { id, settings, status: Status::Active, secret, nonce: None };
    Ok(store.create_webhook(tenant, new, By::system(now)).await?.key)
}

async fn record(
    store: &dyn Store,
    tenant: TenantKey,
    webhooks: &[WebhookKey],
    now: Timestamp,
    rng: &mut StdRng,
) -> Outcomes<Recorded> {
    let id = EventId::generate(now, rng);
    let body = format!(r#"{{"type":"ticket.updated","id":"{id}","data":{{"note":"{}"}}}}"#, "x".repeat(400));
    let event = Event {
        id_given: true,
        event_type: "ticket.updated".parse()?,
        type_name: "ticket.updated".to_owned(),
        occurred_at: now,
        occurred_at_given: true,
        subject: Subject { id: format!("T-{}", id.as_str().len()), name: None },
        related: std::collections::BTreeMap::new(),
        quantity: None,
        tells_status: false,
        body: body.into(),
        id,
    };
    let deliveries = webhooks
        .iter()
        .map(|webhook| NewDelivery { webhook: *webhook, leased: true, order: Order::Free })
        .collect();
    let recorded =
        store.record_events(tenant, vec![NewEvent { event: event.into(), deliveries }], now).await?;
    Ok(recorded.into_iter().next().ok_or("nothing was recorded")?)
}

async fn finish(
    store: &dyn Store,
    recorded: &Recorded,
    webhooks: &[WebhookKey],
    now: Timestamp,
) -> Outcomes<()> {
    let attempt = |(delivery, webhook): (i64, &WebhookKey)| Attempt {
        delivery: DeliveryKey(delivery),
        event: recorded.key,
        webhook: *webhook,
        number: 1,
        tries: 1,
        started_at: now,
        duration: Duration::from_millis(12),
        outcome: Outcome::Delivered,
        status: Some(204),
        cause: None,
        detail: AttemptDetail {
            peer: Some("192.0.2.1:443".to_owned()),
            timings: Timings { exchange_us: 11_800, ..Timings::default() },
            ..AttemptDetail::default()
        },
    };
    let attempts = (recorded.first_delivery.0..).zip(webhooks).map(attempt).collect();
    store.finish_attempts(Arc::new(attempts), now).await?;
    Ok(())
}
