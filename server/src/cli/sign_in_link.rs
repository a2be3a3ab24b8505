//! `callboard sign-in-link`: a link by which the operator signs in to the dashboard.

use super::{Outcome, note, remote, say};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    server: remote::Arguments,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let link = remote::Remote::new(&arguments.server)?.act("/v1/sign-in-links")?;
    say(link["url"].as_str().unwrap_or_default())?;
    note("It opens once, within an hour. Whoever has it is the operator: don't pass it on.");
    Ok(())
}
