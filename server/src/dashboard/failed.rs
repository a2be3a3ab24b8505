//! What has failed, over all webhooks: grouped by webhook and cause, with what to do
//! about each group.

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use callboard_domain::access::Scope;
use callboard_domain::delivery::{Cause, Reason};
use callboard_domain::job::{Job, JobKind, JobState};
use callboard_domain::store::{FailedCount, FailedFilter, FailedGroup, Page};
use callboard_domain::webhook::Webhook;

use super::form::{Fields, Posted};
use super::frame::{Frame, Section, page, page_of};
use super::known::Known;
use super::list::{Query, curl};
use super::mark::{Time, counted, grouped};
use super::note::Note;
use super::payload::visible;
use super::visit::{Entered, Visit, lead_with};
use super::{failed_export, failed_list, words};
use crate::api::State;
use crate::api::auth::{Granted, Needed, ReadWebhooks, WriteWebhooks};
use crate::api::problem::Problem;
use crate::api::webhooks;

/// Most groups that a page shows, the largest first.
const SHOWN: usize = 200;

/// Jobs that are looked at for those under way.
const JOBS: usize = 20;

/// Failed invocations that are looked at to count those that would be discarded.
const FAILED_COUNTED: u64 = 100_000;

/// The word that discards, beside the count.
const WORD: &str = "discard";

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/dashboard/t/{tenant}/failed", get(show))
        .route("/dashboard/t/{tenant}/failed/list", get(failed_list::show))
        .route("/dashboard/t/{tenant}/failed/retry", post(retry))
        .route("/dashboard/t/{tenant}/failed/discard", get(ask).post(discard))
        .route("/dashboard/t/{tenant}/failed.ndjson", get(failed_export::show))
}

/// Deliveries of one webhook that failed alike.
struct Group {
    webhook: String,
    name: String,
    title: String,
    advice: &'static str,
    count: String,
    oldest: Time,
    newest: Time,
    chosen: Chosen,
    /// Whether it can be told from the others, so that it can be acted on alone.
    can_act: bool,
}

/// A job that retries or discards now.
struct UnderWay {
    what: &'static str,
    webhook: Option<(String, String)>,
    progress: String,
}

#[derive(Template)]
#[template(path = "failed.html")]
struct FailedPage {
    frame: Frame,
    groups: Vec<Group>,
    is_capped: bool,
    jobs: Vec<UnderWay>,
    may_write: bool,
    may_export: bool,
    curl: String,
}

#[derive(Template)]
#[template(path = "failed_discard.html")]
struct DiscardPage {
    frame: Frame,
    webhook: String,
    name: String,
    title: String,
    count: u64,
    counted: String,
    chosen: Chosen,
    typed: String,
    fault: Option<String>,
}

/// What an address or a form chooses of what has failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Chosen {
    pub(super) webhook: String,
    pub(super) cause: String,
    pub(super) status: String,
}

impl Chosen {
    pub(super) fn of_query(query: &Query) -> Self {
        let text = |name| query.text(name).to_owned();
        Self { webhook: text("webhook"), cause: text("cause"), status: text("status") }
    }

    fn of_fields(fields: &Fields) -> Self {
        let text = |name| fields.trimmed(name).to_owned();
        Self { webhook: text("webhook"), cause: text("cause"), status: text("status") }
    }

    fn of_group(webhook: &Webhook, reason: Reason) -> Self {
        Self {
            webhook: webhook.id.to_string(),
            cause: reason.cause.map(|cause| cause.as_str().to_owned()).unwrap_or_default(),
            status: reason.status.map(|status| status.to_string()).unwrap_or_default(),
        }
    }

    /// The same as the query of an address.
    pub(super) fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("webhook", &self.webhook), ("cause", &self.cause), ("status", &self.status)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }

    /// Why it failed, as far as that is chosen.
    pub(super) fn reason(&self) -> Result<Reason, Problem> {
        let cause = match &*self.cause {
            "" => None,
            word => {
                let found = Cause::ALL.into_iter().find(|cause| cause.as_str() == word);
                Some(found.ok_or_else(|| Problem::parameter("cause", "is none of the causes"))?)
            }
        };
        let status = match &*self.status {
            "" => None,
            text => {
                Some(text.parse().map_err(|_| Problem::parameter("status", "must be a number such as 503"))?)
            }
        };
        Ok(Reason { cause, status })
    }

    /// The webhook that is chosen, if it is this tenant's.
    pub(super) async fn webhook<S: Needed>(&self, access: &Granted<S>) -> Result<Option<Webhook>, Problem> {
        if self.webhook.is_empty() {
            return Ok(None);
        }
        let id = self.webhook.parse().map_err(|_| Problem::not_found())?;
        webhooks::find(access, id).await.map(Some)
    }

    /// The same for the store, and the webhook.
    pub(super) async fn filter<S: Needed>(
        &self,
        access: &Granted<S>,
    ) -> Result<(FailedFilter, Option<Webhook>), Problem> {
        let reason = self.reason()?.choosing();
        let webhook = self.webhook(access).await?;
        Ok((FailedFilter { webhook: webhook.as_ref().map(|webhook| webhook.key), reason }, webhook))
    }
}

/// `/dashboard/t/{tenant}/failed`.
pub(super) async fn show(Entered { visit, access }: Entered<ReadWebhooks>) -> Result<Response, Problem> {
    let (store, tenant) = (access.store(), access.tenant.key);
    let found = store.failed_groups(tenant).await?;
    let mut known = Known::default();
    let mut groups = Vec::new();
    for group in found.groups.iter().take(SHOWN) {
        if let Some(webhook) = known.webhook(store, group.webhook).await? {
            groups.push(shown(group, webhook));
        }
    }
    let template = FailedPage {
        frame: Frame::new(&visit, Section::Failed, "Failed"),
        groups,
        is_capped: found.capped || found.groups.len() > SHOWN,
        jobs: under_way(&access, &mut known).await?,
        may_write: access.may(Scope::WriteWebhooks),
        may_export: access.may(Scope::ReadEvents),
        curl: curl(&visit, "GET", "/v1/failed/groups", &[]),
    };
    page(&template)
}

fn shown(group: &FailedGroup, webhook: &Webhook) -> Group {
    Group {
        webhook: webhook.id.to_string(),
        name: visible(&webhook.settings.name),
        title: title(group.reason),
        advice: group.reason.cause.map_or("", words::advice),
        count: grouped(group.count),
        oldest: Time(group.oldest),
        newest: Time(group.newest),
        chosen: Chosen::of_group(webhook, group.reason),
        can_act: group.reason.choosing().is_some(),
    }
}

/// Why something failed, in a few words.
pub(super) fn title(reason: Reason) -> String {
    match (reason.cause, reason.status) {
        (Some(Cause::Status) | None, _) | (_, None) => words::reason(reason.cause, reason.status),
        (Some(cause), Some(status)) => format!("{}, after {status}", words::title(cause)),
    }
}

async fn under_way(access: &Granted<ReadWebhooks>, known: &mut Known) -> Result<Vec<UnderWay>, Problem> {
    let page = Page { limit: JOBS, after: None };
    let jobs = access.store().list_jobs(access.tenant.key, page).await?;
    let mut shown = Vec::new();
    for job in jobs.items.iter().filter(|job| job.state == JobState::Running) {
        let what = match job.kind {
            JobKind::RetryFailed => "Retrying what failed",
            JobKind::Discard => "Discarding what failed",
            JobKind::Replay => continue,
        };
        let webhook = known.webhook(access.store(), job.webhook).await?;
        let webhook = webhook.map(|own| (own.id.to_string(), visible(&own.settings.name)));
        shown.push(UnderWay { what, webhook, progress: progress(job) });
    }
    Ok(shown)
}

fn progress(job: &Job) -> String {
    let done = grouped(job.done);
    job.total.map_or_else(
        || format!("{done} so far"),
        |total| format!("{done} of {}", counted(total, "invocation", "invocations")),
    )
}

/// What a form chooses: one webhook, and one reason.
async fn chosen(access: &Granted<WriteWebhooks>, chosen: &Chosen) -> Result<(Webhook, Reason), Problem> {
    let reason = chosen.reason()?;
    let webhook = chosen.webhook(access).await?.ok_or_else(Problem::not_found)?;
    // Without a reason everything of the webhook would be meant.
    let none = || Problem::parameter("cause", "is required: why it failed");
    Ok((webhook, reason.choosing().ok_or_else(none)?))
}

/// Starts retrying a group.
pub(super) async fn retry(
    Posted { visit, access, fields }: Posted<WriteWebhooks>,
) -> Result<Response, Problem> {
    let (webhook, reason) = chosen(&access, &Chosen::of_fields(&fields)).await?;
    let (tenant, by) = (access.tenant.key, access.by());
    let job = access.engine().retry_failed(tenant, webhook.key, Some(reason), None, by).await?;
    let base = visit.base_of(&access.tenant);
    Ok(lead_with(&visit, format!("{base}/failed"), &Note::JobStarted(job.key)))
}

/// `/dashboard/t/{tenant}/failed/discard`: what is about to be discarded.
pub(super) async fn ask(
    Entered { visit, access }: Entered<WriteWebhooks>,
    query: Query,
) -> Result<Response, Problem> {
    page(&discard_page(&visit, &access, Chosen::of_query(&query)).await?)
}

async fn discard_page(
    visit: &Visit,
    access: &Granted<WriteWebhooks>,
    asked: Chosen,
) -> Result<DiscardPage, Problem> {
    let (webhook, reason) = chosen(access, &asked).await?;
    let (store, tenant) = (access.store(), access.tenant.key);
    let FailedCount { count, capped } =
        store.count_failed(tenant, webhook.key, Some(reason), FAILED_COUNTED).await?;
    Ok(DiscardPage {
        frame: Frame::new(visit, Section::Failed, "Discard what failed"),
        webhook: webhook.id.to_string(),
        name: visible(&webhook.settings.name),
        title: title(reason),
        count,
        counted: format!(
            "{}{}",
            if capped { "at least " } else { "" },
            counted(count, "failed invocation", "failed invocations")
        ),
        chosen: asked,
        typed: String::new(),
        fault: None,
    })
}

/// Starts discarding a group, of which the count or the word was typed.
pub(super) async fn discard(
    Posted { visit, access, fields }: Posted<WriteWebhooks>,
) -> Result<Response, Problem> {
    let asked = Chosen::of_fields(&fields);
    let typed = fields.trimmed("confirm");
    let is_count = !typed.is_empty() && typed.replace(',', "") == fields.trimmed("count");
    if typed != WORD && !is_count {
        let mut page = discard_page(&visit, &access, asked).await?;
        typed.clone_into(&mut page.typed);
        page.fault = Some(format!("Type {WORD}, or the count, to go on. Nothing was discarded."));
        return page_of(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    let (webhook, reason) = chosen(&access, &asked).await?;
    let (tenant, by) = (access.tenant.key, access.by());
    let job = access.engine().discard_failed(tenant, webhook.key, Some(reason), by).await?;
    let base = visit.base_of(&access.tenant);
    Ok(lead_with(&visit, format!("{base}/failed"), &Note::JobStarted(job.key)))
}
