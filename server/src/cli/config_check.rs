//! `callboard config check`: shows each setting and where it came from.

use clap::Subcommand;

use super::{Outcome, ServerArguments, say};
use crate::config::OPTIONAL;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the settings, and show each with its source.
    Check(ServerArguments),
}

pub(super) fn run(command: &Command) -> Outcome {
    let Command::Check(arguments) = command;
    let loaded = arguments.load()?;
    let names =
        loaded.origins.keys().map(String::len).chain(OPTIONAL.map(|(name, _)| name.len())).max().unwrap_or(0);
    let values = loaded.origins.values().map(|(value, _)| value.len()).max().unwrap_or(0);
    for (name, (value, source)) in &loaded.origins {
        say(&format!("{name:names$}  {value:values$}  {source}"));
    }
    for (name, otherwise) in OPTIONAL {
        if !loaded.origins.contains_key(name) {
            say(&format!("{name:names$}  {:values$}  {otherwise}", "-"));
        }
    }
    if let Some(explained) = loaded.settings.source.nats.explain() {
        say(&format!("\n{explained}"));
    }
    say("\nThe settings are good. Each can be set in callboard.toml, or as CALLBOARD_ and its name");
    say("in capitals with underscores: CALLBOARD_RETENTION_DAYS=30. With _FILE behind the name,");
    say("the variable names a file that holds the value.");
    Ok(())
}
