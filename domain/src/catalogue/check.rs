//! Checks `data` against the tables.

use std::borrow::Cow;

use jiff::civil::DateTime;
use serde_json::value::RawValue;

use super::field::{Kind, Shape};
use super::shape;
use crate::fault::Faults;
use crate::json::{self, Members};
use crate::resource::Resource;

/// Most faults that are noted of one event: an array of a hundred thousand
/// wrong elements must not grow into an answer many times its size.
const MAX_FAULTS: usize = 100;

/// Longest piece of a wrong value that a fault quotes, in characters.
const MAX_QUOTE: usize = 40;

/// Notes every known field of `data` that holds something else than it should.
///
/// `data` has passed [`json::check_object`]: it is an object and doesn't nest
/// deeper than [`json::MAX_DEPTH`], which bounds the recursion here too.
pub fn check_data(resource: Resource, data: &RawValue, faults: &mut Faults) {
    if let Some(shape) = shape(resource) {
        let limit = faults.count() + MAX_FAULTS;
        check_members(shape, data, faults, limit);
    }
}

fn check_members(shape: &Shape, raw: &RawValue, faults: &mut Faults, limit: usize) {
    let Some(members) = Members::read(raw.get(), faults) else { return };
    for (name, value) in members.iter() {
        if faults.count() >= limit {
            return;
        }
        let Some(field) = shape.fields.iter().find(|field| field.name == name) else { continue };
        if value.get() == "null" || fits(field.kind, value.get()) {
            continue;
        }
        faults.within(name, |faults| check_value(field.kind, value, faults, limit));
    }
}

/// Looks closer at a value that was not found to fit at once.
fn check_value(kind: Kind, raw: &RawValue, faults: &mut Faults, limit: usize) {
    match kind {
        Kind::Object(shape) => check_members(shape, raw, faults, limit),
        Kind::List(kind) => check_elements(*kind, raw, faults, limit),
        _ => faults.here(format_args!("must be {}, not {}", wanted(kind), found(kind, raw.get()))),
    }
}

fn check_elements(kind: Kind, raw: &RawValue, faults: &mut Faults, limit: usize) {
    let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        faults.here(format_args!("must be an array, not {}", json::kind(raw.get())));
        return;
    };
    for (index, element) in elements.into_iter().enumerate() {
        if faults.count() >= limit {
            return;
        }
        if !fits(kind, element.get()) {
            faults.element(index, |faults| check_value(kind, element, faults, limit));
        }
    }
}

/// Whether `text` is known to be of `kind` without looking into it.
fn fits(kind: Kind, text: &str) -> bool {
    let first = text.as_bytes().first();
    let is_string = first == Some(&b'"');
    let is_number = matches!(first, Some(b'-' | b'0'..=b'9'));
    match kind {
        Kind::Integer => is_number && is_whole(text),
        Kind::Number => is_number,
        Kind::Text => is_string,
        Kind::Boolean => matches!(first, Some(b't' | b'f')),
        Kind::Time => is_string && is_time(&content(text)),
        Kind::Id => is_string || (is_number && is_whole(text)),
        Kind::Any => true,
        Kind::OneOf(words) => is_string && words.contains(&&*content(text)),
        Kind::List(Kind::Any) => first == Some(&b'['),
        Kind::Object(_) => text == "{}",
        Kind::List(_) => text == "[]",
    }
}

fn is_whole(number: &str) -> bool {
    number.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit())
}

/// What a JSON string stands for.
fn content(text: &str) -> Cow<'_, str> {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    if inner.contains('\\') {
        serde_json::from_str(text).map_or_else(|_| Cow::Borrowed(inner), Cow::Owned)
    } else {
        Cow::Borrowed(inner)
    }
}

/// Whether `text` is an RFC 3339 time. It is passed on as it is written, so
/// nothing that only a lenient parser reads may pass; and a receiver's "never"
/// (`9999-12-31T23:59:59Z`) must, though it is no moment that we could compute
/// with.
fn is_time(text: &str) -> bool {
    let Some((civil, rest)) = text.split_at_checked(19) else { return false };
    let in_form = civil.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte.eq_ignore_ascii_case(&b'T'),
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    in_form && civil.parse::<DateTime>().is_ok() && is_offset(without_fraction(rest))
}

fn without_fraction(rest: &str) -> &str {
    match rest.strip_prefix('.') {
        Some(fraction) if fraction.starts_with(|c: char| c.is_ascii_digit()) => {
            fraction.trim_start_matches(|c: char| c.is_ascii_digit())
        }
        _ => rest,
    }
}

fn is_offset(text: &str) -> bool {
    match text.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            matches!((h1, h2), (b'0' | b'1', b'0'..=b'9') | (b'2', b'0'..=b'3'))
                && matches!((m1, m2), (b'0'..=b'5', b'0'..=b'9'))
        }
        _ => false,
    }
}

fn wanted(kind: Kind) -> Cow<'static, str> {
    Cow::Borrowed(match kind {
        Kind::Integer => "a number without fraction and exponent",
        Kind::Number => "a number",
        Kind::Text => "a string",
        Kind::Boolean => "a boolean",
        Kind::Time => "an RFC 3339 time with an offset, such as \"2026-11-21T19:00:00Z\"",
        Kind::Id => "an id: a string, or a number without fraction and exponent",
        Kind::Any => "anything",
        Kind::Object(_) => "an object",
        Kind::List(_) => "an array",
        Kind::OneOf(words) => {
            let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
            return Cow::Owned(format!("one of {}", quoted.join(", ")));
        }
    })
}

/// What stands there: its type where that is wrong, else itself.
fn found(kind: Kind, text: &str) -> Cow<'_, str> {
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let of_the_type = match kind {
        Kind::Integer | Kind::Id => is_number,
        Kind::Time | Kind::OneOf(_) => text.starts_with('"'),
        _ => false,
    };
    if !of_the_type {
        return Cow::Borrowed(json::kind(text));
    }
    match text.char_indices().nth(MAX_QUOTE) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
