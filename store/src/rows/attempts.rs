//! Rows of attempts: their details, and those of deliveries that end without one.

use std::time::Duration;

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Attempt, AttemptDetail, Cause, LoggedAttempt, Outcome, State};
use callboard_domain::id::{DeliveryKey, EventKey, WebhookKey};

use super::{Corrupt, cause, cause_text, micros, state, timestamp};

/// The details of attempts as JSON, made before the database is asked.
pub(crate) fn details(attempts: &[Attempt]) -> Result<Vec<Option<String>>, Corrupt> {
    attempts.iter().map(|attempt| detail_text(&attempt.detail)).collect()
}

/// The detail of an attempt as JSON; `None` when there is nothing to say.
pub(crate) fn detail_text(detail: &AttemptDetail) -> Result<Option<String>, Corrupt> {
    if *detail == AttemptDetail::default() {
        return Ok(None);
    }
    serde_json::to_string(detail).map(Some).map_err(|error| Corrupt(error.to_string()))
}

/// The columns of an attempt, as they are read.
pub(crate) struct Columns {
    pub(crate) number: i64,
    pub(crate) started_at: i64,
    pub(crate) duration_us: i64,
    pub(crate) state: i64,
    pub(crate) status: Option<u16>,
    pub(crate) cause: Option<String>,
    pub(crate) detail: Option<String>,
}

/// The attempt that a row tells of.
pub(crate) fn logged(columns: Columns) -> Result<LoggedAttempt, Corrupt> {
    let detail = columns.detail.as_deref().map(serde_json::from_str).transpose();
    let detail = detail.map_err(|error| Corrupt(format!("the detail of an attempt: {error}")))?;
    Ok(LoggedAttempt {
        number: u32::try_from(columns.number).map_err(|_| Corrupt("a negative attempt".to_owned()))?,
        started_at: timestamp(columns.started_at)?,
        duration: Duration::from_micros(columns.duration_us.unsigned_abs()),
        state: state(columns.state)?,
        status: columns.status,
        cause: columns.cause.map(cause).transpose()?,
        detail: detail.unwrap_or_default(),
    })
}

/// The column value of how long an attempt took.
pub(crate) fn duration_us(attempt: &Attempt) -> i64 {
    i64::try_from(attempt.duration.as_micros()).unwrap_or(i64::MAX)
}

/// The state to write down with an attempt that its delivery no longer waited
/// for: it was called off meanwhile, and perhaps retried by hand since. `None`
/// when the attempt is written down already (a caller may repeat what it could
/// not see succeed). `written` is the row of this number, if there is one.
pub(crate) fn state_after_all(attempt: &Attempt, written: Option<(State, Option<String>)>) -> Option<State> {
    let called_off = |(state, cause): &(State, Option<String>)| {
        *state == State::Cancelled && *cause == cause_text(Cause::Cancelled)
    };
    if written.is_some_and(|row| !called_off(&row)) {
        return None;
    }
    Some(if attempt.outcome == Outcome::Delivered { State::Delivered } else { State::Cancelled })
}

/// A delivery that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) delivery: i64,
    pub(crate) event: i64,
    pub(crate) webhook: i64,
    pub(crate) due_at: i64,
    pub(crate) attempts: u32,
    pub(crate) tries: u32,
    pub(crate) chain: i64,
}

/// Where a delivery stands that waits. A retry by hand starts its schedule anew,
/// and makes it pending again.
pub(crate) const fn waiting_state(tries: u32) -> State {
    if tries == 0 { State::Pending } else { State::Waiting }
}

/// Why a waiting delivery ends without an attempt.
#[derive(Clone, Copy)]
pub(crate) enum Ending<'a> {
    /// It was called off, for this reason.
    CalledOff(&'a str),
    /// A newer update takes its place.
    Superseded,
}

/// Why a failed delivery was called off.
pub(crate) const DISCARDED: &str = "discarded by hand";

/// The row that a delivery leaves which ends without an attempt: where a
/// delivery stands is told by its last row.
pub(crate) fn unattempted(waiting: &Waiting, ending: Ending<'_>, now: Timestamp) -> Attempt {
    let (outcome, cause, why) = match ending {
        Ending::CalledOff(why) => (Outcome::Cancelled, Cause::Cancelled, why),
        Ending::Superseded => {
            (Outcome::Superseded, Cause::Superseded, "a newer update of the same subject took its place")
        }
    };
    Attempt {
        delivery: DeliveryKey(waiting.delivery),
        event: EventKey(waiting.event),
        webhook: WebhookKey(waiting.webhook),
        number: waiting.attempts + 1,
        tries: 0,
        started_at: now,
        duration: Duration::ZERO,
        outcome,
        status: None,
        cause: Some(cause),
        detail: AttemptDetail { message: why.to_owned(), ..AttemptDetail::default() },
    }
}

/// The column value of when an attempt is due again.
pub(crate) fn due_again(due_at: Timestamp) -> i64 {
    micros(due_at).min(super::BEHIND - 1)
}

#[cfg(test)]
mod tests {
    use callboard_domain::delivery::Timings;

    use super::*;

    #[test]
    fn a_detail_is_no_longer_than_what_it_says() {
        let timings = Timings { exchange_us: 650, ..Timings::default() };
        let plain =
            AttemptDetail { peer: Some("192.0.2.1:443".to_owned()), timings, ..AttemptDetail::default() };
        let answer_body = "late".to_owned();
        let full = AttemptDetail {
            message: "answered 500".to_owned(),
            timings: Timings { dns_us: 1, connect_us: 2, tls_us: 3, exchange_us: 4 },
            answer_headers: vec![("date".to_owned(), "now".to_owned())],
            answer_body,
            answer_cut: true,
            ..plain.clone()
        };
        let text = detail_text(&plain).expect("JSON").expect("a detail");
        assert_eq!(text, r#"{"peer":"192.0.2.1:443","timings":{"exchange_us":650}}"#);
        for detail in [plain, full] {
            let text = detail_text(&detail).expect("JSON").expect("a detail");
            assert_eq!(serde_json::from_str::<AttemptDetail>(&text).expect("a detail"), detail);
        }
    }
}
