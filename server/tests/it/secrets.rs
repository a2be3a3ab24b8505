//! Signing secrets: reading, rotating with an overlap, changing the scheme.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::time::Duration;

use callboard_domain::clock::Timestamp;
use callboard_domain::signing::verify_ed25519;
use serde_json::json;

use crate::harness::{Harness, event, text};
use crate::receiver::Received;

/// Whether `request` carries a signature by this secret.
fn is_signed_by(request: &Received, secret: &str) -> bool {
    let verifier = standardwebhooks::Webhook::new(secret).expect("a secret");
    let at = request.header("webhook-timestamp").parse().expect("seconds");
    let signature = verifier.sign(request.header("webhook-id"), at, &request.body).expect("a signature");
    request.header("webhook-signature").split(' ').any(|given| given == signature)
}

#[test]
fn both_secrets_sign_while_a_rotation_overlaps() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let receiver = house.receiver();
    let made = operator.post("/v1/webhooks", &json!({"url": receiver.url("/"), "events": ["ticket.*"]}));
    assert_eq!(made.header("cache-control"), "no-store");
    let webhook = made.is(201);
    let path = format!("/v1/webhooks/{}/secret", text(&webhook["id"]));
    let old = text(&webhook["secret"]);
    let answer = operator.get(&path);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.is(200), json!({"secret": old, "previous": []}));

    let rotated = operator.act(&format!("{path}?overlap_seconds=3600")).is(201);
    let new = text(&rotated["secret"]);
    assert_ne!(new, old);
    let ending = json!([{"secret": old, "expires_at": "2026-11-21T20:00:00Z"}]);
    assert_eq!(rotated["previous"], ending);
    assert_eq!(operator.get(&path).is(200), rotated);
    operator.publish(&event("ticket.updated", "1"));
    let during = receiver.next();
    assert_eq!(during.header("webhook-signature").split(' ').count(), 2);
    assert!(is_signed_by(&during, old) && is_signed_by(&during, new));

    house.advance(Duration::from_hours(1));
    operator.publish(&event("ticket.updated", "2"));
    let after = receiver.next();
    assert_eq!(after.header("webhook-signature").split(' ').count(), 1);
    assert!(!is_signed_by(&after, old) && is_signed_by(&after, new));
    assert_eq!(operator.get(&path).is(200)["previous"], json!([]));

    let at_once = operator.act(&format!("{path}?overlap_seconds=0")).is(201);
    assert_eq!(at_once["previous"], json!([]));
    operator.publish(&event("ticket.updated", "3"));
    assert!(!is_signed_by(&receiver.next(), new));
    for wrong in ["-1", "604801", "soon", "1.5"] {
        let refused = operator.act(&format!("{path}?overlap_seconds={wrong}"));
        refused.blames(400, "invalid-input", &["overlap_seconds"]);
    }
}

#[test]
fn another_scheme_brings_another_secret() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let webhook = operator.make_webhook(&receiver.url("/"), &json!({"events": ["ticket.*"]}));
    let path = format!("/v1/webhooks/{}", text(&webhook["id"]));
    let edited = operator.patch(&path, &json!({"signature": "ed25519"}));
    let etag = edited.header("etag").to_owned();
    assert_eq!(edited.is(200)["signature"], "ed25519");
    assert_eq!(operator.get(&path).header("etag"), etag);
    let secrets = operator.get(&format!("{path}/secret")).is(200);
    assert_eq!(secrets["previous"], json!([]));
    operator.publish(&event("ticket.updated", "1"));
    let request = receiver.next();
    let signature = request.header("webhook-signature");
    let id = request.header("webhook-id").parse().expect("an id");
    let at = request.header("webhook-timestamp").parse().expect("seconds");
    let at = Timestamp::from_second(at).expect("a time");
    assert!(verify_ed25519(text(&secrets["secret"]), &id, at, &request.body, signature), "{signature}");
    assert_eq!(signature.split(' ').count(), 1);
}
