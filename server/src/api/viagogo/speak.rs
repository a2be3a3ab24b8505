//! What holds for every request of the dialect: how it has to come, which form
//! of answer it accepts, and what its errors look like.

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{CONTENT_TYPE, HAL, render};
use crate::api::peer::Peer;
use crate::api::problem::Problem;
use crate::api::state::State;

/// Checks a request, lets it be answered, and puts the answer into form.
pub(super) async fn speak(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let form = match check(&state, &request) {
        Ok(form) => form,
        Err(problem) => return render(&problem.clone(), problem.into_response()),
    };
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = render(&problem, response);
    }
    if response.headers().contains_key(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form));
    }
    response
}

fn check(state: &State, request: &Request) -> Result<&'static str, Problem> {
    let options = &state.inner.options;
    let headers = request.headers();
    if options.viagogo_requires_https && !Peer::of(state, request.extensions(), headers).https {
        let detail = "send requests by HTTPS";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail).of_kind("https-required"));
    }
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if options.viagogo_requires_user_agent && agent.trim().is_empty() {
        let detail = "say who you are in the header User-Agent";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail).of_kind("user-agent-required"));
    }
    let accepted: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    accepted_form(&accepted.join(",")).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "answers are application/hal+json; accept that, or application/json",
        )
    })
}

/// The form of answer that a client accepts (RFC 9110 section 12.5.1): HAL, or
/// plain JSON for one that accepts only that; `None` when it accepts neither.
fn accepted_form(accept: &str) -> Option<&'static str> {
    if accept.trim().is_empty() {
        return Some(HAL);
    }
    let weight = |wanted: &str| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next()?.to_ascii_lowercase();
            let rank = match &*kind {
                kind if kind == wanted => 2,
                "application/*" => 1,
                "*/*" => 0,
                _ => return None,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0_f32);
            Some((rank, weight))
        });
        // The most specific range counts.
        ranges.max_by_key(|(rank, _)| *rank).map_or(0.0, |(_, weight)| weight)
    };
    let (hal, json) = (weight(HAL), weight("application/json"));
    if hal > 0.0 && hal >= json { Some(HAL) } else { (json > 0.0).then_some("application/json") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_the_client_accepts() {
        for (accept, form) in [
            ("", Some(HAL)),
            ("*/*", Some(HAL)),
            ("application/hal+json", Some(HAL)),
            ("application/json", Some("application/json")),
            ("application/json, application/hal+json", Some(HAL)),
            ("application/json;q=0.9, application/hal+json;q=0.1", Some("application/json")),
            ("application/*;q=0.5", Some(HAL)),
            ("text/html, application/xhtml+xml;q=0.9, */*;q=0.8", Some(HAL)),
            ("text/html", None),
            ("application/hal+json;q=0", None),
            ("application/hal+json;q=0, */*", Some("application/json")),
            ("image/png, text/*", None),
        ] {
            assert_eq!(accepted_form(accept), form, "{accept}");
        }
    }
}
