//! `callboard demo`: a server, a receiver and sample webhooks, so that
//! deliveries can be watched within a minute of the first build.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use callboard_domain::catalogue;
use callboard_domain::clock::Timestamp;
use callboard_domain::event_type::EventType;
use callboard_domain::signing::{Secret, Signatures};
use hyper::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::remote::Remote;
use super::temporary::TemporaryFolder;
use super::{Failure, Outcome, ServerArguments, block_on, clock, say};
use crate::config::{Hidden, Settings, Source, Tls};
use crate::receiver::{self, Behaviour, Received};
use crate::{app, shutdown, telemetry};

const TENANT: &str = "demo";

/// The types that are published, one after the other.
const EVENT_TYPES: [&str; 6] =
    ["event.created", "ticket.updated", "order.created", "order.paid", "order.scanned", "sale.created"];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// End, successfully, after this many deliveries have arrived
    #[arg(long, value_name = "N")]
    exit_after_delivered: Option<usize>,
}

/// A webhook of the demonstration.
struct Sample {
    path: &'static str,
    settings: Value,
}

fn samples(receiver: SocketAddr) -> [Sample; 6] {
    let url = |path: &str| format!("http://{receiver}{path}");
    [
        Sample {
            path: "/everything",
            settings: json!({"name": "Everything", "url": url("/everything"), "events": ["*"]}),
        },
        Sample {
            path: "/paid-tickets",
            settings: json!({
                "name": "Tickets that are paid, through their orders", "url": url("/paid-tickets"),
                "events": ["ticket.paid"], "triggered_by_related": true,
            }),
        },
        Sample {
            path: "/flaky",
            settings: json!({
                "name": "Fails once, then works", "url": url("/flaky"), "events": ["order.paid"],
                "retry": {"schedule_seconds": [1, 5]}, "signature": "ed25519",
            }),
        },
        Sample {
            path: "/ingresse",
            settings: json!({
                "name": "A partner who speaks Ingresse", "url": url("/ingresse"),
                "dialect": "ingresse", "hooks": ["event-create", "ticket"],
            }),
        },
        Sample {
            path: "/viagogo",
            settings: json!({
                "name": "A partner who speaks viagogo", "url": url("/viagogo"),
                "dialect": "viagogo", "topics": ["Sales"],
            }),
        },
        Sample {
            path: "/openticket",
            settings: json!({
                "name": "A partner who speaks OpenTicket", "url": url("/openticket"),
                "dialect": "openticket", "resource": "ticket", "trigger": "scan",
                "triggered_by_related": true,
            }),
        },
    ]
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let loaded = arguments.server.load()?;
    let chosen = loaded.origins.get("database").is_some_and(|(_, source)| *source != Source::Default);
    let mut settings = loaded.settings;
    // That the key is to be kept is not true of one that goes with its folder.
    let passing = !chosen && settings.encryption.key_file.is_none();
    let filter = if passing { "warn,callboard_store::sealing=error" } else { "warn" };
    filter.clone_into(&mut settings.log.filter);
    telemetry::start(&settings.log)?;
    let folder = if chosen { None } else { Some(TemporaryFolder::make(&std::env::temp_dir(), "demo")?) };
    if let Some(folder) = &folder {
        settings.database = format!("sqlite:{}", folder.path().join("callboard.db").display()).into();
    }
    let token =
        settings.admin_token.get_or_insert_with(|| Hidden("callboard-demo-token".to_owned())).0.clone();
    settings.egress.allow.push(ipnet::IpNet::from(std::net::IpAddr::from([127, 0, 0, 1])));
    // It is for this machine, and what it shows can be called as it is.
    settings.tls = Tls::default();
    block_on(watch(settings, token, arguments.exit_after_delivered))
}

async fn watch(settings: Settings, token: String, exit_after: Option<usize>) -> Outcome {
    let stop = CancellationToken::new();
    shutdown::listen(stop.clone())?;
    let app = app::build(&settings, clock()).await?;
    let address = app.address()?;
    let link = app.sign_in_link().await?;
    let server = tokio::spawn(app.run(stop.clone()));
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let secrets: Arc<Mutex<HashMap<&'static str, String>>> = Arc::default();
    let receiver = receiver::start(behaviour(Arc::clone(&secrets), arrived), stop.clone()).await?;
    say(&format!("Callboard listens on http://{address}, a receiver on http://{receiver}.\n"))?;
    let base = format!("http://{address}");
    let remote = Remote::by_token(&base, &token, Some(TENANT.to_owned()));
    tokio::task::spawn_blocking(move || set_up(&remote, receiver, &secrets)).await??;
    say(&format!("The dashboard, by a link that signs you in once:\n\n  {link}\n"))?;
    let mut delivered = 0;
    let mut invited = false;
    loop {
        let arrival = tokio::select! {
            arrival = arrivals.recv() => arrival,
            () = stop.cancelled() => None,
        };
        let Some(arrival) = arrival else { break };
        say(&arrival.line)?;
        delivered += usize::from(arrival.delivered);
        if exit_after.is_some_and(|wanted| delivered >= wanted) {
            stop.cancel();
        }
        if arrival.retried && !std::mem::replace(&mut invited, true) {
            invite(&base, &token)?;
        }
    }
    stop.cancel();
    server.await??;
    Ok(())
}

/// Makes the webhooks, and publishes one event of each type.
fn set_up(
    remote: &Remote,
    receiver: SocketAddr,
    secrets: &Mutex<HashMap<&'static str, String>>,
) -> Result<(), Failure> {
    for sample in samples(receiver) {
        let made = remote.post_json("/v1/webhooks", &sample.settings)?;
        let name = sample.settings["name"].as_str().unwrap_or_default();
        say(&format!("  webhook {:14} {name}", sample.path))?;
        secrets.lock().insert(sample.path, made["secret"].as_str().unwrap_or_default().to_owned());
    }
    say("")?;
    for name in EVENT_TYPES {
        if let Ok(EventType::Known(resource, trigger)) = name.parse() {
            let mut event = catalogue::example(resource, trigger);
            // With the example's own id a second demonstration on the same
            // database would publish duplicates, and nothing would arrive.
            event.as_object_mut().map(|event| event.remove("id"));
            let answer = remote.post_json("/v1/events", &event)?;
            say(&format!("  published {name:15} {}", hearers(answer["deliveries"].as_u64().unwrap_or(0))))?;
        }
    }
    say("")
}

fn hearers(count: u64) -> String {
    if count == 1 { "1 webhook hears it".to_owned() } else { format!("{count} webhooks hear it") }
}

struct Arrival {
    line: String,
    delivered: bool,
    retried: bool,
}

/// Answers 200, but refuses the first request to `/flaky`.
fn behaviour(
    secrets: Arc<Mutex<HashMap<&'static str, String>>>,
    arrived: mpsc::UnboundedSender<Arrival>,
) -> Behaviour {
    let refused = Mutex::new(false);
    let clock = clock();
    Arc::new(move |received| {
        let flaky = received.path == "/flaky";
        let refuse = flaky && !std::mem::replace(&mut *refused.lock(), true);
        let status = if refuse { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        let what = match (refuse, flaky) {
            (true, _) => "answered 500, to see a retry",
            (false, true) => "delivered, at the second attempt",
            (false, false) => "delivered",
        };
        let line = describe(&received, &secrets.lock(), what, clock.now());
        // Nobody listens any more when the demonstration is ending.
        let _ = arrived.send(Arrival { line, delivered: !refuse, retried: flaky && !refuse });
        status
    })
}

fn describe(
    received: &Received,
    secrets: &HashMap<&'static str, String>,
    what: &str,
    now: Timestamp,
) -> String {
    let name = told(received).unwrap_or_else(|| "?".to_owned());
    let signature =
        if is_signed(received, secrets).unwrap_or(false) { "signature good" } else { "SIGNATURE BAD" };
    let time = now.strftime("%H:%M:%S%.3f");
    format!("  {time}  {:14} {name:20} {what} ({signature})", received.path)
}

/// What a delivery says of itself, in whichever dialect it speaks.
fn told(received: &Received) -> Option<String> {
    let header = ["viagogo-topic", "openticket-trigger"].iter().find_map(|name| received.headers.get(*name));
    if let Some(header) = header {
        return header.to_str().ok().map(str::to_owned);
    }
    let body: Value = serde_json::from_slice(&received.body).ok()?;
    body["webhook"].as_str().or(body["type"].as_str()).map(str::to_owned)
}

/// Whether the signature is the one that the webhook's secret makes. `None`
/// when something is missing.
fn is_signed(received: &Received, secrets: &HashMap<&'static str, String>) -> Option<bool> {
    let header = |name| received.headers.get(name)?.to_str().ok();
    let id = header("webhook-id")?.parse().ok()?;
    let at = Timestamp::from_second(header("webhook-timestamp")?.parse().ok()?).ok()?;
    let signature = header("webhook-signature")?;
    let verifier = secrets.get(&*received.path)?;
    if verifier.starts_with("whpk_") {
        return Some(callboard_domain::signing::verify_ed25519(verifier, &id, at, &received.body, signature));
    }
    let secret = Secret::from_text(verifier).ok()?;
    Some(Signatures::new(&[secret]).sign(&id, at, &received.body) == signature)
}

fn invite(base: &str, token: &str) -> Outcome {
    say(&format!(
        "\nPublish your own, and watch it arrive at /everything and /ingresse (Ctrl-C ends the demonstration):\n\n\
         curl {base}/v1/events -H 'Authorization: Bearer {token}' -H 'Callboard-Tenant: {TENANT}' \\\n  \
         -H 'Content-Type: application/json' \\\n  \
         -d '{{\"type\": \"ticket.updated\", \"subject\": {{\"id\": \"408218\"}}, \"data\": {{\"quantity\": 99}}}}'\n"
    ))
}
