//! What people get who come by a portal link: a session in a cookie, and a page
//! that says whose pages they see. Pages only: the API takes bearer tokens and no
//! cookies, so that no other site can use a session for it.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, middleware};
use callboard_domain::access::{Tenant, digest, random_token};
use callboard_domain::portal::PortalLink;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::links::Links;
use super::peer::{Peer, origin};
use super::problem::Problem;
use super::state::State;

/// What a page may load and where its forms may lead: here, and nowhere else.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// The routes of the portal. They are pages and no part of the API.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/portal/{token}", get(open))
        .route("/dashboard", get(page))
        .route("/dashboard/sign-out", post(sign_out))
        .layer(middleware::map_response(guarded))
}

/// Nothing of a page is stored, framed, or told to other sites: the address of a
/// link is a secret.
async fn guarded(mut response: Response) -> Response {
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

/// The name of the cookie. With the prefix a browser takes it only by HTTPS, from
/// this very host and for all of it; without HTTPS that would not work at all.
fn cookie_name(links: &Links) -> &'static str {
    if links.base.starts_with("https://") { "__Host-callboard" } else { "callboard" }
}

/// A cookie of this value; the empty one ends it.
fn cookie(links: &Links, value: &str, seconds: i64) -> String {
    let name = cookie_name(links);
    let secure = if links.base.starts_with("https://") { "; Secure" } else { "" };
    format!("{name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax{secure}")
}

/// The session's token that the request brings.
fn session_token(headers: &HeaderMap, links: &Links) -> Option<String> {
    let name = cookie_name(links);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
}

/// What a form has to bring to prove that a page of this session made it.
fn form_token(session: &str) -> String {
    digest(&format!("form of {session}")).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

async fn open(
    Shared(state): Shared<State>,
    peer: Peer,
    links: Links,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    let inner = &state.inner;
    let now = inner.clock.now();
    let session = random_token("cbx_", &mut **inner.rng.lock());
    // The database compares digests: what differs early in them tells nothing of the
    // token.
    let opened =
        inner.store.open_portal_link(digest(&token), digest(&session), Some(peer.address), now).await?;
    let Some(link) = opened else {
        let guesses = &inner.guesses.tokens;
        let origin = origin(peer.address);
        let wait = guesses.wait(&origin);
        guesses.record(origin);
        if let Some(wait) = wait {
            let text = "<h1>Too many wrong links</h1>\n<p>Many links that open nothing came from your address. \
                Try again in a while.</p>";
            let after = [(header::RETRY_AFTER, wait.to_string())];
            let page = Html(document("Too many wrong links", text));
            return Ok((StatusCode::TOO_MANY_REQUESTS, after, page).into_response());
        }
        let text = "<h1>This link opens nothing</h1>\n<p>It has expired, was revoked, or is not complete. \
            Ask whoever sent it for a new one.</p>";
        return Ok((StatusCode::NOT_FOUND, Html(document("Link not valid", text))).into_response());
    };
    let seconds = link.expires_at.duration_since(now).as_secs();
    let headers = [
        // Relative, because a proxy may have the program below a path of its own.
        (header::LOCATION, "../dashboard".to_owned()),
        (header::SET_COOKIE, cookie(&links, &session, seconds)),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Somebody with a session.
struct Visitor {
    link: PortalLink,
    tenant: Arc<Tenant>,
    session: String,
}

async fn visitor(state: &State, headers: &HeaderMap, links: &Links) -> Result<Option<Visitor>, Problem> {
    let Some(session) = session_token(headers, links) else { return Ok(None) };
    let inner = &state.inner;
    let Some(link) = inner.store.portal_session(digest(&session), inner.clock.now()).await? else {
        return Ok(None);
    };
    let tenant = inner.directory.tenant_by_key(link.tenant).await?;
    Ok(tenant.map(|tenant| Visitor { link, tenant, session }))
}

async fn page(Shared(state): Shared<State>, headers: HeaderMap, links: Links) -> Result<Response, Problem> {
    let Some(Visitor { link, tenant, session }) = visitor(&state, &headers, &links).await? else {
        let text = "<h1>Nobody is signed in</h1>\n<p>Open the link that you were sent. If you did, it has \
            expired or was revoked.</p>";
        return Ok((StatusCode::UNAUTHORIZED, Html(document("Not signed in", text))).into_response());
    };
    let name = if link.name.is_empty() { link.key.to_string() } else { link.name.clone() };
    let text = format!(
        "<h1>{tenant}</h1>\n<p>You are signed in by the portal link <strong>{name}</strong>, until {until}.</p>\n\
         <p>It allows: {scopes}.</p>\n<p>There are no pages here yet beside this one.</p>\n\
         <form method=\"post\" action=\"dashboard/sign-out\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\n<button>Sign out</button>\n</form>",
        tenant = escaped(&tenant.name),
        name = escaped(&name),
        until = escaped(&link.expires_at.to_string()),
        scopes = escaped(&link.scopes.to_string()),
        token = form_token(&session),
    );
    Ok(Html(document(&tenant.name, &text)).into_response())
}

/// What the form to sign out brings.
#[derive(Deserialize)]
struct SignOut {
    #[serde(default)]
    token: String,
}

async fn sign_out(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    links: Links,
    form: Result<Form<SignOut>, axum::extract::rejection::FormRejection>,
) -> Result<Response, Problem> {
    let Some(session) = session_token(&headers, &links) else {
        return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, "../dashboard")]).into_response());
    };
    let given = form.map(|Form(form)| form.token).unwrap_or_default();
    let wanted = form_token(&session);
    if !is_from_here(&headers, &links) || !bool::from(given.as_bytes().ct_eq(wanted.as_bytes())) {
        let text = "<h1>Not signed out</h1>\n<p>This did not come from the page here. Open the page again, \
            and sign out there.</p>";
        return Ok((StatusCode::FORBIDDEN, Html(document("Not signed out", text))).into_response());
    }
    state.inner.store.end_portal_session(digest(&session)).await?;
    let headers =
        [(header::LOCATION, "../dashboard".to_owned()), (header::SET_COOKIE, cookie(&links, "", 0))];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Whether a form was sent by a page of this very site, as far as the browser says.
fn is_from_here(headers: &HeaderMap, links: &Links) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    // The policy of referrers makes some browsers send "null" for the origin.
    let own = |origin: &str| links.base == origin || links.base.starts_with(&format!("{origin}/"));
    let origin = text("origin").is_none_or(|origin| origin == "null" || own(origin));
    site && origin
}

/// A whole page around `body`, which is HTML.
fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{} - Callboard</title>\n</head>\n\
         <body>\n<main>\n{body}\n</main>\n</body>\n</html>\n",
        escaped(title)
    )
}

/// Text that stands for itself in HTML, between tags and within quotes.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, char| {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_themselves_in_a_page() {
        let page = document("<script>", &escaped("<img src=x onerror='a(\"b\")'> & co"));
        assert!(page.contains("&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt; &amp; co"));
        assert!(!page.contains("<script>") && !page.contains("<img"));
    }
}
