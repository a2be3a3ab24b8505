//! Reads bodies, paths and queries, and tells what is wrong with them as a
//! problem.

use std::error::Error;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use callboard_domain::delivery::State as DeliveryState;
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::state::State;
use super::upload::Broken;

/// What is wrong with a text that is no time.
pub const NO_TIME: &str = "must be an RFC 3339 time with an offset, such as 2026-11-21T19:00:00Z";

/// Most bytes that are read of a body after it was found to be too large.
const PASSED_OVER: usize = 8 * 1024 * 1024;

/// The text of a JSON body.
#[derive(Debug)]
pub struct JsonText {
    /// The body.
    pub text: String,
    /// Whether it is one JSON value a line.
    pub lines: bool,
}

impl JsonText {
    /// The body where it has to be a single value.
    ///
    /// # Errors
    /// When it is one value a line.
    pub fn single(&self) -> Result<&str, Problem> {
        if self.lines {
            let detail = "send one JSON object: Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        Ok(&self.text)
    }
}

impl FromRequest<State> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let lines = is_lines(request.headers())?;
        let text = String::from_utf8(body(request.into_body(), state).await?.into())
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body is not UTF-8"))?;
        Ok(Self { text, lines })
    }
}

/// The text of a JSON body that may be left out, or be null.
#[derive(Debug)]
pub struct OptionalJson(pub Option<JsonText>);

impl FromRequest<State> for OptionalJson {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let (parts, sent) = request.into_parts();
        let sent = body(sent, state).await?;
        if [&b""[..], b"null"].contains(&sent.trim_ascii()) {
            return Ok(Self(None));
        }
        let request = Request::from_parts(parts, Body::from(sent));
        JsonText::from_request(request, state).await.map(Some).map(Self)
    }
}

/// Whether the body is NDJSON; anything but JSON is refused.
fn is_lines(headers: &HeaderMap) -> Result<bool, Problem> {
    // As nearly all are.
    if headers.get(CONTENT_TYPE).is_some_and(|named| named == "application/json") {
        return Ok(false);
    }
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match &*kind {
        "application/json" => Ok(false),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(true),
        kind if kind.starts_with("application/") && kind.ends_with("+json") => Ok(false),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send JSON and say so: Content-Type: application/json (or application/x-ndjson, one event a line)",
        )),
    }
}

/// The bytes of a body, up to what the settings say.
pub async fn body(body: Body, state: &State) -> Result<Bytes, Problem> {
    body_up_to(body, state.inner.options.body_limit()).await
}

/// The bytes of a body, up to `most`.
pub async fn body_up_to(mut body: Body, most: usize) -> Result<Bytes, Problem> {
    match Limited::new(&mut body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            pass_over(body).await;
            let detail = format!("the body is larger than {most} bytes; send it in parts");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Err(error) => Err(broken(&*error)),
    }
}

/// Reads what is left of a body that was refused, up to [`PASSED_OVER`]: a client that
/// is still writing when the connection is closed does not get to read the answer.
async fn pass_over(mut body: Body) {
    let mut left = PASSED_OVER;
    while left > 0
        && let Some(Ok(frame)) = body.frame().await
    {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
    }
}

/// Why a body could not be read, as a problem.
pub fn broken(error: &(dyn Error + 'static)) -> Problem {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    if let Some(Broken::TooSlow(time)) = causes.find_map(|error| error.downcast_ref()) {
        return Problem::too_slow(format!("the body was not there within {time:?}; send it in parts"));
    }
    Problem::new(StatusCode::BAD_REQUEST, "the body ended before it was complete")
}

/// The parameters of a query.
#[derive(Debug)]
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<State> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                // The reader names the parameter in quotes, and what is known.
                let fault = rejection.body_text();
                let fault = fault.rsplit_once(": ").map_or(&*fault, |(_, fault)| fault);
                let name = fault.split('`').nth(1).unwrap_or_default();
                Err(Problem::parameter(name, fault))
            }
        }
    }
}

/// The states in a comma-separated parameter `state`; none for all.
pub fn states(text: Option<&str>) -> Result<Vec<DeliveryState>, Problem> {
    let state = |word: &str| {
        let found = DeliveryState::ALL.into_iter().find(|state| state.as_str() == word);
        found.ok_or_else(|| {
            let all = DeliveryState::ALL.map(DeliveryState::as_str).join(", ");
            Problem::parameter("state", &format!("{word:?} is no state; states are {all}"))
        })
    };
    text.map_or(Ok(Vec::new()), |text| text.split(',').map(str::trim).map(state).collect())
}

/// The id in a path. One that can't be an id is an id of nothing.
#[derive(Debug)]
pub struct Id<T>(pub T);

impl<T: std::str::FromStr> FromRequestParts<State> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let parsed = text.ok().and_then(|Path(text)| text.parse().ok());
        parsed.map(Self).ok_or_else(Problem::not_found)
    }
}

/// A whole number, in any way that JSON has of writing it: 60, 60.0, 6e1.
pub fn whole(text: &str) -> Option<u32> {
    let number: f64 = serde_json::from_str(text).ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole and in the range"
    )]
    (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as u32)
}
