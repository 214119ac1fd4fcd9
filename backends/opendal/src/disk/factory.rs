//! Makes the storage type `disk` known to the registry.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Storage};

use super::config::DiskConfig;
use super::service::DiskStorage;

/// Returns the factory of the storage type `disk`.
#[must_use]
pub fn disk_factory() -> impl Factory<dyn Storage> {
    factory_fn("disk", |settings: DiskConfig, _context| {
        DiskStorage::open(settings)
    })
}
