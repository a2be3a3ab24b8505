//! What the OpenAPI document says beside the routes.

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::security::{
    ClientCredentials, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, OpenApi as Whole, PathItem, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::api::document;

/// Show the OpenAPI document. Needs no token.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "show_openapi", tag = "about", security(()),
    responses((status = 200, description = "This document", body = Object))
)]
pub(in crate::api) async fn show() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document())
}

/// What the document starts from; the routes are added to it.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Callboard",
        description = "Webhooks for ticketing: publish what happened, and every partner who registered hears of it.\n\nEvery route under `/v1` takes a bearer token: the operator's, or one from `/oauth2/token`. Lists are newest first and paged by an opaque cursor. Errors are `application/problem+json` (RFC 9457) and name every fault of the input.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    security(("token" = [])),
    modifiers(&Security),
    tags(
        (name = "events", description = "Publish events and look them up"),
        (name = "webhooks", description = "Who hears, where, and how it is retried"),
        (name = "deliveries", description = "What was sent, and what came of it"),
        (name = "jobs", description = "Long work that was started by hand"),
        (name = "viagogo", description = "Webhooks for clients that were written for viagogo"),
        (name = "openticket", description = "Webhooks for clients that were written for OpenTicket"),
        (name = "access", description = "Tenants, clients, tokens and portal links"),
        (name = "audit", description = "Who changed what, from where and when"),
        (name = "nodes", description = "The processes that share the database"),
        (name = "keys", description = "The keys that seal secrets in the database"),
        (name = "about", description = "The server itself"),
    )
)]
pub struct Base;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scopes = callboard_domain::access::Scope::ALL.map(|scope| (scope.as_str(), ""));
        let flow = ClientCredentials::new("/oauth2/token", Scopes::from_iter(scopes));
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme(
            "token",
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .description(Some("The operator's token, or an access token of a client"))
                    .build(),
            ),
        );
        components.add_security_scheme(
            "oauth2",
            SecurityScheme::OAuth2(OAuth2::new([Flow::ClientCredentials(flow)])),
        );
    }
}

/// Adds what is the same for each route of a kind, and would only be noise if
/// each said it itself: the answers to a missing token or scope, to too many
/// wrong tokens, to a wrong parameter, and to a database that can't be used.
pub(in crate::api) fn complete(document: &mut Whole) {
    super::outgoing::describe(document);
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            let form = Form::of(path);
            if operation.security.is_none() {
                answer(operation, "401", "No valid token", form);
                answer(operation, "403", "The token does not allow this", form);
                let too_many =
                    "Too many wrong tokens came from this address; try again after `Retry-After` seconds";
                answer(operation, "429", too_many, form);
            }
            let parameters = operation.parameters.iter().flatten();
            // There a wrong parameter is 422, which the routes say themselves.
            let says_itself = path.starts_with("/openticket");
            if !says_itself
                && parameters
                    .clone()
                    .any(|one| matches!(one, RefOr::T(one) if one.parameter_in == ParameterIn::Query))
            {
                answer(operation, "400", "A parameter of the query is wrong", form);
            }
            if operation.security.is_none() && !path.starts_with("/oauth2") {
                let unavailable = "The database can't be used; try again after `Retry-After` seconds";
                answer(operation, "503", unavailable, form);
            }
            if operation.request_body.is_some() && !path.starts_with("/oauth2") {
                answer(operation, "413", "The body is larger than 10 MiB", form);
                answer(operation, "415", "The body is of another media type", form);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// The form of a problem: the media type, and the name of its schema.
#[derive(Clone, Copy)]
struct Form(&'static str, &'static str);

impl Form {
    /// Each dialect says the same in its own words.
    fn of(path: &str) -> Self {
        if path.starts_with("/viagogo") {
            Self("application/hal+json", "ViagogoError")
        } else if path.starts_with("/openticket") {
            Self("application/json", "OpenTicketError")
        } else {
            Self("application/problem+json", "ProblemDocument")
        }
    }
}

/// Documents a problem, unless the route itself says more about it.
fn answer(operation: &mut Operation, status: &str, description: &str, Form(kind, schema): Form) {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    let response = ResponseBuilder::new().description(description).content(kind, problem);
    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(response.build()));
}
