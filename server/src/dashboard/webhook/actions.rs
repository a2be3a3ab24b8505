//! What is done to a webhook, its jobs and its invocations by pressing a button.

use axum::response::Response;
use callboard_domain::id::{DeliveryKey, JobKey, WebhookId};

use crate::api::auth::WriteWebhooks;
use crate::api::by_hand::answer;
use crate::api::problem::Problem;
use crate::api::webhooks::{self, StatusChange};
use crate::dashboard::form::PostedTo;
use crate::dashboard::note::Note;
use crate::dashboard::sign_in::onward;
use crate::dashboard::visit::lead_with;

type ToWebhook = PostedTo<WriteWebhooks, WebhookId>;

/// Goes back to where the button was, or to `page` of the tenant.
fn back<T>(to: &PostedTo<WriteWebhooks, T>, page: &str, note: &Note) -> Response {
    let page = format!("{}{page}", to.visit.base_of(&to.access.tenant));
    let location = onward(&to.visit, to.fields.get("next")).map_or(page, str::to_owned);
    lead_with(&to.visit, location, note)
}

fn back_to_webhook(to: &ToWebhook, note: &Note) -> Response {
    back(to, &format!("/webhooks/{}", to.id), note)
}

async fn change(to: ToWebhook, change: StatusChange, note: Note) -> Result<Response, Problem> {
    webhooks::change_status(&to.access, to.id, change).await?;
    Ok(back_to_webhook(&to, &note))
}

/// Lets its invocations wait.
pub(super) async fn pause(to: ToWebhook) -> Result<Response, Problem> {
    change(to, StatusChange::Pause, Note::WebhookPaused).await
}

/// Sends what waited.
pub(super) async fn resume(to: ToWebhook) -> Result<Response, Problem> {
    change(to, StatusChange::Resume, Note::WebhookResumed).await
}

/// Lets it hear again.
pub(super) async fn enable(to: ToWebhook) -> Result<Response, Problem> {
    change(to, StatusChange::Enable, Note::WebhookEnabled).await
}

/// Stops it from hearing.
pub(super) async fn disable(to: ToWebhook) -> Result<Response, Problem> {
    change(to, StatusChange::Disable, Note::WebhookDisabled).await
}

/// Sends a ping to it.
pub(super) async fn ping(to: ToWebhook) -> Result<Response, Problem> {
    let webhook = webhooks::find(&to.access, to.id).await?;
    let pinged = webhooks::ping(&to.access, &webhook).await?;
    Ok(back_to_webhook(&to, &Note::Pinged(pinged.first_delivery)))
}

/// Starts retrying everything of it that has failed.
pub(super) async fn retry_failed(to: ToWebhook) -> Result<Response, Problem> {
    let webhook = webhooks::find(&to.access, to.id).await?;
    let (tenant, by) = (to.access.tenant.key, to.access.by());
    let job = to.access.engine().retry_failed(tenant, webhook.key, None, None, by).await?;
    Ok(back_to_webhook(&to, &Note::JobStarted(job.key)))
}

/// Stops a job.
pub(super) async fn stop_job(to: PostedTo<WriteWebhooks, JobKey>) -> Result<Response, Problem> {
    let access = &to.access;
    let stopped = access.engine().stop_job(access.tenant.key, to.id, access.by()).await?;
    let job = stopped.ok_or_else(Problem::not_found)?;
    Ok(back(&to, "/webhooks", &Note::JobStopped(job.key)))
}

/// Sends an invocation again.
pub(in crate::dashboard) async fn resend(
    to: PostedTo<WriteWebhooks, DeliveryKey>,
) -> Result<Response, Problem> {
    let access = &to.access;
    answer(access.engine().retry(access.tenant.key, to.id, access.by()).await?, "retried")?;
    Ok(back(&to, &format!("/deliveries/{}", to.id), &Note::Resent(to.id)))
}

/// Calls an invocation off.
pub(in crate::dashboard) async fn cancel(
    to: PostedTo<WriteWebhooks, DeliveryKey>,
) -> Result<Response, Problem> {
    let access = &to.access;
    answer(access.engine().cancel(access.tenant.key, to.id, access.by()).await?, "cancelled")?;
    Ok(back(&to, &format!("/deliveries/{}", to.id), &Note::Stopped(to.id)))
}
