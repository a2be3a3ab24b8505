//! Reaches the server, and finds the stream and the consumer or makes it.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, Consumer};
use async_nats::jetstream::stream::ConsumerErrorKind;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use tokio_util::sync::CancellationToken;

use super::Lost;
use crate::config::Nats;

/// A connection, and what is asked for messages by it.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) consumer: Consumer<Config>,
    /// Publishes dead letters.
    pub(super) context: jetstream::Context,
    /// Cancelled when the connection breaks. It is not waited for: all that was
    /// asked for has to be asked for again anyway.
    pub(super) lost: CancellationToken,
}

/// Connects, once.
///
/// # Errors
/// When the server can't be reached or does not have what the settings name.
pub(super) async fn connect(settings: &Nats) -> Result<Connected, Lost> {
    let lost = CancellationToken::new();
    let mut addresses = Vec::new();
    for url in settings.urls() {
        addresses.push(url.parse::<ServerAddr>().map_err(|error| Lost::new("an address is wrong", &error))?);
    }
    let options = options(settings, &lost)?.max_reconnects(addresses.len());
    let client = options.connect(addresses).await.map_err(|error| Lost::new("no connection", &error))?;
    let context = jetstream::new(client.clone());
    let consumer = consumer(&context, settings).await?;
    Ok(Connected { client, consumer, context, lost })
}

fn options(settings: &Nats, lost: &CancellationToken) -> Result<ConnectOptions, Lost> {
    let noticed = lost.clone();
    let mut options = ConnectOptions::new()
        .name("callboard")
        .ignore_discovered_servers()
        .reconnect_delay_callback(|_| Duration::ZERO)
        .event_callback(move |event| {
            if matches!(event, Event::Disconnected | Event::Closed) {
                noticed.cancel();
            }
            std::future::ready(())
        });
    if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
        options = options.user_and_password(user.clone(), password.0.clone());
    }
    if let Some(token) = &settings.token {
        options = options.token(token.0.clone());
    }
    if let Some(seed) = &settings.nkey {
        options = options.nkey(seed.0.trim().to_owned());
    }
    if let Some(credentials) = &settings.credentials {
        // The reader wants every line to end, which the last one of a setting from a
        // file no longer does. Its own words might show a part of them.
        options = options
            .credentials(&format!("{}\n", credentials.0))
            .map_err(|_| Lost::said("source.nats.credentials does not hold what a .creds file holds"))?;
    }
    if let Some(file) = &settings.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    Ok(options)
}

async fn consumer(context: &jetstream::Context, settings: &Nats) -> Result<Consumer<Config>, Lost> {
    let stream = settings.stream.as_deref().unwrap_or_default();
    let found = context.get_consumer_from_stream::<Config, _, _>(&settings.consumer, stream).await;
    let consumer = match found {
        Ok(consumer) => consumer,
        Err(error) if is_missing(&error) => {
            let made = context.create_consumer_on_stream(wanted(settings), stream).await;
            made.map_err(|error| Lost::new("the consumer can't be made", &error))?
        }
        Err(error) => return Err(Lost::new("the consumer can't be asked for", &error)),
    };
    check(&consumer, settings)?;
    Ok(consumer)
}

fn is_missing(error: &async_nats::jetstream::stream::ConsumerError) -> bool {
    matches!(error.kind(), ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND)
}

fn wanted(settings: &Nats) -> Config {
    Config {
        durable_name: Some(settings.consumer.clone()),
        description: Some("Callboard takes events from here".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(settings.ack_wait_seconds),
        // A message that was given up by the server would be lost.
        max_deliver: -1,
        filter_subject: settings.subject.clone().unwrap_or_default(),
        max_ack_pending: i64::try_from(settings.max_unacknowledged).unwrap_or(i64::MAX),
        ..Config::default()
    }
}

/// Whether a consumer that was there loses nothing and gives what is meant.
fn check(consumer: &Consumer<Config>, settings: &Nats) -> Result<(), Lost> {
    let config = &consumer.cached_info().config;
    let name = &settings.consumer;
    if config.ack_policy != AckPolicy::Explicit {
        return Err(Lost::said(format!(
            "the consumer {name} does not wait for acknowledgements; delete it, or choose another source.nats.consumer"
        )));
    }
    if config.max_deliver > 0 {
        return Err(Lost::said(format!(
            "the consumer {name} gives messages up after {} deliveries; set its max_deliver to -1",
            config.max_deliver
        )));
    }
    let wanted = settings.subject.as_deref().unwrap_or_default();
    if config.filter_subject != wanted {
        return Err(Lost::said(format!(
            "the consumer {name} is there with the subject {:?}, and source.nats.subject is {wanted:?}; \
             delete it, or choose another source.nats.consumer",
            config.filter_subject
        )));
    }
    Ok(())
}
