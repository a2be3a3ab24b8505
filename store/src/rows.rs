//! How values of the domain stand in rows, the same in every database.

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Cause, State};
use callboard_domain::store::{Listed, Page};
use callboard_domain::webhook::Status;

pub(crate) mod attempts;
pub(crate) mod audit;
pub(crate) mod counts;
pub(crate) mod deliveries;
pub(crate) mod failed;
pub(crate) mod jobs;
pub(crate) mod looked;
pub(crate) mod overview;
pub(crate) mod packed;
pub(crate) mod portal;
pub(crate) mod sessions;
pub(crate) mod webhooks;

/// A row that can't be understood; the text says what of it.
#[derive(Debug)]
pub(crate) struct Corrupt(pub(crate) String);

/// `due_at` of a delivery that a process has in its hands.
pub(crate) const LEASED: i64 = i64::MAX;

/// `due_at` of a delivery that waits behind another one of its chain.
pub(crate) const BEHIND: i64 = i64::MAX - 1;

/// The column value of a time; what is finer than a microsecond is lost.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// The first microsecond that is not before `time`, for comparing stored
/// times with times that may be finer.
pub(crate) fn micros_from(time: Timestamp) -> i64 {
    let micros = time.as_microsecond();
    if i128::from(micros) * 1_000 < time.as_nanosecond() { micros + 1 } else { micros }
}

/// The time of a column value.
pub(crate) fn timestamp(micros: i64) -> Result<Timestamp, Corrupt> {
    Timestamp::from_microsecond(micros).map_err(|_| Corrupt(format!("{micros} is no time")))
}

/// The time of a column value that may be null.
pub(crate) fn timestamp_option(micros: Option<i64>) -> Result<Option<Timestamp>, Corrupt> {
    micros.map(timestamp).transpose()
}

/// The time of a `due_at`, unless it means a lease or a place behind another.
pub(crate) fn unleased(due_at: Option<i64>) -> Result<Option<Timestamp>, Corrupt> {
    due_at.filter(|due_at| *due_at < BEHIND).map(timestamp).transpose()
}

/// The column value of a state. The schema names these numbers too: an index
/// is made of failed rows only.
pub(crate) const fn state_code(state: State) -> i64 {
    match state {
        State::Pending => 0,
        State::Waiting => 1,
        State::Delivered => 2,
        State::Failed => 3,
        State::Superseded => 4,
        State::Cancelled => 5,
    }
}

/// The column value of a failure that somebody retried or discarded: still one for
/// whoever reads the log, but no longer among what is failed now.
pub(crate) const RETRIED: i64 = 6;

/// The state of a column value.
pub(crate) fn state(code: i64) -> Result<State, Corrupt> {
    if code == RETRIED {
        return Ok(State::Failed);
    }
    State::ALL
        .into_iter()
        .find(|state| state_code(*state) == code)
        .ok_or_else(|| Corrupt(format!("{code} is no delivery state")))
}

/// The column value of a cause.
pub(crate) fn cause_text(cause: Cause) -> Option<String> {
    match serde_json::to_value(cause) {
        Ok(serde_json::Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The cause of a column value.
pub(crate) fn cause(text: String) -> Result<Cause, Corrupt> {
    let corrupt = format!("{text:?} is no cause of failure");
    serde_json::from_value(text.into()).map_err(|_| Corrupt(corrupt))
}

/// The status of a webhook, of its column value.
pub(crate) fn status(text: &str) -> Result<Status, Corrupt> {
    Status::ALL
        .into_iter()
        .find(|known| known.as_str() == text)
        .ok_or_else(|| Corrupt(format!("{text:?} is no status of a webhook")))
}

/// Reads a text column that has a type of its own.
pub(crate) fn parsed<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Corrupt> {
    text.parse().map_err(|_| Corrupt(format!("{text:?} is no {what}")))
}

/// Reads a column that counts something.
pub(crate) fn natural(value: i64) -> Result<u64, Corrupt> {
    u64::try_from(value).map_err(|_| Corrupt(format!("{value} is no count")))
}

/// A count that is known not to be negative.
pub(crate) fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The upper end (not included) of the keys that a page may show.
pub(crate) fn before(page: Page) -> i64 {
    page.after.unwrap_or(i64::MAX)
}

/// How many rows to ask for: one more than are shown tells whether more follow.
pub(crate) fn wanted(page: Page) -> i64 {
    count(page.limit.max(1)).saturating_add(1)
}

/// Makes a page of rows that were read with the limit of [`wanted`].
pub(crate) fn listed<T>(mut rows: Vec<(i64, T)>, page: Page) -> Listed<T> {
    let more = rows.len() > page.limit.max(1);
    rows.truncate(page.limit.max(1));
    let next = rows.last().filter(|_| more).map(|(key, _)| *key);
    Listed { items: rows.into_iter().map(|(_, item)| item).collect(), next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_and_state_survives_the_round_trip() {
        for one in Cause::ALL {
            assert_eq!(cause(cause_text(one).expect("a text")).expect("a cause"), one);
        }
        for one in State::ALL {
            assert_eq!(state(state_code(one)).expect("a state"), one);
        }
        assert!(state(7).is_err() && cause("bad luck".to_owned()).is_err());
    }

    #[test]
    fn finer_times_are_rounded_up_for_comparison() {
        let time = Timestamp::from_nanosecond(1_700_000_000_000_001_001).expect("a time");
        assert_eq!(micros(time), 1_700_000_000_000_001);
        assert_eq!(micros_from(time), 1_700_000_000_000_002);
    }
}
