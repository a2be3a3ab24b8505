//! `callboard job`: long work that was started by hand.

use clap::Subcommand;
use serde_json::Value;

use super::{Outcome, remote, say};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show how far a job has come.
    Show(Arguments),
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
    let (Command::Show(arguments) | Command::Stop(arguments)) = command;
    let remote = remote::Remote::new(&arguments.server)?;
    let path = format!("/v1/jobs/{}", arguments.job);
    let job = match command {
        Command::Show(_) => remote.get(&path)?,
        Command::Stop(_) => remote.act(&format!("{path}/stop"))?,
    };
    say(&if arguments.json { job.to_string() } else { in_words(&job) });
    Ok(())
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
