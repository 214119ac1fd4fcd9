//! `[resilience]`: how long one call of a store may take, how often it is tried, and when it is not tried at all.

use std::time::Duration;

use lucida_core::decorate::{BreakerOptions, GuardOptions};
use lucida_core::{Backoff, Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

/// How long one call of each store may take, how often it is tried before its failure counts, and when a store is
/// not asked for a while.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResilienceSettings {
    /// How long writing one photo to the blob store may take, in milliseconds; it is tried once, since an upload
    /// streams.
    #[schemars(example = 300_000)]
    pub put_timeout_ms: u64,
    /// For the other calls of the blob store.
    pub storage: CallSettings,
    /// For the ledger.
    pub metadata: CallSettings,
    /// For the vector index.
    pub index: CallSettings,
    /// For the job queue.
    pub queue: CallSettings,
}

/// How long one call may take, how often it is tried, and when it is not tried at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallSettings {
    /// How long one try may take, in milliseconds.
    #[schemars(example = 10_000)]
    pub timeout_ms: u64,
    /// How often a call is tried in all; 1 never tries again. Only what can succeed later is tried again.
    #[schemars(example = 3)]
    pub tries: u32,
    /// The wait before the second try, in milliseconds; doubles with each try, with jitter.
    #[schemars(example = 50)]
    pub backoff_min_ms: u64,
    /// The longest wait between two tries, in milliseconds.
    #[schemars(example = 2_000)]
    pub backoff_max_ms: u64,
    /// After how many failures in a row the store is not asked for a while, so that a dead one costs nothing; 0 always
    /// asks. What is wrong with a request doesn't count, nor does a full disk.
    #[schemars(example = 5)]
    pub breaker_failures: u32,
    /// How long it is not asked then, in milliseconds, before one call tries; a `/readyz` that finds it well ends it at once.
    #[schemars(example = 5_000)]
    pub breaker_open_ms: u64,
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

    /// Returns how the ledger's calls are guarded.
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
