//! A process whose machine's clock is an hour off.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use callboard::app;
use callboard::config::{Hidden, Settings};
use callboard_domain::clock::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{BUSY, Cluster};
use crate::process::TOKEN;
use crate::process::connection::{self, Connection};
use crate::process::hearer::{Hearer, Manner};
use crate::process::{figure, until};

/// How wrong the clock is, in seconds.
const WRONG: i64 = 3_600;

/// The wait before a retry.
const RETRY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_fast_changes_nothing() {
    a_wrong_clock_changes_nothing(WRONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_slow_changes_nothing() {
    a_wrong_clock_changes_nothing(-WRONG).await;
}

/// When an attempt began, in seconds.
fn started(attempt: &Value) -> f64 {
    let at: Timestamp = attempt["started_at"].as_str().expect("a text").parse().expect("a time");
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

async fn a_wrong_clock_changes_nothing(seconds: i64) {
    let cluster = Cluster::start(1).await;
    let right = cluster.node(0);
    // Events are kept for half an hour, by far less than the clock is wrong.
    let mut settings = Settings {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        database: cluster.urls[0].clone().into(),
        admin_token: Some(Hidden(TOKEN.to_owned())),
        ..Settings::default()
    };
    settings.retention.days = 0.02;
    settings.egress.allow = vec!["127.0.0.0/8".parse().expect("a network")];
    right
        .post("/v1/events", &json!({"id": "old", "type": "order.paid", "subject": {"id": "1"}}))
        .await
        .is(202);
    let clock = Arc::new(SystemClock::new());
    assert!(clock.correct(seconds * 1_000_000));
    let app = app::build(&settings, clock).await.expect("it starts");
    let wrong = app.address().expect("an address");
    let stop = CancellationToken::new();
    let running = tokio::spawn(app.run(stop.clone()));

    // A retry comes when it should, whoever makes it.
    let hearer = Hearer::start(&[("/flaky", Manner::Failing(2)), ("/prompt", Manner::Prompt)]).await;
    let settings = json!({"url": hearer.url("/flaky"), "events": ["*"],
        "retry": {"schedule_seconds": [RETRY.as_secs(), RETRY.as_secs()]}});
    let made = connection::post(wrong, "/v1/webhooks", &settings).await.expect("an answer").is(201);
    let webhook = made["id"].as_str().expect("an id").to_owned();
    for (number, address) in [wrong, right.address, wrong, right.address].into_iter().enumerate() {
        let event = json!({"id": format!("e{number}"), "type": "order.paid", "subject": {"id": "1"}});
        connection::post(address, "/v1/events", &event).await.expect("an answer").is(202);
    }
    let began = hearer.elapsed();
    right.until_drained(&[&webhook]).await;
    let delivered = right.deliveries(&webhook, "delivered").await;
    assert_eq!(delivered.len(), 4, "{delivered:?}");
    let mut retried = 0;
    for delivery in &delivered {
        let path = format!("/v1/deliveries/{}", delivery["id"].as_str().expect("an id"));
        let shown = right.get(&path).await.is(200);
        let began: Vec<f64> =
            shown["attempt_log"].as_array().expect("attempts").iter().map(started).collect();
        for pair in began.windows(2) {
            let waited = pair[1] - pair[0];
            let (least, most) = (RETRY.as_secs_f64() * 0.5, (RETRY + BUSY).as_secs_f64() * 1.5);
            assert!((least..most).contains(&waited), "{waited} seconds between two attempts: {shown}");
            retried += 1;
        }
    }
    assert!(retried > 0 && hearer.elapsed().saturating_sub(began) < RETRY * 3 + BUSY, "{retried} retries");

    // Upkeep of either deletes nothing that is minutes old.
    let times = figure("CALLBOARD_SOAK_SECONDS", 3);
    tokio::time::sleep(Duration::from_secs(times as u64)).await;
    right.get("/v1/events/old").await.is(200);

    // A token of one is good for the other.
    for (maker, user) in [(wrong, right.address), (right.address, wrong)] {
        let client = json!({"name": "a client", "scopes": ["read:events"]});
        let made = connection::post(maker, "/v1/clients", &client).await.expect("an answer").is(201);
        let (id, secret) = (&made["client_id"], &made["client_secret"]);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let form =
            format!("grant_type=client_credentials&client_id={}&client_secret={}", text(id), text(secret));
        let token = connection::token(maker, form).await.expect("an answer").is(200);
        let mut connection = Connection::open(user).await.expect("a connection");
        connection.get_as(&text(&token["access_token"]), "/v1/events/old").await.expect("an answer").is(200);
    }
    until("both are listed", async || (super::listed(wrong).await?.len() == 2).then_some(())).await;
    stop.cancel();
    running.await.expect("it does not panic").expect("it stops");
    cluster.end().await;
}
