//! What one scenario found: the figures of each side, and whether its aims are
//! met.

use serde_json::{Value, json};

use super::figures::{Figures, amount, words};
use super::scenario::Scenario;

/// One of the things that are compared.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) rounds: Vec<Figures>,
}

impl Side {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, rounds: Vec::new() }
    }

    /// The median of one figure.
    pub(super) fn median(&self, name: &str) -> f64 {
        Figures::medians(&self.rounds).get(name)
    }

    fn rounds_json(&self) -> Vec<Value> {
        self.rounds.iter().map(Figures::json).collect()
    }
}

/// What a value should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Aim {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Aim {
    /// Whether `value` is as it should be; what is not a number never is.
    pub(super) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
            Self::Below(bound) => value < bound,
        }
    }

    fn json(self) -> Value {
        match self {
            Self::AtLeast(bound) => json!({"at_least": bound}),
            Self::AtMost(bound) => json!({"at_most": bound}),
            Self::Below(bound) => json!({"below": bound}),
        }
    }

    fn text(self) -> String {
        let (word, bound) = match self {
            Self::AtLeast(bound) => ("at least", bound),
            Self::AtMost(bound) => ("at most", bound),
            Self::Below(bound) => ("below", bound),
        };
        format!("{word} {}", amount(bound))
    }
}

/// A value that something is promised of.
#[derive(Debug)]
struct Outcome {
    name: &'static str,
    value: f64,
    aim: Aim,
}

impl Outcome {
    fn is_met(&self) -> bool {
        self.aim.is_met(self.value)
    }
}

/// What one scenario found.
#[derive(Debug)]
pub(super) struct Finding {
    scenario: Scenario,
    sides: Vec<Side>,
    facts: Figures,
    outcomes: Vec<Outcome>,
}

impl Finding {
    /// The figures of these sides.
    pub(super) fn new(scenario: Scenario, sides: Vec<Side>) -> Self {
        Self { scenario, sides, facts: Figures::default(), outcomes: Vec::new() }
    }

    /// The same with what else there is to know.
    pub(super) fn knowing(mut self, facts: Figures) -> Self {
        self.facts = facts;
        self
    }

    /// The same with a value that something is promised of.
    pub(super) fn judged(mut self, name: &'static str, value: f64, aim: Aim) -> Self {
        self.outcomes.push(Outcome { name, value, aim });
        self
    }

    fn is_met(&self) -> bool {
        self.outcomes.iter().all(Outcome::is_met)
    }

    pub(super) fn json(&self) -> Value {
        let side = |side: &Side| json!({"name": side.name, "medians": Figures::medians(&side.rounds).json(), "rounds": side.rounds_json()});
        let outcome = |outcome: &Outcome| json!({"name": outcome.name, "value": outcome.value, "aim": outcome.aim.json(), "met": outcome.is_met()});
        json!({
            "scenario": self.scenario.name(),
            "measured": self.scenario.measured(),
            "sides": self.sides.iter().map(side).collect::<Vec<_>>(),
            "facts": self.facts.json(),
            "results": self.outcomes.iter().map(outcome).collect::<Vec<_>>(),
            "met": self.is_met(),
        })
    }

    /// What `callboard bench --json` told before there were scenarios, for
    /// programs that read it: the two sides of the first one by their names.
    pub(super) fn plain_json(&self) -> Option<Value> {
        let (Scenario::Relay, [outcome]) = (self.scenario, &*self.outcomes) else { return None };
        let mut plain = json!({"ratio": outcome.value});
        for side in &self.sides {
            let rate = "deliveries_per_second";
            plain[side.name] =
                json!({"rounds": side.rounds_json(), "median_deliveries_per_second": side.median(rate)});
        }
        Some(plain)
    }

    /// The report in lines.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("\n{}: {}", self.scenario.name(), self.scenario.measured())];
        for side in &self.sides {
            lines.push(format!("  {:12} {}", side.name, Figures::medians(&side.rounds).text()));
        }
        if self.facts != Figures::default() {
            lines.push(format!("  {:12} {}", "besides", self.facts.text()));
        }
        for outcome in &self.outcomes {
            let verdict = if outcome.is_met() { "met" } else { "missed" };
            let value = words(outcome.name, outcome.value);
            lines.push(format!("  {:12} {value}; the aim is {}", verdict, outcome.aim.text()));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aims_include_their_bound_or_not_and_nothing_meets_none() {
        assert!(Aim::AtLeast(0.6).is_met(0.6) && !Aim::AtLeast(0.6).is_met(0.59));
        assert!(Aim::AtMost(2.0).is_met(2.0) && !Aim::AtMost(2.0).is_met(2.01));
        assert!(Aim::Below(15.0).is_met(14.9) && !Aim::Below(15.0).is_met(15.0));
        for aim in [Aim::AtLeast(0.0), Aim::AtMost(9.0), Aim::Below(9.0)] {
            assert!(!aim.is_met(f64::NAN), "{aim:?}");
        }
    }

    #[test]
    fn one_missed_aim_is_told_in_text_and_json() {
        let mut side = Side::new("callboard");
        side.rounds.push(Figures::default().with("memory_mib", 25.0));
        let finding = Finding::new(Scenario::Footprint, vec![side])
            .judged("idle_memory_mib", 25.0, Aim::Below(30.0))
            .judged("ready_ms", 250.0, Aim::Below(200.0));
        let json = finding.json();
        assert_eq!((&json["met"], &json["results"][0]["met"]), (&json!(false), &json!(true)));
        assert_eq!(json["results"][1]["aim"], json!({"below": 200.0}));
        let text = finding.lines().join("\n");
        assert!(text.contains("missed       ready 250 ms; the aim is below 200"), "{text}");
        assert!(text.contains("met          idle memory 25 MiB; the aim is below 30"), "{text}");
    }
}
