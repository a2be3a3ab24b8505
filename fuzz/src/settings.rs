//! What holds of the settings of a webhook, however they came.

use callboard_domain::clock::Timestamp;
use callboard_domain::id::{TenantKey, WebhookId, WebhookKey};
use callboard_domain::webhook::{Settings, Status, Webhook, read_settings};
use http::{HeaderName, HeaderValue};

/// Headers that nobody may choose; those of dialects begin so.
const OURS: [&str; 11] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const OF_DIALECTS: [&str; 3] = ["webhook-", "viagogo-", "openticket-"];

/// Sees to it that accepted settings are stored and read back as they are, that an
/// empty edit keeps them, and that no header of theirs can reframe a request.
///
/// # Panics
/// When it is not so.
pub fn hold(settings: &Settings) {
    let stored = serde_json::to_string(&settings.revealed()).expect("settings become JSON");
    let again = read_settings(&stored, None).map(|(again, _)| again);
    assert_eq!(again.as_ref(), Ok(settings), "stored as {stored}");
    let edited = read_settings("{}", Some(settings)).map(|(edited, _)| edited);
    assert_eq!(edited.as_ref(), Ok(settings), "an empty edit of {stored}");
    for (index, (name, value)) in settings.headers.iter().enumerate() {
        let lower = HeaderName::from_lowercase(name.as_bytes()).expect("a header name in lower case");
        assert!(!OURS.contains(&lower.as_str()), "{name} is ours");
        assert!(!OF_DIALECTS.iter().any(|prefix| name.starts_with(prefix)), "{name} is ours");
        assert!(!settings.headers[..index].iter().any(|(other, _)| other == name), "{name} is there twice");
        check_value(value);
    }
    if let Some(value) = &settings.authorization_header {
        check_value(value.reveal());
    }
}

fn check_value(value: &str) {
    assert!(!value.contains(['\r', '\n', '\0']), "{value:?}");
    HeaderValue::from_str(value).expect("a header value");
}

/// A webhook with these settings.
#[must_use]
pub fn webhook(settings: Settings) -> Webhook {
    Webhook {
        key: WebhookKey(17),
        id: WebhookId::from_bytes([0x5a; 16]),
        tenant: TenantKey(1),
        revision: 1,
        settings,
        status: Status::Active,
        disabled_reason: None,
        failing_since: None,
        secrets: Vec::new(),
        nonce: Some("5aK2HMgcUlDCWLuC3KWb".to_owned()),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        deleted_at: None,
    }
}
