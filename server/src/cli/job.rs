//! `callboard job`: long work that was started by hand.

use clap::Subcommand;
use serde_json::Value;

use super::list::{self, List, segment};
use super::remote::{self, Remote};
use super::table::Cell;
use super::wait::{Elsewhere, until_ended};
use super::{Outcome, print, say};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List jobs, newest first.
    List {
        #[command(flatten)]
        list: list::Arguments,
        #[command(flatten)]
        server: remote::Arguments,
    },
    /// Show how far a job has come.
    Show {
        #[command(flatten)]
        one: Arguments,
        /// Wait until it has ended
        #[arg(long)]
        wait: bool,
    },
    /// Stop a job; what it has sent stays sent.
    Stop(Arguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[arg(help = "The job's id, such as job_3")]
    job: String,
    /// Show the server's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: remote::Arguments,
}

pub(super) fn run(command: &Command) -> Outcome {
    let (job, json) = match command {
        Command::List { list, server } => return all().show(&Remote::new(server)?, list),
        Command::Show { one, wait } => {
            let remote = Remote::new(&one.server)?;
            let job = remote.get(&one.path())?;
            (if *wait { until_ended(remote, job, Elsewhere::Lines)? } else { job }, one.json)
        }
        Command::Stop(one) => (Remote::new(&one.server)?.act(&format!("{}/stop", one.path()))?, one.json),
    };
    if json {
        return print(&format!("{job}\n"));
    }
    say(&in_words(&job))
}

impl Arguments {
    fn path(&self) -> String {
        format!("/v1/jobs/{}", segment(&self.job))
    }
}

fn all() -> List<'static, 7> {
    List {
        path: "/v1/jobs",
        query: Vec::new(),
        heads: ["ID", "KIND", "STATE", "DONE", "TOTAL", "BEGUN", "WEBHOOK"],
        row: |job| {
            [
                Cell::of(&job["id"]),
                Cell::of(&job["kind"]),
                Cell::state(job["state"].as_str().unwrap_or_default()),
                Cell::of(&job["done"]),
                Cell::of(&job["total"]),
                Cell::time(&job["created_at"]),
                Cell::of(&job["webhook_id"]),
            ]
        },
        nothing: "no jobs",
    }
}

/// Where a job stands, in a line.
pub(super) fn in_words(job: &Value) -> String {
    let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
    let done = job["done"].as_u64().unwrap_or_default();
    let verb = if job["kind"] == "discard_failed" { "called off" } else { "sent" };
    let sent = match job["total"].as_u64() {
        Some(total) => format!("{done} of {total} {verb}"),
        None => format!("{done} {verb}, how many there are is being counted"),
    };
    let looked_at = job["looked_at"].as_u64().unwrap_or_default();
    format!("{}: {}, {sent}, {looked_at} looked at", text("id"), text("state"))
}
