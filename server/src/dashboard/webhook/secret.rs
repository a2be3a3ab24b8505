//! What signs the deliveries of a webhook: shown when it is asked for, and rotated;
//! and how a receiver verifies them.

use std::time::Duration;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use callboard_domain::clock::Timestamp;
use callboard_domain::id::WebhookId;
use callboard_domain::signing::Scheme;
use callboard_domain::webhook::{StoredSecret, Webhook};

use super::{About, Tab, find};
use crate::api::auth::{Granted, Needed, ReadWebhooks, WriteWebhooks};
use crate::api::problem::Problem;
use crate::api::webhooks;
use crate::dashboard::form::PostedTo;
use crate::dashboard::frame::{Frame, Section, page_of};
use crate::dashboard::list::curl;
use crate::dashboard::mark::{Time, distance};
use crate::dashboard::note::Note;
use crate::dashboard::visit::{Entered, Named, Visit, lead_with};

/// For how long the old secret can sign too, in seconds, and how that is said.
const OVERLAPS: [(u64, &str); 4] = [
    (0, "not at all: it leaked"),
    (60 * 60, "for 1 hour"),
    (24 * 60 * 60, "for 24 hours"),
    (7 * 24 * 60 * 60, "for 7 days"),
];

/// What is chosen unless somebody says otherwise.
const USUAL: u64 = 24 * 60 * 60;

/// A secret that was rotated away and signs still.
struct Old {
    text: Option<String>,
    left: String,
    until: Time,
}

/// A choice of how long the old one signs.
struct Overlap {
    seconds: u64,
    text: &'static str,
    is_usual: bool,
}

#[derive(Template)]
#[template(path = "webhook/secret.html")]
struct SecretPage {
    frame: Frame,
    about: About,
    id: String,
    since: Option<Time>,
    /// What signs now, where it was asked for.
    secret: Option<String>,
    old: Vec<Old>,
    overlaps: Vec<Overlap>,
    verify: Verify,
    curl: String,
}

/// How a receiver verifies signatures.
pub(in crate::dashboard) struct Verify {
    pub(in crate::dashboard) is_hmac: bool,
    pub(in crate::dashboard) nonce: Option<String>,
}

impl Verify {
    pub(in crate::dashboard) fn new(webhook: &Webhook) -> Self {
        Self { is_hmac: webhook.settings.signature == Scheme::Hmac, nonce: webhook.nonce.clone() }
    }
}

async fn shown<S: Needed>(
    visit: &Visit,
    access: &Granted<S>,
    webhook: &Webhook,
    reveals: bool,
) -> Result<Response, Problem> {
    let now = access.now();
    let mut valid = webhook.secrets.iter().filter(|stored| stored.expires_at.is_none_or(|end| end > now));
    let newest = valid.next();
    let text = |stored: &StoredSecret| reveals.then(|| stored.secret.verifier_text());
    let old = valid.filter_map(|stored| {
        let until = stored.expires_at?;
        Some(Old { text: text(stored), left: left(until, now), until: Time(until) })
    });
    let template = SecretPage {
        frame: Frame::new(visit, Section::Webhooks, format!("Secret of {}", webhook.settings.name)),
        about: About::new(visit, access, webhook, Tab::Secret).await?,
        id: webhook.id.to_string(),
        since: newest.map(|stored| Time(stored.created_at)),
        secret: newest.and_then(text),
        old: old.collect(),
        overlaps: OVERLAPS
            .map(|(seconds, text)| Overlap { seconds, text, is_usual: seconds == USUAL })
            .into(),
        verify: Verify::new(webhook),
        curl: curl(visit, "GET", &format!("/v1/webhooks/{}/secret", webhook.id), &[]),
    };
    page_of(StatusCode::OK, &template)
}

/// For how long a secret signs still: `in 3 h` without its `in`.
fn left(until: Timestamp, now: Timestamp) -> String {
    let distance = distance(until, now);
    distance.strip_prefix("in ").unwrap_or(&distance).to_owned()
}

/// `/dashboard/t/{tenant}/webhooks/{id}/secret`.
pub(super) async fn show(
    Entered { visit, access }: Entered<ReadWebhooks>,
    Named(id): Named<WebhookId>,
) -> Result<Response, Problem> {
    shown(&visit, &access, &find(&access, id).await?, false).await
}

/// Shows what signs. The audit log notes it.
pub(super) async fn reveal(to: PostedTo<WriteWebhooks, WebhookId>) -> Result<Response, Problem> {
    let webhook = webhooks::show_secrets(&to.access, to.id).await?;
    shown(&to.visit, &to.access, &webhook, true).await
}

/// Puts a new secret in the place of the one that signs.
pub(super) async fn rotate(to: PostedTo<WriteWebhooks, WebhookId>) -> Result<Response, Problem> {
    let chosen = to.fields.trimmed("overlap").parse().ok();
    let known = chosen.filter(|chosen| OVERLAPS.iter().any(|(seconds, _)| seconds == chosen));
    let overlap = known.ok_or_else(|| Problem::parameter("overlap", "is none of the choices"))?;
    webhooks::rotate_secret(&to.access, to.id, Duration::from_secs(overlap)).await?;
    let page = format!("{}/webhooks/{}/secret", to.visit.base_of(&to.access.tenant), to.id);
    Ok(lead_with(&to.visit, page, &Note::SecretRotated))
}
