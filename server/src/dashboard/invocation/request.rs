//! The request of an invocation, rendered anew: what the receiver got, and how to send
//! the same by hand.

use std::fmt::Write as _;

use axum::body::Bytes;
use axum::http::StatusCode;
use callboard_engine::Preview;

use super::Found;
use crate::api::auth::{Granted, Needed};
use crate::api::problem::Problem;
use crate::dashboard::list::quoted;
use crate::dashboard::mark::{Time, bytes};
use crate::dashboard::payload::{Payload, visible};
use crate::dashboard::words;

/// Most bytes of a body that stand in a command.
const INLINE: usize = 4 * 1024;

/// Headers that a client writes by itself.
const WRITTEN_ANYWAY: [&str; 3] = ["host", "content-length", "connection"];

/// What was sent, or why that can't be shown.
pub(super) enum Sent {
    /// The request.
    Rendered(Box<Rendered>),
    /// What went wrong.
    Not(String),
}

/// A request.
pub(super) struct Rendered {
    pub(super) method: &'static str,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    /// The body in lines, where it is JSON.
    pub(super) pretty: Option<Payload>,
    pub(super) exact: Payload,
    pub(super) size: String,
    /// The time that it is rendered for; `None` where nothing was sent yet.
    pub(super) at: Option<Time>,
    pub(super) command: String,
    /// Whether the command takes the body from a file.
    pub(super) needs_file: bool,
}

/// The request as the webhook is now, at the time of the last attempt.
async fn preview<S: Needed>(access: &Granted<S>, found: &Found) -> Result<Result<Preview, String>, Problem> {
    let Some(webhook) = &found.webhook else {
        return Ok(Err("The webhook is deleted, and with it what a request is made of.".to_owned()));
    };
    let event = access.store().event(access.tenant.key, &found.delivery.event_id).await?;
    let Some(event) = event else {
        return Ok(Err("The event has expired by retention.".to_owned()));
    };
    let at = found.last_attempt().unwrap_or_else(|| access.now());
    let rendered = access.engine().preview(&access.tenant.id, webhook, &event, found.delivery.key, at);
    Ok(rendered.map_err(|(cause, message)| format!("{}: {message}", words::title(cause))))
}

impl Sent {
    pub(super) async fn new<S: Needed>(access: &Granted<S>, found: &Found) -> Result<Self, Problem> {
        let Preview { method, url, headers, body } = match preview(access, found).await? {
            Ok(preview) => preview,
            Err(why) => return Ok(Self::Not(why)),
        };
        let file = format!("{}.json", found.delivery.key);
        let (command, needs_file) = command(&url, &headers, &body, &file);
        Ok(Self::Rendered(Box::new(Rendered {
            method,
            headers: headers.iter().map(|(name, value)| (visible(name), visible(value))).collect(),
            pretty: Payload::pretty(&body),
            exact: Payload::new(&body),
            size: bytes(body.len() as u64),
            at: found.last_attempt().map(Time),
            command,
            needs_file,
            url,
        })))
    }
}

/// The exact bytes.
pub(super) async fn body<S: Needed>(access: &Granted<S>, found: &Found) -> Result<Bytes, Problem> {
    let rendered = preview(access, found).await?;
    rendered.map(|preview| preview.body).map_err(|why| Problem::new(StatusCode::CONFLICT, why))
}

/// The command that repeats the request, and whether it takes the body from a file.
fn command(url: &str, headers: &[(String, String)], body: &[u8], file: &str) -> (String, bool) {
    let mut command = "curl -i -X POST".to_owned();
    for (name, value) in headers {
        if !WRITTEN_ANYWAY.contains(&&**name) {
            let _ = write!(command, " -H {}", quoted(&format!("{name}: {value}")));
        }
    }
    // curl reads a file where a text begins so; a shell takes no zero byte.
    let inline = std::str::from_utf8(body).ok().filter(|text| text.len() <= INLINE && !text.contains('\0'));
    match inline {
        Some(text) => {
            let _ = write!(command, " --data-raw {}", quoted(text));
        }
        None => {
            let _ = write!(command, " --data-binary {}", quoted(&format!("@{file}")));
        }
    }
    let _ = write!(command, " {}", quoted(url));
    (command, inline.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_says_the_same_as_the_request() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [header("host", "a"), header("webhook-id", "it's"), header("content-length", "2")];
        let (text, needs_file) = command("https://a/?b=c", &headers, b"{}", "dlv_7.json");
        assert_eq!(text, r"curl -i -X POST -H 'webhook-id: it'\''s' --data-raw '{}' 'https://a/?b=c'");
        assert!(!needs_file);
        let (text, needs_file) = command("https://a/", &headers, &[b'x'; INLINE + 1], "dlv_7.json");
        assert!(text.ends_with("--data-binary '@dlv_7.json' 'https://a/'") && needs_file, "{text}");
    }
}
