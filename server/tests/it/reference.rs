//! The reference of the API: a page for everything that the OpenAPI document names.

use crate::harness::{Answer, Harness, text};

fn said(answer: &Answer) -> String {
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-security-policy").starts_with("default-src 'self'"));
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[test]
fn every_operation_webhook_and_schema_has_a_page_that_the_first_one_leads_to() {
    let house = Harness::start();
    let nobody = house.nobody();
    let document = nobody.get("/openapi.json").is(200);
    let index = said(&nobody.get("/docs"));
    let mut operations = 0;
    for section in ["paths", "webhooks"] {
        for item in document[section].as_object().expect("paths").values() {
            for operation in item.as_object().expect("an item").values() {
                let id = text(&operation["operationId"]);
                assert!(index.contains(&format!("docs/operations/{id}\"")), "{id}");
                let page = said(&nobody.get(&format!("/docs/operations/{id}")));
                assert!(page.contains("Answers") && !page.contains("undefined"), "{id}");
                operations += 1;
            }
        }
    }
    assert!(operations > 100, "{operations}");
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(index.contains(&format!("docs/schemas/{name}\"")), "{name}");
        said(&nobody.get(&format!("/docs/schemas/{name}")));
    }
    for path in ["/docs/operations/none", "/docs/schemas/None"] {
        assert_eq!(nobody.get(path).status, 404);
    }
}

#[test]
fn what_receivers_are_sent_is_shown_as_it_is_sent() {
    let house = Harness::start();
    let document = house.nobody().get("/openapi.json").is(200);
    let content = |name: &str| &document["webhooks"][name]["post"]["requestBody"]["content"];
    let example = &content("order.paid")["application/json"]["example"];
    assert_eq!((&example["type"], &example["subject"]["id"]), (&"order.paid".into(), &"48213".into()));
    let members: Vec<&String> = example.as_object().expect("a body").keys().collect();
    assert_eq!(
        members,
        ["type", "timestamp", "data", "id", "subject", "related", "actor", "action", "changes"]
    );
    let ping = &content("webhook.ping")["application/json"]["example"];
    assert_eq!(ping["type"], "webhook.ping");
    let page = said(&house.nobody().get("/docs/operations/on_order_paid"));
    assert!(page.contains("webhook-signature") && page.contains("48213"), "{page}");
}

#[test]
fn the_collection_has_every_operation_and_no_token() {
    let house = Harness::start();
    let document = house.nobody().get("/openapi.json").is(200);
    let collection = house.nobody().get("/docs/callboard.postman_collection.json").is(200);
    let folders = collection["item"].as_array().expect("folders");
    let requests: usize = folders.iter().map(|folder| folder["item"].as_array().map_or(0, Vec::len)).sum();
    let paths = document["paths"].as_object().expect("paths").values();
    assert_eq!(requests, paths.map(|item| item.as_object().map_or(0, serde_json::Map::len)).sum::<usize>());
    assert_eq!(collection["variable"][1]["value"], "");
    let of_events = folders[0]["item"].as_array().expect("requests");
    let publish = of_events.iter().find(|item| item["request"]["method"] == "POST").expect("a request");
    assert_eq!(publish["request"]["url"]["raw"], "{{url}}/v1/events");
    let body = text(&publish["request"]["body"]["raw"]);
    assert!(serde_json::from_str::<serde_json::Value>(body).is_ok_and(|body| body["subject"]["id"] != ""));
}
