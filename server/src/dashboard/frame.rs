//! What is around every page: who looks, where they can go, what was just done.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use callboard_domain::access::Scope;

use super::assets;
use super::mark::Time;
use super::visit::{Session, Visit, Who};
use crate::api::problem::Problem;

/// A part of the dashboard, as the navigation names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Webhooks,
    Events,
    Failed,
    Catalogue,
    Access,
    System,
    /// None of them.
    Elsewhere,
}

/// A place that the navigation leads to.
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) path: String,
    pub(super) is_here: bool,
}

/// What every template needs beside its own.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    pub(super) icon: &'static str,
    pub(super) theme: &'static str,
    pub(super) keys: bool,
    /// Where the dashboard is.
    pub(super) root: String,
    /// Where the pages of the tenant are; the same where there is none.
    pub(super) base: String,
    /// The address of this page.
    pub(super) here: String,
    /// What every form brings.
    pub(super) token: String,
    pub(super) tenant: Option<(String, String)>,
    pub(super) who: Option<String>,
    pub(super) is_operator: bool,
    pub(super) ends: Option<Time>,
    pub(super) places: Vec<Place>,
    /// What was just done.
    pub(super) note: Option<String>,
    pub(super) version: &'static str,
}

impl Frame {
    pub(super) fn new(visit: &Visit, section: Section, title: impl Into<String>) -> Self {
        let who = visit.session.as_ref().map(|session| match &session.who {
            Who::Operator => "Operator".to_owned(),
            Who::Guest(link) if link.name.is_empty() => format!("Portal link {}", link.key),
            Who::Guest(link) => link.name.clone(),
        });
        let tenant = visit.tenant.as_ref();
        Self {
            title: title.into(),
            style: assets::style(),
            script: assets::script(),
            icon: assets::icon(),
            theme: visit.theme.as_str(),
            keys: visit.keys,
            root: visit.root.clone(),
            base: tenant.map_or_else(|| visit.root.clone(), |tenant| visit.base_of(tenant)),
            here: visit.here.clone(),
            token: visit.form_token(),
            tenant: tenant.map(|tenant| (tenant.id.to_string(), tenant.name.clone())),
            who,
            is_operator: visit.is_operator(),
            ends: visit.session.as_ref().map(|session| Time(session.ends)),
            places: places(visit, section),
            note: visit.note.map(super::note::Note::sentence),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Where this visitor can go: a portal link leads to no page that it does not allow.
fn places(visit: &Visit, section: Section) -> Vec<Place> {
    let mut places = Vec::new();
    let mut add = |at: Section, name, path: String| {
        places.push(Place { name, path, is_here: at == section });
    };
    let Some(Session { who, .. }) = &visit.session else { return places };
    let may = |scope| match who {
        Who::Operator => true,
        Who::Guest(link) => link.scopes.contains(scope),
    };
    if let Some(tenant) = &visit.tenant {
        let base = visit.base_of(tenant);
        if may(Scope::ReadWebhooks) {
            add(Section::Overview, "Overview", base.clone());
            add(Section::Webhooks, "Webhooks", format!("{base}/webhooks"));
        }
        if may(Scope::ReadEvents) {
            add(Section::Events, "Events", format!("{base}/events"));
        }
        if may(Scope::ReadWebhooks) {
            add(Section::Failed, "Failed", format!("{base}/failed"));
            add(Section::Catalogue, "Catalogue", format!("{base}/catalogue"));
        }
        if may(Scope::Admin) {
            add(Section::Access, "Access", format!("{base}/access"));
        }
    }
    if matches!(who, Who::Operator) {
        add(Section::System, "System", format!("{}/system", visit.root));
    }
    places
}

/// A page as an answer.
///
/// # Errors
/// When it can't be rendered, which only a fault of the program can bring about.
pub(super) fn page(template: &impl Template) -> Result<Response, Problem> {
    match template.render() {
        Ok(text) => Ok(Html(text).into_response()),
        Err(error) => {
            tracing::error!(%error, "a page can't be rendered");
            Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "something went wrong here; the log says what",
            ))
        }
    }
}

/// The page of the same status.
pub(super) fn page_of(status: StatusCode, template: &impl Template) -> Result<Response, Problem> {
    Ok((status, page(template)?).into_response())
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    heading: &'a str,
    detail: &'a str,
    advice: &'a str,
    places: Vec<(&'a str, &'a str)>,
}

/// What went wrong, in a heading, and what to do.
fn said(problem: &Problem) -> (&'static str, &'static str) {
    match problem.status() {
        StatusCode::UNAUTHORIZED => ("Sign in", ""),
        StatusCode::FORBIDDEN if problem.kind() == "foreign-form" => ("Nothing was done", ""),
        StatusCode::FORBIDDEN if problem.kind() == "operator-only" => {
            ("This page is for the operator only", "")
        }
        StatusCode::FORBIDDEN => (
            "This is not allowed",
            "The portal link that you came by does not allow it. Whoever made the link can make one that does.",
        ),
        StatusCode::NOT_FOUND => (
            "There is nothing here",
            "It was deleted, has expired by retention, or never was. Events and invocations are kept for a \
             while only.",
        ),
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => ("That can't be done now", ""),
        StatusCode::SERVICE_UNAVAILABLE => {
            ("The database can't be used now", "Nothing was changed. Try again in a moment.")
        }
        StatusCode::TOO_MANY_REQUESTS => ("Too many tries", "Wait a little, and try again."),
        status if status.is_client_error() => ("That can't be read", "Nothing was changed."),
        _ => ("Something went wrong here", "The log of the server says what."),
    }
}

/// A page in the place of an answer that is a problem: the same status, and the
/// headers that it set.
pub(super) fn instead(visit: &Visit, problem: &Problem, before: &Response) -> Response {
    if problem.status() == StatusCode::UNAUTHORIZED {
        return super::sign_in::asked_for(visit);
    }
    let (heading, advice) = said(problem);
    let template = ProblemPage {
        frame: Frame::new(visit, Section::Elsewhere, heading),
        heading,
        detail: problem.detail(),
        advice,
        places: problem.places().collect(),
    };
    let Ok(page) = page_of(problem.status(), &template) else { return bare(problem) };
    let mut page = page;
    for (name, value) in before.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            page.headers_mut().append(name, value.clone());
        }
    }
    page
}

/// A page without anything around it, where nobody knows who asks.
pub(super) fn bare(problem: &Problem) -> Response {
    let (heading, advice) = said(problem);
    let text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{heading}</title>\
         <h1>{heading}</h1><p>{advice}</p></html>"
    );
    (problem.status(), Html(text)).into_response()
}
