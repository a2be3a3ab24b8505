//! `callboard tenant`: whose data it is.

use clap::Subcommand;
use serde_json::{Value, json};

use super::list::{self, List, segment};
use super::remote::{self, Remote};
use super::table::Cell;
use super::{Outcome, body, print, say};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List tenants, newest first.
    List {
        #[command(flatten)]
        list: list::Arguments,
        #[command(flatten)]
        server: remote::Arguments,
    },
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
        /// Show the server's answer as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: remote::Arguments,
    },
    /// Show one.
    Show {
        /// The tenant's id
        id: String,
        /// Show the server's answer as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: remote::Arguments,
    },
    /// Edit one: what is not named stays as it is, and null resets it.
    Edit {
        /// The tenant's id
        id: String,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        /// How many seconds its events are kept
        #[arg(long, value_name = "SECONDS")]
        retention_seconds: Option<u32>,
        #[command(flatten)]
        body: body::Arguments,
        /// Show the server's answer as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: remote::Arguments,
    },
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::List { list, server } => all().show(&Remote::new(server)?, list),
        Command::Create { id, name, retention_seconds, json, server } => {
            let body = json!({"id": id, "name": name, "retention_seconds": retention_seconds});
            let tenant = Remote::new(server)?.post_json("/v1/tenants", &body)?;
            if *json {
                return print(&format!("{tenant}\n"));
            }
            let id = tenant["id"].as_str().unwrap_or_default();
            say(&format!("{id}: made. The operator acts for it with the header Callboard-Tenant: {id}"))?;
            Ok(())
        }
        Command::Show { id, json, server } => {
            list::show(&Remote::new(server)?.get(&format!("/v1/tenants/{}", segment(id)))?, *json)
        }
        Command::Edit { id, name, retention_seconds, body, json, server } => {
            let flags = [
                ("name", name.clone().map(Value::from)),
                ("retention_seconds", retention_seconds.map(Value::from)),
            ];
            let path = format!("/v1/tenants/{}", segment(id));
            list::show(&Remote::new(server)?.patch(&path, &body::changes(body.read(flags)?)?)?, *json)
        }
    }
}

fn all() -> List<'static, 4> {
    List {
        path: "/v1/tenants",
        query: Vec::new(),
        heads: ["ID", "NAME", "KEEPS EVENTS FOR SECONDS", "MADE"],
        row: |tenant| {
            [
                Cell::of(&tenant["id"]),
                Cell::of(&tenant["name"]),
                Cell::of(&tenant["retention_seconds"]),
                Cell::time(&tenant["created_at"]),
            ]
        },
        nothing: "no tenants",
    }
}
