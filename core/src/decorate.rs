//! Timeouts, retries, spans and metrics, put around any backend; backends themselves contain none.
//!
//! One decorator per trait, all on one `Guard`. Only calls that may run twice are retried, which is every call
//! but a blob's `put` (its stream is spent) and a queue's `receive`.

mod index;
mod metadata;
mod queue;
mod storage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{Instrument, debug, info_span};

use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Result};
use crate::index::VectorIndex;
use crate::metadata::MetadataStore;
use crate::metrics::Histogram;
use crate::queue::JobQueue;
use crate::storage::Storage;

/// How calls of one part are guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardOptions {
    /// How long one try may take.
    pub timeout: Duration,
    /// How long writing one blob may take, since that depends on its size.
    pub put_timeout: Duration,
    /// How often a call that failed for a passing reason is tried in all, at least 1.
    pub tries: u32,
    /// The waits between tries.
    pub backoff: Backoff,
}

/// Runs calls of one part under a timeout, with retries, a span and a metric.
struct Guard {
    part: &'static str,
    backend: &'static str,
    histogram: &'static Histogram,
    options: GuardOptions,
}

impl Guard {
    /// Runs a call that may run twice.
    async fn call<T, F>(&self, operation: &'static str, run: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let span = info_span!("part.call", part = self.part, backend = self.backend, operation);
        async {
            let mut tried = 0;
            loop {
                let result = self.once(operation, self.options.timeout, run()).await;
                tried += 1;
                match result {
                    Err(error) if error.is_transient() && tried < self.options.tries => {
                        let delay = self.options.backoff.delay(tried);
                        debug!(%error, tried, delay_secs = delay.as_secs_f64(), "trying a call again");
                        tokio::time::sleep(delay).await;
                    }
                    settled => return settled,
                }
            }
        }
        .instrument(span)
        .await
    }

    /// Runs a call once.
    async fn once<T>(
        &self,
        operation: &'static str,
        timeout: Duration,
        run: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let started = Instant::now();
        let result = match tokio::time::timeout(timeout, run).await {
            Ok(result) => result,
            Err(_) => {
                let (part, seconds) = (self.part, timeout.as_secs_f32());
                let message = format!("the {part} gave no answer to `{operation}` within {seconds} s");
                Err(Error::new(ErrorKind::Timeout, message))
            }
        };
        let outcome = result
            .as_ref()
            .map_or_else(|error| error.kind().as_str(), |_| "ok");
        self.histogram
            .record(started.elapsed(), &[self.backend, operation, outcome]);
        result.map_err(|error| match error.kind() {
            // These say what the caller asked for, not how the part is.
            ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidInput
            | ErrorKind::Conflict => error,
            // To a user it is a part that is away: 403 would say that the user's own rights are wanting.
            ErrorKind::PermissionDenied => error
                .with_kind(ErrorKind::Unavailable)
                .context(format!("{} ({})", self.part, self.backend)),
            ErrorKind::Unsupported
            | ErrorKind::ConfigInvalid
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Unavailable
            | ErrorKind::Internal => error.context(format!("{} ({})", self.part, self.backend)),
        })
    }
}

/// A part behind its guard.
struct Guarded<P: ?Sized> {
    guard: Guard,
    inner: Arc<P>,
}

macro_rules! decorator {
    ($function:ident, $trait:ident, $part:literal, $histogram:ident) => {
        #[doc = concat!("Puts timeouts, retries, spans and metrics around the ", $part, ".")]
        #[must_use]
        pub fn $function(
            inner: Arc<dyn $trait>,
            backend: &'static str,
            options: GuardOptions,
        ) -> Arc<dyn $trait> {
            let histogram = &crate::metrics::$histogram;
            Arc::new(Guarded {
                guard: Guard {
                    part: $part,
                    backend,
                    histogram,
                    options,
                },
                inner,
            })
        }
    };
}

decorator!(guard_storage, Storage, "storage", STORAGE_OPERATION_DURATION);
decorator!(
    guard_metadata,
    MetadataStore,
    "metadata",
    METADATA_OPERATION_DURATION
);
decorator!(guard_index, VectorIndex, "index", INDEX_OPERATION_DURATION);
decorator!(guard_queue, JobQueue, "queue", QUEUE_OPERATION_DURATION);
