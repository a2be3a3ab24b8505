//! Reads a webhook's settings from the fields of an OpenTicket-style body, which
//! comes as JSON or as a form.

use serde_json::value::RawValue;

use super::{Settings, read_settings};
use crate::fault::{Fault, Faults};
use crate::json::{Members, write_string};
use crate::wire::Dialect;

/// The name here, the name in the settings, and whether it must be given.
const FIELDS: [(&str, &str, bool); 8] = [
    ("name", "name", true),
    ("url", "url", true),
    ("resource", "resource", true),
    ("trigger", "trigger", true),
    ("retries", "retries", true),
    ("identifier", "identifier", false),
    ("triggered_by_child_resources", "triggered_by_related", false),
    ("triggered_by_related_resources", "triggered_by_related", false),
];

/// Who sends back what it was shown says nothing new with these.
const READ_ONLY: [&str; 7] =
    ["guid", "created_at", "updated_at", "deleted_at", "company_id", "nonce", "invocations"];

/// Most fields of a body: every known name twice, about.
pub const MOST_FIELDS: usize = 32;

/// The fields of a body: names, and values as JSON.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

/// How much of a webhook a body has to say.
#[derive(Debug, Clone, Copy)]
pub enum Extent<'a> {
    /// Everything, of a new one.
    New,
    /// Everything, in the place of these settings.
    Whole(&'a Settings),
    /// What is to change of these.
    Part(&'a Settings),
}

impl Fields {
    /// The fields of a JSON object.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_json(text: &str) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::new();
        let members = Members::read(text, &mut faults);
        let members = faults.finish(members)?;
        let field = |(name, value): (&str, &RawValue)| (name.to_owned(), value.get().to_owned());
        Ok(Self(members.iter().map(field).collect()))
    }

    /// The fields of a URL-encoded form, which can't be wrong. More than
    /// [`MOST_FIELDS`] are told by one, and not kept.
    #[must_use]
    pub fn from_form(body: &[u8]) -> Self {
        let mut fields = Self::default();
        for (name, value) in url::form_urlencoded::parse(body).take(MOST_FIELDS + 1) {
            fields.push(name, &value);
        }
        fields
    }

    /// Adds a field of a form.
    pub fn push(&mut self, name: impl Into<String>, value: &str) {
        self.0.push((name.into(), serde_json::Value::from(value).to_string()));
    }

    /// Whether there are more than a body may have.
    #[must_use]
    pub fn are_too_many(&self) -> bool {
        self.0.len() > MOST_FIELDS
    }

    /// The settings that the body asks for.
    ///
    /// # Errors
    /// Every fault, each with a pointer to the name that the caller used.
    pub fn settings(&self, extent: Extent<'_>) -> Result<Settings, Vec<Fault>> {
        let mut faults = Faults::new();
        let native = self.native(extent, &mut faults);
        let base = match extent {
            Extent::New => None,
            Extent::Whole(base) | Extent::Part(base) => Some(base),
        };
        match read_settings(&native, base) {
            Ok((settings, _)) => faults.finish(Some(settings)),
            Err(found) => {
                // What is missing was noted already.
                let found = found.into_iter().map(|fault| self.renamed(fault));
                let found: Vec<Fault> = found.filter(|fault| !faults.points_to(&fault.pointer)).collect();
                faults.extend(found);
                faults.finish(None)
            }
        }
    }

    /// The fields in the words of the native API.
    fn native(&self, extent: Extent<'_>, faults: &mut Faults) -> String {
        let mut object = b"{\"dialect\":".to_vec();
        write_string(&mut object, Dialect::OpenTicket.as_str());
        let mut put = |name: &str, value: &str| {
            object.push(b',');
            write_string(&mut object, name);
            object.push(b':');
            object.extend_from_slice(value.as_bytes());
        };
        let mut given: Vec<&str> = Vec::with_capacity(FIELDS.len());
        for (name, value) in &self.0 {
            let Some((_, native, required)) = FIELDS.iter().find(|(own, _, _)| own == name) else {
                if !READ_ONLY.contains(&&**name) {
                    let known = FIELDS.map(|(name, _, _)| name).join(", ");
                    faults.member(name, format_args!("is not known here; known are {known}"));
                }
                continue;
            };
            if given.contains(native) {
                faults.member(name, "is given twice");
                continue;
            }
            given.push(native);
            if *required && value == "null" {
                faults.member(name, "can't be null");
            } else {
                put(native, &plain(name, value));
            }
        }
        if !matches!(extent, Extent::Part(_)) {
            for (name, native, required) in FIELDS {
                if required && !given.contains(&native) {
                    faults.member(name, "is required");
                }
            }
        }
        if matches!(extent, Extent::Whole(_)) {
            // In the place of what was there: what is left out is not kept.
            for (native, value) in [("identifier", "null"), ("triggered_by_related", "null")] {
                if !given.contains(&native) {
                    put(native, value);
                }
            }
        }
        object.push(b'}');
        // Made of texts only.
        String::from_utf8(object).unwrap_or_default()
    }

    /// A fault under the name that the caller used.
    fn renamed(&self, fault: Fault) -> Fault {
        let native = fault.pointer.trim_start_matches('/');
        let used = |(own, other, _): &&(&str, &str, bool)| {
            *other == native && (own == other || self.0.iter().any(|(name, _)| name == own))
        };
        match FIELDS.iter().find(used) {
            Some((own, _, _)) => Fault { pointer: format!("/{own}"), ..fault },
            None => fault,
        }
    }
}

/// A value as the settings want it: forms, and clients in languages that take
/// one for the other, send numbers and booleans as texts.
fn plain(name: &str, value: &str) -> String {
    let inner = value.trim_matches('"');
    let told = match name {
        // Written anew, because a text may hold what no JSON number may: 03.
        "retries" => {
            return inner.parse::<i64>().map_or_else(|_| value.to_owned(), |number| number.to_string());
        }
        "identifier" if inner.is_empty() => "null",
        "triggered_by_child_resources" | "triggered_by_related_resources" => match inner {
            "1" | "true" | "on" | "yes" => "true",
            "0" | "false" | "off" | "no" | "" => "false",
            _ => value,
        },
        _ => value,
    };
    told.to_owned()
}
