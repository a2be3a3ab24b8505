//! The keys of an issuer, kept for as long as it says, and for longer while it
//! can't be reached.
//!
//! A token may name a key that is not known, because the issuer has a new one or
//! because somebody made the name up. So the issuer is asked at most once a
//! minute for that.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Clock;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::RwLock;

use super::fetch::{Fetcher, Published};

/// How long keys are kept where the issuer does not say, and the bounds of what
/// it may say: not so short that it is asked all the time, not so long that a
/// key which it takes back is trusted for days.
const KEPT: Duration = Duration::from_mins(10);
const LEAST: Duration = Duration::from_mins(1);
const MOST: Duration = Duration::from_hours(1);

/// How long keys are gone by at most that could not be fetched anew.
const STALE: Duration = Duration::from_hours(24);

/// How often the issuer is asked at most for a key that is not known.
const FOR_UNKNOWN: Duration = Duration::from_mins(1);

/// How often it is asked at most because its keys are too old, or not there.
const AGAIN: Duration = Duration::from_secs(10);

/// More keys than this are not kept.
const MOST_KEYS: usize = 100;

/// The keys of one issuer.
pub(in crate::api) struct Keys {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
    /// One question at a time.
    asking: tokio::sync::Mutex<Asked>,
}

#[derive(Default)]
struct Known {
    keys: Vec<Key>,
    /// When they were fetched, and how long they are kept.
    fetched: Option<(Duration, Duration)>,
}

/// When the issuer was last asked, and why.
#[derive(Default)]
struct Asked {
    for_age: Option<Duration>,
    for_unknown: Option<Duration>,
}

struct Key {
    id: Option<String>,
    kind: Kind,
    /// The only algorithm that it is for, where the issuer says so.
    only: Option<String>,
    decoding: DecodingKey,
}

/// What a key can check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer has none of this name and kind.
    Unknown,
    /// What it has is not known.
    Unavailable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Age,
    Unknown,
}

impl Keys {
    pub(super) fn new(issuer: &str, clock: Arc<dyn Clock>) -> Self {
        let (known, asking) = (RwLock::default(), tokio::sync::Mutex::default());
        Self { fetcher: Fetcher::new(issuer), clock, known, asking }
    }

    /// The key of this name for this algorithm; without a name, the only one there
    /// is for it.
    pub(super) async fn find(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, NoKey> {
        match self.age() {
            Age::Fresh => {}
            // Nobody waits for that.
            Age::Stale => drop(tokio::spawn(Arc::clone(self).ask(Why::Age))),
            Age::None => Arc::clone(self).ask(Why::Age).await,
        }
        if let Some(key) = self.known(id, algorithm) {
            return Ok(key);
        }
        if self.age() == Age::None {
            return Err(NoKey::Unavailable);
        }
        Arc::clone(self).ask(Why::Unknown).await;
        self.known(id, algorithm).ok_or(NoKey::Unknown)
    }

    fn known(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        if self.age() == Age::None {
            return None;
        }
        let known = self.known.read();
        let mut suitable = known.keys.iter().filter(|key| key.suits(id, algorithm));
        let first = suitable.next()?;
        (id.is_some() || suitable.next().is_none()).then(|| first.decoding.clone())
    }

    fn age(&self) -> Age {
        let Some((at, kept)) = self.known.read().fetched else { return Age::None };
        match self.clock.elapsed().saturating_sub(at) {
            age if age < kept => Age::Fresh,
            age if age < kept + STALE => Age::Stale,
            _ => Age::None,
        }
    }

    /// Fetches the keys before anybody needs them.
    pub(in crate::api) async fn begin(self: Arc<Self>) {
        self.ask(Why::Age).await;
    }

    /// Asks the issuer, unless it was asked for the same reason just before.
    async fn ask(self: Arc<Self>, why: Why) {
        let mut asked = self.asking.lock().await;
        let now = self.clock.elapsed();
        // Who waited here for another's question has its answer.
        if why == Why::Age && self.age() == Age::Fresh {
            return;
        }
        let (last, pause) = match why {
            Why::Age => (&mut asked.for_age, AGAIN),
            Why::Unknown => (&mut asked.for_unknown, FOR_UNKNOWN),
        };
        if last.is_some_and(|last| now.saturating_sub(last) < pause) {
            return;
        }
        *last = Some(now);
        let fetcher = self.fetcher.clone();
        match tokio::task::spawn_blocking(move || fetcher.fetch()).await {
            Ok(Ok(published)) => self.keep(&published, now),
            Ok(Err(error)) => {
                tracing::warn!(
                    error,
                    "the keys of the issuer can't be fetched; those that are known are kept"
                );
            }
            Err(error) => tracing::error!(%error, "fetching the keys of the issuer failed"),
        }
    }

    fn keep(&self, published: &Published, now: Duration) {
        let keys: Vec<Key> = published.keys.iter().filter_map(Key::read).take(MOST_KEYS).collect();
        if keys.is_empty() {
            tracing::warn!("the issuer publishes no key that a token could be checked with");
        }
        let kept = published.max_age.map_or(KEPT, |age| age.clamp(LEAST, MOST));
        *self.known.write() = Known { keys, fetched: Some((now, kept)) };
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    Fresh,
    Stale,
    /// There are none, or they are too old.
    None,
}

impl Key {
    /// A key that signatures can be checked with; what is none is passed over.
    fn read(value: &serde_json::Value) -> Option<Self> {
        let only = value["alg"].as_str().map(str::to_owned);
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        let kind = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Kind::Rsa,
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => Kind::P256,
                EllipticCurve::P384 => Kind::P384,
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Kind::Ed25519,
            // Secrets, among others: what is published is none.
            _ => return None,
        };
        if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
            return None;
        }
        let operations = jwk.common.key_operations.as_ref();
        if operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
            return None;
        }
        Some(Self { id: jwk.common.key_id.clone(), kind, only, decoding: DecodingKey::from_jwk(&jwk).ok()? })
    }

    fn suits(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::ES256 => Kind::P256,
            Algorithm::ES384 => Kind::P384,
            Algorithm::EdDSA => Kind::Ed25519,
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => return false,
            _ => Kind::Rsa,
        };
        self.kind == kind
            && id.is_none_or(|id| self.id.as_deref() == Some(id))
            && self.only.as_ref().is_none_or(|only| *only == format!("{algorithm:?}"))
    }
}
