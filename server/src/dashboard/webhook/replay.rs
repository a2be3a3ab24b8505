//! The form that sends again what is over, or late what is missing: counted first,
//! then started.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use callboard_domain::delivery::State;
use callboard_domain::id::WebhookId;
use callboard_domain::job::Selection;
use callboard_domain::webhook::Webhook;
use serde_json::{Map, Number, Value, json};

use crate::api::auth::WriteWebhooks;
use crate::api::problem::Problem;
use crate::api::{replays, webhooks};
use crate::dashboard::form::{Fields, PostedTo};
use crate::dashboard::frame::{Frame, Section, page_of};
use crate::dashboard::list::{self, curl, quoted};
use crate::dashboard::mark::{Badge, grouped};
use crate::dashboard::note::Note;
use crate::dashboard::visit::{Entered, Named, Visit, lead_with};

/// The states that are sent again unless somebody says otherwise.
const USUAL: [State; 1] = [State::Failed];

/// A state that can be chosen.
struct Choice {
    name: &'static str,
    badge: Badge,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "webhook/replay.html")]
struct ReplayPage {
    frame: Frame,
    id: String,
    name: String,
    fields: Fields,
    states: Vec<Choice>,
    is_missing: bool,
    /// What is wrong: the field, and why. What no field is to blame for has none.
    faults: Vec<(&'static str, String)>,
    counted: Option<String>,
    curl: String,
}

impl ReplayPage {
    fn new(visit: &Visit, webhook: &Webhook, fields: Fields) -> Self {
        let chosen = |state: State| {
            if fields.has("token") {
                fields.all("state").any(|word| word == state.as_str())
            } else {
                USUAL.contains(&state)
            }
        };
        let states = Selection::STATES.map(|state| Choice {
            name: state.as_str(),
            badge: Badge::from(state),
            is_chosen: chosen(state),
        });
        let path = format!("/v1/webhooks/{}/replay", webhook.id);
        let document = quoted(&document(&fields, true).to_string());
        let command = curl(visit, "POST", &path, &[]);
        Self {
            frame: Frame::new(visit, Section::Webhooks, format!("Replay to {}", webhook.settings.name)),
            id: webhook.id.to_string(),
            name: webhook.settings.name.clone(),
            states: states.into(),
            is_missing: fields.get("what") == "missing",
            faults: Vec::new(),
            counted: None,
            curl: format!("{command} -H 'Content-Type: application/json' -d {document}"),
            fields,
        }
    }

    fn value(&self, field: &str) -> &str {
        self.fields.get(field)
    }

    fn fault(&self, field: &str) -> Option<&str> {
        self.faults.iter().find(|(own, _)| *own == field).map(|(_, fault)| &**fault)
    }
}

/// `/dashboard/t/{tenant}/webhooks/{id}/replay`.
pub(super) async fn blank(
    Entered { visit, access }: Entered<WriteWebhooks>,
    Named(id): Named<WebhookId>,
) -> Result<Response, Problem> {
    let webhook = webhooks::find(&access, id).await?;
    let day = std::time::Duration::from_hours(24);
    let since = access.now().saturating_sub(day).unwrap_or(access.now());
    let mut fields = Fields::default();
    fields.set("since", since.strftime("%Y-%m-%dT%H:%M").to_string());
    page_of(StatusCode::OK, &ReplayPage::new(&visit, &webhook, fields))
}

/// Counts what would be sent, or starts sending it.
pub(super) async fn submit(
    PostedTo { visit, access, fields, id }: PostedTo<WriteWebhooks, WebhookId>,
) -> Result<Response, Problem> {
    let webhook = webhooks::find(&access, id).await?;
    let counts = fields.get("wish") != "start";
    let asked = match replays::read(&document(&fields, counts).to_string()) {
        Ok(asked) => asked,
        Err(problem) => return blamed(ReplayPage::new(&visit, &webhook, fields), problem),
    };
    if asked.dry_run {
        let found = access.engine().count_replay(access.tenant.key, webhook.key, &asked.selection).await?;
        let more = if found.next.is_some() { " or more" } else { "" };
        let mut template = ReplayPage::new(&visit, &webhook, fields);
        template.counted = Some(format!("{}{more}", grouped(found.selected)));
        return page_of(StatusCode::OK, &template);
    }
    match replays::start(&access, &webhook, asked).await {
        Ok(job) => {
            let log = format!("{}/webhooks/{id}", visit.base_of(&access.tenant));
            Ok(lead_with(&visit, log, &Note::JobStarted(job.key)))
        }
        Err(problem) if problem.status() == StatusCode::CONFLICT => {
            let mut template = ReplayPage::new(&visit, &webhook, fields);
            template.faults.push(("", problem.detail().to_owned()));
            page_of(StatusCode::CONFLICT, &template)
        }
        Err(problem) => Err(problem),
    }
}

/// What the form says, in the words of the API, which decides what is right.
fn document(fields: &Fields, counts: bool) -> Value {
    let mut document = Map::new();
    for name in ["since", "until"] {
        let text = fields.trimmed(name);
        if !text.is_empty() {
            let time = list::time(text).map_or_else(|| text.to_owned(), |time| time.to_string());
            document.insert(name.to_owned(), time.into());
        }
    }
    for name in ["type", "subject"] {
        let text = fields.trimmed(name);
        if !text.is_empty() {
            document.insert(name.to_owned(), text.into());
        }
    }
    if fields.get("what") == "missing" {
        document.insert("missing".to_owned(), true.into());
    } else if fields.has("token") {
        document.insert("states".to_owned(), fields.all("state").collect());
    } else {
        document.insert("states".to_owned(), USUAL.iter().map(|state| state.as_str()).collect());
    }
    let rate = fields.trimmed("rate");
    if !rate.is_empty() {
        let number = rate.parse().ok().and_then(Number::from_f64);
        document.insert("rate_per_second".to_owned(), number.map_or_else(|| json!(rate), Value::Number));
    }
    if counts {
        document.insert("dry_run".to_owned(), true.into());
    }
    Value::Object(document)
}

/// The field that a place in the document is of.
fn field_of(place: &str) -> &'static str {
    match place.split('/').nth(1).unwrap_or_default() {
        "since" => "since",
        "until" => "until",
        "type" => "type",
        "subject" => "subject",
        "states" => "state",
        "rate_per_second" => "rate",
        _ => "",
    }
}

/// The form again, each fault beside its field.
fn blamed(mut template: ReplayPage, problem: Problem) -> Result<Response, Problem> {
    template.faults = problem.places().map(|(place, fault)| (field_of(place), fault.to_owned())).collect();
    if template.faults.is_empty() {
        return Err(problem);
    }
    page_of(StatusCode::UNPROCESSABLE_ENTITY, &template)
}
