//! "Check URL": whether a webhook of these settings could be called, step by step, by
//! a ping that nobody keeps.

use std::fmt::Write as _;
use std::time::Duration;

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Cause, StoredEvent, Timings};
use callboard_domain::event::{self, Event};
use callboard_domain::event_type::Operational;
use callboard_domain::id::{DeliveryKey, EventId, EventKey, TenantId, TenantKey};
use callboard_domain::signing::Secret;
use callboard_domain::webhook::{Settings, StoredSecret, Webhook};
use callboard_domain::wire::{Renderings, openticket};
use rustls::ProtocolVersion;
use url::Host;

use crate::attempt::{Prepared, Verdict, explain_status, judge_status, prepare};
use crate::http::{Answer, Client, Endpoint, Fault, Stage, Trial, spoken};
use crate::target::Target;
use crate::{Engine, health};

/// Most checks at a time; others wait. They have no lane that would go easy on who is
/// called.
pub(crate) const AT_A_TIME: usize = 16;

/// Most addresses of a name that are listed.
const LISTED: usize = 8;

/// Before each refusal that is told, and how many are.
const REFUSALS: [&str; 3] = ["but", "and", "and"];

/// Most characters of a receiver's answer that are quoted.
const QUOTED: usize = 200;

/// One step of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub kind: StepKind,
    /// How it ended.
    pub outcome: StepOutcome,
    /// How long it took; zero where it did not happen.
    pub took: Duration,
    /// In a sentence what was found, or what is wrong and how to mend it. Empty where
    /// there is nothing to say of a step that was not reached. It holds texts of the
    /// receiver.
    pub detail: String,
}

/// What a step does, in the order in which steps come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKind {
    /// Looks the host name up.
    Resolve,
    /// Judges whether the addresses may be called, in this way.
    Address,
    /// Connects to one of them, through the operator's proxy where there is one.
    Connect,
    /// Does the TLS handshake. Not reached where the url begins with `http://`.
    Tls,
    /// Posts a ping, and reads the answer.
    Answer,
}

impl StepKind {
    /// Every step, in order.
    pub const ALL: [Self; 5] = [Self::Resolve, Self::Address, Self::Connect, Self::Tls, Self::Answer];
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepOutcome {
    /// It is as it should be.
    Passed,
    /// It is not, and nothing behind it was done.
    Failed,
    /// It was not done, because one before it failed or because there is nothing to do.
    NotReached,
}

impl Engine {
    /// Calls a receiver as a webhook of these settings would, a webhook of `tenant`, and
    /// tells each of [`StepKind::ALL`] in order. It posts a ping in the dialect of the
    /// settings, with their headers and their client certificate, within their timeout,
    /// signed by a secret that nobody else has. Nothing is stored, and no webhook is made.
    ///
    /// Nothing is called that a delivery could not call. A few checks run at a time; one
    /// that has to wait for others takes longer.
    pub async fn check_url(&self, tenant: &TenantId, settings: &Settings) -> Vec<Step> {
        // It is never closed.
        let _place = self.checks.acquire().await;
        let now = self.clock.now();
        let target = Target::new(self.thrown_away(settings, now), tenant, &self.options.public_url, now);
        let ping = self.ping_of(&target.webhook, now);
        match prepare(&target, &ping, DeliveryKey(0), now) {
            Ok(Prepared { endpoint, headers, body }) => {
                let trial = self.client.try_out(endpoint, &headers, body, settings.timeout).await;
                Call { client: &self.client, endpoint, trial: &trial, now: self.clock.now() }.steps()
            }
            Err((_, message)) => {
                let unusable = Endpoint::parse(&settings.url).err();
                let message = unusable.map_or(message, |unusable| format!("the url {unusable}"));
                let nothing = |_| (StepOutcome::NotReached, String::new());
                steps(&Err((StepKind::Resolve, message)), Timings::default(), nothing)
            }
        }
    }

    /// A webhook that is gone after the check.
    fn thrown_away(&self, settings: &Settings, now: Timestamp) -> Webhook {
        let nobody = self.nobody(TenantKey(0), settings.clone());
        let mut rng = self.rng.lock();
        let secret = Secret::generate(settings.signature, &mut *rng);
        let secrets = vec![StoredSecret { secret, created_at: now, expires_at: None }];
        Webhook { secrets, nonce: Some(openticket::nonce(&mut *rng)), ..nobody }
    }

    /// A ping that is not stored, as if it were.
    fn ping_of(&self, webhook: &Webhook, now: Timestamp) -> StoredEvent {
        let id = EventId::generate(now, &mut *self.rng.lock());
        let about = health::subject(webhook);
        let ping = event::operational(id, Operational::WebhookPing, about, &serde_json::json!({}), now);
        let Event { id, type_name, subject, body, .. } = ping;
        StoredEvent {
            key: EventKey(0),
            tenant: webhook.tenant,
            id,
            type_name,
            subject_id: subject.id,
            accepted_at: now,
            body,
            deliveries: 1,
            quantity_diff: None,
            renderings: Renderings::default(),
        }
    }
}

/// Why a check did not pass: the step, and what is wrong.
type Failed = (StepKind, String);

/// The steps up to the one that failed, if one did. What there is to say of those that
/// did not, `otherwise` says.
fn steps(
    ended: &Result<(), Failed>,
    timings: Timings,
    otherwise: impl Fn(StepKind) -> (StepOutcome, String),
) -> Vec<Step> {
    let step = |kind: StepKind| {
        let (outcome, detail) = match ended {
            Err((failed, message)) if kind == *failed => (StepOutcome::Failed, message.clone()),
            Err((failed, _)) if kind > *failed => (StepOutcome::NotReached, String::new()),
            _ => otherwise(kind),
        };
        Step { kind, outcome, took: took(kind, timings), detail }
    };
    StepKind::ALL.into_iter().map(step).collect()
}

fn took(kind: StepKind, timings: Timings) -> Duration {
    Duration::from_micros(match kind {
        StepKind::Resolve => timings.dns_us,
        StepKind::Address => 0,
        StepKind::Connect => timings.connect_us,
        StepKind::Tls => timings.tls_us,
        StepKind::Answer => timings.exchange_us,
    })
}

/// A call that is over, to be put into words.
struct Call<'a> {
    client: &'a Client,
    endpoint: &'a Endpoint,
    trial: &'a Trial,
    now: Timestamp,
}

impl Call<'_> {
    fn steps(&self) -> Vec<Step> {
        let ended = match &self.trial.exchange.result {
            Ok(answer) if judge_status(answer, || self.now) == Verdict::Delivered => Ok(()),
            Ok(answer) => Err((StepKind::Answer, refused(answer))),
            Err(fault) => Err((self.failed_at(fault), fault.message.clone())),
        };
        steps(&ended, self.trial.exchange.timings, |kind| self.otherwise(kind))
    }

    fn failed_at(&self, fault: &Fault) -> StepKind {
        match (fault.cause, self.trial.stage) {
            // That there are no roots is found out before the handshake begins, and that
            // the client's certificate is refused only when it seems to be over.
            (Cause::Tls, _) | (_, Stage::Tls) => StepKind::Tls,
            (_, Stage::Exchange) => StepKind::Answer,
            (_, Stage::Connect | Stage::Proxy) => StepKind::Connect,
            (Cause::Blocked, Stage::Start | Stage::Lookup) => StepKind::Address,
            (_, Stage::Start | Stage::Lookup) => StepKind::Resolve,
        }
    }

    /// What there is to say of a step that did not fail.
    fn otherwise(&self, kind: StepKind) -> (StepOutcome, String) {
        let exchange = &self.trial.exchange;
        let detail = match kind {
            StepKind::Resolve => self.found(),
            StepKind::Address => self.judged(),
            StepKind::Connect => exchange.peer.map(|peer| match self.client.proxy() {
                Some(proxy) => format!("connected to {peer} through the proxy {proxy} (egress.proxy)"),
                None => format!("connected to {peer}"),
            }),
            StepKind::Tls if self.endpoint.server_name().is_none() => {
                let detail = "the url begins with http://: everything is sent in the clear";
                return (StepOutcome::NotReached, detail.to_owned());
            }
            StepKind::Tls => Some(self.secured()),
            StepKind::Answer => exchange.result.as_ref().ok().map(|answer| {
                let took = spoken(took(kind, exchange.timings));
                format!("answered {} in {took}", answer.status)
            }),
        };
        detail.map_or((StepOutcome::NotReached, String::new()), |detail| (StepOutcome::Passed, detail))
    }

    /// `None` when the name was not looked up, because the way to it may not be taken.
    fn found(&self) -> Option<String> {
        let found: Vec<String> = self.trial.judged.iter().map(|(address, _)| address.to_string()).collect();
        match (self.endpoint.host(), found.len()) {
            (_, 0) => None,
            (Host::Domain(name), 1) => Some(format!("{name} has one address: {}", found[0])),
            (Host::Domain(name), count) => Some(format!("{name} has {count} addresses: {}", list(&found))),
            (_, _) => Some(format!("{} is an address, so nothing is looked up", found[0])),
        }
    }

    fn judged(&self) -> Option<String> {
        let judged = &self.trial.judged;
        let open = judged.iter().filter(|(_, refusal)| refusal.is_none());
        let open: Vec<String> = open.map(|(address, _)| address.to_string()).collect();
        if open.is_empty() {
            return None;
        }
        let mut detail = format!("{} may be called", list(&open));
        for (refusal, but) in judged.iter().filter_map(|(_, refusal)| *refusal).zip(REFUSALS) {
            // Writing to a String can't fail.
            let _ = write!(detail, ", {but} {refusal}");
        }
        Some(detail)
    }

    fn secured(&self) -> String {
        let version = match self.trial.protocol {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS",
        };
        // Whether it asked for one is not known, and only an answer says that it is content.
        let shown = self.endpoint.identity().is_some() && self.trial.exchange.result.is_ok();
        let shown = if shown { ", and does not mind the client_certificate" } else { "" };
        format!("{} has a good certificate ({version}){shown}", self.endpoint.host())
    }
}

/// What an answer says that is no success.
fn refused(answer: &Answer) -> String {
    let mut detail = match answer.status {
        // Nothing was disabled here, but it would be.
        410 => "answered 410: the receiver is gone for good; its webhook would be disabled".to_owned(),
        status => explain_status(status),
    };
    let body = String::from_utf8_lossy(&answer.body);
    let words: Vec<&str> = body.split_whitespace().collect();
    let body: String = words.join(" ").chars().filter(|character| !character.is_control()).collect();
    if !body.is_empty() {
        let (quoted, more) = match body.char_indices().nth(QUOTED) {
            Some((end, _)) => (&body[..end], "..."),
            None => (&*body, ""),
        };
        // Writing to a String can't fail.
        let _ = write!(detail, ". It says: {quoted}{more}");
    }
    detail
}

fn list(addresses: &[String]) -> String {
    let shown = addresses.len().min(LISTED);
    let more = addresses.len() - shown;
    let shown = addresses[..shown].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
