//! The jobs of a webhook: those that run, with their progress, and the last that
//! have ended.

use askama::Template;
use askama::filters::HtmlSafe;
use callboard_domain::job::{Job, JobKind, JobState};
use callboard_domain::store::{Page, Store};
use callboard_domain::webhook::Webhook;

use super::Place;
use crate::api::problem::Problem;
use crate::dashboard::mark::{Badge, Time, counted, grouped};
use crate::dashboard::words;

/// Among how many jobs of the tenant those that have ended are looked for.
const LOOKED_AT: usize = 50;

/// Most that have ended and are shown.
const ENDED: usize = 3;

/// A job.
struct Row {
    id: String,
    what: String,
    badge: Badge,
    done: u64,
    total: Option<u64>,
    numbers: String,
    rate: Option<String>,
    began: Time,
    ended: Option<Time>,
}

/// All of them.
#[derive(Template)]
#[template(path = "webhook/jobs.html")]
pub(in crate::dashboard) struct Jobs {
    place: Place,
    running: Vec<Row>,
    ended: Vec<Row>,
}

impl HtmlSafe for Jobs {}

impl Jobs {
    pub(in crate::dashboard) async fn new(
        store: &dyn Store,
        place: &Place,
        webhook: &Webhook,
    ) -> Result<Self, Problem> {
        let mut running = store.running_jobs().await?;
        running.retain(|job| job.webhook == webhook.key);
        let page = Page { limit: LOOKED_AT, after: None };
        let listed = store.list_jobs(webhook.tenant, page).await?.items;
        let has_ended = |job: &&Job| job.webhook == webhook.key && job.state != JobState::Running;
        Ok(Self {
            place: place.clone(),
            running: running.iter().map(row).collect(),
            ended: listed.iter().filter(has_ended).take(ENDED).map(row).collect(),
        })
    }
}

fn row(job: &Job) -> Row {
    let done = grouped(job.done);
    let numbers = match (job.total, job.state) {
        (Some(total), JobState::Running) => {
            format!("{done} of {}", counted(total, "invocation", "invocations"))
        }
        (None, JobState::Running) => format!("{done} so far; all are being counted"),
        (Some(total), _) if total != job.done => format!("{done} of {}", grouped(total)),
        _ => counted(job.done, "invocation", "invocations"),
    };
    Row {
        id: job.key.to_string(),
        what: what(job),
        badge: Badge::from(job.state),
        done: job.done,
        total: job.total.filter(|total| *total > 0),
        numbers,
        rate: job.rate_per_second.map(|rate| format!("at most {rate} a second")),
        began: Time(job.created_at),
        ended: job.ended_at.map(Time),
    }
}

fn what(job: &Job) -> String {
    let mut text = match (job.kind, &job.selection) {
        (JobKind::RetryFailed, _) => "Retry what has failed".to_owned(),
        (JobKind::Discard, _) => "Discard what has failed".to_owned(),
        (JobKind::Replay, Some(selection)) if selection.missing => "Send what is missing".to_owned(),
        (JobKind::Replay, _) => "Replay".to_owned(),
    };
    if let Some(reason) = job.reason {
        text.push_str(": ");
        text.push_str(&words::reason(reason.cause, reason.status));
    }
    if let Some(selection) = &job.selection {
        let day = |time: callboard_domain::clock::Timestamp| time.strftime("%Y-%m-%d %H:%M").to_string();
        text.push_str(" since ");
        text.push_str(&day(selection.since));
        if let Some(until) = selection.until {
            text.push_str(" until ");
            text.push_str(&day(until));
        }
        text.push_str(" UTC");
        for (name, value) in [(", type ", &selection.type_name), (", subject ", &selection.subject_id)] {
            if let Some(value) = value {
                text.push_str(name);
                text.push_str(value);
            }
        }
    }
    text
}
