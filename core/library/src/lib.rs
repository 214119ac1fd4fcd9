//! The photo library of Lucida over the contracts of `lucida-core`: upload, ingestion, search, deletion, and the repair of
//! what was left half done.
//!
//! [`Photos`] is the one service that HTTP handlers, workers and the command line use. The metadata store is the truth:
//! every step may run twice, and any step may be the last before a crash. The decorators in [`decorate`] put timeouts,
//! retries, breakers, spans and metrics around any backend.

mod adopt;
mod damage;
mod decode_budget;
pub mod decorate;
mod delete;
mod edit;
mod embed;
mod hooks;
mod ingest;
mod lease;
mod manifest;
mod manifests;
mod models;
mod names;
mod outage;
mod photos;
mod point_ids;
mod readiness;
mod rebuild;
mod reconcile;
mod scrub;
mod search;
mod spool;
mod upload;
mod workers;

pub use adopt::{AdoptNews, AdoptReport, Originals};
pub use damage::{Damage, StorageReport};
pub use edit::{PhotoEdit, TagEdit, TakenAtEdit};
pub use embed::EmbedRequest;
pub use manifest::Manifest;
pub use models::{
    KnownModel, ModelChange, ModelCommand, ModelControl, ModelRecipe, ModelRole, ModelSource, ModelStatus,
    OpenModel, request_of_models,
};
pub use photos::{IngestOptions, Parts, PhotoPage, Photos, Stats};
pub use readiness::{PartHealth, Readiness};
pub use rebuild::{RebuildNews, RebuildOptions, RebuildReport};
pub use reconcile::{CheckNews, CheckOptions, CheckReport, Finding, FindingKind, Verify};
pub use search::SearchResult;
pub use spool::SpoolWriter;
pub use upload::{UploadDetails, Uploaded};
pub use workers::Workers;

pub(crate) use photos::larger_short_side;
