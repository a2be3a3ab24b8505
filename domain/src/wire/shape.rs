//! Tells objects member by member: in the order and under the names of a
//! dialect, null where the publisher left something out.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::fact::members;
use crate::json::{self, Members};

/// A member of an object of a dialect.
pub(super) struct Member {
    /// Its canonical name in `data`.
    pub(super) from: &'static str,
    /// Its name in the dialect.
    pub(super) to: &'static str,
    /// How its value is told.
    pub(super) how: How,
}

/// How a value is told. A missing one is null in any case.
pub(super) enum How {
    /// As the publisher wrote it: numbers keep their digits, times their offset.
    AsIs,
    /// The same, with the keys within in camel case.
    CamelCase,
    /// An object of these members; anything else is null.
    Object(&'static Table),
    /// A list of such objects; anything else is null.
    List(&'static Table),
    /// By this function, which is not asked for missing values.
    By(fn(&mut Vec<u8>, &RawValue)),
}

/// An object of a dialect.
pub(super) struct Table {
    pub(super) members: &'static [Member],
    pub(super) others: Others,
}

/// What becomes of members that the dialect does not know.
#[derive(Clone, Copy)]
pub(super) enum Others {
    /// Left out: the platform's description closes its objects.
    Dropped,
    /// Told after the known ones, under their names in camel case.
    Kept,
}

/// A member that has the same name in the dialect.
pub(super) const fn same(name: &'static str, how: How) -> Member {
    Member { from: name, to: name, how }
}

/// A member that has another name in the dialect.
pub(super) const fn renamed(from: &'static str, to: &'static str, how: How) -> Member {
    Member { from, to, how }
}

/// Writes one object.
pub(super) struct Object<'o, 'm> {
    out: &'o mut Vec<u8>,
    given: &'m Members<'m>,
    told: Vec<&'static str>,
    empty: bool,
}

impl<'o, 'm> Object<'o, 'm> {
    /// Begins an object that tells what is `given`.
    pub(super) fn begin(out: &'o mut Vec<u8>, given: &'m Members<'m>) -> Self {
        out.push(b'{');
        Self { out, given, told: Vec::with_capacity(24), empty: true }
    }

    fn key(&mut self, name: &str) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        json::write_string(self.out, name);
        self.out.push(b':');
    }

    /// Tells these members, each by its rule.
    pub(super) fn tell(&mut self, members: &[Member]) -> &mut Self {
        for member in members {
            self.key(member.to);
            match self.take(member.from, member.to) {
                Some(value) => write_value(self.out, value, &member.how),
                None => self.out.extend_from_slice(b"null"),
            }
        }
        self
    }

    /// Tells the member `from` under the name `to`, the value written by
    /// `write`, which gets what is given, if anything.
    pub(super) fn tell_by(
        &mut self,
        from: &'static str,
        to: &'static str,
        write: impl FnOnce(&mut Vec<u8>, Option<&'m RawValue>),
    ) -> &mut Self {
        self.key(to);
        let given = self.take(from, to);
        write(self.out, given);
        self
    }

    /// What is given for a member, also by who publishes it under the dialect's
    /// own name; told twice it would be two members of one name.
    fn take(&mut self, from: &'static str, to: &'static str) -> Option<&'m RawValue> {
        self.told.extend([from, to]);
        self.given.get(from).or_else(|| self.given.get(to))
    }

    /// Tells the member as it is given, or else `otherwise`, or else null.
    pub(super) fn tell_or(
        &mut self,
        from: &'static str,
        to: &'static str,
        otherwise: impl FnOnce() -> Option<String>,
    ) -> &mut Self {
        self.tell_by(from, to, |out, given| match given {
            Some(value) => out.extend_from_slice(value.get().as_bytes()),
            None => out.extend_from_slice(otherwise().as_deref().unwrap_or("null").as_bytes()),
        })
    }

    /// Passes over a member that the dialect does not tell here.
    pub(super) fn leave_out(&mut self, from: &'static str) -> &mut Self {
        self.told.push(from);
        self
    }

    /// Ends the object, after whatever else is given, if it is to be kept.
    pub(super) fn end(&mut self, others: Others) {
        if matches!(others, Others::Kept) {
            let given = self.given;
            let mut kept: Vec<Cow<'_, str>> = Vec::new();
            for (name, value) in given.iter() {
                if self.told.contains(&name) {
                    continue;
                }
                let told = camel_case(name);
                // Of two names that become one, the first is told.
                if !self.told.contains(&&*told) && !kept.contains(&told) {
                    self.key(&told);
                    write_camel_case(self.out, value.get());
                    kept.push(told);
                }
            }
        }
        self.out.push(b'}');
    }
}

fn write_value(out: &mut Vec<u8>, value: &RawValue, how: &How) {
    match how {
        How::AsIs => out.extend_from_slice(value.get().as_bytes()),
        How::CamelCase => write_camel_case(out, value.get()),
        How::Object(table) => write_object(out, value, table),
        How::List(table) => write_list(out, value, |out, element| write_object(out, element, table)),
        How::By(write) => write(out, value),
    }
}

/// Writes an object by its table; null when it is none.
pub(super) fn write_object(out: &mut Vec<u8>, value: &RawValue, table: &Table) {
    match members(value) {
        Some(given) => Object::begin(out, &given).tell(table.members).end(table.others),
        None => out.extend_from_slice(b"null"),
    }
}

/// Writes a list, each element by `write`; null when it is none.
pub(super) fn write_list(out: &mut Vec<u8>, value: &RawValue, write: impl Fn(&mut Vec<u8>, &RawValue)) {
    let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
        out.extend_from_slice(b"null");
        return;
    };
    write_elements(out, elements, write);
}

/// Writes these as a list, each by `write`.
pub(super) fn write_elements(
    out: &mut Vec<u8>,
    elements: Vec<&RawValue>,
    write: impl Fn(&mut Vec<u8>, &RawValue),
) {
    out.push(b'[');
    for (index, element) in elements.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, element);
    }
    out.push(b']');
}

/// `sale_periods` as `salePeriods`. An underscore that no small letter or digit
/// follows stays, and so does one at the start.
pub(super) fn camel_case(name: &str) -> Cow<'_, str> {
    let joins = |at: usize, bytes: &[u8]| {
        at > 0
            && bytes[at] == b'_'
            && bytes.get(at + 1).is_some_and(|next| next.is_ascii_lowercase() || next.is_ascii_digit())
            && bytes[..at].iter().any(|byte| *byte != b'_')
    };
    let bytes = name.as_bytes();
    if !(0..bytes.len()).any(|at| joins(at, bytes)) {
        return Cow::Borrowed(name);
    }
    let mut told = String::with_capacity(name.len());
    let mut raise = false;
    for (at, letter) in name.char_indices() {
        if joins(at, bytes) {
            raise = true;
        } else {
            told.push(if std::mem::take(&mut raise) { letter.to_ascii_uppercase() } else { letter });
        }
    }
    Cow::Owned(told)
}

/// Copies valid JSON, with every key in camel case. Values stay as they are,
/// byte for byte.
pub(super) fn write_camel_case(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    // For each open bracket whether it is an object's.
    let mut open: Vec<bool> = Vec::new();
    let mut key_next = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let end = if byte == b'"' { end_of_string(bytes, at) } else { at + 1 };
        match byte {
            b'"' if key_next => {
                key_next = false;
                // Quotes are whole characters, so the text can be cut at them.
                let name = text.get(at + 1..end.saturating_sub(1)).unwrap_or_default();
                out.push(b'"');
                out.extend_from_slice(camel_case(name).as_bytes());
                out.push(b'"');
                at = end;
                continue;
            }
            b'{' | b'[' => {
                open.push(byte == b'{');
                key_next = byte == b'{';
            }
            b'}' | b']' => {
                open.pop();
                key_next = false;
            }
            b',' => key_next = open.last().copied().unwrap_or(false),
            _ => {}
        }
        out.extend_from_slice(&bytes[at..end]);
        at = end;
    }
}

/// The end of the string that starts at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_joined_at_their_underscores() {
        for (snake, camel) in [
            ("title", "title"),
            ("users_permission", "usersPermission"),
            ("x_large", "xLarge"),
            ("line_1_of_2", "line1Of2"),
            ("_private_thing", "_privateThing"),
            ("__a", "__a"),
            ("a_", "a_"),
            ("a_B", "a_B"),
            ("a__b", "a_B"),
            ("prix_été", "prix_été"),
        ] {
            assert_eq!(camel_case(snake), camel, "{snake}");
        }
    }

    #[test]
    fn only_keys_change() {
        let text =
            r#"{"_z":0,"a_b": ["c_d", {"e_f":"g_h\"i_j","k_l":[{"m_n":1.10}]}], "o_p" : {"q_r":null}}"#;
        let mut out = Vec::new();
        write_camel_case(&mut out, text);
        let expected = r#"{"_z":0,"aB": ["c_d", {"eF":"g_h\"i_j","kL":[{"mN":1.10}]}], "oP" : {"qR":null}}"#;
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn what_follows_a_closed_bracket_belongs_to_what_is_still_open() {
        for (text, told) in [
            (r#"{"a_b":[1],"c_d":2}"#, r#"{"aB":[1],"cD":2}"#),
            (r#"{"a_b":[{}],"c_d":[[],"e_f"]}"#, r#"{"aB":[{}],"cD":[[],"e_f"]}"#),
            (r#"[{"a_b":1},"c_d"]"#, r#"[{"aB":1},"c_d"]"#),
            (r#"[{},"a_b",{"c_d":{}}]"#, r#"[{},"a_b",{"cD":{}}]"#),
        ] {
            let mut out = Vec::new();
            write_camel_case(&mut out, text);
            assert_eq!(String::from_utf8(out).expect("text"), told);
        }
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i64>().prop_map(serde_json::Value::from),
            "\\PC{0,12}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
                proptest::collection::btree_map("[a-z]{1,4}(_[a-z]{1,4}){0,2}", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn in_snake_case(value: &serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Array(elements) => elements.iter().map(in_snake_case).collect(),
            serde_json::Value::Object(members) => members
                .iter()
                .map(|(name, value)| {
                    let back = |name: String, letter: char| {
                        if letter.is_ascii_uppercase() {
                            format!("{name}_{}", letter.to_ascii_lowercase())
                        } else {
                            format!("{name}{letter}")
                        }
                    };
                    (name.chars().fold(String::new(), back), in_snake_case(value))
                })
                .collect(),
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn camel_case_can_be_read_back(value in value()) {
            let mut out = Vec::new();
            write_camel_case(&mut out, &value.to_string());
            let told: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
            prop_assert_eq!(in_snake_case(&told), value);
        }
    }
}
