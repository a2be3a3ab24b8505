//! What is done to webhooks, in whatever dialect a request speaks: finding,
//! making, editing, deleting, trying out.

use std::time::Duration;

use axum::http::StatusCode;
use callboard_domain::audit::Change;
use callboard_domain::clock::Timestamp;
use callboard_domain::id::WebhookId;
use callboard_domain::signing::Secret;
use callboard_domain::store::{Edited, NewWebhook, WebhookEdit};
use callboard_domain::webhook::{Settings, Status, Webhook};
use callboard_domain::wire::{Dialect, openticket};
use callboard_engine::Published;

use super::auth::{Granted, Needed, WriteWebhooks};
use super::problem::Problem;

/// The webhook of this id, if it is the caller's.
pub async fn find<S: Needed>(access: &Granted<S>, id: WebhookId) -> Result<Webhook, Problem> {
    access.store().webhook(access.tenant.key, id).await?.ok_or_else(Problem::not_found)
}

/// Makes a webhook, if what it asks for may be called, and returns also what
/// its receiver verifies signatures with.
pub async fn make(
    access: &Granted<WriteWebhooks>,
    settings: Settings,
    enabled: Option<bool>,
) -> Result<(Webhook, String), Problem> {
    access.engine().admit(&settings, None).map_err(Problem::faults)?;
    let now = access.now();
    let names_itself = settings.subscription.dialect() == Dialect::OpenTicket;
    let (id, secret, nonce) = access.with_rng(|rng| {
        let secret = Secret::generate(settings.signature, rng);
        (WebhookId::generate(now, rng), secret, names_itself.then(|| openticket::nonce(rng)))
    });
    let status = if enabled == Some(false) { Status::Disabled } else { Status::Active };
    let shown = secret.verifier_text();
    let webhook = NewWebhook { id, settings, status, secret, nonce };
    Ok((access.engine().create_webhook(access.tenant.key, webhook, access.by()).await?, shown))
}

/// Gives a webhook other settings, if what they ask for may be called, unless somebody else edited it since it was
/// read.
pub async fn edit(
    access: &Granted<WriteWebhooks>,
    webhook: &Webhook,
    settings: Settings,
    enabled: Option<bool>,
) -> Result<Webhook, Problem> {
    access.engine().admit(&settings, Some(&webhook.settings)).map_err(Problem::faults)?;
    let status = match enabled {
        Some(false) => Status::Disabled,
        Some(true) if webhook.status == Status::Disabled => Status::Active,
        _ => webhook.status,
    };
    // A secret of one scheme can't sign in the other; the receiver reads the new
    // one at the webhook's secret.
    let secret = (settings.signature != webhook.settings.signature)
        .then(|| access.with_rng(|rng| Secret::generate(settings.signature, rng)));
    let edit = WebhookEdit { settings, status, secret };
    let (tenant, by) = (access.tenant.key, access.by());
    let edited = access.engine().update_webhook(tenant, webhook.id, webhook.revision, edit, by).await?;
    match edited.ok_or_else(Problem::not_found)? {
        Edited::Done(webhook) => Ok(*webhook),
        Edited::Stale => {
            let detail = "somebody else edited the webhook at the same time; try again";
            Err(Problem::new(StatusCode::CONFLICT, detail))
        }
    }
}

/// Deletes a webhook.
pub async fn delete(access: &Granted<WriteWebhooks>, id: WebhookId) -> Result<(), Problem> {
    let deleted = access.engine().delete_webhook(access.tenant.key, id, access.by()).await?;
    deleted.then_some(()).ok_or_else(Problem::not_found)
}

/// Sends a ping to a webhook and to no other.
pub async fn ping(access: &Granted<WriteWebhooks>, webhook: &Webhook) -> Result<Published, Problem> {
    if webhook.status == Status::Disabled {
        let detail = "a disabled webhook can't be pinged; enable it first";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let pinged = access.engine().ping(access.tenant.key, webhook.key, access.by()).await?;
    pinged.ok_or_else(Problem::not_found)
}

/// What can be done to a webhook's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusChange {
    /// It hears again, and what waited is sent.
    Enable,
    /// It hears nothing new, and what waits is kept.
    Disable,
    /// It hears, and its deliveries wait.
    Pause,
    /// What waited is sent.
    Resume,
}

/// How often a change of status is tried when somebody edits at the same time.
const TRIES: usize = 5;

/// Changes the status of a webhook, whoever edits its settings meanwhile.
pub async fn change_status(
    access: &Granted<WriteWebhooks>,
    id: WebhookId,
    change: StatusChange,
) -> Result<Webhook, Problem> {
    for _ in 0..TRIES {
        let webhook = find(access, id).await?;
        let disabled = webhook.status == Status::Disabled;
        let conflict = |detail| Err(Problem::new(StatusCode::CONFLICT, detail));
        let status = match change {
            StatusChange::Pause if disabled => {
                return conflict("a disabled webhook can't be paused; enable it first");
            }
            StatusChange::Resume if disabled => {
                return conflict("a disabled webhook can't be resumed; enable it");
            }
            StatusChange::Enable | StatusChange::Resume => Status::Active,
            StatusChange::Pause => Status::Paused,
            StatusChange::Disable => Status::Disabled,
        };
        let edit = WebhookEdit { settings: webhook.settings, status, secret: None };
        let (tenant, by) = (access.tenant.key, access.by());
        let edited = access.engine().update_webhook(tenant, id, webhook.revision, edit, by).await?;
        if let Edited::Done(webhook) = edited.ok_or_else(Problem::not_found)? {
            return Ok(*webhook);
        }
    }
    Err(Problem::new(StatusCode::CONFLICT, "others keep editing the webhook; try again"))
}

/// Longest time for which an old secret goes on signing: one that leaked should not
/// sign for ever.
pub const MAX_OVERLAP: Duration = Duration::from_hours(7 * 24);

/// The webhook of this id for somebody who is shown its secrets, which the audit log
/// notes.
pub async fn show_secrets(access: &Granted<WriteWebhooks>, id: WebhookId) -> Result<Webhook, Problem> {
    let webhook = find(access, id).await?;
    access.store().note(access.tenant.key, access.by(), Change::secret_shown(id)).await?;
    Ok(webhook)
}

/// Makes a new signing secret; those before it sign too for `overlap`, which is no
/// longer than [`MAX_OVERLAP`].
pub async fn rotate_secret(
    access: &Granted<WriteWebhooks>,
    id: WebhookId,
    overlap: Duration,
) -> Result<Webhook, Problem> {
    let webhook = find(access, id).await?;
    let until = access.now().saturating_add(overlap.min(MAX_OVERLAP)).unwrap_or(Timestamp::MAX);
    let secret = access.with_rng(|rng| Secret::generate(webhook.settings.signature, rng));
    let rotated = access.engine().rotate_secret(access.tenant.key, id, secret, until, access.by()).await?;
    rotated.ok_or_else(Problem::not_found)
}
