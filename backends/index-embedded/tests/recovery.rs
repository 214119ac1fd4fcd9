//! What an index makes of a folder that a crash left behind, state by state.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

use lucida_core::{CollectionName, IndexFilter, PhotoId, Point, VectorIndex};
use lucida_index_embedded::{EmbeddedConfig, EmbeddedIndex};
use lucida_testkit::{point, unit_vector, user};

const DIMENSIONS: usize = 8;
const POINTS: u64 = 300;

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

fn name() -> CollectionName {
    CollectionName::new("photo_embeddings-a").unwrap()
}

fn collection_folder(folder: &Path) -> PathBuf {
    folder.join("index/collections/photo_embeddings-a")
}

/// Fills a folder, closes it, and returns what is in it.
async fn filled(folder: &Path) -> Vec<Point> {
    let index = EmbeddedIndex::open(config(folder)).await.unwrap();
    index.ensure(&name(), DIMENSIONS).await.unwrap();
    index.set_alias(&name()).await.unwrap();
    let points: Vec<Point> = (0..POINTS)
        .map(|seed| {
            let vector = unit_vector(DIMENSIONS, seed);
            point(PhotoId::generate(), &user("alice"), vector)
        })
        .collect();
    index.upsert(&name(), &points).await.unwrap();
    points
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_an_interrupted_optimisation_left_are_made_one() {
    let folder = tempfile::tempdir().unwrap();
    let points = filled(folder.path()).await;
    let collection = collection_folder(folder.path());
    let segments = collection.join("shard/segments");
    let segment = fs::read_dir(&segments).unwrap().next().unwrap().unwrap().path();
    copy(&segment, &segments.join("00000000-0000-4000-8000-000000000000"));
    fs::write(collection.join("optimizing"), b"").unwrap();

    let index = EmbeddedIndex::open(config(folder.path())).await.unwrap();
    assert_eq!(index.count(&name()).await.unwrap(), POINTS);
    let hits = index
        .search(&name(), &points[7].vector, &IndexFilter::default(), 1000)
        .await
        .unwrap();
    assert_eq!(hits.len() as u64, POINTS);
    assert_eq!(hits[0].photo_id, points[7].photo_id);
    index.delete(&name(), &[points[7].photo_id]).await.unwrap();
    assert_eq!(index.count(&name()).await.unwrap(), POINTS - 1);
    assert!(!collection.join("optimizing").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_worked_off_already_may_be_worked_off_again() {
    let folder = tempfile::tempdir().unwrap();
    let index = EmbeddedIndex::open(config(folder.path())).await.unwrap();
    index.ensure(&name(), DIMENSIONS).await.unwrap();
    let kept = point(PhotoId::generate(), &user("alice"), unit_vector(DIMENSIONS, 1));
    let deleted = point(PhotoId::generate(), &user("alice"), unit_vector(DIMENSIONS, 2));
    index
        .upsert(&name(), &[kept.clone(), deleted.clone()])
        .await
        .unwrap();
    index.delete(&name(), &[deleted.photo_id]).await.unwrap();
    let journal = collection_folder(folder.path()).join("journal");
    let before = fs::read(&journal).unwrap();
    // Closing flushes, and would have emptied the journal.
    drop(index);
    fs::write(&journal, before).unwrap();

    let index = EmbeddedIndex::open(config(folder.path())).await.unwrap();
    let ids = index.ids(&name(), None, 10).await.unwrap();
    assert_eq!(ids, [kept.photo_id]);
    assert_eq!(index.count(&name()).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_was_never_finished_is_not_there_and_can_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let points = filled(folder.path()).await;
    fs::remove_file(collection_folder(folder.path()).join("manifest.json")).unwrap();
    fs::remove_file(folder.path().join("index/alias")).unwrap();

    let index = EmbeddedIndex::open(config(folder.path())).await.unwrap();
    assert!(index.collections().await.unwrap().is_empty());
    index.ensure(&name(), DIMENSIONS + 1).await.unwrap();
    assert_eq!(index.count(&name()).await.unwrap(), 0);
    assert!(index.upsert(&name(), &points).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_being_dropped_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let doomed = folder
        .path()
        .join("index/collections/.dropped-photo_embeddings-a");
    fs::rename(collection_folder(folder.path()), &doomed).unwrap();

    let index = EmbeddedIndex::open(config(folder.path())).await.unwrap();
    assert!(index.collections().await.unwrap().is_empty());
    assert!(!doomed.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_of_the_graph_open_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let points = filled(folder.path()).await;
    let other = EmbeddedConfig {
        vectors_on_disk: true,
        hnsw_m: 8,
        hnsw_ef_construct: 32,
        indexing_threshold_bytes: 1 << 20,
        ..config(folder.path())
    };
    let index = EmbeddedIndex::open(other).await.unwrap();
    assert_eq!(index.count(&name()).await.unwrap(), POINTS);
    let vector = index.vector(&name(), &points[0].photo_id).await.unwrap();
    assert_eq!(vector.unwrap().len(), DIMENSIONS);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
