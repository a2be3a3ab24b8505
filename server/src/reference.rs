//! The reference of the API at `/docs`: the OpenAPI document as pages, without the
//! network and without a script, and as a collection for API clients.

use std::sync::{Arc, OnceLock};

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;

mod collection;
mod example;
mod model;
mod prose;

use model::{Operation, Reference, Schema};

/// Pages hold nothing but what the server itself serves.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The reference, read from the document when somebody asks for it: most processes are
/// never asked, and need neither the time nor the memory.
struct Lazy {
    document: fn() -> Bytes,
    reference: OnceLock<Reference>,
}

impl Lazy {
    fn get(&self) -> &Reference {
        // The document was written by this very process, so it can be read.
        let read = || Reference::new(&serde_json::from_slice(&(self.document)()).unwrap_or_default());
        self.reference.get_or_init(read)
    }
}

/// The pages of the reference and the collection, from what `document` gives.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(document: fn() -> Bytes) -> Router<S> {
    let reference = Arc::new(Lazy { document, reference: OnceLock::new() });
    Router::new()
        .route("/docs", get(index))
        .route("/docs/", get(index))
        .route("/docs/operations/{id}", get(operation))
        .route("/docs/schemas/{name}", get(schema))
        .route("/docs/callboard.postman_collection.json", get(collection))
        .with_state(reference)
}

/// What is around every page.
struct Frame {
    title: String,
    style: &'static str,
    icon: &'static str,
    version: String,
    /// How a page leads to `/docs`: a proxy may have the program below a path of its own.
    root: &'static str,
}

impl Frame {
    fn new(title: &str, reference: &Reference, root: &'static str) -> Self {
        let (style, icon) = (crate::dashboard::style(), crate::dashboard::icon());
        Self { title: title.to_owned(), style, icon, version: reference.version.clone(), root }
    }
}

#[derive(Template)]
#[template(path = "reference_index.html")]
struct IndexPage<'a> {
    frame: Frame,
    reference: &'a Reference,
}

#[derive(Template)]
#[template(path = "reference_operation.html")]
struct OperationPage<'a> {
    frame: Frame,
    operation: &'a Operation,
}

#[derive(Template)]
#[template(path = "reference_schema.html")]
struct SchemaPage<'a> {
    frame: Frame,
    schema: &'a Schema,
}

#[derive(Template)]
#[template(path = "reference_missing.html")]
struct MissingPage {
    frame: Frame,
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => {
            let mut response = (status, Html(text)).into_response();
            for (name, value) in [
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::CACHE_CONTROL, "no-cache"),
            ] {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            response
        }
        Err(error) => {
            tracing::error!(%error, "a page of the reference can't be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn index(State(reference): State<Arc<Lazy>>, uri: axum::http::Uri) -> Response {
    // Relative links of the two addresses differ by a step.
    let root = if uri.path().ends_with('/') { "." } else { "docs" };
    let reference = reference.get();
    let frame = Frame::new("API reference", reference, root);
    page(StatusCode::OK, &IndexPage { frame, reference })
}

async fn collection(State(reference): State<Arc<Lazy>>) -> Response {
    let as_file = "attachment; filename=\"callboard.postman_collection.json\"";
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_DISPOSITION, as_file)];
    (headers, collection::collection(reference.get()).to_string()).into_response()
}

async fn operation(State(reference): State<Arc<Lazy>>, Path(id): Path<String>) -> Response {
    let reference = reference.get();
    match reference.operation(&id) {
        Some(operation) => {
            let frame = Frame::new(&operation.title(), reference, "..");
            page(StatusCode::OK, &OperationPage { frame, operation })
        }
        None => missing(reference),
    }
}

async fn schema(State(reference): State<Arc<Lazy>>, Path(name): Path<String>) -> Response {
    let reference = reference.get();
    match reference.schema(&name) {
        Some(schema) => {
            let frame = Frame::new(&schema.name, reference, "..");
            page(StatusCode::OK, &SchemaPage { frame, schema })
        }
        None => missing(reference),
    }
}

fn missing(reference: &Reference) -> Response {
    page(StatusCode::NOT_FOUND, &MissingPage { frame: Frame::new("Nothing here", reference, "..") })
}
