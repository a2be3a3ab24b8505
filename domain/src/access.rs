//! Who may do what: tenants, OAuth2 clients and scopes.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::clock::Timestamp;
use crate::id::{ClientId, TenantId, TenantKey};

pub mod token_request;

/// Whose data it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its row.
    pub key: TenantKey,
    /// Its public id.
    pub id: TenantId,
    /// What people call it.
    pub name: String,
    /// How long its events and attempts are kept; `None` for the setting's value.
    pub retention_seconds: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// See webhooks, deliveries and statistics.
    ReadWebhooks,
    /// Create, change, try and delete webhooks; retry and cancel deliveries.
    WriteWebhooks,
    /// See events.
    ReadEvents,
    /// Publish events.
    WriteEvents,
    /// Make clients of the tenant.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] =
        [Self::ReadWebhooks, Self::WriteWebhooks, Self::ReadEvents, Self::WriteEvents, Self::Admin];

    /// The name used in tokens and requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadWebhooks => "read:webhooks",
            Self::WriteWebhooks => "write:webhooks",
            Self::ReadEvents => "read:events",
            Self::WriteEvents => "write:events",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes; its text form is space-delimited (RFC 6749 section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope there is.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether `scope` is among them.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether every one of these is among `others`.
    #[must_use]
    pub const fn is_subset(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn intersection(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

/// The text holds a word that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no scope; scopes are {}", Scopes::all())]
pub struct UnknownScope {
    /// The word.
    pub word: String,
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let scope = |word: &str| {
            Scope::ALL
                .into_iter()
                .find(|scope| scope.as_str() == word)
                .ok_or_else(|| UnknownScope { word: word.to_owned() })
        };
        text.split_ascii_whitespace().map(scope).collect()
    }
}

impl Serialize for Scopes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Scope::as_str))
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<String>::deserialize(deserializer)?.join(" ").parse().map_err(serde::de::Error::custom)
    }
}

/// A program that acts for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its public id.
    pub id: ClientId,
    /// Whose it is.
    pub tenant: TenantKey,
    /// What people call it.
    pub name: String,
    /// SHA-256 of its secret.
    pub secret_digest: [u8; 32],
    /// The most that its tokens may do.
    pub scopes: Scopes,
    /// Whether it gets tokens, and whether those it has are obeyed.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last got a token, give or take a minute.
    pub last_used_at: Option<Timestamp>,
}

impl Client {
    /// Whether `secret` is this client's, compared in constant time.
    #[must_use]
    pub fn knows(&self, secret: &str) -> bool {
        digest(secret).ct_eq(&self.secret_digest).into()
    }
}

/// SHA-256 of a text. Of a random secret it is what is stored instead: no slow
/// hash is needed, because 32 random bytes can't be guessed.
#[must_use]
pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// 32 random bytes as URL-safe base64 behind `prefix`, which tells secret
/// scanners whose it is.
pub fn random_token(prefix: &str, rng: &mut dyn Rng) -> String {
    use base64::Engine as _;
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    format!("{prefix}{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn scopes_survive_the_round_trip() {
        let text = "read:webhooks write:events";
        let scopes: Scopes = text.parse().expect("scopes");
        assert_eq!(scopes.to_string(), text);
        assert!(scopes.contains(Scope::WriteEvents) && !scopes.contains(Scope::Admin));
        assert!(scopes.is_subset(Scopes::all()) && !Scopes::all().is_subset(scopes));
        assert!("read:webhooks root".parse::<Scopes>().is_err());
        assert!("".parse::<Scopes>().is_ok_and(Scopes::is_empty));
    }

    #[test]
    fn scopes_are_a_set() {
        let scopes = |text: &str| text.parse::<Scopes>().expect("scopes");
        assert_eq!(scopes("admin read:events admin"), scopes("read:events admin"));
        let (one, two) = (scopes("read:webhooks read:events"), scopes("read:events admin"));
        assert_eq!(one.intersection(two), scopes("read:events"));
        assert!(!one.is_empty() && one.intersection(scopes("admin")).is_empty());
    }

    #[test]
    fn scopes_are_an_array_in_json() {
        let scopes: Scopes = serde_json::from_str(r#"["admin","read:events"]"#).expect("scopes");
        assert_eq!(serde_json::to_string(&scopes).expect("JSON"), r#"["read:events","admin"]"#);
        assert!(serde_json::from_str::<Scopes>(r#"["root"]"#).is_err());
    }

    #[test]
    fn a_client_knows_its_secret_and_no_other() {
        let client = Client {
            id: "c".parse().expect("an id"),
            tenant: TenantKey(1),
            name: "Shop".to_owned(),
            secret_digest: digest("secret"),
            scopes: Scopes::all(),
            enabled: true,
            created_at: Timestamp::UNIX_EPOCH,
            last_used_at: None,
        };
        assert!(client.knows("secret"));
        assert!(!client.knows("secreT") && !client.knows(""));
    }

    #[test]
    fn tokens_are_a_prefix_and_32_bytes_of_chance_that_urls_may_hold() {
        let mut rng = StdRng::seed_from_u64(1);
        let tokens: std::collections::HashSet<_> = (0..100).map(|_| random_token("cb_", &mut rng)).collect();
        assert_eq!(tokens.len(), 100);
        for token in tokens {
            assert!(token.starts_with("cb_") && token.len() == 3 + 43, "{token}");
            assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{token}");
        }
    }
}
