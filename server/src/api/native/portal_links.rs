//! `/v1/portal-links`: links by which people without a token see a tenant's pages.

use std::time::Duration;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use callboard_domain::access::{Scope, Scopes, digest, random_token};
use callboard_domain::clock::Timestamp;
use callboard_domain::fault::Faults;
use callboard_domain::id::PortalLinkKey;
use callboard_domain::json::Members;
use callboard_domain::portal::PortalLink;
use callboard_domain::store::NewPortalLink;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::auth::{Admin, Granted};
use crate::api::links::Links;
use crate::api::page::{Items, PageQuery};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, JsonText, Parameters, whole};
use crate::api::words::ScopeWord;

/// Seconds that a link lives when nobody says otherwise.
const LIFETIME: u64 = 24 * 60 * 60;

/// Shortest and longest life of a link, in seconds. Links are forwarded and kept in
/// mailboxes, so none should live long.
const LIFETIMES: std::ops::RangeInclusive<u64> = 60..=7 * 24 * 60 * 60;

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
        let state = match link.revoked_at {
            Some(_) => "revoked",
            None if link.is_open(now) => "open",
            None => "expired",
        };
        Self {
            id: link.key.to_string(),
            name: link.name.clone(),
            scopes: link.scopes,
            state,
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

struct Input {
    name: String,
    scopes: Option<Scopes>,
    lifetime: u64,
}

fn read(text: &str) -> Result<Input, Problem> {
    let mut faults = Faults::new();
    let input = Members::read(text, &mut faults).map(|members| {
        members.refuse_unknown(&["name", "scopes", "lifetime_seconds"], &mut faults);
        let name = members.string("name", &mut faults).unwrap_or_default();
        if name.chars().count() > 255 || name.contains('\0') {
            faults.member("name", "must be at most 255 characters long, without U+0000");
        }
        let scopes = members.get("scopes").and_then(|raw| {
            let words: Option<Vec<String>> = serde_json::from_str(raw.get()).ok();
            let Some(words) = words.filter(|words| !words.is_empty()) else {
                faults.member("scopes", "must be an array of at least one scope");
                return None;
            };
            words.join(" ").parse().map_err(|fault| faults.member("scopes", fault)).ok()
        });
        let lifetime =
            members.get("lifetime_seconds").map_or(Some(LIFETIME), |raw| whole(raw.get()).map(u64::from));
        let lifetime = lifetime.filter(|seconds| LIFETIMES.contains(seconds)).unwrap_or_else(|| {
            faults.member("lifetime_seconds", "must be a whole number from 60 to 604800");
            LIFETIME
        });
        Input { name, scopes, lifetime }
    });
    faults.finish(input).map_err(Problem::faults)
}

/// The scopes of the new link: no more than the caller has.
fn scopes(asked: Option<Scopes>, access: &Granted<Admin>) -> Result<Scopes, Problem> {
    let usual = || [Scope::ReadWebhooks, Scope::WriteWebhooks, Scope::ReadEvents].into_iter().collect();
    let given = asked.unwrap_or_else(|| Scopes::intersection(usual(), access.scopes()));
    let fault = if given.is_empty() {
        "is required: the caller has none of the usual scopes".to_owned()
    } else if given.is_subset(access.scopes()) {
        return Ok(given);
    } else {
        format!("must be among the caller's own: {}", access.scopes())
    };
    let mut faults = Faults::new();
    faults.member("scopes", fault);
    faults.finish(None).map_err(Problem::faults)
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
    let input = read(body.single()?)?;
    let scopes = scopes(input.scopes, &access)?;
    let by = access.by();
    let (now, lifetime) = (by.at, Duration::from_secs(input.lifetime));
    let expires_at = now.saturating_add(lifetime).unwrap_or(Timestamp::MAX);
    let token = access.with_rng(|rng| random_token("cbp_", rng));
    let link = NewPortalLink { name: input.name, scopes, token_digest: digest(&token), expires_at };
    let link = access.store().create_portal_link(access.tenant.key, link, by).await?;
    let location = format!("/v1/portal-links/{}", link.key);
    let created = CreatedPortalLink {
        link: PortalLinkView::new(&link, now),
        url: format!("{}/portal/{token}", links.base),
    };
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
    let revoked = access.store().revoke_portal_link(access.tenant.key, key, access.by()).await?;
    revoked.map(|_| StatusCode::NO_CONTENT).ok_or_else(Problem::not_found)
}
