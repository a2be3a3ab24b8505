//! `callboard delivery`: what became of events at webhooks.

use clap::{ArgGroup, Subcommand};
use serde_json::Value;

use super::event::Span;
use super::list::{self, List, given, segment};
use super::remote::{self, Remote};
use super::table::{Cell, Paint, Table, clean, show_fields};
use super::{Outcome, print, say};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the deliveries of a webhook, newest first, or those of an event.
    #[command(group = ArgGroup::new("whose").args(["webhook", "event"]).required(true))]
    List {
        /// Those of this webhook
        #[arg(long, value_name = "ID")]
        webhook: Option<String>,
        /// Those of this event, in the order of their making
        #[arg(long, value_name = "ID")]
        event: Option<String>,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        list: list::Arguments,
        #[command(flatten)]
        server: remote::Arguments,
    },
    /// Show one with all its attempts.
    Show(One),
    /// Retry one now, with its whole schedule before it.
    Retry(One),
    /// Call one off.
    Cancel(One),
}

/// Which deliveries of a webhook.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Which {
    /// Only those in these states, with commas between them
    #[arg(long, conflicts_with = "event")]
    state: Option<String>,
    /// Only of this event type
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "event")]
    type_name: Option<String>,
    /// Only about the subject with this id
    #[arg(long, value_name = "ID", conflicts_with = "event")]
    subject: Option<String>,
    /// Only those whose last attempt was answered like this, such as 5xx or none
    #[arg(long, conflicts_with = "event")]
    answer: Option<String>,
    #[command(flatten)]
    span: Span,
}

#[derive(Debug, clap::Args)]
pub(super) struct One {
    #[arg(help = "The delivery's id, such as dlv_1842")]
    delivery: String,
    /// Show the server's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: remote::Arguments,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::List { webhook, event, which, list, server } => {
            let path = match (webhook, event) {
                (Some(webhook), _) => format!("/v1/webhooks/{}/deliveries", segment(webhook)),
                (None, event) => {
                    format!("/v1/events/{}/deliveries", segment(event.as_deref().unwrap_or_default()))
                }
            };
            all(&path, which.query()).show(&Remote::new(server)?, list)
        }
        Command::Show(one) => {
            let delivery = Remote::new(&one.server)?.get(&one.path(""))?;
            if one.json { print(&format!("{delivery}\n")) } else { show(delivery) }
        }
        Command::Retry(one) => one.act("/retry", "is sent again"),
        Command::Cancel(one) => one.act("/cancel", "is called off"),
    }
}

impl Which {
    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = given([
            ("state", self.state.clone()),
            ("type", self.type_name.clone()),
            ("subject", self.subject.clone()),
            ("answer", self.answer.clone()),
        ]);
        query.extend(self.span.query());
        query
    }
}

impl One {
    fn path(&self, below: &str) -> String {
        format!("/v1/deliveries/{}{below}", segment(&self.delivery))
    }

    fn act(&self, below: &str, what: &str) -> Outcome {
        let delivery = Remote::new(&self.server)?.act(&self.path(below))?;
        if self.json {
            return print(&format!("{delivery}\n"));
        }
        say(&format!("{}: {what}; it is {}", self.delivery, delivery["state"].as_str().unwrap_or_default()))?;
        Ok(())
    }
}

fn all<'a>(path: &'a str, query: Vec<(&'a str, String)>) -> List<'a, 7> {
    List {
        path,
        query,
        heads: ["ID", "STATE", "TYPE", "SUBJECT", "ATTEMPTS", "LAST ANSWER", "MADE"],
        row: |delivery| {
            [
                Cell::of(&delivery["id"]),
                Cell::state(delivery["state"].as_str().unwrap_or_default()),
                Cell::of(&delivery["event_type"]),
                Cell::of(&delivery["subject_id"]),
                Cell::of(&delivery["attempts"]),
                answer(&delivery["last_attempt"]),
                Cell::time(&delivery["created_at"]),
            ]
        },
        nothing: "no deliveries",
    }
}

/// How an attempt was answered, or why it was not.
fn answer(attempt: &Value) -> Cell {
    match attempt["status"].as_u64().and_then(|status| u16::try_from(status).ok()) {
        Some(status) => Cell::painted(&status.to_string(), Paint::of_status(status)),
        None => Cell::of(&attempt["cause"]),
    }
}

/// The fields of a delivery, a table of its attempts, and what the last one was answered.
fn show(mut delivery: Value) -> Outcome {
    let members = delivery.as_object_mut();
    let attempts = members.and_then(|members| {
        members.shift_remove("last_attempt");
        members.shift_remove("attempt_log")
    });
    show_fields(&delivery)?;
    let attempts = attempts.as_ref().and_then(Value::as_array).filter(|attempts| !attempts.is_empty());
    let Some(attempts) = attempts else { return Ok(()) };
    print("\n")?;
    let mut table = Table::new(&["ATTEMPT", "STARTED", "MILLISECONDS", "ANSWER", "STATE", "MESSAGE"]);
    for attempt in attempts {
        table.add([
            Cell::of(&attempt["number"]),
            Cell::time(&attempt["started_at"]),
            Cell::of(&attempt["duration_ms"]),
            answer(attempt),
            Cell::state(attempt["state"].as_str().unwrap_or_default()),
            Cell::of(&attempt["message"]),
        ]);
    }
    table.show("")?;
    attempts.last().and_then(body).map_or(Ok(()), |body| print(&format!("\n{body}")))
}

/// The body that an attempt was answered with, line by line, if there is one.
fn body(attempt: &Value) -> Option<String> {
    let answer = &attempt["answer"];
    let body = answer["body"].as_str().filter(|body| !body.is_empty())?;
    let mut out = format!("The answer to attempt {}:\n", attempt["number"]);
    for line in body.lines() {
        out.extend(["  ", &clean(line), "\n"]);
    }
    if answer["cut"] == true {
        out.push_str("  ... (the rest was not kept)\n");
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_body_of_an_answer_is_shown_without_what_moves_a_cursor() {
        let attempt = json!({"number": 3, "answer": {"body": "out of\r\n\u{1b}[2Jseats", "cut": true}});
        let shown = "The answer to attempt 3:\n  out of\n  \u{fffd}[2Jseats\n  ... (the rest was not kept)\n";
        assert_eq!(body(&attempt).as_deref(), Some(shown));
        assert_eq!(body(&json!({"number": 1, "answer": {"body": "", "cut": false}})), None);
        assert_eq!(body(&json!({"number": 1, "answer": null})), None);
    }
}
