//! How a config file makes this vector index.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, VectorIndex};

use crate::config::QdrantConfig;
use crate::index::QdrantIndex;

/// Returns the factory of the index type `qdrant`.
#[must_use]
pub fn factory() -> impl Factory<dyn VectorIndex> {
    factory_fn("qdrant", |settings: QdrantConfig, _context| async move {
        QdrantIndex::open(settings).await
    })
}
