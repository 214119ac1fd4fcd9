//! What the passes of the reconciler work on.

use std::sync::Arc;
use std::time::Duration;

use lucida_core::{JobQueue, MetadataStore, Storage, VectorIndex};

use crate::blobs::Blobs;
use crate::damage::DamageLog;
use crate::delete::Deletion;
use crate::lease::Leases;
use crate::manifests::Manifests;
use crate::models::Models;
use crate::points::Points;
use crate::records::Records;
use crate::spool::Spool;

/// The stores that are compared, and the services that repair them.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) leases: Leases,
    pub(crate) models: Models,
    pub(crate) records: Records,
    pub(crate) blobs: Blobs,
    pub(crate) manifests: Manifests,
    pub(crate) points: Points,
    pub(crate) damage: DamageLog,
    pub(crate) deletion: Deletion,
    pub(crate) spool: Spool,
    /// How often it compares all three stores.
    pub(crate) deep_interval: Duration,
    /// How old an unknown blob must be before it is removed.
    pub(crate) orphan_grace: Duration,
}
