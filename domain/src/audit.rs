//! The audit log: who changed what, from where and when, with the secrets masked.
//!
//! An entry is written in the transaction of the change that it tells of, so there
//! is one exactly when the change was made. What an entry says is decided here,
//! from what stood before and after; databases only write it down.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::access::{Client, Tenant};
use crate::clock::Timestamp;
use crate::delivery::State;
use crate::id::{AuditKey, ClientId, DeliveryKey, PortalLinkKey, WebhookId};
use crate::job::{Job, JobKind};
use crate::portal::PortalLink;
use crate::webhook::{CONFIDENTIAL, MASK, Settings, Status, Webhook};

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Whoever has the operator's token.
    Operator,
    /// A client.
    Client {
        /// Its public id.
        id: ClientId,
        /// What it was called then.
        name: String,
    },
    /// Whom a token of the OpenID issuer names.
    OpenId {
        /// What the issuer calls it.
        id: String,
    },
    /// A person who came by a portal link.
    PortalLink {
        /// The link.
        key: PortalLinkKey,
        /// What it is called; may be empty.
        name: String,
    },
    /// Callboard itself.
    System,
}

impl Actor {
    /// What kind of actor it is, as JSON and SQL name it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Client { .. } => "client",
            Self::OpenId { .. } => "openid",
            Self::PortalLink { .. } => "portal_link",
            Self::System => "system",
        }
    }

    /// Which of its kind it is; where there is only one, the kind.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Client { id, .. } => id.to_string(),
            Self::OpenId { id } => id.clone(),
            Self::PortalLink { key, .. } => key.to_string(),
            Self::Operator | Self::System => self.kind().to_owned(),
        }
    }

    /// What people call it; may be empty.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Client { name, .. } | Self::PortalLink { name, .. } => name,
            Self::Operator | Self::OpenId { .. } | Self::System => "",
        }
    }
}

/// By whom something is done, from where and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Who does it.
    pub actor: Actor,
    /// The address that the request came from, if there was one.
    pub address: Option<IpAddr>,
    /// When.
    pub at: Timestamp,
}

impl By {
    /// Callboard itself does it.
    #[must_use]
    pub const fn system(at: Timestamp) -> Self {
        Self { actor: Actor::System, address: None, at }
    }
}

/// What was done to what, as the log tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its name, such as `webhook.updated`.
    pub action: &'static str,
    /// The kind of thing that it was done to.
    pub target_kind: &'static str,
    /// The public id of that thing.
    pub target_id: String,
    /// What stood before: all of it where the thing is gone, only what differs
    /// where it was changed.
    pub before: Option<Value>,
    /// What stands now: all of it where the thing is new.
    pub after: Option<Value>,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its row; grows in the order of writing.
    pub key: AuditKey,
    /// When it was done.
    pub at: Timestamp,
    /// [`Actor::kind`].
    pub actor_kind: String,
    /// [`Actor::id`].
    pub actor_id: String,
    /// [`Actor::name`], as it was then.
    pub actor_name: String,
    /// [`Change::action`].
    pub action: String,
    /// [`Change::target_kind`].
    pub target_kind: String,
    /// [`Change::target_id`].
    pub target_id: String,
    /// [`Change::before`].
    pub before: Option<Value>,
    /// [`Change::after`].
    pub after: Option<Value>,
    /// The address that the request came from.
    pub address: Option<String>,
}

/// Which entries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Only what this actor did: [`Actor::id`].
    pub actor_id: Option<String>,
    /// Only these actions.
    pub action: Option<ActionPattern>,
    /// Only what was done to this thing.
    pub target_id: Option<String>,
    /// Only what was done at or after this time.
    pub since: Option<Timestamp>,
    /// Only what was done before this time.
    pub until: Option<Timestamp>,
}

/// An action, or all that begin alike: `webhook.deleted`, `webhook.*`, `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPattern {
    start: String,
    is_prefix: bool,
}

/// The text is no pattern of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an action such as webhook.deleted, or webhook.* for all of a kind")]
pub struct NoPattern;

impl ActionPattern {
    /// The whole action; `None` when more than one is meant.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        (!self.is_prefix).then_some(&*self.start)
    }

    /// What the actions begin with.
    #[must_use]
    pub fn start(&self) -> &str {
        &self.start
    }
}

impl std::str::FromStr for ActionPattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        let start = text.strip_suffix('*');
        let is_prefix = start.is_some();
        let start = start.unwrap_or(text);
        let known = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'.';
        let whole_words = !is_prefix || start.is_empty() || start.ends_with('.');
        if text.is_empty() || text.len() > 64 || !start.bytes().all(known) || !whole_words {
            return Err(NoPattern);
        }
        Ok(Self { start: start.to_owned(), is_prefix })
    }
}

impl Change {
    fn of(action: &'static str, target_kind: &'static str, target_id: &impl ToString) -> Self {
        Self { action, target_kind, target_id: target_id.to_string(), before: None, after: None }
    }

    /// A webhook was made.
    #[must_use]
    pub fn webhook_created(made: &Webhook) -> Self {
        Self { after: Some(masked(document(made))), ..Self::of("webhook.created", "webhook", &made.id) }
    }

    /// A webhook was edited, and perhaps given another signing secret. `None` when
    /// nothing differs.
    #[must_use]
    pub fn webhook_edited(before: &Webhook, after: &Webhook, new_secret: bool) -> Option<Self> {
        let differs = before.settings != after.settings || new_secret;
        let action = match (before.status, after.status) {
            (one, other) if one == other || differs => "webhook.updated",
            (_, Status::Paused) => "webhook.paused",
            (_, Status::Disabled) => "webhook.disabled",
            (Status::Paused, Status::Active) => "webhook.resumed",
            (_, Status::Active) => "webhook.enabled",
        };
        let (mut was, mut is) = differing(&document(before), &document(after));
        if new_secret {
            was.insert("secret".to_owned(), MASK.into());
            is.insert("secret".to_owned(), MASK.into());
        }
        let changed = !(was.is_empty() && is.is_empty());
        let change = Self {
            before: Some(masked(was)),
            after: Some(masked(is)),
            ..Self::of(action, "webhook", &after.id)
        };
        changed.then_some(change)
    }

    /// A webhook was deleted.
    #[must_use]
    pub fn webhook_deleted(gone: &Webhook) -> Self {
        Self { before: Some(masked(document(gone))), ..Self::of("webhook.deleted", "webhook", &gone.id) }
    }

    /// A webhook got a new signing secret; the others go on signing until
    /// `overlap_until`.
    #[must_use]
    pub fn secret_rotated(webhook: WebhookId, overlap_until: Timestamp) -> Self {
        Self {
            before: Some(json!({"secret": MASK})),
            after: Some(json!({"secret": MASK, "previous_signs_until": overlap_until})),
            ..Self::of("webhook.secret_rotated", "webhook", &webhook)
        }
    }

    /// Somebody was shown the signing secrets of a webhook.
    #[must_use]
    pub fn secret_shown(webhook: WebhookId) -> Self {
        Self::of("webhook.secret_shown", "webhook", &webhook)
    }

    /// Somebody had a ping sent.
    #[must_use]
    pub fn pinged(webhook: WebhookId) -> Self {
        Self::of("webhook.pinged", "webhook", &webhook)
    }

    /// Somebody made a delivery due at once, which was in this state.
    #[must_use]
    pub fn delivery_retried(delivery: DeliveryKey, before: State) -> Self {
        Self::of_delivery("delivery.retried", delivery, (before, State::Pending))
    }

    /// Somebody called a delivery off, which was in this state.
    #[must_use]
    pub fn delivery_cancelled(delivery: DeliveryKey, before: State) -> Self {
        Self::of_delivery("delivery.cancelled", delivery, (before, State::Cancelled))
    }

    fn of_delivery(action: &'static str, delivery: DeliveryKey, (before, after): (State, State)) -> Self {
        Self {
            before: Some(json!({"state": before.as_str()})),
            after: Some(json!({"state": after.as_str()})),
            ..Self::of(action, "delivery", &delivery)
        }
    }

    /// Somebody started a job for a webhook.
    #[must_use]
    pub fn job_started(job: &Job, webhook: Option<WebhookId>) -> Self {
        let action = match job.kind {
            JobKind::RetryFailed => "retry_failed.started",
            JobKind::Replay => "replay.started",
            JobKind::Discard => "discard_failed.started",
        };
        let mut after = Map::new();
        after.insert("webhook_id".to_owned(), json!(webhook));
        if let Some(selection) = &job.selection {
            after.insert("selection".to_owned(), json!(selection));
        }
        if let Some(reason) = &job.reason {
            after.insert("reason".to_owned(), json!(reason));
        }
        if let Some(rate) = job.rate_per_second {
            after.insert("rate_per_second".to_owned(), json!(rate));
        }
        Self { after: Some(after.into()), ..Self::of(action, "job", &job.key) }
    }

    /// Somebody ended a job that was running.
    #[must_use]
    pub fn job_stopped(before: &Job, after: &Job) -> Self {
        Self {
            before: Some(json!({"state": before.state.as_str(), "done": before.done})),
            after: Some(json!({"state": after.state.as_str(), "done": after.done})),
            ..Self::of("job.stopped", "job", &after.key)
        }
    }

    /// The operator signed in by a browser, for a session that ends then.
    #[must_use]
    pub fn operator_signed_in(expires_at: Timestamp) -> Self {
        let after = Some(json!({"expires_at": expires_at}));
        Self { after, ..Self::of("operator.signed_in", "operator", &Actor::Operator.kind()) }
    }

    /// A link was made by which the operator signs in once, until then.
    #[must_use]
    pub fn sign_in_link_created(expires_at: Timestamp) -> Self {
        let after = Some(json!({"expires_at": expires_at}));
        Self { after, ..Self::of("operator.sign_in_link_created", "operator", &Actor::Operator.kind()) }
    }

    /// A tenant was made.
    #[must_use]
    pub fn tenant_created(made: &Tenant) -> Self {
        Self { after: Some(tenant(made).into()), ..Self::of("tenant.created", "tenant", &made.id) }
    }

    /// A tenant was edited; `None` when nothing differs.
    #[must_use]
    pub fn tenant_updated(before: &Tenant, after: &Tenant) -> Option<Self> {
        let (was, is) = differing(&tenant(before), &tenant(after));
        let changed = !(was.is_empty() && is.is_empty());
        let change = Self {
            before: Some(was.into()),
            after: Some(is.into()),
            ..Self::of("tenant.updated", "tenant", &after.id)
        };
        changed.then_some(change)
    }

    /// A client was made.
    #[must_use]
    pub fn client_created(made: &Client) -> Self {
        Self { after: Some(client(made)), ..Self::of("client.created", "client", &made.id) }
    }

    /// A client was enabled or disabled; `None` when it was already.
    #[must_use]
    pub fn client_switched(before: &Client, after: &Client) -> Option<Self> {
        let action = if after.enabled { "client.enabled" } else { "client.disabled" };
        let change = Self {
            before: Some(json!({"enabled": before.enabled})),
            after: Some(json!({"enabled": after.enabled})),
            ..Self::of(action, "client", &after.id)
        };
        (before.enabled != after.enabled).then_some(change)
    }

    /// A client was deleted.
    #[must_use]
    pub fn client_deleted(gone: &Client) -> Self {
        Self { before: Some(client(gone)), ..Self::of("client.deleted", "client", &gone.id) }
    }

    /// A portal link was made.
    #[must_use]
    pub fn portal_link_created(made: &PortalLink) -> Self {
        let after = json!({"name": made.name, "scopes": made.scopes, "expires_at": made.expires_at});
        Self { after: Some(after), ..Self::of("portal_link.created", "portal_link", &made.key) }
    }

    /// Somebody opened a portal link, and has a session now.
    #[must_use]
    pub fn portal_link_opened(link: &PortalLink) -> Self {
        Self::of("portal_link.opened", "portal_link", &link.key)
    }

    /// A portal link was revoked, and its sessions were ended.
    #[must_use]
    pub fn portal_link_revoked(link: &PortalLink) -> Self {
        Self {
            before: Some(json!({"revoked_at": null})),
            after: Some(json!({"revoked_at": link.revoked_at})),
            ..Self::of("portal_link.revoked", "portal_link", &link.key)
        }
    }
}

/// A webhook member by member, secrets in clear.
fn document(webhook: &Webhook) -> Map<String, Value> {
    let mut members = settings(&webhook.settings);
    members.insert("status".to_owned(), webhook.status.as_str().into());
    if let Some(reason) = &webhook.disabled_reason {
        members.insert("disabled_reason".to_owned(), reason.as_str().into());
    }
    members
}

fn settings(settings: &Settings) -> Map<String, Value> {
    match serde_json::to_value(settings.revealed()) {
        Ok(Value::Object(members)) => members,
        // Settings are an object.
        _ => Map::new(),
    }
}

/// Puts the mask in the place of whatever may be a secret. Any header may hold one.
fn masked(members: Map<String, Value>) -> Value {
    let mut members = Value::Object(members);
    for place in CONFIDENTIAL {
        if let Some(value) = members.pointer_mut(place).filter(|value| !value.is_null()) {
            *value = MASK.into();
        }
    }
    if let Some(headers) = members.get_mut("headers").and_then(Value::as_object_mut) {
        headers.values_mut().for_each(|value| *value = MASK.into());
    }
    members
}

/// The members that are not the same in both, of each. They are compared before
/// they are masked: a secret that changed is one.
fn differing(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> (Map<String, Value>, Map<String, Value>) {
    let only = |these: &Map<String, Value>, others: &Map<String, Value>| {
        let differ = these.iter().filter(|(name, value)| others.get(*name) != Some(value));
        differ.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    (only(before, after), only(after, before))
}

fn tenant(tenant: &Tenant) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("name".to_owned(), tenant.name.as_str().into());
    members.insert("retention_seconds".to_owned(), tenant.retention_seconds.into());
    members
}

fn client(client: &Client) -> Value {
    json!({"name": client.name, "scopes": client.scopes, "enabled": client.enabled})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Scopes;
    use crate::delivery::{Cause, Reason};
    use crate::id::{JobKey, TenantKey, WebhookKey};
    use crate::job::{JobState, Range, Selection};
    use crate::webhook::read_settings;

    fn webhook(text: &str, status: Status) -> Webhook {
        let settings = read_settings(text, None).expect("good settings").0;
        Webhook {
            key: WebhookKey(1),
            id: WebhookId::from_bytes([7; 16]),
            tenant: TenantKey(1),
            revision: 1,
            settings,
            status,
            disabled_reason: None,
            failing_since: None,
            secrets: Vec::new(),
            nonce: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            deleted_at: None,
        }
    }

    const ONE: &str = r#"{"name": "One", "url": "https://one.example/", "events": ["*"],
        "headers": {"x-key": "sesame-1"}, "authorization_header": "Bearer sesame-2"}"#;
    const OTHER: &str = r#"{"name": "One", "url": "https://two.example/", "events": ["*"],
        "headers": {"x-key": "sesame-3"}, "authorization_header": "Bearer sesame-2"}"#;

    #[test]
    fn an_edit_tells_only_what_differs_and_no_secret() {
        let (one, other) = (webhook(ONE, Status::Active), webhook(OTHER, Status::Active));
        let change = Change::webhook_edited(&one, &other, false).expect("a change");
        assert_eq!(change.action, "webhook.updated");
        let was = json!({"url": "https://one.example/", "headers": {"x-key": MASK}});
        assert_eq!(change.before, Some(was));
        let is = json!({"url": "https://two.example/", "headers": {"x-key": MASK}});
        assert_eq!(change.after, Some(is));
        for change in [Change::webhook_created(&one), Change::webhook_deleted(&one)] {
            let text = format!("{change:?}");
            assert!(!text.contains("sesame") && text.contains(MASK), "{text}");
        }
        let key = r#""client_certificate": {"certificate": "C", "private_key": "sesame-4"}"#;
        let with_key = webhook(&ONE.replace("\"headers\"", &format!("{key}, \"headers\"")), Status::Active);
        let change = Change::webhook_edited(&one, &with_key, false).expect("a change");
        let is = json!({"client_certificate": {"certificate": "C", "private_key": MASK}});
        assert_eq!(change.after, Some(is));
        assert_eq!(Change::webhook_edited(&one, &one, false), None);
        let change = Change::webhook_edited(&one, &one, true).expect("another secret");
        assert_eq!(change.after, Some(json!({"secret": MASK})));
    }

    #[test]
    fn a_change_of_status_alone_has_a_name_of_its_own() {
        use Status::{Active, Disabled, Paused};
        let action = |from, to| {
            let change = Change::webhook_edited(&webhook(ONE, from), &webhook(ONE, to), false);
            change.map(|change| (change.action, change.before, change.after))
        };
        let status = |status: Status| Some(json!({"status": status.as_str()}));
        for (from, to, name) in [
            (Active, Paused, "webhook.paused"),
            (Paused, Active, "webhook.resumed"),
            (Disabled, Active, "webhook.enabled"),
            (Paused, Disabled, "webhook.disabled"),
        ] {
            assert_eq!(action(from, to), Some((name, status(from), status(to))));
        }
        let both = Change::webhook_edited(&webhook(ONE, Active), &webhook(OTHER, Paused), false);
        assert_eq!(both.expect("a change").action, "webhook.updated");
    }

    #[test]
    fn patterns_mean_one_action_or_all_of_a_kind() {
        let read = |text: &str| text.parse::<ActionPattern>().map(|read| (read.start, read.is_prefix));
        assert_eq!(read("webhook.deleted"), Ok(("webhook.deleted".to_owned(), false)));
        assert_eq!(read("webhook.*"), Ok(("webhook.".to_owned(), true)));
        assert_eq!(read("*"), Ok((String::new(), true)));
        let longest = "a".repeat(64);
        assert_eq!(read(&longest), Ok((longest.clone(), false)));
        let one: ActionPattern = "webhook.deleted".parse().expect("a pattern");
        let all: ActionPattern = "webhook.*".parse().expect("a pattern");
        assert_eq!((one.exact(), one.start()), (Some("webhook.deleted"), "webhook.deleted"));
        assert_eq!((all.exact(), all.start()), (None, "webhook."));
        for bad in ["", "web*", "*.deleted", "webhook deleted", "Webhook.*", &"a".repeat(65)] {
            assert_eq!(read(bad), Err(NoPattern), "{bad:?}");
        }
    }

    #[test]
    fn actors_are_told_apart_by_kind_and_id() {
        let told = |actor: &Actor| (actor.kind(), actor.id(), actor.name().to_owned());
        let expected = |kind, id: &str, name: &str| (kind, id.to_owned(), name.to_owned());
        let client = Actor::Client { id: "c-1".parse().expect("an id"), name: "Shop".to_owned() };
        let link = Actor::PortalLink { key: PortalLinkKey(7), name: "Anna".to_owned() };
        assert_eq!(told(&client), expected("client", "c-1", "Shop"));
        assert_eq!(told(&link), expected("portal_link", "ptl_7", "Anna"));
        assert_eq!(told(&Actor::OpenId { id: "anna".to_owned() }), expected("openid", "anna", ""));
        assert_eq!(told(&Actor::Operator), expected("operator", "operator", ""));
        assert_eq!(told(&By::system(Timestamp::UNIX_EPOCH).actor), expected("system", "system", ""));
    }

    #[test]
    fn what_is_done_to_webhooks_and_deliveries_by_hand_is_told() {
        let id = WebhookId::from_bytes([7; 16]);
        let text = id.to_string();
        let masked = json!({"secret": MASK, "previous_signs_until": "1970-01-01T00:00:00Z"});
        let delivery = DeliveryKey(5);
        for (change, action, target, before, after) in [
            (
                Change::secret_rotated(id, Timestamp::UNIX_EPOCH),
                "webhook.secret_rotated",
                ("webhook", &*text),
                Some(json!({"secret": MASK})),
                Some(masked),
            ),
            (Change::secret_shown(id), "webhook.secret_shown", ("webhook", &*text), None, None),
            (Change::pinged(id), "webhook.pinged", ("webhook", &*text), None, None),
            (
                Change::delivery_retried(delivery, State::Failed),
                "delivery.retried",
                ("delivery", "dlv_5"),
                Some(json!({"state": "failed"})),
                Some(json!({"state": "pending"})),
            ),
            (
                Change::delivery_cancelled(delivery, State::Waiting),
                "delivery.cancelled",
                ("delivery", "dlv_5"),
                Some(json!({"state": "waiting"})),
                Some(json!({"state": "cancelled"})),
            ),
        ] {
            let (target_kind, target_id) = (target.0, target.1.to_owned());
            assert_eq!(change, Change { action, target_kind, target_id, before, after });
        }
    }

    #[test]
    fn what_is_new_is_told_as_it_is_and_what_is_gone_as_it_was() {
        let tenant = |name: &str| Tenant {
            key: TenantKey(1),
            id: "acme".parse().expect("an id"),
            name: name.to_owned(),
            retention_seconds: Some(60),
            created_at: Timestamp::UNIX_EPOCH,
        };
        let client = |enabled| Client {
            id: "c-1".parse().expect("an id"),
            tenant: TenantKey(1),
            name: "Shop".to_owned(),
            secret_digest: [0; 32],
            scopes: Scopes::default(),
            enabled,
            created_at: Timestamp::UNIX_EPOCH,
            last_used_at: None,
        };
        let link = PortalLink {
            key: PortalLinkKey(7),
            tenant: TenantKey(1),
            name: "Anna".to_owned(),
            scopes: Scopes::default(),
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
            revoked_at: Some(Timestamp::UNIX_EPOCH),
        };
        let start = "1970-01-01T00:00:00Z";
        let whole = json!({"name": "Shop", "scopes": [], "enabled": true});
        let enabled = |enabled: bool| Some(json!({"enabled": enabled}));
        for (change, action, before, after) in [
            (
                Change::tenant_created(&tenant("Acme")),
                "tenant.created",
                None,
                Some(json!({"name": "Acme", "retention_seconds": 60})),
            ),
            (
                Change::tenant_updated(&tenant("Acme"), &tenant("Acme Ltd")).expect("a change"),
                "tenant.updated",
                Some(json!({"name": "Acme"})),
                Some(json!({"name": "Acme Ltd"})),
            ),
            (Change::client_created(&client(true)), "client.created", None, Some(whole.clone())),
            (
                Change::client_switched(&client(true), &client(false)).expect("a change"),
                "client.disabled",
                enabled(true),
                enabled(false),
            ),
            (
                Change::client_switched(&client(false), &client(true)).expect("a change"),
                "client.enabled",
                enabled(false),
                enabled(true),
            ),
            (Change::client_deleted(&client(true)), "client.deleted", Some(whole), None),
            (
                Change::portal_link_created(&link),
                "portal_link.created",
                None,
                Some(json!({"name": "Anna", "scopes": [], "expires_at": start})),
            ),
            (Change::portal_link_opened(&link), "portal_link.opened", None, None),
            (
                Change::portal_link_revoked(&link),
                "portal_link.revoked",
                Some(json!({"revoked_at": null})),
                Some(json!({"revoked_at": start})),
            ),
        ] {
            let (kind, _) = action.split_once('.').expect("a kind");
            let ids = [("tenant", "acme"), ("client", "c-1"), ("portal_link", "ptl_7")];
            let id = ids.into_iter().find(|(own, _)| *own == kind).map(|(_, id)| id);
            assert_eq!((change.action, change.target_kind), (action, kind));
            assert_eq!(
                (Some(&*change.target_id), change.before, change.after),
                (id, before, after),
                "{action}"
            );
        }
        assert_eq!(Change::tenant_updated(&tenant("Acme"), &tenant("Acme")), None);
        assert_eq!(Change::client_switched(&client(true), &client(true)), None);
    }

    #[test]
    fn how_the_operator_signs_in_is_told_with_its_end() {
        let end = Some(json!({"expires_at": "1970-01-01T00:00:00Z"}));
        for (change, action) in [
            (Change::operator_signed_in(Timestamp::UNIX_EPOCH), "operator.signed_in"),
            (Change::sign_in_link_created(Timestamp::UNIX_EPOCH), "operator.sign_in_link_created"),
        ] {
            let (target_kind, target_id) = ("operator", "operator".to_owned());
            assert_eq!(change, Change { action, target_kind, target_id, before: None, after: end.clone() });
        }
    }

    #[test]
    fn a_job_is_told_with_what_it_sends_and_how_far_it_came() {
        let job = |kind, state, done| Job {
            key: JobKey(3),
            tenant: TenantKey(1),
            webhook: WebhookKey(1),
            kind,
            selection: None,
            reason: None,
            state,
            total: None,
            done,
            looked_at: 0,
            rate_per_second: None,
            paced_until: Timestamp::UNIX_EPOCH,
            left: Range { from: 1, to: 2 },
            counted_to: None,
            created_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
        };
        let id = WebhookId::from_bytes([7; 16]);
        let retry = Change::job_started(&job(JobKind::RetryFailed, JobState::Running, 0), Some(id));
        assert_eq!((retry.action, &*retry.target_id), ("retry_failed.started", "job_3"));
        assert_eq!((retry.before, retry.after), (None, Some(json!({"webhook_id": id}))));
        let selection = Selection {
            since: Timestamp::UNIX_EPOCH,
            until: None,
            missing: true,
            states: Vec::new(),
            type_name: None,
            subject_id: None,
        };
        let replay = Job {
            selection: Some(selection.clone()),
            rate_per_second: Some(2.5),
            ..job(JobKind::Replay, JobState::Running, 0)
        };
        let reason = Reason { cause: Some(Cause::Status), status: Some(410) };
        let discard = Job { reason: Some(reason), ..job(JobKind::Discard, JobState::Running, 0) };
        let discard = Change::job_started(&discard, Some(id));
        assert_eq!(discard.action, "discard_failed.started");
        let after = json!({"webhook_id": id, "reason": {"cause": "status", "status": 410}});
        assert_eq!(discard.after, Some(after));
        let replay = Change::job_started(&replay, None);
        assert_eq!((replay.action, replay.target_kind), ("replay.started", "job"));
        let after = json!({"webhook_id": null, "selection": selection, "rate_per_second": 2.5});
        assert_eq!(replay.after, Some(after));
        let running = job(JobKind::Replay, JobState::Running, 4);
        let stopped = Change::job_stopped(&running, &job(JobKind::Replay, JobState::Stopped, 5));
        assert_eq!((stopped.action, &*stopped.target_id), ("job.stopped", "job_3"));
        assert_eq!(stopped.before, Some(json!({"state": "running", "done": 4})));
        assert_eq!(stopped.after, Some(json!({"state": "stopped", "done": 5})));
    }
}
