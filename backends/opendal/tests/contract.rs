//! The storage contract, on disk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use lucida_core::Storage;
use lucida_core::config::IntoPart;
use lucida_opendal::{DiskConfig, DiskStorage};
use lucida_testkit::Fixture;

async fn fixture() -> Fixture<dyn Storage> {
    let folder = tempfile::tempdir().unwrap();
    let storage = DiskStorage::open(DiskConfig {
        root: folder.path().join("photos"),
    })
    .await
    .unwrap();
    Fixture::new(storage).keeping(folder)
}
lucida_testkit::storage_contract!(fixture);

async fn open(folder: &Path) -> Arc<dyn Storage> {
    DiskStorage::open(DiskConfig {
        root: folder.join("photos"),
    })
    .await
    .unwrap()
    .into_part()
}
lucida_testkit::storage_durability!(open);
