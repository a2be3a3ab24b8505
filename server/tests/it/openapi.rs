//! The OpenAPI document: kept, valid, and true of what is mounted.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Harness, text};

/// The document as it was last agreed to.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden/openapi.json");

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn document(house: &Harness) -> Value {
    house.nobody().get("/openapi.json").is(200)
}

/// Each operation with its method and path.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let mut found = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("a path item") {
            assert!(METHODS.contains(&method.as_str()), "{path}: {method}");
            found.push((method.as_str(), path.as_str(), operation));
        }
    }
    found
}

/// Every documented route, as `GET /v1/events/{id}`.
pub(crate) fn routes(house: &Harness) -> Vec<String> {
    let document = document(house);
    let route = |(method, path, _): &(&str, &str, &Value)| format!("{} {path}", method.to_ascii_uppercase());
    operations(&document).iter().map(route).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "asking for a new golden file is no setting of the program")]
fn the_document_is_the_one_that_was_agreed_to() {
    let house = Harness::start();
    let answer = house.nobody().get("/openapi.json");
    assert_eq!(answer.header("content-type"), "application/json");
    let served = format!("{}\n", String::from_utf8_lossy(&answer.body).trim_end());
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        std::fs::write(GOLDEN, &served).expect("a golden file");
    }
    let kept = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    let differs = served.lines().zip(kept.lines()).position(|(served, kept)| served != kept);
    assert!(
        served == kept,
        "the document differs from golden/openapi.json from line {} on; look at the change, then run this test with UPDATE_GOLDEN=1",
        differs.map_or(kept.lines().count().min(served.lines().count()), |line| line) + 1
    );
}

#[test]
fn what_is_documented_is_mounted_and_nothing_else() {
    let house = Harness::start();
    let nobody = house.nobody();
    let document = document(&house);
    let operations = operations(&document);
    for path in document["paths"].as_object().expect("paths").keys() {
        let mut documented: BTreeSet<String> = operations
            .iter()
            .filter(|(_, own, _)| own == path)
            .map(|(method, _, _)| method.to_ascii_uppercase())
            .collect();
        let filled = ["{id}", "{guid}", "{invocation}"]
            .iter()
            .fold(path.clone(), |path, name| path.replace(name, "x"));
        let filled = filled.replace("{type}", "order.paid");
        for method in METHODS.map(str::to_ascii_uppercase) {
            let answer = nobody.send(&method, &filled, None, "");
            if documented.contains(&method) {
                assert!(![404, 405].contains(&answer.status), "{method} {path}: {}", answer.status);
            } else {
                answer.problem(405, "method-not-allowed");
            }
        }
        if documented.contains("GET") {
            documented.insert("HEAD".to_owned());
        }
        let answer = nobody.send("OPTIONS", &filled, None, "");
        let allowed: BTreeSet<String> = answer.header("allow").split(',').map(str::to_owned).collect();
        assert_eq!(allowed, documented, "{path}");
    }
}

#[test]
fn the_document_is_valid() {
    let house = Harness::start();
    let document = document(&house);
    assert!(text(&document["openapi"]).starts_with("3.1."));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    for member in ["title", "description"] {
        assert!(!text(&document["info"][member]).is_empty());
    }
    let tags: Vec<&Value> =
        document["tags"].as_array().expect("tags").iter().map(|tag| &tag["name"]).collect();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let about = format!("{method} {path}");
        assert!(ids.insert(text(&operation["operationId"])), "{about}: the operationId is taken");
        assert!(!text(&operation["summary"]).is_empty(), "{about}");
        for tag in operation["tags"].as_array().expect("tags") {
            assert!(tags.contains(&tag), "{about}: {tag}");
        }
        check_parameters(&about, path, operation);
        check_responses(&about, operation);
        if let Some(body) = operation.get("requestBody") {
            check_content(&about, body);
        }
    }
}

fn check_parameters(about: &str, path: &str, operation: &Value) {
    let none = Vec::new();
    let parameters = operation.get("parameters").and_then(Value::as_array).unwrap_or(&none);
    let mut names = BTreeSet::new();
    let mut in_path = Vec::new();
    for parameter in parameters {
        let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
        assert!(["path", "query", "header"].contains(&place), "{about}: {parameter}");
        assert!(names.insert((name, place)), "{about}: {name} twice");
        assert!(parameter["schema"].is_object(), "{about}: {parameter}");
        assert!(!text(&parameter["description"]).is_empty(), "{about}: {parameter}");
        assert!(parameter["required"] == (place == "path"), "{about}: {parameter}");
        if place == "path" {
            in_path.push(format!("{{{name}}}"));
        }
    }
    let templated: Vec<&str> = path.split('/').filter(|part| part.starts_with('{')).collect();
    assert_eq!(in_path, templated, "{about}");
}

fn check_responses(about: &str, operation: &Value) {
    let responses = operation["responses"].as_object().expect("responses");
    assert!(responses.keys().any(|status| status.starts_with('2')), "{about}");
    for (status, response) in responses {
        assert!(status.parse().is_ok_and(|status: u16| (200..600).contains(&status)), "{about}: {status}");
        assert!(!text(&response["description"]).is_empty(), "{about}: {status}");
        if status == "204" {
            assert!(response.get("content").is_none(), "{about}: 204 has no content");
        } else {
            check_content(&format!("{about}: {status}"), response);
        }
        let is_in_form = if about.contains(" /viagogo/") {
            names_schema(&response["content"]["application/hal+json"], "ViagogoError")
        } else if about.contains(" /openticket") {
            names_schema(&response["content"]["application/json"], "OpenTicketError")
        } else {
            response["content"].get("application/problem+json").is_some()
        };
        let is_token = about.ends_with("/oauth2/token");
        assert!(status.starts_with('2') || is_in_form || is_token, "{about}: {status} is a problem");
    }
}

fn names_schema(media: &Value, name: &str) -> bool {
    media["schema"]["$ref"] == format!("#/components/schemas/{name}")
}

fn check_content(about: &str, holder: &Value) {
    let content = holder["content"].as_object().unwrap_or_else(|| panic!("{about}: no content"));
    assert!(!content.is_empty(), "{about}");
    for (media_type, media) in content {
        let is_known =
            ["multipart/form-data", "text/event-stream", "text/plain"].contains(&media_type.as_str());
        assert!(media_type.starts_with("application/") || is_known, "{about}: {media_type}");
        assert!(media["schema"].is_object(), "{about}: {media_type}");
    }
}

/// Collects what every `$ref` names.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(elements) => elements.iter().for_each(|element| references(element, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let house = Harness::start();
    let document = document(&house);
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let kept: BTreeSet<String> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(found, kept.iter().map(String::as_str).collect());
    let security = document["components"]["securitySchemes"].as_object().expect("security schemes");
    let own = operations(&document).into_iter().filter_map(|(_, _, operation)| operation.get("security"));
    for requirements in own.chain([&document["security"]]) {
        for requirement in requirements.as_array().expect("requirements") {
            let names = requirement.as_object().expect("a requirement").keys();
            assert!(names.clone().all(|name| security.contains_key(name)), "{requirement}");
        }
    }
}

#[test]
fn every_schema_says_what_it_is() {
    let house = Harness::start();
    let document = document(&house);
    let mut silent = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        if schema["description"].as_str().is_none_or(str::is_empty) {
            silent.push(name.clone());
        }
    }
    assert_eq!(silent, [] as [&str; 0], "schemas without a description");
}
