//! `callboard migrate-data`: moves a database of SQLite to PostgreSQL.

use std::io::IsTerminal as _;

use callboard_store::transfer::{TransferOptions, TransferProgress, Transferred, transfer};
use serde_json::{Value, json};

use super::progress::Bar;
use super::{Outcome, block_on, clock, say};
use crate::config::DatabaseUrl;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[arg(long, value_name = "sqlite:PATH", help = "The database that is moved; it stays as it is")]
    from: String,
    #[arg(
        long,
        value_name = "postgres://...",
        env = "CALLBOARD_MIGRATE_TO",
        hide_env_values = true,
        help = "The database that it is moved into, which has to be empty"
    )]
    to: DatabaseUrl,
    /// Most rows of one transaction
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    batch_rows: u64,
    /// Show what came of it as JSON, and no progress
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let clock = clock();
    let options = TransferOptions { batch_rows: arguments.batch_rows, ..TransferOptions::default() };
    let mut bar = Bar::new(!arguments.json && std::io::stderr().is_terminal());
    let moved = block_on(async {
        let mut show = |progress| match progress {
            TransferProgress::Moved { table, rows, of } => bar.show(rows, of, &format!("moved, now {table}")),
            TransferProgress::Comparing { table } => bar.note(&format!("comparing {table}")),
        };
        Ok(transfer(&arguments.from, arguments.to.reveal(), options, &mut show).await?)
    });
    bar.clear();
    let moved = moved?;
    let seconds = clock.elapsed().as_secs_f64();
    if arguments.json {
        say(&as_json(&moved, seconds).to_string())?;
    } else {
        for line in in_words(&moved, seconds) {
            say(&line)?;
        }
    }
    Ok(())
}

fn rows(moved: &Transferred) -> u64 {
    moved.tables.iter().map(|table| table.rows).sum()
}

fn as_json(moved: &Transferred, seconds: f64) -> Value {
    let tables: Vec<Value> = moved
        .tables
        .iter()
        .map(|table| json!({"name": table.name, "rows": table.rows, "checksum": table.checksum}))
        .collect();
    json!({"rows": rows(moved), "moved_before": moved.before, "seconds": seconds, "tables": tables})
}

fn in_words(moved: &Transferred, seconds: f64) -> Vec<String> {
    if moved.already {
        return vec!["everything was moved and compared before; there is nothing to do".to_owned()];
    }
    let table = |name: &str, rows: u64| format!("{name:17} {rows:>11} rows, the same on both sides");
    let mut lines: Vec<String> = moved.tables.iter().map(|one| table(one.name, one.rows)).collect();
    let before = match moved.before {
        0 => String::new(),
        before => format!(", {before} of them by an earlier run"),
    };
    lines.push(format!("moved {} rows in {seconds:.1} seconds{before}", rows(moved)));
    lines
}
