//! One round: starts what is measured, loads it, reads its figures.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Clock;
use serde_json::json;

use super::load::{Counter, Load, publish};
use super::process::Process;
use super::report::Round;
use crate::cli::remote::Remote;
use crate::cli::{Failure, clock};

const TOKEN: &str = "callboard-bench-token";

/// A round with the relay.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn relay(load: &Load) -> Result<Round, Failure> {
    let counter = Counter::start().await?;
    let (target, copies) = (counter.address.to_string(), load.copies.to_string());
    let mut process = Process::start(&["bench", "relay", &target, &copies], &[])?;
    let address = process.line().await?.parse()?;
    measure(load, &counter, process, address, None).await
}

/// A round with a server on a new database in `folder`.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn server(load: &Load, folder: &Path) -> Result<Round, Failure> {
    let counter = Counter::start().await?;
    let place = folder.join(format!("callboard-bench-{}", std::process::id()));
    std::fs::create_dir_all(&place)?;
    let address = free_address().await?;
    let (listen, database) = (address.to_string(), format!("sqlite:{}", place.join("bench.db").display()));
    let process = Process::start(
        &["serve", "--listen", &listen, "--database", &database],
        &[
            ("CALLBOARD_ADMIN_TOKEN", TOKEN),
            ("CALLBOARD_EGRESS_ALLOW", "127.0.0.0/8"),
            ("CALLBOARD_LOG_FILTER", "warn"),
        ],
    )?;
    let remote = Remote::at(&format!("http://{address}"), TOKEN, None);
    let (url, copies) = (format!("http://{}/", counter.address), load.copies);
    let made = tokio::task::spawn_blocking(move || set_up(&remote, &url, copies)).await?;
    let round = match made {
        Ok(()) => measure(load, &counter, process, address, Some(TOKEN)).await,
        Err(failure) => Err(failure),
    };
    std::fs::remove_dir_all(&place)?;
    round
}

/// An address that was free a moment ago.
async fn free_address() -> Result<SocketAddr, Failure> {
    Ok(tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
}

fn set_up(remote: &Remote, url: &str, copies: usize) -> Result<(), Failure> {
    remote.wait_until_ready()?;
    for number in 0..copies {
        let name = format!("bench {number}");
        remote.post_json("/v1/webhooks", &json!({"name": name, "url": url, "events": ["order.paid"]}))?;
    }
    Ok(())
}

async fn measure(
    load: &Load,
    counter: &Counter,
    process: Process,
    address: SocketAddr,
    token: Option<&str>,
) -> Result<Round, Failure> {
    let clock: Arc<dyn Clock> = clock();
    let path = if token.is_some() { "/v1/events" } else { "/" };
    let used_before = process.processor_time().unwrap_or_default();
    let begun = clock.elapsed();
    let published = publish(load, address, path, token, &clock).await?;
    counter.wait_for(published.accepted * load.copies as u64).await?;
    let took = clock.elapsed().saturating_sub(begun);
    let used = process.processor_time().unwrap_or_default().saturating_sub(used_before);
    let memory_mib = process.peak_memory().unwrap_or(0);
    process.end().await?;
    let wait = |share: usize| {
        let index = published.waits.len() * share / 1_000;
        published.waits.get(index).copied().unwrap_or(Duration::ZERO)
    };
    Ok(Round {
        events: published.accepted,
        deliveries: published.accepted * load.copies as u64,
        took,
        used,
        memory_mib,
        publish_p50: wait(500),
        publish_p99: wait(990),
    })
}
