//! A webhook: where to send, what to hear, in which dialect, how to retry.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event_type::{EventType, TypePattern};
use crate::filter::Filter;
use crate::id::{TenantKey, WebhookId, WebhookKey};
use crate::resource::Resource;
use crate::retry::Policy;
use crate::signing::{Scheme, Secret};
use crate::store::Order;
use crate::trigger::Trigger;
use crate::wire::Dialect;
use crate::wire::ingresse::Hook;
use crate::wire::viagogo::Topic;

mod client_certificate;
pub mod openticket;
mod read;
pub mod viagogo;

pub use client_certificate::ClientCertificate;
pub use read::{read_rate, read_settings, read_stored_settings};

/// What stands where a stored secret is not shown; given back in an edit, it
/// means "as it was".
pub const MASK: &str = "********";

/// A subscription of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Its row.
    pub key: WebhookKey,
    /// Its public id.
    pub id: WebhookId,
    /// Whose it is.
    pub tenant: TenantKey,
    /// Counts the edits; an edit of an old revision is refused.
    pub revision: i64,
    /// What its owner chose.
    pub settings: Settings,
    /// Whether it hears and is called.
    pub status: Status,
    /// Why it was disabled, if not by hand.
    pub disabled_reason: Option<String>,
    /// Since when it has done nothing but fail.
    pub failing_since: Option<Timestamp>,
    /// Its signing secrets, the newest first.
    pub secrets: Vec<StoredSecret>,
    /// What tells receivers of the OpenTicket dialect which webhook is calling.
    pub nonce: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

impl Webhook {
    /// The secrets that sign at `now`.
    pub fn valid_secrets(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        self.secrets
            .iter()
            .filter(move |stored| stored.expires_at.is_none_or(|expiry| expiry > now))
            .map(|stored| &stored.secret)
    }
}

/// Whether a webhook hears new events, and whether it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It hears and is called.
    Active,
    /// It hears, and its deliveries wait.
    Paused,
    /// It hears nothing new, and what waits is kept.
    Disabled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Active, Self::Paused, Self::Disabled];

    /// The name used in JSON, SQL and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

/// A signing secret and until when it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// The secret.
    pub secret: Secret,
    /// When it came into use.
    pub created_at: Timestamp,
    /// When a newer one has replaced it wholly; `None` for the newest.
    pub expires_at: Option<Timestamp>,
}

/// Where in [`Settings::revealed`] stands what no output may show, as JSON pointers.
pub const CONFIDENTIAL: [&str; 2] = ["/authorization_header", "/client_certificate/private_key"];

/// What the owner of a webhook chooses.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What people call it.
    pub name: String,
    /// Where deliveries are posted.
    pub url: String,
    /// What it hears, and in which dialect.
    pub subscription: Subscription,
    /// Hears only what names this id.
    pub identifier: Option<String>,
    /// Hears what propagates from related resources too.
    pub triggered_by_related: bool,
    /// What else has to hold of an event's native body.
    pub filter: Option<Filter>,
    /// When failed deliveries are tried again.
    pub retry: Policy,
    /// Whether deliveries about one subject go in order.
    pub ordering: Ordering,
    /// Whether updates that are out of date are skipped.
    pub collapse: Collapse,
    /// Most requests a second, if there is such a bound.
    pub rate_per_second: Option<f64>,
    /// Most requests at a time.
    pub max_in_flight: u32,
    /// Longest time for one attempt, connection and answer included.
    pub timeout: Duration,
    /// Further headers of each delivery, in lower case.
    pub headers: Vec<(String, String)>,
    /// The `Authorization` header of each delivery.
    pub authorization_header: Option<Confidential>,
    /// By which certificate deliveries name themselves to the receiver.
    pub client_certificate: Option<ClientCertificate>,
    /// How deliveries are signed.
    pub signature: Scheme,
}

/// Whether deliveries wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// They run in parallel.
    #[default]
    None,
    /// Those about one subject go strictly in the order of acceptance.
    Subject,
}

impl Ordering {
    /// The name used in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Subject => "subject",
        }
    }
}

/// Whether an update that waits behind a newer one is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collapse {
    /// Each is delivered.
    #[default]
    None,
    /// Only the latest is.
    Latest,
}

impl Collapse {
    /// The name used in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Latest => "latest",
        }
    }
}

/// What a webhook subscribes to; the variant is its dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    /// Types and patterns of types.
    Native {
        /// At least one.
        events: Vec<TypePattern>,
    },
    /// Hooks of Ingresse. Where two of them hear the same, the first tells it.
    Ingresse {
        /// At least one, each once.
        hooks: Vec<Hook>,
    },
    /// Topics of viagogo.
    Viagogo {
        /// At least one, each once.
        topics: Vec<Topic>,
    },
    /// One trigger on one resource, as OpenTicket has it.
    OpenTicket {
        /// One of [`crate::wire::openticket::RESOURCES`].
        resource: Resource,
        /// One of its triggers.
        trigger: Trigger,
    },
}

impl Subscription {
    /// The dialect that deliveries are told in.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Native { .. } => Dialect::Native,
            Self::Ingresse { .. } => Dialect::Ingresse,
            Self::Viagogo { .. } => Dialect::Viagogo,
            Self::OpenTicket { .. } => Dialect::OpenTicket,
        }
    }

    /// Everything that it asks for: event types, patterns of them, and the one
    /// condition that no pattern can say, [`ORDER_UPDATED_WITH_STATUS`].
    #[must_use]
    pub fn asks(&self) -> Vec<Cow<'_, str>> {
        let known = |(resource, trigger): &(Resource, Trigger)| {
            Cow::Owned(EventType::Known(*resource, *trigger).to_string())
        };
        match self {
            Self::Native { events } => events.iter().map(|pattern| Cow::Borrowed(pattern.as_str())).collect(),
            Self::Ingresse { hooks } => {
                let of_hook = |hook: &Hook| {
                    let hook = *hook;
                    hook.hears().iter().map(move |pair| {
                        if hook.needs_status(pair.0, pair.1) {
                            Cow::Borrowed(ORDER_UPDATED_WITH_STATUS)
                        } else {
                            known(pair)
                        }
                    })
                };
                hooks.iter().flat_map(of_hook).collect()
            }
            Self::Viagogo { topics } => topics.iter().flat_map(|topic| topic.hears()).map(known).collect(),
            Self::OpenTicket { resource, trigger } => vec![known(&(*resource, *trigger))],
        }
    }
}

/// What a hook asks for that hears of edited orders only when the event says
/// how they stand. No pattern reads like this.
pub const ORDER_UPDATED_WITH_STATUS: &str = "order.updated with a status";

/// A text that no log, error or debug output may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Confidential(String);

impl Confidential {
    /// Keeps `text` from being shown by accident.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Settings as JSON, in the shape of the native API, secrets in clear.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingsDocument<'a> {
    name: &'a str,
    url: &'a str,
    dialect: Dialect,
    #[serde(flatten)]
    subscription: SubscriptionDocument<'a>,
    identifier: Option<&'a str>,
    triggered_by_related: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    #[serde(flatten)]
    retry: PolicyDocument,
    ordering: Ordering,
    collapse: Collapse,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_second: Option<f64>,
    max_in_flight: u32,
    timeout_seconds: f64,
    headers: serde_json::Map<String, serde_json::Value>,
    authorization_header: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate: Option<client_certificate::Document<'a>>,
    signature: Scheme,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum SubscriptionDocument<'a> {
    Native { events: &'a [TypePattern] },
    Ingresse { hooks: &'a [Hook] },
    Viagogo { topics: &'a [Topic] },
    OpenTicket { resource: Resource, trigger: Trigger },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum PolicyDocument {
    Schedule { retry: RetryDocument },
    Doubling { retries: u32 },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct RetryDocument {
    schedule_seconds: Vec<f64>,
}

impl Settings {
    /// How a delivery of an event of this type waits for others.
    #[must_use]
    pub fn order(&self, event_type: &EventType) -> Order {
        match self.ordering {
            Ordering::None => Order::Free,
            Ordering::Subject => {
                let is_update = matches!(event_type, EventType::Known(_, Trigger::Update));
                Order::BySubject { collapses: is_update && self.collapse == Collapse::Latest }
            }
        }
    }

    /// What no output may show, each with its place in [`Self::revealed`] as a JSON
    /// pointer. Where settings are kept, it is kept apart and sealed.
    #[must_use]
    pub fn confidential(&self) -> Vec<(&'static str, &Confidential)> {
        // Every member by its name, so that a new one does not compile before
        // somebody has thought about it here.
        let Self {
            name: _,
            url: _,
            subscription: _,
            identifier: _,
            triggered_by_related: _,
            filter: _,
            retry: _,
            ordering: _,
            collapse: _,
            rate_per_second: _,
            max_in_flight: _,
            timeout: _,
            headers: _,
            authorization_header,
            client_certificate,
            signature: _,
        } = self;
        let key = client_certificate.as_ref().map(|certificate| &certificate.private_key);
        let [first, second] = CONFIDENTIAL;
        let both = [(first, authorization_header.as_ref()), (second, key)];
        both.into_iter().filter_map(|(place, text)| Some((place, text?))).collect()
    }

    /// The settings as they are stored, secrets in clear;
    /// [`read_stored_settings`] reads them back.
    #[must_use]
    pub fn revealed(&self) -> SettingsDocument<'_> {
        SettingsDocument {
            name: &self.name,
            url: &self.url,
            dialect: self.subscription.dialect(),
            subscription: match &self.subscription {
                Subscription::Native { events } => SubscriptionDocument::Native { events },
                Subscription::Ingresse { hooks } => SubscriptionDocument::Ingresse { hooks },
                Subscription::Viagogo { topics } => SubscriptionDocument::Viagogo { topics },
                Subscription::OpenTicket { resource, trigger } => {
                    SubscriptionDocument::OpenTicket { resource: *resource, trigger: *trigger }
                }
            },
            identifier: self.identifier.as_deref(),
            triggered_by_related: self.triggered_by_related,
            filter: self.filter.as_ref().map(Filter::as_str),
            retry: match &self.retry {
                Policy::Schedule(schedule) => PolicyDocument::Schedule {
                    retry: RetryDocument { schedule_seconds: schedule.seconds().collect() },
                },
                Policy::Doubling { retries } => PolicyDocument::Doubling { retries: *retries },
            },
            ordering: self.ordering,
            collapse: self.collapse,
            rate_per_second: self.rate_per_second,
            max_in_flight: self.max_in_flight,
            timeout_seconds: self.timeout.as_secs_f64(),
            headers: self.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect(),
            authorization_header: self.authorization_header.as_ref().map(Confidential::reveal),
            client_certificate: self.client_certificate.as_ref().map(ClientCertificate::revealed),
            signature: self.signature,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::webhook;

    #[test]
    fn a_secret_signs_until_it_expires() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let stored = |seed: u8, expires_at| {
            let text = format!("whsec_{}", [seed; 43].map(char::from).iter().collect::<String>() + "=");
            StoredSecret {
                secret: Secret::from_text(&text).expect("a secret"),
                created_at: at(0),
                expires_at,
            }
        };
        let (new, old, older) = (stored(b'A', None), stored(b'Q', Some(at(20))), stored(b'g', Some(at(10))));
        let mut webhook = webhook(&serde_json::json!({"url": "https://example.com", "events": ["*"]}));
        webhook.secrets = vec![new.clone(), old.clone(), older.clone()];
        let valid = |second| webhook.valid_secrets(at(second)).cloned().collect::<Vec<_>>();
        assert_eq!(valid(9), [new.secret.clone(), old.secret.clone(), older.secret]);
        assert_eq!(valid(10), [new.secret.clone(), old.secret]);
        assert_eq!(valid(20), [new.secret]);
    }

    #[test]
    fn only_updates_of_known_things_collapse_and_only_in_order() {
        let order = |more: &str, type_name: &str| {
            let text = format!(r#"{{"url": "https://example.com", "events": ["*"]{more}}}"#);
            let settings = read_settings(&text, None).expect("good settings").0;
            settings.order(&type_name.parse().expect("a type"))
        };
        let (ordered, latest) =
            (r#", "ordering": "subject""#, r#", "ordering": "subject", "collapse": "latest""#);
        assert_eq!(order("", "ticket.updated"), Order::Free);
        assert_eq!(order(ordered, "ticket.updated"), Order::BySubject { collapses: false });
        assert_eq!(order(latest, "ticket.updated"), Order::BySubject { collapses: true });
        for other in ["ticket.created", "acme.updated"] {
            assert_eq!(order(latest, other), Order::BySubject { collapses: false });
        }
    }

    #[test]
    fn what_is_confidential_is_found_and_shown_by_no_debug_output() {
        let text = r#"{"url": "https://example.com", "events": ["*"], "authorization_header": "sesame-1",
            "client_certificate": {"certificate": "C", "private_key": "sesame-2"}}"#;
        let settings = read_settings(text, None).expect("good settings").0;
        let revealed = serde_json::json!(settings.revealed());
        let found = settings.confidential();
        assert_eq!(found.len(), CONFIDENTIAL.len());
        for (place, text) in found {
            assert_eq!(revealed.pointer(place).and_then(|value| value.as_str()), Some(text.reveal()));
            assert_eq!(format!("{text:?}"), MASK);
        }
    }

    #[test]
    fn words_of_settings_have_one_name_in_json_and_in_text() {
        for status in [Status::Active, Status::Paused, Status::Disabled] {
            assert_eq!(serde_json::json!(status), status.as_str());
        }
        for ordering in [Ordering::None, Ordering::Subject] {
            assert_eq!(serde_json::json!(ordering), ordering.as_str());
        }
        for collapse in [Collapse::None, Collapse::Latest] {
            assert_eq!(serde_json::json!(collapse), collapse.as_str());
        }
    }
}
