//! `callboard config check`: shows each setting and where it came from.

use clap::Subcommand;

use super::{Outcome, ServerArguments, say};
use crate::config::ShownSetting;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the settings, and show each with its source.
    Check(ServerArguments),
}

pub(super) fn run(command: &Command) -> Outcome {
    let Command::Check(arguments) = command;
    let loaded = arguments.load()?;
    let shown = loaded.shown();
    let names = shown.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let values = shown.iter().filter_map(|one| one.value.as_ref()).map(String::len).max().unwrap_or(0);
    for ShownSetting { name, value, source } in &shown {
        let value = value.as_deref().unwrap_or("-");
        say(&format!("{name:names$}  {value:values$}  {source}"))?;
    }
    if let Some(explained) = loaded.settings.source.nats.explain() {
        say(&format!("\n{explained}"))?;
    }
    say("\nThe settings are good. Each can be set in callboard.toml, or as CALLBOARD_ and its name")?;
    say("in capitals with underscores: CALLBOARD_RETENTION_DAYS=30. With _FILE behind the name,")?;
    say("the variable names a file that holds the value.")
}
