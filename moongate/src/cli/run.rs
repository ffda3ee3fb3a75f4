//! `moongate run`: the gateway, until SIGTERM or Ctrl-C.

use moongate_config::schema::LogFormat;
use moongate_core::{Code, Problem};

use super::output::talk;
use super::{Context, Ending, Failure};
use crate::wire_up;

/// Runs the gateway.
pub(crate) fn run(context: &Context) -> Result<Ending, Failure> {
    let loaded = moongate_config::load(&context.config, &wire_up::rules::check)?;
    let log = &loaded.config.log;
    let json = log.format == LogFormat::Json;
    let level = moongate_telemetry::log::init(&log.level, json)?;
    let runtime = runtime()?;
    runtime.block_on(async move {
        let running = wire_up::start(&loaded, level).await?;
        if !json {
            welcome(&running)?;
        }
        let work = tokio::spawn(running.clone().run(loaded));
        terminated().await;
        let left = running.stop(running.drain_limit()).await;
        if left > 0 {
            tracing::warn!(connections = left, "connections were closed before they had ended");
        }
        let _ = work.await;
        Ok(Ending::Yes)
    })
}

/// Says how the operator gets into the console, where there is one. What programs collect as JSON is no place for it.
fn welcome(running: &wire_up::Running) -> Result<(), Problem> {
    if let Some(link) = running.surface.console_link()? {
        talk(&format!("the console, once and within ten minutes: {link}"));
    }
    Ok(())
}

/// The runtime for all that belongs to no connection; connections have a runtime for each core
/// (`moongate_transport::cores`, `docs/decisions/0007-a-runtime-for-each-core.md`).
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .thread_name("moongate")
        .build()
        .map_err(|error| Problem::new(Code::Internal, format!("the runtime cannot start: {error}")))
}

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn terminated() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
