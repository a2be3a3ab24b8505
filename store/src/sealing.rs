//! Seals what is secret before a database gets it, and opens it again.
//!
//! A sealed value is one byte of version, the id of the key in eight, a nonce of 24,
//! and what XChaCha20-Poly1305 makes of the value. The place where the value belongs,
//! with the id of its row, is authenticated with it: a value that is copied to another
//! row does not open there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use callboard_domain::store::SealingKey;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use parking_lot::Mutex;
use rand::Rng;

mod file;
mod key;

pub use file::KeyFileError;
pub use key::{EncryptionKey, InvalidKeys, KeyId};

use self::file::KeyFile;
use crate::OpenError;
use crate::rows::Corrupt;

/// The form of sealed values, as their first byte says it.
const VERSION: u8 = 1;

/// Bytes of a key's id in a sealed value. The schema knows where they stand.
const ID: usize = 8;

/// Bytes of a nonce. So many may be drawn by chance for ever.
const NONCE: usize = 24;

/// The value by which a database knows its key before anything else is sealed.
pub(crate) const CHECK: &str = "encryption_check";

/// What [`CHECK`] holds.
pub(crate) const CHECKED: &[u8] = b"callboard";

/// Rows that are sealed in one transaction.
pub(crate) const BATCH: usize = 500;

/// Where a sealed value belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// What is confidential in the settings of a webhook, by its public id.
    Settings { webhook: &'a [u8; 16] },
    /// A signing secret: its webhook, and its row.
    Secret { webhook: &'a [u8; 16], key: i64 },
    /// A value of the deployment, by its name.
    Deployment { name: &'a str },
}

impl Place<'_> {
    /// What is authenticated with a value that is sealed with `header` before it.
    fn associated(self, header: &[u8]) -> Vec<u8> {
        match self {
            Self::Settings { webhook } => [header, b"webhooks/", webhook].concat(),
            Self::Secret { webhook, key } => [header, b"secrets/", webhook, &key.to_be_bytes()].concat(),
            Self::Deployment { name } => [header, b"deployment/", name.as_bytes()].concat(),
        }
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Settings { webhook } => {
                write!(
                    f,
                    "what is confidential in the settings of webhook {}",
                    uuid::Uuid::from_bytes(**webhook)
                )
            }
            Self::Secret { webhook, key } => {
                write!(f, "signing secret {key} of webhook {}", uuid::Uuid::from_bytes(**webhook))
            }
            Self::Deployment { name } => write!(f, "the deployment's {name:?}"),
        }
    }
}

/// How many rows each key has sealed; `None` where what names it is no id.
pub(crate) type Used = BTreeMap<Option<KeyId>, i64>;

/// The keys at hand, the one that seals first, ready to be used.
pub(crate) struct KeyRing {
    keys: Vec<(KeyId, XChaCha20Poly1305)>,
    rng: Mutex<Box<dyn Rng + Send>>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl KeyRing {
    fn new(keys: &[EncryptionKey], rng: Box<dyn Rng + Send>) -> Self {
        let ready = |key: &EncryptionKey| (key.id(), XChaCha20Poly1305::new(key.bytes().into()));
        Self { keys: keys.iter().map(ready).collect(), rng: Mutex::new(rng) }
    }

    /// The ids of the keys, the one that seals first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|(id, _)| *id)
    }

    /// The key that seals.
    pub(crate) fn first(&self) -> Option<KeyId> {
        self.ids().next()
    }

    /// Seals a value for its place.
    pub(crate) fn seal(&self, place: Place<'_>, value: &[u8]) -> Result<Vec<u8>, Corrupt> {
        let failed = || Corrupt(format!("{place} can't be sealed"));
        let (id, cipher) = self.keys.first().ok_or_else(failed)?;
        let mut nonce = [0; NONCE];
        self.rng.lock().fill_bytes(&mut nonce);
        let mut sealed = Vec::with_capacity(1 + ID + NONCE + value.len() + 16);
        sealed.push(VERSION);
        sealed.extend(id.bytes());
        let associated = place.associated(&sealed);
        sealed.extend(nonce);
        let payload = Payload { msg: value, aad: &associated };
        sealed.extend(cipher.encrypt(&nonce.into(), payload).map_err(|_| failed())?);
        Ok(sealed)
    }

    /// Opens what was sealed for this place. What is wrong names the place and the
    /// key, and nothing of the value.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, Corrupt> {
        let parts = sealed.split_first_chunk::<{ 1 + ID }>().and_then(|(header, rest)| {
            let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
            Some((header, nonce, rest))
        });
        let Some((header, nonce, encrypted)) = parts.filter(|(header, ..)| header[0] == VERSION) else {
            return Err(Corrupt(format!("{place} is not sealed as this program does it")));
        };
        let id = KeyId::read(&header[1..]);
        let cipher = self.keys.iter().find(|(known, _)| Some(*known) == id).map(|(_, cipher)| cipher);
        let Some(cipher) = cipher else {
            let id = id.map_or_else(String::new, |id| id.to_string());
            return Err(Corrupt(format!(
                "{place} is sealed with the key {id}, which this program was not given"
            )));
        };
        let payload = Payload { msg: encrypted, aad: &place.associated(header) };
        cipher
            .decrypt(nonce.into(), payload)
            .map_err(|_| Corrupt(format!("{place} was changed, or comes from another row: it does not open")))
    }

    /// Opens a value and seals it with the first key.
    pub(crate) fn seal_anew(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, Corrupt> {
        self.seal(place, &self.open(place, sealed)?)
    }

    /// These keys, and all others that are used.
    pub(crate) fn listed(&self, used: &Used) -> Vec<SealingKey> {
        let rows = |id| used.get(&Some(id)).copied().unwrap_or_default().unsigned_abs();
        let at_hand = self.ids().map(|id| SealingKey {
            id: id.to_string(),
            at_hand: true,
            seals: Some(id) == self.first(),
            rows: rows(id),
        });
        let others = used.keys().flatten().filter(|id| !self.ids().any(|known| known == **id));
        let others =
            others.map(|id| SealingKey { id: id.to_string(), at_hand: false, seals: false, rows: rows(*id) });
        at_hand.chain(others).collect()
    }

    /// Refuses a database in which something is sealed with another key.
    pub(crate) fn knows_all(&self, used: impl IntoIterator<Item = Option<KeyId>>) -> Result<(), OpenError> {
        let missing: Vec<Option<KeyId>> =
            used.into_iter().filter(|id| !id.is_some_and(|id| self.ids().any(|known| known == id))).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let name =
            |id: &Option<KeyId>| id.map_or_else(|| "of an unknown kind".to_owned(), |id| id.to_string());
        Err(OpenError::MissingKey { missing: missing.iter().map(name).collect::<Vec<_>>().join(", ") })
    }
}

/// The keys that a database is opened with.
#[derive(Debug, Clone)]
pub struct Keys {
    ring: Arc<KeyRing>,
    /// Where the only key is kept as soon as something is sealed with it.
    unsaved: Option<Arc<KeyFile>>,
}

impl Keys {
    /// These keys: the first seals, all open. Nonces are drawn from `rng`.
    #[must_use]
    pub fn new(keys: &[EncryptionKey], rng: Box<dyn Rng + Send>) -> Self {
        Self { ring: Arc::new(KeyRing::new(keys, rng)), unsaved: None }
    }

    /// The keys of a file; a new one where there is no file, which is made when a
    /// database is opened in which nothing is sealed yet.
    ///
    /// # Errors
    /// When the file can't be read, or holds no keys.
    pub fn from_file(path: &Path, mut rng: Box<dyn Rng + Send>) -> Result<Self, KeyFileError> {
        if let Some(keys) = file::read(path)? {
            return Ok(Self::new(&keys, rng));
        }
        let key = EncryptionKey::generate(&mut *rng);
        let keys = Self::new(std::slice::from_ref(&key), rng);
        Ok(Self { unsaved: Some(Arc::new(KeyFile::new(path, key))), ..keys })
    }

    /// Whether the key is a new one, which no file holds before a database is
    /// opened with it.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.unsaved.is_some()
    }

    /// The keys, ready to be used.
    pub(crate) fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// Puts a new key on disk: before anything that is sealed with it is.
    pub(crate) fn save(&self) -> Result<(), OpenError> {
        self.unsaved.as_ref().map_or(Ok(()), |file| Ok(file.save()?))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    const WEBHOOK: [u8; 16] = [7; 16];
    const PLACE: Place<'_> = Place::Secret { webhook: &WEBHOOK, key: 1 };

    fn ring(keys: &[u8]) -> KeyRing {
        let keys: Vec<EncryptionKey> =
            keys.iter().map(|byte| EncryptionKey::from_bytes([*byte; 32])).collect();
        KeyRing::new(&keys, Box::new(StdRng::seed_from_u64(1)))
    }

    fn refusal(ring: &KeyRing, place: Place<'_>, sealed: &[u8]) -> String {
        ring.open(place, sealed).expect_err("it does not open").0
    }

    #[test]
    fn a_value_opens_at_its_place_only() {
        let ring = ring(&[1]);
        let sealed = ring.seal(PLACE, b"sesame").expect("sealed");
        assert_eq!(sealed.len(), 1 + ID + NONCE + 6 + 16);
        assert_eq!(ring.open(PLACE, &sealed).expect("opened"), b"sesame");
        assert_ne!(ring.seal(PLACE, b"sesame").expect("sealed"), sealed, "each has a nonce of its own");
        let other = [8; 16];
        for elsewhere in [
            Place::Secret { webhook: &WEBHOOK, key: 2 },
            Place::Secret { webhook: &other, key: 1 },
            Place::Settings { webhook: &WEBHOOK },
            Place::Deployment { name: "token_key" },
        ] {
            let text = refusal(&ring, elsewhere, &sealed);
            assert!(text.starts_with(&elsewhere.to_string()) && text.contains("another row"), "{text}");
        }
    }

    #[test]
    fn whatever_is_changed_in_it_it_does_not_open() {
        let ring = ring(&[1]);
        let sealed = ring.seal(PLACE, b"sesame").expect("sealed");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            let text = refusal(&ring, PLACE, &changed);
            assert!(text.contains("signing secret 1 of webhook 07070707"), "{text}");
            assert!(!text.contains("sesame"), "{text}");
            refusal(&ring, PLACE, &sealed[..at]);
        }
    }

    #[test]
    fn every_key_opens_and_the_first_seals() {
        let (old, both, new) = (ring(&[1]), ring(&[2, 1]), ring(&[2]));
        let sealed = old.seal(PLACE, b"sesame").expect("sealed");
        assert_eq!(both.open(PLACE, &sealed).expect("opened"), b"sesame");
        let text = refusal(&new, PLACE, &sealed);
        assert!(text.contains(&EncryptionKey::from_bytes([1; 32]).id().to_string()), "{text}");
        let anew = both.seal_anew(PLACE, &sealed).expect("sealed");
        assert_eq!(new.open(PLACE, &anew).expect("opened"), b"sesame");
    }

    #[test]
    fn debug_output_shows_ids_only() {
        let key = EncryptionKey::from_bytes([1; 32]);
        let keys = Keys::new(std::slice::from_ref(&key), Box::new(StdRng::seed_from_u64(1)));
        let text = format!("{keys:?} {key:?}");
        assert!(text.contains(&key.id().to_string()) && !text.contains(&key.to_text()[4..]), "{text}");
    }
}
