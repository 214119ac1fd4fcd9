//! One process at a time has the folder open.

mod support;

use lucida_core::{CollectionName, ErrorKind, VectorIndex};
use lucida_flat::FlatIndex;
use support::config;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_opening_is_refused_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let first = FlatIndex::open(config(folder.path())).await.unwrap();
    let name = CollectionName::new("photo_embeddings-a").unwrap();
    first.ensure(&name, 4).await.unwrap();
    first.count(&name).await.unwrap();

    let error = FlatIndex::open(config(folder.path())).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    let pid = format!("another lucida process (pid {})", std::process::id());
    assert!(text.contains(&pid), "{text}");
    assert!(text.contains("index.embedded.path"), "{text}");
    assert!(text.contains("index.type = \"qdrant\""), "{text}");

    drop(first);
    let again = FlatIndex::open(config(folder.path())).await.unwrap();
    assert_eq!(again.collections().await.unwrap(), [name]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_library_takes_little_disk() {
    use std::os::unix::fs::MetadataExt;

    const MOST_BYTES: u64 = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let index = FlatIndex::open(config(folder.path())).await.unwrap();
    let name = CollectionName::new("photo_embeddings-a").unwrap();
    index.ensure(&name, 512).await.unwrap();
    index.count(&name).await.unwrap();
    let files = std::fs::read_dir(folder.path().join("index")).unwrap();
    let taken: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().blocks() * 512)
        .sum();
    assert!(taken < MOST_BYTES, "{taken} bytes");
}
