//! Numbers made of several things: the webhooks of an event in one value, and
//! the chain of a webhook and a subject.

use callboard_domain::id::WebhookKey;
use sha2::{Digest as _, Sha256};

use super::Corrupt;

/// The first eight bytes of SHA-256: stable, and nobody can aim at collisions
/// cheaply enough for them to matter, since rows are verified.
pub(crate) fn hash64(parts: &[&[u8]]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    digest.first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
}

/// The chain of a webhook and a subject. Another pair of the same number would
/// only wait for this one too.
pub(crate) fn chain(webhook: WebhookKey, subject: &str) -> i64 {
    let chain = hash64(&[&webhook.0.to_be_bytes(), subject.as_bytes()]).cast_signed();
    if chain == 0 { 1 } else { chain }
}

/// The webhook of each delivery of an event, four bytes each, little-endian.
pub(crate) fn pack(webhooks: impl IntoIterator<Item = WebhookKey>) -> Result<Vec<u8>, Corrupt> {
    let mut packed = Vec::new();
    for webhook in webhooks {
        packed.extend_from_slice(&pack_one(webhook)?);
    }
    Ok(packed)
}

/// The webhook of a single delivery.
pub(crate) fn pack_one(webhook: WebhookKey) -> Result<[u8; 4], Corrupt> {
    let key = u32::try_from(webhook.0).map_err(|_| Corrupt(format!("{webhook:?} is out of range")))?;
    Ok(key.to_le_bytes())
}

/// The webhook of each delivery of an event, in the order of their keys.
pub(crate) fn unpack(packed: &[u8]) -> impl DoubleEndedIterator<Item = WebhookKey> + ExactSizeIterator {
    packed.as_chunks().0.iter().map(|bytes| WebhookKey(i64::from(u32::from_le_bytes(*bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_of_an_event_survive_the_round_trip() {
        let keys = [1, 700, i64::from(i32::MAX)].map(WebhookKey);
        let packed = pack(keys).expect("keys in range");
        assert!(unpack(&packed).eq(keys));
        assert!(pack([WebhookKey(1 << 32)]).is_err());
    }
}
