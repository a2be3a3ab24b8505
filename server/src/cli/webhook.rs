//! `callboard webhook`: who hears what, and what is done to them.

use std::num::NonZeroU16;

use clap::Subcommand;
use serde_json::{Value, json};

use super::list::{self, List, given, segment};
use super::remote::{self, Remote};
use super::table::{Cell, Paint};
use super::wait::{Elsewhere, until_ended};
use super::{Outcome, body, job, note, print, replay, say};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List webhooks, newest first.
    List {
        /// Only those whose name or URL holds this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only those that are active, paused or disabled
        #[arg(long)]
        status: Option<String>,
        /// Only those of this dialect
        #[arg(long)]
        dialect: Option<String>,
        /// Only those that have done nothing but fail since a while
        #[arg(long)]
        failing: bool,
        #[command(flatten)]
        list: list::Arguments,
        #[command(flatten)]
        server: remote::Arguments,
    },
    /// Show one with all its settings.
    Show(One),
    /// Make one, and show the secret that its receiver verifies deliveries with.
    Create(Settings),
    /// Edit one: what is not named stays as it is, and null resets it.
    Edit {
        /// The webhook's id
        webhook: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Delete one; what waits for it is cancelled.
    Delete(One),
    /// Send it a ping, whatever it hears.
    Ping(One),
    /// Let what it hears wait.
    Pause(One),
    /// Send what has waited.
    Resume(One),
    /// Let it hear events again.
    Enable(One),
    /// Let it hear nothing.
    Disable(One),
    /// Retry everything that has failed.
    RetryFailed {
        /// The webhook's id
        webhook: String,
        /// Send at most so many a second; fractions are allowed
        #[arg(long, value_name = "N")]
        rate: Option<f64>,
        /// Only what failed for this cause, such as timeout
        #[arg(long)]
        cause: Option<String>,
        /// Only what was last answered with this status
        #[arg(long)]
        status: Option<NonZeroU16>,
        /// Wait until the job has ended
        #[arg(long)]
        wait: bool,
        /// Show the server's answer as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: remote::Arguments,
    },
    /// Send it again what it has had, or send it what it has missed.
    Replay(replay::Arguments),
    /// Show what its receiver verifies deliveries with, or make another.
    Secret {
        /// The webhook's id
        webhook: String,
        /// Make a new one; the old one signs too for a while
        #[arg(long)]
        rotate: bool,
        /// For how many seconds, 0 to 604800 [default: 86400]
        #[arg(long, value_name = "SECONDS", requires = "rotate")]
        overlap_seconds: Option<u32>,
        /// Show the server's answer as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: remote::Arguments,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// The webhook's id
    webhook: String,
    /// Show the server's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: remote::Arguments,
}

/// What can be said of a webhook; all else by `--set` or a file.
#[derive(Debug, clap::Args)]
pub(super) struct Settings {
    /// Where deliveries are posted
    #[arg(long)]
    url: Option<String>,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// What it hears: event types and patterns such as ticket.*, with commas between them
    #[arg(long, value_delimiter = ',')]
    events: Vec<String>,
    /// In which form: native, ingresse, viagogo or openticket
    #[arg(long)]
    dialect: Option<String>,
    /// What an OpenTicket webhook hears of
    #[arg(long)]
    resource: Option<String>,
    /// What happens to it
    #[arg(long)]
    trigger: Option<String>,
    #[command(flatten)]
    body: body::Arguments,
    /// Show the server's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: remote::BesideUrl,
}

impl Settings {
    fn body(&self) -> Result<Value, super::Failure> {
        let text = |value: &Option<String>| value.clone().map(Value::from);
        self.body.read([
            ("url", text(&self.url)),
            ("name", text(&self.name)),
            ("events", body::list(&self.events)),
            ("dialect", text(&self.dialect)),
            ("resource", text(&self.resource)),
            ("trigger", text(&self.trigger)),
        ])
    }
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::List { search, status, dialect, failing, list, server } => {
            let query = given([
                ("search", search.clone()),
                ("status", status.clone()),
                ("dialect", dialect.clone()),
                ("failing", failing.then(|| "true".to_owned())),
            ]);
            all(query).show(&Remote::new(server)?, list)
        }
        Command::Show(one) => list::show(&Remote::new(&one.server)?.get(&one.path(""))?, one.json),
        Command::Create(settings) => {
            let remote = Remote::new(&settings.server.arguments())?;
            list::show(&remote.post_json("/v1/webhooks", &settings.body()?)?, settings.json)
        }
        Command::Edit { webhook, settings } => {
            let remote = Remote::new(&settings.server.arguments())?;
            let path = format!("/v1/webhooks/{}", segment(webhook));
            list::show(&remote.patch(&path, &body::changes(settings.body()?)?)?, settings.json)
        }
        Command::Delete(one) => {
            Remote::new(&one.server)?.delete(&one.path(""))?;
            if !one.json {
                say(&format!("{}: deleted", one.webhook))?;
            }
            Ok(())
        }
        Command::Ping(one) => ping(one),
        Command::Pause(one) => one.become_other("/pause"),
        Command::Resume(one) => one.become_other("/resume"),
        Command::Enable(one) => one.become_other("/enable"),
        Command::Disable(one) => one.become_other("/disable"),
        Command::RetryFailed { webhook, rate, cause, status, wait, json, server } => {
            let path = format!("/v1/webhooks/{}/retry-failed", segment(webhook));
            let asked = json!({"rate_per_second": rate, "cause": cause, "status": status});
            let remote = Remote::new(server)?;
            let begun = remote.post_json(&path, &asked)?;
            follow(remote, begun, *wait, *json)
        }
        Command::Replay(arguments) => replay::run(arguments),
        Command::Secret { webhook, rotate, overlap_seconds, json, server } => {
            let overlap = overlap_seconds.map(|seconds| format!("?overlap_seconds={seconds}"));
            let path = format!("/v1/webhooks/{}/secret{}", segment(webhook), overlap.unwrap_or_default());
            let remote = Remote::new(server)?;
            let answer = if *rotate { remote.act(&path)? } else { remote.get(&path)? };
            list::show(&answer, *json)
        }
    }
}

impl One {
    fn path(&self, below: &str) -> String {
        format!("/v1/webhooks/{}{below}", segment(&self.webhook))
    }

    /// Changes the status, and says what it is now.
    fn become_other(&self, below: &str) -> Outcome {
        let webhook = Remote::new(&self.server)?.act(&self.path(below))?;
        if self.json {
            return print(&format!("{webhook}\n"));
        }
        say(&format!("{}: {}", self.webhook, webhook["status"].as_str().unwrap_or_default()))?;
        Ok(())
    }
}

/// The list of webhooks.
fn all(query: Vec<(&'static str, String)>) -> List<'static, 6> {
    List {
        path: "/v1/webhooks",
        query,
        heads: ["ID", "NAME", "STATUS", "DIALECT", "HEARS", "URL"],
        row: |webhook| {
            let status = webhook["status"].as_str().unwrap_or_default();
            let failing = status == "active" && webhook["failing_since"].is_string();
            [
                Cell::of(&webhook["id"]),
                Cell::of(&webhook["name"]),
                if failing { Cell::painted("failing", Paint::Red) } else { Cell::state(status) },
                Cell::of(&webhook["dialect"]),
                hears(webhook).into(),
                Cell::of(&webhook["url"]),
            ]
        },
        nothing: "no webhooks",
    }
}

/// What a webhook hears, in its dialect's words.
fn hears(webhook: &Value) -> String {
    let lists = ["events", "hooks", "topics"].map(|name| super::table::in_words(&webhook[name]));
    let list = lists.into_iter().find(|list| !list.is_empty());
    // With a full stop between them they would look like an event type, which has a participle.
    list.unwrap_or_else(|| {
        ["resource", "trigger"].map(|name| webhook[name].as_str().unwrap_or_default()).join(", on ")
    })
}

/// A job that was begun: shown as it is, or at its end.
fn follow(remote: Remote, begun: Value, wait: bool, json: bool) -> Outcome {
    let job = if wait { until_ended(remote, begun, Elsewhere::Lines)? } else { begun };
    if json {
        print(&format!("{job}\n"))?;
    } else {
        say(&job::in_words(&job))?;
    }
    if wait && job["state"] == "stopped" {
        return Err("the job was stopped before it was done".into());
    }
    Ok(())
}

fn ping(one: &One) -> Outcome {
    let ping = Remote::new(&one.server)?.act(&one.path("/ping"))?;
    if one.json {
        return print(&format!("{ping}\n"));
    }
    let delivery = ping["delivery_id"].as_str().unwrap_or_default();
    say(&format!("{delivery}: on its way"))?;
    note(&format!("See what comes of it with: callboard delivery show {delivery}"));
    Ok(())
}
