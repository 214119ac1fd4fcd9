//! Listens, and stops without breaking off what it has begun.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lucida_core::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::options::STALL_TIMEOUT;
use super::state::HttpState;

/// How long accepting pauses when the system has no more file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the state's shutdown token is cancelled, then finishes what was begun, as long as the options allow.
///
/// # Errors
/// Those of [`super::router`]; accepting goes on after failures.
pub async fn serve(listener: TcpListener, state: HttpState) -> Result<()> {
    let stop = state.shutdown().clone();
    let router = super::router(state.clone())?;
    answer(listener, router, &state, &stop).await;
    Ok(())
}

/// Serves only health, readiness and metrics until `stop` is cancelled, which is later than the state's shutdown token:
/// a process that still finishes its work tells that it is stopping.
pub async fn serve_probes(listener: TcpListener, state: HttpState, stop: CancellationToken) {
    answer(listener, super::probes(state.clone()), &state, &stop).await;
}

async fn answer(listener: TcpListener, router: Router, state: &HttpState, stop: &CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(converse(stream, router.clone(), stop.clone()));
            }
            Err(error) if is_one_connections(&error) => debug!(%error, "a connection ended before it began"),
            Err(error) => {
                warn!(%error, "accepting a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    info!(connections = connections.len(), "finishing what was begun");
    connections.close();
    state.tasks().close();
    let finish = async {
        connections.wait().await;
        state.tasks().wait().await;
    };
    if tokio::time::timeout(state.options().shutdown_timeout, finish)
        .await
        .is_err()
    {
        let (open, tasks) = (connections.len(), state.tasks().len());
        warn!(open, tasks, "breaking off what is not finished in time");
    }
}

async fn converse(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Answers are small and whole: waiting for more of them only delays.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "setting TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(STALL_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection broke");
    }
}

fn is_one_connections(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}
