//! `/v1/tenants`: for the operator only.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use callboard_domain::access::Tenant;
use callboard_domain::clock::Timestamp;
use callboard_domain::fault::Faults;
use callboard_domain::id::TenantId;
use callboard_domain::json::Members;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::auth::Operator;
use crate::api::page::{Items, PageQuery};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, JsonText, Parameters, whole};

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantView {
    #[schema(example = "acme")]
    id: String,
    #[schema(example = "Acme Concerts")]
    name: String,
    /// How long its events are kept; null for the deployment's setting.
    retention_seconds: Option<u32>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            name: tenant.name,
            retention_seconds: tenant.retention_seconds,
            created_at: tenant.created_at,
        }
    }
}

/// A tenant to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a body that is read naming every fault")]
pub struct NewTenant {
    /// It can't be changed later.
    #[schema(example = "acme", pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    id: String,
    /// What people call it; the id if left out.
    #[schema(example = "Acme Concerts", pattern = "^[^\\u0000]+$", max_length = 255)]
    name: Option<String>,
    /// How long its events are kept; null for the deployment's setting.
    #[schema(minimum = 60, maximum = 315_360_000)]
    retention_seconds: Option<u32>,
}

/// What is to change of a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a body that is read naming every fault")]
pub struct TenantChange {
    /// What people call it.
    #[schema(example = "Acme Concerts", pattern = "^[^\\u0000]+$", max_length = 255)]
    name: Option<String>,
    /// How long its events are kept; null for the deployment's setting.
    #[schema(minimum = 60, maximum = 315_360_000)]
    retention_seconds: Option<u32>,
}

/// What the input says of the retention.
enum Retention {
    LeftOut,
    /// `None` for the deployment's setting.
    Given(Option<u32>),
}

struct Input {
    id: Option<TenantId>,
    name: Option<String>,
    retention: Retention,
}

fn read(text: &str, known: &[&str]) -> Result<Input, Problem> {
    let mut faults = Faults::new();
    let input = Members::read(text, &mut faults).map(|members| {
        members.refuse_unknown(known, &mut faults);
        if known.contains(&"id") && members.get("id").is_none() {
            faults.member("id", "is required");
        }
        let id = members.string("id", &mut faults);
        let id = id.and_then(|id| id.parse().map_err(|fault| faults.member("id", fault)).ok());
        let name = members.string("name", &mut faults);
        if name
            .as_ref()
            .is_some_and(|name| name.is_empty() || name.chars().count() > 255 || name.contains('\0'))
        {
            faults.member("name", "must be 1 to 255 characters long, without U+0000");
        }
        let given = members.iter().any(|(name, _)| name == "retention_seconds");
        let retention = members.get("retention_seconds").and_then(|raw| {
            let seconds = whole(raw.get()).filter(|seconds| (60..=315_360_000).contains(seconds));
            if seconds.is_none() {
                faults.member("retention_seconds", "must be a whole number from 60 to 315360000, or null");
            }
            seconds
        });
        Input { id, name, retention: if given { Retention::Given(retention) } else { Retention::LeftOut } }
    });
    faults.finish(input).map_err(Problem::faults)
}

/// Make a tenant.
#[utoipa::path(
    post, path = "/v1/tenants", operation_id = "create_tenant", tag = "access", request_body = NewTenant,
    responses(
        (status = 201, description = "Made", body = TenantView),
        (status = 400, description = "Faults, each with its JSON pointer", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "There is one with this id", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn create(operator: Operator, body: JsonText) -> Result<impl IntoResponse, Problem> {
    let input = read(&body.text, &["id", "name", "retention_seconds"])?;
    let id = input.id.ok_or_else(Problem::not_found)?;
    let name = input.name.unwrap_or_else(|| id.to_string());
    let location = format!("/v1/tenants/{id}");
    let retention = match input.retention {
        Retention::LeftOut => None,
        Retention::Given(seconds) => seconds,
    };
    let made = operator.store().create_tenant(id, name, retention, operator.by()).await?;
    let tenant = made.ok_or_else(|| Problem::new(StatusCode::CONFLICT, "there is a tenant with this id"))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(TenantView::from(tenant))))
}

/// List tenants, newest first.
#[utoipa::path(
    get, path = "/v1/tenants", operation_id = "list_tenants", tag = "access", params(PageQuery),
    responses((status = 200, description = "A page of tenants", body = Items<TenantView>))
)]
pub(in crate::api) async fn list(
    operator: Operator,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Items<TenantView>>, Problem> {
    let listed = operator.store().list_tenants(query.page()?).await?;
    Ok(Json(Items::new(listed.items.into_iter().map(TenantView::from).collect(), listed.next)))
}

/// Show one tenant.
#[utoipa::path(
    get, path = "/v1/tenants/{id}", operation_id = "show_tenant", tag = "access", params(("id" = String, Path, description = "The tenant's id")),
    responses(
        (status = 200, description = "The tenant", body = TenantView),
        (status = 404, description = "No such tenant", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    operator: Operator,
    Id(id): Id<TenantId>,
) -> Result<Json<TenantView>, Problem> {
    let tenant = operator.store().tenant(&id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(tenant.into()))
}

/// Edit a tenant: what is left out stays as it is.
#[utoipa::path(
    patch, path = "/v1/tenants/{id}", operation_id = "edit_tenant", tag = "access", request_body = TenantChange, params(("id" = String, Path, description = "The tenant's id")),
    responses(
        (status = 200, description = "The tenant as it is now", body = TenantView),
        (status = 400, description = "Faults, each with its JSON pointer", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No such tenant", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn edit(
    operator: Operator,
    Id(id): Id<TenantId>,
    body: JsonText,
) -> Result<Json<TenantView>, Problem> {
    let tenant = operator.store().tenant(&id).await?.ok_or_else(Problem::not_found)?;
    let input = read(&body.text, &["name", "retention_seconds"])?;
    let name = input.name.unwrap_or(tenant.name);
    let retention = match input.retention {
        Retention::LeftOut => tenant.retention_seconds,
        Retention::Given(seconds) => seconds,
    };
    let edited = operator.store().update_tenant(&id, name, retention, operator.by()).await?;
    Ok(Json(edited.ok_or_else(Problem::not_found)?.into()))
}
