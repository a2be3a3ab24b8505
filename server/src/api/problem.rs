//! Errors as `application/problem+json` (RFC 9457): the one table from what
//! went wrong to a status.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use callboard_domain::access::Scope;
use callboard_domain::fault::Fault;
use callboard_domain::store::{RecordError, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

/// Seconds after which a client may try again when the database can't be used.
const RETRY_AFTER: &str = "2";

/// What a client gets instead of what it asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDocument {
    /// What kind of problem it is, as a URN that does not change.
    #[serde(rename = "type")]
    #[schema(example = "urn:callboard:problem:invalid-input")]
    kind: String,
    /// The kind in words.
    #[schema(example = "Bad Request")]
    title: String,
    /// The HTTP status.
    #[schema(example = 400)]
    status: u16,
    /// What happened this time.
    detail: String,
    /// Every fault of the input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<InputFault>,
    /// Of `/readyz`: `starting`, `degraded` or `draining`.
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<&'static str>,
}

/// One fault of an input.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InputFault {
    /// JSON pointer (RFC 6901) into the body; the empty text is the whole body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/subject/id")]
    pointer: Option<String>,
    /// The parameter of the path or the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// What is wrong, and what would be right.
    detail: String,
}

/// An answer that is a problem. Boxed, because it is the unlikely side of the
/// result of nearly every function here.
///
/// It stays with the response that it becomes, so that the routes of another
/// dialect can say the same in their own form.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    errors: Vec<InputFault>,
    condition: Option<&'static str>,
    header: Option<(header::HeaderName, String)>,
}

impl Problem {
    /// A problem that its status explains.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let kind = match status {
            StatusCode::UNAUTHORIZED => "unauthenticated",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::NOT_FOUND => "not-found",
            StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
            StatusCode::NOT_ACCEPTABLE => "not-acceptable",
            StatusCode::REQUEST_TIMEOUT => "too-slow",
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => "conflict",
            StatusCode::PAYLOAD_TOO_LARGE => "too-large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported-media-type",
            StatusCode::TOO_MANY_REQUESTS => "too-many",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            status if status.is_client_error() => "invalid-input",
            _ => "internal",
        };
        let (errors, condition, header) = (Vec::new(), None, None);
        Self(Box::new(Parts { status, kind, detail: detail.into(), errors, condition, header }))
    }

    /// The same, of another kind than its status says.
    pub fn of_kind(mut self, kind: &'static str) -> Self {
        self.0.kind = kind;
        self
    }

    /// What kind of problem it is, in one word.
    pub fn kind(&self) -> &'static str {
        self.0.kind
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What happened, for people.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The faults of the input: the place of each, as a JSON pointer into the
    /// body or as the name of a parameter, and what is wrong there.
    pub fn places(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.errors.iter().map(|fault| {
            let place = fault.pointer.as_deref().or(fault.parameter.as_deref());
            (place.unwrap_or_default(), &*fault.detail)
        })
    }

    fn with_errors(mut self, errors: Vec<InputFault>) -> Self {
        self.0.errors = errors;
        self
    }

    /// The same, of a server in this condition.
    pub(super) fn with_condition(mut self, condition: &'static str) -> Self {
        self.0.condition = Some(condition);
        self
    }

    fn with_header(mut self, header: Option<(header::HeaderName, String)>) -> Self {
        self.0.header = header;
        self
    }

    /// The body has these faults.
    pub fn faults(faults: Vec<Fault>) -> Self {
        let too_large = faults.iter().any(|fault| fault.too_large);
        let status = if too_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
        let detail = match faults.len() {
            1 => "the body has a fault".to_owned(),
            count => format!("the body has {count} faults"),
        };
        let error =
            |fault: Fault| InputFault { pointer: Some(fault.pointer), parameter: None, detail: fault.detail };
        Self::new(status, detail).with_errors(faults.into_iter().map(error).collect())
    }

    /// A parameter of the path or the query is wrong.
    pub fn parameter(name: &str, detail: &(impl ToString + ?Sized)) -> Self {
        let error =
            InputFault { pointer: None, parameter: Some(name.to_owned()), detail: detail.to_string() };
        let detail = format!("the parameter {name} has a fault");
        Self::new(StatusCode::BAD_REQUEST, detail).with_errors(vec![error])
    }

    /// Several parameters of the query are wrong: their names, and what is wrong
    /// with each.
    pub fn parameters(faults: Vec<(String, String)>) -> Self {
        let detail = match faults.len() {
            1 => "a parameter has a fault".to_owned(),
            count => format!("the parameters have {count} faults"),
        };
        let error = |(name, detail)| InputFault { pointer: None, parameter: Some(name), detail };
        Self::new(StatusCode::BAD_REQUEST, detail).with_errors(faults.into_iter().map(error).collect())
    }

    /// There is no such thing, or it is another tenant's.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing here")
    }

    /// No route has this path, whoever asks.
    pub fn no_such_path() -> Self {
        let detail = "there is no such path; the API is below /v1, /viagogo/v2 and /openticket, its reference at \
                      /docs, and the pages for people at /dashboard";
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The request says not, or wrongly, who is asking (RFC 6750 section 3).
    pub fn unauthenticated(detail: &str, token_given: bool) -> Self {
        let challenge = if token_given {
            "Bearer realm=\"callboard\", error=\"invalid_token\"".to_owned()
        } else {
            "Bearer realm=\"callboard\"".to_owned()
        };
        let header = Some((header::WWW_AUTHENTICATE, challenge));
        Self::new(StatusCode::UNAUTHORIZED, detail).with_header(header)
    }

    /// The token does not allow this.
    pub fn lacks(scope: Scope) -> Self {
        let name = scope.as_str();
        let challenge = format!("Bearer realm=\"callboard\", error=\"insufficient_scope\", scope=\"{name}\"");
        let header = Some((header::WWW_AUTHENTICATE, challenge));
        Self::new(StatusCode::FORBIDDEN, format!("this needs the scope {name}")).with_header(header)
    }

    /// No scope allows this: it is for the operator.
    pub fn operator_only() -> Self {
        let challenge = "Bearer realm=\"callboard\", error=\"insufficient_scope\"".to_owned();
        let detail = "only the operator may do this; a client's token is not enough";
        Self::new(StatusCode::FORBIDDEN, detail).with_header(Some((header::WWW_AUTHENTICATE, challenge)))
    }

    /// The id at this pointer is taken by another event.
    pub fn conflict_of(pointer: &str) -> Self {
        let detail = "another event was published under this id".to_owned();
        let fault = InputFault { pointer: Some(pointer.to_owned()), parameter: None, detail };
        let detail = "an id is taken by another event; nothing was recorded";
        Self::new(StatusCode::CONFLICT, detail).with_errors(vec![fault])
    }

    /// Not now, but after so many seconds.
    pub fn too_many(detail: &str, wait: u64) -> Self {
        let header = Some((header::RETRY_AFTER, wait.to_string()));
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail).with_header(header)
    }

    /// The request did not come to an end, so nothing can follow it.
    pub fn too_slow(detail: impl Into<String>) -> Self {
        let header = Some((header::CONNECTION, "close".to_owned()));
        Self::new(StatusCode::REQUEST_TIMEOUT, detail).with_header(header)
    }

    /// Somebody else has to be asked who this is, and can't be.
    pub fn issuer_unavailable(detail: String) -> Self {
        let header = Some((header::RETRY_AFTER, RETRY_AFTER.to_owned()));
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_header(header)
    }

    fn unavailable() -> Self {
        let detail = "the database can't be used at the moment; nothing was changed, try again";
        let header = Some((header::RETRY_AFTER, RETRY_AFTER.to_owned()));
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_header(header)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(internal) => {
                tracing::warn!(internal, "a request could not be served");
                Self::unavailable()
            }
            StoreError::Corrupt(internal) => {
                tracing::error!(internal, "a request could not be served");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here; the log says what")
            }
        }
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Conflict(index) => Self::conflict_of(&format!("/{index}/id")),
            RecordError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kept = self.clone();
        let Parts { status, kind, detail, errors, condition, header } = *self.0;
        let document = ProblemDocument {
            kind: format!("urn:callboard:problem:{kind}"),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail,
            errors,
            condition,
        };
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = header
            && let Ok(value) = HeaderValue::try_from(value)
        {
            headers.insert(name, value);
        }
        response.extensions_mut().insert(kept);
        response
    }
}
