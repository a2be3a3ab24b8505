//! A webhook made ready for sending: parsed, prebuilt and keyed once, not per
//! delivery.

use callboard_domain::clock::Timestamp;
use callboard_domain::id::{TenantId, TenantKey, WebhookKey};
use callboard_domain::signing::{Secret, Signatures};
use callboard_domain::webhook::{Settings, Status, Webhook};
use callboard_domain::wire::Recipient;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use crate::http::{Endpoint, Headers, Identity};

/// Everything an attempt needs to know about its webhook.
#[derive(Debug)]
pub struct Target {
    /// The webhook as it is stored.
    pub webhook: Webhook,
    /// Where to post; the text says why it can't be posted to.
    pub endpoint: Result<Endpoint, String>,
    /// The headers that are the same for each delivery.
    pub headers: Headers,
    /// What its dialect has to know of it.
    pub recipient: Recipient,
    signatures: Signatures,
    /// When one of the secrets behind `signatures` ends.
    signatures_end: Option<Timestamp>,
}

impl Target {
    /// Makes a webhook of `tenant` ready, with the secrets that are valid at
    /// `now`. Links in what it gets lead to `public_url`.
    #[must_use]
    pub fn new(webhook: Webhook, tenant: &TenantId, public_url: &str, now: Timestamp) -> Self {
        let valid: Vec<Secret> = webhook.valid_secrets(now).cloned().collect();
        let ends = webhook.secrets.iter().filter_map(|stored| stored.expires_at).filter(|end| *end > now);
        Self {
            endpoint: endpoint(&webhook.settings),
            headers: headers(&webhook).into(),
            recipient: Recipient::new(&webhook, tenant, public_url),
            signatures: Signatures::new(&valid),
            signatures_end: ends.min(),
            webhook,
        }
    }

    /// The signatures that hold at `now`.
    pub fn with_signatures<T>(&self, now: Timestamp, sign: impl FnOnce(&Signatures) -> T) -> T {
        if self.signatures_end.is_none_or(|end| end > now) {
            return sign(&self.signatures);
        }
        // A rotation's overlap has ended since this target was made; until it
        // is made anew the keys are prepared for each delivery.
        let valid: Vec<Secret> = self.webhook.valid_secrets(now).cloned().collect();
        sign(&Signatures::new(&valid))
    }

    /// The webhook's row.
    #[must_use]
    pub const fn key(&self) -> WebhookKey {
        self.webhook.key
    }

    /// Whose webhook it is.
    #[must_use]
    pub const fn tenant(&self) -> TenantKey {
        self.webhook.tenant
    }

    /// Whether deliveries may be sent now.
    #[must_use]
    pub fn is_called(&self) -> bool {
        self.webhook.status == Status::Active
    }

    /// Whether new events reach it.
    #[must_use]
    pub fn hears(&self) -> bool {
        self.webhook.status != Status::Disabled
    }
}

/// Where settings have it posted, and as whom.
fn endpoint(settings: &Settings) -> Result<Endpoint, String> {
    let identity = settings.client_certificate.as_ref().map(Identity::read).transpose();
    let identity = identity.map_err(|faults| {
        let faults = faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.detail));
        format!("the client_certificate can't be used: {}", faults.collect::<Vec<_>>().join(", "))
    })?;
    Endpoint::new(&settings.url, identity).map_err(|error| error.to_string())
}

fn headers(webhook: &Webhook) -> HeaderMap {
    let settings = &webhook.settings;
    let mut headers = HeaderMap::with_capacity(settings.headers.len() + 8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(settings.subscription.dialect().user_agent()));
    // What the domain accepted fits; a header that does not is left out rather
    // than stopping every delivery.
    for (name, value) in &settings.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    if let Some(value) = &settings.authorization_header
        && let Ok(mut value) = HeaderValue::try_from(value.reveal())
    {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    headers
}
