//! Asks an issuer for its keys: its description first, which says where they are.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::config::is_safe;

/// Longest that one of the two answers may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer that is read, in bytes.
const MOST_BYTES: u64 = 512 * 1024;

/// What an issuer publishes.
#[derive(Debug)]
pub(super) struct Published {
    /// Its keys, as JWKs.
    pub(super) keys: Vec<Value>,
    /// How long they may be kept, where it says so.
    pub(super) max_age: Option<Duration>,
}

/// Fetches from one issuer. It is the operator who names it, so its address is
/// not judged as those of webhooks are.
#[derive(Clone)]
pub(super) struct Fetcher {
    agent: ureq::Agent,
    issuer: String,
}

impl Fetcher {
    pub(super) fn new(issuer: &str) -> Self {
        // Fails only where one is installed already, which serves as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let roots = ureq::tls::RootCerts::PlatformVerifier;
        let tls = ureq::tls::TlsConfig::builder().root_certs(roots).build();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            // It would lead away from what the operator named.
            .max_redirects(0)
            .tls_config(tls)
            .build();
        Self { agent: config.into(), issuer: issuer.to_owned() }
    }

    /// Fetches the keys. Blocks.
    ///
    /// # Errors
    /// In words for the operator.
    pub(super) fn fetch(&self) -> Result<Published, String> {
        let place = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let (description, _) = self.get(&place)?;
        // OpenID Connect Discovery section 4.3: or somebody else describes himself.
        if description["issuer"].as_str() != Some(&self.issuer) {
            return Err(format!(
                "{place} describes the issuer {}, not {}",
                description["issuer"], self.issuer
            ));
        }
        let place = description["jwks_uri"].as_str().unwrap_or_default();
        if !Url::parse(place).as_ref().is_ok_and(is_safe) {
            return Err(format!("jwks_uri is {place:?}, which is no https URL"));
        }
        let (mut document, max_age) = self.get(place)?;
        match document["keys"].take() {
            Value::Array(keys) => Ok(Published { keys, max_age }),
            _ => Err(format!("{place} holds no keys")),
        }
    }

    fn get(&self, place: &str) -> Result<(Value, Option<Duration>), String> {
        let explain = |error: &dyn std::fmt::Display| format!("{place}: {error}");
        let mut answer = self.agent.get(place).call().map_err(|error| explain(&error))?;
        if answer.status() != 200 {
            return Err(explain(&format_args!("answered {}", answer.status())));
        }
        let control = answer.headers().get("cache-control").and_then(|value| value.to_str().ok());
        let max_age = control.and_then(max_age);
        let read = answer.body_mut().with_config().limit(MOST_BYTES).read_to_vec();
        let bytes = read.map_err(|error| explain(&error))?;
        let document = serde_json::from_slice(&bytes).map_err(|error| explain(&error))?;
        Ok((document, max_age))
    }
}

/// The age in `Cache-Control: max-age=600`.
fn max_age(control: &str) -> Option<Duration> {
    let mut parts = control.split(',').filter_map(|part| part.trim().split_once('='));
    let (_, seconds) = parts.find(|(name, _)| name.eq_ignore_ascii_case("max-age"))?;
    Some(Duration::from_secs(seconds.trim_matches('"').parse().ok()?))
}
