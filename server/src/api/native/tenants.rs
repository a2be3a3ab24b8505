//! `/v1/tenants`: for the operator only.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use callboard_domain::access::Tenant;
use callboard_domain::clock::Timestamp;
use callboard_domain::id::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::auth::Operator;
use crate::api::page::{Items, PageQuery};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, JsonText, Parameters};
use crate::api::tenants;

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
    let tenant = tenants::make(&operator, tenants::read_new(body.single()?)?).await?;
    let location = format!("/v1/tenants/{}", tenant.id);
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
    Ok(Json(tenants::find(&operator, &id).await?.into()))
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
    let tenant = tenants::find(&operator, &id).await?;
    let edited = tenants::edit(&operator, tenant, tenants::read_change(body.single()?)?).await?;
    Ok(Json(edited.into()))
}
