//! `callboard backup`: copies a database of SQLite while a server may use it.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use callboard_store::backup::{BackupOptions, BackupProgress, Check, back_up};
use serde_json::{Map, Value, json};

use super::progress::Bar;
use super::{Failure, Outcome, ServerArguments, clock, say};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[arg(help = "The file that is to be made; it may not exist yet", value_name = "TARGET")]
    target: PathBuf,
    #[arg(
        long,
        value_name = "sqlite:PATH",
        help = "The database [default: sqlite:callboard.db] [env: CALLBOARD_DATABASE]"
    )]
    database: Option<String>,
    /// The settings file [default: callboard.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "CALLBOARD_CONFIG")]
    config: Option<PathBuf>,
    /// Replace TARGET if it exists
    #[arg(long)]
    force: bool,
    /// Check the copy's indexes too, which takes several times as long
    #[arg(long)]
    full_check: bool,
    /// Show what came of it as JSON, and no progress
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let clock = clock();
    // A database that is named needs no other setting, and no good ones.
    let database = match &arguments.database {
        Some(named) => named.clone(),
        None => configured(arguments)?,
    };
    let check = if arguments.full_check { Check::Full } else { Check::Quick };
    let options = BackupOptions { force: arguments.force, check };
    let mut bar = Bar::new(!arguments.json && std::io::stderr().is_terminal());
    let made = back_up(&database, &arguments.target, options, &mut |progress| match progress {
        BackupProgress::Copying { pages, of } => bar.show(pages, of, "copied"),
        BackupProgress::Counting => bar.note("counting rows"),
        BackupProgress::Checking => bar.note("checking the copy"),
    });
    bar.clear();
    let made = made?;
    let target = arguments.target.display();
    if arguments.json {
        let rows: Map<String, Value> =
            made.rows.iter().map(|(table, rows)| (table.clone(), json!(rows))).collect();
        let seconds = clock.elapsed().as_secs_f64();
        let target = target.to_string();
        say(&json!({"target": target, "bytes": made.bytes, "seconds": seconds, "rows": rows}).to_string())?;
    } else {
        let rows: u64 = made.rows.iter().map(|(_, rows)| rows).sum();
        say(&format!("{target}: {} bytes, {rows} rows, checked", made.bytes))?;
    }
    Ok(())
}

/// The database that `serve` would use.
fn configured(arguments: &Arguments) -> Result<String, Failure> {
    let server = ServerArguments { config: arguments.config.clone(), ..ServerArguments::default() };
    Ok(server.load()?.settings.database.reveal().to_owned())
}
