//! `callboard serve`: runs the server until it is told to stop.

use tokio_util::sync::CancellationToken;

use super::{Outcome, ServerArguments, block_on, clock, note};
use crate::supervisor::Supervisor;
use crate::{app, file_handles, scheduling, shutdown, telemetry};

pub(super) fn run(arguments: &ServerArguments) -> Outcome {
    let loaded = arguments.load()?;
    let settings = &loaded.settings;
    telemetry::start(&settings.log)?;
    file_handles::raise();
    // Before any other thread is started.
    scheduling::batch();
    let supervisor =
        Supervisor::find(|name| std::env::var_os(name), std::process::id()).unwrap_or_else(|error| {
            tracing::warn!(%error, "the service manager can't be told how the server is");
            Supervisor::default()
        });
    block_on(async {
        let stop = CancellationToken::new();
        shutdown::listen(stop.clone())?;
        let app = app::build_loaded(&loaded, clock()).await?;
        let address = app.address()?;
        if let Some(token) = &app.new_admin_token {
            note(&format!(
                "This is the operator's token. It is shown this once; keep it:\n\n    {token}\n\n\
                 (Set CALLBOARD_ADMIN_TOKEN to choose your own.)\n"
            ));
            let link = app.sign_in_link().await?;
            note(&format!(
                "This link signs you in to the dashboard, once, within an hour:\n\n    {link}\n\n\
                 (`callboard sign-in-link` makes another.)\n"
            ));
        }
        tracing::info!(%address, database = %settings.database, version = env!("CARGO_PKG_VERSION"), "listening");
        let status = format!("Listening on {address}");
        supervisor.ready(&status);
        let store = app.store();
        let check = async move || store.check().await;
        let followed = tokio::spawn(supervisor.follow(status, check, stop.clone()));
        let ran = app.run(stop).await;
        followed.abort();
        ran?;
        tracing::info!("stopped");
        Ok(())
    })
}
