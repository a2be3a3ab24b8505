//! Access tokens: signed by this deployment, so that none has to be stored.

use callboard_domain::access::{Client, Scopes};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{ClientId, TenantKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

const ISSUER: &str = "callboard";

/// Makes and reads access tokens.
pub(super) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    /// How long a token is valid, in seconds.
    pub(super) seconds: u32,
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: ClientId,
    tenant: i64,
    scope: String,
    exp: i64,
}

/// Whom a valid token speaks for.
#[derive(Debug)]
pub(super) struct Bearer {
    pub(super) client: ClientId,
    pub(super) tenant: TenantKey,
    pub(super) scopes: Scopes,
}

impl Tokens {
    pub(super) fn new(key: &[u8], seconds: u32) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        // The library asks the machine's clock; the expiry is judged by ours.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
            seconds,
        }
    }

    /// A token for `client`, limited to `scopes`; `None` when it can't be
    /// signed.
    pub(super) fn issue(&self, client: &Client, scopes: Scopes, now: Timestamp) -> Option<String> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: client.id.clone(),
            tenant: client.tenant.0,
            scope: scopes.to_string(),
            exp: now.as_second() + i64::from(self.seconds),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).ok()
    }

    /// Whom `token` speaks for at `now`; `None` when it is not ours or expired.
    pub(super) fn read(&self, token: &str, now: Timestamp) -> Option<Bearer> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        let scopes = claims.scope.parse().ok()?;
        (claims.exp > now.as_second()).then_some(Bearer {
            client: claims.sub,
            tenant: TenantKey(claims.tenant),
            scopes,
        })
    }
}
