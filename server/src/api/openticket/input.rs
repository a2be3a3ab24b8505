//! An OpenTicket-style body, as JSON or as either kind of form, as the settings
//! of a webhook.

use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use callboard_domain::webhook::openticket::{Fields, MOST_FIELDS};
use utoipa::ToSchema;

use crate::api::problem::Problem;
use crate::api::read;
use crate::api::state::State;
use crate::api::words::{FormBoolean, LooseBoolean, OpenTicketResource, OpenTicketTrigger};

macro_rules! body {
    ($(#[doc = $doc:literal])+ $name:ident as $schema:ident, required $required:tt, $text:ty, $flag:ident) => {
        $(#[doc = $doc])+
        #[derive(Debug, ToSchema)]
        #[schema(as = $schema)]
        #[expect(dead_code, reason = "describes a body that the domain reads, naming every fault")]
        pub struct $name {
            /// A name for people, at most 255 bytes.
            #[schema(example = "My Example Webhook", required = $required, min_length = 1, max_length = 255)]
            name: String,
            /// Where invocations are posted.
            #[schema(
                example = "https://example.com/webhook/receive",
                required = $required,
                pattern = "^https?://",
                max_length = 2048
            )]
            url: String,
            #[schema(value_type = OpenTicketResource, example = "shop", required = $required)]
            resource: String,
            #[schema(value_type = OpenTicketTrigger, example = "create", required = $required)]
            trigger: String,
            /// How often a failed invocation is tried again.
            #[schema(example = 3, required = $required, maximum = 100)]
            retries: u32,
            /// Only triggers of the resource with this GUID invoke the webhook; empty
            /// for none.
            #[schema(required = false, max_length = 512)]
            identifier: $text,
            /// Whether triggers of related resources invoke it too. It may also be
            /// called `triggered_by_related_resources`.
            #[schema(value_type = $flag, required = false)]
            triggered_by_child_resources: bool,
        }
    };
}

body! {
    /// A webhook to be made, or to be put in the place of one.
    WebhookRequest as OpenTicketWebhookRequest, required true, Option<String>, LooseBoolean
}

body! {
    /// A webhook to be made, or to be put in the place of one, as a form, where
    /// everything is a text.
    WebhookForm as OpenTicketWebhookForm, required true, String, FormBoolean
}

body! {
    /// What is to change of a webhook.
    WebhookChange as OpenTicketWebhookChange, required false, Option<String>, LooseBoolean
}

body! {
    /// What is to change of a webhook, as a form, where everything is a text.
    WebhookChangeForm as OpenTicketWebhookChangeForm, required false, String, FormBoolean
}

/// The fields of a body.
#[derive(Debug)]
pub(super) struct Input(pub(super) Fields);

impl FromRequest<State> for Input {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let named = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind =
            named.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let fields = match &*kind {
            "application/json" => {
                let body = read::body(request.into_body(), state).await?;
                let text = std::str::from_utf8(&body)
                    .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body is not UTF-8"))?;
                Fields::from_json(text).map_err(Problem::faults)?
            }
            "application/x-www-form-urlencoded" => {
                Fields::from_form(&read::body(request.into_body(), state).await?)
            }
            // What an array of fields becomes in PHP's curl.
            "multipart/form-data" => multipart(request, state).await?,
            _ => {
                return Err(Problem::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "send JSON or a form and say so: Content-Type: application/json",
                ));
            }
        };
        if fields.are_too_many() {
            let detail = format!("the body has more than {MOST_FIELDS} fields");
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        Ok(Self(fields))
    }
}

async fn multipart(request: Request, state: &State) -> Result<Fields, Problem> {
    let wrong = |error: MultipartError| {
        let broken = read::broken(&error);
        if broken.status() == StatusCode::REQUEST_TIMEOUT {
            return broken;
        }
        // It tells apart what is too large and what can't be read.
        Problem::new(error.status(), format!("the form can't be read: {error}"))
    };
    let form = Multipart::from_request(request, state).await;
    let mut form = form
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the form can't be read: {error}")))?;
    let mut fields = Fields::default();
    while !fields.are_too_many()
        && let Some(field) = form.next_field().await.map_err(wrong)?
    {
        let name = field.name().unwrap_or_default().to_owned();
        let value = field.text().await.map_err(wrong)?;
        fields.push(name, &value);
    }
    Ok(fields)
}
