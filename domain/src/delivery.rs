//! A delivery (one event for one webhook), its states and its attempts.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{DeliveryKey, EventId, EventKey, TenantKey, WebhookKey};
use crate::wire::Renderings;

/// Most attempts that one delivery can be given, by schedule and by hand.
pub const MAX_ATTEMPTS: u32 = 1_000;

/// Where a delivery stands. See docs/states.md for the transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not attempted yet.
    Pending,
    /// Attempted, and to be attempted again.
    Waiting,
    /// A receiver answered 2xx.
    Delivered,
    /// Given up.
    Failed,
    /// Skipped, because a newer update of the same subject waited behind it.
    Superseded,
    /// Called off by hand, also after it had failed, or because its webhook was deleted.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Waiting, Self::Delivered, Self::Failed, Self::Superseded, Self::Cancelled];

    /// The name used in JSON, logs and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How an attempt, or a delivery that ends without one, came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A receiver answered 2xx.
    Delivered,
    /// It failed; the delivery waits until this time for the next attempt.
    Retry(Timestamp),
    /// It failed, and there is no further attempt.
    GivenUp,
    /// Nothing was sent: a newer update took its place.
    Superseded,
    /// Nothing was sent: it was called off.
    Cancelled,
}

impl Outcome {
    /// The state that the delivery is in afterwards.
    #[must_use]
    pub const fn state(self) -> State {
        match self {
            Self::Delivered => State::Delivered,
            Self::Retry(_) => State::Waiting,
            Self::GivenUp => State::Failed,
            Self::Superseded => State::Superseded,
            Self::Cancelled => State::Cancelled,
        }
    }
}

/// Why an attempt failed, in one word that programs can compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The host name has no address, or could not be looked up.
    Dns,
    /// The address may not be called (loopback, private, metadata, ...).
    Blocked,
    /// Nobody listens there, or the network refused.
    Connect,
    /// No connection within the time allowed.
    ConnectTimeout,
    /// The TLS handshake failed; the detail names the certificate's fault.
    Tls,
    /// The connection ended before the answer did.
    Reset,
    /// No complete answer within the time allowed.
    Timeout,
    /// What came back is not HTTP.
    InvalidAnswer,
    /// The receiver answered with a status that is not 2xx.
    Status,
    /// The event can't be told in the webhook's dialect.
    Unrenderable,
    /// Somebody cancelled it, or the webhook is gone.
    Cancelled,
    /// A newer update took its place.
    Superseded,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 12] = [
        Self::Dns,
        Self::Blocked,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Reset,
        Self::Timeout,
        Self::InvalidAnswer,
        Self::Status,
        Self::Unrenderable,
        Self::Cancelled,
        Self::Superseded,
    ];

    /// Those that deliveries fail for.
    pub const FAILURES: [Self; 10] = [
        Self::Dns,
        Self::Blocked,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Reset,
        Self::Timeout,
        Self::InvalidAnswer,
        Self::Status,
        Self::Unrenderable,
    ];

    /// The name used in JSON and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Blocked => "blocked",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::InvalidAnswer => "invalid_answer",
            Self::Status => "status",
            Self::Unrenderable => "unrenderable",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }
}

/// What an attempt was answered with, by the class of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerClass {
    /// 200 to 299.
    Success,
    /// 300 to 399.
    Redirect,
    /// 400 to 499.
    ClientError,
    /// 500 to 599.
    ServerError,
    /// There was an attempt, and no answer.
    None,
}

impl AnswerClass {
    /// Every class.
    pub const ALL: [Self; 5] =
        [Self::Success, Self::Redirect, Self::ClientError, Self::ServerError, Self::None];

    /// The word for it in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "2xx",
            Self::Redirect => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::None => "none",
        }
    }

    /// The class of an attempt with this status and this cause of failure; `None` for
    /// a status that is in no class, and for what ended without being sent.
    #[must_use]
    pub const fn of(status: Option<u16>, cause: Option<Cause>) -> Option<Self> {
        match (status, cause) {
            (Some(200..=299), _) => Some(Self::Success),
            (Some(300..=399), _) => Some(Self::Redirect),
            (Some(400..=499), _) => Some(Self::ClientError),
            (Some(500..=599), _) => Some(Self::ServerError),
            (Some(_), _) | (None, Some(Cause::Cancelled | Cause::Superseded)) => None,
            (None, _) => Some(Self::None),
        }
    }
}

/// Why deliveries failed, as far as they are grouped by it: the last attempt's
/// cause, and the status where it was answered. To choose by, what is left out
/// does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub struct Reason {
    /// The cause.
    pub cause: Option<Cause>,
    /// The status of the answer.
    pub status: Option<u16>,
}

impl Reason {
    /// Itself, if it leaves anything out of a choice.
    #[must_use]
    pub fn choosing(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

/// How long the parts of an attempt took; zero where a part did not happen
/// (a kept-alive connection needs no lookup and no handshake). Such are left out where it
/// is stored: there is one of it an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// Looking up the host name, in microseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub dns_us: u64,
    /// Connecting, in microseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub connect_us: u64,
    /// The TLS handshake, in microseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub tls_us: u64,
    /// From the request's first byte to the end of the answer, in microseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub exchange_us: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde hands over")]
const fn is_zero(micros: &u64) -> bool {
    *micros == 0
}

/// What there is to say of an attempt beyond its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AttemptDetail {
    /// In a person's words, why it failed; empty on success.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The address that was dialled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Where the time went.
    #[serde(default)]
    pub timings: Timings,
    /// The answer's headers, as far as they are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answer_headers: Vec<(String, String)>,
    /// The start of the answer's body, lossily as text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer_body: String,
    /// Whether the body was longer than what is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answer_cut: bool,
}

/// One finished attempt of a delivery, ready to be written down.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The delivery.
    pub delivery: DeliveryKey,
    /// Its event.
    pub event: EventKey,
    /// Its webhook.
    pub webhook: WebhookKey,
    /// 1 for the first attempt of the delivery.
    pub number: u32,
    /// How many attempts of the present schedule are spent, this one included;
    /// starts anew when somebody retries by hand.
    pub tries: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// How it came out.
    pub outcome: Outcome,
    /// The answer's status, when there was one.
    pub status: Option<u16>,
    /// Why it failed; `None` on success.
    pub cause: Option<Cause>,
    /// The rest.
    pub detail: AttemptDetail,
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its row.
    pub key: EventKey,
    /// Whose it is.
    pub tenant: TenantKey,
    /// Its public id.
    pub id: EventId,
    /// Its type as text.
    pub type_name: String,
    /// The id of its subject.
    pub subject_id: String,
    /// When it became durable.
    pub accepted_at: Timestamp,
    /// The native body.
    pub body: Bytes,
    /// How many deliveries it has, late ones included.
    pub deliveries: u32,
    /// Of a ticket: by how much its quantity changed since it was last
    /// published, where both quantities are known.
    pub quantity_diff: Option<i64>,
    /// What it was rendered as so far.
    pub renderings: Renderings,
}

/// A delivery as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySummary {
    /// Its row.
    pub key: DeliveryKey,
    /// Its webhook.
    pub webhook: WebhookKey,
    /// Its event.
    pub event: EventKey,
    /// The event's public id.
    pub event_id: EventId,
    /// The event's type.
    pub type_name: String,
    /// The event's subject.
    pub subject_id: String,
    /// When it was made: with its event, or later by a replay.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// How many attempts were made.
    pub attempts: u32,
    /// When the next one is due; `None` when there is none, or it is on its way.
    pub next_attempt_at: Option<Timestamp>,
    /// The last attempt, if any.
    pub last_attempt: Option<LoggedAttempt>,
}

/// An attempt as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAttempt {
    /// 1 for the first attempt of the delivery.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The state of the delivery after it.
    pub state: State,
    /// The answer's status, when there was one.
    pub status: Option<u16>,
    /// Why it failed; `None` on success.
    pub cause: Option<Cause>,
    /// The rest.
    pub detail: AttemptDetail,
}

impl LoggedAttempt {
    /// Whether something was sent, or was to be: what was called off or superseded
    /// leaves a row without that.
    #[must_use]
    pub const fn was_made(&self) -> bool {
        !matches!(self.cause, Some(Cause::Cancelled | Cause::Superseded))
    }

    /// What it was answered with; see [`AnswerClass::of`].
    #[must_use]
    pub const fn answer(&self) -> Option<AnswerClass> {
        AnswerClass::of(self.status, self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_one_name_in_json_and_in_text() {
        for state in State::ALL {
            assert_eq!(serde_json::json!(state), state.as_str());
        }
    }

    #[test]
    fn answers_are_of_the_class_of_their_status() {
        let class = |status| AnswerClass::of(Some(status), Some(Cause::Status));
        for (class_of, first) in AnswerClass::ALL.into_iter().zip([200, 300, 400, 500]) {
            assert_eq!((class(first), class(first + 99)), (Some(class_of), Some(class_of)));
        }
        assert_eq!((class(199), class(600)), (None, None));
        assert_eq!(AnswerClass::ALL.map(AnswerClass::as_str), ["2xx", "3xx", "4xx", "5xx", "none"]);
    }

    #[test]
    fn an_attempt_without_an_answer_has_a_class_and_what_was_not_sent_has_none() {
        for cause in Cause::ALL {
            let sent = !matches!(cause, Cause::Cancelled | Cause::Superseded);
            assert_eq!(AnswerClass::of(None, Some(cause)), sent.then_some(AnswerClass::None));
        }
    }

    #[test]
    fn what_was_called_off_or_superseded_was_not_made_and_has_no_answer() {
        let attempt = |status, cause| LoggedAttempt {
            number: 1,
            started_at: Timestamp::UNIX_EPOCH,
            duration: Duration::ZERO,
            state: State::Failed,
            status,
            cause,
            detail: AttemptDetail::default(),
        };
        for (status, cause, made, answer) in [
            (Some(204), None, true, Some(AnswerClass::Success)),
            (Some(503), Some(Cause::Status), true, Some(AnswerClass::ServerError)),
            (None, Some(Cause::Timeout), true, Some(AnswerClass::None)),
            (None, Some(Cause::Cancelled), false, None),
            (None, Some(Cause::Superseded), false, None),
        ] {
            let attempt = attempt(status, cause);
            assert_eq!((attempt.was_made(), attempt.answer()), (made, answer), "{status:?} {cause:?}");
        }
    }

    #[test]
    fn causes_have_one_name_in_json_and_in_text_and_some_are_failures() {
        for cause in Cause::ALL {
            assert_eq!(serde_json::json!(cause), cause.as_str());
            let nothing_sent = matches!(cause, Cause::Cancelled | Cause::Superseded);
            assert_eq!(Cause::FAILURES.contains(&cause), !nothing_sent);
        }
    }

    #[test]
    fn a_reason_that_leaves_nothing_out_chooses_nothing() {
        assert_eq!(Reason::default().choosing(), None);
        for (cause, status) in [(Some(Cause::Dns), None), (None, Some(503))] {
            let reason = Reason { cause, status };
            assert_eq!(reason.choosing(), Some(reason));
        }
    }
}
