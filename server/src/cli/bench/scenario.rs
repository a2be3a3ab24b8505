//! What can be measured: one scenario for each promise about speed.

use clap::ValueEnum;
use clap::builder::PossibleValue;

/// One promise about speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    Relay,
    FanOut,
    Batches,
    HalfRate,
    Latency,
    Isolation,
    OtherWebhooks,
    LongLog,
    Backlog,
    Retention,
    Footprint,
    Pages,
    Nodes,
}

impl Scenario {
    /// Every scenario, in the order in which they are measured.
    pub(super) const ALL: [Self; 13] = [
        Self::Relay,
        Self::FanOut,
        Self::Batches,
        Self::HalfRate,
        Self::Latency,
        Self::Isolation,
        Self::OtherWebhooks,
        Self::LongLog,
        Self::Backlog,
        Self::Retention,
        Self::Footprint,
        Self::Pages,
        Self::Nodes,
    ];

    /// The name on the command line and in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::FanOut => "fan_out",
            Self::Batches => "batches",
            Self::HalfRate => "half_rate",
            Self::Latency => "latency",
            Self::Isolation => "isolation",
            Self::OtherWebhooks => "other_webhooks",
            Self::LongLog => "long_log",
            Self::Backlog => "backlog",
            Self::Retention => "retention",
            Self::Footprint => "footprint",
            Self::Pages => "pages",
            Self::Nodes => "nodes",
        }
    }

    /// What is measured.
    pub(super) const fn measured(self) -> &'static str {
        match self {
            Self::Relay => "durable deliveries a second, against a relay that only forwards",
            Self::FanOut => "durable deliveries a second with ten webhooks an event, against the relay",
            Self::Batches => "events accepted a second in arrays of 100, against single ones",
            Self::HalfRate => "publish p99 at half of the highest rate, from the moment each event was due",
            Self::Latency => "p99 from publishing to arrival, at 50 events a second",
            Self::Isolation => {
                "p99 from publishing to arrival beside a neighbour's dead endpoints and beside \
                 its backlog, against alone"
            }
            Self::OtherWebhooks => {
                "deliveries a second beside a million webhooks of others, against an empty database"
            }
            Self::LongLog => {
                "deliveries a second with ten million deliveries in the log, against an empty database"
            }
            Self::Backlog => {
                "deliveries a second with a million waiting for a silent endpoint, against an empty database"
            }
            Self::Retention => {
                "publish p99 while ten million old deliveries are deleted, against without; the space given back"
            }
            Self::Nodes => {
                "deliveries a second by one, two and three nodes on the PostgreSQL that --postgres names"
            }
            Self::Pages => {
                "time that each page of the dashboard takes, with ten million deliveries in the log and \
                 a thousand webhooks"
            }
            Self::Footprint => "memory idle and under full load, time to get ready, size of the program",
        }
    }

    /// What is promised of it.
    pub(super) const fn aim(self) -> &'static str {
        match self {
            Self::Relay => "at least 0.6 of the relay's rate",
            Self::FanOut => "at least 0.8 of the relay's rate",
            Self::Batches => "at least 2 times as many",
            Self::HalfRate => "below 15 ms",
            Self::Latency => "below 5 ms",
            Self::Isolation => "at most 1.5 times as long in each",
            Self::OtherWebhooks | Self::LongLog | Self::Backlog => "at least 0.8 as many",
            Self::Retention => "at most 2 times as long; at most 0.15 of the file free afterwards",
            Self::Nodes => "none; on one machine they share its processors",
            Self::Pages => "median of the slowest page below 20 ms",
            Self::Footprint => "below 30 MiB, 120 MiB, 200 ms and 20 MiB",
        }
    }
}

/// What `--scenario` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    One(Scenario),
    All,
}

impl Choice {
    /// The scenarios that are chosen, each once, in the order of
    /// [`Scenario::ALL`]; the first of them if nothing is said.
    pub(super) fn scenarios(choices: &[Self]) -> Vec<Scenario> {
        let chosen = |scenario: &Scenario| match choices {
            [] => *scenario == Scenario::Relay,
            _ => choices.contains(&Self::All) || choices.contains(&Self::One(*scenario)),
        };
        Scenario::ALL.into_iter().filter(chosen).collect()
    }
}

impl ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        const CHOICES: [Choice; Scenario::ALL.len() + 1] = {
            let mut choices = [Choice::All; Scenario::ALL.len() + 1];
            let mut index = 0;
            while index < Scenario::ALL.len() {
                choices[index] = Choice::One(Scenario::ALL[index]);
                index += 1;
            }
            choices
        };
        &CHOICES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::One(scenario) => {
                let help = format!("{}: {}", scenario.measured(), scenario.aim());
                PossibleValue::new(scenario.name()).help(help)
            }
            Self::All => PossibleValue::new("all").help("all of these, one after the other"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scenario_is_chosen_once_and_in_order() {
        let one = Choice::One;
        assert_eq!(Choice::scenarios(&[]), [Scenario::Relay]);
        let twice = [one(Scenario::Latency), one(Scenario::FanOut), one(Scenario::Latency)];
        assert_eq!(Choice::scenarios(&twice), [Scenario::FanOut, Scenario::Latency]);
        assert_eq!(Choice::scenarios(&[one(Scenario::Relay), Choice::All]), Scenario::ALL);
    }

    #[test]
    fn every_scenario_can_be_named() {
        for scenario in Scenario::ALL {
            assert_eq!(Choice::from_str(scenario.name(), false), Ok(Choice::One(scenario)));
        }
    }
}
