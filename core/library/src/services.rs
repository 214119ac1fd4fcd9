//! The services behind the library, and how they are built from the components.

use std::sync::Arc;

use lucida_core::Result;

use crate::adopt::Adoption;
use crate::blobs::Blobs;
use crate::counts::Counts;
use crate::damage::DamageLog;
use crate::decoder::Decoder;
use crate::delete::Deletion;
use crate::delivery::Deliverer;
use crate::edit::Editing;
use crate::events::Events;
use crate::ingest::Ingest;
use crate::lease::Leases;
use crate::manifests::Manifests;
use crate::models::{ModelSwitch, Models};
use crate::parts::{IngestOptions, Parts};
use crate::plugins::Plugins;
use crate::points::Points;
use crate::readiness::Health;
use crate::rebuild::Rebuild;
use crate::reconcile::{Reconciler, Stores};
use crate::records::Records;
use crate::scrub::Scrub;
use crate::search::Search;
use crate::settled::Settled;
use crate::spool::Spool;
use crate::upload::Intake;
use crate::workers::Worker;

/// The services, each of which holds only what it uses.
pub(crate) struct Services {
    /// How many workers this process runs.
    pub(crate) workers: usize,
    /// One for each plugin that takes events.
    pub(crate) deliverers: Vec<Deliverer>,
    pub(crate) spool: Spool,
    pub(crate) decoder: Decoder,
    pub(crate) records: Records,
    pub(crate) settled: Settled,
    pub(crate) blobs: Blobs,
    pub(crate) damage: DamageLog,
    pub(crate) plugins: Plugins,
    pub(crate) models: Models,
    pub(crate) model_switch: ModelSwitch,
    pub(crate) search: Search,
    pub(crate) intake: Intake,
    pub(crate) editing: Editing,
    pub(crate) deletion: Deletion,
    pub(crate) worker: Worker,
    pub(crate) reconciler: Reconciler,
    pub(crate) scrub: Scrub,
    pub(crate) rebuild: Rebuild,
    pub(crate) adoption: Adoption,
    pub(crate) health: Health,
    pub(crate) counts: Counts,
}

impl Services {
    /// Builds the services; opens and starts nothing.
    ///
    /// # Errors
    /// `InvalidInput` when the index's alias can't name a collection.
    pub(crate) fn new(parts: Parts, options: IngestOptions) -> Result<Self> {
        let Parts {
            storage,
            metadata,
            index,
            queue,
            embedder,
            model_source,
            plugins,
        } = parts;
        let models = Models::new(Arc::clone(&metadata), Arc::clone(&index), embedder, model_source)?;
        let leases = Leases::new(Arc::clone(&metadata));
        let settled = Settled::new(Arc::clone(&metadata));
        let damage = DamageLog::new(Arc::clone(&metadata));
        let events = Events::new(Arc::clone(&metadata), &plugins);
        let deliverers = Deliverer::for_plugins(&metadata, &leases, &events, &plugins);
        let plugins = Plugins::new(plugins, Arc::clone(&storage), Arc::clone(&metadata));
        let points = Points {
            index: Arc::clone(&index),
        };
        let decoder = Decoder::new(
            options.max_pixels,
            options.accept_truncated,
            options.decode_memory_bytes,
        );
        let spool = Spool {
            dir: options.spool_dir.clone(),
            grace: options.orphan_grace,
        };
        let records = Records {
            metadata: Arc::clone(&metadata),
            queue: Arc::clone(&queue),
            events: events.clone(),
        };
        let manifests = Manifests {
            storage: Arc::clone(&storage),
            metadata: Arc::clone(&metadata),
        };
        let blobs = Blobs {
            storage: Arc::clone(&storage),
            metadata: Arc::clone(&metadata),
            damage: damage.clone(),
            decoder: decoder.clone(),
        };
        let editing = Editing {
            metadata: Arc::clone(&metadata),
            queue: Arc::clone(&queue),
            records: records.clone(),
            manifests: manifests.clone(),
            points: points.clone(),
        };
        let deletion = Deletion {
            storage: Arc::clone(&storage),
            queue: Arc::clone(&queue),
            records: records.clone(),
            manifests: manifests.clone(),
            points: points.clone(),
            damage: damage.clone(),
            plugins: plugins.clone(),
            events: events.clone(),
            settled: settled.clone(),
        };
        let intake = Intake {
            storage: Arc::clone(&storage),
            metadata: Arc::clone(&metadata),
            queue: Arc::clone(&queue),
            decoder: decoder.clone(),
            records: records.clone(),
            blobs: blobs.clone(),
            manifests: manifests.clone(),
            damage: damage.clone(),
            deletion: deletion.clone(),
            editing: editing.clone(),
            plugins: plugins.clone(),
            strict_names: options.strict_names,
        };
        let search = Search {
            metadata: Arc::clone(&metadata),
            index: Arc::clone(&index),
            records: records.clone(),
            models: models.clone(),
            decoder: decoder.clone(),
            plugins: plugins.clone(),
        };
        let health = Health {
            storage: Arc::clone(&storage),
            metadata: Arc::clone(&metadata),
            index: Arc::clone(&index),
            queue: Arc::clone(&queue),
            models: models.clone(),
            damage: damage.clone(),
            events: events.clone(),
            last_of_model: Arc::default(),
        };
        let ingest = Ingest {
            storage: Arc::clone(&storage),
            metadata: Arc::clone(&metadata),
            index: Arc::clone(&index),
            queue: Arc::clone(&queue),
            models: models.clone(),
            records: records.clone(),
            blobs: blobs.clone(),
            points: points.clone(),
            plugins: plugins.clone(),
            editing: editing.clone(),
            deletion: deletion.clone(),
            events: events.clone(),
            settled: settled.clone(),
            backoff: options.backoff,
            max_attempts: options.max_attempts,
        };
        let worker = Worker {
            queue: Arc::clone(&queue),
            ingest,
            health: health.clone(),
        };
        let model_switch = ModelSwitch {
            metadata: Arc::clone(&metadata),
            index: Arc::clone(&index),
            queue: Arc::clone(&queue),
            models: models.clone(),
            leases: leases.clone(),
            photos_per_sec: options.model_change_photos_per_sec,
        };
        let scrub = Scrub {
            metadata: Arc::clone(&metadata),
            leases: leases.clone(),
            blobs: blobs.clone(),
            damage: damage.clone(),
            bytes_per_sec: options.scrub_bytes_per_sec,
            interval: options.reconcile_interval,
        };
        let rebuild = Rebuild {
            storage: Arc::clone(&storage),
            metadata: Arc::clone(&metadata),
            manifests: manifests.clone(),
            spool: spool.clone(),
            decoder: decoder.clone(),
        };
        let adoption = Adoption {
            metadata: Arc::clone(&metadata),
            index: Arc::clone(&index),
            models: models.clone(),
            blobs: blobs.clone(),
            spool: spool.clone(),
            search: search.clone(),
            intake: intake.clone(),
        };
        let counts = Counts {
            metadata: Arc::clone(&metadata),
            queue: Arc::clone(&queue),
            models: models.clone(),
            damage: damage.clone(),
            events,
        };
        let stores = Stores {
            storage,
            metadata,
            index,
            queue,
            leases,
            models: models.clone(),
            records: records.clone(),
            blobs: blobs.clone(),
            manifests,
            points,
            damage: damage.clone(),
            deletion: deletion.clone(),
            spool: spool.clone(),
            deep_interval: options.deep_reconcile_interval,
            orphan_grace: options.orphan_grace,
        };
        let reconciler = Reconciler {
            stores,
            interval: options.reconcile_interval,
        };
        Ok(Self {
            workers: options.workers,
            deliverers,
            spool,
            decoder,
            records,
            settled,
            blobs,
            damage,
            plugins,
            models,
            model_switch,
            search,
            intake,
            editing,
            deletion,
            worker,
            reconciler,
            scrub,
            rebuild,
            adoption,
            health,
            counts,
        })
    }
}
