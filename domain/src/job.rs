//! Long work that somebody started by hand and that survives a restart.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::delivery::State;
use crate::id::{JobKey, TenantKey, WebhookKey};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Retries every delivery of a webhook that had failed when it started.
    RetryFailed,
    /// Sends again what of a webhook is over and was selected when it started.
    Replay,
}

impl JobKind {
    /// The name used in JSON and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetryFailed => "retry_failed",
            Self::Replay => "replay",
        }
    }
}

/// Which deliveries of a webhook to send again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Only of events accepted at or after this time.
    pub since: Timestamp,
    /// Only of events accepted before this time.
    pub until: Option<Timestamp>,
    /// Only those in one of these states.
    pub states: Vec<State>,
    /// Only of this event type.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// Only about the subject with this id.
    #[serde(rename = "subject")]
    pub subject_id: Option<String>,
}

impl Selection {
    /// The states of deliveries that can be sent again: the others are still
    /// to be sent.
    pub const STATES: [State; 4] = [State::Delivered, State::Failed, State::Cancelled, State::Superseded];
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
    /// What a replay sends again.
    pub selection: Option<Selection>,
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
