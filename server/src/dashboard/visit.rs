//! A visit: who asks for a page, for which tenant, and how they like to see it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, RawPathParams, Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use callboard_domain::access::{Scopes, Tenant, digest, random_token};
use callboard_domain::audit::{Actor, By};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::TenantId;
use callboard_domain::portal::PortalLink;

use super::note::Note;
use super::{cookies, frame};
use crate::api::State;
use crate::api::auth::{DEFAULT_TENANT, Granted, Needed, Operator};
use crate::api::links::Links;
use crate::api::peer::Peer;
use crate::api::problem::Problem;

/// How long the operator's session lasts.
pub(super) const OPERATOR_SESSION: Duration = Duration::from_hours(12);

/// What a page may load and where its forms may lead: here, and nowhere else.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// Whoever has a session.
#[derive(Debug, Clone)]
pub(super) enum Who {
    /// They showed the operator's token.
    Operator,
    /// They came by a portal link.
    Guest(PortalLink),
}

/// A session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) who: Who,
    /// What the cookie says.
    pub(super) token: String,
    /// When it ends.
    pub(super) ends: Timestamp,
}

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theme {
    /// As the system has it.
    System,
    Light,
    Dark,
}

impl Theme {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(super) fn read(text: &str) -> Self {
        [Self::Light, Self::Dark].into_iter().find(|theme| theme.as_str() == text).unwrap_or(Self::System)
    }
}

/// One request for a page.
#[derive(Clone)]
pub(super) struct Visit(Arc<Facts>);

/// What is known of it.
pub(super) struct Facts {
    pub(super) state: State,
    pub(super) session: Option<Session>,
    /// The tenant of the address, if the visitor may see it.
    pub(super) tenant: Option<Arc<Tenant>>,
    pub(super) theme: Theme,
    /// Whether keys do something.
    pub(super) keys: bool,
    /// Where the dashboard is: what stands before the paths below it.
    pub(super) root: String,
    /// The address that was asked for, as it is below the server's own.
    pub(super) here: String,
    pub(super) links: Links,
    pub(super) note: Option<Note>,
    /// What forms prove themselves with: of the session, or of who has none.
    pub(super) form_secret: String,
    pub(super) address: IpAddr,
}

impl std::ops::Deref for Visit {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl Facts {
    /// The time of day.
    pub(super) fn now(&self) -> Timestamp {
        self.state.inner.clock.now()
    }

    /// Whether the operator looks.
    pub(super) fn is_operator(&self) -> bool {
        matches!(&self.session, Some(Session { who: Who::Operator, .. }))
    }

    /// What a form has to bring to prove that a page of this visitor made it.
    pub(super) fn form_token(&self) -> String {
        hex(&digest(&format!("form of {}", self.form_secret)))
    }

    /// Whether the session has not ended meanwhile: for answers that go on.
    pub(super) async fn goes_on(&self) -> Result<bool, Problem> {
        let Some(session) = &self.session else { return Ok(false) };
        Ok(session_of(&self.state, session.token.clone()).await?.is_some())
    }

    /// Where the pages of a tenant are.
    pub(super) fn base_of(&self, tenant: &Tenant) -> String {
        format!("{}/t/{}", self.root, tenant.id)
    }

    fn actor(&self) -> Result<(Actor, Scopes, Timestamp), Problem> {
        match &self.session {
            None => Err(signed_out()),
            Some(Session { who: Who::Operator, ends, .. }) => Ok((Actor::Operator, Scopes::all(), *ends)),
            Some(Session { who: Who::Guest(link), ends, .. }) => {
                let actor = Actor::PortalLink { key: link.key, name: link.name.clone() };
                Ok((actor, link.scopes, *ends))
            }
        }
    }

    /// Access to the data of the tenant of the address.
    ///
    /// # Errors
    /// When nobody is signed in, they lack the scope, or there is no such tenant for
    /// them.
    pub(super) fn access<S: Needed>(&self) -> Result<Granted<S>, Problem> {
        let (actor, scopes, ends) = self.actor()?;
        let tenant = self.tenant.clone().ok_or_else(Problem::not_found)?;
        let inner = Arc::clone(&self.state.inner);
        Granted::by_session(inner, tenant, scopes, actor, self.address, ends)
    }

    /// Access to the whole deployment.
    ///
    /// # Errors
    /// When somebody else looks than the operator.
    pub(super) fn operator(&self) -> Result<Operator, Problem> {
        if self.is_operator() {
            return Ok(Operator::by_session(Arc::clone(&self.state.inner), self.address));
        }
        Err(if self.session.is_none() {
            signed_out()
        } else {
            let detail = "It shows the whole deployment, of which a portal link opens one tenant.";
            Problem::new(StatusCode::FORBIDDEN, detail).of_kind("operator-only")
        })
    }
}

/// Nobody is signed in, or no longer.
pub(super) fn signed_out() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "Nobody is signed in here, or the session has ended.")
}

/// The hexadecimal form of a digest.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What of the operator's session stands in the database. It depends on the
/// operator's token too: with a new token all sessions are over.
pub(super) fn operator_digest(state: &State, session: &str) -> [u8; 32] {
    digest(&format!("{session} by {}", hex(state.inner.admin.digest())))
}

/// The session that a request brings, if it has not ended.
async fn session(state: &State, headers: &HeaderMap, links: &Links) -> Result<Option<Session>, Problem> {
    match cookies::read(headers, links, cookies::SESSION) {
        Some(token) => session_of(state, token).await,
        None => Ok(None),
    }
}

/// The session that this token is of, if it has not ended.
async fn session_of(state: &State, token: String) -> Result<Option<Session>, Problem> {
    let inner = &state.inner;
    let now = inner.clock.now();
    if token.starts_with(OPERATOR_PREFIX) {
        let ends = inner.store.operator_session(operator_digest(state, &token), now).await?;
        return Ok(ends.map(|ends| Session { who: Who::Operator, token, ends }));
    }
    let link = inner.store.portal_session(digest(&token), now).await?;
    Ok(link.map(|link| Session { ends: link.expires_at, who: Who::Guest(link), token }))
}

/// The start of the operator's sessions; those of portal links start otherwise.
pub(super) const OPERATOR_PREFIX: &str = "cbo_";

/// The start of sessions that portal links make.
pub(super) const PORTAL_PREFIX: &str = "cbx_";

/// The tenant of the address, for whom it may be: others have none.
async fn tenant(
    state: &State,
    session: Option<&Session>,
    named: Option<&str>,
    address: IpAddr,
) -> Result<Option<Arc<Tenant>>, Problem> {
    let directory = &state.inner.directory;
    let named = named.and_then(|id| id.parse().ok());
    match session.map(|session| &session.who) {
        None => Ok(None),
        Some(Who::Operator) => match named {
            Some(id) => operators(state, id, address).await,
            None => Ok(None),
        },
        Some(Who::Guest(link)) => {
            let own = directory.tenant_by_key(link.tenant).await?;
            Ok(own.filter(|own| named.is_none_or(|id| own.id == id)))
        }
    }
}

/// The tenant that the operator asks for. As with the API, the usual one is there as
/// soon as they do.
pub(super) async fn operators(
    state: &State,
    id: TenantId,
    address: IpAddr,
) -> Result<Option<Arc<Tenant>>, Problem> {
    let directory = &state.inner.directory;
    if id.as_str() != DEFAULT_TENANT {
        return Ok(directory.tenant(&id).await?);
    }
    let by = By { actor: Actor::Operator, address: Some(address), at: directory.now() };
    Ok(Some(directory.tenant_or_make(id, by).await?))
}

/// What comes before each page and after it: who asks is found out first, and what
/// can't be answered becomes a page that says so.
pub(super) async fn receive(Shared(state): Shared<State>, mut request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let visit = match visit(state, &mut request).await {
        Ok(visit) => visit,
        Err(problem) => return guarded(frame::bare(&problem)),
    };
    request.extensions_mut().insert(visit.clone());
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = frame::instead(&visit, &problem, &response);
    }
    let is_page = response.status() == StatusCode::OK;
    let mut remember = |name, value: &str, seconds| {
        if let Ok(value) = HeaderValue::try_from(cookies::set(&visit.links, name, value, seconds)) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    };
    if visit.note.is_some() && is_page && method == Method::GET {
        remember(cookies::NOTE, "", 0);
    }
    if visit.session.is_none() && method == Method::GET {
        remember(cookies::GUEST, &visit.form_secret, 24 * 60 * 60);
    }
    guarded(response)
}

async fn visit(state: State, request: &mut Request) -> Result<Visit, Problem> {
    // What extractors read is lent to them, because the body stays behind.
    let (mut parts, body) = std::mem::take(request).into_parts();
    let links = Links::from_request_parts(&mut parts, &state).await;
    let Peer { address, .. } = Peer::of(&state, &parts.extensions, &parts.headers);
    let params = RawPathParams::from_request_parts(&mut parts, &state).await.ok();
    let named = params.as_ref().and_then(|params| params.iter().find(|(name, _)| *name == "tenant"));
    let named = named.map(|(_, value)| value.to_owned());
    let headers = parts.headers.clone();
    let here = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    *request = Request::from_parts(parts, body);
    let Ok(links) = links;
    let session = session(&state, &headers, &links).await?;
    let tenant = tenant(&state, session.as_ref(), named.as_deref(), address).await?;
    let read = |name| cookies::read(&headers, &links, name);
    let form_secret = match &session {
        Some(session) => session.token.clone(),
        None => read(cookies::GUEST).unwrap_or_else(|| random_token("cbg_", &mut **state.inner.rng.lock())),
    };
    let path = url::Url::parse(&links.base).map(|url| url.path().trim_end_matches('/').to_owned());
    let path = path.unwrap_or_default();
    Ok(Visit(Arc::new(Facts {
        tenant,
        theme: Theme::read(&read(cookies::THEME).unwrap_or_default()),
        keys: read(cookies::KEYS).as_deref() != Some("off"),
        root: format!("{path}/dashboard"),
        here: format!("{path}{here}"),
        note: read(cookies::NOTE).and_then(|text| text.parse().ok()),
        form_secret,
        address,
        session,
        links,
        state,
    })))
}

/// Nothing of a page is stored, framed, or told to other sites: the address of a
/// link is a secret.
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

impl FromRequestParts<State> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Problem> {
        let missing = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "nobody received the visitor");
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

/// Somebody who may see a page of a tenant that needs the scope `S`.
pub(super) struct Entered<S: Needed> {
    pub(super) visit: Visit,
    pub(super) access: Granted<S>,
}

impl<S: Needed> FromRequestParts<State> for Entered<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let visit = Visit::from_request_parts(parts, state).await?;
        let access = visit.access()?;
        Ok(Self { visit, access })
    }
}

/// A part of the path that names a thing; what can't name one names nothing.
pub(super) struct Named<T>(pub(super) T);

impl<T: std::str::FromStr> FromRequestParts<State> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.ok();
        let id = params.as_ref().and_then(|params| params.iter().find(|(name, _)| *name == "id"));
        id.and_then(|(_, text)| text.parse().ok()).map(Self).ok_or_else(Problem::not_found)
    }
}

/// An answer that leads on to another page.
pub(super) fn lead_to(location: String) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// The same, and that page says what was done.
pub(super) fn lead_with(visit: &Visit, location: String, note: &Note) -> Response {
    let cookie = cookies::set(&visit.links, cookies::NOTE, &note.to_string(), 60);
    (StatusCode::SEE_OTHER, [(header::LOCATION, location), (header::SET_COOKIE, cookie)]).into_response()
}
