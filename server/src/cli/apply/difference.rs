//! What differs between what is wanted and what is there.

use std::collections::BTreeSet;

use callboard_domain::webhook::MASK;
use serde_json::{Map, Value};

use super::document::{Kind, Wanted};

/// Settings that nobody is shown.
const SECRET: [&str; 2] = ["authorization_header", "client_certificate"];

/// Lists whose order means nothing.
const SETS: [&str; 4] = ["events", "hooks", "topics", "scopes"];

/// Settings that have no value where none is given; null means something else for
/// all others: whatever the server takes then.
const MAY_BE_NULL: [&str; 6] = [
    "identifier",
    "filter",
    "rate_per_second",
    "authorization_header",
    "client_certificate",
    "retention_seconds",
];

/// A setting that is to become another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) name: String,
    pub(super) before: Value,
    pub(super) after: Value,
}

/// What is to become of one thing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) changes: Vec<Change>,
    /// Secrets of the file that were not compared, because nobody is shown them.
    pub(super) unknown: Vec<String>,
}

/// What differs, of what the file names. Secrets can't be compared: one is set where
/// there is none yet, or where `secrets` wants all of them set.
///
/// # Errors
/// What can't be made so, in words.
pub(super) fn compare(wanted: &Wanted, current: &Value, secrets: bool) -> Result<Difference, String> {
    let mut difference = Difference::default();
    for (name, after) in &wanted.settings {
        let before = current.get(name).unwrap_or(&Value::Null);
        if SECRET.contains(&name.as_str()) && !before.is_null() && !after.is_null() {
            if masked(after) {
                continue;
            }
            if !secrets {
                difference.unknown.push(name.clone());
                continue;
            }
        } else if same(name, before, after) {
            continue;
        }
        if after.is_null() && !MAY_BE_NULL.contains(&name.as_str()) {
            return Err(format!("{name}: null is no value to compare with; write the one that you mean"));
        }
        if masked(after) {
            return Err(format!("{name}: is masked, and there is none yet; write it out, or leave it away"));
        }
        if wanted.place.0 == Kind::Client && name == "scopes" {
            return Err("scopes: those of a client stay as they are; give the client another name".to_owned());
        }
        difference.changes.push(Change { name: name.clone(), before: before.clone(), after: after.clone() });
    }
    Ok(difference)
}

/// The settings with which something is made.
///
/// # Errors
/// When a secret is masked.
pub(super) fn settings(wanted: &Wanted) -> Result<Map<String, Value>, String> {
    match wanted.settings.iter().find(|(_, value)| masked(value)) {
        Some((name, _)) => Err(format!("{name}: is masked; write it out, or leave it away")),
        None => Ok(wanted.settings.clone()),
    }
}

/// Whether a secret is masked in this.
fn masked(value: &Value) -> bool {
    *value == MASK || value["private_key"] == MASK
}

/// Whether both mean the same to the server.
fn same(name: &str, before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Number(before), Value::Number(after)) => before.as_f64() == after.as_f64(),
        (Value::Array(before), Value::Array(after)) if SETS.contains(&name) => {
            let set = |items: &[Value]| items.iter().map(Value::to_string).collect::<BTreeSet<_>>();
            set(before) == set(after)
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len()
                && before.iter().zip(after).all(|(before, after)| same("", before, after))
        }
        (Value::Object(before), Value::Object(after)) => {
            // Names of headers are kept in lower case.
            let find = |wanted: &str| before.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            before.len() == after.len()
                && after
                    .iter()
                    .all(|(name, after)| find(name).is_some_and(|(_, before)| same("", before, after)))
        }
        (before, after) => before == after,
    }
}

/// The line that shows a setting of something new.
pub(super) fn added(name: &str, value: &Value) -> Vec<(char, String)> {
    lines(&Change { name: name.to_owned(), before: Value::Null, after: value.clone() })
}

/// The lines that show a change; of a secret only that there is one.
pub(super) fn lines(change: &Change) -> Vec<(char, String)> {
    let Change { name, before, after } = change;
    let words = |value: &Value| {
        let value = if SECRET.contains(&name.as_str()) { MASK.to_owned() } else { value.to_string() };
        format!("{name}: {value}")
    };
    let given = |sign, value: &Value| (!value.is_null()).then(|| (sign, words(value)));
    given('-', before).into_iter().chain(given('+', after)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(kind: Kind, settings: Value) -> Wanted {
        let Value::Object(settings) = settings else { panic!("no object") };
        Wanted { place: (kind, None), key: "a".to_owned(), settings }
    }

    fn changed(settings: Value, current: &Value, secrets: bool) -> Vec<String> {
        let difference = compare(&wanted(Kind::Webhook, settings), current, secrets).expect("a difference");
        difference.changes.iter().flat_map(lines).map(|(sign, line)| format!("{sign} {line}")).collect()
    }

    #[test]
    fn what_the_server_writes_differently_does_not_differ() {
        let current = json!({
            "name": "a", "url": "u", "timeout_seconds": 5.0, "retry": {"schedule_seconds": [1.0, 2.0]},
            "events": ["a.b", "c.d"], "headers": {"x-a": "1"}, "filter": null, "enabled": true,
        });
        let same = json!({
            "name": "a", "timeout_seconds": 5, "retry": {"schedule_seconds": [1, 2]},
            "events": ["c.d", "a.b"], "headers": {"X-A": "1"}, "filter": null,
        });
        assert!(changed(same, &current, false).is_empty());
        let other = json!({
            "timeout_seconds": 6, "retry": {"schedule_seconds": [2, 1]}, "events": ["a.b"], "headers": {},
            "filter": "$.a", "enabled": false,
        });
        assert_eq!(
            changed(other, &current, false),
            [
                "- timeout_seconds: 5.0",
                "+ timeout_seconds: 6",
                "- retry: {\"schedule_seconds\":[1.0,2.0]}",
                "+ retry: {\"schedule_seconds\":[2,1]}",
                "- events: [\"a.b\",\"c.d\"]",
                "+ events: [\"a.b\"]",
                "- headers: {\"x-a\":\"1\"}",
                "+ headers: {}",
                "+ filter: \"$.a\"",
                "- enabled: true",
                "+ enabled: false",
            ]
        );
    }

    #[test]
    fn secrets_are_set_where_there_is_none_and_never_shown() {
        let secret = || json!({"authorization_header": "Bearer hunter2"});
        let (none, some) = (json!({"authorization_header": null}), json!({"authorization_header": MASK}));
        assert_eq!(
            changed(secret(), &none, false),
            ["+ authorization_header: \"********\"".replace('"', "")]
        );
        assert!(changed(secret(), &some, false).is_empty());
        let kept = compare(&wanted(Kind::Webhook, secret()), &some, false).expect("a difference");
        assert_eq!(kept.unknown, ["authorization_header"]);
        assert_eq!(changed(secret(), &some, true).len(), 2);
        assert!(changed(json!({"authorization_header": MASK}), &some, true).is_empty());
        assert_eq!(changed(json!({"authorization_header": null}), &some, false).len(), 1);
        let masked = wanted(Kind::Webhook, json!({"authorization_header": MASK}));
        compare(&masked, &none, false).expect_err("it is not known");
        settings(&masked).expect_err("it is not known");
        let certificate = json!({"client_certificate": {"certificate": "c", "private_key": MASK}});
        settings(&wanted(Kind::Webhook, certificate)).expect_err("it is not known");
    }

    #[test]
    fn what_can_not_be_made_so_is_told() {
        let current = json!({"retry": {"schedule_seconds": [5]}, "scopes": ["admin"]});
        let null = compare(&wanted(Kind::Webhook, json!({"retry": null})), &current, false);
        assert!(null.expect_err("no value").contains("write the one that you mean"));
        let scopes = compare(&wanted(Kind::Client, json!({"scopes": ["read:events"]})), &current, false);
        assert!(scopes.expect_err("they stay").contains("another name"));
    }
}
