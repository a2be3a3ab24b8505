//! What the OpenAPI document says beside the routes.

use utoipa::openapi::security::{
    ClientCredentials, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes, SecurityScheme,
};
use utoipa::{Modify, OpenApi};

/// The document that the routes are added to.
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
        (name = "access", description = "Tenants, clients and tokens"),
    )
)]
pub struct Document;

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
