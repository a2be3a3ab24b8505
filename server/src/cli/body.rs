//! What a command sends: a file or standard input, and settings that are named on
//! the command line.

use std::io::Read as _;

use serde_json::{Map, Value};

use super::Failure;
use super::exit::Exit;

/// Where the body of a request comes from.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// Read a JSON object from a file; - for standard input
    #[arg(long, short = 'f', value_name = "FILE|-")]
    file: Option<String>,
    #[arg(
        long = "set",
        value_name = "NAME=VALUE",
        help = "Set a member, such as timeout_seconds=5 or headers.x-team=box-office; a value that is no JSON is a \
                text; may be repeated"
    )]
    set: Vec<String>,
}

impl Arguments {
    /// The body: what the file says, then `flags`, then what was set.
    ///
    /// # Errors
    /// When the file can't be read, holds no object, or a setting is none.
    pub(super) fn read<const N: usize>(&self, flags: [(&str, Option<Value>); N]) -> Result<Value, Failure> {
        let mut body = match &self.file {
            None => Map::new(),
            Some(file) => match serde_json::from_str(&text(file)?) {
                Ok(Value::Object(members)) => members,
                Ok(_) => {
                    return Err(Exit::Usage.because(format!("{} has to hold one JSON object", called(file))));
                }
                Err(error) => {
                    return Err(Exit::Usage.because(format!("{} holds no JSON: {error}", called(file))));
                }
            },
        };
        for (name, value) in flags {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        }
        for setting in &self.set {
            put(&mut body, setting)?;
        }
        Ok(Value::Object(body))
    }
}

/// What is to be edited, which has to be something.
///
/// # Errors
/// When it is nothing.
pub(super) fn changes(body: Value) -> Result<Value, Failure> {
    if body == Value::Object(Map::new()) {
        return Err(Exit::Usage.because("there is nothing to edit; name it by a flag, by --set or in --file"));
    }
    Ok(body)
}

/// What a file is called where something is said of it.
pub(super) fn called(file: &str) -> &str {
    if file == "-" { "standard input" } else { file }
}

/// The text of a file, or what comes by standard input.
///
/// # Errors
/// When it can't be read.
pub(super) fn text(file: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().read_to_string(&mut text).map(|_| text),
        _ => std::fs::read_to_string(file),
    };
    read.map_err(|error| format!("{} can't be read: {error}", called(file)).into())
}

/// Puts `name=value` where the name says: dots lead into objects.
fn put(body: &mut Map<String, Value>, setting: &str) -> Result<(), Failure> {
    let (name, value) = setting
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| Exit::Usage.because(format!("{setting:?} is no setting; write --set name=value")))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    let mut members = body;
    let mut rest = name;
    while let Some((outer, inner)) = rest.split_once('.') {
        let next = members.entry(outer).or_insert_with(|| Value::Object(Map::new()));
        members = next.as_object_mut().ok_or_else(|| {
            Exit::Usage.because(format!("{name}: {outer} is no object, so nothing within it can be set"))
        })?;
        rest = inner;
    }
    members.insert(rest.to_owned(), value);
    Ok(())
}

/// A list that was given with commas, if it was given.
pub(super) fn list(given: &[String]) -> Option<Value> {
    (!given.is_empty()).then(|| given.iter().map(String::as_str).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(set: &[&str]) -> Result<Value, Failure> {
        let set = set.iter().map(|setting| (*setting).to_owned()).collect();
        Arguments { file: None, set }.read([("name", Some("Bar".into())), ("url", None)])
    }

    #[test]
    fn settings_are_json_where_they_can_be_and_dots_lead_into_objects() {
        let body = read(&[
            "timeout_seconds=5",
            "retry.schedule_seconds=[1,2]",
            "filter=$[?@.a == 'b']",
            "headers.x-a=b",
            "headers.x-c=d",
            "identifier=null",
            "name=\"1\"",
        ]);
        assert_eq!(
            body.expect("a body"),
            json!({
                "name": "1", "timeout_seconds": 5, "retry": {"schedule_seconds": [1, 2]},
                "filter": "$[?@.a == 'b']", "headers": {"x-a": "b", "x-c": "d"}, "identifier": null,
            })
        );
        for wrong in ["timeout_seconds", "=5"] {
            assert_eq!(Exit::of(&read(&[wrong]).expect_err(wrong)), Exit::Usage);
        }
        assert!(changes(json!({})).is_err_and(|error| Exit::of(&error) == Exit::Usage));
        assert!(read(&["name.first=5"]).expect_err("no object").to_string().contains("name is no object"));
    }
}
