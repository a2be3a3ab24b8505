//! What goes on behind: retention, orphans, ended sessions, jobs, idle lanes and connections.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Timestamp;
use callboard_domain::store::Result;

use crate::jobs::{self, Standing};
use crate::{Engine, change, signals};

/// Most deliveries that one step cancels, so that no publisher waits long for
/// the writer.
const ORPHANS: usize = 250;

/// Most events that one step deletes. Each may have many deliveries, whose rows
/// go with it.
const PRUNED: usize = 40;

/// Most entries of the audit log, sessions and portal links that one step deletes.
const FORGOTTEN: usize = 500;

/// How long a portal link is still listed that has ended.
const ENDED_LINKS: Duration = Duration::from_hours(30 * 24);

/// How long the janitor rests when there is nothing to do.
const REST: Duration = Duration::from_secs(10);

/// Shortest pause between two steps.
const BREATH: Duration = Duration::from_millis(2);

/// How many times as long as a step the pause behind it is, so that clearing
/// away never takes more than a share of the writer. A step that had to wait
/// for its turn makes the pause longer: others have much to do.
const PAUSES: u32 = 3;

/// How long a lane stays after its last delivery.
const LANE_IDLE: Duration = Duration::from_mins(5);

/// Does one unit of each kind of work, and tells when there is more to do.
///
/// # Errors
/// When the store can't do it.
pub(crate) async fn step(engine: &Arc<Engine>) -> Result<Standing> {
    let now = engine.clock.now();
    let elapsed = engine.clock.elapsed();
    engine.lanes.forget_idle(elapsed, LANE_IDLE);
    engine.client.reap(elapsed);
    change::catch_up(engine).await;
    signals::reread(engine).await?;
    give_back(engine).await?;
    // A job that can't be moved on must not keep retention from its work.
    let jobs = jobs::step(engine).await;
    let mut more = engine.store.cancel_orphans(ORPHANS, now).await?.more;
    more |= engine.store.prune(now, engine.options.retention_seconds, PRUNED).await?.more;
    let audit_kept = Duration::from_secs(engine.options.audit_retention_seconds.into());
    more |= engine.store.prune_audit(before(now, audit_kept), FORGOTTEN).await?.more;
    more |= engine.store.prune_portal(now, before(now, ENDED_LINKS), FORGOTTEN).await?.more;
    let jobs = jobs?;
    Ok(Standing { more: more || jobs.more, ..jobs })
}

/// The time that is so long ago.
fn before(now: Timestamp, long: Duration) -> Timestamp {
    now.checked_sub(long).unwrap_or(Timestamp::MIN)
}

/// Releases deliveries whose attempt ended without an outcome.
async fn give_back(engine: &Arc<Engine>) -> Result<()> {
    let lost = std::mem::take(&mut *engine.lost.lock());
    if lost.is_empty() {
        return Ok(());
    }
    let now = engine.clock.now();
    let deliveries = lost.iter().map(|(delivery, _)| *delivery).collect();
    if let Err(error) = engine.store.release(deliveries, now).await {
        engine.lost.lock().extend(lost);
        return Err(error);
    }
    for (_, webhook) in lost {
        engine.note_stored(webhook, now);
    }
    Ok(())
}

/// Steps until the engine stops, and only waits in between.
pub(crate) async fn run(engine: Arc<Engine>) {
    while !engine.stopping.is_cancelled() {
        let changed = engine.jobs_changed.notified();
        let began = engine.clock.elapsed();
        let rest = match step(&engine).await {
            Ok(Standing { more: true, .. }) => {
                let took = engine.clock.elapsed().saturating_sub(began);
                (took * PAUSES).clamp(BREATH, REST)
            }
            Ok(Standing { resumes_at: Some(at), .. }) => {
                let wait = Duration::try_from(at.duration_since(engine.clock.now())).unwrap_or_default();
                wait.clamp(BREATH, REST)
            }
            Ok(_) => REST,
            Err(error) => {
                tracing::warn!(%error, "upkeep can't be done now");
                REST
            }
        };
        // In this order, because chance comes from outside.
        tokio::select! {
            biased;
            () = changed => {}
            () = tokio::time::sleep(rest) => {}
            () = engine.stopping.cancelled() => {}
        }
    }
}
