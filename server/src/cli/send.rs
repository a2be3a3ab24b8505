//! `callboard send`: publishes events from a file or from standard input.

use super::{Outcome, body, print, remote, say};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A file of one event, an array of events, or one event a line; - for standard input
    #[arg(value_name = "FILE|-")]
    file: String,
    /// Show the server's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: remote::Arguments,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let body = body::text(&arguments.file)?;
    let content_type = if is_lines(&body) { "application/x-ndjson" } else { "application/json" };
    let answer = remote::Remote::new(&arguments.server)?.post("/v1/events", content_type, body.as_bytes())?;
    if arguments.json {
        return print(&format!("{answer}\n"));
    }
    let one = std::slice::from_ref(&answer);
    for event in answer["events"].as_array().map_or(one, Vec::as_slice) {
        let id = event["id"].as_str().unwrap_or_default();
        match (event["duplicate"].as_bool(), event["deliveries"].as_u64()) {
            (Some(true), _) => say(&format!("{id}: was published before"))?,
            (_, Some(1)) => say(&format!("{id}: accepted, 1 webhook hears it"))?,
            (_, count) => say(&format!("{id}: accepted, {} webhooks hear it", count.unwrap_or(0)))?,
        }
    }
    Ok(())
}

/// Whether the text is one JSON object a line rather than one value.
fn is_lines(body: &str) -> bool {
    let mut values = serde_json::Deserializer::from_str(body).into_iter::<serde::de::IgnoredAny>();
    values.next().is_some_and(|first| first.is_ok()) && values.next().is_some()
}
