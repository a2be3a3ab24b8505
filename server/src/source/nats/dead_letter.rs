//! What becomes of messages that are no events: handed on with the reason, so
//! that a person can look at them, or dropped where nobody wants them.

use std::fmt::Write as _;
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use async_nats::{HeaderMap, HeaderValue};
use callboard_domain::fault::Fault;

use super::connect::Connected;
use super::read::Reason;
use super::record::Unreadable;
use super::{Lost, settle};
use crate::config::Nats;

/// When a message is given again that could not be handed on.
const LATER: Duration = Duration::from_secs(30);

/// Most bytes of faults that a dead letter lists.
const MOST_FAULTS: usize = 16 * 1024;

/// Headers that JetStream obeys: they are told under another name.
const OBEYED: &str = "nats-";

/// Hands messages on, and acknowledges each when JetStream has it.
pub(super) async fn hand_on(connected: &Connected, settings: &Nats, unreadable: Vec<Unreadable>) {
    let mut works = true;
    for (message, reason) in unreadable {
        let message = std::slice::from_ref(&message);
        let Some(dead_letter) = &settings.dead_letter else {
            note(&message[0], &reason, "a message of NATS is no event, and is dropped");
            settle(message, AckKind::Term).await;
            continue;
        };
        // One that was not taken tells enough of the others.
        if works {
            match publish(connected, dead_letter, &message[0], &reason).await {
                Ok(()) => {
                    note(&message[0], &reason, "a message of NATS is no event, and was handed on");
                    settle(message, AckKind::Ack).await;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, dead_letter, "messages of NATS that are no events can't be handed on yet");
                    works = false;
                }
            }
        }
        settle(message, AckKind::Nak(Some(LATER))).await;
    }
}

fn note(message: &Message, reason: &Reason, what: &str) {
    let sequence = message.info().map_or(0, |info| info.stream_sequence);
    let fault = reason.faults.first();
    let (pointer, fault) = fault.map_or(("", ""), |fault| (&*fault.pointer, &*fault.detail));
    tracing::warn!(
        subject = %message.subject,
        sequence,
        reason = reason.kind,
        detail = reason.detail,
        pointer,
        fault,
        "{what}"
    );
}

async fn publish(
    connected: &Connected,
    subject: &str,
    message: &Message,
    reason: &Reason,
) -> Result<(), Lost> {
    let mut headers = headers(message, reason);
    let room = connected.client.max_payload().saturating_sub(message.payload.len());
    copy_headers(message, &mut headers, room);
    let published = connected
        .context
        .publish_with_headers(subject.to_owned(), headers, message.payload.clone())
        .await
        .map_err(|error| Lost::new("it was not published", &error))?;
    published.await.map_err(|error| Lost::new("no stream took it", &error))?;
    Ok(())
}

/// Why it is no event, and where it stands in the stream.
fn headers(message: &Message, reason: &Reason) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = value.parse::<HeaderValue>() {
            headers.insert(name, value);
        }
    };
    put("Callboard-Reason", reason.kind);
    put("Callboard-Detail", &reason.detail);
    if !reason.faults.is_empty() {
        put("Callboard-Errors", &listed(&reason.faults));
    }
    put("Callboard-Subject", &message.subject);
    if let Ok(info) = message.info() {
        put("Callboard-Stream", info.stream);
        put("Callboard-Sequence", &info.stream_sequence.to_string());
        // Handed on twice within the stream's window, it is there once.
        let stored = info.published.unix_timestamp_nanos();
        put("Nats-Msg-Id", &format!("callboard-{}-{}-{stored}", info.stream, info.stream_sequence));
    }
    headers
}

/// The faults as the problems of the API list them, as many as there is room for.
fn listed(faults: &[Fault]) -> String {
    let mut list = "[".to_owned();
    for (index, fault) in faults.iter().enumerate() {
        let Ok(text) = serde_json::to_string(fault) else { continue };
        if list.len() + text.len() > MOST_FAULTS {
            let left = faults.len() - index;
            // Writing into a text can't fail.
            let _ = write!(list, "{{\"pointer\":\"\",\"detail\":\"has {left} more faults\"}},");
            break;
        }
        list.push_str(&text);
        list.push(',');
    }
    if list.ends_with(',') {
        list.pop();
    }
    list.push(']');
    list
}

/// The message's own headers, unless they have no room beside its body.
fn copy_headers(message: &Message, headers: &mut HeaderMap, room: usize) {
    let size = |headers: &HeaderMap| -> usize {
        // The first line, the end, and the marks around each.
        16 + headers
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
            .map(|(name, value)| AsRef::<str>::as_ref(name).len() + value.as_str().len() + 24)
            .sum::<usize>()
    };
    let Some(own) = &message.headers else { return };
    if size(headers) + size(own) > room {
        return;
    }
    for (name, values) in own.iter() {
        let name: &str = name.as_ref();
        let told = if name.to_ascii_lowercase().starts_with(OBEYED) {
            format!("Callboard-Original-{name}")
        } else {
            name.to_owned()
        };
        for value in values {
            headers.append(&*told, value.clone());
        }
    }
}
