//! `callboard audit`: who changed what.

use super::Outcome;
use super::event::Span;
use super::list::{self, List, given};
use super::remote::{self, Remote};
use super::table::Cell;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only what this actor did: the id of a client or a portal link, operator or system
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Only this action, such as webhook.deleted, or webhook.* for all of a kind
    #[arg(long)]
    action: Option<String>,
    /// Only what was done to the thing of this id
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// What belongs to no tenant, such as tenants themselves; for the operator
    #[arg(long, conflicts_with = "tenant")]
    deployment: bool,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    list: list::Arguments,
    #[command(flatten)]
    server: remote::Arguments,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let mut query = given([
        ("actor", arguments.actor.clone()),
        ("action", arguments.action.clone()),
        ("target", arguments.target.clone()),
    ]);
    query.extend(arguments.span.query());
    let entries = List {
        path: if arguments.deployment { "/v1/deployment/audit" } else { "/v1/audit" },
        query,
        heads: ["AT", "WHO", "ACTION", "TARGET", "FROM"],
        row: |entry| {
            let actor = &entry["actor"];
            let named = actor["name"].as_str().is_some_and(|name| !name.is_empty());
            [
                Cell::time(&entry["at"]),
                Cell::of(if named { &actor["name"] } else { &actor["kind"] }),
                Cell::of(&entry["action"]),
                Cell::of(&entry["target"]["id"]),
                Cell::of(&entry["address"]),
            ]
        },
        nothing: "no entries",
    };
    entries.show(&Remote::new(&arguments.server)?, &arguments.list)
}
