//! The form that makes a webhook, and the one that edits it. Whatever is wrong is
//! said beside the field, and what was typed stays.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use callboard_domain::id::WebhookId;
use callboard_domain::resource::Resource;
use callboard_domain::trigger::Trigger;
use callboard_domain::webhook::{Settings, Webhook, read_settings};
use callboard_domain::wire::Dialect;
use callboard_domain::wire::ingresse::Hook;
use callboard_domain::wire::openticket::{Fires, RESOURCES, fires};
use callboard_domain::wire::viagogo::Topic;
use callboard_engine::{Step, StepKind, StepOutcome};

use super::form::{Fields, Posted, PostedTo};
use super::frame::{Frame, Section, page_of};
use super::list::Query;
use super::mark::short;
use super::note::Note;
use super::visit::{Entered, Named, Visit, lead_with};
use super::webhook_fields::{blank, dialect, document, field_of, of_webhook};
use crate::api::auth::{Granted, WriteWebhooks};
use crate::api::problem::Problem;
use crate::api::webhooks;

/// A dialect that can be chosen.
struct DialectChoice {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    is_chosen: bool,
}

/// Something that can be chosen.
struct Choice {
    name: &'static str,
    about: &'static str,
    is_chosen: bool,
}

/// A step of the check of a URL.
struct CheckedStep {
    name: &'static str,
    class: &'static str,
    word: &'static str,
    detail: String,
    took: String,
}

#[derive(Template)]
#[template(path = "webhook_form.html")]
struct FormPage {
    frame: Frame,
    /// The webhook that is edited; of a new one none.
    id: Option<String>,
    heading: String,
    fields: Fields,
    /// Fields, what people call them, and what is wrong with each.
    faults: Vec<(&'static str, String, String)>,
    dialect: &'static str,
    dialects: Vec<DialectChoice>,
    resources: Vec<Choice>,
    triggers: Vec<Choice>,
    /// What is to be known of the pair that is chosen.
    pair: Option<&'static str>,
    hooks: Vec<Choice>,
    topics: Vec<Choice>,
    steps: Vec<CheckedStep>,
    has_more: bool,
}

impl FormPage {
    fn new(visit: &Visit, webhook: Option<&Webhook>, fields: Fields) -> Self {
        let heading = match webhook {
            None => "Create new".to_owned(),
            Some(webhook) => format!("Edit {}", webhook.settings.name),
        };
        let dialect = dialect(&fields);
        let chosen = |name: &str, value: &str| fields.all(name).any(|own| own == value);
        let (resource, trigger) = (fields.get("resource").to_owned(), fields.get("trigger").to_owned());
        Self {
            frame: Frame::new(visit, Section::Webhooks, heading.clone()),
            id: webhook.map(|webhook| webhook.id.to_string()),
            heading,
            faults: Vec::new(),
            dialect: dialect.as_str(),
            dialects: DIALECTS
                .iter()
                .map(|(own, title, about)| DialectChoice {
                    name: own.as_str(),
                    title,
                    about,
                    is_chosen: *own == dialect,
                })
                .collect(),
            resources: RESOURCES
                .iter()
                .map(|own| Choice { name: own.as_str(), about: "", is_chosen: own.as_str() == resource })
                .collect(),
            triggers: triggers(&resource, &trigger),
            pair: pair(&resource, &trigger),
            hooks: Hook::ALL
                .iter()
                .map(|hook| Choice {
                    name: hook.as_str(),
                    about: about_hook(*hook),
                    is_chosen: chosen("hook", hook.as_str()),
                })
                .collect(),
            topics: Topic::ALL
                .iter()
                .map(|topic| Choice {
                    name: topic.as_str(),
                    about: about_topic(*topic),
                    is_chosen: chosen("topic", topic.as_str()),
                })
                .collect(),
            steps: Vec::new(),
            has_more: has_more(&fields),
            fields,
        }
    }

    fn fault(&self, field: &str) -> Option<&str> {
        self.faults.iter().find(|(own, ..)| *own == field).map(|(.., fault)| &**fault)
    }

    fn value(&self, field: &str) -> &str {
        self.fields.get(field)
    }

    fn ticked(&self, field: &str) -> bool {
        self.fields.has(field)
    }

    fn is(&self, field: &str, value: &str) -> bool {
        self.fields.get(field) == value
    }
}

/// The dialects with their names and what each is good for.
const DIALECTS: [(Dialect, &str, &str); 4] = [
    (Dialect::OpenTicket, "OpenTicket", "one resource and one trigger, as OpenTicket has it"),
    (Dialect::Viagogo, "viagogo", "topics of the viagogo API"),
    (Dialect::Ingresse, "Ingresse", "hooks of Ingresse"),
    (Dialect::Native, "Native", "event types, filters, order: everything Callboard can do"),
];

/// Whether what is seldom needed is filled in.
fn has_more(fields: &Fields) -> bool {
    let texts = [
        "filter",
        "rate_per_second",
        "max_in_flight",
        "timeout_seconds",
        "headers",
        "certificate",
        "schedule",
    ];
    let usual = [("max_in_flight", "16"), ("timeout_seconds", "15")];
    texts.iter().any(|name| {
        let text = fields.trimmed(name);
        !text.is_empty() && !usual.contains(&(name, text))
    }) || matches!(fields.get("ordering"), "subject" | "latest")
        || fields.get("signature") == "ed25519"
}

/// The triggers of a resource, those first that the platform fires today.
fn triggers(resource: &str, chosen: &str) -> Vec<Choice> {
    let known: Option<Resource> = resource.parse().ok();
    let mut triggers: Vec<(Fires, Trigger)> = RESOURCES[0]
        .triggers()
        .iter()
        .map(|trigger| (known.map_or(Fires::Directly, |resource| fires(resource, *trigger)), *trigger))
        .collect();
    triggers.sort_by_key(|(fires, _)| match fires {
        Fires::Directly => 0,
        Fires::ThroughRelated => 1,
        Fires::Never => 2,
    });
    triggers
        .into_iter()
        .map(|(fires, trigger)| Choice {
            name: trigger.as_str(),
            about: match fires {
                Fires::Directly => "",
                Fires::ThroughRelated => " (through related resources)",
                Fires::Never => " (the platform never fires it today)",
            },
            is_chosen: trigger.as_str() == chosen,
        })
        .collect()
}

/// What is to be known of a pair before somebody waits for it in vain.
fn pair(resource: &str, trigger: &str) -> Option<&'static str> {
    let trigger = Trigger::ALL.into_iter().find(|own| own.as_str() == trigger)?;
    match fires(resource.parse().ok()?, trigger) {
        Fires::Directly => None,
        Fires::ThroughRelated => {
            Some("This pair fires through related resources only: tick “Triggered by related resources”.")
        }
        Fires::Never => Some("The platform never fires this pair today. It is legal, and may come later."),
    }
}

const fn about_hook(hook: Hook) -> &'static str {
    match hook {
        Hook::EventCreate => "a new event",
        Hook::EventUpdate => "an edited event",
        Hook::Ticket => "a new or edited ticket type",
        Hook::Sale => "a new, changed or paid order",
        Hook::Checkin => "a code scanned at the door",
        Hook::Postback => "how an order stands",
    }
}

const fn about_topic(topic: Topic) -> &'static str {
    match topic {
        Topic::Sales => "a sale came in, or ended",
        Topic::ProvisionalSale => "a sale that is yet to be confirmed",
        Topic::CancelProvisionalSale => "a sale that will not be confirmed",
        Topic::SaleUpdates => "a sale was changed",
        Topic::SellerListingUpdates => "a listing was changed",
        Topic::ReTransferTicket => "a ticket must be transferred again",
        Topic::Ping => "somebody tries the webhook out",
    }
}

/// `/dashboard/t/{tenant}/webhooks/new`.
pub(super) async fn blank_form(
    Entered { visit, .. }: Entered<WriteWebhooks>,
    query: Query,
) -> Result<Response, Problem> {
    let dialect = query.get("dialect").and_then(|text| text.parse().ok()).unwrap_or(Dialect::OpenTicket);
    page_of(StatusCode::OK, &FormPage::new(&visit, None, blank(dialect)))
}

/// What the button that was pressed asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// That it is done.
    Save,
    /// That the URL is tried.
    Check,
    /// That the form fits what was chosen in it.
    Fit,
}

fn wish(fields: &Fields) -> Wish {
    match fields.get("wish") {
        "check" => Wish::Check,
        "fit" => Wish::Fit,
        _ => Wish::Save,
    }
}

fn read(fields: &Fields, webhook: Option<&Webhook>) -> Result<Settings, Problem> {
    let text = document(fields, webhook.is_none());
    let base = webhook.map(|webhook| &webhook.settings);
    read_settings(&text, base).map(|(settings, _)| settings).map_err(Problem::faults)
}

/// Makes the webhook of the form.
pub(super) async fn create(
    Posted { visit, access, fields }: Posted<WriteWebhooks>,
) -> Result<Response, Problem> {
    let settings = match (wish(&fields), read(&fields, None)) {
        (Wish::Fit, _) => return page_of(StatusCode::OK, &FormPage::new(&visit, None, fields)),
        (Wish::Check, read) => return checked(&visit, &access, None, fields, read).await,
        (Wish::Save, read) => read,
    };
    let made = match settings {
        Ok(settings) => webhooks::make(&access, settings, None).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok((webhook, _)) => {
            let list = format!("{}/webhooks", visit.base_of(&access.tenant));
            Ok(lead_with(&visit, list, &Note::WebhookCreated(webhook.id)))
        }
        Err(problem) => blamed(FormPage::new(&visit, None, fields), problem),
    }
}

/// `/dashboard/t/{tenant}/webhooks/{id}/edit`.
pub(super) async fn edit_form(
    Entered { visit, access }: Entered<WriteWebhooks>,
    Named(id): Named<WebhookId>,
) -> Result<Response, Problem> {
    let webhook = webhooks::find(&access, id).await?;
    page_of(StatusCode::OK, &FormPage::new(&visit, Some(&webhook), of_webhook(&webhook)))
}

/// Gives a webhook the settings of the form, unless somebody else edited it since
/// the form was made.
pub(super) async fn edit(
    PostedTo { visit, access, mut fields, id }: PostedTo<WriteWebhooks, WebhookId>,
) -> Result<Response, Problem> {
    let webhook = webhooks::find(&access, id).await?;
    // A webhook keeps its dialect, whatever the form says.
    fields.set("dialect", webhook.settings.subscription.dialect().as_str());
    let settings = match (wish(&fields), read(&fields, Some(&webhook))) {
        (Wish::Fit, _) => return page_of(StatusCode::OK, &FormPage::new(&visit, Some(&webhook), fields)),
        (Wish::Check, read) => return checked(&visit, &access, Some(&webhook), fields, read).await,
        (Wish::Save, read) => read,
    };
    if fields.get("revision") != webhook.revision.to_string() {
        return overtaken(&visit, &webhook, fields);
    }
    let edited = match settings {
        Ok(settings) => webhooks::edit(&access, &webhook, settings, None).await,
        Err(problem) => Err(problem),
    };
    match edited {
        Ok(webhook) => {
            let details = format!("{}/webhooks/{}/settings", visit.base_of(&access.tenant), webhook.id);
            Ok(lead_with(&visit, details, &Note::WebhookSaved))
        }
        Err(problem) if problem.status() == StatusCode::CONFLICT => {
            overtaken(&visit, &webhooks::find(&access, id).await?, fields)
        }
        Err(problem) => blamed(FormPage::new(&visit, Some(&webhook), fields), problem),
    }
}

/// Somebody else was faster: what was typed stays, and the next try is based on what
/// stands now.
fn overtaken(visit: &Visit, webhook: &Webhook, mut fields: Fields) -> Result<Response, Problem> {
    let theirs = of_webhook(webhook);
    let names = [
        "name",
        "url",
        "identifier",
        "resource",
        "trigger",
        "retries",
        "events",
        "hook",
        "topic",
        "filter",
        "headers",
        "schedule",
        "ordering",
        "rate_per_second",
        "max_in_flight",
        "timeout_seconds",
    ];
    let differing: Vec<String> = names
        .iter()
        .filter(|name| fields.all(name).ne(theirs.all(name)))
        .map(|name| {
            format!("{} is now “{}”", name.replace('_', " "), theirs.all(name).collect::<Vec<_>>().join(", "))
        })
        .collect();
    fields.set("revision", webhook.revision.to_string());
    let mut page = FormPage::new(visit, Some(webhook), fields);
    let differing = if differing.is_empty() {
        "Nothing that you see differs.".to_owned()
    } else {
        differing.join("; ") + "."
    };
    page.faults.push((
        "",
        String::new(),
        format!("Somebody else edited this webhook meanwhile. What you typed is still here. {differing} Press Save to put yours in its place."),
    ));
    page_of(StatusCode::CONFLICT, &page)
}

/// The form again, each fault beside its field.
fn blamed(mut page: FormPage, problem: Problem) -> Result<Response, Problem> {
    let fault = |(place, fault): (&str, &str)| {
        let field = field_of(place);
        (field, field.replace('_', " "), fault.to_owned())
    };
    page.faults = problem.places().map(fault).collect();
    if page.faults.is_empty() {
        // Nothing that a field could be blamed for.
        return Err(problem);
    }
    page.has_more = true;
    page_of(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

/// The form with what a try of its URL came to.
async fn checked(
    visit: &Visit,
    access: &Granted<WriteWebhooks>,
    webhook: Option<&Webhook>,
    fields: Fields,
    read: Result<Settings, Problem>,
) -> Result<Response, Problem> {
    let mut page = FormPage::new(visit, webhook, fields);
    match read {
        Err(problem) => blamed(page, problem),
        Ok(settings) => {
            page.steps = access
                .engine()
                .check_url(&access.tenant.id, &settings)
                .await
                .into_iter()
                .map(checked_step)
                .collect();
            page_of(StatusCode::OK, &page)
        }
    }
}

fn checked_step(step: Step) -> CheckedStep {
    let (class, word) = match step.outcome {
        StepOutcome::Passed => ("good", "passed"),
        StepOutcome::Failed => ("bad", "failed"),
        StepOutcome::NotReached => ("off", "not reached"),
    };
    CheckedStep {
        name: match step.kind {
            StepKind::Resolve => "Look the host up",
            StepKind::Address => "Judge the address",
            StepKind::Connect => "Connect",
            StepKind::Tls => "TLS",
            StepKind::Answer => "Ping",
        },
        class,
        word,
        detail: step.detail,
        took: if step.took.is_zero() { String::new() } else { short(step.took) },
    }
}
