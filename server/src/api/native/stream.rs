//! `/v1/stream`: deliveries for those who can't be called, as server-sent
//! events.

use std::pin::pin;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::IntoResponse;
use callboard_domain::clock::Timestamp;
use callboard_domain::id::EventKey;
use callboard_domain::webhook::{Settings, read_settings};
use callboard_engine::stream::{From, Listening, Stream, StreamError, Told};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use utoipa::IntoParams;

use crate::api::auth::{Granted, ReadEvents};
use crate::api::frames::{SIGN_OF_LIFE, answer};
use crate::api::page;
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{NO_TIME, Parameters};
use crate::api::webhooks::find;

/// How long a client should wait before it connects again, in milliseconds.
const RETRY: u32 = 2_000;

/// What a browser and other clients send when they connect again.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What to hear, and from where on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// The id of a webhook: its deliveries, in its dialect, with its signatures,
    /// whether it is called or not. Leaves room for `since` and `last_event_id`
    /// only.
    webhook: Option<String>,
    /// The dialect to be told in; `native` if left out.
    dialect: Option<String>,
    /// Event types and patterns, with commas between them; `*` if left out.
    /// Native only.
    #[param(example = "ticket.*,order.paid")]
    events: Option<String>,
    /// Hooks of the dialect `ingresse`, with commas between them.
    hooks: Option<String>,
    /// Topics of the dialect `viagogo`, with commas between them.
    topics: Option<String>,
    /// The resource of the dialect `openticket`.
    resource: Option<String>,
    /// The trigger of the dialect `openticket`.
    trigger: Option<String>,
    /// Only what concerns the resource with this id.
    identifier: Option<String>,
    /// Whether to hear also what happens to related resources: `true` or `false`.
    triggered_by_related: Option<String>,
    /// A condition on the native body (RFC 9535). Native only.
    filter: Option<String>,
    /// From what was accepted at or after this time (RFC 3339) on.
    since: Option<String>,
    /// The `id` after which to go on, for clients that can't send the header
    /// `Last-Event-ID`.
    last_event_id: Option<String>,
}

/// Hear events as they are accepted, as server-sent events.
///
/// The same deliveries that a webhook gets: `event` is the type, `data` the
/// body, and `webhook-id`, `webhook-timestamp` and, for a webhook,
/// `webhook-signature` stand beside them as further fields. `id` is a place in
/// the log: send it back as `Last-Event-ID` to go on behind it, as far as
/// retention has kept what follows. A bare `id` comes at least every
/// 15 seconds. Who reads nothing for 20 seconds is disconnected; nobody stays
/// longer than a token is valid, or its client is enabled. Connect again, and
/// nothing is missed.
#[utoipa::path(
    get, path = "/v1/stream", operation_id = "stream_events", tag = "events",
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "The `id` after which to go on")),
    responses(
        (status = 200, description = "Events without end", body = String, content_type = "text/event-stream"),
        (status = 400, description = "A parameter is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "The tenant has 256 streams already", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn listen(
    access: Granted<ReadEvents>,
    headers: HeaderMap,
    Parameters(query): Parameters<StreamQuery>,
) -> Result<impl IntoResponse, Problem> {
    let from = begin(&query, &headers)?;
    let listening = match &query.webhook {
        None => Listening::As(Box::new(settings(&query)?)),
        Some(_) if query.asks_for_more() => {
            let detail = "says all of what to hear; leave out what else would choose it";
            return Err(Problem::parameter("webhook", detail));
        }
        Some(id) => {
            let id = id.parse().map_err(|_| Problem::not_found())?;
            Listening::ToWebhook(find(&access, id).await?.key)
        }
    };
    let stream = access.engine().stream(access.tenant.key, listening, from).await?;
    let (frames, body) = mpsc::channel(1);
    let lifetime = access.token_lifetime();
    let closing = access.closing();
    tokio::spawn(async move {
        tokio::select! {
            () = feed(stream, &frames) => {}
            () = frames.closed() => {}
            () = closing.cancelled() => {}
            () = access.until_revoked() => {}
            () = tokio::time::sleep(lifetime) => {}
        }
    });
    Ok(answer(body))
}

impl StreamQuery {
    fn asks_for_more(&self) -> bool {
        let Self { dialect, events, hooks, topics, resource, trigger, identifier, .. } = self;
        let chosen = [dialect, events, hooks, topics, resource, trigger, identifier];
        chosen.into_iter().chain([&self.triggered_by_related, &self.filter]).any(Option::is_some)
    }
}

impl std::convert::From<StreamError> for Problem {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::TooMany => {
                let detail = "the tenant has as many streams as it may have; close one first";
                Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
            }
            StreamError::NoWebhook => Self::not_found(),
            StreamError::Store(error) => error.into(),
        }
    }
}

/// Where to begin; what a client sends by itself when it connects again counts
/// more than the address that it was given.
fn begin(query: &StreamQuery, headers: &HeaderMap) -> Result<From, Problem> {
    let place = |name: &str, text: &str| {
        let fault = || Problem::parameter(name, "is no id of this stream; take it from the stream");
        page::position(text).map(|key| From::After(EventKey(key))).ok_or_else(fault)
    };
    if let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) {
        return place("Last-Event-ID", id.to_str().unwrap_or_default());
    }
    if let Some(id) = &query.last_event_id {
        return place("last_event_id", id);
    }
    let since: Option<Timestamp> = match &query.since {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::parameter("since", NO_TIME))?),
    };
    Ok(since.map_or(From::Now, From::Since))
}

/// The settings of a webhook that would hear the same.
fn settings(query: &StreamQuery) -> Result<Settings, Problem> {
    let mut members = Map::new();
    let native = query.dialect.as_deref().is_none_or(|dialect| dialect == "native");
    let events = query.events.as_deref().or(native.then_some("*"));
    for (name, list) in
        [("events", events), ("hooks", query.hooks.as_deref()), ("topics", query.topics.as_deref())]
    {
        if let Some(list) = list {
            members.insert(name.to_owned(), list.split(',').map(str::trim).collect());
        }
    }
    for (name, text) in [
        ("dialect", &query.dialect),
        ("resource", &query.resource),
        ("trigger", &query.trigger),
        ("identifier", &query.identifier),
        ("filter", &query.filter),
    ] {
        if let Some(text) = text {
            members.insert(name.to_owned(), json!(text));
        }
    }
    if let Some(text) = &query.triggered_by_related {
        let fault = || Problem::parameter("triggered_by_related", "must be true or false");
        let value: bool = text.parse().map_err(|_| fault())?;
        members.insert("triggered_by_related".to_owned(), value.into());
    }
    // Nobody calls it.
    members.insert("url".to_owned(), "https://stream.invalid/".into());
    let (settings, _) = read_settings(&Value::Object(members).to_string(), None).map_err(|faults| {
        let parameter = |pointer: &str| pointer.split('/').nth(1).unwrap_or_default().to_owned();
        Problem::parameters(
            faults.into_iter().map(|fault| (parameter(&fault.pointer), fault.detail)).collect(),
        )
    })?;
    Ok(settings)
}

/// Writes what the stream tells, until it can't be read or nobody listens.
async fn feed(mut stream: Stream, frames: &mpsc::Sender<Bytes>) {
    let mut out = format!("retry: {RETRY}\n").into_bytes();
    // Whoever is cut off before anything was told can go on from here.
    write_place(&mut out, &stream);
    let mut silence = pin!(tokio::time::sleep(SIGN_OF_LIFE));
    loop {
        if !out.is_empty() {
            silence.set(tokio::time::sleep(SIGN_OF_LIFE));
            if frames.send(std::mem::take(&mut out).into()).await.is_err() {
                return;
            }
        }
        let (told, more) = match stream.read().await {
            Ok(read) => read,
            Err(StreamError::Store(error)) => {
                tracing::warn!(%error, "a stream ends; its client can go on from where it ended");
                return;
            }
            Err(StreamError::NoWebhook | StreamError::TooMany) => return,
        };
        for told in &told {
            write(&mut out, told);
        }
        if !told.is_empty() {
            continue;
        }
        if !more {
            tokio::select! {
                () = stream.changed() => continue,
                () = silence.as_mut() => {}
            }
        }
        // It is quiet, or what was read is not for this one.
        write_place(&mut out, &stream);
    }
}

/// Where the stream stands, without anything told: clients remember it.
fn write_place(out: &mut Vec<u8>, stream: &Stream) {
    out.extend_from_slice(format!("id: {}\n\n", page::cursor(stream.place().0)).as_bytes());
}

/// One delivery. What is no field of server-sent events is passed over by
/// clients that do not look for it.
fn write(out: &mut Vec<u8>, told: &Told) {
    out.extend_from_slice(
        format!("id: {}\nevent: {}\n", page::cursor(told.place.0), told.type_name).as_bytes(),
    );
    for (name, value) in &told.headers {
        out.extend_from_slice(format!("{name}: {value}\n").as_bytes());
    }
    for line in told.body.split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}
