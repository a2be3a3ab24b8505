//! Waits for the end of a job, and shows how far it has come.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::remote::Remote;
use super::{Failure, block_on, job, note, redraw};

/// How often a job is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What is said to whoever does not watch a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elsewhere {
    Nothing,
    /// A line whenever it has come further.
    Lines,
}

/// Looks at a job until it has ended. Whoever interrupts that leaves the job
/// running, and is told so.
///
/// # Errors
/// When it is interrupted, or the server can't be asked.
pub(super) fn until_ended(remote: Remote, mut job: Value, elsewhere: Elsewhere) -> Result<Value, Failure> {
    let id = job["id"].as_str().unwrap_or_default().to_owned();
    let watched = std::io::stderr().is_terminal();
    let mut shown = String::new();
    let ended = block_on(async {
        let remote = Arc::new(remote);
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        while job["state"] == "running" {
            let line = job::in_words(&job);
            if watched {
                redraw(&line);
            } else if elsewhere == Elsewhere::Lines && shown != line {
                note(&line);
            }
            shown = line;
            tokio::select! {
                biased;
                _ = &mut interrupted => return Err(left_running(&id)),
                () = tokio::time::sleep(LOOK) => {}
            }
            let (remote, path) = (Arc::clone(&remote), format!("/v1/jobs/{id}"));
            let look = tokio::task::spawn_blocking(move || remote.get(&path));
            job = look.await?.map_err(|error| format!("{error}\n{}", left_running(&id)))?;
        }
        Ok(job)
    });
    if watched {
        redraw("");
    }
    ended
}

fn left_running(job: &str) -> Failure {
    format!(
        "no longer waiting; {job} goes on. Look at it with: callboard job show {job}; end it with: callboard job stop {job}"
    )
    .into()
}
