//! What the next page says of what was just done: a word and an id in a cookie,
//! and the sentence that they stand for. A cookie can hold nothing else, so
//! nobody can put words into a page.

use std::fmt;
use std::str::FromStr;

use callboard_domain::id::{DeliveryKey, JobKey, WebhookId};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// Of it the page shows the secret, too.
    WebhookCreated(WebhookId),
    WebhookSaved,
    WebhookDeleted,
    WebhookPaused,
    WebhookResumed,
    WebhookEnabled,
    WebhookDisabled,
    SecretRotated,
    Pinged(DeliveryKey),
    Resent(DeliveryKey),
    Stopped(DeliveryKey),
    JobStarted(JobKey),
    JobStopped(JobKey),
    ClientEnabled,
    ClientDisabled,
    ClientDeleted,
    LinkRevoked,
    TenantSaved,
    EventPublished,
    /// It was there already.
    EventKnown,
}

/// The text is no note.
#[derive(Debug)]
pub(super) struct NoNote;

/// The words of notes without an id.
const PLAIN: [(&str, Note, &str); 14] = [
    ("webhook_saved", Note::WebhookSaved, "The webhook was saved."),
    ("webhook_deleted", Note::WebhookDeleted, "The webhook was deleted. What waited for it is cancelled."),
    ("webhook_paused", Note::WebhookPaused, "The webhook is paused: it hears, and its invocations wait."),
    ("webhook_resumed", Note::WebhookResumed, "The webhook is active again."),
    ("webhook_enabled", Note::WebhookEnabled, "The webhook is enabled: what waited is sent."),
    ("webhook_disabled", Note::WebhookDisabled, "The webhook is disabled: it hears nothing new."),
    ("secret_rotated", Note::SecretRotated, "There is a new secret: the receiver needs it."),
    ("client_enabled", Note::ClientEnabled, "The client gets tokens again."),
    (
        "client_disabled",
        Note::ClientDisabled,
        "The client gets no more tokens, and none that it has is obeyed.",
    ),
    ("client_deleted", Note::ClientDeleted, "The client was deleted; its tokens are not obeyed any longer."),
    ("link_revoked", Note::LinkRevoked, "The portal link was revoked; its sessions have ended."),
    ("tenant_saved", Note::TenantSaved, "The tenant was saved."),
    ("event_published", Note::EventPublished, "The event was published."),
    (
        "event_known",
        Note::EventKnown,
        "The same event was published before under this id; nothing was sent again.",
    ),
];

impl Note {
    /// What it says.
    pub(super) fn sentence(self) -> String {
        let plain = PLAIN.iter().find(|(_, note, _)| *note == self);
        match self {
            Self::WebhookCreated(_) => "The webhook was created.".to_owned(),
            Self::Pinged(_) => "A ping is on its way.".to_owned(),
            Self::Resent(_) => "The invocation is on its way again.".to_owned(),
            Self::Stopped(_) => "The invocation was cancelled; it is not tried again.".to_owned(),
            Self::JobStarted(_) => "The job has started.".to_owned(),
            Self::JobStopped(_) => "The job was stopped; what it did stays done.".to_owned(),
            _ => plain.map(|(_, _, sentence)| (*sentence).to_owned()).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WebhookCreated(id) => write!(f, "webhook_created.{id}"),
            Self::Pinged(id) => write!(f, "pinged.{id}"),
            Self::Resent(id) => write!(f, "resent.{id}"),
            Self::Stopped(id) => write!(f, "stopped.{id}"),
            Self::JobStarted(id) => write!(f, "job_started.{id}"),
            Self::JobStopped(id) => write!(f, "job_stopped.{id}"),
            _ => match PLAIN.iter().find(|(_, note, _)| note == self) {
                Some((word, _, _)) => f.write_str(word),
                None => Ok(()),
            },
        }
    }
}

impl FromStr for Note {
    type Err = NoNote;

    fn from_str(text: &str) -> Result<Self, NoNote> {
        fn id<T: FromStr>(text: &str, note: fn(T) -> Note) -> Result<Note, NoNote> {
            text.parse().map(note).map_err(|_| NoNote)
        }
        match text.split_once('.') {
            None => PLAIN.iter().find(|(word, _, _)| *word == text).map(|(_, note, _)| *note).ok_or(NoNote),
            Some(("webhook_created", text)) => id(text, Self::WebhookCreated),
            Some(("pinged", text)) => id(text, Self::Pinged),
            Some(("resent", text)) => id(text, Self::Resent),
            Some(("stopped", text)) => id(text, Self::Stopped),
            Some(("job_started", text)) => id(text, Self::JobStarted),
            Some(("job_stopped", text)) => id(text, Self::JobStopped),
            Some(_) => Err(NoNote),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_survive_the_cookie_and_nothing_else_does() {
        let webhook: WebhookId = "0198c0de-7c5e-7d3a-9d7e-2f1d6a1c0b55".parse().expect("an id");
        let with_ids = [
            Note::WebhookCreated(webhook),
            Note::Pinged(DeliveryKey(7)),
            Note::Resent(DeliveryKey(7)),
            Note::Stopped(DeliveryKey(7)),
            Note::JobStarted(JobKey(1)),
            Note::JobStopped(JobKey(1)),
        ];
        for note in PLAIN.iter().map(|(_, note, _)| *note).chain(with_ids) {
            assert_eq!(note.to_string().parse::<Note>().ok(), Some(note), "{note}");
            assert!(!note.sentence().is_empty() && !note.to_string().contains([';', ' ']), "{note}");
        }
        for text in ["", "x", "pinged", "pinged.", "pinged.7", "<b>", "webhook_created.x"] {
            assert!(text.parse::<Note>().is_err(), "{text}");
        }
    }
}
