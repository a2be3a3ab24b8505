//! The platform's body of an error: a code, a message, and per field what is
//! wrong with it.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::HAL;
use crate::api::problem::Problem;

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ViagogoError)]
pub struct ErrorDocument {
    /// `invalid_request_body`, `validation_failed`, `unauthorized`,
    /// `insufficient_scope`, `not_found`, `internal_server_error`, and others
    /// that say the same as their status.
    #[schema(example = "validation_failed")]
    code: String,
    /// What happened, for people.
    #[schema(example = "the body has a fault")]
    message: String,
    /// By field, in dotted form: what is wrong with it. Null where no field is
    /// to blame.
    #[schema(value_type = Option<Object>, example = json!({"topics": ["must be one of Sales, ProvisionalSale"]}))]
    errors: Option<Map<String, Value>>,
}

/// The platform's code of a problem.
fn code(problem: &Problem) -> String {
    let whole = problem.places().all(|(place, _)| place.is_empty());
    let code = match (problem.kind(), problem.status()) {
        ("unauthenticated", _) => "unauthorized",
        ("forbidden", _) => "insufficient_scope",
        ("internal", _) => "internal_server_error",
        // What can't be read at all has no field to blame.
        ("invalid-input", StatusCode::BAD_REQUEST) if whole => "invalid_request_body",
        ("invalid-input", StatusCode::BAD_REQUEST) => "validation_failed",
        (kind, _) => return kind.replace('-', "_"),
    };
    code.to_owned()
}

/// The field that a JSON pointer leads to; elements of a list are the list.
fn field(place: &str) -> String {
    let names = place.split('/').filter(|part| !part.is_empty() && part.parse::<usize>().is_err());
    names.map(|part| part.replace("~1", "/").replace("~0", "~")).collect::<Vec<_>>().join(".")
}

impl From<&Problem> for ErrorDocument {
    fn from(problem: &Problem) -> Self {
        let mut errors: Map<String, Value> = Map::new();
        for (place, detail) in problem.places().filter(|(place, _)| !place.is_empty()) {
            let messages = errors.entry(field(place)).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(messages) = messages {
                messages.push(detail.into());
            }
        }
        let whole: Vec<&str> =
            problem.places().filter(|(place, _)| place.is_empty()).map(|(_, detail)| detail).collect();
        let message = if whole.is_empty() {
            problem.detail().to_owned()
        } else {
            format!("the body {}", whole.join("; it "))
        };
        Self { code: code(problem), message, errors: (!errors.is_empty()).then_some(errors) }
    }
}

/// The same response with the platform's body.
pub(super) fn render(problem: &Problem, response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    // A document of texts can't fail to become JSON.
    let body = serde_json::to_vec(&ErrorDocument::from(problem)).unwrap_or_default();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(HAL));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn elements_of_a_list_are_the_list() {
        assert_eq!(field("/topics/3"), "topics");
        assert_eq!(field("/a/b~1c/0/d"), "a.b/c.d");
        assert_eq!(field("sort"), "sort");
    }
}
