//! A great many deliveries through the program: all of them arrive, and it ends
//! with the memory that it had near the beginning.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed, and this one reports figures")]

use std::time::Duration;

use callboard_domain::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::process::connection::Connection;
use crate::process::hearer::{Hearer, Manner};
use crate::process::{Home, Process, figure};

/// Deliveries, where nobody says otherwise.
const USUAL: usize = 16_000;

/// Events of one request.
const BATCH: usize = 100;

/// Most deliveries under way: what waits in the lanes is memory too, and not
/// what is looked for.
const WINDOW: u64 = 4_000;

/// What has its final size after one part in so many.
const WARM: usize = 8;

/// How much more memory may be resident at the end, in MiB: the caches of the
/// database fill as it grows, 16 MiB to write and 2 for each of four to read,
/// and the allocator may keep as much again. Of a million deliveries none can
/// leave 60 bytes behind then.
const MOST_GROWTH: u64 = 48;

/// A webhook of this test: its path, how it answers, what else it asks for.
const WEBHOOKS: [(&str, Manner, &str); 4] = [
    ("/free", Manner::Prompt, "none"),
    ("/ordered", Manner::Prompt, "subject"),
    ("/slow", Manner::Slow(Duration::from_millis(5)), "none"),
    ("/failing", Manner::Failing(9), "none"),
];

struct Run {
    hearer: Hearer,
    connection: Connection,
    published: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_great_many_deliveries_leave_nothing_behind_in_memory() {
    let count = figure("CALLBOARD_SOAK_DELIVERIES", USUAL);
    let clock = SystemClock::new();
    let home = Home::new();
    let hearer = Hearer::start(&WEBHOOKS.map(|(path, manner, _)| (path, manner))).await;
    let process = home.serve().await;
    let mut webhooks = Vec::new();
    for (path, _, ordering) in WEBHOOKS {
        let settings = json!({
            "url": hearer.url(path), "events": ["*"], "ordering": ordering, "max_in_flight": 64,
            "retry": {"schedule_seconds": [0.05, 0.1, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]},
        });
        webhooks.push(process.make_webhook(&settings).await);
    }
    let webhooks: Vec<&str> = webhooks.iter().map(String::as_str).collect();
    let connection = Connection::open(process.address).await.expect("a connection");
    let mut run = Run { hearer, connection, published: 0 };
    let events = count / WEBHOOKS.len();
    run.publish(events / WARM).await;
    process.until_drained(&webhooks).await;
    let (warm, _) = process.memory();
    run.publish(events).await;
    process.until_drained(&webhooks).await;
    let seconds = clock.elapsed().as_secs_f64();
    let (resident, most) = process.memory();
    assert_arrived(&run, &process, &webhooks).await;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = (run.published * WEBHOOKS.len()) as f64 / seconds;
    println!(
        "soak: {} deliveries in {seconds:.1} s, {rate:.0} a second; memory {warm} MiB after the first of {WARM} \
         parts, {resident} MiB at the end, at most {most} MiB",
        run.published * WEBHOOKS.len(),
    );
    assert!(resident <= warm + MOST_GROWTH, "{warm} MiB became {resident} MiB");
    process.stop().await;
}

/// Everything came, and nothing came twice.
async fn assert_arrived(run: &Run, process: &Process, webhooks: &[&str]) {
    for (id, (path, ..)) in webhooks.iter().zip(WEBHOOKS) {
        assert_eq!(run.hearer.tally(path), (run.published, 0), "{path}");
        let given_up = process.deliveries(id, "failed,cancelled,superseded").await;
        assert!(given_up.is_empty(), "{path}: {given_up:?}");
    }
}

impl Run {
    /// Publishes until there are so many events.
    async fn publish(&mut self, events: usize) {
        while self.published < events {
            let event = |number: usize| {
                let subject = format!("s{}", number % 997);
                json!({"id": format!("e{number}"), "type": "ticket.paid", "subject": {"id": subject}})
            };
            let batch: Value = (self.published..self.published + BATCH).map(event).collect();
            self.connection.publish(&batch).await.expect("an answer").is(202);
            self.published += BATCH;
            let sent = (self.published * WEBHOOKS.len()) as u64;
            self.hearer.until("deliveries come", |counts| counts.taken + WINDOW >= sent).await;
        }
    }
}
