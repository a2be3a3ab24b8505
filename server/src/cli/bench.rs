//! `callboard bench`: measures durable deliveries against a relay that only
//! forwards, in alternating rounds of one run.
//!
//! The generator and the receiver live in this process; what is measured runs
//! in a process of its own: the relay, or a server on a temporary database. A
//! ratio of the two says more than a rate, because both meet the same machine.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Failure, Outcome, block_on, note, say};

mod connection;
mod load;
mod process;
mod relay;
mod report;
mod scenario;

use report::Round;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Rounds of each, alternating
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds of publishing in each round
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections that publish at the same time
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Size of an event, in bytes
    #[arg(long, default_value_t = 650)]
    event_bytes: usize,
    /// Webhooks that hear each event
    #[arg(long, default_value_t = 1)]
    webhooks: usize,
    /// Where the temporary databases are made [default: the system's folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// A part that runs in a process of its own.
#[derive(Debug, Subcommand)]
enum Part {
    /// The relay: answers 202 and forwards the body, nothing else.
    #[command(hide = true)]
    Relay {
        /// Where to forward to.
        target: std::net::SocketAddr,
        /// How many times.
        #[arg(default_value_t = 1)]
        copies: usize,
    },
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    if let Some(Part::Relay { target, copies }) = arguments.part {
        return block_on(relay::run(target, copies));
    }
    if !(1..=20).contains(&arguments.rounds) || !(1..=600).contains(&arguments.seconds) {
        return Err("rounds are 1 to 20, seconds 1 to 600".into());
    }
    if !(1..=4_096).contains(&arguments.connections) || !(200..=200_000).contains(&arguments.event_bytes) {
        return Err("connections are 1 to 4096, event bytes 200 to 200000".into());
    }
    if !(1..=1_000).contains(&arguments.webhooks) {
        return Err("webhooks are 1 to 1000".into());
    }
    let (relays, servers) = block_on(rounds(arguments))?;
    let report = report::Report::new(arguments.webhooks, &relays, &servers);
    if arguments.json {
        say(&serde_json::to_string_pretty(&with_conditions(arguments, report.json()))?);
    } else {
        report.lines().iter().for_each(|line| say(line));
    }
    Ok(())
}

fn with_conditions(arguments: &Arguments, mut report: Value) -> Value {
    report["conditions"] = json!({
        "rounds": arguments.rounds, "seconds": arguments.seconds, "connections": arguments.connections,
        "event_bytes": arguments.event_bytes, "webhooks": arguments.webhooks,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "version": env!("CARGO_PKG_VERSION"),
    });
    report
}

async fn rounds(arguments: &Arguments) -> Result<(Vec<Round>, Vec<Round>), Failure> {
    let (mut relays, mut servers) = (Vec::new(), Vec::new());
    let length = Duration::from_secs(arguments.seconds);
    let folder = arguments.folder.clone().unwrap_or_else(std::env::temp_dir);
    for number in 1..=arguments.rounds {
        let load = load::Load {
            connections: arguments.connections,
            event_bytes: arguments.event_bytes,
            length,
            copies: arguments.webhooks,
        };
        let relay = scenario::relay(&load).await?;
        note(&format!("round {number} of {}: relay     {}", arguments.rounds, relay.line()));
        relays.push(relay);
        let server = scenario::server(&load, &folder).await?;
        note(&format!("round {number} of {}: callboard {}", arguments.rounds, server.line()));
        servers.push(server);
    }
    Ok((relays, servers))
}
