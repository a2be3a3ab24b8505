//! Signing in and out: by the operator's token, by a link that signs in once, by a
//! portal link.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use callboard_domain::access::{Tenant, digest, random_token};
use callboard_domain::audit::{Actor, By};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::TenantId;
use callboard_domain::store::{NewSession, Page};
use serde::Deserialize;

use super::cookies;
use super::form::Form;
use super::frame::{Frame, Section, page_of};
use super::visit::{
    OPERATOR_PREFIX, OPERATOR_SESSION, PORTAL_PREFIX, Session, Theme, Visit, Who, lead_to, operator_digest,
    operators,
};
use crate::api::auth::DEFAULT_TENANT;
use crate::api::peer::origin;
use crate::api::problem::Problem;

/// How long a browser keeps what somebody likes.
const A_YEAR: i64 = 365 * 24 * 60 * 60;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    /// Where to go on to.
    next: String,
    fault: Option<String>,
}

#[derive(Template)]
#[template(path = "no_link.html")]
struct NoLinkPage {
    frame: Frame,
    heading: &'static str,
    text: &'static str,
}

/// An address below the dashboard to go on to; anything else leads nowhere.
pub(super) fn onward<'a>(visit: &Visit, next: &'a str) -> Option<&'a str> {
    let below = next.strip_prefix(&*visit.root)?;
    let is_page = below.is_empty() || below.starts_with(['/', '?']);
    let plain = !next.contains(['\\', '\r', '\n']) && !next.starts_with("//");
    (is_page && plain && !below.starts_with("/sign-in")).then_some(next)
}

fn sign_in_page(visit: &Visit, status: StatusCode, next: &str, fault: Option<String>) -> Response {
    let next = onward(visit, next).unwrap_or_default().to_owned();
    let template = SignInPage { frame: Frame::new(visit, Section::Elsewhere, "Sign in"), next, fault };
    page_of(status, &template).unwrap_or_else(IntoResponse::into_response)
}

/// The page to sign in, in the place of one that nobody may see who is not.
pub(super) fn asked_for(visit: &Visit) -> Response {
    sign_in_page(visit, StatusCode::UNAUTHORIZED, &visit.here, None)
}

/// `/dashboard/sign-in`.
pub(super) async fn show(visit: Visit) -> Response {
    if visit.session.is_some() {
        return lead_to(visit.root.clone());
    }
    sign_in_page(&visit, StatusCode::OK, "", None)
}

/// Signs in who shows the operator's token.
pub(super) async fn submit(Form { visit, fields }: Form) -> Result<Response, Problem> {
    let (token, next) = (fields.trimmed("operator_token"), fields.get("next"));
    let inner = &visit.state.inner;
    let from = origin(visit.address);
    let guesses = &inner.guesses.tokens;
    let wait = guesses.wait(&from);
    // What can't be guessed is looked at whoever else shares the address.
    if !(wait.is_some() && inner.admin.guessable) && inner.admin.is(token) {
        return signed_in(&visit, next).await;
    }
    guesses.record(from);
    if let Some(wait) = wait {
        let fault = format!("Too many wrong tokens came from your address. Try again in {wait} s.");
        let mut page = sign_in_page(&visit, StatusCode::TOO_MANY_REQUESTS, next, Some(fault));
        page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        return Ok(page);
    }
    let fault = if token.is_empty() {
        "Paste the operator's token: `callboard serve` has printed it at its first start."
    } else {
        "This is not the operator's token. The tokens of API clients don't open the dashboard; \
         a portal link does."
    };
    Ok(sign_in_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, next, Some(fault.to_owned())))
}

/// A new session of the operator: its token, and what the database keeps.
fn new_session(visit: &Visit, now: Timestamp) -> (String, NewSession) {
    let token = random_token(OPERATOR_PREFIX, &mut **visit.state.inner.rng.lock());
    let expires_at = now.saturating_add(OPERATOR_SESSION).unwrap_or(Timestamp::MAX);
    let digest = operator_digest(&visit.state, &token);
    (token, NewSession { digest, expires_at })
}

fn by_operator(visit: &Visit, now: Timestamp) -> By {
    By { actor: Actor::Operator, address: Some(visit.address), at: now }
}

async fn signed_in(visit: &Visit, next: &str) -> Result<Response, Problem> {
    let now = visit.now();
    let (token, session) = new_session(visit, now);
    visit.state.inner.store.create_operator_session(session, by_operator(visit, now)).await?;
    let next = onward(visit, next).unwrap_or(&visit.root);
    Ok(with_session(visit, next.to_owned(), &token, OPERATOR_SESSION.as_secs().cast_signed()))
}

fn with_session(visit: &Visit, location: String, token: &str, seconds: i64) -> Response {
    let session = cookies::set(&visit.links, cookies::SESSION, token, seconds);
    let mut response = lead_to(location);
    if let Ok(value) = HeaderValue::try_from(session) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// Opens a link that signs the operator in once.
pub(super) async fn open_link(visit: Visit, Path((token,)): Path<(String,)>) -> Result<Response, Problem> {
    let now = visit.now();
    let (session_token, session) = new_session(&visit, now);
    let store = &visit.state.inner.store;
    if store.open_sign_in_link(digest(&token), session, by_operator(&visit, now)).await? {
        let seconds = OPERATOR_SESSION.as_secs().cast_signed();
        return Ok(with_session(&visit, visit.root.clone(), &session_token, seconds));
    }
    no_link(
        &visit,
        "Ask the server for a new one, `callboard sign-in-link`, or sign in by the operator's token.",
    )
}

/// Opens a portal link.
pub(super) async fn open_portal_link(
    visit: Visit,
    Path((token,)): Path<(String,)>,
) -> Result<Response, Problem> {
    let inner = &visit.state.inner;
    let now = visit.now();
    let session = random_token(PORTAL_PREFIX, &mut **inner.rng.lock());
    // The database compares digests: what differs early in them tells nothing of the
    // token.
    let opened =
        inner.store.open_portal_link(digest(&token), digest(&session), Some(visit.address), now).await?;
    let Some(link) = opened else {
        return no_link(&visit, "Ask whoever sent it for a new one.");
    };
    let seconds = link.expires_at.duration_since(now).as_secs();
    Ok(with_session(&visit, visit.root.clone(), &session, seconds))
}

fn no_link(visit: &Visit, advice: &'static str) -> Result<Response, Problem> {
    let guesses = &visit.state.inner.guesses.tokens;
    let from = origin(visit.address);
    let wait = guesses.wait(&from);
    guesses.record(from);
    if let Some(wait) = wait {
        let heading = "Too many wrong links";
        let text = "Many links that open nothing came from your address. Try again in a while.";
        let template = NoLinkPage { frame: Frame::new(visit, Section::Elsewhere, heading), heading, text };
        let mut page = page_of(StatusCode::TOO_MANY_REQUESTS, &template)?;
        page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        return Ok(page);
    }
    let heading = "This link opens nothing";
    let template =
        NoLinkPage { frame: Frame::new(visit, Section::Elsewhere, heading), heading, text: advice };
    page_of(StatusCode::NOT_FOUND, &template)
}

/// Ends the session.
pub(super) async fn sign_out(Form { visit, .. }: Form) -> Result<Response, Problem> {
    let store = &visit.state.inner.store;
    match &visit.session {
        None => {}
        Some(Session { who: Who::Operator, token, .. }) => {
            store.end_operator_session(operator_digest(&visit.state, token)).await?;
        }
        Some(Session { token, .. }) => store.end_portal_session(digest(token)).await?,
    }
    Ok(with_session(&visit, format!("{}/sign-in", visit.root), "", 0))
}

/// Keeps the theme, and whether keys do something.
pub(super) async fn set_preferences(Form { visit, fields }: Form) -> Response {
    let mut response = lead_to(onward(&visit, fields.get("next")).unwrap_or(&visit.root).to_owned());
    let mut keep = |name, value: &str| {
        if let Ok(value) = HeaderValue::try_from(cookies::set(&visit.links, name, value, A_YEAR)) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    };
    if fields.has("theme") {
        keep(cookies::THEME, Theme::read(fields.get("theme")).as_str());
    }
    if fields.has("keys") {
        keep(cookies::KEYS, if fields.get("keys") == "off" { "off" } else { "on" });
    }
    response
}

/// `/dashboard`: where a visitor begins.
pub(super) async fn home(visit: Visit) -> Result<Response, Problem> {
    Ok(lead_to(first_page(&visit).await?))
}

/// The first page of the tenant that the visitor sees first.
async fn first_page(visit: &Visit) -> Result<String, Problem> {
    let directory = &visit.state.inner.directory;
    let tenant = match &visit.session {
        None => return Err(super::visit::signed_out()),
        Some(Session { who: Who::Guest(link), .. }) => directory.tenant_by_key(link.tenant).await?,
        Some(Session { who: Who::Operator, .. }) => Some(operators_tenant(visit).await?),
    };
    let tenant = tenant.ok_or_else(Problem::not_found)?;
    Ok(visit.base_of(&tenant))
}

/// The tenant that an operator sees first: the usual one, or the newest; where there
/// is none yet, the usual one is made.
async fn operators_tenant(visit: &Visit) -> Result<std::sync::Arc<Tenant>, Problem> {
    let inner = &visit.state.inner;
    let usual: TenantId = DEFAULT_TENANT.parse().map_err(|_| Problem::not_found())?;
    if let Some(tenant) = inner.directory.tenant(&usual).await? {
        return Ok(tenant);
    }
    let newest = inner.store.list_tenants(Page { limit: 1, after: None }).await?.items.into_iter().next();
    let id = newest.map_or(usual, |tenant| tenant.id);
    Ok(inner.directory.tenant_or_make(id, by_operator(visit, visit.now())).await?)
}

/// Which tenant the operator chose.
#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    tenant: String,
}

/// Goes to the pages of another tenant.
pub(super) async fn choose_tenant(visit: Visit, Query(choice): Query<Choice>) -> Result<Response, Problem> {
    visit.operator()?;
    let id: TenantId = choice.tenant.trim().parse().map_err(|_| Problem::not_found())?;
    let tenant = operators(&visit.state, id, visit.address).await?.ok_or_else(Problem::not_found)?;
    Ok(lead_to(visit.base_of(&tenant)))
}

/// Pages without their tenant: those of the tenant that the visitor sees first.
pub(super) async fn elsewhere(visit: Visit, Path((rest,)): Path<(String,)>) -> Result<Response, Problem> {
    const PAGES: [&str; 5] = ["webhooks", "events", "failed", "catalogue", "access"];
    let section = rest.split('/').next().unwrap_or_default();
    if visit.session.is_none() {
        return Err(super::visit::signed_out());
    }
    if !PAGES.contains(&section) {
        return Err(Problem::not_found());
    }
    let query = visit.here.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    Ok(lead_to(format!("{}/{rest}{query}", first_page(&visit).await?)))
}
