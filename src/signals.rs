//! Stops the process on a signal: the first signal asks politely, the second one ends it.

use lucida_core::{Error, Result};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The exit code of a process that a signal ended, as shells have it for SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// Cancels `shutdown` at the first SIGINT or SIGTERM; the second one ends the process at once.
///
/// # Errors
/// `Internal` when the system takes no handler.
pub(crate) fn stop_on_signals(shutdown: &CancellationToken) -> Result<()> {
    let mut signals = Signals::new().map_err(|error| Error::from(error).context("handling signals"))?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let name = signals.next().await;
        info!(signal = name, "stopping: finishing what was accepted");
        shutdown.cancel();
        signals.next().await;
        eprintln!("stopped at once");
        std::process::exit(i32::from(INTERRUPTED));
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "ctrl-c"
    }
}
