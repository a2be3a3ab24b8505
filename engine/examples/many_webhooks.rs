//! Measures what very many webhooks take in memory, and how long it takes to find
//! those that hear an event:
//! `cargo run --release -p callboard-engine --example many_webhooks -- [WEBHOOKS ...]`.
//!
//! Nothing is stored and nothing is sent: only what a process keeps of each webhook is
//! made, and a lane for each of them.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;

use callboard_domain::clock::{Clock, SystemClock};
use callboard_domain::event::{Event, read_events};
use callboard_domain::id::{EventId, TenantKey, WebhookId, WebhookKey};
use callboard_domain::matching::Index;
use callboard_domain::signing::Secret;
use callboard_domain::webhook::{Status, StoredSecret, Webhook, read_settings};
use callboard_engine::lanes::Lanes;
use callboard_engine::target::Target;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Webhooks of one tenant, and that hear the same ticket.
const OF_A_TENANT: i64 = 10_000;
const OF_A_TICKET: i64 = 10;

/// Events that are matched.
const EVENTS: i64 = 100_000;

fn main() -> Outcome<()> {
    let counts = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<Vec<i64>, _>>()?;
    let counts = if counts.is_empty() { vec![10_000, 100_000, 1_000_000] } else { counts };
    for count in counts {
        measure(count)?;
    }
    Ok(())
}

fn measure(count: i64) -> Outcome<()> {
    let clock = SystemClock::new();
    let before = resident()?;
    let mut targets = Vec::new();
    for number in 0..count {
        targets.push(target(number, &clock)?);
    }
    let made = resident()?;
    let mut indexes: HashMap<TenantKey, Index<WebhookKey>> = HashMap::new();
    for target in &targets {
        indexes.entry(target.webhook.tenant).or_default().insert(target.key(), &target.webhook.settings);
    }
    let with_index = resident()?;
    let lanes = Lanes::new(1_024, 64 * 1_024 * 1_024);
    for target in &targets {
        lanes.get_or_make(target);
    }
    let with_lanes = resident()?;
    let events =
        (0..1_000).map(|number| event(number * count / 1_000, &clock)).collect::<Outcome<Vec<_>>>()?;
    let began = clock.elapsed();
    let mut heard = 0;
    for (tenant, event) in events.iter().cycle().take(usize::try_from(EVENTS)?) {
        heard += indexes.get(tenant).map_or(0, |index| std::hint::black_box(index.matches(event)).len());
    }
    let spent = clock.elapsed().saturating_sub(began);
    let each = |from: u64, to: u64| to.saturating_sub(from) / count.unsigned_abs().max(1);
    writeln!(
        std::io::stdout(),
        "{count} webhooks: {} MiB; each takes {} bytes made ready, {} in the index, {} of a lane; an event \
         that {} hear is matched in {} ns",
        with_lanes.saturating_sub(before) / 1_024 / 1_024,
        each(before, made),
        each(made, with_index),
        each(with_index, with_lanes),
        heard / usize::try_from(EVENTS)?,
        spent.as_nanos() / u128::from(EVENTS.unsigned_abs()),
    )?;
    Ok(())
}

const fn tenant(number: i64) -> TenantKey {
    TenantKey(number / OF_A_TENANT)
}

fn target(number: i64, clock: &dyn Clock) -> Outcome<Arc<Target>> {
    let mut rng = StdRng::seed_from_u64(number.unsigned_abs());
    let text = format!(
        r#"{{"url": "https://receiver-{number}.example/hook", "events": ["ticket.*"], "identifier": "T-{}"}}"#,
        number / OF_A_TICKET
    );
    let (settings, _) = read_settings(&text, None).map_err(|faults| format!("{faults:?}"))?;
    let now = clock.now();
    let secret = Secret::generate(settings.signature, &mut rng);
    let webhook = Webhook {
        key: WebhookKey(number),
        id: WebhookId::generate(now, &mut rng),
        tenant: tenant(number),
        revision: 1,
        settings,
        status: Status::Active,
        disabled_reason: None,
        failing_since: None,
        secrets: vec![StoredSecret { secret, created_at: now, expires_at: None }],
        nonce: None,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    };
    let tenant = format!("tenant-{}", webhook.tenant.0).parse()?;
    Ok(Arc::new(Target::new(webhook, &tenant, "https://callboard.example", now)))
}

/// An event about the ticket of the webhook of this number.
fn event(number: i64, clock: &dyn Clock) -> Outcome<(TenantKey, Event)> {
    let text = format!(
        r#"{{"id": "e{number}", "type": "ticket.updated", "subject": {{"id": "T-{}"}}}}"#,
        number / OF_A_TICKET
    );
    let now = clock.now();
    let mut new_id = || EventId::generate(now, &mut StdRng::seed_from_u64(0));
    let events = read_events(&text, false, now, &mut new_id).map_err(|faults| format!("{faults:?}"))?;
    Ok((tenant(number), events.into_iter().next().ok_or("no event")?))
}

/// Bytes of this process in memory.
fn resident() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}
