//! How a config file makes this index.

use lucida_core::VectorIndex;
use lucida_core::config::{Factory, factory_fn};

use crate::config::EmbeddedConfig;
use crate::index::EmbeddedIndex;

/// Returns the factory of the index type `embedded`.
#[must_use]
pub fn factory() -> impl Factory<dyn VectorIndex> {
    factory_fn("embedded", |settings: EmbeddedConfig, _context| async move {
        EmbeddedIndex::open(settings).await
    })
    .in_one_process()
}
