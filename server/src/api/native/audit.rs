//! `/v1/audit`: who changed what. There is no route that changes it.

use axum::Json;
use callboard_domain::audit::{Entry, EntryFilter};
use callboard_domain::clock::Timestamp;
use callboard_domain::store::{Listed, Page};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::api::auth::{Admin, Granted, Operator};
use crate::api::page;
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::Parameters;

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntryView {
    #[schema(example = "aud_12")]
    id: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    actor: ActorView,
    /// What was done.
    #[schema(example = "webhook.updated")]
    action: String,
    target: TargetView,
    /// What stood before: of a change only what differs, of what is gone all of it.
    /// Secrets are masked.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// What stood afterwards, likewise.
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
    /// The address that the request came from.
    #[schema(example = "203.0.113.7")]
    address: Option<String>,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActorView {
    /// `operator`, `client`, `openid`, `portal_link` or `system`.
    #[schema(example = "client")]
    kind: String,
    /// The id of the client or the portal link, or what the OpenID issuer calls it; otherwise the kind.
    id: String,
    /// What it was called then; may be empty.
    #[schema(example = "Ticket shop")]
    name: String,
}

/// What it was done to.
#[derive(Debug, Serialize, ToSchema)]
pub struct TargetView {
    /// `webhook`, `delivery`, `job`, `client`, `portal_link` or `tenant`.
    #[schema(example = "webhook")]
    kind: String,
    id: String,
}

/// A page of the audit log, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditPage {
    /// The entries. There may be fewer than the limit although more follow.
    items: Vec<AuditEntryView>,
    /// The cursor of the next page; null at the end.
    next: Option<String>,
}

impl From<Listed<Entry>> for AuditPage {
    fn from(listed: Listed<Entry>) -> Self {
        let items = listed.items.into_iter().map(AuditEntryView::from).collect();
        Self { items, next: listed.next.map(page::cursor) }
    }
}

impl From<Entry> for AuditEntryView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.key.to_string(),
            at: entry.at,
            actor: ActorView { kind: entry.actor_kind, id: entry.actor_id, name: entry.actor_name },
            action: entry.action,
            target: TargetView { kind: entry.target_kind, id: entry.target_id },
            before: entry.before,
            after: entry.after,
            address: entry.address,
        }
    }
}

/// Which entries, and which page of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only what this actor did: the id of a client or a portal link, `operator` or
    /// `system`.
    actor: Option<String>,
    /// Only this action, such as `webhook.deleted`, or `webhook.*` for all of a kind.
    #[param(pattern = r"^([a-z_.]+|([a-z_.]*\.)?\*)$", max_length = 64)]
    action: Option<String>,
    /// Only what was done to the thing of this id.
    target: Option<String>,
    /// Only what was done at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// Only what was done before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<String>,
    /// Most items wanted, 1 to 200; 50 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
}

impl AuditQuery {
    fn filter(&self) -> Result<EntryFilter, Problem> {
        let action = self.action.as_deref().map(str::parse).transpose();
        Ok(EntryFilter {
            actor_id: self.actor.clone(),
            action: action.map_err(|fault| Problem::parameter("action", &fault))?,
            target_id: self.target.clone(),
            since: super::events::time("since", self.since.as_deref())?,
            until: super::events::time("until", self.until.as_deref())?,
        })
    }

    fn page(&self) -> Result<Page, Problem> {
        page::page(("limit", self.limit.as_deref()), self.cursor.as_deref())
    }
}

/// List who changed what of the tenant's, newest first.
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "list_audit", tag = "audit", params(AuditQuery),
    responses(
        (status = 200, description = "A page of the audit log", body = AuditPage),
        (status = 400, description = "A parameter is wrong", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn list(
    access: Granted<Admin>,
    Parameters(query): Parameters<AuditQuery>,
) -> Result<Json<AuditPage>, Problem> {
    let tenant = Some(access.tenant.key);
    let listed = access.store().list_audit(tenant, query.filter()?, query.page()?).await?;
    Ok(Json(listed.into()))
}

/// List what was changed of the deployment and belongs to no tenant, such as
/// tenants themselves, newest first. For the operator only.
#[utoipa::path(
    get, path = "/v1/deployment/audit", operation_id = "list_deployment_audit", tag = "audit", params(AuditQuery),
    responses(
        (status = 200, description = "A page of the audit log", body = AuditPage),
        (status = 400, description = "A parameter is wrong", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn list_deployment(
    operator: Operator,
    Parameters(query): Parameters<AuditQuery>,
) -> Result<Json<AuditPage>, Problem> {
    let listed = operator.store().list_audit(None, query.filter()?, query.page()?).await?;
    Ok(Json(listed.into()))
}
