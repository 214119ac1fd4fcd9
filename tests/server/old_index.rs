//! An upgrade from a version whose index was another engine, and an index that was lost: the library is found again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::drawn::photo;
use crate::process::Server;

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
async fn a_library_with_an_index_of_the_former_engine_is_found_again_after_the_upgrade() {
    let dir = tempfile::tempdir().unwrap();
    let (server, ids) = filled(dir.path()).await;
    let models = server.json("/v1/models").await;
    let model = models["data"][0].clone();
    assert!(server.stop(), "the server did not stop cleanly");

    // The files that version 0.1 had, with the names and dimensions of this library.
    let index = dir.path().join("data/index");
    fs::remove_dir_all(&index).unwrap();
    let name = model["collection"].as_str().unwrap();
    let collection = index.join("collections").join(name);
    fs::create_dir_all(collection.join("shard/segments")).unwrap();
    let manifest = serde_json::json!({
        "format": 1,
        "dimensions": model["dimensions"],
        "distance": "cosine",
    });
    fs::write(collection.join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(collection.join("journal"), [1, 2, 3]).unwrap();
    fs::write(index.join("alias"), format!("{name}\n")).unwrap();
    fs::write(index.join("lock"), "1\n").unwrap();

    let server = Server::start(dir.path(), &[]).await;
    assert_comes_back(&server, &ids).await;
    let models = server.json("/v1/models").await;
    assert_eq!(models["data"].as_array().unwrap().len(), 1, "{models}");
    assert_eq!(models["data"][0]["collection"], name, "{models}");
    let kept = index.join("old-engine/collections").join(name);
    assert_eq!(fs::read(kept.join("journal")).unwrap(), [1, 2, 3]);
    assert!(server.stop(), "the server did not stop cleanly");
    let log = fs::read_to_string(dir.path().join("server.log")).unwrap();
    assert!(log.contains("the engine of an earlier version"), "{log}");
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
