//! What is asked of webhooks when some of them are looked for, and of their deliveries
//! when the last attempt is.

use std::collections::BTreeMap;

use callboard_domain::delivery::LoggedAttempt;
use callboard_domain::store::WebhookFilter;
use serde_json::value::RawValue;

use super::Corrupt;

/// A filter, made ready for looking at many webhooks.
pub(crate) struct Sought {
    text: Option<String>,
    dialect: Option<&'static str>,
    status: Option<&'static str>,
    failing: bool,
}

impl Sought {
    pub(crate) fn new(filter: &WebhookFilter) -> Self {
        Self {
            text: filter.text.as_ref().filter(|text| !text.is_empty()).map(|text| text.to_lowercase()),
            dialect: filter.dialect.map(callboard_domain::wire::Dialect::as_str),
            status: filter.status.map(callboard_domain::webhook::Status::as_str),
            failing: filter.failing,
        }
    }

    /// Whether the settings have to be read.
    pub(crate) const fn asks_for_text(&self) -> bool {
        self.text.is_some()
    }

    /// Whether columns of a webhook fit.
    pub(crate) fn fits(&self, status: &str, dialect: &str, is_failing: bool) -> bool {
        self.status.is_none_or(|wanted| wanted == status)
            && self.dialect.is_none_or(|wanted| wanted == dialect)
            && (is_failing || !self.failing)
    }

    /// Whether the name or the URL holds the text, which neither is sealed.
    pub(crate) fn fits_text(&self, settings: &str) -> Result<bool, Corrupt> {
        let Some(text) = &self.text else { return Ok(true) };
        let odd = || Corrupt("settings that have no name or no URL".to_owned());
        // Only two of many members are made texts.
        let members: BTreeMap<&str, &RawValue> = serde_json::from_str(settings).map_err(|_| odd())?;
        for member in ["name", "url"] {
            let value = members.get(member).ok_or_else(odd)?;
            let value: String = serde_json::from_str(value.get()).map_err(|_| odd())?;
            if value.to_lowercase().contains(text) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The latest of attempts that were made, by when they began, each with the key of
/// its delivery.
pub(crate) fn latest(attempts: impl IntoIterator<Item = (i64, LoggedAttempt)>) -> Option<LoggedAttempt> {
    let made = attempts.into_iter().filter(|(_, attempt)| attempt.was_made());
    made.max_by_key(|(delivery, attempt)| (attempt.started_at, *delivery)).map(|(_, attempt)| attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(settings: &str, text: &str) -> bool {
        let filter = WebhookFilter { text: Some(text.to_owned()), ..WebhookFilter::default() };
        Sought::new(&filter).fits_text(settings).expect("settings")
    }

    #[test]
    fn a_text_is_found_as_it_stands_in_whatever_case() {
        let settings = r#"{"name": "Größe 100%_\u0000\"x", "url": "https://Example.com/", "identifier": "4711",
            "headers": {"name": "nobody"}}"#;
        for text in ["GRÖSSE", "größe", "%_", "\u{0}\"X", "EXAMPLE.com", ""] {
            assert_eq!(holds(settings, text), text != "GRÖSSE", "{text}");
        }
        for text in ["1%", "4711", "nobody", "e_a", "url", "\\u0000"] {
            assert!(!holds(settings, text), "{text}");
        }
        let odd = Sought::new(&WebhookFilter { text: Some("x".to_owned()), ..WebhookFilter::default() });
        assert!(odd.fits_text(r#"{"name": 5, "url": ""}"#).is_err() && odd.fits_text("{}").is_err());
    }
}
