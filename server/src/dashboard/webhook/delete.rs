//! The page that asks whether a webhook is really to be deleted: who wants that
//! types its name.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use callboard_domain::id::WebhookId;
use callboard_domain::webhook::Webhook;

use crate::api::auth::WriteWebhooks;
use crate::api::problem::Problem;
use crate::api::webhooks;
use crate::dashboard::form::PostedTo;
use crate::dashboard::frame::{Frame, Section, page_of};
use crate::dashboard::note::Note;
use crate::dashboard::visit::{Entered, Named, Visit, lead_with};

#[derive(Template)]
#[template(path = "webhook/delete.html")]
struct DeletePage {
    frame: Frame,
    id: String,
    name: String,
    typed: String,
    fault: bool,
}

impl DeletePage {
    fn new(visit: &Visit, webhook: &Webhook, typed: &str, fault: bool) -> Self {
        let name = webhook.settings.name.clone();
        Self {
            frame: Frame::new(visit, Section::Webhooks, format!("Delete {name}")),
            id: webhook.id.to_string(),
            name,
            typed: typed.to_owned(),
            fault,
        }
    }
}

/// `/dashboard/t/{tenant}/webhooks/{id}/delete`.
pub(super) async fn ask(
    Entered { visit, access }: Entered<WriteWebhooks>,
    Named(id): Named<WebhookId>,
) -> Result<Response, Problem> {
    let webhook = webhooks::find(&access, id).await?;
    page_of(StatusCode::OK, &DeletePage::new(&visit, &webhook, "", false))
}

/// Deletes the webhook if its name was typed.
pub(super) async fn delete(
    PostedTo { visit, access, fields, id }: PostedTo<WriteWebhooks, WebhookId>,
) -> Result<Response, Problem> {
    let webhook = webhooks::find(&access, id).await?;
    let typed = fields.trimmed("confirm");
    if typed != webhook.settings.name.trim() {
        let template = DeletePage::new(&visit, &webhook, typed, true);
        return page_of(StatusCode::UNPROCESSABLE_ENTITY, &template);
    }
    webhooks::delete(&access, id).await?;
    let list = format!("{}/webhooks", visit.base_of(&access.tenant));
    Ok(lead_with(&visit, list, &Note::WebhookDeleted))
}
