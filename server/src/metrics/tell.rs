//! Every metric: its name, its meaning, and where its value comes from.

use callboard_domain::clock::{Clock, Timestamp};
use callboard_domain::measures::EngineMeasures;

use super::process::Process;
use super::samples::Seen;
use super::text::{Kind, Text};
use super::{ApiMeasures, Measures};
use crate::api::State;
use crate::source::{Condition, Watch};

use Kind::{Counter, Gauge};

/// Everything that is told, in the text format of Prometheus.
pub(crate) async fn tell(state: &State) -> String {
    let inner = &state.inner;
    let measures = &inner.measures;
    let seen = measures.samples.look(&inner.engine, &*inner.store, &*inner.clock).await;
    let mut text = Text::default();
    program(&mut text, measures, &*inner.clock);
    events(&mut text, inner.engine.measures());
    deliveries(&mut text, inner.engine.measures());
    queues(&mut text, &seen, inner.clock.now());
    database(&mut text, measures, &seen, inner.store.lease().is_some());
    clients(&mut text, &measures.api, inner.engine.streams());
    source(&mut text, inner.options.nats.as_ref());
    spans(&mut text, measures);
    process(&mut text, Process::read());
    text.finish()
}

fn program(text: &mut Text, measures: &Measures, clock: &dyn Clock) {
    let build = ("callboard_build_info", "version");
    text.by(Gauge, build, "The version of the program; always 1.", [(env!("CARGO_PKG_VERSION"), 1)]);
    let up = clock.elapsed().saturating_sub(measures.started).as_secs_f64();
    text.one(Gauge, "callboard_uptime_seconds", "Time since the program started.", up);
}

fn events(text: &mut Text, engine: &EngineMeasures) {
    let accepted = "Events that were recorded.";
    text.one(Counter, "callboard_events_accepted_total", accepted, engine.events_accepted.read());
    let duplicate = "Events that were known already.";
    text.one(Counter, "callboard_events_duplicate_total", duplicate, engine.events_duplicate.read());
    let publish = "Time to match and to record what was published together.";
    text.times("callboard_publish_duration_seconds", publish, &engine.publish.read());
}

fn deliveries(text: &mut Text, engine: &EngineMeasures) {
    let made = "Deliveries that were recorded with their events.";
    text.one(Counter, "callboard_deliveries_made_total", made, engine.deliveries_made.read());
    let delivered = ("callboard_deliveries_delivered_total", "dialect");
    let by_dialect = engine.delivered().map(|(dialect, count)| (dialect.as_str(), count));
    text.by(Counter, delivered, "Deliveries that arrived.", by_dialect);
    let given_up = ("callboard_deliveries_given_up_total", "cause");
    let by_cause = engine.given_up().map(|(cause, count)| (cause.as_str(), count));
    text.by(Counter, given_up, "Deliveries that are not tried any more.", by_cause);
    let failed = ("callboard_attempts_failed_total", "cause");
    let by_cause = engine.failed().map(|(cause, count)| (cause.as_str(), count));
    text.by(Counter, failed, "Attempts that failed; \"blocked\" by the address guard.", by_cause);
    let answered = ("callboard_attempts_answered_total", "class");
    let by_class = engine.answered().map(|(class, count)| (class.as_str(), count));
    text.by(Counter, answered, "Attempts by the class of their answer.", by_class);
    let retried = "Attempts after which a delivery waits for the next.";
    text.one(Counter, "callboard_attempts_retried_total", retried, engine.retried.read());
    let lag = "Time from the making of a delivery, which is the acceptance of its event unless it is late, to its first attempt.";
    text.times("callboard_first_attempt_lag_seconds", lag, &engine.lag.read());
    let phase = ("callboard_attempt_phase_duration_seconds", "phase");
    text.times_by(phase, "Time of the parts of attempts that took place.", engine.phases());
    let delayed = "Outcomes of attempts that could not be written down, each time that was tried.";
    text.one(Counter, "callboard_outcomes_delayed_total", delayed, engine.outcomes_delayed.read());
}

fn queues(text: &mut Text, seen: &Seen, now: Timestamp) {
    let queues = &seen.queues;
    text.one(Gauge, "callboard_queue_memory_deliveries", "Deliveries that wait in memory.", queues.waiting);
    let in_flight = "Attempts under way.";
    text.one(Gauge, "callboard_attempts_in_flight", in_flight, queues.in_flight);
    let oldest = "Age of the delivery that has waited in memory for the longest time.";
    text.one(Gauge, "callboard_queue_memory_oldest_seconds", oldest, age(queues.waiting_since, now));
    let lanes = "Webhooks that this process has a queue for.";
    text.one(Gauge, "callboard_lanes", lanes, queues.lanes);
    let open = "Webhooks that are left alone for a while because nothing but failures came of calling them.";
    text.one(Gauge, "callboard_lanes_breaker_open", open, queues.open_breakers);
    if let Some(backlog) = &seen.backlog {
        let waiting = "Deliveries in the database that are not over, up to a million.";
        text.one(Gauge, "callboard_queue_store_deliveries", waiting, backlog.deliveries);
        let overdue =
            "How long the delivery in the database that nobody holds has been due for the longest time.";
        text.one(Gauge, "callboard_queue_store_overdue_seconds", overdue, age(backlog.due_since, now));
    }
}

fn database(text: &mut Text, measures: &Measures, seen: &Seen, has_lease: bool) {
    let answers = u8::from(seen.backlog.is_some());
    text.one(Gauge, "callboard_store_up", "Whether the database answers.", answers);
    let store = &measures.store;
    let commit = "Time of transactions that many share, up to their end.";
    text.times("callboard_store_commit_duration_seconds", commit, &store.commit.read());
    let commands = "Writes that one transaction brought together.";
    text.sizes("callboard_store_commit_commands", commands, &store.commands.read());
    let failed = "Transactions that many share and that failed.";
    text.one(Counter, "callboard_store_commits_failed_total", failed, store.failed.read());
    if let Some(space) = &seen.space {
        text.one(Gauge, "callboard_store_size_bytes", "What the database takes on disk.", space.bytes);
        if let Some(free) = space.free_bytes {
            let help = "How much of that holds nothing and is used before more is taken.";
            text.one(Gauge, "callboard_store_free_bytes", help, free);
        }
    }
    let lease = "Whether this process holds its lease, without which it sends nothing.";
    text.one(Gauge, "callboard_node_lease_held", lease, u8::from(has_lease));
    if let Some(nodes) = seen.nodes {
        text.one(Gauge, "callboard_nodes", "Processes that work on the database.", nodes);
    }
}

fn clients(text: &mut Text, api: &ApiMeasures, streams: i64) {
    let connections = "Connections of clients.";
    text.one(Gauge, "callboard_api_connections", connections, api.connections.read());
    let refused = "Connections for which there was no place.";
    text.one(Counter, "callboard_api_connections_refused_total", refused, api.refused.read());
    let requests = ("callboard_api_requests_total", "class");
    text.by(Counter, requests, "Requests by the class of their answer.", api.classes());
    let answering = "Time to answer requests, up to the headers of the answer.";
    text.times("callboard_api_request_duration_seconds", answering, &api.answering.read());
    text.one(Gauge, "callboard_streams", "Streams that somebody listens to.", streams);
}

fn source(text: &mut Text, nats: Option<&Watch>) {
    let Some(nats) = nats else { return };
    let now = nats.condition();
    let each = Condition::ALL.map(|condition| (condition.as_str(), u8::from(condition == now)));
    let help = "How the source of events in NATS is: 1 for the condition that holds.";
    text.by(Gauge, ("callboard_nats_condition", "condition"), help, each);
}

fn spans(text: &mut Text, measures: &Measures) {
    let exported = "Spans that the collector of traces took.";
    text.one(Counter, "callboard_spans_exported_total", exported, measures.spans.exported.read());
    let dropped = "Spans that it did not take, or that there was no room for.";
    text.one(Counter, "callboard_spans_dropped_total", dropped, measures.spans.dropped.read());
}

/// By the names that Prometheus' own libraries use.
fn process(text: &mut Text, process: Process) {
    if let Some(bytes) = process.resident_bytes {
        text.one(Gauge, "process_resident_memory_bytes", "Memory that is resident.", bytes);
    }
    if let Some(seconds) = process.cpu_seconds {
        text.one(Counter, "process_cpu_seconds_total", "Processor time.", seconds);
    }
    if let Some(files) = process.open_files {
        text.one(Gauge, "process_open_fds", "Open files and connections.", files);
    }
    if let Some(files) = process.most_files {
        text.one(Gauge, "process_max_fds", "How many may be open.", files);
    }
}

/// How long ago that was, in seconds; 0 where there is nothing.
fn age(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
}
