//! What the pages of the reference show, read from the OpenAPI document.

use serde_json::Value;

use super::example::{example, resolved};
use super::prose::Prose;

/// How deep members of members are shown; what is deeper has a page of its own.
const DEEPEST: usize = 4;

/// The whole reference.
pub(super) struct Reference {
    pub(super) title: String,
    pub(super) version: String,
    pub(super) about: Vec<Prose>,
    pub(super) groups: Vec<Group>,
    /// What receivers are sent.
    pub(super) webhooks: Vec<Operation>,
    pub(super) schemas: Vec<Schema>,
}

/// Operations that belong together.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) about: Prose,
    pub(super) operations: Vec<Operation>,
}

/// A request that can be made, or that a receiver gets.
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) summary: Prose,
    pub(super) about: Vec<Prose>,
    pub(super) needs_token: bool,
    pub(super) is_webhook: bool,
    pub(super) parameters: Vec<Member>,
    pub(super) bodies: Vec<Body>,
    pub(super) answers: Vec<Answer>,
    pub(super) curl: String,
}

/// A body of one media type.
pub(super) struct Body {
    pub(super) kind: String,
    pub(super) schema: Option<String>,
    pub(super) members: Vec<Member>,
    pub(super) example: String,
}

/// An answer by its status.
pub(super) struct Answer {
    pub(super) status: String,
    pub(super) about: Prose,
    pub(super) kind: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) example: Option<String>,
}

/// A parameter, or a member of an object.
pub(super) struct Member {
    pub(super) name: String,
    /// Where a parameter stands; of a member empty.
    pub(super) place: String,
    /// What may stand there, in words.
    pub(super) kind: String,
    /// The schema with a page of its own.
    pub(super) schema: Option<String>,
    pub(super) is_required: bool,
    pub(super) about: Prose,
    pub(super) rules: String,
}

/// A named schema.
pub(super) struct Schema {
    pub(super) name: String,
    pub(super) about: Prose,
    pub(super) kind: String,
    pub(super) members: Vec<Member>,
    pub(super) example: String,
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

impl Reference {
    /// Reads the document.
    pub(super) fn new(document: &Value) -> Self {
        let operations = all(&document["paths"], document, false);
        let tags = document["tags"].as_array().into_iter().flatten();
        let mut groups: Vec<Group> = tags
            .map(|tag| Group {
                name: text(&tag["name"]),
                about: prose(&tag["description"]),
                operations: Vec::new(),
            })
            .collect();
        for (tag, operation) in operations {
            if let Some(group) = groups.iter_mut().find(|group| group.name == tag) {
                group.operations.push(operation);
            }
        }
        let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
        Self {
            title: text(&document["info"]["title"]),
            version: text(&document["info"]["version"]),
            about: paragraphs(&document["info"]["description"]),
            groups,
            webhooks: all(&document["webhooks"], document, true).into_iter().map(|(_, one)| one).collect(),
            schemas: schemas.map(|(name, schema)| Schema::new(name, schema, document)).collect(),
        }
    }

    /// Every operation.
    pub(super) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.groups.iter().flat_map(|group| &group.operations).chain(&self.webhooks)
    }

    /// The operation of this id.
    pub(super) fn operation(&self, id: &str) -> Option<&Operation> {
        self.operations().find(|operation| operation.id == id)
    }

    /// The schema of this name.
    pub(super) fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas.iter().find(|schema| schema.name == name)
    }
}

/// Every operation of these paths, with its tag.
fn all(paths: &Value, document: &Value, is_webhook: bool) -> Vec<(String, Operation)> {
    let mut found = Vec::new();
    for (path, item) in paths.as_object().into_iter().flatten() {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                let tag = text(&operation["tags"][0]);
                found.push((tag, Operation::new(method, path, operation, document, is_webhook)));
            }
        }
    }
    found
}

impl Operation {
    fn new(method: &str, path: &str, operation: &Value, document: &Value, is_webhook: bool) -> Self {
        // An empty requirement stands for: none.
        let open = operation.get("security").and_then(Value::as_array);
        let open = open
            .is_some_and(|any| any.iter().any(|one| one.as_object().is_some_and(serde_json::Map::is_empty)));
        let content = operation["requestBody"]["content"].as_object().into_iter().flatten();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let answers = operation["responses"].as_object().into_iter().flatten();
        let mut operation = Self {
            id: text(&operation["operationId"]),
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            summary: Prose(text(&operation["summary"]).trim_end_matches('.').to_owned()),
            about: paragraphs(&operation["description"]),
            needs_token: !open && !is_webhook,
            is_webhook,
            parameters: parameters.map(|one| parameter(one, document)).collect(),
            bodies: content.map(|(kind, media)| Body::new(kind, media, document)).collect(),
            answers: answers.map(|(status, answer)| Answer::new(status, answer, document)).collect(),
            curl: String::new(),
        };
        if !is_webhook {
            operation.curl = operation.as_curl();
        }
        operation
    }

    /// What the page is called.
    pub(super) fn title(&self) -> String {
        if self.is_webhook { self.path.clone() } else { format!("{} {}", self.method, self.path) }
    }

    fn as_curl(&self) -> String {
        let method = if self.method == "GET" { String::new() } else { format!(" -X {}", self.method) };
        let token =
            if self.needs_token { " \\\n  -H \"Authorization: Bearer $CALLBOARD_TOKEN\"" } else { "" };
        let body = self.bodies.first().map(|body| {
            let example = body.example.replace('\'', "'\\''");
            format!(" \\\n  -H 'Content-Type: {}' \\\n  -d '{example}'", body.kind)
        });
        format!("curl{method} \"$CALLBOARD_URL{}\"{token}{}", self.path, body.unwrap_or_default())
    }
}

fn parameter(parameter: &Value, document: &Value) -> Member {
    let schema = &parameter["schema"];
    Member {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        kind: kind(schema, document),
        schema: None,
        is_required: parameter["required"] == true,
        about: prose(&parameter["description"]),
        rules: rules(resolved(schema, document)),
    }
}

impl Body {
    fn new(kind: &str, media: &Value, document: &Value) -> Self {
        let schema = &media["schema"];
        let shown = media.get("example").cloned().unwrap_or_else(|| example(schema, document));
        Self {
            kind: kind.to_owned(),
            schema: reference(schema),
            members: members(schema, document, "", 0),
            example: written(kind, &shown),
        }
    }
}

/// An example as it is sent.
fn written(kind: &str, example: &Value) -> String {
    match example {
        Value::Object(members) if kind.contains("form") => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in members {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                form.append_pair(name, &value);
            }
            form.finish()
        }
        Value::String(text) if !kind.contains("json") => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}

impl Answer {
    fn new(status: &str, answer: &Value, document: &Value) -> Self {
        let content = answer["content"].as_object().and_then(|content| content.iter().next());
        Self {
            status: status.to_owned(),
            about: prose(&answer["description"]),
            kind: content.map(|(kind, _)| kind.clone()),
            schema: content.and_then(|(_, media)| reference(&media["schema"])),
            example: content.map(|(kind, media)| written(kind, &example(&media["schema"], document))),
        }
    }
}

impl Schema {
    fn new(name: &str, schema: &Value, document: &Value) -> Self {
        Self {
            name: name.to_owned(),
            about: prose(&schema["description"]),
            kind: kind(schema, document),
            members: members(schema, document, "", 0),
            example: written("application/json", &example(schema, document)),
        }
    }
}

/// The name that a reference ends in.
fn reference(schema: &Value) -> Option<String> {
    let direct = schema.get("$ref").and_then(Value::as_str);
    let name = direct.and_then(|text| text.rsplit('/').next()).map(str::to_owned);
    name.or_else(|| {
        let alternatives = schema.get("oneOf").and_then(Value::as_array)?;
        alternatives.iter().find_map(reference)
    })
    .or_else(|| reference(schema.get("items")?))
}

/// The members of an object, those of its members beneath them.
fn members(schema: &Value, document: &Value, before: &str, depth: usize) -> Vec<Member> {
    let schema = resolved(schema, document);
    let mut found = Vec::new();
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        found.extend(members(part, document, before, depth));
    }
    let required = schema.get("required").and_then(Value::as_array);
    for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let own = resolved(member, document);
        let about = [member, own].into_iter().find_map(|one| one.get("description"));
        let in_alternative = member.pointer("/oneOf/0/description");
        found.push(Member {
            name: format!("{before}{name}"),
            place: String::new(),
            kind: kind(member, document),
            schema: reference(member),
            is_required: required.is_some_and(|names| names.iter().any(|own| own == name)),
            about: about.or(in_alternative).map(prose).unwrap_or_default(),
            rules: rules(own),
        });
        if depth < DEEPEST && member.get("$ref").is_none() {
            let inner = own.get("items").filter(|items| items.get("$ref").is_none()).unwrap_or(own);
            found.extend(members(inner, document, &format!("{before}{name}."), depth + 1));
        }
    }
    found
}

/// What may stand there, in words.
fn kind(schema: &Value, document: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.rsplit('/').next()) {
        let own = resolved(schema, document);
        return match own.get("enum") {
            Some(Value::Array(words)) => one_of(words),
            _ => name.to_owned(),
        };
    }
    if let Some(Value::Array(words)) = schema.get("enum") {
        return one_of(words);
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(Value::Array(alternatives)) = schema.get(word) {
            let kinds: Vec<String> = alternatives.iter().map(|one| kind(one, document)).collect();
            return kinds.join(" or ");
        }
    }
    let named = |kind: &str| match (kind, schema.get("items"), schema.get("format").and_then(Value::as_str)) {
        ("array", Some(items), _) => format!("array of {}", self::kind(items, document)),
        ("string", _, Some("date-time")) => "time (RFC 3339)".to_owned(),
        (kind, ..) => kind.to_owned(),
    };
    match schema.get("type") {
        Some(Value::String(kind)) => named(kind),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).map(named).collect::<Vec<_>>().join(" or ")
        }
        _ if schema.get("properties").is_some() || schema.get("allOf").is_some() => "object".to_owned(),
        _ => "anything".to_owned(),
    }
}

fn one_of(words: &[Value]) -> String {
    words.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}

/// What else has to hold.
fn rules(schema: &Value) -> String {
    const RULES: [(&str, &str); 8] = [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "at least so long:"),
        ("maxLength", "at most so long:"),
        ("minItems", "at least so many:"),
        ("maxItems", "at most so many:"),
        ("pattern", "fits"),
        ("default", "if left out:"),
    ];
    let said = RULES.iter().filter_map(|(name, words)| {
        let value = schema.get(*name)?;
        Some(format!("{words} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    });
    said.collect::<Vec<_>>().join("; ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn prose(value: &Value) -> Prose {
    Prose(text(value))
}

/// A description in paragraphs, each in one line.
fn paragraphs(value: &Value) -> Vec<Prose> {
    let text = value.as_str().unwrap_or_default();
    let paragraph = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split("\n\n").map(paragraph).filter(|text| !text.is_empty()).map(Prose).collect()
}
