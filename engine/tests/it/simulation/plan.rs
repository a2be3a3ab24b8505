//! What a seed will do: the webhooks, what is published when, what people do by
//! hand, and when the process ends.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use serde_json::json;

use super::network;
use super::store::CrashPoint;
use super::weather::Weather;

/// How a webhook is set up.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    /// Its settings, as the API reads them.
    pub(crate) settings: String,
    pub(crate) ordered: bool,
    pub(crate) collapses: bool,
    pub(crate) schedule: &'static [f64],
    pub(crate) rate: Option<f64>,
    pub(crate) max_in_flight: usize,
}

/// What happens at a time that was chosen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The events with these numbers are published together.
    Publish {
        first: usize,
        count: usize,
    },
    /// A webhook is paused, made active, or disabled.
    Pause(usize),
    Resume(usize),
    Disable(usize),
    Delete(usize),
    Ping(usize),
    /// One of the deliveries so far is retried, or called off.
    Retry(u32),
    Cancel(u32),
    /// Everything of a webhook that failed is retried.
    RetryFailed(usize),
    /// Everything of a webhook that is over is sent again.
    Replay(usize),
    /// The process dies some calls of the store later.
    Crash {
        calls: u32,
        done: bool,
    },
    /// The process is asked to stop, and started again.
    Stop,
}

/// An event that will be published.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) id: String,
    pub(crate) body: String,
}

/// A seed's plan.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) hooks: Vec<Hook>,
    pub(crate) facts: Vec<Fact>,
    /// In the order of time.
    pub(crate) actions: Vec<(Duration, Action)>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) outages: Vec<(Duration, Duration)>,
    /// How many of eight answers of the store come late.
    pub(crate) late: u32,
    pub(crate) lane_capacity: usize,
    pub(crate) queue_memory: usize,
}

impl CrashPoint {
    pub(crate) const fn of(action: Action) -> Option<Self> {
        match action {
            Action::Crash { calls, done } => Some(Self { calls, done }),
            _ => None,
        }
    }
}

fn one_of<T: Copy>(rng: &mut StdRng, all: &[T]) -> T {
    all[rng.random_range(0..all.len())]
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Self {
        let rng = &mut StdRng::seed_from_u64(seed);
        let hooks: Vec<Hook> = (0..rng.random_range(1..=4)).map(|number| Hook::draw(number, rng)).collect();
        let heals = Duration::from_secs(rng.random_range(10..120));
        let weather = Arc::new(Weather::draw(hooks.len(), heals, rng));
        let facts = facts(rng);
        let mut actions = publishing(facts.len(), heals, rng);
        by_hand(hooks.len(), heals, &mut actions, rng);
        ends(heals, &mut actions, rng);
        actions.sort_by_key(|(at, _)| *at);
        let outages = (0..rng.next_u32() % 3).map(|_| {
            let from = Duration::from_millis(rng.random_range(0..60_000));
            let to = from + Duration::from_millis(rng.random_range(50..3_000));
            (from.min(heals), to.min(heals))
        });
        let outages = outages.collect();
        Self {
            hooks,
            facts,
            actions,
            weather,
            outages,
            late: one_of(rng, &[0, 0, 1, 4, 8]),
            lane_capacity: one_of(rng, &[1, 2, 3, 5, 8, 64]),
            queue_memory: one_of(rng, &[1_000, 3_000, 1_000_000, 1_000_000]),
        }
    }
}

impl Hook {
    fn draw(number: usize, rng: &mut StdRng) -> Self {
        const SCHEDULES: [&[f64]; 7] = [
            &[],
            &[1.0],
            &[0.5, 1.0, 2.0],
            &[5.0, 10.0],
            &[0.0, 0.0, 30.0],
            &[1.0, 1.0, 1.0, 1.0, 1.0, 10.0, 20.0],
            &[2.0; 12],
        ];
        let ordered = rng.random_ratio(1, 2);
        let collapses = ordered && rng.random_ratio(1, 2);
        let schedule = one_of(rng, &SCHEDULES);
        let rate = one_of(rng, &[None, None, None, Some(1.0), Some(4.0), Some(15.0), Some(50.0)]);
        let max_in_flight = one_of(rng, &[1, 2, 3, 5, 16]);
        let mut settings = json!({
            "url": network::url(number),
            "name": format!("w{number}"),
            "events": if rng.random_ratio(1, 6) { json!(["*", "webhook.*", "delivery.*"]) } else { json!(["*"]) },
            "ordering": if ordered { "subject" } else { "none" },
            "collapse": if collapses { "latest" } else { "none" },
            "retry": {"schedule_seconds": schedule},
            "max_in_flight": max_in_flight,
            "timeout_seconds": one_of(rng, &[0.5, 1.0, 3.0, 10.0]),
        });
        if let Some(rate) = rate {
            settings["rate_per_second"] = rate.into();
        }
        Self { settings: settings.to_string(), ordered, collapses, schedule, rate, max_in_flight }
    }
}

fn facts(rng: &mut StdRng) -> Vec<Fact> {
    let count = if rng.random_ratio(1, 8) { rng.random_range(40..120) } else { rng.random_range(3..40) };
    let subjects = rng.random_range(1..=5);
    let fact = |number| {
        let id = format!("e{number}");
        let mut body = json!({
            "id": id,
            "type": one_of(rng, &["ticket.updated", "ticket.updated", "ticket.paid", "acme.seat.held"]),
            "subject": {"id": format!("s{}", rng.next_u32() % subjects)},
        });
        if body["type"] == "acme.seat.held" {
            body["data"] = json!({"note": "x".repeat(rng.random_range(0..1_500))});
        }
        Fact { id, body: body.to_string() }
    };
    (0..count).map(fact).collect()
}

/// Spreads the events over the time until everything heals, in bursts.
fn publishing(count: usize, heals: Duration, rng: &mut StdRng) -> Vec<(Duration, Action)> {
    let mut actions = Vec::new();
    let (mut first, mut at) = (0, Duration::ZERO);
    while first < count {
        let together = rng.random_range(1..=3).min(count - first);
        actions.push((at, Action::Publish { first, count: together }));
        first += together;
        if rng.random_ratio(1, 2) {
            let longest = heals.as_secs_f64() / f64::from(u32::try_from(count).unwrap()) * 4.0;
            at = (at + Duration::from_secs_f64(rng.random_range(0.0..longest))).min(heals);
        }
    }
    actions
}

fn by_hand(hooks: usize, heals: Duration, actions: &mut Vec<(Duration, Action)>, rng: &mut StdRng) {
    let eventful = rng.random_ratio(1, 2);
    let count = if eventful { rng.random_range(1..12) } else { 0 };
    for _ in 0..count {
        let at = heals.mul_f64(rng.random_range(0.0..1.1));
        let hook = rng.random_range(0..hooks);
        let which = rng.next_u32();
        let action = match rng.next_u32() % 20 {
            0..2 => Action::Pause(hook),
            2..4 => Action::Resume(hook),
            4 => Action::Disable(hook),
            5 if rng.random_ratio(1, 3) => Action::Delete(hook),
            6 => Action::Ping(hook),
            7..11 => Action::Retry(which),
            11..15 => Action::Cancel(which),
            15..17 => Action::RetryFailed(hook),
            17 => Action::Replay(hook),
            _ => continue,
        };
        if let Action::Pause(hook) = action {
            let again = at + Duration::from_millis(rng.random_range(0..20_000));
            actions.push((again, Action::Resume(hook)));
        }
        actions.push((at, action));
    }
}

fn ends(heals: Duration, actions: &mut Vec<(Duration, Action)>, rng: &mut StdRng) {
    for _ in 0..one_of(rng, &[0, 0, 1, 1, 2, 3]) {
        let at = heals.mul_f64(rng.random_range(0.0..1.1));
        let crash = Action::Crash { calls: rng.next_u32() % 12, done: rng.random_ratio(1, 2) };
        actions.push((at, if rng.random_ratio(1, 3) { Action::Stop } else { crash }));
    }
}
