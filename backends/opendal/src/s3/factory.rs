//! Makes the storage type `s3` known to the registry.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Storage};

use super::bucket::S3Storage;
use super::config::S3Config;

/// Returns the factory of the storage type `s3`.
#[must_use]
pub fn s3_factory() -> impl Factory<dyn Storage> {
    factory_fn("s3", |settings: S3Config, _context| S3Storage::open(settings))
}
