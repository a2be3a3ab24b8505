//! The settings: from a file, the environment and the command line, in rising
//! order.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod database;
mod egress;
mod encryption;
mod http;
mod layers;
mod limits;
mod metrics;
mod oidc;
mod shown;
mod source;
mod telemetry;
mod tls;

pub use database::DatabaseUrl;
pub use egress::Egress;
pub use encryption::Encryption;
pub use http::{ForwardedHeader, Http};
pub use layers::{ConfigError, Loaded, Overrides, Source, load};
pub use limits::Limits;
pub(crate) use limits::seconds;
pub use metrics::Metrics;
pub use oidc::Oidc;
pub(crate) use oidc::is_safe;
pub use shown::ShownSetting;
pub(crate) use shown::shown;
pub use source::{Nats, Sources};
pub use telemetry::Telemetry;
pub use tls::Tls;

/// Settings that no output shows.
const SECRETS: [&str; 7] = [
    "admin_token",
    "egress.proxy_password",
    "encryption.keys",
    "source.nats.password",
    "source.nats.token",
    "source.nats.nkey",
    "source.nats.credentials",
];

/// Settings without a default, and what holds where they are not given.
pub(crate) const OPTIONAL: [(&str, &str); 25] = [
    ("admin_token", "made on the first start"),
    ("encryption.keys", "those of encryption.key_file"),
    ("encryption.key_file", "callboard.key beside the database, made on the first start"),
    ("public_url", "where it listens"),
    ("egress.deny_ports", "what browsers refuse, and databases"),
    ("egress.ca_file", "the system's certificates"),
    ("egress.proxy", "receivers are called at once"),
    ("egress.proxy_user", "none"),
    ("egress.proxy_password", "none"),
    ("oidc.issuer", "no tokens but our own are taken"),
    ("oidc.audience", "none"),
    ("tls.certificate_file", "none: plain HTTP is spoken"),
    ("tls.private_key_file", "none"),
    ("postgres.node_name", "the name of the machine"),
    ("source.nats.url", "nothing is consumed"),
    ("source.nats.stream", "none"),
    ("source.nats.subject", "none"),
    ("source.nats.dead_letter", "what is no event is dropped, with a line in the log"),
    ("source.nats.user", "none"),
    ("source.nats.password", "none"),
    ("source.nats.token", "none"),
    ("source.nats.nkey", "none"),
    ("source.nats.credentials", "none"),
    ("source.nats.ca_file", "the system's certificates"),
    ("telemetry.otlp_endpoint", "no traces are collected"),
];

/// A text that no output shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// Every setting.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the database is.
    pub database: DatabaseUrl,
    /// The operator's token; made and printed on the first start if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_token: Option<Hidden>,
    /// Where clients reach the server, as links should say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// With which keys secrets in the database are sealed.
    pub encryption: Encryption,
    /// What stands before the HTTP interface.
    pub http: Http,
    /// What one client may take of the server.
    pub limits: Limits,
    /// The certificate of the HTTP interface.
    pub tls: Tls,
    /// How a PostgreSQL database is used.
    pub postgres: Postgres,
    /// What deliveries may call, and how they connect.
    pub egress: Egress,
    /// How deliveries wait.
    pub delivery: Delivery,
    /// How long things are kept.
    pub retention: Retention,
    /// Access tokens.
    pub oauth: Oauth,
    /// An OpenID issuer whose tokens are taken beside our own.
    pub oidc: Oidc,
    /// The dialect of OpenTicket.
    pub openticket: OpenTicket,
    /// The dialect of viagogo.
    pub viagogo: Viagogo,
    /// Where events come from beside the API.
    pub source: Sources,
    /// What is logged, and how.
    pub log: Log,
    /// Who may read the metrics.
    pub metrics: Metrics,
    /// Traces.
    pub telemetry: Telemetry,
}

/// How a PostgreSQL database is used.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// Most connections that requests and deliveries share.
    pub max_connections: usize,
    /// What this process is called among those that share the database; the name of
    /// its machine if left out.
    pub node_name: Option<String>,
}

/// How deliveries wait.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Most deliveries that wait in memory for one webhook.
    pub lane_capacity: usize,
    /// Most megabytes of deliveries that wait in memory.
    pub queue_memory_mib: usize,
    /// Most requests under way to all webhooks together.
    pub max_in_flight: usize,
    /// Days of nothing but failures after which a webhook is disabled.
    pub disable_after_days: f64,
}

/// How long things are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Days that events and attempts are kept, where their tenant does not say.
    pub days: f64,
    /// Days that entries of the audit log are kept.
    pub audit_days: f64,
}

/// Access tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth {
    /// Seconds that an access token is valid.
    pub token_seconds: u32,
}

/// The dialect of OpenTicket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenTicket {
    /// Seconds before the first retry; the wait doubles after each.
    pub retry_base_seconds: f64,
}

/// The dialect of viagogo.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Viagogo {
    /// Whether clients must come by HTTPS, to the server or to a trusted proxy.
    pub require_https: bool,
    /// Whether clients must send a `User-Agent`.
    pub require_user_agent: bool,
}

/// What is logged, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The filter: a level, or `target=level` pairs.
    pub filter: String,
    /// For people or for programs.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            database: DatabaseUrl::from("sqlite:callboard.db".to_owned()),
            admin_token: None,
            public_url: None,
            encryption: Encryption::default(),
            http: Http::default(),
            limits: Limits::default(),
            tls: Tls::default(),
            postgres: Postgres { max_connections: 10, node_name: None },
            egress: Egress::default(),
            delivery: Delivery {
                lane_capacity: 1_024,
                queue_memory_mib: 64,
                max_in_flight: 4_096,
                disable_after_days: 5.0,
            },
            retention: Retention { days: 7.0, audit_days: 365.0 },
            oauth: Oauth { token_seconds: 3_600 },
            oidc: Oidc::default(),
            openticket: OpenTicket { retry_base_seconds: 30.0 },
            viagogo: Viagogo { require_https: false, require_user_agent: false },
            source: Sources::default(),
            log: Log { filter: "info".to_owned(), format: LogFormat::Text },
            metrics: Metrics::default(),
            telemetry: Telemetry::default(),
        }
    }
}

impl Settings {
    /// What the type can't say: values that are of the right kind and still
    /// make no sense.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |name, right: &str| Err((name, format!("must be {right}")));
        if let Err(fault) = callboard_store::check_url(self.database.reveal()) {
            return Err(("database", fault.to_string()));
        }
        if !(2..=1_000).contains(&self.postgres.max_connections) {
            return wrong("postgres.max_connections", "from 2 to 1000");
        }
        if self.postgres.node_name.as_ref().is_some_and(|name| name.is_empty() || name.len() > 255) {
            return wrong("postgres.node_name", "1 to 255 bytes long");
        }
        if let Err(fault) = tracing_subscriber::EnvFilter::try_new(&self.log.filter) {
            return Err(("log.filter", fault.to_string()));
        }
        if let Some(token) = &self.admin_token {
            if token.0.trim().len() < 16 {
                return wrong("admin_token", "at least 16 characters long: it opens everything");
            }
            // Any other could not be sent, and nobody would know why it opens nothing.
            let can_be_sent = token.0.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if !can_be_sent || token.0.trim() != token.0 {
                return wrong("admin_token", "visible characters of ASCII, without white space around them");
            }
        }
        if !(1..=100_000).contains(&self.delivery.lane_capacity) {
            return wrong("delivery.lane_capacity", "from 1 to 100000");
        }
        if !(1..=1_048_576).contains(&self.delivery.queue_memory_mib) {
            return wrong("delivery.queue_memory_mib", "from 1 to 1048576");
        }
        if !(4..=100_000).contains(&self.delivery.max_in_flight) {
            return wrong("delivery.max_in_flight", "from 4 to 100000");
        }
        if days(self.delivery.disable_after_days).is_none() {
            return wrong("delivery.disable_after_days", "a number of days above 0, and at most 3650");
        }
        if days(self.retention.days).is_none() {
            return wrong("retention.days", "a number of days above 0, and at most 3650");
        }
        if days(self.retention.audit_days).is_none() {
            return wrong("retention.audit_days", "a number of days above 0, and at most 3650");
        }
        if !(60..=86_400).contains(&self.oauth.token_seconds) {
            return wrong("oauth.token_seconds", "from 60 to 86400");
        }
        if !(0.0..=86_400.0).contains(&self.openticket.retry_base_seconds) {
            return wrong("openticket.retry_base_seconds", "a number of seconds from 0 to 86400");
        }
        if self.public_url.as_deref().is_some_and(|url| !is_base(url)) {
            return wrong(
                "public_url",
                "where clients reach the server, such as https://callboard.example, without a query",
            );
        }
        self.http.check()?;
        self.egress.check()?;
        self.encryption.check()?;
        let https_possible = self.tls.files().is_some() || !self.http.trusted_proxies.is_empty();
        if self.viagogo.require_https && !https_possible {
            return wrong(
                "viagogo.require_https",
                "false without http.trusted_proxies and tls.certificate_file: nobody could come by HTTPS",
            );
        }
        self.limits.check()?;
        self.telemetry.check()?;
        self.tls.check()?;
        self.oidc.check()?;
        self.source.nats.check()
    }

    /// How long events are kept, in seconds.
    #[must_use]
    pub fn retention_seconds(&self) -> u32 {
        seconds_of(self.retention.days)
    }

    /// How long entries of the audit log are kept, in seconds.
    #[must_use]
    pub fn audit_retention_seconds(&self) -> u32 {
        seconds_of(self.retention.audit_days)
    }

    /// The first wait of retries that double.
    #[must_use]
    pub fn retry_base(&self) -> Duration {
        Duration::try_from_secs_f64(self.openticket.retry_base_seconds).unwrap_or_default()
    }

    /// Where links lead, without a slash at the end.
    #[must_use]
    pub fn public_url(&self) -> Option<String> {
        self.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned())
    }

    /// How long a webhook may do nothing but fail.
    #[must_use]
    pub fn disable_after(&self) -> Duration {
        days(self.delivery.disable_after_days).unwrap_or(Duration::MAX)
    }
}

/// Whether paths can be put behind this URL.
fn is_base(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

fn seconds_of(of_days: f64) -> u32 {
    days(of_days).map_or(u32::MAX, |kept| u32::try_from(kept.as_secs()).unwrap_or(u32::MAX))
}

fn days(days: f64) -> Option<Duration> {
    let positive = days > 0.0 && days <= 3_650.0;
    positive.then(|| Duration::try_from_secs_f64(days * 86_400.0).ok()).flatten()
}

#[cfg(test)]
mod tests;
