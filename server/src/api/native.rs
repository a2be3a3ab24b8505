//! The native API under `/v1`: one file a group of routes.

use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::state::State;
use super::{health, metrics, oauth};

mod audit;
mod clients;
mod deliveries;
mod event_types;
mod events;
mod failed;
mod jobs;
mod keys;
mod nodes;
mod openapi;
mod outgoing;
mod portal_links;
mod replay;
mod sign_in_links;
mod stream;
mod tenants;
mod view;
mod webhook_actions;
mod webhook_secret;
mod webhooks;

pub(super) use events::publish;
pub(super) use openapi::complete;
pub(crate) use view::DeliveryView;

/// The routes together with their description: what is mounted is documented,
/// because one list makes both.
pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::with_openapi(openapi::Base::openapi())
        .routes(routes!(events::publish, events::list))
        .routes(routes!(events::show))
        .routes(routes!(events::fan_out))
        .routes(routes!(stream::listen))
        .routes(routes!(event_types::list))
        .routes(routes!(event_types::show))
        .routes(routes!(webhooks::create, webhooks::list))
        .routes(routes!(webhooks::show, webhooks::edit, webhooks::delete))
        .routes(routes!(webhook_actions::enable))
        .routes(routes!(webhook_actions::disable))
        .routes(routes!(webhook_actions::pause))
        .routes(routes!(webhook_actions::resume))
        .routes(routes!(webhook_actions::ping))
        .routes(routes!(replay::retry_failed))
        .routes(routes!(failed::discard))
        .routes(routes!(replay::replay))
        .routes(routes!(webhook_actions::stats))
        .routes(routes!(webhook_secret::show, webhook_secret::rotate))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::show))
        .routes(routes!(deliveries::retry))
        .routes(routes!(deliveries::cancel))
        .routes(routes!(failed::list))
        .routes(routes!(failed::groups))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::stop))
        .routes(routes!(tenants::create, tenants::list))
        .routes(routes!(tenants::show, tenants::edit))
        .routes(routes!(nodes::list))
        .routes(routes!(keys::list))
        .routes(routes!(keys::rotate))
        .routes(routes!(clients::create, clients::list))
        .routes(routes!(clients::show, clients::delete))
        .routes(routes!(clients::enable))
        .routes(routes!(clients::disable))
        .routes(routes!(portal_links::create, portal_links::list))
        .routes(routes!(portal_links::show, portal_links::revoke))
        .routes(routes!(sign_in_links::create))
        .routes(routes!(audit::list))
        .routes(routes!(audit::list_deployment))
        .routes(routes!(oauth::issue_token))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::show))
        .routes(routes!(openapi::show))
}
