//! Listens, and stops without breaking off what it has begun.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lucida_core::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::options::STALL_TIMEOUT;
use super::state::HttpState;
use super::tls::Tls;

/// How long accepting pauses when the system has no more file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The answer to a client that speaks HTTP without TLS to a port with it.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 49\r\n\r\n\
    This server speaks HTTPS: begin the URL with it.\n";

/// Serves until the state's shutdown token is cancelled, then finishes what was begun, as long as the options allow.
///
/// # Errors
/// Those of [`super::router`]; accepting goes on after failures.
pub async fn serve(listener: TcpListener, state: HttpState) -> Result<()> {
    serve_with(listener, state, None).await
}

/// Serves over TLS, as [`serve`] does without, and takes a new certificate whenever its files change.
///
/// # Errors
/// Those of [`serve`].
pub async fn serve_tls(listener: TcpListener, state: HttpState, tls: Tls) -> Result<()> {
    serve_with(listener, state, Some(Arc::new(tls))).await
}

async fn serve_with(listener: TcpListener, state: HttpState, tls: Option<Arc<Tls>>) -> Result<()> {
    let stop = state.shutdown().clone();
    let router = super::router(state.clone())?;
    if let Some(tls) = &tls {
        tokio::spawn(Arc::clone(tls).follow(stop.clone()));
    }
    answer((listener, tls.as_deref()), router, &state, &stop).await;
    Ok(())
}

/// Serves only health, readiness and metrics until `stop` is cancelled, which is later than the state's shutdown token:
/// a process that still finishes its work reports that it is stopping.
pub async fn serve_probes(listener: TcpListener, state: HttpState, stop: CancellationToken) {
    answer((listener, None), super::probes(state.clone()), &state, &stop).await;
}

async fn answer(
    (listener, tls): (TcpListener, Option<&Tls>),
    router: Router,
    state: &HttpState,
    stop: &CancellationToken,
) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let acceptor = tls.map(Tls::acceptor);
                connections.spawn(welcome(stream, acceptor, router.clone(), stop.clone()));
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

/// Answers what comes over a connection, which begins with TLS if there is an acceptor.
async fn welcome(stream: TcpStream, acceptor: Option<TlsAcceptor>, router: Router, stop: CancellationToken) {
    // Answers are small and whole: waiting for more of them only delays.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "setting TCP_NODELAY");
    }
    let Some(acceptor) = acceptor else {
        return converse(stream, router, stop).await;
    };
    // Nothing has begun before the handshake is done, so a stop ends it.
    let encrypted = tokio::select! {
        biased;
        () = stop.cancelled() => return,
        begun = tokio::time::timeout(STALL_TIMEOUT, begin_tls(stream, &acceptor)) => begun,
    };
    match encrypted {
        Ok(Ok(Some(stream))) => converse(stream, router, stop).await,
        Ok(Ok(None)) => debug!("a client spoke HTTP without TLS"),
        Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
        Err(_) => debug!("a TLS handshake took too long"),
    }
}

/// Begins TLS; `None` where the client speaks HTTP without it, and has been answered.
async fn begin_tls(
    mut stream: TcpStream,
    acceptor: &TlsAcceptor,
) -> std::io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
    // TLS begins with a record's number, 22; HTTP with a letter.
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
        // Its request is read, so that closing doesn't reset the connection under the answer.
        if stream.read(&mut [0; 8192]).await? > 0 {
            stream.write_all(NOT_TLS).await?;
        }
        stream.shutdown().await?;
        return Ok(None);
    }
    acceptor.accept(stream).await.map(Some)
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    router: Router,
    stop: CancellationToken,
) {
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
