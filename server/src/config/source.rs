//! Where events come from beside the API: the settings of each source.

use std::path::PathBuf;

use callboard_domain::id::TenantId;
use serde::{Deserialize, Serialize};

use super::Hidden;
use crate::source::nats::subject;

/// What is wrong with a setting: its name, and what would be right.
type Wrong = (&'static str, String);

/// Where events come from beside the API.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// A stream of NATS JetStream.
    pub nats: Nats,
}

/// A stream of NATS JetStream.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// Servers, separated by commas; nothing is consumed without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Which of its subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where messages go that are no events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<String>,
    /// The user, where the server asks for one and a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password of `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Hidden>,
    /// The token, where the server asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Hidden>,
    /// The seed of an `NKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nkey: Option<Hidden>,
    /// What a file of credentials (`.creds`) holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Hidden>,
    /// A file of certificates to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The durable consumer, made if it is not there.
    pub consumer: String,
    /// Whose events they are, where `tenant_token` does not say.
    pub tenant: String,
    /// Which token of the subject names the tenant, from 1; 0 for none.
    pub tenant_token: usize,
    /// Most messages that are taken at a time.
    pub batch_messages: usize,
    /// Most megabytes that are taken at a time.
    pub batch_mib: usize,
    /// Most messages that all nodes together have taken and not acknowledged.
    pub max_unacknowledged: usize,
    /// Seconds after which the server gives a message again that was taken and
    /// not acknowledged.
    pub ack_wait_seconds: u64,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: None,
            stream: None,
            subject: None,
            dead_letter: None,
            user: None,
            password: None,
            token: None,
            nkey: None,
            credentials: None,
            ca_file: None,
            consumer: "callboard".to_owned(),
            tenant: "default".to_owned(),
            tenant_token: 0,
            batch_messages: 500,
            batch_mib: 8,
            max_unacknowledged: 4_096,
            ack_wait_seconds: 30,
        }
    }
}

fn wrong<T>(name: &'static str, right: &str) -> Result<T, Wrong> {
    Err((name, format!("must be {right}")))
}

impl Nats {
    /// The servers' addresses.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.url.iter().flat_map(|urls| urls.split(',')).map(str::trim)
    }

    /// What will be done, in words for the operator; `None` where nothing is
    /// consumed.
    pub(crate) fn explain(&self) -> Option<String> {
        let (url, stream, subject) = (self.url.as_ref()?, self.stream.as_ref()?, self.subject.as_ref()?);
        let tenant = match self.tenant_token {
            0 => format!("for the tenant {}", self.tenant),
            place => format!("for the tenant that token {place} of the subject names"),
        };
        let poison = match &self.dead_letter {
            Some(dead_letter) => format!("What is no event goes to {dead_letter}."),
            None => "What is no event is dropped, with a line in the log.".to_owned(),
        };
        let consumer = &self.consumer;
        Some(format!(
            "Events are taken from {url}: the stream {stream}, the subject {subject}, by the\n\
             consumer {consumer}, {tenant}. {poison}"
        ))
    }

    /// What the types can't say.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        self.check_server()?;
        self.check_credentials()?;
        self.check_subjects()?;
        self.check_tenant()?;
        self.check_limits()
    }

    fn check_server(&self) -> Result<(), Wrong> {
        if self.url.is_none() {
            // Nothing would be consumed by them, and nobody would know why.
            let others = [&self.stream, &self.subject, &self.dead_letter, &self.user];
            let secrets = [&self.token, &self.nkey, &self.credentials];
            return if others.into_iter().any(Option::is_some) || secrets.into_iter().any(Option::is_some) {
                wrong("source.nats.url", "given where other settings of source.nats are")
            } else {
                Ok(())
            };
        }
        for url in self.urls() {
            let Some(url) = url::Url::parse(url).ok().filter(url::Url::has_host) else {
                return wrong(
                    "source.nats.url",
                    "a URL such as nats://127.0.0.1:4222, or several with commas",
                );
            };
            if !matches!(url.scheme(), "nats" | "tls") {
                return wrong("source.nats.url", "a URL that starts with nats:// or tls://");
            }
            // They would be shown wherever the address is.
            if !url.username().is_empty() || url.password().is_some() {
                return wrong(
                    "source.nats.url",
                    "without a user and a password; those are source.nats.user and source.nats.password",
                );
            }
        }
        if self.stream.is_none() {
            return wrong("source.nats.stream", "given where source.nats.url is: the stream's name");
        }
        if self.subject.is_none() {
            return wrong(
                "source.nats.subject",
                "given where source.nats.url is: a subject such as tickets.>",
            );
        }
        Ok(())
    }

    fn check_credentials(&self) -> Result<(), Wrong> {
        if self.user.is_some() != self.password.is_some() {
            return wrong("source.nats.password", "given together with source.nats.user");
        }
        let ways = [&self.password, &self.token, &self.nkey, &self.credentials];
        if ways.into_iter().flatten().count() > 1 {
            return wrong(
                "source.nats.credentials",
                "the only way to sign in: one of user and password, token, nkey and credentials",
            );
        }
        Ok(())
    }

    fn check_subjects(&self) -> Result<(), Wrong> {
        let name = "1 to 255 characters other than white space and . * > / \\";
        if self.stream.as_deref().is_some_and(|stream| !subject::is_name(stream)) {
            return wrong("source.nats.stream", name);
        }
        if !subject::is_name(&self.consumer) {
            return wrong("source.nats.consumer", name);
        }
        let Some(filter) = &self.subject else { return Ok(()) };
        if !subject::is_filter(filter) {
            return wrong(
                "source.nats.subject",
                "tokens with full stops between, such as tickets.> or tickets.*.paid",
            );
        }
        let Some(dead_letter) = &self.dead_letter else { return Ok(()) };
        if !subject::is_filter(dead_letter) || subject::has_wildcards(dead_letter) {
            return wrong("source.nats.dead_letter", "a subject without wildcards, such as dead.tickets");
        }
        // Each would come back as a message, for ever.
        if subject::matches(filter, dead_letter) {
            return wrong("source.nats.dead_letter", "a subject that source.nats.subject does not match");
        }
        Ok(())
    }

    fn check_tenant(&self) -> Result<(), Wrong> {
        if let Err(invalid) = self.tenant.parse::<TenantId>() {
            return Err(("source.nats.tenant", invalid.to_string()));
        }
        let Some(filter) = &self.subject else { return Ok(()) };
        let tokens = filter.split('.').count();
        let open = filter.ends_with('>');
        if self.tenant_token > if open { 100 } else { tokens } {
            return wrong(
                "source.nats.tenant_token",
                "the place of a token that source.nats.subject has, from 1",
            );
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Wrong> {
        if !(1..=10_000).contains(&self.batch_messages) {
            return wrong("source.nats.batch_messages", "from 1 to 10000");
        }
        if !(1..=64).contains(&self.batch_mib) {
            return wrong("source.nats.batch_mib", "from 1 to 64");
        }
        if !(self.batch_messages..=1_000_000).contains(&self.max_unacknowledged) {
            return wrong("source.nats.max_unacknowledged", "from source.nats.batch_messages to 1000000");
        }
        if !(1..=3_600).contains(&self.ack_wait_seconds) {
            return wrong("source.nats.ack_wait_seconds", "from 1 to 3600");
        }
        Ok(())
    }
}
