//! Logs: text for people, JSON for programs, always to standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging. A filter that can't be read is refused.
///
/// # Errors
/// The fault of the filter, in words.
pub fn start(log: &Log) -> Result<(), String> {
    let mut filter = EnvFilter::try_new(&log.filter).map_err(|error| format!("log.filter: {error}"))?;
    // What the client of NATS has to say is said by who uses it, in our words.
    if !log.filter.contains("async_nats")
        && let Ok(quiet) = "async_nats=off".parse()
    {
        filter = filter.add_directive(quiet);
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would say on the same standard error that a line can't be written there, and
        // panic when it can't either: a full disk of logs must not end anybody's request.
        .log_internal_errors(false)
        // Colours are for eyes; a file or a collector would keep their codes.
        .with_ansi(std::io::stderr().is_terminal());
    // A second start, as when a test runs two programs, keeps the first.
    let _ = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}
