//! Keys that seal: their text, and the id that sealed values name them by.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rand::Rng;
use sha2::{Digest as _, Sha256};

/// What the text of a key starts with.
const PREFIX: &str = "cbk_";

/// A key that seals secrets: 32 random bytes. Its text is `cbk_` and the bytes in
/// base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionKey([u8; 32]);

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionKey({})", self.id())
    }
}

/// What a sealed value names its key by. It follows from the key, so nobody has to
/// number keys, and tells nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The id as a sealed value has it.
    pub(crate) const fn bytes(self) -> [u8; 8] {
        self.0
    }

    /// Reads what a sealed value has.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text holds no keys, or something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// There is no key at all.
    #[error("must hold at least one key, as `callboard keys generate` makes it")]
    None,
    /// One of them is no key. It may be half a secret, and is not shown.
    #[error(
        "must be keys separated by commas or lines, and number {0} is none: each is \"cbk_\" and 43 characters, \
         as `callboard keys generate` makes it"
    )]
    At(usize),
    /// A key stands there twice.
    #[error("holds key number {0} twice")]
    Twice(usize),
}

impl EncryptionKey {
    /// A new key.
    pub fn generate(rng: &mut (dyn Rng + Send)) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The key of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its text. Whoever has it can open what the database holds.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(self.0))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest =
            Sha256::new().chain_update(b"callboard encryption key\0").chain_update(self.0).finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        KeyId(id)
    }

    /// Reads keys that are separated by commas or lines. A line that starts with `#`
    /// is a comment.
    ///
    /// # Errors
    /// When there is none, one twice, or something that is none.
    pub fn read_list(text: &str) -> Result<Vec<Self>, InvalidKeys> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let words = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty());
        let mut keys = Vec::new();
        for (index, word) in words.enumerate() {
            let bytes = word.strip_prefix(PREFIX).and_then(|encoded| BASE64.decode(encoded).ok());
            let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
            let key = bytes.map(Self).ok_or(InvalidKeys::At(index + 1))?;
            if keys.contains(&key) {
                return Err(InvalidKeys::Twice(index + 1));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(InvalidKeys::None) } else { Ok(keys) }
    }

    pub(super) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_as_text_and_their_ids_stay_what_they_are() {
        let [one, two] = [[1; 32], [2; 32]].map(EncryptionKey::from_bytes);
        let text = format!("# The new one.\n{}, \n\n {},", one.to_text(), two.to_text());
        assert_eq!(EncryptionKey::read_list(&text), Ok(vec![one.clone(), two.clone()]));
        assert_ne!(one.id(), two.id());
        // Databases hold it.
        assert_eq!(one.id().to_string(), "5e3dd0f4ca6fdef9");
    }

    #[test]
    fn what_is_no_key_is_named_by_its_place_and_not_shown() {
        let good = EncryptionKey::from_bytes([1; 32]).to_text();
        let short = &good[..good.len() - 1];
        let cases = [
            (String::new(), InvalidKeys::None),
            ("# nothing\n".to_owned(), InvalidKeys::None),
            (format!("{good},{short}"), InvalidKeys::At(2)),
            (good.replace("cbk_", "cbs_"), InvalidKeys::At(1)),
            (format!("{good}\n{good}"), InvalidKeys::Twice(2)),
        ];
        for (text, fault) in cases {
            assert_eq!(EncryptionKey::read_list(&text), Err(fault));
            assert!(!fault.to_string().contains(&short[4..]));
        }
    }
}
