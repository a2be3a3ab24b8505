//! An OpenID issuer whose access tokens are taken beside our own.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// What is wrong with a setting: its name, and what would be right.
type Wrong = (&'static str, String);

/// An OpenID issuer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Its URL, as its tokens say it; no issuer is trusted without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Whom its tokens have to be for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The claim that holds the scopes, as a text or as a list.
    pub scope_claim: String,
    /// What stands before each scope of ours in it; others are passed over.
    pub scope_prefix: String,
    /// How far the issuer's clock may differ.
    pub leeway_seconds: u32,
    /// The algorithms that tokens may be signed with.
    #[serde(deserialize_with = "words")]
    pub algorithms: Vec<String>,
}

/// Those that are signed with a private key. With the others, whoever can check
/// a token could make one.
const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

impl Default for Oidc {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            tenant_claim: "tenant".to_owned(),
            scope_claim: "scope".to_owned(),
            scope_prefix: String::new(),
            leeway_seconds: 60,
            algorithms: ["RS256", "ES256", "EdDSA"].map(str::to_owned).to_vec(),
        }
    }
}

/// A list of words, as a list or as one comma-separated text.
fn words<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "must be words, as a list or separated by commas")]
    enum Words {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Words::deserialize(deserializer)? {
        Words::List(words) => words,
        Words::Text(text) => text.split(',').map(|word| word.trim().to_owned()).collect(),
    })
}

/// Whether what is fetched from this URL can't be changed on the way: it comes by
/// HTTPS, or from this machine.
pub(crate) fn is_safe(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" && url.has_host() || url.scheme() == "http" && here
}

impl Oidc {
    /// What the types can't say.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let wrong = |name, right: &str| Err((name, format!("must be {right}")));
        if self.issuer.is_some() != self.audience.is_some() {
            return wrong("oidc.audience", "given together with oidc.issuer");
        }
        if let Some(issuer) = &self.issuer {
            let good = |url: &Url| is_safe(url) && url.query().is_none() && url.fragment().is_none();
            if !Url::parse(issuer).ok().as_ref().is_some_and(good) {
                let right = "a URL such as https://login.example/realms/tickets, without a query; http only on \
                             this machine";
                return wrong("oidc.issuer", right);
            }
        }
        if self.audience.as_ref().is_some_and(String::is_empty) {
            return wrong("oidc.audience", "what the tokens' claim aud holds");
        }
        if self.tenant_claim.is_empty() {
            return wrong("oidc.tenant_claim", "the name of a claim");
        }
        if self.scope_claim.is_empty() {
            return wrong("oidc.scope_claim", "the name of a claim");
        }
        if self.leeway_seconds > 600 {
            return wrong("oidc.leeway_seconds", "from 0 to 600");
        }
        if self.algorithms.is_empty() || self.algorithms.iter().any(|one| !ALGORITHMS.contains(&&**one)) {
            return wrong("oidc.algorithms", &format!("one or more of {}", ALGORITHMS.join(", ")));
        }
        Ok(())
    }
}
