//! NATS and the program are killed again and again while messages come: nothing
//! that a stream has is lost, and nothing is delivered that was not published.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{CONSUMER, NatsServer, STREAM, consuming, event, nats, start};
use crate::process::hearer::{Hearer, Manner};
use crate::process::{Home, figure, seed};

/// Most requests that come between one kill and the next.
const MOST_HEARD: u64 = 1_500;

/// Events that were published and that a stream has, in their order there.
type Ledger = Arc<Mutex<Vec<(u64, String)>>>;

/// Publishes, and writes down what a stream has taken; goes on when the server
/// is back. One whose answer was lost may be there and is published again.
async fn publish(url: String, number: u64, ledger: Ledger, stop: CancellationToken) {
    let options = async_nats::ConnectOptions::new()
        .reconnect_delay_callback(|_| Duration::from_millis(20))
        .request_timeout(Some(Duration::from_millis(500)));
    let client = options.connect(url).await.expect("a connection");
    let mut jetstream = jetstream::new(client);
    jetstream.set_timeout(Duration::from_millis(500));
    for count in 0_u64.. {
        if stop.is_cancelled() {
            return;
        }
        let id = format!("p{number}-{count}");
        let sequence = loop {
            let sent = jetstream.publish("tickets.a", event(&id).to_string().into()).await;
            if let Ok(sent) = sent
                && let Ok(taken) = sent.await
            {
                break taken.sequence;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        ledger.lock().push((sequence, id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_neither_loses_anything() {
    let rounds = figure("CALLBOARD_SOAK_ROUNDS", 12);
    let seed = figure("CALLBOARD_SOAK_SEED", usize::try_from(seed()).expect("64 bits"));
    println!("crash test: NATS, seed {seed} (CALLBOARD_SOAK_SEED={seed} chooses the same moments)");
    let mut rng = StdRng::seed_from_u64(seed as u64);
    let (mut nats, broker) = nats().await;
    let home = Home::new();
    let hearer = Hearer::start(&[("/hook", Manner::Prompt)]).await;
    let consuming = |nats: &NatsServer| {
        let mut command = consuming(&home, nats);
        // What was on its way at a kill comes again soon.
        command
            .env("CALLBOARD_SOURCE_NATS_ACK_WAIT_SECONDS", "2")
            .env("CALLBOARD_SOURCE_NATS_BATCH_MESSAGES", "100");
        command
    };
    let mut process = start(consuming(&nats)).await;
    process
        .make_webhook(&json!({"url": hearer.url("/hook"), "events": ["*"], "retry": {"schedule_seconds": vec![0.1; 30]}}))
        .await;
    let (ledger, stop) = (Ledger::default(), CancellationToken::new());
    let publishers: Vec<_> = (0..4)
        .map(|number| tokio::spawn(publish(nats.url(), number, Arc::clone(&ledger), stop.clone())))
        .collect();
    let (mut kills_of_nats, mut kills) = (0, 0);
    for _ in 0..rounds {
        let heard = hearer.counts().heard + rng.random_range(1..MOST_HEARD);
        hearer.until("requests come", |counts| counts.heard >= heard).await;
        if rng.random_ratio(1, 2) {
            nats.kill().await;
            nats.run().await;
            kills_of_nats += 1;
        } else {
            process.kill().await;
            process = start(consuming(&nats)).await;
            kills += 1;
        }
    }
    stop.cancel();
    for publisher in publishers {
        publisher.await.expect("it does not panic");
    }
    broker.until_taken(STREAM, CONSUMER).await;
    let expected: HashSet<String> = ledger.lock().iter().map(|(_, id)| id.clone()).collect();
    hearer.until("all of them come", |_| hearer.tally("/hook").0 >= expected.len()).await;
    let taken = hearer.taken("/hook");
    let lost = expected.iter().filter(|id| !taken.contains_key(*id)).count();
    let (different, again) = hearer.tally("/hook");
    println!(
        "crash test: NATS killed {kills_of_nats} times and the program {kills} times, {} events in the \
         stream, {different} delivered, {lost} lost, {again} deliveries twice",
        expected.len(),
    );
    assert_eq!(lost, 0);
    assert!(taken.keys().all(|id| expected.contains(id)), "delivered without having been published");
    let most = kills * (16 + callboard_engine::UNWRITTEN);
    assert!(again <= most, "{again} came again, {most} may have been in flight at the kills");
    let dead = broker.jetstream.get_stream("DEAD").await.expect("a stream").cached_info().state.messages;
    assert_eq!(dead, 0);
    process.stop().await;
}
