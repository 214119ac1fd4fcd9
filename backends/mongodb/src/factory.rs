//! Makes the metadata type `mongodb` known to the registry.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, MetadataStore};

use crate::config::MongodbConfig;
use crate::store::MongodbMetadata;

/// Returns the factory of the metadata type `mongodb`.
#[must_use]
pub fn factory() -> impl Factory<dyn MetadataStore> {
    factory_fn("mongodb", |settings: MongodbConfig, _context| {
        MongodbMetadata::open(settings)
    })
}
