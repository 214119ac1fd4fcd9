//! Timeouts, retries, a breaker, spans and metrics, put around any backend; backends themselves contain none.
//!
//! One decorator per trait, all on one `Guard`. Only calls that may run twice are retried, which is every call
//! but a blob's `put` (its stream is spent) and a queue's `receive`.

mod breaker;
mod index;
mod metadata;
mod outbox;
mod queue;
mod storage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{Instrument, debug, info_span};

pub use breaker::BreakerOptions;
use breaker::{Breaker, Pass};

use lucida_core::{
    Backoff, Error, ErrorKind, JobQueue, MetadataStore, Result, Storage, VectorIndex, metrics::Histogram,
};

/// How long a ping may take at most: a readiness check waits for 3 s, and a ping that its caller has dropped gives the
/// breaker no result.
const PING_TIMEOUT: Duration = Duration::from_millis(2_500);

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
    /// When it is not tried at all.
    pub breaker: BreakerOptions,
}

/// Runs calls of one part under a timeout, with retries, a breaker, a span and a metric.
#[derive(Clone)]
struct Guard {
    part: &'static str,
    backend: &'static str,
    histogram: &'static Histogram,
    options: GuardOptions,
    breaker: Arc<Breaker>,
}

impl Guard {
    fn new(
        part: &'static str,
        backend: &'static str,
        histogram: &'static Histogram,
        options: GuardOptions,
    ) -> Self {
        Self {
            part,
            backend,
            histogram,
            options,
            breaker: Breaker::new(part, backend, options.breaker),
        }
    }

    /// Runs a call that may run twice.
    async fn call<T, F>(&self, operation: &'static str, run: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let span = info_span!("part.call", part = self.part, backend = self.backend, operation);
        async {
            let mut pass = self.breaker.admit()?;
            let mut tried = 0;
            loop {
                let result = self.timed(operation, self.options.timeout, pass, run()).await;
                tried += 1;
                let error = match result {
                    Err(error)
                        if error.is_transient() && tried < self.options.tries && !self.breaker.is_open() =>
                    {
                        error
                    }
                    settled => return settled,
                };
                let delay = self.options.backoff.delay(tried);
                debug!(%error, tried, delay_secs = delay.as_secs_f64(), "trying a call again");
                tokio::time::sleep(delay).await;
                pass = match self.breaker.admit() {
                    Ok(pass) => pass,
                    // Why it failed says more than that it is not asked any more.
                    Err(_) => return Err(error),
                };
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
        let pass = self.breaker.admit()?;
        self.timed(operation, timeout, pass, run).await
    }

    /// Asks the part how it is, which the breaker never refuses.
    async fn ping(&self, run: impl Future<Output = Result<()>>) -> Result<()> {
        let timeout = self.options.timeout.min(PING_TIMEOUT);
        self.timed("ping", timeout, self.breaker.probe(), run).await
    }

    async fn timed<T>(
        &self,
        operation: &'static str,
        timeout: Duration,
        pass: Pass,
        run: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let started = Instant::now();
        let result = match tokio::time::timeout(timeout, run).await {
            Ok(result) => result,
            Err(_) => Err(self.no_answer(operation, timeout)),
        };
        pass.ended(&result);
        let outcome = result
            .as_ref()
            .map_or_else(|error| error.kind().as_str(), |_| "ok");
        self.histogram
            .record(started.elapsed(), &[self.backend, operation, outcome]);
        result.map_err(|error| self.of_part(error))
    }

    fn no_answer(&self, operation: &str, timeout: Duration) -> Error {
        let (part, seconds) = (self.part, timeout.as_secs_f32());
        let message = format!("the {part} gave no answer to `{operation}` within {seconds} s");
        Error::new(ErrorKind::Timeout, message)
    }

    /// Names the part in an error that is the part's.
    fn of_part(&self, error: Error) -> Error {
        match error.kind() {
            // These say what the caller asked for, not how the part is.
            ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidInput
            | ErrorKind::Conflict => error,
            // To a user the component is unavailable: 403 would mean that the user lacks permission.
            ErrorKind::PermissionDenied => error
                .with_kind(ErrorKind::Unavailable)
                .context(format!("{} ({})", self.part, self.backend)),
            ErrorKind::Unsupported
            | ErrorKind::ConfigInvalid
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Unavailable
            | ErrorKind::Internal => error.context(format!("{} ({})", self.part, self.backend)),
        }
    }
}

/// A part behind its guard.
struct Guarded<P: ?Sized> {
    guard: Guard,
    inner: Arc<P>,
}

macro_rules! decorator {
    ($function:ident, $trait:ident, $part:literal, $histogram:ident) => {
        #[doc = concat!("Puts timeouts, retries, a breaker, spans and metrics around the ", $part, ".")]
        #[must_use]
        pub fn $function(
            inner: Arc<dyn $trait>,
            backend: &'static str,
            options: GuardOptions,
        ) -> Arc<dyn $trait> {
            Arc::new(Guarded {
                guard: Guard::new($part, backend, &lucida_core::metrics::$histogram, options),
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
