//! What is delivered, dialect by dialect: kept as it was agreed to, and read
//! back.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::*;
use crate::catalogue;
use crate::event::{self, Event, read_events};
use crate::event_type::Operational;
use crate::id::{EventId, EventKey, TenantKey, WebhookId, WebhookKey};
use crate::resource::Resource;
use crate::trigger::Trigger;
use crate::webhook::{Status, read_settings};

mod hears;
mod parse_back;

pub(super) fn at() -> Timestamp {
    "2026-11-21T19:00:07.000042Z".parse().expect("a time")
}

pub(crate) fn webhook(settings: &Value) -> Webhook {
    let mut text = json!({ "name": "Ours", "url": "https://partner.example/hook" });
    text.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
    let settings = read_settings(&text.to_string(), None).expect("good settings").0;
    Webhook {
        key: WebhookKey(17),
        id: WebhookId::from_bytes([0x5a; 16]),
        tenant: TenantKey(1),
        revision: 1,
        settings,
        status: Status::Active,
        disabled_reason: None,
        failing_since: None,
        secrets: Vec::new(),
        nonce: Some("5aK2HMgcUlDCWLuC3KWb".to_owned()),
        created_at: "2026-11-01T08:00:00Z".parse().expect("a time"),
        updated_at: at(),
        deleted_at: None,
    }
}

fn recipient(settings: &Value) -> Recipient {
    recipient_of(&webhook(settings))
}

pub(super) fn recipient_of(webhook: &Webhook) -> Recipient {
    Recipient::new(webhook, &"halfmoon".parse().expect("a tenant id"), "https://callboard.example")
}

pub(crate) fn published(text: &Value) -> Event {
    let mut new_id = || EventId::generate(at(), &mut StdRng::seed_from_u64(1));
    read_events(&text.to_string(), false, at(), &mut new_id).expect("a good event").remove(0)
}

pub(crate) fn stored(event: Event) -> StoredEvent {
    StoredEvent {
        key: EventKey(1),
        tenant: TenantKey(1),
        id: event.id,
        type_name: event.type_name,
        subject_id: event.subject.id,
        accepted_at: at(),
        body: event.body,
        deliveries: 1,
        quantity_diff: None,
        renderings: Renderings::default(),
    }
}

pub(super) fn tell(settings: &Value, event: &StoredEvent) -> Message {
    recipient(settings).tell(event, DeliveryKey(1_842), at()).expect("a message")
}

pub(super) fn body(message: &Message) -> Value {
    serde_json::from_slice(&message.body).expect("JSON")
}

pub(super) fn example(resource: Resource, trigger: Trigger) -> StoredEvent {
    stored(published(&catalogue::example(resource, trigger)))
}

fn ping() -> StoredEvent {
    let id = "ping-1".parse().expect("an id");
    let about = WebhookId::from_bytes([0x5a; 16]).to_string();
    let about = event::Subject { id: about, name: Some("Ours".to_owned()) };
    stored(event::operational(id, Operational::WebhookPing, about, &json!({}), at()))
}

/// Compares a message with what was agreed to: its headers, and its body as it
/// is sent, but for the line breaks.
#[expect(clippy::disallowed_methods, reason = "asking for new golden files is no setting of the program")]
fn agrees(name: &str, message: &Message) {
    let headers = message.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
    let body = serde_json::to_string_pretty(&body(message)).expect("JSON");
    let told = format!("{}{body}\n", headers.collect::<String>());
    let path = format!("{}/src/wire/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &told).expect("a golden file");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(told, kept, "{path} says otherwise; look at the change, then run with UPDATE_GOLDEN=1");
}

fn hooks(names: &[&str]) -> Value {
    json!({ "dialect": "ingresse", "hooks": names })
}

fn all_topics() -> Value {
    json!({
        "dialect": "viagogo", "authorization_header": "Bearer sesame",
        "topics": viagogo::Topic::ALL.map(viagogo::Topic::as_str),
    })
}

fn openticket(resource: &str, trigger: &str) -> Value {
    json!({
        "dialect": "openticket", "resource": resource, "trigger": trigger, "triggered_by_related": true,
    })
}

#[test]
fn ingresse_messages_are_those_that_were_agreed_to() {
    use Resource::{Order, Ticket};
    let all = hooks(&["event-create", "event-update", "ticket", "sale", "checkin", "postback"]);
    let event = |trigger| example(Resource::Event, trigger);
    agrees("ingresse-event-create", &tell(&all, &event(Trigger::Create)));
    agrees("ingresse-event-update", &tell(&all, &event(Trigger::Update)));
    agrees("ingresse-ticket", &tell(&all, &example(Ticket, Trigger::Update)));
    let mut group = catalogue::example(Ticket, Trigger::Relation);
    group["type"] = json!("ticket.updated");
    agrees("ingresse-ticket-group", &tell(&all, &stored(published(&group))));
    agrees("ingresse-sale", &tell(&all, &example(Order, Trigger::Create)));
    agrees("ingresse-checkin", &tell(&all, &example(Order, Trigger::Scan)));
    agrees("ingresse-postback", &tell(&hooks(&["postback", "sale"]), &example(Order, Trigger::Paid)));
    agrees("ingresse-ping", &tell(&all, &ping()));
}

#[test]
fn viagogo_payloads_are_those_that_were_agreed_to() {
    use Resource::{ProvisionalSale, Sale, SellerListing};
    for (name, resource, trigger) in [
        ("sales", Sale, Trigger::Create),
        ("provisional-sale", ProvisionalSale, Trigger::Create),
        ("cancel-provisional-sale", ProvisionalSale, Trigger::Cancel),
        ("sale-updates", Sale, Trigger::Update),
        ("seller-listing-updates", SellerListing, Trigger::Update),
        ("re-transfer-ticket", Sale, Trigger::Retransfer),
    ] {
        agrees(&format!("viagogo-{name}"), &tell(&all_topics(), &example(resource, trigger)));
    }
    agrees("viagogo-ping", &tell(&all_topics(), &ping()));
}

#[test]
fn openticket_invocations_are_those_that_were_agreed_to() {
    let ticket = openticket("ticket", "update");
    agrees("openticket-ticket-updated", &tell(&ticket, &example(Resource::Ticket, Trigger::Update)));
    let scans = openticket("ticket", "scan");
    agrees("openticket-order-ticket-scanned", &tell(&scans, &example(Resource::Order, Trigger::Scan)));
    agrees("openticket-ping", &tell(&scans, &ping()));
}

/// Only identity is required: everything else that the dialects need is null.
#[test]
fn what_was_left_out_is_null() {
    let bare = |type_name: &str| {
        stored(published(&json!({"id": "bare", "type": type_name, "subject": {"id": "9917"}})))
    };
    agrees("ingresse-bare-event", &tell(&hooks(&["event-update"]), &bare("event.updated")));
    agrees("ingresse-bare-ticket", &tell(&hooks(&["ticket"]), &bare("ticket.created")));
    agrees("ingresse-bare-checkin", &tell(&hooks(&["checkin"]), &bare("order.scanned")));
    agrees("ingresse-bare-postback", &tell(&hooks(&["postback"]), &bare("order.paid")));
    agrees("viagogo-bare-sale", &tell(&all_topics(), &bare("sale.created")));
    agrees("viagogo-bare-listing", &tell(&all_topics(), &bare("seller_listing.updated")));
    agrees("openticket-bare-order", &tell(&openticket("order", "paid"), &bare("order.paid")));
}

#[test]
fn a_native_delivery_is_what_is_stored() {
    let event = example(Resource::Ticket, Trigger::Update);
    let told = tell(&json!({"events": ["*"]}), &event);
    assert_eq!((told.body, told.headers), (event.body, vec![]));
}

#[test]
fn ingresse_messages_tell_when_they_were_posted() {
    let event = example(Resource::Event, Trigger::Create);
    let recipient = recipient(&hooks(&["event-create"]));
    let told_at = |time: &str| {
        let told = recipient.tell(&event, DeliveryKey(1), time.parse().expect("a time")).expect("a message");
        body(&told)["timestamp"].as_str().expect("a text").to_owned()
    };
    assert_eq!(told_at("2018-04-02T13:57:04.770619Z"), "2018-04-02T13:57:04.770619");
    assert_eq!(told_at("2018-04-02T13:57:04Z"), "2018-04-02T13:57:04.000000");
    assert_eq!(told_at("2018-04-02T10:57:04.5-03:00"), "2018-04-02T13:57:04.500000");
}

#[test]
fn the_first_hook_of_a_webhook_that_hears_tells() {
    let told = |names: &[&str], trigger, data: &Value| {
        let text = json!({"type": format!("order.{trigger}"), "subject": {"id": "1"}, "data": data});
        body(&tell(&hooks(names), &stored(published(&text))))["webhook"].clone()
    };
    let with = json!({"status": "paid"});
    assert_eq!(told(&["sale", "postback"], "paid", &with), "sale");
    assert_eq!(told(&["postback", "sale"], "paid", &with), "postback");
    assert_eq!(told(&["postback", "sale"], "updated", &with), "postback");
    assert_eq!(told(&["postback", "sale"], "updated", &json!({})), "sale");
    // Its hooks were changed since the event was accepted.
    assert_eq!(told(&["ticket"], "scanned", &with), "checkin");
}

#[test]
fn both_forms_of_an_order_are_kept_apart() {
    let event = example(Resource::Order, Trigger::Paid);
    for names in [["sale", "postback"], ["postback", "sale"], ["sale", "checkin"]] {
        let told = body(&tell(&hooks(&names), &event));
        assert_eq!(told["webhook"], names[0]);
        assert_eq!(told["data"].as_object().expect("an object").len() == 3, names[0] == "postback");
    }
}

#[test]
fn a_computed_change_of_quantity_is_told_where_the_publisher_tells_none() {
    let ticket = |data: &Value| {
        published(&json!({"type": "ticket.updated", "subject": {"id": "408218"}, "data": data}))
    };
    let told = |data: &Value, quantity_diff| {
        let event = StoredEvent { quantity_diff, ..stored(ticket(data)) };
        body(&tell(&hooks(&["ticket"]), &event))["data"]["quantityDiff"].clone()
    };
    assert_eq!(told(&json!({"quantity": 80}), Some(-20)), json!(-20));
    assert_eq!(told(&json!({"quantity": 80, "quantity_diff": 5}), Some(-20)), json!(5));
    assert_eq!(told(&json!({"quantity": 80, "quantity_diff": null}), Some(-20)), json!(-20));
    assert_eq!(told(&json!({"quantity": 80}), None), Value::Null);
    assert_eq!(ticket(&json!({"quantity": 80})).quantity, Some(80));
    assert_eq!(ticket(&json!({"quantity": -3})).quantity, Some(-3));
    assert_eq!(ticket(&json!({"quantity": null})).quantity, None);
}

/// Quirks of the platform's language and forms that receivers rely on.
#[test]
fn ingresse_quirks_are_kept() {
    let text = json!({"type": "ticket.updated", "subject": {"id": "1"}, "data": {
        "type": "Group", "description": null, "attributes": {}, "quantity_diff": -9000,
        "value": {"price": 0, "final_price": 7, "fee_sale": 0, "fee_producer": 0, "tax_distribution": 100},
        "children": [
            {"id": 2, "type": "Ticket", "description": "", "attributes": {}, "quantity_diff": 1, "passkeys": ["a"]},
            {"id": 3, "type": "Group", "attributes": {"own_thing": true}, "children": [{"id": 4}]},
        ],
    }});
    let told = String::from_utf8(tell(&hooks(&["ticket"]), &stored(published(&text))).body.to_vec());
    let told: Value = serde_json::from_str(&told.expect("text")).expect("JSON");
    let data = &told["data"];
    assert_eq!(data["value"], json!({"price": 0, "feeSale": 0, "feeProducer": 0}));
    assert_eq!((&data["attributes"], &data["quantityDiff"]), (&json!({}), &json!(-9000)));
    assert_eq!(data["description"], Value::Null);
    let [ticket, group] = [0, 1].map(|index| data["children"][index].as_object().expect("a child"));
    assert_eq!((&ticket["attributes"], &ticket["description"]), (&json!([]), &json!("")));
    assert!(!ticket.contains_key("quantityDiff") && !ticket.contains_key("passkeys"));
    assert!(!ticket.contains_key("quantity_diff"));
    assert_eq!(group["attributes"]["ownThing"], json!(true));
    assert!(group.contains_key("passkeys") && !group.contains_key("quantityDiff"));
    assert_eq!(group["children"][0]["id"], json!(4));
}

/// Who publishes under the platform's own names is understood, and no name is
/// told twice.
#[test]
fn no_member_is_told_twice() {
    let data = json!({
        "eventId": 5, "salePeriods": [{"appCategoryId": 1}], "own_thing": 1, "ownThing": 2,
        "attributes": {"can_archive": true, "canArchive": false},
    });
    let text = json!({"type": "ticket.updated", "subject": {"id": "1"}, "data": data});
    let told = tell(&hooks(&["ticket"]), &stored(published(&text))).body;
    let text = std::str::from_utf8(&told).expect("text");
    for name in ["eventId", "salePeriods", "ownThing", "canArchive", "appCategoryId"] {
        assert_eq!(text.matches(&format!("\"{name}\":")).count(), 1, "{name} in {text}");
    }
    let told: Value = serde_json::from_slice(&told).expect("JSON");
    assert_eq!(told["data"]["salePeriods"][0]["appCategoryId"], 1);
    assert_eq!(json!([told["data"]["eventId"], told["data"]["ownThing"]]), json!([5, 1]));
    let text =
        json!({"type": "event.updated", "subject": {"id": "1"}, "data": {"attributes": {"a_b": 1, "aB": 2}}});
    let told = body(&tell(&hooks(&["event-update"]), &stored(published(&text))));
    assert_eq!(told["data"]["attributes"], json!({"aB": {"name": "a_b", "value": 1}}));
}

#[test]
fn what_the_description_of_viagogo_lets_not_be_null_is_left_out() {
    let text = json!({"type": "sale.created", "subject": {"id": "1"}, "data": {
        "event": {"merged_events": [{"id": 7}, {}, {"id": null}]},
        "seller_listing": {"seating": {"state": {}}, "display_seating": {"state": {"visible_in_venue_map": false}}},
    }});
    let embedded = &body(&tell(&all_topics(), &stored(published(&text))))["_embedded"];
    assert_eq!(embedded["event"]["merged_events"], json!([{"id": 7}]));
    assert_eq!(embedded["seller_listing"]["seating"]["state"], Value::Null);
    let state = &embedded["seller_listing"]["display_seating"]["state"];
    assert_eq!(*state, json!({"visible_in_venue_map": false}));
}

#[test]
fn numbers_keep_their_form() {
    let text = r#"{"type": "event.updated", "subject": {"id": "1"}, "data": {"attributes":
        {"retention_threshold": 100000.0, "a": 10, "b": 1.1, "c": 1e3, "d": 0.10000000000000000000000001}}}"#;
    let mut new_id = || EventId::generate(at(), &mut StdRng::seed_from_u64(1));
    let event = stored(read_events(text, false, at(), &mut new_id).expect("a good event").remove(0));
    let told = tell(&hooks(&["event-update"]), &event).body;
    let told = std::str::from_utf8(&told).expect("text");
    for number in ["100000.0}", ":10}", ":1.1}", ":1e3}", ":0.10000000000000000000000001}"] {
        assert!(told.contains(number), "{number} in {told}");
    }
}

#[test]
fn money_is_never_rounded() {
    let text = r#"{"type": "sale.created", "subject": {"id": "1"}, "data": {"proceeds":
        {"amount": 12345678901234567890.10, "currency_code": "GBP"}}}"#;
    let mut new_id = || EventId::generate(at(), &mut StdRng::seed_from_u64(1));
    let event = stored(read_events(text, false, at(), &mut new_id).expect("a good event").remove(0));
    let told = tell(&all_topics(), &event).body;
    let expected = r#""proceeds":{"amount":12345678901234567890.10,"currency_code":"GBP","display":null}"#;
    assert!(std::str::from_utf8(&told).expect("text").contains(expected), "{told:?}");
}

/// SHA-256 of "HM-7714-0042", by another implementation.
const HASHED: &str = "eeed8c97c376ec3e41fe6bd2df53a726ce1e04ab7545273e8fe90e4aba58fba1";

#[test]
fn barcodes_of_listings_are_told_as_hashes_only() {
    let text = json!({"type": "seller_listing.updated", "subject": {"id": "1"}, "data": {"barcodes": [
        {"seat": "11", "barcode_values": ["HM-7714-0042", "é"]},
        {"seat": "12", "barcode_values_sha256_hashed": ["aa"], "barcode_values": ["HM-7714-0043"]},
        {"seat": "13", "note": "HM-7714-0044"},
    ]}});
    let message = tell(&all_topics(), &stored(published(&text)));
    let told = body(&message);
    let hashed = |index: usize| told["barcodes"][index]["barcode_values_sha256_hashed"].clone();
    assert_eq!(hashed(0)[0], HASHED);
    assert_eq!(hashed(0)[1].as_str().map(str::len), Some(64));
    assert_eq!((hashed(1), hashed(2)), (json!(["aa"]), Value::Null));
    let text = std::str::from_utf8(&message.body).expect("text");
    assert!(!text.contains("HM-7714") && !text.contains("\"barcode_values\""), "{text}");
}

#[test]
fn the_authorization_header_never_leaves_in_a_payload() {
    for event in [example(Resource::Sale, Trigger::Create), ping()] {
        let message = tell(&all_topics(), &event);
        let told = body(&message);
        let webhook = &told["_embedded"]["webhook"];
        assert_eq!((&webhook["id"], &webhook["authorization_header"]), (&json!(17), &Value::Null));
        let sent = String::from_utf8_lossy(&message.body);
        assert!(!format!("{sent}{:?}", message.headers).contains("sesame"), "{sent}");
    }
}

#[test]
fn links_of_the_publisher_are_told_complete() {
    let link = json!({"href": "https://marketplace.example/sales/1"});
    let text = json!({"type": "sale.created", "subject": {"id": "1"}, "data": {
        "_links": {"self": link}, "event": {"id": 5, "_links": {"self": {"href": "e", "title": "t", "templated": true}}},
        "venue": {"_links": {"self": "v"}, "country": {"code": "GB", "_links": {"country:events": link}}},
    }});
    let told = body(&tell(&all_topics(), &stored(published(&text))));
    let complete = json!({"href": "https://marketplace.example/sales/1", "title": null, "templated": false});
    assert_eq!(told["_links"], json!({ "self": complete }));
    assert_eq!(told["_embedded"]["sale"]["_links"], json!({ "self": complete }));
    let event = json!({"self": {"href": "e", "title": "t", "templated": true}});
    assert_eq!(told["_embedded"]["event"]["_links"], event);
    assert_eq!(told["_embedded"]["venue"]["_links"], json!({"self": null}));
    let links = &told["_embedded"]["venue"]["_embedded"]["country"]["_links"];
    assert_eq!(links["country:events"], complete);
    assert_eq!((&links["self"], &links["country:localwebpage"]), (&Value::Null, &Value::Null));
}

#[test]
fn what_a_dialect_has_no_words_for_is_not_told() {
    let custom = stored(published(&json!({"type": "a.b", "subject": {"id": "1"}})));
    for settings in [hooks(&["ticket"]), all_topics(), openticket("order", "paid")] {
        let told = recipient(&settings).tell(&custom, DeliveryKey(1), at());
        assert_eq!(told.expect_err("no words").to_string(), "a.b is told natively only");
    }
    let listing = stored(published(&json!({"type": "seller_listing.created", "subject": {"id": "1"}})));
    let told = recipient(&all_topics()).tell(&listing, DeliveryKey(1), at());
    assert_eq!(
        told.expect_err("no words").to_string(),
        "no topic of viagogo tells of seller_listing.created"
    );
    let damaged = StoredEvent { body: Bytes::from_static(b"{"), ..example(Resource::Sale, Trigger::Create) };
    assert!(recipient(&all_topics()).tell(&damaged, DeliveryKey(1), at()).is_err());
}

#[test]
fn receivers_are_told_who_calls() {
    for dialect in [Dialect::Native, Dialect::Ingresse, Dialect::Viagogo] {
        let version = dialect.user_agent().strip_prefix("Callboard/").expect("the program");
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
    }
    assert_eq!(Dialect::OpenTicket.user_agent(), "OpenTicket/Webhook");
}

#[test]
fn ingresse_names_the_first_related_event_where_data_names_none() {
    let told = |type_name: &str, hook: &str, related: &Value, data: &Value| {
        let text = json!({"type": type_name, "subject": {"id": "1"}, "related": related, "data": data});
        body(&tell(&hooks(&[hook]), &stored(published(&text))))["data"].take()
    };
    for (ids, id) in [
        (json!({"ticket": ["7"], "event": ["5120", "5121"]}), json!(5120)),
        (json!({"event": ["gala"]}), json!("gala")),
        (json!({"event": []}), Value::Null),
        (json!({"ticket": ["7"]}), Value::Null),
    ] {
        assert_eq!(told("ticket.updated", "ticket", &ids, &json!({}))["eventId"], id, "{ids}");
        assert_eq!(told("order.scanned", "checkin", &ids, &json!({}))["event"], json!({ "id": id }), "{ids}");
    }
    let ids = json!({"event": ["5120"]});
    assert_eq!(told("ticket.updated", "ticket", &ids, &json!({"event_id": 9}))["eventId"], 9);
    assert_eq!(told("order.scanned", "checkin", &ids, &json!({"event": {"id": 9}}))["event"]["id"], 9);
}

#[test]
fn what_was_rendered_tells_no_events_apart_and_is_not_kept_for_a_copy() {
    let (event, other) = (example(Resource::Order, Trigger::Paid), example(Resource::Order, Trigger::Create));
    let copy = event.clone();
    let told = tell(&hooks(&["sale"]), &event);
    assert_eq!(event, copy);
    let changed = StoredEvent { body: other.body.clone(), ..event.clone() };
    assert_ne!(event, changed);
    let told_anew = tell(&hooks(&["sale"]), &changed);
    assert_eq!((&told_anew, told_anew == told), (&tell(&hooks(&["sale"]), &other), false));
}

#[test]
fn an_invocation_has_one_key_however_often_it_is_told() {
    let event = example(Resource::Order, Trigger::Paid);
    let key = |resource: &str, id: u8| {
        let mut webhook = webhook(&openticket(resource, "paid"));
        webhook.id = WebhookId::from_bytes([id; 16]);
        let told = recipient_of(&webhook).tell(&event, DeliveryKey(1), at()).expect("a message");
        told.headers.iter().find(|(name, _)| *name == "openticket-dedupe-key").expect("a key").1.clone()
    };
    assert_eq!(key("order", 1), key("order", 1));
    // Directly or through the ticket: it is the same happening.
    assert_eq!(key("order", 1), key("ticket", 1));
    assert_ne!(key("order", 1), key("order", 2));
    assert!(key("order", 1).len() == 32 && key("order", 1).bytes().all(|byte| byte.is_ascii_hexdigit()));
}

proptest! {
    #[test]
    fn every_dialect_tells_json_and_header_values(
        which in 0..3_usize, id in "\\PC{1,20}", name in proptest::option::of("\\PC{0,20}"),
        text in "\\PC{0,20}", key in "\\PC{1,12}",
    ) {
        let (settings, type_name) = [
            (hooks(&["ticket"]), "ticket.updated"),
            (all_topics(), "sale.updated"),
            (openticket("ticket", "update"), "ticket.updated"),
        ][which].clone();
        let event = published(&json!({
            "type": type_name, "subject": {"id": id, "name": name}, "actor": {"id": id},
            "data": {(key.clone()): {(key): [text]}, "triggers": {"soldout": [text]}}, "changes": {"x": text},
        }));
        let message = tell(&settings, &stored(event));
        prop_assert!(serde_json::from_slice::<Value>(&message.body).is_ok());
        for (name, value) in &message.headers {
            prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", name);
        }
    }
}
