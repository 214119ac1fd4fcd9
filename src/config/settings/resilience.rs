//! `[resilience]`: timeouts, retries and circuit breakers of the stores.

use std::time::Duration;

use lucida_core::{Backoff, Error, Result, Settings};
use lucida_library::decorate::{BreakerOptions, GuardOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Timeouts, retries and circuit breakers for calls of the stores.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResilienceSettings {
    /// How long writing one photo to the blob store may take, in milliseconds. It is attempted once, since an upload is a
    /// stream.
    #[schemars(example = 300_000)]
    pub put_timeout_ms: u64,
    /// The other calls of the blob store.
    pub storage: CallSettings,
    /// Calls of the metadata store.
    pub metadata: CallSettings,
    /// Calls of the vector index.
    pub index: CallSettings,
    /// Calls of the job queue.
    pub queue: CallSettings,
}

/// Timeout, retries and circuit breaker of one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallSettings {
    /// How long one attempt may take, in milliseconds.
    #[schemars(example = 10_000)]
    pub timeout_ms: u64,
    /// How many attempts a call gets in all; 1 never retries. Only what can succeed later is retried.
    #[schemars(example = 3)]
    pub tries: u32,
    /// The delay before the second attempt, in milliseconds; doubles with each attempt, with jitter.
    #[schemars(example = 50)]
    pub backoff_min_ms: u64,
    /// The longest delay between two attempts, in milliseconds.
    #[schemars(example = 2_000)]
    pub backoff_max_ms: u64,
    /// How many failures in a row open the circuit breaker, so that an unavailable store costs no time; 0 disables it. An
    /// invalid request or a full disk doesn't count.
    #[schemars(example = 5)]
    pub breaker_failures: u32,
    /// How long the breaker stays open, in milliseconds, before one call is tried. A `/readyz` that succeeds closes it at
    /// once.
    #[schemars(example = 5_000)]
    pub breaker_open_ms: u64,
}

impl Default for ResilienceSettings {
    fn default() -> Self {
        let small = CallSettings {
            timeout_ms: 10_000,
            tries: 3,
            backoff_min_ms: 20,
            backoff_max_ms: 1_000,
            breaker_failures: 5,
            breaker_open_ms: 5_000,
        };
        Self {
            put_timeout_ms: 300_000,
            storage: CallSettings {
                timeout_ms: 30_000,
                backoff_min_ms: 50,
                backoff_max_ms: 2_000,
                ..small
            },
            metadata: small,
            index: small,
            queue: small,
        }
    }
}

impl ResilienceSettings {
    /// Returns how the blob store's calls are guarded.
    #[must_use]
    pub fn storage(&self) -> GuardOptions {
        GuardOptions {
            put_timeout: Duration::from_millis(self.put_timeout_ms),
            ..self.storage.options()
        }
    }

    /// Returns how the metadata store's calls are guarded.
    #[must_use]
    pub fn metadata(&self) -> GuardOptions {
        self.metadata.options()
    }

    /// Returns how the vector index's calls are guarded.
    #[must_use]
    pub fn index(&self) -> GuardOptions {
        self.index.options()
    }

    /// Returns how the job queue's calls are guarded.
    #[must_use]
    pub fn queue(&self) -> GuardOptions {
        self.queue.options()
    }
}

impl CallSettings {
    fn options(&self) -> GuardOptions {
        let timeout = Duration::from_millis(self.timeout_ms);
        GuardOptions {
            timeout,
            put_timeout: timeout,
            tries: self.tries,
            backoff: Backoff {
                min: Duration::from_millis(self.backoff_min_ms),
                max: Duration::from_millis(self.backoff_max_ms),
            },
            breaker: BreakerOptions {
                failures: self.breaker_failures,
                open: Duration::from_millis(self.breaker_open_ms),
            },
        }
    }

    fn validate(&self, part: &str) -> Result<()> {
        super::at_least_one(&format!("{part}.timeout_ms"), self.timeout_ms)?;
        super::at_least_one(&format!("{part}.tries"), u64::from(self.tries))?;
        if self.backoff_max_ms < self.backoff_min_ms {
            return Err(Error::config(
                format!("{part}.backoff_max_ms"),
                format!(
                    "must be at least backoff_min_ms, which is {}",
                    self.backoff_min_ms
                ),
            ));
        }
        super::at_least_one(&format!("{part}.breaker_open_ms"), self.breaker_open_ms)
    }
}

impl Settings for ResilienceSettings {
    fn validate(&self) -> Result<()> {
        super::at_least_one("put_timeout_ms", self.put_timeout_ms)?;
        self.storage.validate("storage")?;
        self.metadata.validate("metadata")?;
        self.index.validate("index")?;
        self.queue.validate("queue")
    }
}
