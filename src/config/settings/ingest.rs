//! `[ingest]`: how photos get from their upload to the index.

use std::path::PathBuf;
use std::time::Duration;

use lucida_core::{Backoff, Error, Result, Settings};
use lucida_library::IngestOptions;
use schemars::JsonSchema;
use serde::Deserialize;

use super::at_least_one;

/// How photos get from their upload to the index.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IngestSettings {
    /// How many photos this process embeds at a time; 0 leaves that to `lucida worker`.
    #[schemars(example = 4)]
    pub workers: usize,
    /// The folder of uploads that are not stored yet; best on the same disk as the photos.
    #[schemars(example = &"data/spool")]
    pub spool_dir: PathBuf,
    /// The largest picture that is decoded: width times height, in pixels.
    #[schemars(example = 250_000_000)]
    pub max_pixels: u64,
    /// How much memory photos take while they are decoded, in bytes, for all together; one that needs more waits until
    /// it is alone.
    #[schemars(example = 1_073_741_824)]
    pub decode_memory_bytes: u64,
    /// Whether to accept a photo whose file ends too early, with the part that can be decoded.
    #[schemars(example = false)]
    pub accept_truncated: bool,
    /// Whether a file is refused whose name promises another format than its bytes hold, such as a JPEG named
    /// `IMG_1.HEIC`; else it is taken by its bytes, with a note among its attributes.
    #[schemars(example = false)]
    pub strict_names: bool,
    /// The delay before a failed photo is retried, in milliseconds; doubles with each attempt, with jitter.
    #[schemars(example = 500)]
    pub retry_min_ms: u64,
    /// The longest delay between two attempts, in seconds.
    #[schemars(example = 300)]
    pub retry_max_secs: u64,
    /// The number of attempts after which a photo becomes `failed`. A model or a store that is unavailable doesn't count.
    #[schemars(example = 5)]
    pub max_attempts: u32,
    /// How often the reconciler looks for photos without a job and unfinished deletions, in seconds. It also runs at
    /// start.
    #[schemars(example = 60)]
    pub reconcile_interval_secs: u64,
    /// How often the reconciler compares all stores with each other, in seconds.
    #[schemars(example = 86_400)]
    pub deep_reconcile_interval_secs: u64,
    /// The age at which the reconciler removes an orphaned derived blob or spool file, in seconds. An original that no
    /// record names is never removed.
    #[schemars(example = 3600)]
    pub orphan_grace_secs: u64,
    /// The most photos per second that are embedded again while the model is being changed; 0 means no limit.
    #[schemars(example = 20)]
    pub model_change_photos_per_sec: u32,
    /// How many MiB of originals a second are read again in the background and compared with their hashes, so that damage
    /// is found while a backup still has the file; a round starts every 30 days at most. 0 is never: an object store
    /// verifies by itself, and reading from it costs money.
    #[schemars(example = 2)]
    pub scrub_mib_per_sec: u32,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            workers: 4,
            spool_dir: "data/spool".into(),
            max_pixels: 250_000_000,
            decode_memory_bytes: 1 << 30,
            accept_truncated: false,
            strict_names: false,
            retry_min_ms: 500,
            retry_max_secs: 300,
            max_attempts: 5,
            reconcile_interval_secs: 60,
            deep_reconcile_interval_secs: 86_400,
            orphan_grace_secs: 3600,
            model_change_photos_per_sec: 0,
            scrub_mib_per_sec: 2,
        }
    }
}

impl IngestSettings {
    /// Returns the options of the pipeline.
    #[must_use]
    pub fn options(&self) -> IngestOptions {
        IngestOptions {
            max_pixels: self.max_pixels,
            accept_truncated: self.accept_truncated,
            strict_names: self.strict_names,
            decode_memory_bytes: self.decode_memory_bytes,
            spool_dir: self.spool_dir.clone(),
            workers: self.workers,
            backoff: Backoff {
                min: Duration::from_millis(self.retry_min_ms),
                max: Duration::from_secs(self.retry_max_secs),
            },
            max_attempts: self.max_attempts,
            reconcile_interval: Duration::from_secs(self.reconcile_interval_secs),
            deep_reconcile_interval: Duration::from_secs(self.deep_reconcile_interval_secs),
            orphan_grace: Duration::from_secs(self.orphan_grace_secs),
            model_change_photos_per_sec: self.model_change_photos_per_sec,
            scrub_bytes_per_sec: u64::from(self.scrub_mib_per_sec) << 20,
        }
    }
}

impl Settings for IngestSettings {
    fn validate(&self) -> Result<()> {
        if self.spool_dir.as_os_str().is_empty() {
            return Err(Error::config("spool_dir", "must name a folder"));
        }
        at_least_one("max_pixels", self.max_pixels)?;
        at_least_one("decode_memory_bytes", self.decode_memory_bytes)?;
        at_least_one("retry_min_ms", self.retry_min_ms)?;
        at_least_one("max_attempts", u64::from(self.max_attempts))?;
        at_least_one("reconcile_interval_secs", self.reconcile_interval_secs)?;
        at_least_one("deep_reconcile_interval_secs", self.deep_reconcile_interval_secs)?;
        if self.retry_max_secs.saturating_mul(1000) < self.retry_min_ms {
            return Err(Error::config(
                "retry_max_secs",
                format!(
                    "must not be shorter than retry_min_ms, which is {}",
                    self.retry_min_ms
                ),
            ));
        }
        Ok(())
    }
}
