//! `/v1/webhooks/{id}/replay`: deliveries that are over are sent again.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::State as DeliveryState;
use callboard_domain::fault::Faults;
use callboard_domain::id::WebhookId;
use callboard_domain::job::Selection;
use callboard_domain::json::Members;
use serde::Serialize;
use utoipa::ToSchema;

use super::events::NO_TIME;
use super::view::JobView;
use crate::api::auth::{Granted, WriteWebhooks};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, JsonText};
use crate::api::webhooks::find;

/// What is sent again when the caller names no states. What was superseded is
/// left out: a newer update took its place.
const STATES: [DeliveryState; 3] =
    [DeliveryState::Delivered, DeliveryState::Failed, DeliveryState::Cancelled];

/// What to send again.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "described to people; the reader below names every fault")]
pub struct ReplayInput {
    /// Only of events accepted at or after this time.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Only of events accepted before this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Only those in one of these states: `delivered`, `failed`, `cancelled`,
    /// `superseded`; all but the last if left out.
    states: Option<Vec<String>>,
    /// Only of this event type.
    #[schema(example = "ticket.updated")]
    r#type: Option<String>,
    /// Only about the subject with this id.
    subject: Option<String>,
    /// Only count, and send nothing.
    dry_run: Option<bool>,
}

/// What a replay would send.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRunView {
    /// Deliveries that are selected now.
    total: u64,
}

fn read(text: &str) -> Result<(Selection, bool), Problem> {
    let mut faults = Faults::new();
    let input = Members::read(text, &mut faults).and_then(|members| {
        members.refuse_unknown(&["since", "until", "states", "type", "subject", "dry_run"], &mut faults);
        if members.get("since").is_none() {
            faults.member("since", "is required: from when on to send again, an RFC 3339 time");
        }
        let since = time(&members, "since", &mut faults);
        let until = time(&members, "until", &mut faults);
        if since.zip(until).is_some_and(|(since, until)| until <= since) {
            faults.member("until", "must be later than since");
        }
        let states = states(&members, &mut faults);
        let type_name = members.string("type", &mut faults);
        let subject_id = members.string("subject", &mut faults);
        let dry_run = members.get("dry_run").map(|raw| serde_json::from_str(raw.get()));
        let dry_run =
            dry_run.unwrap_or(Ok(false)).map_err(|_| faults.member("dry_run", "must be true or false"));
        Some((Selection { since: since?, until, states, type_name, subject_id }, dry_run.ok()?))
    });
    faults.finish(input).map_err(Problem::faults)
}

fn time(members: &Members<'_>, name: &str, faults: &mut Faults) -> Option<Timestamp> {
    members.string(name, faults)?.parse().map_err(|_| faults.member(name, NO_TIME)).ok()
}

fn states(members: &Members<'_>, faults: &mut Faults) -> Vec<DeliveryState> {
    let Some(raw) = members.get("states") else { return STATES.to_vec() };
    let states: Option<Vec<DeliveryState>> = serde_json::from_str(raw.get()).ok();
    let allowed = |states: &Vec<DeliveryState>| {
        !states.is_empty() && states.iter().all(|state| Selection::STATES.contains(state))
    };
    states.filter(allowed).unwrap_or_else(|| {
        let all = Selection::STATES.map(DeliveryState::as_str).join(", ");
        faults.member("states", format!("must be an array of at least one of {all}"));
        Vec::new()
    })
}

/// Send again what of a webhook's deliveries is over, as a job.
///
/// The oldest goes first, and each gets its whole schedule again. What is
/// accepted after the job was started is not its business. A webhook has one
/// replay at a time.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/replay", operation_id = "replay_deliveries", tag = "webhooks", request_body = ReplayInput, params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 200, description = "With `dry_run`: what would be sent", body = DryRunView),
        (status = 202, description = "The job; its progress is at `/v1/jobs/{id}`", body = JobView),
        (status = 400, description = "Faults, each with its JSON pointer", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "A replay of something else is running", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn replay(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
    body: JsonText,
) -> Result<Response, Problem> {
    let webhook = find(&access, id).await?;
    let (selection, dry_run) = read(body.single()?)?;
    if dry_run {
        let total = access.store().count_selected(webhook.key, selection).await?;
        return Ok(Json(DryRunView { total }).into_response());
    }
    let job = access.engine().replay(access.tenant.key, webhook.key, selection.clone()).await?;
    if job.selection.as_ref() != Some(&selection) {
        let detail =
            format!("{} replays something else of this webhook; stop it, or wait for its end", job.key);
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    Ok((StatusCode::ACCEPTED, Json(JobView::new(&job, Some(id.to_string())))).into_response())
}
