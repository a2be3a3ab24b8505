//! Reading JSON objects member by member without copying what is only passed
//! on.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::fault::Faults;

/// How deep a document may nest: far below what any parser on the way to a
/// receiver would refuse.
pub const MAX_DEPTH: usize = 64;

/// So many members are compared with each other faster than they are sorted.
const FEW: usize = 16;

/// The members of an object, in their order, values unread.
#[derive(Debug)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(map.size_hint().unwrap_or(10));
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A member name, borrowed unless it holds escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

impl<'a> Members<'a> {
    /// The members of an empty object.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads an object; a fault says what stands there instead.
    pub fn read(text: &'a str, faults: &mut Faults) -> Option<Self> {
        match serde_json::from_str::<Self>(text) {
            Ok(members) => Some(members),
            Err(error) if error.is_data() => {
                faults.here(format_args!("must be an object, not {}", kind(text)));
                None
            }
            Err(error) => {
                faults.here(format_args!("is not valid JSON: {error}"));
                None
            }
        }
    }

    /// Notes every member that is not among `known`, and every repeated one.
    pub fn refuse_unknown(&self, known: &[&str], faults: &mut Faults) {
        for (name, _) in &self.0 {
            if !known.contains(&&**name) {
                faults.member(name, format_args!("is not known here; known are {}", known.join(", ")));
            }
        }
        self.refuse_repeated(faults);
    }

    /// Notes every repeated member.
    pub fn refuse_repeated(&self, faults: &mut Faults) {
        // Of a few, each is compared with those before it, which takes no memory.
        let repeated = |index: usize| self.0[..index].iter().any(|(name, _)| *name == self.0[index].0);
        if self.0.len() <= FEW && !(0..self.0.len()).any(repeated) {
            return;
        }
        // Sorted, because comparing each with each is slow for a hostile many.
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        let mut earlier = None;
        for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
            if earlier.replace(pair[0]) != Some(pair[0]) {
                faults.member(pair[0], "is given twice");
            }
        }
    }

    /// The member `name`, unless it is missing or null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| *value).filter(|raw| raw.get() != "null")
    }

    /// Whether the object in `text` has a member `name` that is not null.
    #[must_use]
    pub fn has(text: &'a str, name: &str) -> bool {
        Self::read(text, &mut Faults::new()).is_some_and(|members| members.get(name).is_some())
    }

    /// Reads the string member `name`; missing and null are `None`.
    pub fn string(&self, name: &str, faults: &mut Faults) -> Option<String> {
        faults.within(name, |faults| read_string(self.get(name)?, faults))
    }

    /// A string that a column of a database may hold: without U+0000, which not each of
    /// them keeps in a text.
    pub fn column_text(&self, name: &str, faults: &mut Faults) -> Option<String> {
        let text = self.string(name, faults)?;
        if text.contains('\0') {
            faults.member(name, "may not contain the character U+0000");
            return None;
        }
        Some(text)
    }

    /// The members in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }
}

/// Reads a string; a fault says what stands there instead.
pub fn read_string(raw: &RawValue, faults: &mut Faults) -> Option<String> {
    if let Some(text) = plain_string(raw.get()) {
        return Some(text.to_owned());
    }
    match serde_json::from_str(raw.get()) {
        Ok(text) => Some(text),
        Err(_) if raw.get().starts_with('"') => {
            faults.here("holds an escape that stands for no character");
            None
        }
        Err(_) => {
            faults.here(format_args!("must be a string, not {}", kind(raw.get())));
            None
        }
    }
}

/// What stands between the quotes of valid JSON that is a string without escapes, as
/// nearly all strings are.
fn plain_string(text: &str) -> Option<&str> {
    let text = text.strip_prefix('"')?.strip_suffix('"')?;
    (!text.as_bytes().contains(&b'\\')).then_some(text)
}

/// Checks that `raw` is an object that can be read again by any parser: no
/// deeper than [`MAX_DEPTH`], every escape a character.
pub fn check_object(raw: &RawValue, faults: &mut Faults) {
    let text = raw.get();
    if !text.starts_with('{') {
        faults.here(format_args!("must be an object, not {}", kind(text)));
    } else if depth(text) > MAX_DEPTH {
        faults.here(format_args!("nests deeper than {MAX_DEPTH} levels"));
    } else if may_hold_surrogates(text) && serde_json::from_str::<serde_json::Value>(text).is_err() {
        faults.here("holds an escape that stands for no character");
    }
}

/// What kind of value `text` starts, for messages.
#[must_use]
pub fn kind(text: &str) -> &'static str {
    match text.trim_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "nothing",
    }
}

/// How deep valid JSON nests.
fn depth(text: &str) -> usize {
    let (mut level, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                level += 1;
                deepest = deepest.max(level);
            }
            b'}' | b']' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether an escaped UTF-16 surrogate, paired or not, may stand in `text`.
fn may_hold_surrogates(text: &str) -> bool {
    text.contains("\\ud") || text.contains("\\uD")
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string into a Vec can't fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert_eq!(depth("{}"), 1);
        assert_eq!(depth(r#"{"a[[[":["\"[",{"b":[]}]}"#), 4);
        assert_eq!(depth("[]"), 1);
        assert_eq!(depth("[[],{},[{}]]"), 3);
    }

    #[test]
    fn lone_surrogates_are_refused_and_pairs_are_not() {
        for (text, count) in
            [(r#"{"a":"\ud83c\udfab"}"#, 0), (r#"{"a":"\ud800"}"#, 1), (r#"{"a":"\\ud800"}"#, 0)]
        {
            let raw: Box<RawValue> = serde_json::from_str(text).expect("valid JSON");
            let mut faults = Faults::new();
            check_object(&raw, &mut faults);
            assert_eq!(faults.count(), count, "{text}");
        }
    }

    fn told<T>(read: impl FnOnce(&mut Faults) -> T) -> String {
        let mut faults = Faults::new();
        let _ = read(&mut faults);
        faults.finish(None::<()>).expect_err("a fault").remove(0).detail
    }

    #[test]
    fn a_fault_says_what_stands_there_instead() {
        for (text, kind) in [
            ("[1]", "an array"),
            ("\"a\"", "a string"),
            ("true", "a boolean"),
            ("false", "a boolean"),
            ("null", "null"),
            ("-1", "a number"),
            ("20", "a number"),
        ] {
            let expected = format!("must be an object, not {kind}");
            assert_eq!(told(|faults| Members::read(text, faults)), expected);
            let raw: Box<RawValue> = serde_json::from_str(text).expect("valid JSON");
            assert_eq!(told(|faults| check_object(&raw, faults)), expected);
        }
        for text in ["", "{", "{\"a\":}", "{} {}"] {
            assert!(told(|faults| Members::read(text, faults)).starts_with("is not valid JSON: "), "{text}");
        }
        let raw = |text: &str| serde_json::from_str::<Box<RawValue>>(text).expect("valid JSON");
        assert_eq!(told(|faults| read_string(&raw("{}"), faults)), "must be a string, not an object");
        let lone = "holds an escape that stands for no character";
        assert_eq!(told(|faults| read_string(&raw(r#""\ud800""#), faults)), lone);
    }

    #[test]
    fn an_object_may_nest_as_deep_as_is_said() {
        let count = |levels: usize| {
            let text = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
            let mut faults = Faults::new();
            check_object(&serde_json::from_str::<Box<RawValue>>(&text).expect("valid JSON"), &mut faults);
            faults.count()
        };
        assert_eq!((count(MAX_DEPTH), count(MAX_DEPTH + 1)), (0, 1));
    }

    proptest! {
        #[test]
        fn every_repeated_member_is_named_once_of_few_and_of_many(
            numbers in prop::collection::vec(0..30_u16, 0..2 * FEW),
        ) {
            let members: Vec<String> = numbers.iter().map(|number| format!("\"m{number}\":1")).collect();
            let text = format!("{{{}}}", members.join(","));
            let mut faults = Faults::new();
            Members::read(&text, &mut faults).expect("an object").refuse_repeated(&mut faults);
            let mut repeated: Vec<String> = (0..30)
                .filter(|number| numbers.iter().filter(|other| *other == number).count() > 1)
                .map(|number| format!("/m{number}"))
                .collect();
            repeated.sort_unstable();
            let found = faults.finish(None::<()>).expect_err("faults");
            prop_assert_eq!(found.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>(), repeated);
        }

        #[test]
        fn a_string_is_read_as_any_parser_reads_it(
            text in any::<String>(),
            escaped in r#"(\\u[0-9a-f]{4}|\\[nt"/\\]|[a-z"]){0,6}"#,
        ) {
            let plain = serde_json::to_string(&text).expect("a string");
            for json in [plain, format!("\"{escaped}\"")] {
                let Ok(raw) = serde_json::from_str::<&RawValue>(&json) else { continue };
                let expected = serde_json::from_str::<String>(&json).ok();
                prop_assert_eq!(read_string(raw, &mut Faults::new()), expected);
            }
        }

        #[test]
        fn reading_members_never_panics(text in ".{0,200}") {
            let mut faults = Faults::new();
            let members = Members::read(&text, &mut faults);
            prop_assert_eq!(members.is_none(), faults.count() == 1);
        }
    }
}
