//! Why a statement failed, and what follows from it.

use callboard_domain::store::StoreError;
use deadpool_postgres::{HookError, PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

use crate::rows::Corrupt;

/// Why the database did not do something.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refused or failed, or there is no way to it.
    Sql(tokio_postgres::Error),
    /// Nobody knows whether it was committed.
    InDoubt(String),
    /// It did not answer in time. What was asked may still happen, unless it was
    /// part of a transaction.
    Silent,
    /// It can't be asked now.
    Unavailable(String),
    /// A row can't be understood.
    Corrupt(String),
    /// Another transaction was first; the same one, run again, sees that.
    Overtaken,
    /// This process is no node any more: its lease has passed.
    LeaseLost,
    /// There is no partition for the new keys yet.
    NoPartition,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Corrupt> for Failure {
    fn from(Corrupt(what): Corrupt) -> Self {
        Self::Corrupt(what)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                Self::Sql(error)
            }
            PoolError::Timeout(TimeoutType::Wait) => {
                Self::Unavailable("every connection to it is in use".to_owned())
            }
            PoolError::Timeout(_) => Self::Silent,
            PoolError::PostCreateHook(HookError::Message(said)) => Self::Unavailable(said.into_owned()),
            PoolError::Closed => closed(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Nothing is asked of a database that was closed.
pub(super) fn closed() -> Failure {
    Failure::Unavailable("it is closed".to_owned())
}

impl Failure {
    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Sql(error) => error.code(),
            _ => None,
        }
    }

    /// Whether the same transaction may well succeed when it is tried again.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Overtaken)
            || matches!(
                self.code(),
                Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED)
            )
    }

    /// Of a commit that failed. Unless the server refused it, it may have happened.
    pub(super) fn of_commit(self) -> Self {
        let refused =
            |code: &SqlState| !["08", "57", "58"].iter().any(|class| code.code().starts_with(class));
        if self.code().is_some_and(refused) { self } else { Self::InDoubt(self.to_string()) }
    }

    /// Whether every other command would fail in the same way now.
    pub(super) fn concerns_everybody(&self) -> bool {
        match self {
            Self::Sql(error) => match error.code() {
                Some(code) => {
                    ["08", "25", "53", "55", "57", "58"].iter().any(|class| code.code().starts_with(class))
                }
                None => error.is_closed(),
            },
            Self::InDoubt(_) | Self::Silent | Self::Unavailable(_) | Self::LeaseLost | Self::NoPartition => {
                true
            }
            Self::Corrupt(_) | Self::Overtaken => false,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sql(error) => f.write_str(&text(error)),
            Self::InDoubt(what) | Self::Unavailable(what) | Self::Corrupt(what) => f.write_str(what),
            Self::Silent => f.write_str("it does not answer"),
            Self::Overtaken => f.write_str("others were first each time it was tried"),
            Self::LeaseLost => f.write_str("this process was taken for gone, and has to start anew"),
            Self::NoPartition => f.write_str("there is no room for new keys yet"),
        }
    }
}

/// What the server said; the library itself only says that it said something.
pub(super) fn text(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => std::iter::successors(std::error::Error::source(error), |source| source.source())
            .fold(error.to_string(), |text, source| format!("{text}: {source}")),
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Unavailable(_)
            | Failure::InDoubt(_)
            | Failure::Silent
            | Failure::Overtaken
            | Failure::LeaseLost
            | Failure::NoPartition => Self::Unavailable(failure.to_string()),
            Failure::Corrupt(what) => Self::Corrupt(what.clone()),
            Failure::Sql(error) => match error.code().map(SqlState::code) {
                // Values and constraints that don't fit, and statements that the
                // schema does not know.
                Some(code) if ["21", "22", "23", "42"].iter().any(|class| code.starts_with(class)) => {
                    Self::Corrupt(text(error))
                }
                Some(_) => Self::Unavailable(text(error)),
                None if error.is_closed() || is_io(error) => Self::Unavailable(text(error)),
                None => Self::Corrupt(text(error)),
            },
        }
    }
}

/// Whether there was no way to the server, or none any more.
pub(super) fn is_io(error: &tokio_postgres::Error) -> bool {
    std::iter::successors(std::error::Error::source(error), |source| source.source())
        .any(<dyn std::error::Error>::is::<std::io::Error>)
        || error.to_string().starts_with("error connecting")
        || error.to_string().starts_with("error communicating")
}
