//! The webhooks API of viagogo, as a client of that platform uses it, and what
//! its receivers get.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use serde_json::{Value, json};

use crate::harness::{Caller, Harness, blamed, text};

const HOOKS: &str = "/viagogo/v2/webhooks";

/// A link as the platform writes it.
fn link(path: &str) -> Value {
    json!({"href": format!("http://callboard{path}"), "title": null, "templated": false})
}

fn links_of(id: &Value) -> Value {
    let own = format!("{HOOKS}/{id}");
    json!({
        "self": link(&own), "webhook:update": link(&own), "webhook:delete": link(&own),
        "webhook:ping": link(&format!("{own}/ping")),
    })
}

fn request(url: &str, topics: &[&str]) -> Value {
    json!({"name": "North", "url": url, "topics": topics})
}

fn make(caller: &Caller, url: &str, topics: &[&str]) -> Value {
    caller.post(HOOKS, &request(url, topics)).is(201)
}

fn href<'a>(document: &'a Value, relation: &str) -> &'a str {
    text(&document["_links"][relation]["href"]).strip_prefix("http://callboard").expect("an absolute link")
}

fn names(collection: &Value) -> Vec<&str> {
    collection["_embedded"]["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| text(&item["name"]))
        .collect()
}

#[test]
fn a_webhook_lives_as_the_platform_says() {
    let house = Harness::at_rest();
    let partner = house.client("acme", &["read:webhooks", "write:webhooks"]);
    let mut body = request("https://partner.example/hook", &["Sales", "SaleUpdates"]);
    body["authorization_header"] = "Basic c2VzYW1l".into();
    let made = partner.post(HOOKS, &body);
    assert_eq!(made.header("content-type"), "application/hal+json");
    let location = made.header("location").to_owned();
    let made = made.is(201);
    let id = made["id"].clone();
    assert!(id.as_i64().is_some_and(|id| i32::try_from(id).is_ok_and(|id| id > 0)), "{id}");
    assert_eq!(location, format!("http://callboard{HOOKS}/{id}"));
    let expected = json!({
        "id": id, "name": "North", "created_at": "2026-11-21T19:00:00Z", "topics": ["Sales", "SaleUpdates"],
        "url": "https://partner.example/hook", "authorization_header": "Basic c2VzYW1l", "_links": links_of(&id),
    });
    assert_eq!(made, expected);
    let path = format!("{HOOKS}/{id}");
    assert_eq!(partner.get(&path).is(200), expected);

    // Only the fields that are given change; null clears the header only.
    let edit = json!({"name": null, "url": null, "topics": ["ReTransferTicket"]});
    let edited = partner.patch(&path, &edit).is(200);
    let mut expected = expected;
    expected["topics"] = json!(["ReTransferTicket"]);
    assert_eq!(edited, expected);
    expected["authorization_header"] = Value::Null;
    assert_eq!(partner.patch(&path, &json!({"authorization_header": null})).is(200), expected);
    // A client may send back the whole resource.
    assert_eq!(partner.patch(&path, &expected).is(200), expected);

    let gone = partner.delete(&path);
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    for answer in [partner.get(&path), partner.delete(&path), partner.patch(&path, &json!({}))] {
        let error = answer.viagogo_error(404, "not_found");
        assert_eq!(error["errors"], Value::Null);
    }
    partner.act(&format!("{path}/ping")).viagogo_error(404, "not_found");
    let next = make(&partner, "https://partner.example/", &["Sales"]);
    assert!(next["id"].as_i64() > id.as_i64(), "numbers are not used again");
}

#[test]
fn the_root_leads_to_everything() {
    let house = Harness::start();
    let root = house.client("acme", &["read:webhooks"]).get("/viagogo/v2");
    assert_eq!(root.header("content-type"), "application/hal+json");
    let root = root.is(200);
    assert_eq!(root["_links"]["self"], link("/viagogo/v2"));
    assert_eq!(href(&root, "webhooks"), HOOKS);
    for relation in root["_links"].as_object().expect("links").values() {
        let members: Vec<&String> = relation.as_object().expect("a link").keys().collect();
        assert_eq!(members, ["href", "title", "templated"]);
    }
}

#[test]
fn lists_are_paged_sorted_and_linked() {
    let house = Harness::start();
    let partner = house.client("acme", &["read:webhooks", "write:webhooks"]);
    let empty = partner.get(HOOKS).is(200);
    assert_eq!((&empty["total_items"], &empty["_embedded"]["items"]), (&json!(0), &json!([])));
    assert_eq!((href(&empty, "last"), href(&empty, "self")), (&*format!("{HOOKS}?page=1"), HOOKS));
    for index in 0..5 {
        let mut body = request("https://partner.example/", &["Sales"]);
        body["name"] = format!("n{index}").into();
        partner.post(HOOKS, &body).is(201);
        // Webhooks of other dialects and tenants are none of these.
        partner.make_webhook("https://partner.example/", &json!({"events": ["*"]}));
        make(&house.client("other", &["write:webhooks"]), "https://x.example", &["Sales"]);
    }
    let page = partner.get(&format!("{HOOKS}?page=2&page_size=2&sort=-created_at&x=y%20z")).is(200);
    assert_eq!(names(&page), ["n2", "n1"]);
    let told = ["total_items", "page", "page_size"].map(|name| page[name].clone());
    assert_eq!(told, [json!(5), json!(2), json!(2)]);
    assert_eq!(href(&page, "self"), format!("{HOOKS}?page=2&page_size=2&sort=-created_at&x=y%20z"));
    assert_eq!(page["_links"]["webhook:create"]["title"], "Create a webhook");
    let follow = |relation: &str| partner.get(href(&page, relation)).is(200);
    assert_eq!(names(&follow("next")), ["n0"]);
    assert_eq!(names(&follow("prev")), ["n4", "n3"]);
    assert_eq!(names(&follow("first")), ["n4", "n3"]);
    assert_eq!(names(&follow("last")), ["n0"]);
    assert!(
        follow("last")["_links"].get("next").is_none() && follow("first")["_links"].get("prev").is_none()
    );
    assert!(href(&page, "next").contains("x=y+z"), "the caller's query is kept");
    assert_eq!(names(&partner.get(HOOKS).is(200)), ["n0", "n1", "n2", "n3", "n4"]);
    assert_eq!(
        names(&partner.get(&format!("{HOOKS}?sort=created_at,-created_at&page_size=1")).is(200)),
        ["n0"]
    );
    // Beyond the end there is nothing, and the way back.
    let beyond = partner.get(&format!("{HOOKS}?page=9&page_size=2")).is(200);
    assert_eq!((names(&beyond).len(), href(&beyond, "prev")), (0, &*format!("{HOOKS}?page_size=2&page=3")));
    for (query, field) in [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=2147483648", "page"),
        ("page_size=10001", "page_size"),
        ("page_size=many", "page_size"),
        ("sort=name", "sort"),
        ("fields=colour", "fields"),
        ("fields%5Bsale%5D=id", "fields[sale]"),
    ] {
        let error = partner.get(&format!("{HOOKS}?{query}")).viagogo_error(400, "validation_failed");
        assert_eq!(blamed(&error), [field], "{query}");
    }
}

#[test]
fn ten_thousand_webhooks_come_in_one_list() {
    let mut house = Harness::start();
    house.operator().tenant("acme").get("/v1/webhooks").is(200);
    house.fill_with_viagogo_webhooks("acme", 10_000);
    let partner = house.client("acme", &["read:webhooks"]);
    let all = partner.get(&format!("{HOOKS}?page_size=10000")).is(200);
    assert_eq!(all["total_items"], 10_000);
    let ids: Vec<i64> = all["_embedded"]["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["id"].as_i64().expect("a number"))
        .collect();
    assert_eq!(ids.len(), 10_000);
    assert!(ids.is_sorted_by(|one, next| one < next), "each once, the oldest first");
    let last = partner.get(&format!("{HOOKS}?page=100&fields=id")).is(200);
    assert_eq!(last, json!({}), "the collection has no id");
    let last = partner.get(&format!("{HOOKS}?page=100&fields[webhook]=id")).is(200);
    assert_eq!(last["_embedded"]["items"][99], json!({"id": ids[9_999]}));
}

#[test]
fn only_the_fields_that_are_asked_for_are_shown() {
    let house = Harness::start();
    let partner = house.client("acme", &["read:webhooks", "write:webhooks"]);
    let id = make(&partner, "https://partner.example/", &["Sales"])["id"].clone();
    let get = |query: &str| partner.get(&format!("{HOOKS}{query}")).is(200);
    let listed = json!({"_embedded": {"items": [{"id": id, "name": "North"}]}});
    assert_eq!(get("?fields=id,name,_embedded"), listed);
    assert_eq!(get("?fields=id,_embedded,name,id,id,,name"), listed);
    let listed = get("?fields[webhook]=url&fields=total_items,_embedded");
    assert_eq!(
        listed,
        json!({"total_items": 1, "_embedded": {"items": [{"url": "https://partner.example/"}]}})
    );
    assert_eq!(get(&format!("/{id}?fields%5Bwebhook%5D=topics")), json!({"topics": ["Sales"]}));
    assert_eq!(get(&format!("/{id}?fields=id,_links")), json!({"id": id, "_links": links_of(&id)}));
    let edited = partner.patch(&format!("{HOOKS}/{id}?fields=name"), &json!({"name": "South"})).is(200);
    assert_eq!(edited, json!({"name": "South"}));
}

#[test]
fn bad_bodies_are_refused_field_by_field() {
    let house = Harness::start();
    let partner = house.client("acme", &["read:webhooks", "write:webhooks"]);
    let post = |text: &'static str| partner.send("POST", HOOKS, Some("application/json"), text);
    for text in ["", "{", "[]", "5", "null", "\"x\"", "{\"url\": \"https://x.example\",}"] {
        let error = post(text).viagogo_error(400, "invalid_request_body");
        assert_eq!(error["errors"], Value::Null, "{text}");
    }
    for (text, fields) in [
        ("{}", vec!["url", "topics"]),
        (r#"{"url": "https://x.example", "topics": ["Sales", "Weather"]}"#, vec!["topics"]),
        (r#"{"url": "https://x.example", "topics": []}"#, vec!["topics"]),
        (r#"{"url": "https://x.example", "topics": "Sales"}"#, vec!["topics"]),
        (r#"{"url": "x", "topics": ["Sales"], "name": 5, "colour": 1}"#, vec!["colour", "url", "name"]),
        (
            r#"{"url": "https://x.example", "topics": ["Ping"], "authorization_header": "a\nb"}"#,
            vec!["authorization_header"],
        ),
        (
            r#"{"url": "https://x.example", "topics": ["Sales"], "dialect": "native", "events": ["*"]}"#,
            vec!["dialect", "events"],
        ),
        (r#"{"url": "https://x.example", "url": "https://y.example", "topics": ["Sales"]}"#, vec!["url"]),
    ] {
        let error = post(text).viagogo_error(400, "validation_failed");
        assert_eq!(blamed(&error), fields, "{text}");
    }
    let error = post(r#"{"url": "https://x.example", "topics": ["Weather"]}"#).json;
    let message = "must be one of Sales, ProvisionalSale, CancelProvisionalSale, SaleUpdates, SellerListingUpdates, ReTransferTicket, Ping";
    assert_eq!(error["errors"], json!({"topics": [message]}));
    assert_eq!(partner.get(HOOKS).is(200)["total_items"], 0, "nothing was made");

    let path = format!("{HOOKS}/{}", make(&partner, "https://partner.example/", &["Sales"])["id"]);
    let before = partner.get(&path).is(200);
    let error = partner.patch(&path, &json!({"topics": ["Sales", 5], "url": "ftp://x"}));
    assert_eq!(blamed(&error.viagogo_error(400, "validation_failed")), ["url", "topics"]);
    assert_eq!(partner.get(&path).is(200), before, "nothing was changed");
    let kind = Some("text/plain");
    partner.send("POST", HOOKS, kind, "{}").viagogo_error(415, "unsupported_media_type");
    partner
        .send("POST", HOOKS, Some("application/x-ndjson"), "{}")
        .viagogo_error(415, "unsupported_media_type");
    partner.send("PATCH", &path, None, "{}").viagogo_error(415, "unsupported_media_type");
    let hal = Some("application/hal+json; charset=utf-8");
    partner.send("PATCH", &path, hal, r#"{"name": "South"}"#).is(200);
}

#[test]
fn answers_come_in_the_form_that_the_client_accepts() {
    let house = Harness::start();
    let partner = house.client("acme", &["read:webhooks"]);
    for (accept, form) in [
        ("application/hal+json", "application/hal+json"),
        ("application/json", "application/json"),
        ("text/html, */*;q=0.1", "application/hal+json"),
    ] {
        let answer = partner.with("accept", accept).get(HOOKS);
        assert_eq!((answer.status, answer.header("content-type")), (200, form), "{accept}");
    }
    let plain = partner.with("accept", "application/json").get(&format!("{HOOKS}/999"));
    assert_eq!((plain.status, plain.header("content-type")), (404, "application/json"));
    partner.with("accept", "text/html").get(HOOKS).viagogo_error(406, "not_acceptable");
    partner.get("/viagogo/v2/sales").viagogo_error(404, "not_found");
    partner.get("/viagogo/v2/webhooks/1/ping").viagogo_error(405, "method_not_allowed");
    for id in ["0", "-1", "x", "2147483648", "1.5"] {
        partner.get(&format!("{HOOKS}/{id}")).viagogo_error(404, "not_found");
    }
}

#[test]
fn the_platforms_demands_on_clients_can_be_made() {
    let house = Harness::configured(|settings| {
        settings.viagogo.require_https = true;
        settings.http.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
        settings.viagogo.require_user_agent = true;
        settings.public_url = Some("https://callboard.example/base/".to_owned());
    });
    let partner = house.client("acme", &["read:webhooks"]);
    partner.get(HOOKS).viagogo_error(400, "https_required");
    partner.with("forwarded", "proto=https").get(HOOKS).viagogo_error(400, "https_required");
    partner.with("x-forwarded-proto", "https, http").get(HOOKS).viagogo_error(400, "https_required");
    let by_https = partner.with("x-forwarded-proto", "https");
    by_https.get(HOOKS).viagogo_error(400, "user_agent_required");
    let listed = by_https.with("user-agent", "Partner/1").get(HOOKS).is(200);
    let own = "https://callboard.example/base/viagogo/v2/webhooks";
    assert_eq!(listed["_links"]["self"]["href"], own);
    // The native routes are not the platform's.
    partner.get("/v1/webhooks").is(200);
}

#[test]
fn who_is_no_trusted_proxy_can_not_claim_to_come_by_https() {
    let house = Harness::configured(|settings| {
        settings.viagogo.require_https = true;
        settings.http.trusted_proxies = vec!["192.0.2.1/32".parse().expect("a network")];
    });
    let partner = house.client("acme", &["read:webhooks"]);
    for header in ["x-forwarded-proto", "forwarded", "x-forwarded-for"] {
        let claim = partner.with("x-forwarded-for", "192.0.2.1").with(header, "https");
        claim.get(HOOKS).viagogo_error(400, "https_required");
    }
}

#[test]
fn the_authorization_header_is_sent_and_shown_to_those_who_may_set_it() {
    let house = Harness::start();
    let receiver = house.receiver();
    let partner = house.client("acme", &["read:webhooks", "write:webhooks"]);
    let mut body = request(&receiver.url("/"), &["Sales"]);
    body["authorization_header"] = "Bearer sesame".into();
    let id = partner.post(HOOKS, &body).is(201)["id"].clone();
    let path = format!("{HOOKS}/{id}");
    assert_eq!(partner.get(&path).is(200)["authorization_header"], "Bearer sesame");
    let reader = house.client("acme", &["read:webhooks"]);
    assert_eq!(reader.get(&path).is(200)["authorization_header"], "********");
    partner.patch(&path, &json!({"authorization_header": "********", "name": "South"})).is(200);
    assert_eq!(partner.get(&path).is(200)["authorization_header"], "Bearer sesame");

    assert_eq!(partner.act(&format!("{path}/ping")).is(202)["id"], id);
    let ping = receiver.next();
    assert_eq!(ping.header("authorization"), "Bearer sesame");
    assert!(!String::from_utf8_lossy(&ping.body).contains("sesame"));
    let told = ping.json();
    assert_eq!((&told["topic"], &told["action"]), (&json!("Ping"), &Value::Null));
    assert!(told.get("barcodes").is_none());
    assert_eq!(told["_embedded"]["webhook"]["id"], id);
    assert_eq!(ping.header("viagogo-topic"), "Ping");
    let operator = house.operator().tenant("acme");
    let delivery = operator.get(&format!("/v1/deliveries/{}", ping.header("viagogo-delivery"))).is(200);
    assert_eq!(delivery["event_type"], "webhook.ping");
    assert!(!delivery.to_string().contains("sesame"));
}

#[test]
fn each_topic_reaches_who_asked_for_it() {
    let house = Harness::start();
    let receiver = house.receiver();
    let operator = house.operator();
    make(&operator, &receiver.url("/hook"), &["Sales", "SellerListingUpdates", "CancelProvisionalSale"]);
    let publish = |type_name: &str, more: &Value| {
        let mut event = json!({"type": type_name, "subject": {"id": "6604178"}});
        event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        operator.post("/v1/events", &event).is(202)["deliveries"].clone()
    };
    let nothing = json!({});
    for type_name in
        ["sale.updated", "sale.retransfer_requested", "provisional_sale.created", "seller_listing.created"]
    {
        assert_eq!(publish(type_name, &nothing), 0, "{type_name}");
    }
    for (type_name, topic) in [
        ("sale.created", "Sales"),
        ("sale.deleted", "Sales"),
        ("sale.cancelled", "Sales"),
        ("provisional_sale.cancelled", "CancelProvisionalSale"),
    ] {
        assert_eq!(publish(type_name, &nothing), 1, "{type_name}");
        let delivery = receiver.next();
        assert_eq!((delivery.header("viagogo-topic"), &delivery.json()["topic"]), (topic, &json!(topic)));
        assert_eq!(delivery.json()["_embedded"]["sale"]["id"], 6_604_178);
        assert!(delivery.header("webhook-signature").starts_with("v1,"));
    }
    let barcodes =
        json!({"action": "FailedBarcodeValidation", "data": {"barcodes": [{"barcode_values": ["HM-1"]}]}});
    assert_eq!(publish("seller_listing.updated", &barcodes), 1);
    let told = receiver.next().json();
    assert_eq!(told["action"], "FailedBarcodeValidation");
    assert!(told["barcodes"][0].get("barcode_values").is_none());
    assert_eq!(text(&told["barcodes"][0]["barcode_values_sha256_hashed"][0]).len(), 64);
}
