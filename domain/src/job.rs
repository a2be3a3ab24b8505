//! Long work that somebody started by hand and that survives a restart.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::id::{JobKey, TenantKey, WebhookKey};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Retries every delivery of a webhook that had failed when it started.
    RetryFailed,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It has work left.
    Running,
    /// It has done all of it.
    Finished,
    /// Somebody stopped it; what it did stays done.
    Stopped,
}

impl JobState {
    /// The name used in JSON and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
        }
    }
}

/// A job and its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its row.
    pub key: JobKey,
    /// Whose it is.
    pub tenant: TenantKey,
    /// The webhook it works for.
    pub webhook: WebhookKey,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands.
    pub state: JobState,
    /// Deliveries that it is to move, counted when it started.
    pub total: u64,
    /// Deliveries that it has moved.
    pub done: u64,
    /// When it started.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}
