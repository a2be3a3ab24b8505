//! `callboard client`: the programs that act for a tenant.

use clap::Subcommand;
use serde_json::json;

use super::list::{self, List, segment};
use super::remote::{self, Remote};
use super::table::Cell;
use super::{Outcome, print, say};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List clients, newest first.
    List {
        #[command(flatten)]
        list: list::Arguments,
        #[command(flatten)]
        server: remote::Arguments,
    },
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
        /// Show the server's answer as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: remote::Arguments,
    },
    /// Show one, without its secret.
    Show(One),
    /// Let it get tokens again.
    Enable(One),
    /// Give it no more tokens, and obey none that it has.
    Disable(One),
    /// Delete one; its tokens are obeyed no longer.
    Delete(One),
}

#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// The client's id
    client: String,
    /// Show the server's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: remote::Arguments,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::List { list, server } => all().show(&Remote::new(server)?, list),
        Command::Create { name, scopes, json, server } => {
            let body = json!({"name": name, "scopes": scopes});
            let client = Remote::new(server)?.post_json("/v1/clients", &body)?;
            if *json {
                return print(&format!("{client}\n"));
            }
            say(&format!("client_id:     {}", client["client_id"].as_str().unwrap_or_default()))?;
            say(&format!("client_secret: {}", client["client_secret"].as_str().unwrap_or_default()))?;
            say("The secret is shown this once. Exchange both for a token at /oauth2/token.")?;
            Ok(())
        }
        Command::Show(one) => list::show(&Remote::new(&one.server)?.get(&one.path(""))?, one.json),
        Command::Enable(one) => one.become_other("/enable"),
        Command::Disable(one) => one.become_other("/disable"),
        Command::Delete(one) => {
            Remote::new(&one.server)?.delete(&one.path(""))?;
            if !one.json {
                say(&format!("{}: deleted", one.client))?;
            }
            Ok(())
        }
    }
}

impl One {
    fn path(&self, below: &str) -> String {
        format!("/v1/clients/{}{below}", segment(&self.client))
    }

    fn become_other(&self, below: &str) -> Outcome {
        let client = Remote::new(&self.server)?.act(&self.path(below))?;
        if self.json {
            return print(&format!("{client}\n"));
        }
        say(&format!("{}: {}", self.client, state(client["enabled"] == true)))?;
        Ok(())
    }
}

const fn state(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

fn all() -> List<'static, 5> {
    List {
        path: "/v1/clients",
        query: Vec::new(),
        heads: ["ID", "NAME", "STATE", "LAST USED", "SCOPES"],
        row: |client| {
            [
                Cell::of(&client["client_id"]),
                Cell::of(&client["name"]),
                Cell::state(state(client["enabled"] == true)),
                Cell::time(&client["last_used_at"]),
                Cell::of(&client["scopes"]),
            ]
        },
        nothing: "no clients",
    }
}
