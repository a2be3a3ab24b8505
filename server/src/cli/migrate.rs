//! `callboard migrate`: brings a database up to date without serving it.

use std::path::PathBuf;

use callboard_store::{OpenError, Schema, schema};
use serde_json::json;

use super::exit::Exit;
use super::{Failure, Outcome, ServerArguments, block_on, say};
use crate::app;
use crate::config::{DatabaseUrl, Settings};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[arg(
        long,
        value_name = "URL",
        help = "The database [default: sqlite:callboard.db] [env: CALLBOARD_DATABASE]"
    )]
    database: Option<DatabaseUrl>,
    /// The settings file [default: callboard.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "CALLBOARD_CONFIG")]
    config: Option<PathBuf>,
    /// Change nothing; exit with 1 if there is something to do
    #[arg(long)]
    check: bool,
    /// Show what came of it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let server = ServerArguments {
        config: arguments.config.clone(),
        database: arguments.database.clone(),
        ..ServerArguments::default()
    };
    let settings = server.load()?.settings;
    let before = bring_up_to_date(&settings, arguments.check)?;
    let is_due = arguments.check && is_behind(before);
    let Schema { found, newest } = before;
    let words = format!("{}: {}", settings.database, in_words(before, arguments.check));
    if arguments.json {
        let now = if is_due { found } else { Some(newest) };
        say(&json!({"before": found, "now": now, "newest": newest}).to_string())?;
    } else if !is_due {
        say(&words)?;
    }
    if is_due { Err(Exit::Failed.because(words)) } else { Ok(()) }
}

/// What there was before.
fn bring_up_to_date(settings: &Settings, check: bool) -> Result<Schema, Failure> {
    block_on(async {
        let before = schema(settings.database.reveal()).await?;
        if let Some(found) = before.found.filter(|found| *found > before.newest) {
            return Err(OpenError::NewerSchema { found, known: before.newest }.into());
        }
        if !check && is_behind(before) {
            app::open(settings).await?.close().await;
        }
        Ok(before)
    })
}

fn is_behind(schema: Schema) -> bool {
    schema.found != Some(schema.newest)
}

fn in_words(schema: Schema, check: bool) -> String {
    let Schema { found, newest } = schema;
    match (found, check) {
        (Some(found), _) if found == newest => format!("version {newest}; there is nothing to do"),
        (Some(found), true) => {
            format!("version {found}, where this program has {newest}; run callboard migrate")
        }
        (Some(found), false) => format!("version {found} before, {newest} now"),
        (None, true) => "there is nothing yet; callboard migrate or serve makes it".to_owned(),
        (None, false) => format!("made, with version {newest}"),
    }
}
