//! The contract of a vector index, and what it keeps when it is opened again.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::path::Path;
use std::sync::Arc;

use lucida_core::VectorIndex;
use lucida_flat::FlatIndex;
use lucida_testkit::Fixture;
use support::config;

async fn fixture() -> Fixture<dyn VectorIndex> {
    let folder = tempfile::tempdir().unwrap();
    let index = FlatIndex::open(config(folder.path())).await.unwrap();
    Fixture::new(index).keeping(folder)
}

async fn open(folder: &Path) -> Arc<dyn VectorIndex> {
    Arc::new(FlatIndex::open(config(folder)).await.unwrap())
}

lucida_testkit::index_contract!(fixture);
lucida_testkit::index_durability!(open);
