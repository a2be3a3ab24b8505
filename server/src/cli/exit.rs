//! Which code a command ends with.

use std::fmt;
use std::process::ExitCode;

use super::Failure;

/// What stopped a command, as far as a script wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// It was refused, or failed.
    Failed = 1,
    /// What was typed can't be meant.
    Usage = 2,
    /// The server can't be reached, or can't answer now.
    Unreachable = 3,
    /// Who is asking is unknown, or may not.
    NotAllowed = 4,
    /// There is no such thing.
    NotFound = 5,
}

impl Exit {
    /// What an answer of this status means.
    pub(super) const fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::NotAllowed,
            404 => Self::NotFound,
            502..=504 => Self::Unreachable,
            _ => Self::Failed,
        }
    }

    /// The code for what stopped a command; what says nothing of itself has failed.
    pub(super) fn of(failure: &Failure) -> Self {
        failure.downcast_ref::<Stopped>().map_or(Self::Failed, |stopped| stopped.exit)
    }

    /// A failure that ends the command with this code.
    pub(super) fn because(self, words: impl Into<String>) -> Failure {
        Box::new(Stopped { exit: self, words: words.into() })
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure that knows its code.
#[derive(Debug)]
struct Stopped {
    exit: Exit,
    words: String,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Stopped {}

/// What `--help` says of them.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  refused, or failed
  2  wrong usage
  3  the server can't be reached
  4  not allowed: no token, or one that is not valid or may not do this
  5  not found";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_its_code_and_any_other_is_one() {
        assert_eq!(Exit::of(&Exit::NotFound.because("no such webhook")), Exit::NotFound);
        assert_eq!(Exit::of(&"something else".into()), Exit::Failed);
        let codes = [400, 401, 403, 404, 409, 429, 500, 503].map(|status| Exit::of_status(status) as u8);
        assert_eq!(codes, [1, 4, 4, 5, 1, 1, 1, 3]);
    }
}
