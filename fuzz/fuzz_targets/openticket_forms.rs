//! Forms of OpenTicket-style clients: URL-encoded, multipart and JSON say the same.

#![no_main]

use std::convert::Infallible;

use bytes::Bytes;
use callboard_domain::webhook::openticket::{Extent, Fields};
use callboard_fuzz::settings;
use futures_util::FutureExt as _;
use futures_util::stream;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|body: &[u8]| {
    if let Some(fields) = multipart(Bytes::copy_from_slice(body)) {
        let _ = fields.settings(Extent::New);
    }
    let fields = Fields::from_form(body);
    if fields.are_too_many() {
        return;
    }
    let read = fields.settings(Extent::New);
    if let Ok(settings) = &read {
        settings::hold(settings);
    }
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(body).into_owned().collect();
    as_multipart(&pairs, |fields| assert_eq!(fields.settings(Extent::New), read, "as multipart"));
    as_json(&pairs, |text, fields| {
        assert_eq!(fields.settings(Extent::New), read, "as {text}");
        // A client that tells numbers and booleans from texts means the same.
        let plain = plain(text);
        let plain = Fields::from_json(&plain).expect("an object").settings(Extent::New);
        if let (Ok(plain), Ok(read)) = (plain, &read) {
            assert_eq!(plain, *read, "plainly");
        }
    });
});

/// Reads a body as its server does; `None` when it is no such form.
fn multipart(body: Bytes) -> Option<Fields> {
    let whole = stream::iter([Ok::<_, Infallible>(body)]);
    let mut form = multer::Multipart::new(whole, "X");
    let mut fields = Fields::default();
    while !fields.are_too_many()
        && let Some(field) = form.next_field().now_or_never()?.ok()?
    {
        let name = field.name().unwrap_or_default().to_owned();
        let value = field.text().now_or_never()?.ok()?;
        fields.push(name, &value);
    }
    Some(fields)
}

/// The same fields in parts, where their texts can be said so.
fn as_multipart(pairs: &[(String, String)], check: impl FnOnce(Fields)) {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // A mark of byte order at its start is no part of a multipart text.
    let says = |value: &str| !value.contains("--X") && !value.starts_with('\u{feff}');
    if !pairs.iter().all(|(name, value)| plain(name) && !name.is_empty() && says(value)) {
        return;
    }
    let part = |(name, value): &(String, String)| {
        format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body: Vec<String> = pairs.iter().map(part).chain(["--X--\r\n".to_owned()]).collect();
    let body = body.concat();
    check(multipart(body.into()).expect("a form"));
}

/// The same fields as members, where none is there twice.
fn as_json(pairs: &[(String, String)], check: impl FnOnce(&str, Fields)) {
    let members: Map<String, Value> =
        pairs.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect();
    if members.len() == pairs.len() {
        let text = Value::from(members).to_string();
        check(&text, Fields::from_json(&text).expect("an object"));
    }
}

/// The same object with whole numbers and booleans for texts that hold one.
fn plain(text: &str) -> String {
    let mut members: Map<String, Value> = serde_json::from_str(text).expect("an object");
    for value in members.values_mut() {
        let inner = value.as_str().unwrap_or_default();
        if let Ok(plain @ (Value::Number(_) | Value::Bool(_))) = serde_json::from_str(inner) {
            *value = plain;
        }
    }
    Value::from(members).to_string()
}
