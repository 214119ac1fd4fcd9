//! One process at a time has the folder open.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use lucida_core::{CollectionName, ErrorKind, VectorIndex};
use lucida_index_embedded::{EmbeddedConfig, EmbeddedIndex};

fn config(folder: &std::path::Path) -> EmbeddedConfig {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_second_opening_is_refused_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let first = EmbeddedIndex::open(config(folder.path())).await.unwrap();
    let name = CollectionName::new("photo_embeddings-a").unwrap();
    first.ensure(&name, 4).await.unwrap();
    first.count(&name).await.unwrap();

    let error = EmbeddedIndex::open(config(folder.path())).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(text.contains("another lucida process"), "{text}");
    assert!(text.contains("index.embedded.path"), "{text}");

    drop(first);
    let again = EmbeddedIndex::open(config(folder.path())).await.unwrap();
    assert_eq!(again.collections().await.unwrap(), [name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_library_takes_little_disk() {
    const MOST_BYTES: u64 = 4 << 20;
    let folder = tempfile::tempdir().unwrap();
    let index = EmbeddedIndex::open(config(folder.path())).await.unwrap();
    let name = CollectionName::new("photo_embeddings-a").unwrap();
    index.ensure(&name, 512).await.unwrap();
    index.count(&name).await.unwrap();
    let taken = blocks(folder.path());
    assert!(taken < MOST_BYTES, "{taken} bytes");
}

#[cfg(unix)]
fn blocks(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                blocks(&entry.path())
            } else {
                metadata.blocks() * 512
            }
        })
        .sum()
}
