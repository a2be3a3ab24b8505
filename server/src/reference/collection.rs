//! The reference as a Postman collection (version 2.1), which Bruno and others read
//! too.

use serde_json::{Value, json};

use super::model::{Member, Operation, Reference};
use super::prose::Prose;

/// The format of the collection.
const FORMAT: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

/// A collection with a folder for each group.
pub(super) fn collection(reference: &Reference) -> Value {
    let folder = |name: &str, about: &Prose, operations: &[Operation]| json!({"name": name, "description": about.0, "item": operations.iter().map(item).collect::<Vec<_>>()});
    let folders: Vec<Value> =
        reference.groups.iter().map(|group| folder(&group.name, &group.about, &group.operations)).collect();
    json!({
        "info": {"name": reference.title, "version": reference.version, "description": paragraphs(&reference.about), "schema": FORMAT},
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": [
            {"key": "url", "value": "http://127.0.0.1:8080"},
            {"key": "token", "value": ""},
        ],
        "item": folders,
    })
}

fn item(operation: &Operation) -> Value {
    let in_place = |place: &'static str| operation.parameters.iter().filter(move |one| one.place == place);
    let path: Vec<String> = operation
        .path
        .split('/')
        .skip(1)
        .map(|part| {
            part.strip_prefix('{')
                .and_then(|part| part.strip_suffix('}'))
                .map_or_else(|| part.to_owned(), |name| format!(":{name}"))
        })
        .collect();
    let parameter = |one: &Member| json!({"key": one.name, "value": "", "description": one.about.0});
    let query: Vec<Value> = in_place("query")
        .map(|one| json!({"key": one.name, "value": "", "description": one.about.0, "disabled": !one.is_required}))
        .collect();
    let mut headers: Vec<Value> =
        in_place("header").map(|one| json!({"key": one.name, "value": "", "description": one.about.0, "disabled": !one.is_required})).collect();
    let mut request = json!({
        "method": operation.method,
        "description": paragraphs(&operation.about),
        "url": {
            "raw": format!("{{{{url}}}}/{}", path.join("/")), "host": ["{{url}}"], "path": path,
            "query": query, "variable": in_place("path").map(parameter).collect::<Vec<_>>(),
        },
    });
    if !operation.needs_token {
        request["auth"] = json!({"type": "noauth"});
    }
    if let Some(body) = operation.bodies.first() {
        headers.push(json!({"key": "Content-Type", "value": body.kind}));
        request["body"] = json!({"mode": "raw", "raw": body.example});
    }
    request["header"] = headers.into();
    json!({"name": operation.summary.0, "request": request, "response": []})
}

fn paragraphs(prose: &[Prose]) -> String {
    prose.iter().map(|paragraph| &*paragraph.0).collect::<Vec<_>>().join("\n\n")
}
