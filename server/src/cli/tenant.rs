//! `callboard tenant`: whose data it is.

use clap::Subcommand;
use serde_json::json;

use super::{Outcome, remote, say};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a tenant.
    Create {
        /// 1 to 63 of a-z, 0-9, '_' and '-'
        id: String,
        /// What people call it; the id if left out
        #[arg(long)]
        name: Option<String>,
        /// How many seconds its events are kept; the server's setting if left out
        #[arg(long, value_name = "SECONDS")]
        retention_seconds: Option<u32>,
        #[command(flatten)]
        server: remote::Arguments,
    },
}

pub(super) fn run(command: &Command) -> Outcome {
    let Command::Create { id, name, retention_seconds, server } = command;
    let body = json!({"id": id, "name": name, "retention_seconds": retention_seconds});
    let tenant = remote::Remote::new(server)?.post_json("/v1/tenants", &body)?;
    let id = tenant["id"].as_str().unwrap_or_default();
    say(&format!("{id}: made. The operator acts for it with the header Callboard-Tenant: {id}"));
    Ok(())
}
