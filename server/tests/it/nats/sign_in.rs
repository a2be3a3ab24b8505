//! The ways to sign in at a server that have to do with keys: an NKey, and a
//! `.creds` file of an account.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use async_nats::ConnectOptions;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

use super::server::{Broker, NatsServer};
use super::{CONSUMER, STREAM, consuming, event, recorded, start};
use crate::process::Home;

/// A server with these settings.
async fn with(home: &Home, settings: &str) -> NatsServer {
    let file = home.path("nats.conf");
    std::fs::write(&file, settings).expect("a file");
    NatsServer::with(&["--config", file.to_str().expect("UTF-8")]).await
}

/// The program takes a message with this setting, and is refused with a wrong one,
/// and shows neither.
async fn assert_signs_in(
    home: &Home,
    (nats, broker): (&NatsServer, &Broker),
    setting: &str,
    (right, wrong): (&str, &str),
) {
    broker.make_stream(STREAM, "tickets.>").await;
    broker.make_stream("DEAD", "dead.>").await;
    broker.publish("tickets.a", &[], event("behind-a-key").to_string()).await;
    let secret =
        |text: &str| text.split_whitespace().find(|word| word.starts_with("SU")).expect("a seed").to_owned();
    let mut command = consuming(home, nats);
    command.env(setting, wrong);
    let process = start(command).await;
    let line = process.line("can't take events from NATS").await;
    assert!(line.to_lowercase().contains("authorization"), "{line}");
    let log = process.log().concat();
    assert!(!log.contains(&secret(wrong)) && !log.contains("eyJ"), "{log}");
    process.stop().await;

    // From a file, as it should be kept.
    let file = home.path("secret");
    std::fs::write(&file, right).expect("a file");
    let mut command = consuming(home, nats);
    command.env(format!("{setting}_FILE"), &file);
    let process = start(command).await;
    broker.until_taken(STREAM, CONSUMER).await;
    assert_eq!(recorded(&process).await, ["behind-a-key"]);
    let log = process.log().concat();
    assert!(!log.contains(&secret(right)) && !log.contains("eyJ"), "{log}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_nkey_signs_in() {
    let home = Home::new();
    let (user, other) = (KeyPair::new_user(), KeyPair::new_user());
    let nats =
        with(&home, &format!("authorization {{ users = [ {{ nkey: {} }} ] }}", user.public_key())).await;
    let (right, wrong) = (user.seed().expect("a seed"), other.seed().expect("a seed"));
    let broker = nats.client_as(ConnectOptions::with_nkey(right.clone())).await;
    assert_signs_in(&home, (&nats, &broker), "CALLBOARD_SOURCE_NATS_NKEY", (&right, &wrong)).await;
}

/// What `issuer` says of `subject`, as NATS writes it.
fn said(issuer: &KeyPair, subject: &KeyPair, about: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let claims = json!({"jti": subject.public_key(), "iat": 1_700_000_000, "iss": issuer.public_key(),
        "name": "tests", "sub": subject.public_key(), "nats": about});
    let text = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = issuer.sign(text.as_bytes()).expect("a signature");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The file that a user of an account is given.
fn credentials(account: &KeyPair, user: &KeyPair) -> String {
    let about =
        json!({"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2});
    let (token, seed) = (said(account, user, &about), user.seed().expect("a seed"));
    format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credentials_file_signs_in() {
    let home = Home::new();
    let (operator, account, system) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
    let unlimited = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1});
    let mut with_streams = unlimited.clone();
    for what in ["mem_storage", "disk_storage", "streams", "consumer"] {
        with_streams[what] = json!(-1);
    }
    let account_of = |limits: &Value| json!({"limits": limits, "default_permissions": {"pub": {}, "sub": {}}, "type": "account", "version": 2});
    let settings = format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}\n",
        said(&operator, &operator, &json!({"type": "operator", "version": 2})),
        system.public_key(),
        system.public_key(),
        said(&operator, &system, &account_of(&unlimited)),
        account.public_key(),
        said(&operator, &account, &account_of(&with_streams)),
    );
    let nats = with(&home, &settings).await;
    let right = credentials(&account, &KeyPair::new_user());
    // Of an account that the server does not know.
    let wrong = credentials(&KeyPair::new_account(), &KeyPair::new_user());
    let broker = nats.client_as(ConnectOptions::with_credentials(&right).expect("credentials")).await;
    assert_signs_in(&home, (&nats, &broker), "CALLBOARD_SOURCE_NATS_CREDENTIALS", (&right, &wrong)).await;
}
