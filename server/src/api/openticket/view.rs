//! How things look in the OpenTicket dialect: shapes only, no decisions.

use callboard_domain::access::Tenant;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{DeliverySummary, State};
use callboard_domain::event_type::EventType;
use callboard_domain::job::{Job, JobState};
use callboard_domain::webhook::{Subscription, Webhook};
use callboard_domain::wire::openticket::{dedupe_key, path};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::words::DeliveryState;

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenTicketWebhook)]
pub struct WebhookView {
    #[schema(example = "96007e9b-b570-454c-aa3b-66a33a88280a")]
    guid: String,
    #[schema(example = "2023-07-19T09:43:50Z", format = DateTime)]
    created_at: String,
    #[schema(example = "2023-07-19T09:43:50Z", format = DateTime)]
    updated_at: String,
    /// When it was deleted; null while it is not.
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
    /// The tenant.
    #[schema(example = "d0a3f370-cd43-11ed-9c9c-bbcffde24a48")]
    company_id: String,
    #[schema(example = "My Example Webhook")]
    name: String,
    #[schema(example = "https://example.com/webhook/receive")]
    url: String,
    #[schema(example = 3)]
    retries: u32,
    #[schema(example = "ticket")]
    resource: &'static str,
    /// The GUID that it insists on; empty where there is none.
    #[schema(example = "")]
    identifier: String,
    /// What invocations carry in `OpenTicket-Identifier`.
    #[schema(example = "5aK2HMgcUlDCWLuC3KWa")]
    nonce: String,
    #[schema(example = "create")]
    trigger: &'static str,
    triggered_by_child_resources: bool,
    /// Always null; they are at `/openticket/webhook/{guid}/invocations`.
    #[schema(value_type = Option<Vec<InvocationView>>)]
    invocations: Option<()>,
}

impl WebhookView {
    /// Shows a webhook of `tenant`; `None` when it is of another dialect.
    pub(super) fn new(webhook: &Webhook, tenant: &Tenant) -> Option<Self> {
        let Subscription::OpenTicket { resource, trigger } = webhook.settings.subscription else {
            return None;
        };
        Some(Self {
            guid: webhook.id.to_string(),
            created_at: seconds(webhook.created_at),
            updated_at: seconds(webhook.updated_at),
            deleted_at: webhook.deleted_at.map(seconds),
            company_id: tenant.id.to_string(),
            name: webhook.settings.name.clone(),
            url: webhook.settings.url.clone(),
            retries: webhook.settings.retry.retries(),
            resource: resource.as_str(),
            identifier: webhook.settings.identifier.clone().unwrap_or_default(),
            nonce: webhook.nonce.clone().unwrap_or_default(),
            trigger: trigger.as_str(),
            triggered_by_child_resources: webhook.settings.triggered_by_related,
            invocations: None,
        })
    }
}

/// A time in whole seconds.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// One invocation of a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenTicketInvocation)]
pub struct InvocationView {
    #[schema(example = "dlv_1842")]
    id: String,
    /// The webhook's GUID.
    webhook: String,
    event_id: String,
    /// What `OpenTicket-Trigger` says.
    #[schema(example = "order.ticket.scanned")]
    trigger: String,
    /// What `OpenTicket-Dedupe-Key` says.
    #[schema(example = "0f343b0931126a20f133d67c2b018a3b")]
    dedupe_key: String,
    #[schema(value_type = DeliveryState, example = "delivered")]
    state: State,
    attempts: u32,
    #[schema(example = "2023-07-19T09:43:50Z", format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_attempt_at: Option<String>,
    /// When it is tried again; null when it is not, or is on its way.
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    /// What the last attempt was answered, if it was.
    #[schema(example = 200)]
    status_code: Option<u16>,
    /// Why the last attempt failed, if it did.
    message: Option<String>,
}

impl InvocationView {
    /// Shows a delivery to `webhook`.
    pub(super) fn new(delivery: DeliverySummary, webhook: &Webhook) -> Self {
        let dedupe_key = dedupe_key(webhook.id, &delivery.event_id);
        let happened = match EventType::from_stored(&delivery.type_name) {
            Ok(EventType::Known(resource, trigger)) => Some((resource, trigger)),
            _ => None,
        };
        let trigger = match (happened, &webhook.settings.subscription) {
            (Some(happened), Subscription::OpenTicket { resource, .. }) => path(happened, *resource),
            _ => delivery.type_name,
        };
        let last = delivery.last_attempt;
        Self {
            id: delivery.key.to_string(),
            webhook: webhook.id.to_string(),
            event_id: delivery.event_id.to_string(),
            trigger,
            dedupe_key,
            state: delivery.state,
            attempts: delivery.attempts,
            created_at: seconds(delivery.created_at),
            last_attempt_at: last.as_ref().map(|attempt| seconds(attempt.started_at)),
            next_attempt_at: delivery.next_attempt_at.map(seconds),
            status_code: last.as_ref().and_then(|attempt| attempt.status),
            message: last.map(|attempt| attempt.detail.message).filter(|message| !message.is_empty()),
        }
    }
}

/// Retrying all that failed, under way.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenTicketRetryFailed)]
pub struct RetryFailedView {
    /// The job in the native API.
    #[schema(example = "job_3")]
    job_id: String,
    /// `running`, `finished` or `stopped`.
    #[schema(value_type = String, example = "running")]
    state: JobState,
    /// Failed invocations, counted when it started.
    total: u64,
    /// Those that were retried so far.
    done: u64,
}

impl From<&Job> for RetryFailedView {
    fn from(job: &Job) -> Self {
        Self {
            job_id: job.key.to_string(),
            state: job.state,
            total: job.total.unwrap_or(job.done),
            done: job.done,
        }
    }
}
