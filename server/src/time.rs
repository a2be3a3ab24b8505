//! Keeps this process to the time of the database, which all processes that share
//! it go by: one whose machine is an hour off would else retry an hour late, or find
//! everything due at once.
//!
//! Between two comparisons time passes as on the machine's clock that can't be set.
//! So whoever sets the machine's time of day changes nothing, not even for a moment.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Clock;
use callboard_domain::store::{Result, Store};
use tokio_util::sync::CancellationToken;

/// How often the two are compared. They drift apart by less than a millisecond in
/// that time; what is more is a machine that was asleep, whose time is behind until
/// then.
const COMPARED: Duration = Duration::from_secs(3);

/// A difference that asking alone may explain is left as it is, in microseconds.
const LEFT: i64 = 2_000;

/// A difference worth telling the operator, in microseconds.
const TOLD: i64 = 1_000_000;

/// Compares the clock with the database, and corrects it.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn follow_once(store: &dyn Store, clock: &dyn Clock) -> Result<()> {
    let before = clock.now().as_microsecond();
    let Some(there) = store.database_time().await? else { return Ok(()) };
    let after = clock.now().as_microsecond();
    let ahead = there.as_microsecond() - (before + (after - before) / 2);
    // What lies within the time of asking is no difference.
    let differs = ahead.abs() > LEFT.max((after - before) / 2);
    // Also where there is nothing to correct: from then on it keeps to its own.
    let corrected = clock.correct(if differs { ahead } else { 0 });
    if corrected && differs && ahead.abs() > TOLD {
        tracing::warn!(
            seconds = ahead / 1_000_000,
            "the time of this process differed from the database's, which is gone by"
        );
    }
    Ok(())
}

/// Compares every so often until `stop` is cancelled.
pub(crate) async fn follow(store: Arc<dyn Store>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(COMPARED) => {}
        }
        if let Err(error) = follow_once(&*store, &*clock).await {
            tracing::debug!(%error, "the clock can't be compared with the database's");
        }
    }
}
