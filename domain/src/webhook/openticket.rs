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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Resource;
    use crate::retry::Policy;
    use crate::trigger::Trigger;
    use crate::webhook::Subscription;

    const ONE: &str = r#"{"name": "One", "url": "https://one.example/", "resource": "ticket",
        "trigger": "paid", "retries": 3, "identifier": "7", "triggered_by_child_resources": true}"#;

    fn read(text: &str, extent: Extent<'_>) -> Result<Settings, Vec<Fault>> {
        Fields::from_json(text)?.settings(extent)
    }

    fn pointers(text: &str, extent: Extent<'_>) -> Vec<String> {
        read(text, extent).err().unwrap_or_default().into_iter().map(|fault| fault.pointer).collect()
    }

    fn one() -> Settings {
        read(ONE, Extent::New).expect("good settings")
    }

    #[test]
    fn a_form_says_the_same_as_json() {
        let form = b"name=One&url=https%3A%2F%2Fone.example%2F&resource=ticket&trigger=paid&retries=03\
            &identifier=7&triggered_by_related_resources=on";
        let settings = Fields::from_form(form).settings(Extent::New).expect("good settings");
        assert_eq!(settings, one());
        let pair = Subscription::OpenTicket { resource: Resource::Ticket, trigger: Trigger::Paid };
        assert_eq!((settings.subscription, settings.retry), (pair, Policy::Doubling { retries: 3 }));
        assert!(settings.triggered_by_related && settings.identifier.as_deref() == Some("7"));
    }

    #[test]
    fn forms_and_careless_clients_say_yes_no_and_nothing_in_many_words() {
        let related = |value: &str| {
            let text = format!(r#"{{"triggered_by_related_resources": {value}}}"#);
            read(&text, Extent::Part(&one())).map(|settings| settings.triggered_by_related).ok()
        };
        for yes in ["true", "1", "\"1\"", "\"true\"", "\"on\"", "\"yes\""] {
            assert_eq!(related(yes), Some(true), "{yes}");
        }
        for no in ["false", "0", "\"0\"", "\"false\"", "\"off\"", "\"no\"", "\"\"", "null"] {
            assert_eq!(related(no), Some(false), "{no}");
        }
        assert_eq!(related("\"perhaps\""), None);
        let identifier = |value: &str| {
            let text = format!(r#"{{"identifier": {value}}}"#);
            read(&text, Extent::Part(&one())).expect("a good edit").identifier
        };
        assert_eq!(
            (identifier("\"\""), identifier("null"), identifier("\"8\"")),
            (None, None, Some("8".to_owned()))
        );
    }

    #[test]
    fn what_replaces_a_webhook_keeps_nothing_and_what_edits_it_the_rest() {
        let whole = r#"{"name": "Two", "url": "https://two.example/", "resource": "order", "trigger": "scan",
            "retries": 0, "guid": "x", "nonce": "y"}"#;
        let base = one();
        let replaced = read(whole, Extent::Whole(&base)).expect("good settings");
        assert_eq!((replaced.identifier.as_ref(), replaced.triggered_by_related), (None, false));
        assert_eq!((&*replaced.name, &replaced.retry), ("Two", &Policy::Doubling { retries: 0 }));
        let kept = read(ONE, Extent::Whole(&replaced)).expect("good settings");
        assert_eq!(kept, base);
        let edited = read(r#"{"name": "Two"}"#, Extent::Part(&base)).expect("a good edit");
        assert_eq!(edited, Settings { name: "Two".to_owned(), ..base });
    }

    #[test]
    fn every_fault_is_told_once_and_by_the_name_that_was_used() {
        let base = one();
        let required = ["/name", "/url", "/resource", "/trigger", "/retries"];
        assert_eq!(pointers("{}", Extent::New), required);
        assert_eq!(pointers("{}", Extent::Whole(&base)), required);
        assert_eq!(pointers("{}", Extent::Part(&base)), [""; 0]);
        assert_eq!(pointers("[]", Extent::New), [""]);
        let part = |text: &str| pointers(text, Extent::Part(&base));
        assert_eq!(part(r#"{"triggered_by_child_resources": 5}"#), ["/triggered_by_child_resources"]);
        assert_eq!(part(r#"{"triggered_by_related_resources": 5}"#), ["/triggered_by_related_resources"]);
        let twice = r#"{"triggered_by_related_resources": 1, "triggered_by_child_resources": 1}"#;
        assert_eq!(part(twice), ["/triggered_by_child_resources"]);
        assert_eq!(part(r#"{"name": null, "events": ["*"]}"#), ["/name", "/events"]);
        assert_eq!(part(r#"{"retries": "many", "url": "x"}"#), ["/url", "/retries"]);
    }

    #[test]
    fn a_body_of_too_many_fields_is_known_and_not_kept() {
        let fields = |count: usize| Fields::from_form("name=x&".repeat(count).as_bytes());
        assert!(!fields(MOST_FIELDS).are_too_many() && fields(MOST_FIELDS + 1).are_too_many());
        assert_eq!(fields(1_000).0.len(), MOST_FIELDS + 1);
    }
}
