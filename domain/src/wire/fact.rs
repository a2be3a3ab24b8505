//! A stored native body, taken apart for the dialects that tell it anew.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Unrenderable;
use crate::delivery::StoredEvent;
use crate::event::tells_status;
use crate::event_type::EventType;
use crate::fault::Faults;
use crate::json::Members;
use crate::resource::Resource;
use crate::trigger::Trigger;

/// The members of a native body that dialects tell, as they were written.
#[derive(Deserialize)]
pub(super) struct Fact<'a> {
    #[serde(borrow)]
    pub(super) timestamp: &'a RawValue,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
    #[serde(borrow)]
    pub(super) subject: Named<'a>,
    #[serde(borrow)]
    related: &'a RawValue,
    #[serde(borrow)]
    pub(super) actor: Option<Named<'a>>,
    #[serde(borrow)]
    pub(super) action: &'a RawValue,
    #[serde(borrow)]
    pub(super) changes: &'a RawValue,
}

/// Something with an id and perhaps a name.
#[derive(Deserialize)]
pub(super) struct Named<'a> {
    #[serde(borrow)]
    pub(super) id: &'a RawValue,
    #[serde(borrow)]
    pub(super) name: &'a RawValue,
}

impl<'a> Fact<'a> {
    pub(super) fn read(event: &'a StoredEvent) -> Result<Self, Unrenderable> {
        serde_json::from_slice(&event.body)
            .map_err(|error| Unrenderable(format!("the stored body can't be read: {error}")))
    }

    /// The id of what it happened to, as platforms with numbered things write it.
    pub(super) fn subject_id(&self) -> String {
        number_or_text(self.subject.id.get())
    }

    /// The first related id of this kind, written like [`Self::subject_id`].
    pub(super) fn related_id(&self, resource: Resource) -> Option<String> {
        let related = members(self.related)?;
        let ids: Vec<&RawValue> = serde_json::from_str(related.get(resource.as_str())?.get()).ok()?;
        ids.first().map(|id| number_or_text(id.get()))
    }

    /// Whether an order says how it stands: some receivers hear only of those.
    pub(super) fn tells_status(&self) -> bool {
        [self.data, self.changes].into_iter().any(|raw| tells_status(raw.get()))
    }
}

/// What happened to what, where dialects other than the native one know it;
/// `None` for a ping.
pub(super) fn happening(event: &StoredEvent) -> Result<Option<(Resource, Trigger)>, Unrenderable> {
    match EventType::from_stored(&event.type_name) {
        Ok(EventType::Known(resource, trigger)) => Ok(Some((resource, trigger))),
        Ok(EventType::Operational(crate::event_type::Operational::WebhookPing)) => Ok(None),
        _ => Err(Unrenderable(format!("{} is told natively only", event.type_name))),
    }
}

/// The members of an object; `None` for anything else.
pub(super) fn members(raw: &RawValue) -> Option<Members<'_>> {
    raw.get().starts_with('{').then(|| Members::read(raw.get(), &mut Faults::new())).flatten()
}

/// A JSON string that holds a whole number, as that number; any other as it is.
/// Ids are strings in Callboard, and numbers to receivers whose platform
/// numbers its things.
fn number_or_text(text: &str) -> String {
    let inner = text.trim_matches('"');
    let is_number = inner.len() <= 18
        && inner.bytes().all(|byte| byte.is_ascii_digit())
        && (inner == "0" || !inner.starts_with('0'))
        && !inner.is_empty();
    if is_number { inner.to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_whole_numbers_become_numbers() {
        for (text, told) in [
            (r#""9917""#, "9917"),
            (r#""0""#, "0"),
            (r#""007""#, r#""007""#),
            (r#""""#, r#""""#),
            (r#""-1""#, r#""-1""#),
            (r#""1.0""#, r#""1.0""#),
            (r#""1234567890123456789""#, r#""1234567890123456789""#),
            (r#""a\"1""#, r#""a\"1""#),
        ] {
            assert_eq!(number_or_text(text), told);
        }
    }
}
