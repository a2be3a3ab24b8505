//! `callboard client`: the programs that act for a tenant.

use clap::Subcommand;
use serde_json::json;

use super::{Outcome, remote, say};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a client, and show its id and secret.
    Create {
        /// What people call it
        name: String,
        /// What its tokens may do
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "read:webhooks,write:webhooks,read:events,write:events"
        )]
        scopes: Vec<String>,
        #[command(flatten)]
        server: remote::Arguments,
    },
}

pub(super) fn run(command: &Command) -> Outcome {
    let Command::Create { name, scopes, server } = command;
    let body = json!({"name": name, "scopes": scopes});
    let client = remote::Remote::new(server)?.post_json("/v1/clients", &body)?;
    say(&format!("client_id:     {}", client["client_id"].as_str().unwrap_or_default()));
    say(&format!("client_secret: {}", client["client_secret"].as_str().unwrap_or_default()));
    say("The secret is shown this once. Exchange both for a token at /oauth2/token.");
    Ok(())
}
