//! The figures of rounds, their medians, and the ratio that matters.

use std::time::Duration;

use serde_json::{Value, json};

/// The figures of one round.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) events: u64,
    pub(super) deliveries: u64,
    /// From the first publish to the last arrival.
    pub(super) took: Duration,
    /// Processor time of what was measured.
    pub(super) used: Duration,
    pub(super) memory_mib: u32,
    pub(super) publish_p50: Duration,
    pub(super) publish_p99: Duration,
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
impl Round {
    /// Deliveries a second.
    fn rate(&self) -> f64 {
        self.deliveries as f64 / self.took.as_secs_f64()
    }

    /// Processor time of a delivery, in microseconds.
    fn cost(&self) -> f64 {
        self.used.as_secs_f64() * 1e6 / self.deliveries.max(1) as f64
    }

    /// The round in one line.
    pub(super) fn line(&self) -> String {
        format!(
            "{:7.0} deliveries/s, {:5.1} us of CPU each, publish p50 {:.1} ms, p99 {:.1} ms, {} MiB, {} events",
            self.rate(),
            self.cost(),
            milliseconds(self.publish_p50),
            milliseconds(self.publish_p99),
            self.memory_mib,
            self.events
        )
    }

    fn json(&self) -> Value {
        json!({
            "events": self.events, "deliveries": self.deliveries, "deliveries_per_second": self.rate(),
            "cpu_us_per_delivery": self.cost(), "memory_mib": self.memory_mib,
            "publish_p50_ms": milliseconds(self.publish_p50), "publish_p99_ms": milliseconds(self.publish_p99),
        })
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// All rounds.
pub(super) struct Report<'a> {
    webhooks: usize,
    relays: &'a [Round],
    servers: &'a [Round],
}

impl<'a> Report<'a> {
    pub(super) fn new(webhooks: usize, relays: &'a [Round], servers: &'a [Round]) -> Self {
        Self { webhooks, relays, servers }
    }

    /// Callboard's median rate as a share of the relay's.
    fn ratio(&self) -> f64 {
        median(self.servers, Round::rate) / median(self.relays, Round::rate)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "relay": {"rounds": self.relays.iter().map(Round::json).collect::<Vec<_>>(),
                "median_deliveries_per_second": median(self.relays, Round::rate)},
            "callboard": {"rounds": self.servers.iter().map(Round::json).collect::<Vec<_>>(),
                "median_deliveries_per_second": median(self.servers, Round::rate)},
            "ratio": self.ratio(),
        })
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let row = |name, rounds: &[Round]| {
            let figure = |of: fn(&Round) -> f64| median(rounds, of);
            format!(
                "{name:10} {:8.0} deliveries/s   {:6.1} us of CPU a delivery   publish p50 {:5.1} ms, p99 {:5.1} ms   {:4.0} MiB",
                figure(Round::rate),
                figure(Round::cost),
                figure(|round| milliseconds(round.publish_p50)),
                figure(|round| milliseconds(round.publish_p99)),
                figure(|round| round.memory_mib.into()),
            )
        };
        vec![
            format!("\nMedians, {} webhook(s) an event:", self.webhooks),
            row("relay", self.relays),
            row("callboard", self.servers),
            format!("\ndurable deliveries at {:.2} of the relay's rate", self.ratio()),
        ]
    }
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(of).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
