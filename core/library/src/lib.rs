//! The photo library of Lucida over the contracts of `lucida-core`: upload, ingestion, search, deletion, and the repair of
//! what was interrupted.
//!
//! [`Photos`] is what HTTP handlers, workers and the command line use; behind it each task is a service that holds only what
//! it uses. The metadata store is the truth: every step may run twice, and any step may be the last before a crash. The decorators in [`decorate`] put timeouts,
//! retries, breakers, spans and metrics around any backend.

mod adopt;
mod blobs;
mod counts;
mod damage;
mod dead_events;
mod decode_budget;
mod decoder;
pub mod decorate;
mod delete;
mod delivery;
mod edit;
mod embed;
mod events;
mod fault;
mod hosted;
mod ingest;
mod isolation;
mod lease;
mod library;
mod manifest;
mod manifests;
mod models;
mod named_models;
mod names;
mod outage;
mod parts;
mod photos;
mod plugins;
mod points;
mod previews;
mod readiness;
mod rebuild;
mod reconcile;
mod records;
mod scrub;
mod search;
mod services;
mod settled;
mod spool;
mod state_record;
mod upload;
mod workers;

pub use adopt::{AdoptNews, AdoptReport, Originals};
pub use damage::{Damage, StorageReport};
pub use dead_events::DeadEvents;
pub use edit::{PhotoEdit, TagEdit, TakenAtEdit};
pub use embed::EmbedRequest;
pub use isolation::{Isolation, Running};
pub use manifest::Manifest;
pub use models::{
    KnownModel, ModelChange, ModelCommand, ModelControl, ModelRecipe, ModelRole, ModelSource, ModelStatus,
    OpenModel, request_of_models,
};
pub use named_models::NamedModels;
pub use parts::{IngestOptions, Parts};
pub use photos::Photos;
pub use previews::best_preview;
pub use readiness::{PartHealth, Readiness};
pub use rebuild::{RebuildNews, RebuildOptions, RebuildReport};
pub use reconcile::{CheckNews, CheckOptions, CheckReport, Finding, FindingKind, Verify};
pub use records::PhotoPage;
pub use spool::SpoolWriter;
pub use upload::{UploadDetails, Uploaded};
pub use workers::Workers;

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) const fn gauge(count: u64) -> f64 {
    count as f64
}
