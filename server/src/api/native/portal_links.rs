//! `/v1/portal-links`: links by which people without a token see a tenant's pages.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use callboard_domain::access::Scopes;
use callboard_domain::clock::Timestamp;
use callboard_domain::id::PortalLinkKey;
use callboard_domain::portal::PortalLink;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::auth::{Admin, Granted};
use crate::api::links::Links;
use crate::api::page::{Items, PageQuery};
use crate::api::portal_links;
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, JsonText, Parameters};
use crate::api::words::ScopeWord;

/// A portal link.
#[derive(Debug, Serialize, ToSchema)]
pub struct PortalLinkView {
    #[schema(example = "ptl_3")]
    id: String,
    /// What people call it; may be empty.
    #[schema(example = "Support at North Hall")]
    name: String,
    /// What may be done by it.
    #[schema(value_type = Vec<ScopeWord>, example = json!(["read:webhooks"]))]
    scopes: Scopes,
    /// `open`, `expired` or `revoked`.
    #[schema(example = "open")]
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ends, and the sessions made from it.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

impl PortalLinkView {
    fn new(link: &PortalLink, now: Timestamp) -> Self {
        Self {
            id: link.key.to_string(),
            name: link.name.clone(),
            scopes: link.scopes,
            state: portal_links::state(link, now),
            created_at: link.created_at,
            expires_at: link.expires_at,
            revoked_at: link.revoked_at,
        }
    }
}

/// A portal link that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedPortalLink {
    #[serde(flatten)]
    link: PortalLinkView,
    /// Where it leads. Shown this once: whoever has it gets in.
    #[schema(example = "https://callboard.example/portal/cbp_XWw54-HN8SpVvRXv6d2eWeKTp49mnKxl9D0QmrZaoWc")]
    url: String,
}

/// What can be said of a portal link. Everything may be left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a body that is read naming every fault")]
pub struct PortalLinkInput {
    /// What people call it.
    #[schema(example = "Support at North Hall", pattern = "^[^\\u0000]*$", max_length = 255)]
    name: Option<String>,
    /// What may be done by it, each of them a scope of the caller; left out,
    /// `read:webhooks`, `write:webhooks` and `read:events`, as far as the caller has
    /// them.
    #[schema(value_type = Option<Vec<ScopeWord>>, example = json!(["read:webhooks"]), min_items = 1)]
    scopes: Option<Vec<String>>,
    /// How long it lives, 60 to 604800; 86400 if left out.
    #[schema(example = 86_400, minimum = 60, maximum = 604_800)]
    lifetime_seconds: Option<u32>,
}

/// Make a portal link for people who have no token.
///
/// Whoever opens it sees the pages of the tenant until it expires or is revoked. It
/// may be opened more than once, and each time is in the audit log.
#[utoipa::path(
    post, path = "/v1/portal-links", operation_id = "create_portal_link", tag = "access", request_body = PortalLinkInput,
    responses(
        (status = 201, description = "Made; its URL is shown this once", body = CreatedPortalLink),
        (status = 400, description = "Faults, each with its JSON pointer", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn create(
    access: Granted<Admin>,
    links: Links,
    body: JsonText,
) -> Result<impl IntoResponse, Problem> {
    let (link, url) = portal_links::make(&access, &links, portal_links::read(body.single()?)?).await?;
    let location = format!("/v1/portal-links/{}", link.key);
    let created = CreatedPortalLink { link: PortalLinkView::new(&link, access.now()), url };
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::CREATED, headers, Json(created)))
}

/// List portal links, newest first. One that has ended is shown for 30 days.
#[utoipa::path(
    get, path = "/v1/portal-links", operation_id = "list_portal_links", tag = "access", params(PageQuery),
    responses((status = 200, description = "A page of portal links", body = Items<PortalLinkView>))
)]
pub(in crate::api) async fn list(
    access: Granted<Admin>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Items<PortalLinkView>>, Problem> {
    let listed = access.store().list_portal_links(access.tenant.key, query.page()?).await?;
    let now = access.now();
    let items = listed.items.iter().map(|link| PortalLinkView::new(link, now)).collect();
    Ok(Json(Items::new(items, listed.next)))
}

/// Show one portal link, without its URL.
#[utoipa::path(
    get, path = "/v1/portal-links/{id}", operation_id = "show_portal_link", tag = "access", params(("id" = String, Path, description = "The portal link's id", example = "ptl_3")),
    responses(
        (status = 200, description = "The portal link", body = PortalLinkView),
        (status = 404, description = "No such portal link", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    access: Granted<Admin>,
    Id(key): Id<PortalLinkKey>,
) -> Result<Json<PortalLinkView>, Problem> {
    let link = access.store().portal_link(access.tenant.key, key).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(PortalLinkView::new(&link, access.now())))
}

/// Revoke a portal link. The sessions made from it end at once.
#[utoipa::path(
    delete, path = "/v1/portal-links/{id}", operation_id = "revoke_portal_link", tag = "access", params(("id" = String, Path, description = "The portal link's id")),
    responses(
        (status = 204, description = "Revoked"),
        (status = 404, description = "No such portal link", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn revoke(
    access: Granted<Admin>,
    Id(key): Id<PortalLinkKey>,
) -> Result<StatusCode, Problem> {
    portal_links::revoke(&access, key).await?;
    Ok(StatusCode::NO_CONTENT)
}
