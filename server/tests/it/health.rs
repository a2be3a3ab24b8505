//! What load balancers hear: ready, degraded, draining. That of a server that starts is
//! tested beside its code, that of a database that is away where that is.

use serde_json::json;

use crate::harness::{Harness, event};

#[test]
fn who_stops_says_so_at_once_and_still_answers() {
    let house = Harness::configured(|settings| settings.http.drain_seconds = 1.0);
    let operator = house.operator();
    assert_eq!(operator.get("/readyz").is(200)["status"], "ready");
    house.begin_to_stop();
    let document = operator.get("/readyz").problem(503, "unavailable");
    assert_eq!(document["condition"], "draining");
    operator.post("/v1/events", &event("ticket.updated", "1")).is(202);
    assert_eq!(operator.get("/healthz").is(200)["status"], "ok");
}

#[test]
fn a_source_that_is_away_degrades_and_no_more() {
    let house = Harness::configured(|settings| {
        // Nobody listens there.
        settings.source.nats.url = Some("nats://127.0.0.1:1".to_owned());
        settings.source.nats.stream = Some("EVENTS".to_owned());
        settings.source.nats.subject = Some("events.>".to_owned());
    });
    let health = house.nobody().get("/readyz").is(200);
    assert_eq!(health["status"], "degraded");
    assert_ne!(health["nats"], json!("consuming"));
}
