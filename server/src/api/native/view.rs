//! How things look in the native API: shapes only, no decisions.

use std::collections::BTreeMap;
use std::time::Duration;

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{AttemptDetail, Cause, DeliverySummary, LoggedAttempt, State, StoredEvent};
use callboard_domain::job::Job;
use callboard_domain::store::StoreError;
use callboard_domain::webhook::{ClientCertificate, MASK, Subscription, Webhook};
use callboard_domain::wire::Dialect;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::words::{
    CollapseWord, DeliveryState, DialectWord, FailureWord, HookWord, OpenTicketResource, OpenTicketTrigger,
    OrderingWord, SignatureWord, TopicWord,
};

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookView {
    #[schema(example = "0198c0de-7c5e-7d3a-9d7e-2f1d6a1c0b55")]
    id: String,
    #[schema(example = "Box office")]
    name: String,
    #[schema(example = "https://partner.example/callboard")]
    url: String,
    #[schema(example = "native")]
    dialect: &'static str,
    /// What it hears, where it is of the native dialect: event types, prefixes
    /// such as `ticket.*`, or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["ticket.*", "order.paid"]))]
    events: Option<Vec<String>>,
    /// What it hears, where it is of the dialect `ingresse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["event-create", "ticket"]))]
    hooks: Option<Vec<&'static str>>,
    /// What it hears, where it is of the dialect `viagogo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["Sales"]))]
    topics: Option<Vec<&'static str>>,
    /// What it hears of, where it is of the dialect `openticket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ticket")]
    resource: Option<&'static str>,
    /// What happens to it, where it is of the dialect `openticket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "update")]
    trigger: Option<&'static str>,
    /// How often a delivery is tried again, where it is of the dialect
    /// `openticket`; `retry` has the waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 3)]
    retries: Option<u32>,
    /// What tells the receiver which webhook is calling, where it is of the
    /// dialect `openticket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "5aK2HMgcUlDCWLuC3KWa")]
    nonce: Option<String>,
    /// Under which number its owner's client knows it, where it is of the
    /// dialect `viagogo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 17)]
    viagogo_id: Option<i64>,
    /// Hears only what is about, or through a related resource names, this id.
    identifier: Option<String>,
    /// Hears what propagates from related resources too.
    triggered_by_related: bool,
    /// A JSONPath query (RFC 9535): the event is heard if it selects anything of
    /// the native body.
    #[schema(example = "$[?@.quantity < 10]")]
    filter: Option<String>,
    retry: RetryView,
    /// `subject`: deliveries about one subject go in the order of acceptance.
    #[schema(example = "none")]
    ordering: &'static str,
    /// `latest`: an update that waits behind a newer one is skipped.
    #[schema(example = "none")]
    collapse: &'static str,
    /// Most requests a second.
    rate_per_second: Option<f64>,
    /// Most requests at a time.
    max_in_flight: u32,
    /// Longest time for one attempt, answer included.
    timeout_seconds: f64,
    /// Further headers of each delivery.
    headers: BTreeMap<String, String>,
    /// Masked; sent back as it is, it stays as it was.
    authorization_header: Option<&'static str>,
    /// By which certificate deliveries name themselves.
    client_certificate: Option<ClientCertificateView>,
    /// `hmac` or `ed25519`.
    #[schema(example = "hmac")]
    signature: &'static str,
    /// Whether new events reach it.
    enabled: bool,
    /// `active`, `paused` (hears, deliveries wait) or `disabled`.
    #[schema(example = "active")]
    status: &'static str,
    /// Why it was disabled, if not by hand.
    disabled_reason: Option<String>,
    /// Since when it has done nothing but fail.
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    /// Counts the edits.
    revision: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// When failed deliveries are tried again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RetryView {
    /// The waits after each failed attempt, in seconds; fractions are allowed,
    /// and an empty list means one attempt.
    #[schema(max_items = 100, example = json!([5, 300, 1800]))]
    schedule_seconds: Vec<f64>,
}

/// A certificate for TLS client authentication.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientCertificate)]
pub struct ClientCertificateView {
    /// The chain as PEM, the client's own certificate first.
    #[schema(example = "-----BEGIN CERTIFICATE-----\nMIIB...\n-----END CERTIFICATE-----\n")]
    certificate: String,
    /// The private key of that certificate as PEM, without a passphrase. Shown
    /// masked; sent back as it is, it stays as it was.
    #[schema(example = "********")]
    private_key: String,
}

impl ClientCertificateView {
    fn new(certificate: &ClientCertificate) -> Self {
        Self { certificate: certificate.certificate.clone(), private_key: MASK.to_owned() }
    }
}

impl WebhookView {
    /// Shows a webhook; `retry_base` is the wait that doubles where its retries
    /// do.
    pub fn new(webhook: &Webhook, retry_base: Duration) -> Self {
        use callboard_domain::signing::Scheme;
        use callboard_domain::webhook::Status;
        let settings = &webhook.settings;
        let subscription = &settings.subscription;
        let pair = match subscription {
            Subscription::OpenTicket { resource, trigger } => Some((resource.as_str(), trigger.as_str())),
            _ => None,
        };
        Self {
            id: webhook.id.to_string(),
            name: settings.name.clone(),
            url: settings.url.clone(),
            dialect: settings.subscription.dialect().as_str(),
            events: match subscription {
                Subscription::Native { events } => Some(events.iter().map(ToString::to_string).collect()),
                _ => None,
            },
            hooks: match subscription {
                Subscription::Ingresse { hooks } => Some(hooks.iter().map(|hook| hook.as_str()).collect()),
                _ => None,
            },
            topics: match subscription {
                Subscription::Viagogo { topics } => Some(topics.iter().map(|topic| topic.as_str()).collect()),
                _ => None,
            },
            resource: pair.map(|(resource, _)| resource),
            trigger: pair.map(|(_, trigger)| trigger),
            retries: pair.map(|_| settings.retry.retries()),
            nonce: webhook.nonce.clone(),
            viagogo_id: (subscription.dialect() == Dialect::Viagogo).then_some(webhook.key.0),
            identifier: settings.identifier.clone(),
            triggered_by_related: settings.triggered_by_related,
            filter: settings.filter.as_ref().map(|filter| filter.as_str().to_owned()),
            retry: RetryView { schedule_seconds: settings.retry.seconds(retry_base) },
            ordering: settings.ordering.as_str(),
            collapse: settings.collapse.as_str(),
            rate_per_second: settings.rate_per_second,
            max_in_flight: settings.max_in_flight,
            timeout_seconds: settings.timeout.as_secs_f64(),
            headers: settings.headers.iter().cloned().collect(),
            authorization_header: settings.authorization_header.as_ref().map(|_| MASK),
            client_certificate: settings.client_certificate.as_ref().map(ClientCertificateView::new),
            signature: match settings.signature {
                Scheme::Hmac => "hmac",
                Scheme::Ed25519 => "ed25519",
            },
            enabled: webhook.status != Status::Disabled,
            status: webhook.status.as_str(),
            disabled_reason: webhook.disabled_reason.clone(),
            failing_since: webhook.failing_since,
            revision: webhook.revision,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// What can be said of a webhook; what is left out takes its default, or in an
/// edit stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Box office", "url": "https://partner.example/callboard", "events": ["ticket.*", "order.paid"],
}))]
#[expect(dead_code, reason = "describes a body that the domain reads, naming every fault")]
pub struct WebhookInput {
    /// What people call it, at most 255 bytes; the host of the URL if left out.
    #[schema(example = "Box office", max_length = 255)]
    name: Option<String>,
    /// Where deliveries are posted; required.
    #[schema(example = "https://partner.example/callboard", pattern = "^https?://", max_length = 2048)]
    url: Option<String>,
    /// `native` if left out; it can't be changed later.
    #[schema(value_type = Option<DialectWord>, example = "native")]
    dialect: Option<String>,
    /// Of the dialect `native`: event types, prefixes such as `ticket.*`, or
    /// `*`; at least one.
    #[schema(example = json!(["ticket.*", "order.paid"]))]
    events: Option<Vec<String>>,
    /// Of the dialect `ingresse`: at least one.
    #[schema(value_type = Option<Vec<HookWord>>)]
    hooks: Option<Vec<String>>,
    /// Of the dialect `viagogo`: at least one.
    #[schema(value_type = Option<Vec<TopicWord>>)]
    topics: Option<Vec<String>>,
    /// Of the dialect `openticket`: what it hears of.
    #[schema(value_type = Option<OpenTicketResource>)]
    resource: Option<String>,
    /// Of the dialect `openticket`: what happens to it.
    #[schema(value_type = Option<OpenTicketTrigger>)]
    trigger: Option<String>,
    /// Of the dialect `openticket`, instead of `retry`: how often a delivery is
    /// tried again, 3 if left out; the waits double.
    #[schema(maximum = 100)]
    retries: Option<u32>,
    /// Hears only what is about, or through a related resource names, this id.
    #[schema(min_length = 1, max_length = 512)]
    identifier: Option<String>,
    /// Hears what propagates from related resources too.
    triggered_by_related: Option<bool>,
    /// A JSONPath query (RFC 9535) on the native body, at most 1,024 bytes.
    #[schema(min_length = 1, max_length = 1024)]
    filter: Option<String>,
    retry: Option<RetryView>,
    /// `none` if left out.
    #[schema(value_type = Option<OrderingWord>)]
    ordering: Option<String>,
    /// `none` if left out; `latest` needs the ordering `subject`.
    #[schema(value_type = Option<CollapseWord>)]
    collapse: Option<String>,
    /// Most requests a second.
    #[schema(minimum = 0.01, maximum = 10_000)]
    rate_per_second: Option<f64>,
    /// Most requests at a time, 16 if left out.
    #[schema(minimum = 1, maximum = 1_000)]
    max_in_flight: Option<u32>,
    /// Longest time for one attempt, 15 if left out.
    #[schema(minimum = 0.1, maximum = 60)]
    timeout_seconds: Option<f64>,
    /// Further headers of each delivery, at most 32: tokens of HTTP, and none that
    /// is set by the delivery itself.
    headers: Option<BTreeMap<String, String>>,
    /// The header `Authorization` of each delivery.
    #[schema(min_length = 1, max_length = 4096)]
    authorization_header: Option<String>,
    /// By which certificate deliveries name themselves, where the receiver asks
    /// for one; the URL has to be https.
    client_certificate: Option<ClientCertificateView>,
    /// `hmac` if left out.
    #[schema(value_type = Option<SignatureWord>)]
    signature: Option<String>,
    /// Whether new events reach it.
    enabled: Option<bool>,
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    id: String,
    #[serde(rename = "type")]
    #[schema(example = "order.paid")]
    type_name: String,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Box<RawValue>,
    /// When it became durable.
    #[schema(value_type = String, format = DateTime)]
    accepted_at: Timestamp,
    #[schema(value_type = Object)]
    subject: Box<RawValue>,
    #[schema(value_type = Object)]
    related: Box<RawValue>,
    #[schema(value_type = Option<Object>)]
    actor: Box<RawValue>,
    #[schema(value_type = Option<String>)]
    action: Box<RawValue>,
    #[schema(value_type = Object)]
    data: Box<RawValue>,
    #[schema(value_type = Option<Object>)]
    changes: Box<RawValue>,
    /// How many webhooks heard it, also late.
    deliveries: u32,
}

/// The members of a native body, unread.
#[derive(Deserialize)]
struct NativeBody {
    timestamp: Box<RawValue>,
    data: Box<RawValue>,
    subject: Box<RawValue>,
    related: Box<RawValue>,
    actor: Box<RawValue>,
    action: Box<RawValue>,
    changes: Box<RawValue>,
}

impl EventView {
    /// Shows a stored event.
    ///
    /// # Errors
    /// When its body is not what was stored.
    pub fn new(event: StoredEvent) -> Result<Self, StoreError> {
        let body: NativeBody = serde_json::from_slice(&event.body)
            .map_err(|error| StoreError::Corrupt(format!("the body of event {}: {error}", event.id)))?;
        Ok(Self {
            id: event.id.to_string(),
            type_name: event.type_name,
            occurred_at: body.timestamp,
            accepted_at: event.accepted_at,
            subject: body.subject,
            related: body.related,
            actor: body.actor,
            action: body.action,
            data: body.data,
            changes: body.changes,
            deliveries: event.deliveries,
        })
    }
}

/// A delivery: one event for one webhook.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryView {
    #[schema(example = "dlv_1842")]
    id: String,
    event_id: String,
    #[schema(example = "order.paid")]
    event_type: String,
    subject_id: String,
    /// The webhook; null when it is deleted.
    webhook_id: Option<String>,
    #[schema(value_type = DeliveryState, example = "delivered")]
    state: State,
    /// When it was made: when its event was accepted, or later by a replay of
    /// what was missing.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// How many entries its log has: each attempt is one, and so is being
    /// cancelled or superseded.
    attempts: u32,
    /// When the next one is due; null when there is none, or it is on its way.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    last_attempt: Option<AttemptView>,
}

impl DeliveryView {
    /// Shows a delivery of the webhook `webhook_id`.
    pub fn new(delivery: DeliverySummary, webhook_id: Option<String>) -> Self {
        Self {
            id: delivery.key.to_string(),
            event_id: delivery.event_id.to_string(),
            event_type: delivery.type_name,
            subject_id: delivery.subject_id,
            webhook_id,
            state: delivery.state,
            created_at: delivery.created_at,
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at,
            last_attempt: delivery.last_attempt.map(AttemptView::from),
        }
    }
}

/// One HTTP request of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    /// 1 for the first.
    number: u32,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    duration_ms: f64,
    /// The state of the delivery after it.
    #[schema(value_type = String, example = "waiting")]
    state: State,
    /// The answer's status, if there was an answer.
    status: Option<u16>,
    /// Why it failed, in one word: `dns`, `blocked`, `connect`,
    /// `connect_timeout`, `tls`, `reset`, `timeout`, `invalid_answer`,
    /// `status`, `unrenderable`, `cancelled` or `superseded`.
    #[schema(value_type = Option<String>, example = "status")]
    cause: Option<Cause>,
    /// Why it failed, for people.
    message: Option<String>,
    /// The address that was dialled.
    peer: Option<String>,
    timings: TimingsView,
    answer: Option<AnswerView>,
}

/// Where the time of an attempt went, in milliseconds; zero where nothing was
/// to be done.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "each name says its unit")]
pub struct TimingsView {
    dns_ms: f64,
    connect_ms: f64,
    tls_ms: f64,
    exchange_ms: f64,
}

/// What the receiver answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerView {
    /// Names and values, as far as they are kept.
    headers: Vec<(String, String)>,
    /// The start of the body.
    body: String,
    /// Whether the body was longer.
    cut: bool,
}

impl From<LoggedAttempt> for AttemptView {
    fn from(attempt: LoggedAttempt) -> Self {
        let AttemptDetail { message, peer, timings, answer_headers, answer_body, answer_cut } =
            attempt.detail;
        let answer = attempt.status.map(|_| AnswerView {
            headers: answer_headers,
            body: answer_body,
            cut: answer_cut,
        });
        Self {
            number: attempt.number,
            started_at: attempt.started_at,
            duration_ms: milliseconds(u64::try_from(attempt.duration.as_micros()).unwrap_or(u64::MAX)),
            state: attempt.state,
            status: attempt.status,
            cause: attempt.cause,
            message: (!message.is_empty()).then_some(message),
            peer,
            timings: TimingsView {
                dns_ms: milliseconds(timings.dns_us),
                connect_ms: milliseconds(timings.connect_us),
                tls_ms: milliseconds(timings.tls_us),
                exchange_ms: milliseconds(timings.exchange_us),
            },
            answer,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no attempt lasts 2^52 microseconds")]
fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1_000.0
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobView {
    #[schema(example = "job_3")]
    id: String,
    /// `retry_failed`, `discard_failed` or `replay`.
    #[schema(value_type = String, example = "retry_failed")]
    kind: callboard_domain::job::JobKind,
    /// `running`, `finished` or `stopped`.
    #[schema(value_type = String, example = "running")]
    state: callboard_domain::job::JobState,
    /// The webhook it works for; null when it is deleted.
    webhook_id: Option<String>,
    /// What a replay sends; null for other jobs.
    #[schema(value_type = Option<Object>)]
    selection: Option<callboard_domain::job::Selection>,
    /// Of what has failed, only what failed for this cause; null for any.
    #[schema(value_type = Option<FailureWord>)]
    cause: Option<Cause>,
    /// Of what has failed, only what was answered with this status; null for any.
    status: Option<u16>,
    /// Most deliveries that it makes due a second.
    rate_per_second: Option<f64>,
    /// Deliveries that it is to make due, or to call off; null while they are being
    /// counted.
    total: Option<u64>,
    /// Deliveries that it has made due, or called off.
    done: u64,
    /// What it has looked at to find them: deliveries, or events where it sends
    /// what is missing.
    looked_at: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl JobView {
    /// Shows a job of the webhook `webhook_id`.
    pub fn new(job: &Job, webhook_id: Option<String>) -> Self {
        Self {
            id: job.key.to_string(),
            kind: job.kind,
            state: job.state,
            webhook_id,
            selection: job.selection.clone(),
            cause: job.reason.and_then(|reason| reason.cause),
            status: job.reason.and_then(|reason| reason.status),
            rate_per_second: job.rate_per_second,
            total: job.total,
            done: job.done,
            looked_at: job.looked_at,
            created_at: job.created_at,
            ended_at: job.ended_at,
        }
    }
}
