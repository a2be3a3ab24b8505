//! A great many deliveries that wait for a dead endpoint: they cost disk, and
//! neither memory nor anybody else's time.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that can't go on has failed, and this one reports figures"
)]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use callboard_domain::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::process::connection::Connection;
use crate::process::hearer::{Hearer, Manner};
use crate::process::{Home, Process, figure};

/// Deliveries that wait, where nobody says otherwise.
const USUAL: usize = 1_000_000;

/// Events of one request: the most that are allowed.
const BATCH: usize = 1_000;

/// Most memory that the process may ever take, in MiB.
const MOST_MEMORY: u64 = 256;

/// Most time that a start may take.
const MOST_START: Duration = Duration::from_secs(10);

/// Events whose way to the healthy endpoint is measured.
const SAMPLES: usize = 400;

/// How many times slower than alone the healthy endpoint may be served: far
/// more than chance makes it, far less than waiting behind the backlog would.
const MOST_RATIO: f64 = 10.0;

/// Shortest time that a ratio is taken of: below it, a machine that does
/// something else for a moment would decide.
const FLOOR: Duration = Duration::from_millis(25);

struct Run {
    hearer: Hearer,
    clock: SystemClock,
    /// Counts the measurements, whose events need ids of their own.
    measured: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_costs_neither_memory_nor_time_of_others() {
    let count = figure("CALLBOARD_BACKLOG", USUAL);
    let home = Home::on_sqlite();
    let hearer = Hearer::start(&[("/healthy", Manner::Prompt)]).await;
    let mut run = Run { hearer, clock: SystemClock::new(), measured: 0 };
    // Nobody accepts: the kernel does, and then there is silence.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let process = home.serve().await;
    let healthy = json!({"url": run.hearer.url("/healthy"), "events": ["order.*"]});
    process.make_webhook(&healthy).await;
    let url = |address: SocketAddr| format!("http://{address}/");
    let dead = json!({"url": url(silent.local_addr().expect("an address")), "events": ["ticket.*"]});
    let dead = process.make_webhook(&dead).await;
    // The first ones find everything cold.
    run.p99(&process).await;
    let alone = run.p99(&process).await;
    let started = run.clock.elapsed();
    pile_up(process.address, count).await;
    let seconds = run.clock.elapsed().saturating_sub(started).as_secs_f64();
    println!("backlog: {count} deliveries to a silent endpoint, published in {seconds:.1} s");
    run.compare("beside it", &process, alone).await;
    process.kill().await;

    let started = run.clock.elapsed();
    let process = home.serve().await;
    let ready = run.clock.elapsed().saturating_sub(started);
    println!("backlog: ready {} ms after a kill with the backlog", ready.as_millis());
    assert!(ready < MOST_START, "{ready:?}");
    run.compare("after the restart", &process, alone).await;

    // The other kind of dead: nobody listens, and each attempt fails at once.
    let refusing = silent.local_addr().expect("an address");
    drop(silent);
    let address = process.address;
    let mut connection = Connection::open(address).await.expect("a connection");
    let path = format!("/v1/webhooks/{dead}");
    let change = json!({"url": url(refusing), "timeout_seconds": 1});
    connection.send("PATCH", &path, change.to_string().into()).await.expect("an answer").is(200);
    run.compare("while it refuses", &process, alone).await;
    let stats = process.get(&format!("/v1/webhooks/{dead}/stats")).await.is(200);
    println!("backlog: {} attempts failed meanwhile", stats["failed_attempts"]);
    process.stop().await;
}

/// Publishes `count` events that only the dead endpoint hears.
async fn pile_up(address: SocketAddr, count: usize) {
    let event = json!({"type": "ticket.updated", "subject": {"id": "1"}});
    let batch = Value::Array(vec![event; BATCH]);
    let mut connection = Connection::open(address).await.expect("a connection");
    for _ in 0..count / BATCH {
        connection.publish(&batch).await.expect("an answer").is(202);
    }
}

impl Run {
    /// The 99th percentile of the time from publishing an event to its arrival
    /// at the healthy endpoint.
    async fn p99(&mut self, process: &Process) -> Duration {
        self.measured += 1;
        let mut connection = Connection::open(process.address).await.expect("a connection");
        let mut times = Vec::with_capacity(SAMPLES);
        for number in 0..SAMPLES {
            let id = format!("sample-{}-{number}", self.measured);
            let event = json!({"id": id, "type": "order.paid", "subject": {"id": "1"}});
            let sent = self.hearer.elapsed();
            connection.publish(&event).await.expect("an answer").is(202);
            let first_at = || self.hearer.first_at("/healthy", &id);
            // After a kill, an older one may come once more before it.
            self.hearer.until("it arrives", |_| first_at().is_some()).await;
            let arrived = first_at().expect("it was waited for");
            times.push(arrived.saturating_sub(sent));
        }
        times.sort_unstable();
        times[SAMPLES * 99 / 100]
    }

    /// Measures again, beside the backlog, and looks at the memory.
    async fn compare(&mut self, when: &str, process: &Process, alone: Duration) {
        let beside = self.p99(process).await;
        let (resident, most) = process.memory();
        let ratio = beside.max(FLOOR).as_secs_f64() / alone.max(FLOOR).as_secs_f64();
        println!(
            "backlog: {when}: p99 of a healthy endpoint {:.1} ms (alone {:.1} ms), \
             memory {resident} MiB, at most {most} MiB",
            beside.as_secs_f64() * 1_000.0,
            alone.as_secs_f64() * 1_000.0,
        );
        assert!(ratio <= MOST_RATIO, "{ratio:.1} times slower {when}");
        assert!(most < MOST_MEMORY, "{most} MiB {when}");
    }
}
