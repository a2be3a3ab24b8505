//! Rows of webhooks and their secrets. What is confidential is sealed and opened
//! here, at the edge: everything else has it in clear.

use callboard_domain::id::{TenantKey, WebhookId, WebhookKey};
use callboard_domain::signing::Secret;
use callboard_domain::webhook::{MASK, Settings, StoredSecret, Webhook, read_stored_settings};
use serde_json::{Map, Value};

use super::{Corrupt, status, timestamp, timestamp_option};
use crate::sealing::{KeyRing, Place};

/// Most webhooks ever: the keys are told as 32-bit numbers in one dialect.
const MOST: i64 = i32::MAX as i64;

/// The key of a new webhook, if it is one that can be told.
pub(crate) fn new_key(key: i64) -> Result<WebhookKey, Corrupt> {
    if key > MOST {
        return Err(Corrupt("there are no numbers left for webhooks".to_owned()));
    }
    Ok(WebhookKey(key))
}

/// The columns of a webhook, as they are read.
pub(crate) struct Columns {
    pub(crate) key: i64,
    pub(crate) id: [u8; 16],
    pub(crate) tenant: i64,
    pub(crate) revision: i64,
    pub(crate) settings: String,
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) status: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) failing_since: Option<i64>,
    pub(crate) nonce: Option<String>,
    pub(crate) deleted_at: Option<i64>,
}

/// The webhook that a row tells of, with its secrets.
pub(crate) fn webhook(
    columns: Columns,
    secrets: Vec<StoredSecret>,
    ring: &KeyRing,
) -> Result<Webhook, Corrupt> {
    Ok(Webhook {
        key: WebhookKey(columns.key),
        id: WebhookId::from_bytes(columns.id),
        tenant: TenantKey(columns.tenant),
        revision: columns.revision,
        settings: settings(&columns.settings, columns.sealed.as_deref(), &columns.id, ring)?,
        status: status(&columns.status)?,
        secrets,
        created_at: timestamp(columns.created_at)?,
        updated_at: timestamp(columns.updated_at)?,
        disabled_reason: columns.disabled_reason,
        failing_since: timestamp_option(columns.failing_since)?,
        nonce: columns.nonce,
        deleted_at: timestamp_option(columns.deleted_at)?,
    })
}

/// Settings of a webhook as they are stored, made before the database is asked.
pub(crate) struct StoredSettings {
    /// JSON in which masks stand for what is confidential.
    pub(crate) settings: String,
    /// What is confidential, by its place in that: JSON that is sealed. There is
    /// always something to open, so that rows can be told from those of a version
    /// that did not seal.
    pub(crate) sealed: Vec<u8>,
}

impl StoredSettings {
    pub(crate) fn of(settings: &Settings, webhook: &[u8; 16], ring: &KeyRing) -> Result<Self, Corrupt> {
        let odd = || Corrupt("settings that are no JSON".to_owned());
        let mut document = serde_json::to_value(settings.revealed()).map_err(|_| odd())?;
        let mut confidential = Map::new();
        for (pointer, text) in settings.confidential() {
            *document.pointer_mut(pointer).ok_or_else(odd)? = MASK.into();
            confidential.insert(pointer.to_owned(), text.reveal().into());
        }
        let confidential = Value::Object(confidential).to_string();
        let sealed = ring.seal(Place::Settings { webhook }, confidential.as_bytes())?;
        Ok(Self { settings: document.to_string(), sealed })
    }

    /// Settings as a version stored them that did not seal, or as one did that did.
    pub(crate) fn of_plain(text: &str, webhook: &[u8; 16], ring: &KeyRing) -> Result<Self, Corrupt> {
        Self::of(&settings(text, None, webhook, ring)?, webhook, ring)
    }
}

fn settings(
    text: &str,
    sealed: Option<&[u8]>,
    webhook: &[u8; 16],
    ring: &KeyRing,
) -> Result<Settings, Corrupt> {
    let place = Place::Settings { webhook };
    let Some(sealed) = sealed else { return read(text, webhook) };
    let odd = || Corrupt(format!("{place} don't belong to those settings"));
    let confidential = ring.open(place, sealed)?;
    let confidential: Map<String, Value> = serde_json::from_slice(&confidential).map_err(|_| odd())?;
    // Most have nothing confidential, and are read as they stand.
    if confidential.is_empty() {
        return read(text, webhook);
    }
    let mut document: Value = serde_json::from_str(text).map_err(|_| odd())?;
    for (pointer, value) in confidential {
        *document.pointer_mut(&pointer).ok_or_else(odd)? = value;
    }
    read(&document.to_string(), webhook)
}

/// Reads settings. What is wrong with them is told by its place, and not as it is.
fn read(text: &str, webhook: &[u8; 16]) -> Result<Settings, Corrupt> {
    read_stored_settings(text).map_err(|faults| {
        let places: Vec<&str> = faults.iter().map(|fault| &*fault.pointer).collect();
        let webhook = WebhookId::from_bytes(*webhook);
        Corrupt(format!("the settings of webhook {webhook}, at {}", places.join(", ")))
    })
}

/// The columns of a secret, as they are read.
pub(crate) struct SecretColumns<'a> {
    pub(crate) key: i64,
    /// The text, of a version that did not seal.
    pub(crate) value: &'a str,
    pub(crate) sealed: Option<&'a [u8]>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: Option<i64>,
}

/// The secret that a row tells of.
pub(crate) fn secret(
    webhook: &[u8; 16],
    columns: &SecretColumns<'_>,
    ring: &KeyRing,
) -> Result<StoredSecret, Corrupt> {
    let place = Place::Secret { webhook, key: columns.key };
    let odd = || Corrupt(format!("{place} is no secret"));
    let opened = columns.sealed.map(|sealed| ring.open(place, sealed)).transpose()?;
    let text = match &opened {
        Some(opened) => std::str::from_utf8(opened).map_err(|_| odd())?,
        None => columns.value,
    };
    Ok(StoredSecret {
        secret: Secret::from_text(text).map_err(|_| odd())?,
        created_at: timestamp(columns.created_at)?,
        expires_at: timestamp_option(columns.expires_at)?,
    })
}

/// Seals a signing secret for its row.
pub(crate) fn sealed_secret(
    secret: &str,
    webhook: &[u8; 16],
    key: i64,
    ring: &KeyRing,
) -> Result<Vec<u8>, Corrupt> {
    ring.seal(Place::Secret { webhook, key }, secret.as_bytes())
}

#[cfg(test)]
mod tests {
    use callboard_domain::webhook::{CONFIDENTIAL, read_settings};
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::sealing::{EncryptionKey, Keys};

    const WEBHOOK: [u8; 16] = [7; 16];

    #[test]
    fn masks_stand_for_whatever_is_confidential() {
        let text = r#"{"url": "https://example.com", "events": ["*"], "authorization_header": "Bearer sesame",
            "client_certificate": {"certificate": "CHAIN", "private_key": "KEY"}, "rate_per_second": 0.1, "ordering": "subject"}"#;
        let settings = read_settings(text, None).expect("good settings").0;
        let key = EncryptionKey::from_bytes([1; 32]);
        let keys = Keys::new(&[key], Box::new(StdRng::seed_from_u64(1)));
        let stored = StoredSettings::of(&settings, &WEBHOOK, keys.ring()).expect("stored");
        let masked: Value = serde_json::from_str(&stored.settings).expect("JSON");
        let revealed = serde_json::to_value(settings.revealed()).expect("JSON");
        assert_eq!(settings.confidential().len(), CONFIDENTIAL.len());
        for (pointer, text) in settings.confidential() {
            assert_eq!(revealed.pointer(pointer), Some(&text.reveal().into()), "{pointer}");
            assert_eq!(masked.pointer(pointer), Some(&MASK.into()), "{pointer}");
            assert!(!stored.settings.contains(text.reveal()), "{pointer}");
        }
        let read = |sealed| super::settings(&stored.settings, sealed, &WEBHOOK, keys.ring());
        assert_eq!(read(Some(&*stored.sealed)).expect("opened"), settings);
        // Without what was sealed, masks are no values.
        let text = read(None).expect_err("a refusal").0;
        assert!(text.ends_with(&format!("at {}", CONFIDENTIAL.join(", "))), "{text}");
    }
}
