//! `/v1/stream`: who can't be called hears the same, and goes on where it was.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::harness::{Harness, event, text};

fn publish(house: &Harness, id: &str, body: &Value) {
    let mut body = body.clone();
    body["id"] = id.into();
    house.operator().post("/v1/events", &body).is(202);
}

#[test]
fn events_come_as_they_are_accepted() {
    let house = Harness::start();
    publish(&house, "before", &event("order.paid", "1"));
    let mut stream = house.operator().listen("/v1/stream").begun();
    assert_eq!(stream.header("content-type"), "text/event-stream");
    assert_eq!(stream.header("cache-control"), "no-store");
    publish(&house, "e1", &event("order.paid", "1"));
    house.operator().tenant("other").post("/v1/events", &event("order.paid", "2")).is(202);
    publish(&house, "e2", &event("seat.upgraded", "2"));
    let told = stream.next().expect("an event");
    assert_eq!((told.event.as_str(), told.json()["id"].as_str()), ("order.paid", Some("e1")));
    assert_eq!(told.others["webhook-id"], "e1");
    assert!(told.others["webhook-timestamp"].parse::<u64>().is_ok());
    assert!(!told.others.contains_key("webhook-signature"), "there is no secret to sign with");
    let stored = house.operator().get("/v1/events/e1").is(200);
    assert_eq!(told.json()["type"], stored["type"]);
    assert_eq!(stream.next().expect("an event").json()["id"], "e2", "nothing of another tenant");
}

#[test]
fn a_stream_goes_on_where_it_ended_also_after_a_restart() {
    let mut house = Harness::start();
    let mut stream = house.operator().listen("/v1/stream").begun();
    let begun = stream.last_id.clone();
    for number in 0..450 {
        publish(&house, &format!("e{number}"), &event("order.paid", "1"));
    }
    for number in 0..3 {
        assert_eq!(stream.next().expect("an event").json()["id"], format!("e{number}"));
    }
    let last = stream.last_id.clone();
    house.restart();
    while stream.next().is_some() {}
    let mut stream = house.operator().with("last-event-id", &last).listen("/v1/stream");
    publish(&house, "after", &event("order.paid", "1"));
    for number in 3..450 {
        assert_eq!(stream.next().expect("an event").json()["id"], format!("e{number}"));
    }
    assert_eq!(stream.next().expect("an event").json()["id"], "after");
    // Before anything was told, and for those who can't send a header.
    let mut again = house.operator().listen(&format!("/v1/stream?last_event_id={begun}"));
    assert_eq!(again.next().expect("an event").json()["id"], "e0");
    let mut since = house.operator().listen("/v1/stream?since=2000-01-01T00:00:00Z");
    assert_eq!(since.next().expect("an event").json()["id"], "e0");
    let mut never = house.operator().listen("/v1/stream?since=2999-01-01T00:00:00Z").begun();
    publish(&house, "new", &event("order.paid", "1"));
    assert_eq!(never.next().expect("an event").json()["id"], "new");
}

#[test]
fn a_stream_hears_what_a_webhook_of_its_settings_would() {
    let house = Harness::start();
    let parameters =
        "events=ticket.*,order.paid&identifier=7&triggered_by_related=true&filter=$.data[?@%20%3E%2010]";
    let mut stream = house.operator().listen(&format!("/v1/stream?{parameters}")).begun();
    let of = |kind: &str, subject: &str, price: i64| {
        let mut body = event(kind, subject);
        body["data"] = json!({"price": price});
        body
    };
    publish(&house, "wrong-type", &of("event.created", "7", 11));
    publish(&house, "wrong-subject", &of("ticket.updated", "8", 11));
    publish(&house, "too-cheap", &of("ticket.updated", "7", 10));
    publish(&house, "right", &of("ticket.updated", "7", 11));
    let mut related = of("order.paid", "9", 11);
    related["related"] = json!({"ticket": ["7"]});
    publish(&house, "related", &related);
    let heard = [stream.next(), stream.next()];
    let heard: Vec<Value> =
        heard.into_iter().map(|told| told.expect("an event").json()["id"].clone()).collect();
    assert_eq!(heard, ["right", "related"]);
}

#[test]
fn a_stream_speaks_every_dialect() {
    let house = Harness::start();
    let mut ingresse = house.operator().listen("/v1/stream?dialect=ingresse&hooks=ticket").begun();
    let openticket = "/v1/stream?dialect=openticket&resource=ticket&trigger=update";
    let mut openticket = house.operator().listen(openticket).begun();
    let mut viagogo = house.operator().listen("/v1/stream?dialect=viagogo&topics=Sales").begun();
    publish(&house, "t1", &event("ticket.updated", "7"));
    publish(&house, "s1", &event("sale.created", "8"));
    assert_eq!(ingresse.next().expect("an event").json()["webhook"], "ticket");
    assert_eq!(openticket.next().expect("an event").others["openticket-trigger"], "ticket.updated");
    let sale = viagogo.next().expect("an event");
    assert_eq!((sale.json()["topic"].as_str(), &*sale.others["viagogo-topic"]), (Some("Sales"), "Sales"));
}

#[test]
fn the_deliveries_of_a_webhook_come_signed() {
    let house = Harness::start();
    let receiver = house.receiver();
    let operator = house.operator();
    let made = operator.make_webhook(&receiver.url("/"), &json!({"events": ["order.*", "webhook.*"]}));
    let id = text(&made["id"]);
    let mut stream = operator.listen(&format!("/v1/stream?webhook={id}")).begun();
    publish(&house, "not-asked-for", &event("ticket.updated", "1"));
    let mut pretty = event("order.paid", "1");
    pretty["id"] = "pretty".into();
    let body =
        format!("{{\r\n{}", &serde_json::to_string_pretty(&pretty).expect("JSON").replace('\n', "\r\n")[1..]);
    let body = body.replace("\"subject\"", "\"data\": {\r\n \"a\":\r1},\n\"subject\"");
    operator.send("POST", "/v1/events", Some("application/json"), body).is(202);
    let ping = operator.act(&format!("/v1/webhooks/{id}/ping")).is(202);
    let verifier = Webhook::new(text(&made["secret"])).expect("a secret");
    for expected in ["pretty", text(&ping["event_id"])] {
        let told = stream.next().expect("an event");
        let mut headers = hyper::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            headers.insert(name, told.others[name].parse().expect("a header value"));
        }
        verifier.verify(told.data.as_bytes(), &headers).expect("a good signature");
        assert_eq!(told.json()["id"], expected);
    }
    operator.tenant("other").get(&format!("/v1/stream?webhook={id}")).problem(404, "not-found");
    operator.delete(&format!("/v1/webhooks/{id}")).is(204);
    publish(&house, "after", &event("order.paid", "1"));
    assert!(stream.next().is_none(), "it ends with its webhook");
}

#[test]
fn what_is_asked_for_has_to_make_sense() {
    let house = Harness::start();
    let operator = house.operator();
    let blames = |query: &str, blamed: &[&str]| {
        operator.get(&format!("/v1/stream?{query}")).blames(400, "invalid-input", blamed);
    };
    blames("events=ticket.eaten,order.paid", &["events"]);
    blames("dialect=klingon", &["dialect"]);
    blames("dialect=ingresse&events=ticket.*", &["events", "hooks"]);
    blames("since=yesterday", &["since"]);
    blames("last_event_id=17", &["last_event_id"]);
    blames("triggered_by_related=perhaps", &["triggered_by_related"]);
    blames("filter=price", &["filter"]);
    blames("nonsense=1", &["nonsense"]);
    let made = operator.make_webhook("https://partner.example/", &json!({"events": ["*"]}));
    blames(&format!("webhook={}&events=*", text(&made["id"])), &["webhook"]);
    operator.with("last-event-id", "?").get("/v1/stream").blames(400, "invalid-input", &["Last-Event-ID"]);
    operator.get("/v1/stream?webhook=nothing").problem(404, "not-found");
}

#[test]
fn a_tenant_has_so_many_streams_and_others_have_theirs() {
    let house = Harness::start();
    let operator = house.operator();
    let mut streams: Vec<_> = (0..256).map(|_| operator.listen("/v1/stream")).collect();
    operator.get("/v1/stream").problem(429, "too-many");
    operator.tenant("other").listen("/v1/stream").begun();
    publish(&house, "e1", &event("order.paid", "1"));
    for stream in &mut streams {
        assert_eq!(stream.next().expect("an event").json()["id"], "e1");
    }
    drop(streams);
    house.until("a place is free", || (operator.open("/v1/stream").status() == 200).then_some(()));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test calls the program as its clients do")]
fn who_reads_nothing_keeps_nobody_waiting() {
    let house = Harness::start();
    let operator = house.operator();
    let mut idle = std::net::TcpStream::connect(house.address).expect("a connection");
    let request = "GET /v1/stream HTTP/1.1\r\nhost: callboard\r\nauthorization: Bearer the-operator-of-the-tests\r\n\r\n";
    idle.write_all(request.as_bytes()).expect("sent");
    let mut start = [0; 12];
    idle.read_exact(&mut start).expect("an answer");
    let mut stream = operator.listen("/v1/stream").begun();
    // More than the sockets between them hold.
    let mut large = event("order.paid", "1");
    large["data"] = json!({"text": "x".repeat(200_000)});
    for number in 0..60 {
        publish(&house, &format!("e{number}"), &large);
        assert_eq!(stream.next().expect("an event").json()["id"], format!("e{number}"));
    }
}

#[test]
fn late_deliveries_of_a_webhook_come_too() {
    let house = Harness::start();
    let (receiver, operator) = (house.receiver(), house.operator());
    publish(&house, "before", &event("order.paid", "1"));
    let made = operator.make_webhook(&receiver.url("/"), &json!({"events": ["order.*"]}));
    let mut stream = operator.listen(&format!("/v1/stream?webhook={}", text(&made["id"]))).begun();
    let mut everything = operator.listen("/v1/stream").begun();
    let path = format!("/v1/webhooks/{}/replay", text(&made["id"]));
    operator.post(&path, &json!({"since": "2000-01-01T00:00:00Z", "missing": true})).is(202);
    assert_eq!(stream.next().expect("an event").json()["id"], "before");
    publish(&house, "after", &event("order.paid", "1"));
    assert_eq!(stream.next().expect("an event").json()["id"], "after");
    assert_eq!(everything.next().expect("an event").json()["id"], "after", "it was accepted once");
}
