//! An upgrade of a data folder that version 0.1 wrote, and an index that was lost: the library works on.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::drawn::photo;
use crate::process::Server;

/// The schemas of version 0.1, with rows that are not of this library.
const METADATA_0_1: &str = include_str!("../../backends/sqlite/tests/released/metadata-1.sql");
const QUEUE_0_1: &str = include_str!("../../backends/sqlite/tests/released/queue-1.sql");

const PHOTOS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(120);

async fn filled(dir: &Path) -> (Server, BTreeSet<String>) {
    let server = Server::start(dir, &[]).await;
    for number in 0..PHOTOS {
        let answer = server.upload(photo(number), "photo.jpg", true).await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
    let ids = found(&server).await;
    assert_eq!(ids.len() as u64, PHOTOS);
    (server, ids)
}

async fn found(server: &Server) -> BTreeSet<String> {
    let found = server.search_text("colours", 100).await;
    let hits = found["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["photo"]["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until searches find every photo again, all of which are ready the whole time.
async fn assert_comes_back(server: &Server, ids: &BTreeSet<String>) {
    let started = Instant::now();
    while found(server).await != *ids {
        assert!(started.elapsed() < PATIENCE, "the library is not found again");
        let ready = server.json("/v1/photos?state=ready&limit=100").await;
        let ready = ready["photos"].as_array().unwrap().len() as u64;
        assert_eq!(ready, PHOTOS, "a photo is not ready while it is embedded again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_of_version_0_1_works_on_after_the_upgrade() {
    let dir = tempfile::tempdir().unwrap();
    let (server, ids) = filled(dir.path()).await;
    let models = server.json("/v1/models").await;
    let model = models["data"][0].clone();
    assert!(server.stop(), "the server did not stop cleanly");

    let data = dir.path().join("data");
    let name = model["collection"].as_str().unwrap();
    write_databases_of_0_1(&data);
    write_index_of_0_1(&data.join("index"), name, &model["dimensions"]);

    let server = Server::start(dir.path(), &[]).await;
    assert_comes_back(&server, &ids).await;
    for id in &ids {
        let content = server.get(&format!("/v1/photos/{id}/content")).await.unwrap();
        assert!(content.status().is_success(), "photo {id}: {}", content.status());
    }
    let again = server.upload(photo(0), "photo.jpg", true).await.unwrap();
    assert_eq!(again.status(), 200, "a photo of the old folder is stored twice");
    let new = server.upload(photo(PHOTOS), "photo.jpg", true).await.unwrap();
    assert_eq!(new.status(), 201);
    let models = server.json("/v1/models").await;
    assert_eq!(models["data"].as_array().unwrap().len(), 1, "{models}");
    assert_eq!(models["data"][0]["collection"], name, "{models}");
    let kept = data.join("index/old-engine/collections").join(name);
    assert_eq!(fs::read(kept.join("journal")).unwrap(), [1, 2, 3]);
    assert!(server.stop(), "the server did not stop cleanly");
    let log = fs::read_to_string(dir.path().join("server.log")).unwrap();
    assert!(log.contains("the engine of an earlier version"), "{log}");
}

/// Puts the photos into databases with the schemas of version 0.1, in place of those of today.
fn write_databases_of_0_1(data: &Path) {
    let (metadata, queue) = (data.join("metadata.db"), data.join("queue.db"));
    let today = data.join("today.db");
    let copy = [today.to_str().unwrap()];
    Connection::open(&metadata)
        .unwrap()
        .execute("VACUUM INTO ?", copy)
        .unwrap();
    for database in [&metadata, &queue] {
        for suffix in ["", "-wal", "-shm"] {
            // A server that stopped cleanly leaves only the first.
            let _ = fs::remove_file(format!("{}{suffix}", database.display()));
        }
    }
    let old = Connection::open(&metadata).unwrap();
    old.execute_batch(METADATA_0_1).unwrap();
    old.execute("ATTACH ? AS today", copy).unwrap();
    old.execute_batch(COPY_TO_0_1).unwrap();
    let old = Connection::open(&queue).unwrap();
    old.execute_batch(QUEUE_0_1).unwrap();
    old.execute("DELETE FROM jobs", []).unwrap();
    fs::remove_file(today).unwrap();
}

/// Copies what version 0.1 knew of photos, and drops the rows that come with the schema.
const COPY_TO_0_1: &str = "
    DELETE FROM photos;
    DELETE FROM records;
    INSERT INTO photos SELECT position, id, user_id, state, filename, content_type, size_bytes, width, height, hash,
        created_at, updated_at, taken_at, tags, attributes, fingerprint, attempts, error, next_attempt_at, blob, derived,
        version FROM today.photos;
    INSERT INTO records SELECT name, value, version FROM today.records;
    DETACH today;
";

/// Writes the index of a library as version 0.1 did, whose engine was another.
fn write_index_of_0_1(index: &Path, name: &str, dimensions: &serde_json::Value) {
    fs::remove_dir_all(index).unwrap();
    let collection = index.join("collections").join(name);
    fs::create_dir_all(collection.join("shard/segments")).unwrap();
    let manifest = serde_json::json!({ "format": 1, "dimensions": dimensions, "distance": "cosine" });
    fs::write(collection.join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(collection.join("journal"), [1, 2, 3]).unwrap();
    fs::write(index.join("alias"), format!("{name}\n")).unwrap();
    fs::write(index.join("lock"), "1\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_whose_index_was_moved_away_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let (server, ids) = filled(dir.path()).await;
    assert!(server.stop(), "the server did not stop cleanly");
    fs::rename(dir.path().join("data/index"), dir.path().join("moved")).unwrap();
    let server = Server::start(dir.path(), &[]).await;
    assert_comes_back(&server, &ids).await;
}
