//! Sparse fieldsets: a reduced resource is a part of the whole one.

#![no_main]

use callboard_domain::wire::viagogo::Fieldsets;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|query: &[u8]| {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query).into_owned().collect();
    let sets = match Fieldsets::read(pairs.iter().cloned()) {
        Ok(sets) => sets,
        Err(unknown) => {
            assert!(pairs.iter().any(|(name, _)| *name == unknown.parameter));
            return;
        }
    };
    let wanted = |kind: &str| {
        let last = |wanted: String| pairs.iter().rfind(|(name, _)| *name == wanted);
        last(format!("fields[{kind}]")).or_else(|| last("fields".to_owned())).map(|(_, value)| value)
    };
    let whole = json!({
        "id": 17, "name": "n", "created_at": "t", "topics": ["Sales"], "url": "u",
        "authorization_header": null, "total_items": 1, "page": 1, "page_size": 100,
        "_links": { "self": 1 }, "_embedded": { "items": [] },
    });
    for kind in ["webhook", "webhooks"] {
        let reduced = serde_json::to_value(sets.reduce(kind, &whole)).expect("JSON");
        let Some(wanted) = wanted(kind) else {
            assert_eq!(reduced, whole);
            continue;
        };
        let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
        for (name, value) in whole.as_object().expect("an object") {
            let kept = wanted.contains(&name.as_str()).then_some(value);
            assert_eq!(reduced.get(name), kept, "{name} of {kind}");
        }
        assert!(
            reduced.as_object().is_some_and(|members| members.keys().all(|name| whole.get(name).is_some()))
        );
    }
    assert!(serde_json::to_value(sets.reduce("webhook", Value::Null)).is_ok());
});
