//! What the request of a delivery looks like, without sending it.

use bytes::Bytes;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Cause, StoredEvent};
use callboard_domain::id::{DeliveryKey, TenantId};
use callboard_domain::webhook::{MASK, Webhook};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use crate::Engine;
use crate::attempt::{Prepared, WEBHOOK_SIGNATURE, prepare};
use crate::target::Target;

/// How [`crate::http::Endpoint`] asks for everything.
const METHOD: &str = "POST";

/// A request as it goes out, byte for byte, but for what is confidential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Its method.
    pub method: &'static str,
    /// Where it goes, as it is asked for: what a URL can't hold is escaped.
    pub url: String,
    /// Its headers in the order of the wire, names in lower case. What is confidential
    /// is [`MASK`].
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

impl Engine {
    /// The request of a delivery of `event` to `webhook`, a webhook of `tenant`, as an
    /// attempt that begins at `at` makes it. That goes by what the webhook is now: one
    /// that was edited since `at` was called otherwise then. Nothing is sent.
    ///
    /// It is signed by the secrets that were in use at `at`, as far as they are kept:
    /// without any there is no `webhook-signature`.
    ///
    /// # Errors
    /// Why it can't be sent, now or ever: the cause and the message that an attempt
    /// would have.
    pub fn preview(
        &self,
        tenant: &TenantId,
        webhook: &Webhook,
        event: &StoredEvent,
        delivery: DeliveryKey,
        at: Timestamp,
    ) -> Result<Preview, (Cause, String)> {
        let mut webhook = webhook.clone();
        webhook.secrets.retain(|stored| stored.created_at <= at);
        let target = Target::new(webhook, tenant, &self.options.public_url, at);
        let Prepared { endpoint, headers, body } = prepare(&target, event, delivery, at)?;
        let headers = endpoint.lines(&headers, body.len()).iter().filter_map(shown).collect();
        Ok(Preview { method: METHOD, url: endpoint.url(), headers, body })
    }
}

fn shown((name, value): &(HeaderName, HeaderValue)) -> Option<(String, String)> {
    if name == WEBHOOK_SIGNATURE && value.is_empty() {
        return None;
    }
    let value = if value.is_sensitive() || name == AUTHORIZATION {
        MASK.to_owned()
    } else {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    };
    Some((name.as_str().to_owned(), value))
}
