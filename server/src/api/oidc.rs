//! Access tokens of an OpenID issuer that the operator trusts (RFC 9068, OpenID
//! Connect Discovery).
//!
//! The algorithm has to be one of those that the settings name and to suit the
//! key, before anything else is believed: so a public key is never taken for a
//! secret, and a token without a signature for one with.

use std::str::FromStr as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use callboard_domain::access::{Scope, Scopes};
use callboard_domain::clock::{Clock, Timestamp};
use callboard_domain::id::TenantId;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

mod fetch;
mod keys;

use crate::config::Oidc;
use keys::{Keys, NoKey};

/// Longest token that is read, in bytes.
const MOST_BYTES: usize = 16 * 1024;

/// Longest subject that is taken, in bytes. U+0000 can't be kept by every database.
const MOST_OF_SUBJECT: usize = 255;

/// Reads tokens of the issuer.
pub(super) struct Issuer {
    settings: Oidc,
    name: String,
    audience: String,
    algorithms: Vec<Algorithm>,
    pub(super) keys: Arc<Keys>,
}

/// Whom a token of the issuer speaks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) id: String,
    pub(super) tenant: TenantId,
    pub(super) scopes: Scopes,
    /// Until when.
    pub(super) expires: Timestamp,
}

/// Why a token is not taken, as its bearer may know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// It is no signed token.
    #[error("it is no signed token")]
    Malformed,
    /// It is signed in a way that is not allowed.
    #[error("its algorithm is not allowed")]
    Algorithm,
    /// It is somebody else's.
    #[error("its issuer is not trusted")]
    Issuer,
    /// The issuer has no such key for it.
    #[error("its issuer has no such key")]
    UnknownKey,
    /// Its signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// It is for somebody else.
    #[error("it is for another audience")]
    Audience,
    /// It is over, or has no end.
    #[error("it has expired")]
    Expired,
    /// It is not valid yet.
    #[error("it is not valid yet")]
    NotYet,
    /// It does not say whom it speaks for.
    #[error("it names no subject")]
    NoSubject,
    /// It does not say for which tenant.
    #[error("it names no tenant")]
    NoTenant,
    /// The keys of the issuer are not known, so nobody can say.
    #[error("the keys of its issuer can't be had at the moment")]
    Unavailable,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

type Claims = Map<String, Value>;

impl Issuer {
    /// As the settings say; `None` where they name no issuer.
    pub(super) fn new(settings: &Oidc, clock: Arc<dyn Clock>) -> Option<Self> {
        let (issuer, audience) = (settings.issuer.clone()?, settings.audience.clone()?);
        let algorithms = settings.algorithms.iter().filter_map(|name| Algorithm::from_str(name).ok());
        Some(Self {
            algorithms: algorithms.collect(),
            keys: Arc::new(Keys::new(&issuer, clock)),
            settings: settings.clone(),
            name: issuer,
            audience,
        })
    }

    /// Whom `token` speaks for at `now`.
    pub(super) async fn read(&self, token: &str, now: Timestamp) -> Result<Subject, Refusal> {
        let (kid, algorithm) = self.judge_unsigned(token)?;
        let key = self.keys.find(kid.as_deref(), algorithm).await.map_err(|error| match error {
            NoKey::Unknown => Refusal::UnknownKey,
            NoKey::Unavailable => Refusal::Unavailable,
        })?;
        let mut validation = Validation::new(algorithm);
        // The library asks the machine's clock, and takes what is missing for
        // right; all of that is judged here.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation);
        self.judge(&claims.map_err(|_| Refusal::Signature)?.claims, now)
    }

    /// What can be refused before any key is looked for: so nobody else's tokens
    /// have the issuer asked for its keys.
    fn judge_unsigned(&self, token: &str) -> Result<(Option<String>, Algorithm), Refusal> {
        let mut parts = token.split('.');
        let (Some(head), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Malformed);
        };
        if token.len() > MOST_BYTES {
            return Err(Refusal::Malformed);
        }
        let head: Head = decoded(head)?;
        let algorithm = Algorithm::from_str(&head.alg).map_err(|_| Refusal::Algorithm)?;
        if !self.algorithms.contains(&algorithm) {
            return Err(Refusal::Algorithm);
        }
        // Nothing that would have to be understood is (RFC 7515 section 4.1.11).
        if head.crit.is_some() {
            return Err(Refusal::Malformed);
        }
        let claims: Claims = decoded(claims)?;
        if claims.get("iss").and_then(Value::as_str) != Some(&self.name) {
            return Err(Refusal::Issuer);
        }
        Ok((head.kid, algorithm))
    }

    /// What signed claims say.
    fn judge(&self, claims: &Claims, now: Timestamp) -> Result<Subject, Refusal> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(&self.name) {
            return Err(Refusal::Issuer);
        }
        if !texts(claims.get("aud")).any(|audience| audience == self.audience) {
            return Err(Refusal::Audience);
        }
        let leeway = i64::from(self.settings.leeway_seconds);
        let expires = claims.get("exp").and_then(seconds).ok_or(Refusal::Expired)?;
        if expires.saturating_add(leeway) <= now.as_second() {
            return Err(Refusal::Expired);
        }
        if let Some(from) = claims.get("nbf")
            && seconds(from).is_none_or(|from| from.saturating_sub(leeway) > now.as_second())
        {
            return Err(Refusal::NotYet);
        }
        let fits = |subject: &&str| (1..=MOST_OF_SUBJECT).contains(&subject.len()) && !subject.contains('\0');
        let subject = text("sub").filter(fits);
        let tenant = text(&self.settings.tenant_claim).and_then(|tenant| tenant.parse().ok());
        Ok(Subject {
            id: subject.ok_or(Refusal::NoSubject)?.to_owned(),
            tenant: tenant.ok_or(Refusal::NoTenant)?,
            scopes: self.scopes(claims.get(&self.settings.scope_claim)),
            expires: Timestamp::from_second(expires).unwrap_or(Timestamp::MAX),
        })
    }

    /// Those that are ours; the issuer has others as well.
    fn scopes(&self, claim: Option<&Value>) -> Scopes {
        let words = texts(claim).flat_map(str::split_ascii_whitespace);
        let own = words.filter_map(|word| word.strip_prefix(&*self.settings.scope_prefix));
        own.filter_map(|word| Scope::ALL.into_iter().find(|scope| scope.as_str() == word)).collect()
    }
}

fn decoded<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Refusal::Malformed)
}

/// The texts in a claim that is one or a list of them.
fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = claim.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    claim.into_iter().chain(list).filter_map(Value::as_str)
}

/// A time in seconds, which may have a fraction (RFC 7519 section 2).
fn seconds(claim: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a number out of range becomes the nearest one")]
    claim.as_f64().map(|seconds| seconds.floor() as i64)
}
