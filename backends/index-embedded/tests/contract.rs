//! The contract of a vector index, and what it keeps when it is opened again.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;
use std::sync::Arc;

use lucida_core::VectorIndex;
use lucida_index_embedded::{EmbeddedConfig, EmbeddedIndex};
use lucida_testkit::Fixture;

fn config(folder: &Path) -> EmbeddedConfig {
    EmbeddedConfig {
        path: folder.join("index"),
        collection: "photo_embeddings".to_owned(),
        vectors_on_disk: false,
        hnsw_m: 16,
        hnsw_ef_construct: 100,
        search_ef: 256,
        indexing_threshold_bytes: 32 << 20,
        indexing_threads: 1,
    }
}

async fn fixture() -> Fixture<dyn VectorIndex> {
    let folder = tempfile::tempdir().unwrap();
    let index = EmbeddedIndex::open(config(folder.path())).await.unwrap();
    Fixture::new(index).keeping(folder)
}

async fn open(folder: &Path) -> Arc<dyn VectorIndex> {
    Arc::new(EmbeddedIndex::open(config(folder)).await.unwrap())
}

lucida_testkit::index_contract!(fixture);
lucida_testkit::index_durability!(open);
