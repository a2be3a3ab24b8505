//! The catalogue of event types: resources by triggers, and who asks for which.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use callboard_domain::catalogue;
use callboard_domain::event_type::{EventType, Operational};
use callboard_domain::resource::Resource;
use callboard_domain::trigger::Trigger;

use super::catalogue_type;
use super::frame::{Frame, Section, page};
use super::list::curl;
use super::listeners::{LOOKED_AT, Listeners};
use super::mark::{counted, grouped};
use super::visit::Entered;
use crate::api::State;
use crate::api::auth::ReadWebhooks;
use crate::api::problem::Problem;

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/dashboard/t/{tenant}/catalogue", get(show))
        .route("/dashboard/t/{tenant}/catalogue/{id}", get(catalogue_type::show))
}

/// A type in the grid.
struct Cell {
    type_name: String,
    participle: &'static str,
    count: String,
    word: &'static str,
    is_none: bool,
    about: &'static str,
}

/// A resource, and what can happen to it.
struct Row {
    resource: &'static str,
    cells: Vec<Option<Cell>>,
}

/// A type beside the grid.
struct Other {
    name: String,
    counted: String,
}

#[derive(Template)]
#[template(path = "catalogue.html")]
struct CataloguePage {
    frame: Frame,
    triggers: Vec<&'static str>,
    rows: Vec<Row>,
    custom: Vec<Other>,
    own: Vec<Other>,
    /// How many webhooks were gone through, where that is not all.
    looked_at: Option<String>,
    curl: String,
}

/// `/dashboard/t/{tenant}/catalogue`.
pub(super) async fn show(Entered { visit, access }: Entered<ReadWebhooks>) -> Result<Response, Problem> {
    let listeners = Listeners::read(access.store(), access.tenant.key).await?;
    let entries: Vec<_> = catalogue::entries().collect();
    let types: Vec<String> = entries.iter().map(|entry| entry.event_type.to_string()).collect();
    let counts = listeners.counts(&types);
    let cell = |resource: Resource, trigger: Trigger| {
        let found =
            entries.iter().position(|entry| entry.resource == resource && entry.trigger == trigger)?;
        let count = *counts.get(found)?;
        Some(Cell {
            type_name: types.get(found)?.clone(),
            participle: trigger.participle(),
            count: grouped(count),
            word: if count == 1 { "webhook" } else { "webhooks" },
            is_none: count == 0,
            about: catalogue::describe(resource, trigger),
        })
    };
    let rows = Resource::ALL.into_iter().map(|resource| Row {
        resource: resource.as_str(),
        cells: Trigger::ALL.into_iter().map(|trigger| cell(resource, trigger)).collect(),
    });
    let other = |(name, count): (String, u64)| Other { name, counted: counted(count, "webhook", "webhooks") };
    let own: Vec<String> =
        Operational::ALL.into_iter().map(|own| EventType::Operational(own).to_string()).collect();
    let own_counts = listeners.counts(&own);
    let template = CataloguePage {
        frame: Frame::new(&visit, Section::Catalogue, "Catalogue"),
        triggers: Trigger::ALL.into_iter().map(Trigger::participle).collect(),
        rows: rows.collect(),
        custom: listeners.custom().into_iter().map(other).collect(),
        own: own.into_iter().zip(own_counts).map(other).collect(),
        looked_at: listeners.more.then(|| grouped(u64::try_from(LOOKED_AT).unwrap_or(u64::MAX))),
        curl: curl(&visit, "GET", "/v1/event-types", &[]),
    };
    page(&template)
}
