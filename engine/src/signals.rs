//! Obeys what other processes did to the database.
//!
//! A signal only saves time: what is due is looked for every half minute in any
//! case, and after signals may have been missed everything is read again.

use std::sync::Arc;

use callboard_domain::id::DeliveryKey;
use callboard_domain::store::{Result, Signal};

use crate::{Engine, dispatcher};

/// Obeys one signal after the other until the engine stops.
pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        // In this order, because chance comes from outside.
        let signals = tokio::select! {
            biased;
            () = engine.stopping.cancelled() => return,
            signals = engine.store.next_signals() => signals,
        };
        for signal in signals {
            if let Err(error) = obey(&engine, signal).await {
                tracing::warn!(%error, ?signal, "what another process did can't be obeyed yet");
            }
        }
    }
}

/// Obeys one signal.
///
/// # Errors
/// When the store can't be read. What is due is found later by itself; of
/// webhooks, upkeep reads those again that are noted as not obeyed.
pub(crate) async fn obey(engine: &Arc<Engine>, signal: Signal) -> Result<()> {
    match signal {
        Signal::WebhookChanged { tenant, webhook } => {
            engine.obey(tenant, webhook).await;
            Ok(())
        }
        Signal::WorkDue => look(engine).await,
        Signal::EventsRecorded { tenant } => {
            engine.tails.recorded(tenant);
            Ok(())
        }
        Signal::LeaseLost => give_up_claims(engine).await,
        Signal::MissedSome => {
            engine.tails.recorded_somewhere();
            engine.tenants_unread.lock().extend(engine.registry.loaded_tenants());
            reread(engine).await?;
            look(engine).await
        }
    }
}

async fn look(engine: &Arc<Engine>) -> Result<()> {
    dispatcher::look(engine).await
}

/// Empties the lanes: what they hold was claimed under a lease that has passed, and
/// is somebody else's now, or was claimed anew and is given back.
async fn give_up_claims(engine: &Arc<Engine>) -> Result<()> {
    let lease = engine.store.lease();
    let held: Vec<DeliveryKey> = engine.lanes.all().iter().flat_map(|lane| lane.empty()).collect();
    engine.obey_lease(lease);
    let now = engine.clock.now();
    engine.store.release(held, now).await?;
    look(engine).await
}

/// Reads the webhooks of tenants again of which a change may have been missed.
///
/// # Errors
/// When they can't be read; the rest is tried again by upkeep.
pub(crate) async fn reread(engine: &Arc<Engine>) -> Result<()> {
    loop {
        let Some(tenant) = engine.tenants_unread.lock().pop_first() else { return Ok(()) };
        match engine.registry.differing(tenant).await {
            Ok(webhooks) => {
                for webhook in webhooks {
                    engine.obey(tenant, webhook).await;
                }
            }
            Err(error) => {
                engine.tenants_unread.lock().insert(tenant);
                return Err(error);
            }
        }
    }
}
