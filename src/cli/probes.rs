//! A worker's health, readiness and metrics, on an address of their own.

use std::net::SocketAddr;
use std::time::Duration;

use lucida_core::{Result, metrics};
use lucida_library::{NamedModels, Photos};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::listen::bind;
use crate::config::Config;
use crate::http::{self, HttpOptions, HttpParts, HttpState};
use crate::telemetry;

/// How long a worker that has nothing more to do waits for requests that it is still answering.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// An address that is taken, and metrics that are recorded.
pub(super) struct Probes {
    listener: TcpListener,
    address: SocketAddr,
    metrics: PrometheusHandle,
}

impl Probes {
    /// Listens on the address, if one is configured.
    pub(super) async fn open(config: &Config) -> Result<Option<Self>> {
        let Some(configured) = &config.worker.listen else {
            return Ok(None);
        };
        let (listener, address) = bind(configured, "worker.listen").await?;
        Ok(Some(Self {
            listener,
            address,
            metrics: telemetry::start_metrics()?,
        }))
    }

    /// Answers from now on; not ready any more once `shutdown` is cancelled, but until [`Answering::stop`].
    pub(super) fn answer(self, photos: &Photos, config: &Config, shutdown: &CancellationToken) -> Answering {
        let model = &photos.embedder().describe().model;
        metrics::BUILD_INFO.set(1.0, &[env!("CARGO_PKG_VERSION"), model]);
        let state = HttpState::new(HttpParts {
            photos: photos.clone(),
            models: NamedModels::new(photos.clone(), []),
            options: HttpOptions {
                shutdown_timeout: LAST_ANSWERS,
                ..config.http_options()
            },
            // Nothing here belongs to a user.
            keys: Vec::new(),
            metrics: self.metrics,
            shutdown: shutdown.clone(),
        });
        info!(address = %self.address, "health and metrics on http://{}", self.address);
        let stop = CancellationToken::new();
        Answering {
            task: tokio::spawn(http::serve_probes(self.listener, state, stop.clone())),
            stop,
        }
    }
}

/// The task that answers.
pub(super) struct Answering {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Answering {
    /// Ends it.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            warn!(%error, "answering probes");
        }
    }
}
