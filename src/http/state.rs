//! What every handler may use.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use lucida_core::{Error, Result, metrics};
use lucida_library::{NamedModels, Photos};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::options::HttpOptions;
use crate::keys::{ApiKey, Keys};

/// What the HTTP surface is made of.
pub struct HttpParts {
    /// The service.
    pub photos: Photos,
    /// The models that requests choose by name.
    pub models: NamedModels,
    /// How the surface behaves.
    pub options: HttpOptions,
    /// Who may call; without any key everybody who reaches the server is the user `local`.
    pub keys: Vec<ApiKey>,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// Cancelled when the server is to stop.
    pub shutdown: CancellationToken,
}

/// The state of the HTTP surface; cheap to clone.
#[derive(Clone)]
pub struct HttpState {
    inner: Arc<Inner>,
}

struct Inner {
    photos: Photos,
    models: NamedModels,
    options: HttpOptions,
    keys: Keys,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
    permits: Arc<Semaphore>,
    in_flight: AtomicI64,
    tasks: TaskTracker,
}

impl HttpState {
    /// Puts the state together; starts nothing.
    #[must_use]
    pub fn new(parts: HttpParts) -> Self {
        let permits = Arc::new(Semaphore::new(
            parts
                .options
                .max_concurrent_requests
                .clamp(1, Semaphore::MAX_PERMITS),
        ));
        Self {
            inner: Arc::new(Inner {
                photos: parts.photos,
                models: parts.models,
                options: parts.options,
                keys: Keys::new(parts.keys),
                metrics: parts.metrics,
                shutdown: parts.shutdown,
                permits,
                in_flight: AtomicI64::new(0),
                tasks: TaskTracker::new(),
            }),
        }
    }

    pub(super) fn photos(&self) -> &Photos {
        &self.inner.photos
    }

    pub(super) fn models(&self) -> &NamedModels {
        &self.inner.models
    }

    pub(super) fn options(&self) -> &HttpOptions {
        &self.inner.options
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    pub(super) fn metrics(&self) -> &PrometheusHandle {
        &self.inner.metrics
    }

    pub(super) fn shutdown(&self) -> &CancellationToken {
        &self.inner.shutdown
    }

    pub(super) fn permits(&self) -> &Arc<Semaphore> {
        &self.inner.permits
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    /// Does work that a client who hangs up must not cut in two, and that a stopping server waits for.
    pub(super) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.inner
            .tasks
            .spawn(work.in_current_span())
            .await
            .map_err(|error| Error::internal("a request's work failed").with_source(error))?
    }

    /// Counts a request in; dropping what comes back counts it out.
    pub(super) fn count_in(&self) -> InFlight {
        self.change_in_flight(1);
        InFlight(self.clone())
    }

    fn change_in_flight(&self, by: i64) {
        let now = self.inner.in_flight.fetch_add(by, Ordering::Relaxed) + by;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        metrics::HTTP_REQUESTS_IN_FLIGHT.set(now as f64, &[]);
    }
}

/// A request that is being answered.
pub(super) struct InFlight(HttpState);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.change_in_flight(-1);
    }
}
