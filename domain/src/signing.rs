//! Signatures of deliveries, by Standard Webhooks 1.0.0: `v1,` is
//! HMAC-SHA256, `v1a,` is ed25519, both over `id.timestamp.body`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, Verifier as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::Rng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::clock::Timestamp;
use crate::id::EventId;

/// How deliveries of a webhook are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// A shared secret, `v1`.
    #[default]
    Hmac,
    /// A private key of ours and a public key for the receiver, `v1a`.
    Ed25519,
}

/// A signing secret: 32 random bytes. Its text form is `whsec_` (HMAC) or
/// `whsk_` (ed25519 seed) and the bytes in base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    scheme: Scheme,
    bytes: [u8; 32],
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?}, ***)", self.scheme)
    }
}

/// The text is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be \"whsec_\" or \"whsk_\" and 32 bytes in base64")]
pub struct InvalidSecret;

impl Secret {
    /// A fresh secret.
    pub fn generate(scheme: Scheme, rng: &mut dyn Rng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self { scheme, bytes }
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// When the prefix or the length is wrong, or it is not base64.
    pub fn from_text(text: &str) -> Result<Self, InvalidSecret> {
        let (scheme, encoded) = if let Some(encoded) = text.strip_prefix("whsec_") {
            (Scheme::Hmac, encoded)
        } else {
            (Scheme::Ed25519, text.strip_prefix("whsk_").ok_or(InvalidSecret)?)
        };
        let bytes = BASE64.decode(encoded).map_err(|_| InvalidSecret)?;
        Ok(Self { scheme, bytes: bytes.try_into().map_err(|_| InvalidSecret)? })
    }

    /// The text form, private for both schemes.
    #[must_use]
    pub fn to_text(&self) -> String {
        let prefix = match self.scheme {
            Scheme::Hmac => "whsec_",
            Scheme::Ed25519 => "whsk_",
        };
        format!("{prefix}{}", BASE64.encode(self.bytes))
    }

    /// What the receiver needs to verify: the secret itself, or for ed25519
    /// the public key (`whpk_`).
    #[must_use]
    pub fn verifier_text(&self) -> String {
        match self.scheme {
            Scheme::Hmac => self.to_text(),
            Scheme::Ed25519 => {
                let public = ed25519_dalek::SigningKey::from_bytes(&self.bytes).verifying_key();
                format!("whpk_{}", BASE64.encode(public.as_bytes()))
            }
        }
    }

    /// Which scheme it signs with.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }
}

/// A secret made ready: the key schedule is computed once, not per delivery.
enum Key {
    Hmac(Box<Hmac<Sha256>>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// Signs with every secret that is valid: more than one while a rotation
/// overlaps.
pub struct Signatures {
    keys: Vec<Key>,
}

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signatures({} keys)", self.keys.len())
    }
}

impl Signatures {
    /// Makes `secrets` ready, the newest first.
    #[must_use]
    pub fn new(secrets: &[Secret]) -> Self {
        let key = |secret: &Secret| match secret.scheme {
            Scheme::Hmac => {
                // HMAC takes a key of any length; a fixed one can't be refused.
                Hmac::new_from_slice(&secret.bytes).ok().map(|mac| Key::Hmac(Box::new(mac)))
            }
            Scheme::Ed25519 => {
                Some(Key::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&secret.bytes))))
            }
        };
        Self { keys: secrets.iter().filter_map(key).collect() }
    }

    /// The value of `webhook-signature`: one signature a key, space-delimited.
    #[must_use]
    pub fn sign(&self, id: &EventId, at: Timestamp, body: &[u8]) -> String {
        let head = format!("{id}.{}.", at.as_second());
        let mut header = String::with_capacity(self.keys.len() * 92);
        for key in &self.keys {
            if !header.is_empty() {
                header.push(' ');
            }
            match key {
                Key::Hmac(ready) => {
                    let mut mac = ready.clone();
                    mac.update(head.as_bytes());
                    mac.update(body);
                    header.push_str("v1,");
                    BASE64.encode_string(mac.finalize().into_bytes(), &mut header);
                }
                Key::Ed25519(ready) => {
                    let message = [head.as_bytes(), body].concat();
                    header.push_str("v1a,");
                    BASE64.encode_string(ready.sign(&message).to_bytes(), &mut header);
                }
            }
        }
        header
    }
}

/// Whether one of the signatures in `header` is an ed25519 signature by the key
/// `public` (`whpk_`): what a receiver does.
#[must_use]
pub fn verify_ed25519(public: &str, id: &EventId, at: Timestamp, body: &[u8], header: &str) -> bool {
    let decode = |text: &str, prefix| BASE64.decode(text.strip_prefix(prefix)?).ok();
    let key = decode(public, "whpk_").and_then(|bytes| bytes.try_into().ok());
    let Some(key) = key.and_then(|bytes| ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok()) else {
        return false;
    };
    let message = [format!("{id}.{}.", at.as_second()).as_bytes(), body].concat();
    header.split(' ').any(|signature| {
        let bytes = decode(signature, "v1a,").and_then(|bytes| bytes.try_into().ok());
        bytes.is_some_and(|bytes| key.verify(&message, &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn secret(scheme: Scheme, seed: u64) -> Secret {
        Secret::generate(scheme, &mut StdRng::seed_from_u64(seed))
    }

    /// The example of the specification's reference implementations.
    #[test]
    fn the_published_example_is_met() {
        let bytes = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let mac: Hmac<Sha256> = Hmac::new_from_slice(&bytes).expect("any length");
        let signatures = Signatures { keys: vec![Key::Hmac(Box::new(mac))] };
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek".parse().expect("an id");
        let at = Timestamp::from_second(1_614_265_330).expect("a time");
        assert_eq!(
            signatures.sign(&id, at, br#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let secret = secret(Scheme::Hmac, 1);
        assert_eq!(format!("{secret:?}"), "Secret(Hmac, ***)");
    }

    #[test]
    fn malformed_secrets_are_refused() {
        for bad in ["", "whsec_", "whsec_AAAA", "whsec_%%%", "whpk_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
        {
            assert_eq!(Secret::from_text(bad), Err(InvalidSecret), "{bad:?}");
        }
    }

    #[test]
    fn tiny_bodies_are_signed_as_any_other() {
        let secret = secret(Scheme::Hmac, 1);
        let oracle = standardwebhooks::Webhook::new(&secret.to_text()).expect("a secret");
        let id: EventId = "e-1".parse().expect("an id");
        let at = Timestamp::from_second(1_700_000_000).expect("a time");
        for body in ["", "0", "{}", "\"\"", "[]", "nul", "null", "\n", " {} "] {
            let header = Signatures::new(std::slice::from_ref(&secret)).sign(&id, at, body.as_bytes());
            let expected = oracle.sign(id.as_str(), at.as_second(), body.as_bytes()).expect("a signature");
            assert_eq!(header, expected, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn another_implementation_verifies_every_signature(
            seed: u64, id in "[A-Za-z0-9_-]{1,64}", body in "\\PC{0,200}",
        ) {
            let (new, old) = (secret(Scheme::Hmac, seed), secret(Scheme::Hmac, seed.wrapping_add(1)));
            let id: EventId = id.parse().expect("an id");
            let at = Timestamp::from_second(1_700_000_000).expect("a time");
            let header = Signatures::new(&[new.clone(), old.clone()]).sign(&id, at, body.as_bytes());
            for secret in [new, old] {
                prop_assert_eq!(Secret::from_text(&secret.to_text()), Ok(secret.clone()));
                let oracle = standardwebhooks::Webhook::new(&secret.to_text()).expect("a secret");
                let expected = oracle.sign(id.as_str(), at.as_second(), body.as_bytes()).expect("a signature");
                prop_assert!(header.split(' ').any(|signature| signature == expected));
            }
        }

        #[test]
        fn ed25519_signatures_verify(seed: u64, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let secret = secret(Scheme::Ed25519, seed);
            let id: EventId = "e-1".parse().expect("an id");
            let at = Timestamp::from_second(1_700_000_000).expect("a time");
            let header = Signatures::new(std::slice::from_ref(&secret)).sign(&id, at, &body);
            let public = secret.verifier_text();
            prop_assert!(verify_ed25519(&public, &id, at, &body, &header));
            prop_assert!(!verify_ed25519(&public, &id, at, b"another body", &header) || body == b"another body");
        }
    }
}
