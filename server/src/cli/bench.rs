//! `callboard bench`: measures what is promised about speed, each promise as a
//! scenario with its ratio.
//!
//! The generator and the receiver live in this process; what is measured runs
//! in processes of their own: servers on temporary databases, or a relay that
//! only forwards. What is compared is measured in turns within one run. A
//! ratio of the two says more than a rate, because both meet the same machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Clock;
use clap::Subcommand;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::temporary::TemporaryFolder;
use super::{Failure, Outcome, block_on, clock, note, say};
use crate::config::DatabaseUrl;
use crate::shutdown;

mod batches;
mod beside;
mod binary;
mod connection;
mod counter;
mod database;
mod figures;
mod finding;
mod footprint;
mod half_rate;
mod isolation;
mod journey;
mod latency;
mod load;
mod nodes;
mod open_loop;
mod pacing;
mod pages;
mod process;
mod relay;
mod retention;
mod scenario;
mod server;
mod share;
mod sick;

use finding::Finding;
use load::Load;
use scenario::{Choice, Scenario};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// What to measure, or `all`; may be given more than once [default: relay]
    #[arg(long = "scenario", value_name = "NAME", value_enum, hide_possible_values = true)]
    scenarios: Vec<Choice>,
    /// Name all scenarios with what they measure and its aim, and measure nothing
    #[arg(long)]
    list: bool,
    /// Rounds of each side, in turns
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds of publishing in each round
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Connections that publish at the same time
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Size of an event, in bytes
    #[arg(long, default_value_t = 650)]
    event_bytes: usize,
    /// Webhooks that hear each event, in the scenario `relay`
    #[arg(long, default_value_t = 1)]
    webhooks: u64,
    /// Webhooks of other tenants, in `other_webhooks`
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    webhooks_of_others: u64,
    /// Deliveries in the log, in `long_log` and `retention`
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    log_deliveries: u64,
    /// Deliveries that wait for a silent endpoint, in `backlog` and `isolation`
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pending: u64,
    /// Webhooks at dead endpoints, in `isolation`
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    sick_webhooks: u64,
    /// Where the temporary databases are made [default: the system's folder for temporary files]
    #[arg(long, visible_alias = "folder", value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// URL of an empty database of PostgreSQL, for `nodes`; what is made in it stays there
    #[arg(long, value_name = "URL")]
    postgres: Option<DatabaseUrl>,
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

/// What the scenarios share.
struct Bench<'a> {
    arguments: &'a Arguments,
    /// One clock for all times, so that they can be compared.
    clock: Arc<dyn Clock>,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    if let Some(Part::Relay { target, copies }) = arguments.part {
        return block_on(relay::run(target, copies));
    }
    if arguments.list {
        for scenario in Scenario::ALL {
            say(&format!("{:15} {}: {}", scenario.name(), scenario.measured(), scenario.aim()))?;
        }
        return Ok(());
    }
    arguments.check()?;
    let bench = Bench { arguments, clock: clock() };
    let findings = block_on(async {
        let stop = CancellationToken::new();
        shutdown::listen(stop.clone())?;
        // Dropping what is under way ends its processes and removes its files.
        tokio::select! {
            findings = bench.findings() => findings,
            () = stop.cancelled() => Err("stopped before the end".into()),
        }
    })?;
    if arguments.json {
        say(&serde_json::to_string_pretty(&report(arguments, &findings))?)?;
    } else {
        findings.iter().flat_map(Finding::lines).try_for_each(|line| say(&line))?;
    }
    Ok(())
}

impl Arguments {
    fn check(&self) -> Outcome {
        if !(1..=20).contains(&self.rounds) || !(0.1..=600.0).contains(&self.seconds) {
            return Err("rounds are 1 to 20, seconds 0.1 to 600".into());
        }
        if !(1..=4_096).contains(&self.connections) || !(200..=200_000).contains(&self.event_bytes) {
            return Err("connections are 1 to 4096, event bytes 200 to 200000".into());
        }
        if !(1..=1_000).contains(&self.webhooks) || !(1..=10_000).contains(&self.sick_webhooks) {
            return Err("webhooks are 1 to 1000, sick webhooks 1 to 10000".into());
        }
        let sizes = [self.webhooks_of_others, self.log_deliveries, self.pending];
        if sizes.iter().any(|size| !(100..=1_000_000_000).contains(size)) {
            return Err("webhooks of others, log deliveries and pending are 100 to 1000000000".into());
        }
        Ok(())
    }
}

fn report(arguments: &Arguments, findings: &[Finding]) -> Value {
    let mut report = json!({
        "conditions": {
            "rounds": arguments.rounds, "seconds": arguments.seconds, "connections": arguments.connections,
            "event_bytes": arguments.event_bytes, "webhooks": arguments.webhooks,
            "webhooks_of_others": arguments.webhooks_of_others, "log_deliveries": arguments.log_deliveries,
            "pending": arguments.pending, "sick_webhooks": arguments.sick_webhooks,
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "version": env!("CARGO_PKG_VERSION"),
        },
        "scenarios": findings.iter().map(Finding::json).collect::<Vec<_>>(),
    });
    for plain in findings.iter().filter_map(Finding::plain_json) {
        for (name, value) in plain.as_object().into_iter().flatten() {
            report[name.as_str()] = value.clone();
        }
    }
    report
}

impl Bench<'_> {
    async fn findings(&self) -> Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        for scenario in Choice::scenarios(&self.arguments.scenarios) {
            note(&format!("{}: {}", scenario.name(), scenario.measured()));
            let finding = match scenario {
                Scenario::Relay => share::run(self, scenario, self.arguments.webhooks).await,
                Scenario::FanOut => share::run(self, scenario, share::FAN_OUT).await,
                Scenario::Batches => batches::run(self).await,
                Scenario::HalfRate => half_rate::run(self).await,
                Scenario::Latency => latency::run(self).await,
                Scenario::Isolation => isolation::run(self).await,
                Scenario::OtherWebhooks => beside::other_webhooks(self).await,
                Scenario::LongLog => beside::long_log(self).await,
                Scenario::Backlog => beside::backlog(self).await,
                Scenario::Retention => retention::run(self).await,
                Scenario::Footprint => footprint::run(self).await,
                Scenario::Pages => pages::run(self).await,
                Scenario::Nodes if self.arguments.postgres.is_none() && !self.names(scenario) => {
                    note("nodes: left out, because --postgres names no database");
                    continue;
                }
                Scenario::Nodes => nodes::run(self).await,
            };
            findings.push(finding.map_err(|failure| format!("{}: {failure}", scenario.name()))?);
        }
        Ok(findings)
    }

    /// Whether a scenario was asked for by its name.
    fn names(&self, scenario: Scenario) -> bool {
        self.arguments.scenarios.contains(&Choice::One(scenario))
    }

    /// A folder for one database.
    fn folder(&self, name: &str) -> Result<TemporaryFolder, Failure> {
        let place = self.arguments.directory.clone().unwrap_or_else(std::env::temp_dir);
        Ok(TemporaryFolder::make(&place, &format!("bench-{name}"))?)
    }

    fn length(&self) -> Duration {
        Duration::from_secs_f64(self.arguments.seconds)
    }

    /// What one round publishes as fast as it can, each event for one webhook.
    fn load(&self) -> Load {
        Load {
            connections: self.arguments.connections,
            event_bytes: self.arguments.event_bytes,
            batch: 1,
            length: self.length(),
            copies: 1,
        }
    }

    /// Tells how one round of a side came out.
    fn tell(&self, round: u32, side: &str, figures: &figures::Figures) {
        note(&format!("round {round} of {}: {side:12} {}", self.arguments.rounds, figures.text()));
    }
}
