//! `callboard keys`: the keys that seal secrets in the database.

use clap::Subcommand;
use serde_json::Value;

use super::{Outcome, note, remote, say};
use crate::app;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key, and print it.
    ///
    /// Nothing uses it before it stands in the key file, or in the setting encryption.keys.
    Generate,
    /// Show which keys seal how many rows.
    List(Arguments),
    /// Seal everything anew with the first key, while the servers run.
    ///
    /// It can be interrupted and run again. Keys that seal nothing afterwards can be
    /// removed.
    Rotate(Arguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Show the server's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: remote::Arguments,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Generate => generate(),
        Command::List(arguments) => list(arguments),
        Command::Rotate(arguments) => rotate(arguments),
    }
}

fn generate() -> Outcome {
    let (id, text) = app::new_key()?;
    say(&text)?;
    note(&format!("This is the key {id}. It is shown this once; keep it apart from the database."));
    Ok(())
}

fn list(arguments: &Arguments) -> Outcome {
    let keys = remote::Remote::new(&arguments.server)?.get("/v1/keys")?;
    if arguments.json {
        say(&keys.to_string())?;
        return Ok(());
    }
    for key in keys["items"].as_array().into_iter().flatten() {
        say(&in_words(key))?;
    }
    Ok(())
}

fn in_words(key: &Value) -> String {
    let rows = key["rows"].as_u64().unwrap_or_default();
    let what = match (key["seals"].as_bool(), key["at_hand"].as_bool(), rows) {
        (Some(true), ..) => "seals",
        (_, Some(false), _) => "is missing",
        (.., 0) => "can be removed",
        _ => "opens",
    };
    format!("{}  {rows:>8} rows  {what}", key["id"].as_str().unwrap_or_default())
}

fn rotate(arguments: &Arguments) -> Outcome {
    let remote = remote::Remote::new(&arguments.server)?;
    let mut sealed = 0;
    loop {
        let step = remote.act("/v1/keys/rotate")?;
        let now = step["sealed"].as_u64().unwrap_or_default();
        let left = step["left"].as_u64().unwrap_or_default();
        sealed += now;
        if left == 0 {
            break;
        }
        if now == 0 {
            return Err(
                format!("{left} rows are being written by somebody else; run the command again").into()
            );
        }
    }
    if arguments.json {
        say(&serde_json::json!({"sealed": sealed, "left": 0}).to_string())?;
    } else {
        say(&format!("{sealed} rows were sealed anew; keys other than the first are not needed any more"))?;
    }
    Ok(())
}
