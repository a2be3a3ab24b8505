//! Measures the processor time of one event's way to many webhooks of mixed
//! dialects, up to the socket:
//! `cargo run --release -p callboard-engine --example fan_out -- DIRECTORY [WEBHOOKS [EVENTS]]`.
//!
//! No socket is opened: the webhooks lie at an address that may not be called,
//! which the guard finds out after everything is rendered and signed. Each
//! delivery is given up then, and that is written down too.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::audit::By;
use callboard_domain::clock::{Clock, SystemClock};
use callboard_domain::delivery::StoredEvent;
use callboard_domain::event::{Event, read_events};
use callboard_domain::id::{DeliveryKey, EventId, EventKey, TenantKey, WebhookId};
use callboard_domain::signing::Secret;
use callboard_domain::store::{NewWebhook, Store};
use callboard_domain::webhook::{Status, Webhook, read_settings};
use callboard_domain::wire::{Renderings, openticket};
use callboard_engine::attempt::prepare;
use callboard_engine::guard::Guard;
use callboard_engine::http::{Client, ClientOptions};
use callboard_engine::target::Target;
use callboard_engine::{Engine, Options};
use callboard_store::sealing::{EncryptionKey, Keys};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What hears of an edited ticket, in turn.
const DIALECTS: [&str; 3] = [
    r#""events": ["ticket.*"]"#,
    r#""dialect": "ingresse", "hooks": ["ticket"]"#,
    r#""dialect": "openticket", "resource": "ticket", "trigger": "update""#,
];

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: fan_out DIRECTORY [WEBHOOKS [EVENTS]]")?;
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (webhooks, events) = (number(1_000)?, number(50)?);
    let path = Path::new(&directory).join("fan_out.db");
    let key = EncryptionKey::from_bytes([1; 32]);
    let keys = Keys::new(&[key], Box::new(StdRng::seed_from_u64(0)));
    let store = callboard_store::open(&format!("sqlite:{}", path.display()), keys).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let tenant =
        store.create_tenant("bench".parse()?, "Bench".to_owned(), None, By::system(clock.now())).await?;
    let tenant = tenant.ok_or("fan_out.db exists already; choose an empty directory")?.key;
    let mut made = Vec::new();
    for seed in 0..webhooks {
        made.push(webhook(&*store, tenant, seed, &*clock).await?);
    }
    let client = Client::new(Guard::new(Vec::new()), ClientOptions::default(), Arc::clone(&clock));
    let rng = Box::new(StdRng::seed_from_u64(1));
    let engine = Engine::new(Arc::clone(&store), Arc::clone(&clock), rng, client, Options::default());
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&engine).run(stop.clone()));
    // The first one finds out that the webhooks fail, which is noted once.
    spread(&engine, &*store, tenant, &event(0, &*clock)?).await?;
    let before = processor_time()?;
    for number in 1..=events {
        spread(&engine, &*store, tenant, &event(number, &*clock)?).await?;
    }
    let spent = processor_time()?.saturating_sub(before);
    report(
        "read, matched, recorded, queued, rendered, signed, judged, written down",
        spent,
        webhooks * events,
    )?;

    let stored = stored(event(0, &*clock)?, tenant, &*clock);
    let targets = made.into_iter().map(|webhook| target(webhook, &*clock)).collect::<Outcome<Vec<_>>>()?;
    let before = processor_time()?;
    for _ in 0..events {
        let event = StoredEvent::clone(&stored);
        for target in &targets {
            let prepared = prepare(target, &event, DeliveryKey(1), clock.now());
            std::hint::black_box(prepared.map_err(|(_, message)| message)?);
        }
    }
    let spent = processor_time()?.saturating_sub(before);
    report("of that rendered, spliced, signed", spent, webhooks * events)?;
    stop.cancel();
    running.await?;
    store.close().await;
    Ok(())
}

/// Publishes an event, and waits until all its deliveries are over.
async fn spread(engine: &Arc<Engine>, store: &dyn Store, tenant: TenantKey, event: &Event) -> Outcome<()> {
    engine.publish(tenant, vec![event.clone()]).await?;
    while engine.load() != (0, 0) || !store.waiting_lanes().await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn event(number: u64, clock: &dyn Clock) -> Outcome<Event> {
    let mut event = callboard_domain::catalogue::example(
        callboard_domain::resource::Resource::Ticket,
        callboard_domain::trigger::Trigger::Update,
    );
    event["id"] = format!("e{number}").into();
    let now = clock.now();
    let mut new_id = || EventId::generate(now, &mut StdRng::seed_from_u64(number));
    let events = read_events(&event.to_string(), false, now, &mut new_id);
    Ok(events.map_err(|faults| format!("{faults:?}"))?.remove(0))
}

fn stored(event: Event, tenant: TenantKey, clock: &dyn Clock) -> StoredEvent {
    StoredEvent {
        key: EventKey(1),
        tenant,
        id: event.id,
        type_name: event.type_name,
        subject_id: event.subject.id,
        accepted_at: clock.now(),
        body: event.body,
        deliveries: 1,
        quantity_diff: None,
        renderings: Renderings::default(),
    }
}

fn target(webhook: Webhook, clock: &dyn Clock) -> Outcome<Arc<Target>> {
    let tenant = "bench".parse()?;
    Ok(Arc::new(Target::new(webhook, &tenant, "https://callboard.example", clock.now())))
}

async fn webhook(store: &dyn Store, tenant: TenantKey, seed: u64, clock: &dyn Clock) -> Outcome<Webhook> {
    let mut rng = StdRng::seed_from_u64(seed);
    let hears = usize::try_from(seed).ok().and_then(|seed| DIALECTS.get(seed % DIALECTS.len()));
    let text = format!(
        r#"{{"url": "http://10.0.0.1/{seed}", "retry": {{"schedule_seconds": []}}, {}}}"#,
        hears.copied().unwrap_or_default()
    );
    let (settings, _) = read_settings(&text, None).map_err(|faults| format!("{faults:?}"))?;
    let now = clock.now();
    let id = WebhookId::generate(now, &mut rng);
    let secret = Secret::generate(settings.signature, &mut rng);
    let nonce = Some(openticket::nonce(&mut rng));
    let new = NewWebhook { id, settings, status: Status::Active, secret, nonce };
    Ok(store.create_webhook(tenant, new, By::system(now)).await?)
}

/// Processor time of this process so far, of all its threads.
fn processor_time() -> Outcome<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name of the program may hold spaces; what follows its bracket does not.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| -> Outcome<u64> { Ok(fields.get(index).ok_or("no such field")?.parse()?) };
    // Linux counts in hundredths of a second.
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

fn report(what: &str, spent: Duration, deliveries: u64) -> std::io::Result<()> {
    let each = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX) / deliveries.max(1);
    let (whole, tenths) = (each / 1_000, each % 1_000 / 100);
    writeln!(std::io::stdout(), "{whole}.{tenths} us of processor time a delivery: {what}")
}
