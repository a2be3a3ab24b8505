//! A process that is measured: started, asked for its figures, ended.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::figures::mebibytes;
use crate::cli::Failure;

/// Ticks of the kernel's processor clock in a second: fixed by Linux's ABI.
const TICKS: u64 = 100;

/// A running part.
pub(super) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts this program with other arguments. It dies with this one.
    ///
    /// # Errors
    /// When it can't be started.
    pub(super) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the part has no output")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    /// The next line it writes.
    ///
    /// # Errors
    /// When it ends instead.
    pub(super) async fn line(&mut self) -> Result<String, Failure> {
        Ok(self.lines.next_line().await?.ok_or("the part ended early")?)
    }

    /// Insists that it still runs.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait()? {
            Some(status) => Err(format!("the part ended early: {status}").into()),
            None => Ok(()),
        }
    }

    /// Processor time used so far, in user and kernel mode together.
    pub(super) fn processor_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()?)).ok()?;
        // The name, in parentheses, may hold spaces; what follows does not.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
        let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * 1_000 / TICKS))
    }

    /// Most memory resident so far, in MiB.
    pub(super) fn peak_memory(&self) -> Option<f64> {
        self.memory("VmHWM:")
    }

    /// Memory resident now, in MiB.
    pub(super) fn resident_memory(&self) -> Option<f64> {
        self.memory("VmRSS:")
    }

    /// How much of the resident memory is the program's own, in MiB; the rest
    /// are pages of its file.
    pub(super) fn anonymous_memory(&self) -> Option<f64> {
        self.memory("RssAnon:")
    }

    fn memory(&self, name: &str) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(mebibytes(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024))
    }

    /// Ends it and waits for its end.
    ///
    /// # Errors
    /// When it can't be ended.
    pub(super) async fn end(mut self) -> Result<(), Failure> {
        self.child.kill().await?;
        Ok(())
    }
}
