//! Another tenant's things are 404: every route with an id is tried.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

use serde_json::{Value, json};

use crate::harness::{Answer, Caller, Harness, SCOPES, event, text};
use crate::openapi::routes;
use crate::receiver::Reply;

/// One of each thing that a tenant can have.
struct Things {
    webhook: String,
    event: String,
    delivery: String,
    job: String,
    client: String,
    portal_link: String,
    /// The number of a webhook of the viagogo dialect.
    viagogo: String,
    /// A webhook of the OpenTicket dialect, and one of its deliveries.
    openticket: String,
    invocation: String,
}

impl Things {
    fn make(house: &Harness, owner: &Caller) -> Self {
        let receiver = house.receiver();
        receiver.otherwise(Reply::status(500));
        let settings = json!({"events": ["*"], "retry": {"schedule_seconds": []}});
        let webhook = owner.make_webhook(&receiver.url("/"), &settings);
        let webhook = text(&webhook["id"]).to_owned();
        let delivery = owner.publish(&json!({"id": "acmes-own", "type": "x.y", "subject": {"id": "1"}}));
        house.delivery(owner, &delivery, "failed");
        // Paused, so that what the job retries stays as it is.
        owner.act(&format!("/v1/webhooks/{webhook}/pause")).is(200);
        let job = owner.act(&format!("/v1/webhooks/{webhook}/retry-failed")).is(202);
        let job = text(&job["id"]).to_owned();
        house.until("the job ends", || {
            (owner.get(&format!("/v1/jobs/{job}")).is(200)["state"] == "finished").then_some(())
        });
        let topics = json!({"url": receiver.url("/"), "topics": ["Sales"]});
        let viagogo = owner.post("/viagogo/v2/webhooks", &topics).is(201)["id"].to_string();
        let pair = json!({"name": "n", "url": receiver.url("/"), "resource": "shop", "trigger": "paid", "retries": 0});
        let openticket = owner.post("/openticket/webhook", &pair).is(201);
        let openticket = text(&openticket["guid"]).to_owned();
        let published = owner.post("/v1/events", &event("shop.paid", "1")).is(202);
        let fan_out = owner.get(&format!("/v1/events/{}/deliveries", text(&published["id"]))).is(200);
        let fan_out = fan_out["items"].as_array().expect("items");
        let invocation = fan_out.iter().find(|one| one["webhook_id"] == *openticket).expect("an invocation");
        let invocation = text(&invocation["id"]).to_owned();
        house.delivery(owner, &invocation, "failed");
        let client = owner.make_client(&["admin"]).0;
        let portal_link = owner.post("/v1/portal-links", &json!({})).is(201);
        let portal_link = text(&portal_link["id"]).to_owned();
        let event = "acmes-own".to_owned();
        Self { webhook, event, delivery, job, client, portal_link, viagogo, openticket, invocation }
    }

    /// Each id that nothing of another tenant may show. The number is left out: there
    /// are others like it everywhere.
    fn ids(&self) -> [&str; 8] {
        let Self { webhook, event, delivery, job, client, portal_link, openticket, invocation, .. } = self;
        [webhook, event, delivery, job, client, portal_link, openticket, invocation].map(String::as_str)
    }

    /// Whether an answer holds none of them.
    fn hidden_in(&self, answer: &Answer) -> bool {
        let body = String::from_utf8_lossy(&answer.body);
        let whole = |id: &str| body.contains(&format!("\"{id}\"")) || body.contains(&format!("/{id}\""));
        !self.ids().into_iter().any(whole)
    }

    /// A route with this tenant's id; `None` when it has none of a tenant. Each route
    /// with a parameter needs a rule here.
    fn place(&self, route: &str) -> Option<String> {
        if route.contains("{guid}") {
            return Some(route.replace("{guid}", &self.openticket).replace("{invocation}", &self.invocation));
        }
        if !route.contains('{') || route.ends_with(" /v1/event-types/{type}") {
            return None;
        }
        let (collection, _) = route.split_once("/{id}").unwrap_or_else(|| panic!("what is in {route}?"));
        if collection.ends_with("/viagogo/v2/webhooks") {
            return Some(route.replace("{id}", &self.viagogo));
        }
        let id = match collection.rsplit('/').next()? {
            "webhooks" => &self.webhook,
            "events" => &self.event,
            "deliveries" => &self.delivery,
            "jobs" => &self.job,
            "clients" => &self.client,
            "portal-links" => &self.portal_link,
            "tenants" => return None,
            other => panic!("what is {other}?"),
        };
        Some(route.replace("{id}", id))
    }

    /// Everything that can be seen of them by who may.
    fn seen_by(&self, owner: &Caller) -> Vec<Value> {
        let Self { webhook, event, delivery, job, client, viagogo, openticket, invocation, portal_link } =
            self;
        // Who looks at a secret is told there, and this is the first to look.
        let audit = owner.all("/v1/audit", 200);
        let audit = audit.into_iter().filter(|entry| entry["action"] != "webhook.secret_shown").collect();
        let mut seen = vec![Value::Array(audit)];
        seen.extend(
            [
                "/v1/portal-links".to_owned(),
                format!("/v1/portal-links/{portal_link}"),
                "/v1/events".to_owned(),
                "/v1/webhooks".to_owned(),
                "/v1/failed".to_owned(),
                "/v1/failed/groups".to_owned(),
                "/v1/jobs".to_owned(),
                "/v1/clients".to_owned(),
                format!("/v1/webhooks/{webhook}"),
                format!("/v1/webhooks/{webhook}/secret"),
                format!("/v1/webhooks/{webhook}/deliveries"),
                format!("/v1/webhooks/{webhook}/stats"),
                format!("/v1/events/{event}"),
                format!("/v1/events/{event}/deliveries"),
                format!("/v1/deliveries/{delivery}"),
                format!("/v1/jobs/{job}"),
                format!("/v1/clients/{client}"),
                "/viagogo/v2/webhooks".to_owned(),
                format!("/viagogo/v2/webhooks/{viagogo}"),
                "/openticket/webhook".to_owned(),
                format!("/openticket/webhook/{openticket}"),
                format!("/openticket/webhook/{openticket}/invocations"),
                format!("/v1/deliveries/{invocation}"),
            ]
            .map(|path| owner.get(&path).is(200)),
        );
        seen
    }
}

fn send(caller: &Caller, route: &str) -> Answer {
    let (method, path) = route.split_once(' ').expect("a method and a path");
    let body = match method {
        "PATCH" => r#"{"name": "Stolen"}"#,
        "PUT" => r#"{"name": "s", "url": "http://s", "resource": "event", "trigger": "paid", "retries": 0}"#,
        _ => "",
    };
    caller.send(method, path, Some("application/json"), body)
}

#[test]
fn another_tenants_things_are_not_found_and_not_changed() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let things = Things::make(&house, &owner);
    let before = things.seen_by(&owner);
    let strangers = [house.client("other", &SCOPES), house.operator(), house.operator().tenant("third")];
    let mut tried = 0;
    for route in routes(&house).iter().filter_map(|route| things.place(route)) {
        for stranger in &strangers {
            let refused = send(stranger, &route);
            assert!(things.hidden_in(&refused), "{route}");
            refused.problem(404, "not-found");
        }
        tried += 1;
    }
    assert_eq!(tried, 39, "routes with an id");
    assert_eq!(things.seen_by(&owner), before);
    // The same routes work for who may, or this test would prove nothing.
    for route in routes(&house).iter().filter_map(|route| things.place(route)) {
        if route.starts_with("GET") {
            send(&owner, &route).is(200);
        }
    }
}

#[test]
fn lists_show_nothing_of_another_tenant() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let things = Things::make(&house, &owner);
    let stranger = house.client("other", &SCOPES);
    for list in ["/v1/events", "/v1/webhooks", "/v1/failed", "/v1/jobs", "/v1/portal-links"] {
        assert_eq!(stranger.get(list).is(200), json!({"items": [], "next": null}), "{list}");
    }
    assert_eq!(stranger.get("/v1/failed/groups").is(200), json!({"items": [], "capped": false}));
    stranger.get(&format!("/v1/failed?webhook={}", things.webhook)).problem(404, "not-found");
    let clients = stranger.all("/v1/clients", 200);
    assert_eq!(clients.len(), 1, "its own only");
    assert_ne!(clients[0]["client_id"], json!(things.client));
    stranger.get("/v1/tenants").problem(403, "forbidden");
    stranger.get("/v1/tenants/acme").problem(403, "forbidden");
}

#[test]
fn no_answer_without_an_id_tells_of_another_tenant() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let things = Things::make(&house, &owner);
    let before = things.seen_by(&owner);
    let stranger = house.client("other", &SCOPES);
    let Things { webhook, event, delivery, job, client, portal_link, .. } = &things;
    for route in routes(&house).iter().filter(|route| !route.contains('{')) {
        let (method, path) = route.split_once(' ').expect("a method and a path");
        // What it listens to goes on for ever, unless it names what is not there.
        let path = if path == "/v1/stream" { &format!("/v1/stream?webhook={webhook}") } else { path };
        let answer = stranger.send(method, path, Some("application/json"), "{}");
        assert!(answer.status < 500 && things.hidden_in(&answer), "{route}: {}", answer.status);
        if path.starts_with("/v1/stream") {
            answer.problem(404, "not-found");
        }
    }
    for id in [webhook, event, delivery, job, client, portal_link] {
        for query in ["target", "actor"] {
            let found = stranger.get(&format!("/v1/audit?{query}={id}")).is(200);
            assert_eq!(found, json!({"items": [], "next": null}), "{query}={id}");
        }
    }
    // The operator sees a tenant's log only by naming the tenant.
    assert!(things.hidden_in(&house.operator().get("/v1/audit")));
    assert!(things.hidden_in(&house.operator().get("/v1/deployment/audit")));
    assert_eq!(things.seen_by(&owner), before);
    // The lists are not empty for who may see them, or this would prove nothing.
    assert!(!things.hidden_in(&owner.get("/v1/audit")));
}

#[test]
fn tenants_neither_hear_nor_hinder_one_another() {
    let house = Harness::start();
    let (owner, stranger) = (house.client("acme", &SCOPES), house.client("other", &SCOPES));
    let (receiver, other) = (house.receiver(), house.receiver());
    let hears = json!({"events": ["*", "webhook.disabled"]});
    owner.make_webhook(&receiver.url("/"), &hears);
    stranger.make_webhook(&other.url("/"), &hears);
    // The same id names another fact in another tenant.
    let id = |subject: &str| json!({"id": "shared", "type": "x.y", "subject": {"id": subject}});
    owner.publish(&id("ours"));
    stranger.publish(&id("theirs"));
    assert_eq!(receiver.next().json()["subject"]["id"], "ours");
    assert_eq!(other.next().json()["subject"]["id"], "theirs");
    assert_eq!(owner.get("/v1/events/shared").is(200)["subject"]["id"], "ours");
    assert_eq!(stranger.get("/v1/events/shared").is(200)["subject"]["id"], "theirs");
    owner.publish(&event("x.y", "marker"));
    assert_eq!(receiver.next().json()["subject"]["id"], "marker");
    assert!(receiver.unexpected().is_empty() && other.unexpected().is_empty());
}
