//! An OpenTicket-style body, as JSON or as either kind of form, as the settings
//! of a webhook.

use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use callboard_domain::fault::{Fault, Faults};
use callboard_domain::json::{Members, write_string};
use callboard_domain::webhook::{Settings, read_settings};
use callboard_domain::wire::Dialect;
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

/// The name here, the name in the settings, and whether it must be given.
const FIELDS: [(&str, &str, bool); 8] = [
    ("name", "name", true),
    ("url", "url", true),
    ("resource", "resource", true),
    ("trigger", "trigger", true),
    ("retries", "retries", true),
    ("identifier", "identifier", false),
    ("triggered_by_child_resources", "triggered_by_related", false),
    ("triggered_by_related_resources", "triggered_by_related", false),
];

/// Who sends back what it was shown says nothing new with these.
const READ_ONLY: [&str; 7] =
    ["guid", "created_at", "updated_at", "deleted_at", "company_id", "nonce", "invocations"];

/// Most fields of a body: every known name twice, about.
const MOST_FIELDS: usize = 32;

/// A body: names, and values as JSON.
#[derive(Debug)]
pub(super) struct Input(Vec<(String, String)>);

impl FromRequest<State> for Input {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let named = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind =
            named.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let input = match &*kind {
            "application/json" => {
                let body = read::body(request.into_body()).await?;
                let text = std::str::from_utf8(&body)
                    .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body is not UTF-8"))?;
                let mut faults = Faults::new();
                let members = Members::read(text, &mut faults);
                let members = faults.finish(members).map_err(Problem::faults)?;
                let pair = |(name, value): (&str, &serde_json::value::RawValue)| {
                    (name.to_owned(), value.get().to_owned())
                };
                Self(members.iter().map(pair).collect())
            }
            "application/x-www-form-urlencoded" => {
                let body = read::body(request.into_body()).await?;
                let pair = |(name, value): (_, std::borrow::Cow<'_, str>)| text(name, &value);
                // One more than may be there tells that there are too many.
                Self(url::form_urlencoded::parse(&body).take(MOST_FIELDS + 1).map(pair).collect())
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
        if input.0.len() > MOST_FIELDS {
            let detail = format!("the body has more than {MOST_FIELDS} fields");
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        Ok(input)
    }
}

async fn multipart(request: Request, state: &State) -> Result<Input, Problem> {
    let wrong = |error: MultipartError| {
        // It tells apart what is too large and what can't be read.
        Problem::new(error.status(), format!("the form can't be read: {error}"))
    };
    let form = Multipart::from_request(request, state).await;
    let mut form = form
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the form can't be read: {error}")))?;
    let mut fields = Vec::new();
    while let Some(field) = form.next_field().await.map_err(wrong)?
        && fields.len() <= MOST_FIELDS
    {
        let name = field.name().unwrap_or_default().to_owned();
        let value = field.text().await.map_err(wrong)?;
        fields.push(text(name, &value));
    }
    Ok(Input(fields))
}

fn text(name: impl Into<String>, value: &str) -> (String, String) {
    (name.into(), serde_json::Value::from(value).to_string())
}

/// How much of a webhook a body has to say.
#[derive(Debug, Clone, Copy)]
pub(super) enum Extent<'a> {
    /// Everything, of a new one.
    New,
    /// Everything, in the place of these settings.
    Whole(&'a Settings),
    /// What is to change of these.
    Part(&'a Settings),
}

impl Input {
    /// The settings that the body asks for.
    ///
    /// # Errors
    /// Every fault, each with a pointer to the name that the caller used.
    pub(super) fn settings(&self, extent: Extent<'_>) -> Result<Settings, Vec<Fault>> {
        let mut faults = Faults::new();
        let native = self.native(extent, &mut faults);
        let base = match extent {
            Extent::New => None,
            Extent::Whole(base) | Extent::Part(base) => Some(base),
        };
        match read_settings(&native, base) {
            Ok((settings, _)) => faults.finish(Some(settings)),
            Err(found) => {
                // What is missing was noted already.
                let found = found.into_iter().map(|fault| self.renamed(fault));
                let found: Vec<Fault> = found.filter(|fault| !faults.points_to(&fault.pointer)).collect();
                faults.extend(found);
                faults.finish(None)
            }
        }
    }

    /// The fields in the words of the native API.
    fn native(&self, extent: Extent<'_>, faults: &mut Faults) -> String {
        let mut object = b"{\"dialect\":".to_vec();
        write_string(&mut object, Dialect::OpenTicket.as_str());
        let mut put = |name: &str, value: &str| {
            object.push(b',');
            write_string(&mut object, name);
            object.push(b':');
            object.extend_from_slice(value.as_bytes());
        };
        let mut given: Vec<&str> = Vec::with_capacity(FIELDS.len());
        for (name, value) in &self.0 {
            let Some((_, native, required)) = FIELDS.iter().find(|(own, _, _)| own == name) else {
                if !READ_ONLY.contains(&&**name) {
                    let known = FIELDS.map(|(name, _, _)| name).join(", ");
                    faults.member(name, format_args!("is not known here; known are {known}"));
                }
                continue;
            };
            if given.contains(native) {
                faults.member(name, "is given twice");
                continue;
            }
            given.push(native);
            if *required && value == "null" {
                faults.member(name, "can't be null");
            } else {
                put(native, &plain(name, value));
            }
        }
        if !matches!(extent, Extent::Part(_)) {
            for (name, native, required) in FIELDS {
                if required && !given.contains(&native) {
                    faults.member(name, "is required");
                }
            }
        }
        if matches!(extent, Extent::Whole(_)) {
            // In the place of what was there: what is left out is not kept.
            for (native, value) in [("identifier", "null"), ("triggered_by_related", "null")] {
                if !given.contains(&native) {
                    put(native, value);
                }
            }
        }
        object.push(b'}');
        // Made of texts only.
        String::from_utf8(object).unwrap_or_default()
    }

    /// A fault under the name that the caller used.
    fn renamed(&self, fault: Fault) -> Fault {
        let native = fault.pointer.trim_start_matches('/');
        let used = |(own, other, _): &&(&str, &str, bool)| {
            *other == native && (own == other || self.0.iter().any(|(name, _)| name == own))
        };
        match FIELDS.iter().find(used) {
            Some((own, _, _)) => Fault { pointer: format!("/{own}"), ..fault },
            None => fault,
        }
    }
}

/// A value as the settings want it: forms, and clients in languages that take
/// one for the other, send numbers and booleans as texts.
fn plain(name: &str, value: &str) -> String {
    let inner = value.trim_matches('"');
    let told = match name {
        // Written anew, because a text may hold what no JSON number may: 03.
        "retries" => {
            return inner.parse::<i64>().map_or_else(|_| value.to_owned(), |number| number.to_string());
        }
        "identifier" if inner.is_empty() => "null",
        "triggered_by_child_resources" | "triggered_by_related_resources" => match inner {
            "1" | "true" | "on" | "yes" => "true",
            "0" | "false" | "off" | "no" | "" => "false",
            _ => value,
        },
        _ => value,
    };
    told.to_owned()
}
