//! The token endpoint: `client_credentials` of OAuth 2 (RFC 6749 section 4.4).

use std::net::IpAddr;

use axum::Json;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use callboard_domain::access::token_request::{TokenRequest, basic_credentials};
use callboard_domain::access::{Client, Scopes};
use callboard_domain::id::ClientId;
use serde::Serialize;
use utoipa::ToSchema;

use super::peer::{Peer, origin};
use super::problem::Problem;
use super::read;
use super::state::{Inner, State};

/// Largest form, in bytes: anybody can send one.
const MAX_FORM: usize = 64 * 1024;

/// An access token (RFC 6749 section 5.1).
#[derive(Serialize, ToSchema)]
pub struct TokenAnswer {
    access_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// Seconds until it ends.
    #[schema(example = 3600)]
    expires_in: u32,
    /// What it allows, space-delimited.
    #[schema(example = "read:webhooks write:webhooks")]
    scope: String,
}

/// Why there is no token (RFC 6749 section 5.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenError {
    /// The code of the RFC.
    #[schema(example = "invalid_client")]
    error: &'static str,
    /// What is wrong, for developers.
    error_description: String,
}

/// The form that asks for a token.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form that the domain reads")]
pub struct TokenForm {
    /// `client_credentials`.
    grant_type: Option<String>,
    /// Space-delimited; left out, everything that the client has.
    scope: Option<String>,
    /// Unless it is sent by HTTP Basic.
    client_id: Option<String>,
    /// Unless it is sent by HTTP Basic.
    client_secret: Option<String>,
}

/// Exchange a client's id and secret for an access token.
///
/// The client names itself by HTTP Basic or in the form.
#[utoipa::path(
    post, path = "/oauth2/token", operation_id = "issue_token", tag = "access", security(()),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A token", body = TokenAnswer),
        (status = 400, description = "The request is wrong", body = TokenError),
        (status = 401, description = "The client is unknown, disabled, or its secret wrong", body = TokenError),
        (status = 429, description = "Too many wrong secrets came from this address; try again after `Retry-After` seconds", body = TokenError),
    )
)]
pub(super) async fn issue_token(Shared(state): Shared<State>, request: Request) -> Response {
    let headers = request.headers().clone();
    let origin = origin(Peer::of(&state, request.extensions(), &headers).address);
    match read::body_up_to(request.into_body(), MAX_FORM).await {
        Ok(body) => match grant(&state.inner, &headers, &body, origin).await {
            Ok(answer) => not_stored(Json(answer)),
            Err(refusal) => refusal.into_response(),
        },
        Err(problem) => problem.into_response(),
    }
}

/// Tokens and refusals must not be kept by anybody on the way.
fn not_stored(answer: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], answer).into_response()
}

enum Refusal {
    Error(StatusCode, TokenError),
    /// After so many seconds it may be tried again.
    SlowDown(u64),
    Problem(Problem),
}

impl Refusal {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        let status =
            if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        Self::Error(status, TokenError { error, error_description: description.into() })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::SlowDown(wait) => {
                let error_description = format!("too many wrong secrets; try again in {wait} seconds");
                let error = TokenError { error: "slow_down", error_description };
                let after = [(header::RETRY_AFTER, wait.to_string())];
                not_stored((StatusCode::TOO_MANY_REQUESTS, after, Json(error)))
            }
            Self::Error(StatusCode::UNAUTHORIZED, error) => {
                let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"callboard\"")];
                not_stored((StatusCode::UNAUTHORIZED, challenge, Json(error)))
            }
            Self::Error(status, error) => not_stored((status, Json(error))),
        }
    }
}

async fn grant(
    inner: &Inner,
    headers: &HeaderMap,
    body: &[u8],
    origin: IpAddr,
) -> Result<TokenAnswer, Refusal> {
    let form = read_form(headers, body)?;
    match form.grant_type.as_deref() {
        Some("client_credentials") => {}
        None => {
            return Err(Refusal::new("invalid_request", "grant_type is missing; send client_credentials"));
        }
        Some(_) => {
            return Err(Refusal::new("unsupported_grant_type", "only client_credentials is supported"));
        }
    }
    let (id, secret) = credentials(headers, &form)?;
    let client = recognise(inner, &id, &secret, origin).await?;
    let scopes = match &form.scope {
        None => client.scopes,
        Some(text) => {
            let asked: Scopes =
                text.parse().map_err(|fault| Refusal::new("invalid_scope", format!("{fault}")))?;
            asked.intersection(client.scopes)
        }
    };
    if scopes.is_empty() {
        return Err(Refusal::new("invalid_scope", format!("the client has only: {}", client.scopes)));
    }
    let token = inner.tokens.issue(&client, scopes, inner.clock.now()).ok_or_else(|| {
        Refusal::Problem(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the token can't be signed"))
    })?;
    inner.directory.note_use(&client.id).await;
    Ok(TokenAnswer {
        access_token: token,
        token_type: "bearer",
        expires_in: inner.tokens.seconds,
        scope: scopes.to_string(),
    })
}

/// The client that has this id and secret.
///
/// Secrets are random, so no number of guesses gets near one. What is limited is
/// what guessing costs here, and nobody is locked out by it: a right secret is
/// taken however many wrong ones came before, unless its client was never heard
/// of since the start and the address guesses at too many.
async fn recognise(inner: &Inner, id: &str, secret: &str, origin: IpAddr) -> Result<Client, Refusal> {
    let guesses = &inner.guesses;
    let id: Option<ClientId> = id.parse().ok();
    let by_address = guesses.secrets.wait(&origin);
    let by_client = id.clone().and_then(|id| guesses.clients.wait(&(id, origin)));
    let client = match &id {
        Some(id) if by_address.or(by_client).is_none() => {
            // Not from memory: a client that was just disabled gets no token.
            inner.store.client(id).await.map_err(|error| Refusal::Problem(error.into()))?
        }
        // From memory: these may come as fast as they can.
        Some(id) if by_address.is_none() || inner.directory.is_proven(id) => {
            let client = inner.directory.client(id).await.map_err(|error| Refusal::Problem(error.into()))?;
            client.map(|client| Client::clone(&client))
        }
        _ => None,
    };
    if let Some(client) = client.filter(|client| client.enabled && client.knows(secret)) {
        inner.directory.prove(&client.id);
        return Ok(client);
    }
    guesses.secrets.record(origin);
    if let Some(id) = id {
        guesses.clients.record((id, origin));
    }
    let detail = "the client is unknown or disabled, or its secret is wrong";
    Err(match by_address.max(by_client) {
        Some(wait) => Refusal::SlowDown(wait),
        None => Refusal::new("invalid_client", detail),
    })
}

fn read_form(headers: &HeaderMap, body: &[u8]) -> Result<TokenRequest, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        return Err(Refusal::new("invalid_request", "send a form: application/x-www-form-urlencoded"));
    }
    TokenRequest::read(body).map_err(|fault| Refusal::new("invalid_request", fault.to_string()))
}

/// The client's id and secret, from HTTP Basic or from the form, not both.
fn credentials(headers: &HeaderMap, form: &TokenRequest) -> Result<(String, String), Refusal> {
    if let Some(header) = headers.get(header::AUTHORIZATION) {
        if form.client_secret.is_some() {
            return Err(Refusal::new(
                "invalid_request",
                "send the secret by HTTP Basic or in the form, not both",
            ));
        }
        let basic = header.to_str().ok().and_then(basic_credentials);
        return basic
            .ok_or_else(|| Refusal::new("invalid_client", "the Authorization header is no HTTP Basic"));
    }
    match (&form.client_id, &form.client_secret) {
        (Some(id), Some(secret)) => Ok((id.clone(), secret.clone())),
        _ => Err(Refusal::new(
            "invalid_client",
            "send client_id and client_secret, by HTTP Basic or in the form",
        )),
    }
}
