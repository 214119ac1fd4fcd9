//! What a library is built from: its components, and the options of its services.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lucida_core::{Backoff, Embedder, JobQueue, MetadataStore, Plugin, Storage, VectorIndex};

use crate::models::ModelSource;

/// The components that a library is built from.
#[derive(Clone)]
pub struct Parts {
    /// The store of originals and what plugins made of them.
    pub storage: Arc<dyn Storage>,
    /// The metadata store.
    pub metadata: Arc<dyn MetadataStore>,
    /// The vector index.
    pub index: Arc<dyn VectorIndex>,
    /// The queue of jobs.
    pub queue: Arc<dyn JobQueue>,
    /// The configured model.
    pub embedder: Arc<dyn Embedder>,
    /// How the model can be opened again, and what opens the library's other ones; without it those stay closed.
    pub model_source: Option<ModelSource>,
    /// The plugins, in the order of their hooks.
    pub plugins: Vec<Arc<dyn Plugin>>,
}

/// The options of the services.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// The most pixels a picture may have.
    pub max_pixels: u64,
    /// Whether a truncated picture is accepted.
    pub accept_truncated: bool,
    /// Whether a file is refused whose name promises another format than its bytes hold.
    pub strict_names: bool,
    /// How much memory pictures take while they are decoded, in bytes, for all together; one that needs more is decoded
    /// alone.
    pub decode_memory_bytes: u64,
    /// Where uploads are written until they are known to be photos.
    pub spool_dir: PathBuf,
    /// How many photos are worked on at once in this process; 0 leaves the work to other processes.
    pub workers: usize,
    /// The wait before the second try, and the longest one.
    pub backoff: Backoff,
    /// After how many failed tries that may be its own fault a photo is given up.
    pub max_attempts: u32,
    /// How often the reconciler looks for pending photos without a job and unfinished deletions.
    pub reconcile_interval: Duration,
    /// How often the reconciler compares all three stores.
    pub deep_reconcile_interval: Duration,
    /// How old an unknown blob or spool file must be before it is removed.
    pub orphan_grace: Duration,
    /// How many photos a second are given to the workers during a change of the model; 0 is as many as they take.
    pub model_change_photos_per_sec: u32,
    /// How many bytes of originals a second are read again in the background and compared with their hashes; 0 is none.
    pub scrub_bytes_per_sec: u64,
}
