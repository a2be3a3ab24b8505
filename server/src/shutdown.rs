//! When to stop: on SIGINT or SIGTERM, gently; on a second one, at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Linux's number of the signal for a file that outgrew its limit.
const SIGXFSZ: i32 = 25;

/// Cancels `stop` on the first signal, and ends the process on the second.
///
/// # Errors
/// When the signals can't be listened to.
pub fn listen(stop: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Without a handler this one would kill the process when the database
    // meets a file-size limit; with one, the write fails and is answered.
    let file_size = signal(SignalKind::from_raw(SIGXFSZ))?;
    tokio::spawn(async move {
        let _kept = file_size;
        either(&mut interrupt, &mut terminate).await;
        tracing::info!("stopping; a second signal ends the process at once");
        stop.cancel();
        either(&mut interrupt, &mut terminate).await;
        tracing::warn!("ended at once; what was under way is due again at the next start");
        std::process::exit(1);
    });
    Ok(())
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
