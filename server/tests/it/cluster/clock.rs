//! A process whose machine's clock is an hour off, or is set while it runs.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use callboard::app;
use callboard::config::{Encryption, Hidden, Settings};
use callboard_domain::clock::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{BUSY, Cluster};
use crate::process::connection::{self, Connection};
use crate::process::hearer::{Hearer, Manner};
use crate::process::{Process, TOKEN, figure, until};

/// How wrong the clock is, in seconds.
const WRONG: i64 = 3_600;

/// The wait before a retry.
const RETRY: Duration = Duration::from_secs(2);

/// A process on a machine whose clock a test can set. It is the program itself, but
/// for its clock, and lives in the process of the test.
struct Wrong {
    address: SocketAddr,
    /// How far the machine's clock is ahead, in seconds.
    ahead: Arc<AtomicI64>,
    stop: CancellationToken,
    running: JoinHandle<std::io::Result<()>>,
}

impl Wrong {
    async fn start(cluster: &Cluster, seconds: i64) -> Self {
        // Events are kept for half an hour, by far less than the clock is wrong.
        let mut settings = Settings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            database: cluster.urls[0].clone().into(),
            admin_token: Some(Hidden(TOKEN.to_owned())),
            // That of the other nodes, who made it.
            encryption: Encryption { keys: None, key_file: Some(cluster.home.path("callboard.key")) },
            ..Settings::default()
        };
        settings.retention.days = 0.02;
        settings.egress.allow = vec!["127.0.0.0/8".parse().expect("a network")];
        let ahead = Arc::new(AtomicI64::new(seconds));
        let (right, set) = (SystemClock::new(), Arc::clone(&ahead));
        let machine = move || {
            let seconds = Duration::from_secs(set.load(Ordering::Relaxed).unsigned_abs());
            let now = right.now();
            if set.load(Ordering::Relaxed) < 0 { now - seconds } else { now + seconds }
        };
        let app = app::build(&settings, Arc::new(SystemClock::on(machine))).await.expect("it starts");
        let address = app.address().expect("an address");
        let stop = CancellationToken::new();
        let running = tokio::spawn(app.run(stop.clone()));
        Self { address, ahead, stop, running }
    }

    /// Sets the machine's clock.
    fn set(&self, seconds: i64) {
        self.ahead.store(seconds, Ordering::Relaxed);
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.expect("it does not panic").expect("it stops");
    }
}

fn event(id: &str) -> Value {
    json!({"id": id, "type": "order.paid", "subject": {"id": "1"}})
}

fn seconds(time: &Value) -> f64 {
    let at: Timestamp = time.as_str().expect("a text").parse().expect("a time");
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

/// Every retry of a webhook came when it should, whoever made it. Returns how many
/// there were.
async fn assert_retried_in_time(right: &Process, webhook: &str, expected: usize) -> usize {
    let delivered = right.deliveries(webhook, "delivered").await;
    assert_eq!(delivered.len(), expected, "{delivered:?}");
    let mut retried = 0;
    for delivery in &delivered {
        let path = format!("/v1/deliveries/{}", delivery["id"].as_str().expect("an id"));
        let shown = right.get(&path).await.is(200);
        let log = shown["attempt_log"].as_array().expect("attempts");
        let began: Vec<f64> = log.iter().map(|attempt| seconds(&attempt["started_at"])).collect();
        for pair in began.windows(2) {
            let waited = pair[1] - pair[0];
            let (least, most) = (RETRY.as_secs_f64() * 0.5, (RETRY + BUSY).as_secs_f64() * 1.5);
            assert!((least..most).contains(&waited), "{waited} seconds between two attempts: {shown}");
            retried += 1;
        }
    }
    retried
}

/// An access token that the process at this address has made.
async fn token(maker: SocketAddr) -> String {
    let client = json!({"name": "a client", "scopes": ["read:events"]});
    let made = connection::post(maker, "/v1/clients", &client).await.expect("an answer").is(201);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (id, secret) = (text(&made["client_id"]), text(&made["client_secret"]));
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let token = connection::token(maker, form).await.expect("an answer").is(200);
    text(&token["access_token"])
}

async fn assert_admits(address: SocketAddr, token: &str) {
    let mut connection = Connection::open(address).await.expect("a connection");
    connection.get_as(token, "/v1/events/old").await.expect("an answer").is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_fast_changes_nothing() {
    a_wrong_clock_changes_nothing(WRONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_slow_changes_nothing() {
    a_wrong_clock_changes_nothing(-WRONG).await;
}

async fn a_wrong_clock_changes_nothing(ahead: i64) {
    let cluster = Cluster::start(1).await;
    let right = cluster.node(0);
    right.post("/v1/events", &event("old")).await.is(202);
    let wrong = Wrong::start(&cluster, ahead).await;

    let hearer = Hearer::start(&[("/flaky", Manner::Failing(2))]).await;
    let settings = json!({"url": hearer.url("/flaky"), "events": ["*"],
        "retry": {"schedule_seconds": [RETRY.as_secs(), RETRY.as_secs()]}});
    let made = connection::post(wrong.address, "/v1/webhooks", &settings).await.expect("an answer").is(201);
    let webhook = made["id"].as_str().expect("an id").to_owned();
    for (number, address) in
        [wrong.address, right.address, wrong.address, right.address].into_iter().enumerate()
    {
        connection::post(address, "/v1/events", &event(&format!("e{number}")))
            .await
            .expect("an answer")
            .is(202);
    }
    let began = hearer.elapsed();
    right.until_drained(&[&webhook]).await;
    let retried = assert_retried_in_time(right, &webhook, 4).await;
    assert!(retried > 0 && hearer.elapsed().saturating_sub(began) < RETRY * 3 + BUSY, "{retried} retries");

    // Upkeep of either deletes nothing that is minutes old.
    let times = figure("CALLBOARD_SOAK_SECONDS", 3);
    tokio::time::sleep(Duration::from_secs(times as u64)).await;
    right.get("/v1/events/old").await.is(200);

    // A token of one is good for the other.
    for (maker, user) in [(wrong.address, right.address), (right.address, wrong.address)] {
        assert_admits(user, &token(maker).await).await;
    }
    until("both are listed", async || (super::listed(wrong.address).await?.len() == 2).then_some(())).await;
    wrong.end().await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_while_the_node_works_changes_nothing() {
    let cluster = Cluster::start(1).await;
    let (right, wrong) = (cluster.node(0), Wrong::start(&cluster, 0).await);
    let hearer = Hearer::start(&[("/flaky", Manner::Failing(3)), ("/prompt", Manner::Prompt)]).await;
    // Far more retries than one delivery can come to need.
    let settings = |path| {
        json!({"url": hearer.url(path), "events": ["*"],
            "retry": {"schedule_seconds": vec![RETRY.as_secs(); 30]}})
    };
    let webhooks =
        [right.make_webhook(&settings("/flaky")).await, right.make_webhook(&settings("/prompt")).await];
    right.post("/v1/events", &event("old")).await.is(202);
    let token = token(wrong.address).await;
    let machine = SystemClock::new();
    let (mut published, mut longest) = (1, Duration::ZERO);
    for ahead in [WRONG, -WRONG, 0] {
        for number in 0..20 {
            // Amid what it does.
            if number == 10 {
                wrong.set(ahead);
            }
            let (id, address) = (format!("{ahead}-{number}"), [wrong.address, right.address][number % 2]);
            let before = machine.now();
            connection::post(address, "/v1/events", &event(&id)).await.expect("an answer").is(202);
            let accepted = seconds(&right.get(&format!("/v1/events/{id}")).await.is(200)["accepted_at"]);
            let off = accepted - before.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
            assert!(off.abs() < BUSY.as_secs_f64(), "{id} was accepted {off} seconds off");
            published += 1;
        }
        assert_admits(wrong.address, &token).await;
        let began = machine.elapsed();
        right.until_drained(&[&webhooks[0], &webhooks[1]]).await;
        longest = longest.max(machine.elapsed().saturating_sub(began));
        connection::get(wrong.address, "/v1/events/old").await.expect("an answer").is(200);
    }
    let retried = assert_retried_in_time(right, &webhooks[0], published).await;
    println!(
        "cluster: a clock set by an hour: {published} events, {retried} retries, the last {longest:?} after it"
    );
    // One in three requests fails, so there are thirty.
    assert!(retried > 20 && longest < RETRY * 15, "{retried} retries, {longest:?}");
    assert_eq!((hearer.tally("/flaky"), hearer.tally("/prompt")), ((published, 0), (published, 0)));
    wrong.end().await;
    cluster.end().await;
}
