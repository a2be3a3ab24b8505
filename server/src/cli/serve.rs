//! `callboard serve`: runs the server until it is told to stop.

use tokio_util::sync::CancellationToken;

use super::{Outcome, ServerArguments, block_on, clock, note};
use crate::{app, file_handles, shutdown, telemetry};

pub(super) fn run(arguments: &ServerArguments) -> Outcome {
    let settings = arguments.load()?.settings;
    telemetry::start(&settings.log)?;
    file_handles::raise();
    block_on(async {
        let stop = CancellationToken::new();
        shutdown::listen(stop.clone())?;
        let app = app::build(&settings, clock()).await?;
        let address = app.address()?;
        if let Some(token) = &app.new_admin_token {
            note(&format!(
                "This is the operator's token. It is shown this once; keep it:\n\n    {token}\n\n\
                 (Set CALLBOARD_ADMIN_TOKEN to choose your own.)\n"
            ));
        }
        tracing::info!(%address, database = %settings.database, version = env!("CARGO_PKG_VERSION"), "listening");
        app.run(stop).await?;
        tracing::info!("stopped");
        Ok(())
    })
}
