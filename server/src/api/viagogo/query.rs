//! Pages, order and sparse fieldsets, as viagogo's clients ask for them.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use crate::api::links::Links;
use crate::api::page::Numbers;
use crate::api::problem::Problem;

/// Items of a page when the caller does not say.
const DEFAULT_PAGE_SIZE: u32 = 100;

/// Most items of a page.
const MAX_PAGE_SIZE: u32 = 10_000;

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

/// Which page of the webhooks, in which order, and what of them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query that is read by hand, naming every fault")]
pub struct ListQuery {
    /// Which page, from 1.
    #[param(minimum = 1, example = 1)]
    page: Option<u32>,
    /// Items of a page, 1 to 10000; 100 if left out.
    #[param(minimum = 1, maximum = 10_000, example = 100)]
    page_size: Option<u32>,
    /// `created_at`, or `-created_at` for the newest first.
    #[param(example = "-created_at", pattern = "^ *-?created_at *(, *-?created_at *)*$")]
    sort: Option<String>,
    /// Only these fields, comma-separated; `fields[webhook]` says it for the
    /// webhooks alone, `fields[webhooks]` for the list around them.
    #[param(
        example = "id,name,_embedded",
        pattern = "^ *(id|name|created_at|topics|url|authorization_header|total_items|page|page_size|_links|_embedded)?( *, *(id|name|created_at|topics|url|authorization_header|total_items|page|page_size|_links|_embedded)?)* *$"
    )]
    fields: Option<String>,
}

/// Reads `page` and `page_size`.
pub(super) fn numbers(links: &Links) -> Result<Numbers, Problem> {
    Numbers::read(links, "page_size", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
}

/// Nothing else is sorted by, and no two webhooks are made at once, so only the
/// first of several counts.
pub(super) fn newest_first(links: &Links) -> Result<bool, Problem> {
    let sort = links.parameter("sort");
    let mut fields = sort.as_deref().unwrap_or("created_at").split(',').map(str::trim).peekable();
    let first = fields.peek() == Some(&"-created_at");
    if fields.all(|field| matches!(field, "created_at" | "-created_at")) {
        Ok(first)
    } else {
        Err(Problem::parameter("sort", "must be created_at or -created_at"))
    }
}

/// Which fields of which resources to show.
#[derive(Debug, Default)]
pub(super) struct Fieldsets {
    of_all: Option<Vec<&'static str>>,
    of_type: HashMap<&'static str, Vec<&'static str>>,
}

impl Fieldsets {
    pub(super) fn read(links: &Links) -> Result<Self, Problem> {
        let mut sets = Self::default();
        for (name, value) in links.parameters() {
            if name == "fields" {
                sets.of_all = Some(fields(&name, &value)?);
            } else if let Some(named) = name.strip_prefix("fields[").and_then(|rest| rest.strip_suffix(']')) {
                let known = TYPES.into_iter().find(|own| *own == named).ok_or_else(|| {
                    Problem::parameter(&name, &format!("there are only fields of {}", TYPES.join(" and ")))
                })?;
                sets.of_type.insert(known, fields(&name, &value)?);
            }
        }
        Ok(sets)
    }

    /// A resource, reduced to what is wanted of its type.
    pub(super) fn reduce<T: Serialize>(&self, name: &'static str, resource: T) -> Reduced<T> {
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
pub(super) enum Reduced<T> {
    Whole(T),
    Part(Map<String, Value>),
}

fn fields(name: &str, list: &str) -> Result<Vec<&'static str>, Problem> {
    let mut found = Vec::new();
    for field in list.split(',').map(str::trim).filter(|field| !field.is_empty()) {
        let known = FIELDS.into_iter().find(|known| *known == field).ok_or_else(|| {
            let detail = format!("{field:?} is no field; fields are {}", FIELDS.join(", "));
            Problem::parameter(name, &detail)
        })?;
        // Each once, however often it is named.
        if !found.contains(&known) {
            found.push(known);
        }
    }
    Ok(found)
}
