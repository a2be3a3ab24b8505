//! Sparse fieldsets: which fields of which resources a viagogo-style client wants
//! to see.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

/// Every field of every resource.
const FIELDS: [&str; 11] = [
    "id",
    "name",
    "created_at",
    "topics",
    "url",
    "authorization_header",
    "total_items",
    "page",
    "page_size",
    "_links",
    "_embedded",
];

/// Which resources have fields.
const TYPES: [&str; 2] = ["webhook", "webhooks"];

/// A parameter names a field or a resource that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct UnknownField {
    /// The parameter.
    pub parameter: String,
    /// What is wrong with it and what would be right.
    pub detail: String,
}

/// Which fields of which resources to show.
#[derive(Debug, Default)]
pub struct Fieldsets {
    of_all: Option<Vec<&'static str>>,
    of_type: HashMap<&'static str, Vec<&'static str>>,
}

impl Fieldsets {
    /// Reads `fields`, `fields[webhook]` and `fields[webhooks]` among the names and
    /// values of a query. The last of several counts.
    ///
    /// # Errors
    /// When one of them asks for what there is not.
    pub fn read(parameters: impl Iterator<Item = (String, String)>) -> Result<Self, UnknownField> {
        let mut sets = Self::default();
        for (name, value) in parameters {
            if name == "fields" {
                sets.of_all = Some(fields(&name, &value)?);
            } else if let Some(named) = name.strip_prefix("fields[").and_then(|rest| rest.strip_suffix(']')) {
                let known = TYPES.into_iter().find(|own| *own == named).ok_or_else(|| UnknownField {
                    detail: format!("there are only fields of {}", TYPES.join(" and ")),
                    parameter: name.clone(),
                })?;
                sets.of_type.insert(known, fields(&name, &value)?);
            }
        }
        Ok(sets)
    }

    /// A resource, reduced to what is wanted of its type.
    pub fn reduce<T: Serialize>(&self, name: &str, resource: T) -> Reduced<T> {
        let Some(wanted) = self.of_type.get(name).or(self.of_all.as_ref()) else {
            return Reduced::Whole(resource);
        };
        // Resources are made of texts and numbers, which can't fail to become JSON.
        let members = match serde_json::to_value(resource).unwrap_or_default() {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        Reduced::Part(members.into_iter().filter(|(field, _)| wanted.contains(&field.as_str())).collect())
    }
}

/// A resource as it is shown.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Reduced<T> {
    /// All of it.
    Whole(T),
    /// The members that are wanted.
    Part(Map<String, Value>),
}

fn fields(name: &str, list: &str) -> Result<Vec<&'static str>, UnknownField> {
    let mut found = Vec::new();
    for field in list.split(',').map(str::trim).filter(|field| !field.is_empty()) {
        let known = FIELDS.into_iter().find(|known| *known == field).ok_or_else(|| UnknownField {
            detail: format!("{field:?} is no field; fields are {}", FIELDS.join(", ")),
            parameter: name.to_owned(),
        })?;
        // Each once, however often it is named.
        if !found.contains(&known) {
            found.push(known);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(query: &str) -> Result<Fieldsets, UnknownField> {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        Fieldsets::read(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())))
    }

    fn reduced(query: &str, name: &str) -> Value {
        let resource = json!({ "id": 1, "name": "n", "url": "u", "_links": {} });
        serde_json::to_value(read(query).expect("good fields").reduce(name, resource)).expect("JSON")
    }

    #[test]
    fn only_what_is_wanted_of_a_type_is_shown() {
        assert_eq!(reduced("", "webhook").as_object().map(Map::len), Some(4));
        assert_eq!(reduced("fields=name,+id,,id", "webhook"), json!({ "id": 1, "name": "n" }));
        let both = "fields=name&fields[webhook]=url&page=3";
        assert_eq!(reduced(both, "webhook"), json!({ "url": "u" }));
        assert_eq!(reduced(both, "webhooks"), json!({ "name": "n" }));
        assert_eq!(reduced("fields=", "webhook"), json!({}));
    }

    #[test]
    fn what_there_is_not_is_refused_under_its_name() {
        let unknown = read("fields[webhook]=colour").expect_err("no such field");
        assert_eq!(unknown.parameter, "fields[webhook]");
        assert!(unknown.detail.starts_with("\"colour\" is no field; fields are id, name"), "{unknown}");
        let unknown = read("fields[sale]=id").expect_err("no such type");
        assert_eq!(unknown.detail, "there are only fields of webhook and webhooks");
    }
}
