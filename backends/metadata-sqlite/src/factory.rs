//! Makes the metadata type `sqlite` known to the registry.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, MetadataStore};

use crate::config::SqliteConfig;
use crate::store::SqliteMetadata;

/// Returns the factory of the metadata type `sqlite`.
#[must_use]
pub fn factory() -> impl Factory<dyn MetadataStore> {
    factory_fn("sqlite", |settings: SqliteConfig, _context| {
        SqliteMetadata::open(settings)
    })
}
