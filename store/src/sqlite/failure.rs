//! Why a statement failed, and what follows from it.

use callboard_domain::store::StoreError;
use rusqlite::ErrorCode;

use crate::OpenError;
use crate::rows::Corrupt;

/// Why the database did not do something.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite refused or failed.
    Sql(rusqlite::Error),
    /// A row can't be understood.
    Corrupt(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Corrupt> for Failure {
    fn from(Corrupt(what): Corrupt) -> Self {
        Self::Corrupt(what)
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql(error) => error.into(),
            Failure::Corrupt(what) => Self::Damaged(what),
        }
    }
}

impl Failure {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql(error) => error.sqlite_error_code(),
            Self::Corrupt(_) => None,
        }
    }

    /// Whether what the connection holds in memory may differ from the file:
    /// after a failed write or fsync nobody knows what reached the disk.
    pub(super) fn spoils_connection(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ErrorCode::SystemIoFailure
                    | ErrorCode::CannotOpen
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::ApiMisuse
                    | ErrorCode::InternalMalfunction
            )
        )
    }

    /// Whether every other command would fail in the same way now.
    pub(super) fn concerns_everybody(&self) -> bool {
        self.spoils_connection()
            || matches!(
                self.code(),
                Some(
                    ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::ReadOnly
                        | ErrorCode::PermissionDenied
                )
            )
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        use rusqlite::Error as E;
        match &failure {
            Failure::Corrupt(what) => Self::Corrupt(what.clone()),
            Failure::Sql(error) => match (failure.code(), error) {
                (Some(ErrorCode::DiskFull), _) => {
                    Self::Unavailable(format!("the disk is full, or the size limit is reached ({error})"))
                }
                (
                    Some(
                        ErrorCode::DatabaseCorrupt
                        | ErrorCode::NotADatabase
                        | ErrorCode::ConstraintViolation
                        | ErrorCode::TypeMismatch,
                    ),
                    _,
                )
                | (
                    None,
                    E::FromSqlConversionFailure(..)
                    | E::IntegralValueOutOfRange(..)
                    | E::InvalidColumnType(..)
                    | E::Utf8Error(..),
                ) => Self::Corrupt(error.to_string()),
                _ => Self::Unavailable(error.to_string()),
            },
        }
    }
}
