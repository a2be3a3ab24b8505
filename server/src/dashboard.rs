//! The dashboard: pages for people, complete without JavaScript.
//!
//! A page is a struct that askama renders, one file a page; what several of them
//! show stands in `frame`, `mark` and `list`. Nothing is decided here that the API
//! decides: pages call what the API calls, with the access of whoever has the
//! session, and a [`Problem`] becomes a page that says the same.
//!
//! [`Problem`]: crate::api::problem::Problem

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};

use crate::api::State;

mod access;
mod arrival;
mod assets;
mod audit;
mod catalogue;
mod catalogue_type;
mod chart;
mod cookies;
mod event;
mod event_new;
mod events;
mod failed;
mod failed_export;
mod failed_list;
mod form;
mod frame;
mod invocation;
mod known;
mod list;
mod listeners;
mod live;
mod mark;
mod note;
mod overview;
mod payload;
mod sign_in;
mod system;
mod tenants;
mod visit;
mod webhook;
mod webhook_fields;
mod webhook_form;
mod webhooks;
mod words;

pub(crate) use assets::{icon, style};

/// The routes of the dashboard, and of the links that lead there. They are pages
/// and no part of the API.
pub(crate) fn routes(state: &State) -> Router<State> {
    let pages = Router::new()
        .route("/portal/{token}", get(sign_in::open_portal_link))
        .route("/dashboard", get(sign_in::home))
        .route("/dashboard/", get(sign_in::home))
        .route("/dashboard/sign-in", get(sign_in::show).post(sign_in::submit))
        .route("/dashboard/sign-in/{token}", get(sign_in::open_link))
        .route("/dashboard/sign-out", post(sign_in::sign_out))
        .route("/dashboard/preferences", post(sign_in::set_preferences))
        .route("/dashboard/tenant", get(sign_in::choose_tenant))
        .route("/dashboard/t/{tenant}", get(overview::show))
        .route("/dashboard/t/{tenant}/webhooks", get(webhooks::show))
        .route("/dashboard/t/{tenant}/webhooks/new", get(webhook_form::blank_form).post(webhook_form::create))
        .merge(access::routes())
        .merge(audit::routes())
        .merge(system::routes())
        .merge(catalogue::routes())
        .merge(events::routes())
        .merge(failed::routes())
        .merge(webhook::routes())
        .route("/dashboard/{*rest}", get(sign_in::elsewhere))
        .route_layer(middleware::from_fn_with_state(state.clone(), visit::receive));
    pages.route("/dashboard/assets/{name}", get(assets::serve))
}
