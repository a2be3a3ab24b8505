//! `/v1/jobs`: long work that was started by hand.

use axum::Json;
use callboard_domain::id::JobKey;
use callboard_domain::job::Job;
use callboard_domain::store::StoreError;

use super::deliveries::public_id;
use super::view::JobView;
use crate::api::auth::{Granted, Needed, ReadWebhooks, WriteWebhooks};
use crate::api::page::{Items, PageQuery};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, Parameters};

async fn view<S: Needed>(access: &Granted<S>, job: &Job) -> Result<JobView, StoreError> {
    Ok(JobView::new(job, public_id(access.store(), job.webhook).await?))
}

/// List jobs, newest first.
#[utoipa::path(
    get, path = "/v1/jobs", operation_id = "list_jobs", tag = "jobs", params(PageQuery),
    responses((status = 200, description = "A page of jobs", body = Items<JobView>))
)]
pub(in crate::api) async fn list(
    access: Granted<ReadWebhooks>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Items<JobView>>, Problem> {
    let listed = access.store().list_jobs(access.tenant.key, query.page()?).await?;
    let mut items = Vec::with_capacity(listed.items.len());
    for job in &listed.items {
        items.push(view(&access, job).await?);
    }
    Ok(Json(Items::new(items, listed.next)))
}

/// Show one job and its progress.
#[utoipa::path(
    get, path = "/v1/jobs/{id}", operation_id = "show_job", tag = "jobs", params(("id" = String, Path, description = "The job's id", example = "job_3")),
    responses(
        (status = 200, description = "The job", body = JobView),
        (status = 404, description = "No such job", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    access: Granted<ReadWebhooks>,
    Id(key): Id<JobKey>,
) -> Result<Json<JobView>, Problem> {
    let job = access.store().job(access.tenant.key, key).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(view(&access, &job).await?))
}

/// Stop a job. What it did stays done; a job that has ended stays as it is.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/stop", operation_id = "stop_job", tag = "jobs", params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The job as it is now", body = JobView),
        (status = 404, description = "No such job", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn stop(
    access: Granted<WriteWebhooks>,
    Id(key): Id<JobKey>,
) -> Result<Json<JobView>, Problem> {
    let stopped = access.engine().stop_job(access.tenant.key, key, access.by()).await?;
    let job = stopped.ok_or_else(Problem::not_found)?;
    Ok(Json(view(&access, &job).await?))
}
