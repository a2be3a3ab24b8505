//! YAML as values of JSON, and back.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Number, Value};

/// How deep a document may be nested.
const DEEPEST: usize = 32;

/// The documents of a text, YAML or JSON; empty ones are left out.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn read(text: &str) -> Result<Vec<Value>, String> {
    if let Ok(document) = serde_json::from_str(text) {
        return Ok(vec![document]);
    }
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    let documents: Result<Vec<_>, _> = documents.iter().map(|document| value(document, 0)).collect();
    Ok(documents?.into_iter().filter(|document| !document.is_null()).collect())
}

fn value(yaml: &Yaml, depth: usize) -> Result<Value, String> {
    if depth > DEEPEST {
        return Err(format!("it is nested deeper than {DEEPEST} levels"));
    }
    match yaml {
        Yaml::Value(Scalar::Null) => Ok(Value::Null),
        Yaml::Value(Scalar::Boolean(flag)) => Ok(Value::Bool(*flag)),
        Yaml::Value(Scalar::Integer(number)) => Ok(Value::from(*number)),
        Yaml::Value(Scalar::FloatingPoint(number)) => Number::from_f64(number.into_inner())
            .map(Value::Number)
            .ok_or_else(|| "a number has to be finite".to_owned()),
        Yaml::Value(Scalar::String(text)) => Ok(Value::String(text.to_string())),
        Yaml::Sequence(items) => items.iter().map(|item| value(item, depth + 1)).collect(),
        Yaml::Mapping(members) => {
            let member = |(name, member): (&Yaml, &Yaml)| {
                let name = match value(name, depth + 1)? {
                    Value::String(name) => name,
                    other => return Err(format!("{other} is no name of a member; put it in quotes")),
                };
                Ok((name, value(member, depth + 1)?))
            };
            members.iter().map(member).collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        Yaml::Tagged(..) | Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => {
            Err("tags, and what they would mean, are not understood".to_owned())
        }
    }
}

/// A document as YAML.
pub(in crate::cli) fn write(document: &Value) -> String {
    let mut out = String::from("---\n");
    write_block(document, 0, &mut out);
    out
}

/// What stands on lines of its own.
fn write_block(value: &Value, indent: usize, out: &mut String) {
    let margin = " ".repeat(indent);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                out.extend([&margin, &scalar(name), ":"]);
                write_member(member, indent, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut block = String::new();
                write_block(item, indent + 2, &mut block);
                // The first line stands beside its dash.
                out.extend([&margin, "- ", block.trim_start()]);
            }
        }
        value => out.extend([&margin, &*flat(value), "\n"]),
    }
}

fn write_member(member: &Value, indent: usize, out: &mut String) {
    match member {
        Value::Object(members) if !members.is_empty() => {
            out.push('\n');
            write_block(member, indent + 2, out);
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            out.push('\n');
            write_block(member, indent + 2, out);
        }
        value => out.extend([" ", &*flat(value), "\n"]),
    }
}

/// What stands in a line.
fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flat).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// A text as it is where that is clear, and else in quotes, which JSON's are in YAML too.
fn scalar(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./: ".contains(letter);
    let clear = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(plain)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && value(&Yaml::Value(Scalar::parse_from_cow(text.into())), 0).is_ok_and(|read| read == *text)
        // What older readers take for true and false.
        && !["y", "n", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if clear { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let document = json!({
            "tenant": "opera", "empty": [], "none": {}, "yes": "no", "null": "null",
            "webhooks": [
                {"name": "Box: office #1", "url": "https://a.example/b?c=d", "events": ["ticket.*", "*"],
                 "headers": {"x-a": "1", "x-b": ""}, "retry": {"schedule_seconds": [5.5, 3]}, "filter": null},
                {"name": "-", "scopes": ["read:webhooks", "a:"], "text": "a\nb\t\"ü\u{1f600}", "flag": false, "date": "2026-11-21", "space": " a "},
            ],
        });
        let text = write(&document);
        let read = read(&text).expect(&text);
        assert_eq!(serde_json::to_string(&read[0]).expect("JSON"), document.to_string(), "{text}");
        assert!(text.contains("  - name: \"Box: office #1\"\n    url: \"https://a"), "{text}");
        assert!(text.contains("scopes: [read:webhooks, \"a:\"]"), "{text}");
    }

    #[test]
    fn several_documents_and_json_are_read() {
        let text = "a: 1\n---\n# nothing\n---\nb: [x, 'y', 2.5, true, ~]\nc: &one {d: e}\nf: *one\n";
        let documents = read(text).expect("documents");
        assert_eq!(documents.len(), 2, "{documents:?}");
        assert_eq!(documents[1]["b"].to_string(), r#"["x","y",2.5,true,null]"#);
        assert_eq!(documents[1]["f"], json!({"d": "e"}));
        assert_eq!(read("{\"a\":\t1}").expect("JSON"), [json!({"a": 1})]);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, part) in [
            ("a: [1, 2", "line"),
            ("a: 1\na: 2", "uplicate"),
            ("1: a", "no name of a member"),
            ("a: .inf", "finite"),
            ("a: !thing b", "tags"),
        ] {
            let fault = read(text).expect_err(text);
            assert!(fault.contains(part), "{text}: {fault}");
        }
    }
}
