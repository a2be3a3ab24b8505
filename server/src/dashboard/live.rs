//! Live pages: a page that is open hears what changes on it, as server-sent events.
//!
//! What is on a page is looked at once a second, and only what differs is told:
//! `parts`, an object of the ids of elements and the HTML that takes their place;
//! `new`, how many rows would be on the page if it was opened now and are not; and
//! `calm`, that nothing has changed for a while.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, mpsc};

use super::list::Query;
use super::visit::{Entered, Visit};
use crate::api::State;
use crate::api::auth::{Granted, ReadWebhooks};
use crate::api::frames::{SIGN_OF_LIFE, answer};
use crate::api::problem::Problem;

mod watched;

use watched::{Look, Watched};

/// Most pages that are live at a time in this process: each asks the database a few
/// things a second.
const MOST: usize = 64;

/// How often a page is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// How long a browser should wait before it connects again, in milliseconds.
const RETRY: u32 = 2_000;

/// The places of live pages.
#[derive(Debug, Clone)]
struct Places(Arc<Semaphore>);

/// The route of live pages.
pub(super) fn routes() -> Router<State> {
    let places = Places(Arc::new(Semaphore::new(MOST)));
    Router::new().route("/dashboard/t/{tenant}/live", get(listen)).layer(Extension(places))
}

/// The address at which a page hears what changes on it.
pub(super) fn address(base: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    format!("{base}/live?{}", query.finish())
}

/// `/dashboard/t/{tenant}/live`.
async fn listen(
    Entered { visit, access }: Entered<ReadWebhooks>,
    Extension(Places(places)): Extension<Places>,
    query: Query,
) -> Result<Response, Problem> {
    let full = |_| {
        let detail = "As many pages are live as there can be; this one does not change by itself.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    };
    let mut watched = Watched::read(query)?;
    let place = places.try_acquire_owned().map_err(full)?;
    // That there is nothing to see is said before the stream begins.
    let first = watched.look(&visit, &access).await?;
    let (frames, body) = mpsc::channel(1);
    let lifetime = access.token_lifetime();
    let closing = access.closing();
    tokio::spawn(async move {
        let _place = place;
        tokio::select! {
            () = feed(watched, first, (&visit, &access), &frames) => {}
            () = frames.closed() => {}
            () = closing.cancelled() => {}
            () = tokio::time::sleep(lifetime) => {}
        }
    });
    Ok(answer(body))
}

/// Tells what changes, until it can't be read, the session has ended, or nobody listens.
async fn feed(
    mut watched: Watched,
    first: Look,
    (visit, access): (&Visit, &Granted<ReadWebhooks>),
    frames: &mpsc::Sender<Bytes>,
) {
    let mut told = Told::default();
    let mut out = format!("retry: {RETRY}\n\n") + &told.news(first);
    let mut silence = Duration::ZERO;
    loop {
        // One look before it would be too late.
        if out.is_empty() && silence + EVERY >= SIGN_OF_LIFE {
            out.push_str("event: calm\ndata: {}\n\n");
        }
        if out.is_empty() {
            silence += EVERY;
        } else {
            silence = Duration::ZERO;
            if frames.send(std::mem::take(&mut out).into()).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(EVERY).await;
        if !visit.goes_on().await.unwrap_or(false) {
            return;
        }
        match watched.look(visit, access).await {
            Ok(look) => out = told.news(look),
            // The page says that it is not live any longer, and asks again.
            Err(_) => return,
        }
    }
}

/// What a page knows.
#[derive(Default)]
struct Told {
    /// The digests of its parts, by their ids.
    parts: HashMap<String, u64>,
    newer: usize,
}

impl Told {
    /// What it does not know yet, as events.
    fn news(&mut self, look: Look) -> String {
        let mut out = String::new();
        let mut parts = Map::new();
        for (id, html) in look.parts {
            let mut hasher = DefaultHasher::new();
            html.hash(&mut hasher);
            let digest = hasher.finish();
            if self.parts.insert(id.clone(), digest) != Some(digest) {
                parts.insert(id, html.into());
            }
        }
        if !parts.is_empty() {
            out = format!("event: parts\ndata: {}\n\n", Value::Object(parts));
        }
        if look.newer != self.newer {
            self.newer = look.newer;
            let more = if look.newer >= super::list::LIMIT { " or more" } else { "" };
            let data = json!({"new": look.newer, "text": format!("{}{more} new", look.newer)});
            let _ = write!(out, "event: new\ndata: {data}\n\n");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let look = |html: &str, newer| Look {
            parts: vec![("a".to_owned(), html.to_owned()), ("b".to_owned(), "<b>\n</b>".to_owned())],
            newer,
        };
        let mut told = Told::default();
        let first = told.news(look("<i>1</i>", 0));
        assert_eq!(first, "event: parts\ndata: {\"a\":\"<i>1</i>\",\"b\":\"<b>\\n</b>\"}\n\n");
        assert_eq!(told.news(look("<i>1</i>", 0)), "");
        assert_eq!(told.news(look("<i>2</i>", 0)), "event: parts\ndata: {\"a\":\"<i>2</i>\"}\n\n");
        assert_eq!(told.news(look("<i>2</i>", 3)), "event: new\ndata: {\"new\":3,\"text\":\"3 new\"}\n\n");
        assert!(told.news(look("<i>2</i>", 50)).contains("50 or more new"));
        assert!(told.news(look("<i>2</i>", 0)).contains("\"new\":0"));
    }
}
