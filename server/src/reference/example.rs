//! Examples of what a schema describes: the one that it names, or one made from its
//! members' own.

use serde_json::{Map, Value, json};

/// How deep examples go; deeper there are only cycles.
const DEEPEST: usize = 8;

/// An example of `schema`, whose references lead into `document`.
pub(super) fn example(schema: &Value, document: &Value) -> Value {
    at_depth(schema, document, 0)
}

/// The schema that a reference leads to.
pub(super) fn resolved<'a>(schema: &'a Value, document: &'a Value) -> &'a Value {
    let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { return schema };
    document.pointer(reference.trim_start_matches('#')).unwrap_or(schema)
}

fn at_depth(schema: &Value, document: &Value, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(named) = schema.get("example").or_else(|| schema.pointer("/examples/0")) {
        return named.clone();
    }
    let schema = resolved(schema, document);
    if let Some(named) = schema.get("example").or_else(|| schema.pointer("/examples/0")) {
        return named.clone();
    }
    if let Some(value) = schema.get("const").or_else(|| schema.pointer("/enum/0")) {
        return value.clone();
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        return merged(parts, schema, document, depth);
    }
    let alternatives = ["oneOf", "anyOf"].into_iter().find_map(|word| schema.get(word)?.as_array());
    if let Some(alternatives) = alternatives {
        let is_null = |one: &&Value| one.get("type").is_some_and(|kind| kind == "null");
        let first = alternatives.iter().find(|one| !is_null(one));
        return first.map_or(Value::Null, |first| at_depth(first, document, depth + 1));
    }
    match kind(schema) {
        "object" => Value::Object(members(schema, document, depth)),
        "array" => match schema.get("items") {
            Some(items) => json!([at_depth(items, document, depth + 1)]),
            None => json!([]),
        },
        "integer" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1.5)),
        "boolean" => json!(false),
        "string" => json!(text(schema)),
        _ => Value::Null,
    }
}

/// The kind of a schema that may also be null.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("")
        }
        _ if schema.get("properties").is_some() => "object",
        _ => "",
    }
}

fn members(schema: &Value, document: &Value, depth: usize) -> Map<String, Value> {
    let members = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    members.map(|(name, member)| (name.clone(), at_depth(member, document, depth + 1))).collect()
}

fn merged(parts: &[Value], schema: &Value, document: &Value, depth: usize) -> Value {
    let mut whole = members(schema, document, depth);
    for part in parts {
        if let Value::Object(more) = at_depth(part, document, depth + 1) {
            whole.extend(more);
        }
    }
    Value::Object(whole)
}

fn text(schema: &Value) -> &str {
    match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-11-21T19:00:00Z",
        Some("date") => "2026-11-21",
        Some("uuid") => "0198c0de-7c5e-7d3a-9d7e-2f1d6a1c0b55",
        Some("uri") => "https://partner.example/callboard",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_follow_references_and_end() {
        let document = json!({"components": {"schemas": {
            "Tree": {"type": "object", "properties": {
                "name": {"type": "string", "example": "oak"}, "size": {"type": ["integer", "null"], "minimum": 3},
                "kind": {"oneOf": [{"type": "null"}, {"enum": ["a", "b"]}]},
                "child": {"$ref": "#/components/schemas/Tree"},
                "when": {"type": "string", "format": "date-time"},
            }},
        }}});
        let tree = example(&json!({"$ref": "#/components/schemas/Tree"}), &document);
        assert_eq!((&tree["name"], &tree["size"], &tree["kind"]), (&json!("oak"), &json!(3), &json!("a")));
        assert_eq!(tree["child"]["when"], "2026-11-21T19:00:00Z");
        let both = json!({"allOf": [{"$ref": "#/components/schemas/Tree"}, {"properties": {"more": {"type": "boolean"}}}]});
        let both = example(&both, &document);
        assert_eq!((&both["name"], &both["more"]), (&json!("oak"), &json!(false)));
    }
}
