//! Filters: an accepted query selects what the library says of it, of any body,
//! and within bounds. The query is the first line, the body is the rest.

#![no_main]

use std::sync::LazyLock;

use callboard_domain::filter::{Filter, LazyBody};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use serde_json_path::JsonPath;

/// Wide and deep, so that a query that looks at everything for everything is slow.
static HOSTILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut body = json!([1, 2.5, "a", null, true]);
    for level in 0..50 {
        body = json!({ "a": body, "b": [level, "a", { "a": level }], "c": [[[[level]]]] });
    }
    json!({ "type": "ticket.updated", "data": body }).to_string().into_bytes()
});

fuzz_target!(|text: &str| {
    let (query, body) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(filter) = query.parse::<Filter>() else { return };
    assert_eq!(filter.as_str(), query);
    assert!(query.parse::<Filter>().is_ok_and(|again| again == filter));
    let path = JsonPath::parse(query).expect("what a filter is made of");
    let heard = filter.accepts(&LazyBody::new(body.as_bytes()));
    let value: Option<Value> = serde_json::from_str(body).ok();
    assert_eq!(heard, value.is_some_and(|value| !path.query(&value).is_empty()));
    let _ = filter.accepts(&LazyBody::new(&HOSTILE));
});
