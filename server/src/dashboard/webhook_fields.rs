//! The settings of a webhook as the fields of a form: what the form shows, and what
//! it says in the words of the API. What is right is not decided here.

use callboard_domain::webhook::{MASK, Ordering, Settings, Subscription, Webhook};
use callboard_domain::wire::Dialect;
use serde_json::{Map, Value, json};

use super::form::Fields;

/// Fields that hold a text, and the member that each is, for every dialect.
const TEXTS: [(&str, &str); 5] = [
    ("name", "name"),
    ("url", "url"),
    ("identifier", "identifier"),
    ("filter", "filter"),
    ("authorization_header", "authorization_header"),
];

/// Fields that hold a number.
const NUMBERS: [&str; 3] = ["rate_per_second", "max_in_flight", "timeout_seconds"];

/// The dialect that a form is for: OpenTicket's users find theirs at once.
pub(super) fn dialect(fields: &Fields) -> Dialect {
    fields.get("dialect").parse().unwrap_or(Dialect::OpenTicket)
}

/// The fields of an empty form.
pub(super) fn blank(dialect: Dialect) -> Fields {
    let mut fields = Fields::default();
    fields.set("dialect", dialect.as_str());
    if dialect == Dialect::OpenTicket {
        fields.set("retries", callboard_domain::wire::openticket::DEFAULT_RETRIES.to_string());
    }
    fields
}

/// The fields of a form that edits a webhook.
pub(super) fn of_webhook(webhook: &Webhook) -> Fields {
    let settings = &webhook.settings;
    let mut fields = blank(settings.subscription.dialect());
    let document = serde_json::to_value(settings.revealed()).unwrap_or_default();
    for (field, member) in TEXTS {
        if let Some(text) = document.get(member).and_then(Value::as_str) {
            fields.set(field, text);
        }
    }
    if settings.authorization_header.is_some() {
        fields.set("authorization_header", MASK);
    }
    for field in NUMBERS {
        if let Some(number) = document.get(field).filter(|number| !number.is_null()) {
            fields.set(field, plain(number));
        }
    }
    if settings.triggered_by_related {
        fields.set("triggered_by_related", "on");
    }
    subscription(&settings.subscription, &mut fields);
    retries(settings, &document, &mut fields);
    let lines: Vec<String> =
        settings.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    fields.set("headers", lines.join("\n"));
    fields.set("ordering", if settings.ordering == Ordering::Subject { order(settings) } else { "none" });
    fields.set("signature", document.get("signature").and_then(Value::as_str).unwrap_or("hmac"));
    if let Some(certificate) = &settings.client_certificate {
        fields.set("certificate", certificate.certificate.clone());
        fields.set("private_key", MASK);
    }
    fields.set("revision", webhook.revision.to_string());
    fields
}

const fn order(settings: &Settings) -> &'static str {
    match settings.collapse {
        callboard_domain::webhook::Collapse::None => "subject",
        callboard_domain::webhook::Collapse::Latest => "latest",
    }
}

/// A number without the fraction that says nothing.
fn plain(number: &Value) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

fn subscription(subscription: &Subscription, fields: &mut Fields) {
    match subscription {
        Subscription::Native { events } => {
            let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
            fields.set("events", lines.join("\n"));
        }
        Subscription::Ingresse { hooks } => {
            for hook in hooks {
                fields.add("hook", hook.as_str());
            }
        }
        Subscription::Viagogo { topics } => {
            for topic in topics {
                fields.add("topic", topic.as_str());
            }
        }
        Subscription::OpenTicket { resource, trigger } => {
            fields.set("resource", resource.as_str());
            fields.set("trigger", trigger.as_str());
        }
    }
}

fn retries(settings: &Settings, document: &Value, fields: &mut Fields) {
    if settings.subscription.dialect() == Dialect::OpenTicket && document.get("retries").is_some() {
        fields.set("retries", settings.retry.retries().to_string());
    } else if let Some(waits) = document.pointer("/retry/schedule_seconds").and_then(Value::as_array) {
        let waits: Vec<String> = waits.iter().map(plain).collect();
        fields.set("schedule", waits.join(", "));
        fields.set("retries", "");
    }
}

/// What the form says, as a body of the API. `is_new`: of a new webhook, what is
/// empty is left out; of another, it goes back to its default.
pub(super) fn document(fields: &Fields, is_new: bool) -> String {
    let dialect = dialect(fields);
    let mut object = Map::new();
    let mut put = |name: &str, value: Option<Value>| match value {
        Some(value) => drop(object.insert(name.to_owned(), value)),
        None if is_new => {}
        None => drop(object.insert(name.to_owned(), Value::Null)),
    };
    if is_new {
        put("dialect", Some(dialect.as_str().into()));
    }
    for (field, member) in TEXTS {
        let text = fields.trimmed(field);
        // Of these two an empty one is a fault that the reader names.
        let must = matches!(field, "name" | "url");
        put(member, (must || !text.is_empty()).then(|| text.into()));
    }
    for field in NUMBERS {
        let text = fields.trimmed(field);
        put(field, (!text.is_empty()).then(|| number(text)));
    }
    put("triggered_by_related", Some(fields.has("triggered_by_related").into()));
    put("headers", Some(headers(fields.get("headers"))));
    let ordering = fields.get("ordering");
    put("ordering", Some(if matches!(ordering, "subject" | "latest") { "subject" } else { "none" }.into()));
    put("collapse", Some(if ordering == "latest" { "latest" } else { "none" }.into()));
    let signature = fields.get("signature");
    put("signature", (!signature.is_empty()).then(|| signature.into()));
    put("client_certificate", certificate(fields));
    match dialect {
        Dialect::Native => put("events", Some(words(fields.get("events")).into())),
        Dialect::Ingresse => put("hooks", Some(fields.all("hook").collect::<Vec<_>>().into())),
        Dialect::Viagogo => put("topics", Some(fields.all("topic").collect::<Vec<_>>().into())),
        Dialect::OpenTicket => {
            for name in ["resource", "trigger"] {
                put(name, Some(fields.get(name).into()));
            }
        }
    }
    let (retries, schedule) = (fields.trimmed("retries"), fields.trimmed("schedule"));
    match (dialect, schedule) {
        (Dialect::OpenTicket, "") => {
            if !retries.is_empty() {
                put("retries", Some(number(retries)));
            }
        }
        (_, "") => put("retry", None),
        (_, "none") => put("retry", Some(json!({"schedule_seconds": []}))),
        (_, text) => {
            let waits: Vec<Value> = words(text).into_iter().map(|word| number(&word)).collect();
            put("retry", Some(json!({"schedule_seconds": waits})));
        }
    }
    Value::Object(object).to_string()
}

/// A number; a text that is none stays one, and the reader says what is wrong.
fn number(text: &str) -> Value {
    serde_json::from_str::<serde_json::Number>(text).map_or_else(|_| text.into(), Value::Number)
}

/// Words with commas, white space or both between them.
fn words(text: &str) -> Vec<String> {
    text.split(|char: char| char == ',' || char.is_whitespace())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Headers, one a line.
fn headers(text: &str) -> Value {
    let mut object = Map::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        object.insert(name.trim().to_ascii_lowercase(), value.trim().into());
    }
    Value::Object(object)
}

fn certificate(fields: &Fields) -> Option<Value> {
    let (certificate, key) = (fields.trimmed("certificate"), fields.trimmed("private_key"));
    (!certificate.is_empty() || !key.is_empty())
        .then(|| json!({"certificate": certificate, "private_key": key}))
}

/// The field of the form that a fault at this pointer is about; the empty one for
/// the form as a whole.
pub(super) fn field_of(pointer: &str) -> &'static str {
    const FIELDS: [(&str, &str); 19] = [
        ("name", "name"),
        ("url", "url"),
        ("dialect", "dialect"),
        ("events", "events"),
        ("hooks", "hook"),
        ("topics", "topic"),
        ("resource", "resource"),
        ("trigger", "trigger"),
        ("retries", "retries"),
        ("retry", "schedule"),
        ("identifier", "identifier"),
        ("filter", "filter"),
        ("ordering", "ordering"),
        ("collapse", "ordering"),
        ("rate_per_second", "rate_per_second"),
        ("max_in_flight", "max_in_flight"),
        ("timeout_seconds", "timeout_seconds"),
        ("headers", "headers"),
        ("authorization_header", "authorization_header"),
    ];
    let mut parts = pointer.split('/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("client_certificate"), Some("private_key")) => "private_key",
        (Some("client_certificate"), _) => "certificate",
        (Some(member), _) => FIELDS.iter().find(|(own, _)| *own == member).map_or("", |(_, field)| field),
        (None, _) => "",
    }
}

#[cfg(test)]
mod tests {
    use callboard_domain::webhook::read_settings;

    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.add(name, *value);
        }
        fields
    }

    #[test]
    fn the_form_of_every_dialect_says_what_its_api_says() {
        for (pairs, wanted) in [
            (
                &[("dialect", "openticket"), ("resource", "ticket"), ("trigger", "update"), ("retries", "3")]
                    [..],
                json!({"dialect": "openticket", "resource": "ticket", "trigger": "update", "retries": 3}),
            ),
            (
                &[("dialect", "viagogo"), ("topic", "Sales"), ("topic", "SaleUpdates")],
                json!({"dialect": "viagogo", "topics": ["Sales", "SaleUpdates"]}),
            ),
            (
                &[("dialect", "ingresse"), ("hook", "ticket")],
                json!({"dialect": "ingresse", "hooks": ["ticket"]}),
            ),
            (
                &[
                    ("dialect", "native"),
                    ("events", "ticket.*, order.paid\n"),
                    ("schedule", "5, 0.5"),
                    ("headers", "X-Shop: 12\nx-b: a: b"),
                    ("ordering", "latest"),
                    ("rate_per_second", "2.5"),
                    ("triggered_by_related", "on"),
                ],
                json!({
                    "dialect": "native", "events": ["ticket.*", "order.paid"],
                    "retry": {"schedule_seconds": [5, 0.5]}, "headers": {"x-shop": "12", "x-b": "a: b"},
                    "ordering": "subject", "collapse": "latest", "rate_per_second": 2.5,
                    "triggered_by_related": true,
                }),
            ),
        ] {
            let mut given = fields(pairs);
            given.set("name", " Shop ");
            given.set("url", "https://example.com/");
            let mut wanted = wanted;
            wanted["name"] = "Shop".into();
            wanted["url"] = "https://example.com/".into();
            let (by_form, _) = read_settings(&document(&given, true), None).expect("good settings");
            let (by_api, _) = read_settings(&wanted.to_string(), None).expect("good settings");
            assert_eq!(by_form, by_api);
        }
    }

    #[test]
    fn what_is_no_number_is_told_so_and_kept() {
        let given = fields(&[
            ("dialect", "native"),
            ("url", "https://example.com"),
            ("events", "*"),
            ("name", "x"),
            ("max_in_flight", "many"),
            ("schedule", "5, soon"),
        ]);
        let faults = read_settings(&document(&given, true), None).expect_err("faults");
        let blamed: Vec<_> = faults.iter().map(|fault| field_of(&fault.pointer)).collect();
        assert!(blamed.contains(&"max_in_flight") && blamed.contains(&"schedule"), "{faults:?}");
    }
}
