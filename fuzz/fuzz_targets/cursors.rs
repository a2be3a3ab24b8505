//! Cursors and ids: each has one text, and leads back to what it stands for.

#![no_main]

use callboard_domain::cursor::{cursor, position};
use callboard_domain::id::{ClientId, DeliveryKey, EventId, JobKey, TenantId, WebhookId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(number) = bytes.try_into().map(i64::from_le_bytes) {
        assert_eq!(position(&cursor(number)), Some(number));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(position) = position(text) {
        assert_eq!(cursor(position), text);
    }
    if let Ok(key) = text.parse::<DeliveryKey>() {
        assert!(key.0 >= 0);
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    if let Ok(key) = text.parse::<JobKey>() {
        assert!(key.0 >= 0);
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    if let Ok(id) = text.parse::<WebhookId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(WebhookId::from_bytes(*id.as_bytes()), id);
    }
    let derived = EventId::derived(text);
    assert_eq!(derived.as_str().parse(), Ok(derived.clone()));
    assert!(!derived.as_str().contains('.'));
    match text.parse::<EventId>() {
        Ok(id) => assert_eq!((id.as_str(), &id), (text, &derived)),
        Err(_) => assert_ne!(derived.as_str(), text),
    }
    if let Ok(id) = text.parse::<TenantId>() {
        assert_eq!(id.as_str(), text);
    }
    if let Ok(id) = text.parse::<ClientId>() {
        assert_eq!(id.as_str(), text);
    }
});
