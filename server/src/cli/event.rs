//! `callboard event`: what was published.

use clap::Subcommand;

use super::list::{self, List, given, segment};
use super::remote::{self, Remote};
use super::replay::Moment;
use super::table::Cell;
use super::{Outcome, clock, send};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List events, newest first.
    List {
        /// Only of this event type
        #[arg(long = "type", value_name = "TYPE")]
        type_name: Option<String>,
        /// Only about the subject with this id
        #[arg(long, value_name = "ID")]
        subject: Option<String>,
        #[command(flatten)]
        span: Span,
        #[command(flatten)]
        list: list::Arguments,
        #[command(flatten)]
        server: remote::Arguments,
    },
    /// Show one as it was published.
    Show {
        /// The event's id
        event: String,
        /// Show the server's answer as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: remote::Arguments,
    },
    /// Publish events from a file or from standard input.
    Send(send::Arguments),
}

/// From when to when.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Span {
    /// From when on: a time such as 2026-11-21T19:00:00Z, or how long ago, such as 30m, 2h or 7d
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Until when
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
}

impl Span {
    /// As the server wants to be told it.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let now = clock().now();
        let time = |moment: &Option<Moment>| moment.as_ref().map(|moment| moment.before(now).to_string());
        given([("since", time(&self.since)), ("until", time(&self.until))])
    }
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::List { type_name, subject, span, list, server } => {
            let mut query = given([("type", type_name.clone()), ("subject", subject.clone())]);
            query.extend(span.query());
            let events = List {
                path: "/v1/events",
                query,
                heads: ["ACCEPTED", "TYPE", "SUBJECT", "WEBHOOKS", "ID"],
                row: |event| {
                    [
                        Cell::time(&event["accepted_at"]),
                        Cell::of(&event["type"]),
                        Cell::of(&event["subject"]["id"]),
                        Cell::of(&event["deliveries"]),
                        Cell::of(&event["id"]),
                    ]
                },
                nothing: "no events",
            };
            events.show(&Remote::new(server)?, list)
        }
        Command::Show { event, json, server } => {
            list::show(&Remote::new(server)?.get(&format!("/v1/events/{}", segment(event)))?, *json)
        }
        Command::Send(arguments) => send::run(arguments),
    }
}
