//! JSON Schemas (draft 2020-12) of published events, made from the tables.

use serde_json::{Map, Value, json};

use super::field::{Kind, Shape};
use super::{describe, shape};
use crate::event_type::EventType;
use crate::resource::Resource;
use crate::trigger::Trigger;

/// The schema of a whole event of this type, as it is published.
#[must_use]
pub fn schema(resource: Resource, trigger: Trigger) -> Value {
    let event_type = EventType::Known(resource, trigger).to_string();
    let mut definitions = Map::new();
    let data = data(resource, &mut definitions);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": event_type,
        "description": describe(resource, trigger),
        "type": "object",
        "properties": {
            "id": {
                "description": "Yours; publishing the same id again changes nothing. Made where it is missing.",
                "type": ["string", "null"],
                "pattern": "^[A-Za-z0-9_-]{1,64}$",
            },
            "type": { "description": "What happened, to what kind of thing.", "const": event_type },
            "occurred_at": {
                "description": "When it happened; where it is missing, when it was accepted.",
                "type": ["string", "null"],
                "format": "date-time",
            },
            "subject": named("What it happened to.", &json!("object")),
            "related": related(),
            "actor": named("Who caused it.", &json!(["object", "null"])),
            "action": {
                "description": action(resource, trigger),
                "type": ["string", "null"],
                "minLength": 1,
                "maxLength": 512,
            },
            "data": data,
            "changes": {
                "description": "Only the fields of data that changed, with their new values.",
                "type": ["object", "null"],
            },
        },
        "required": ["type", "subject"],
        "additionalProperties": false,
        "$defs": definitions,
    })
}

fn named(description: &str, kind: &Value) -> Value {
    json!({
        "description": description,
        "type": kind,
        "properties": {
            "id": {
                "description": "The platform's id of it.",
                "type": "string",
                "minLength": 1,
                "maxLength": 512,
            },
            "name": { "description": "What people call it.", "type": ["string", "null"] },
        },
        "required": ["id"],
        "additionalProperties": false,
    })
}

fn related() -> Value {
    let ids = json!({ "type": "array", "items": { "type": "string", "minLength": 1, "maxLength": 512 } });
    let properties: Map<_, _> =
        Resource::ALL.into_iter().map(|resource| (resource.to_string(), ids.clone())).collect();
    json!({
        "description": "The ids of what else it concerns, by resource.",
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": false,
    })
}

const fn action(resource: Resource, trigger: Trigger) -> &'static str {
    match (resource, trigger) {
        (Resource::Sale, Trigger::Update) => {
            "Why it happened, for those who sort by it, such as \"FailedBarcodeValidation\"."
        }
        (Resource::SellerListing, Trigger::Update) => {
            "Why it happened, for those who sort by it, such as \"FailedBarcodeValidation\" or \
             \"ListingDeliverabilityExpired\"."
        }
        _ => "Why it happened, for those who sort by it.",
    }
}

fn data(resource: Resource, definitions: &mut Map<String, Value>) -> Value {
    let Some(shape) = shape(resource) else {
        return json!({
            "description": format!("The latest values of the {resource}; any members."),
            "type": ["object", "null"],
        });
    };
    json!({
        "description": format!(
            "The latest values. {} Every member may be missing or null, and others are passed on. Integers \
             are written without fraction and exponent.",
            shape.doc
        ),
        "type": ["object", "null"],
        "properties": properties(shape, definitions),
    })
}

fn properties(shape: &Shape, definitions: &mut Map<String, Value>) -> Map<String, Value> {
    let mut properties = Map::new();
    for field in shape.fields {
        let mut own = Map::new();
        own.insert("description".to_owned(), field.doc.into());
        own.extend(nullable(of(field.kind, definitions)));
        properties.insert(field.name.to_owned(), own.into());
    }
    properties
}

/// The schema of a value that is there; what it refers to is defined first.
fn of(kind: Kind, definitions: &mut Map<String, Value>) -> Map<String, Value> {
    let schema = match kind {
        Kind::Integer => json!({ "type": "integer" }),
        Kind::Number => json!({ "type": "number" }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::Id => json!({ "type": ["integer", "string"] }),
        Kind::Any => json!({}),
        Kind::OneOf(words) => json!({ "type": "string", "enum": words }),
        Kind::Object(shape) => json!({ "$ref": define(shape, definitions) }),
        Kind::List(kind) => json!({ "type": "array", "items": of(*kind, definitions) }),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// Where `shape` is defined.
fn define(shape: &Shape, definitions: &mut Map<String, Value>) -> String {
    if !definitions.contains_key(shape.name) {
        // Its place is taken before its members are looked at: it may be among them.
        definitions.insert(shape.name.to_owned(), Value::Null);
        let properties = properties(shape, definitions);
        definitions.insert(
            shape.name.to_owned(),
            json!({ "description": shape.doc, "type": "object", "properties": properties }),
        );
    }
    format!("#/$defs/{}", shape.name)
}

/// The same schema, but null will do too.
fn nullable(mut schema: Map<String, Value>) -> Map<String, Value> {
    if schema.contains_key("$ref") {
        let either = json!([schema, { "type": "null" }]);
        return Map::from_iter([("anyOf".to_owned(), either)]);
    }
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
    if let Some(own) = schema.get_mut("type") {
        match own {
            Value::Array(types) => types.push("null".into()),
            single => *single = json!([single.take(), "null"]),
        }
    }
    schema
}
