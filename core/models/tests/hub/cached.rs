//! What the cache is good for: a second start, a hub that is unavailable, a pinned commit.

use std::fs;

use axum::http::StatusCode;
use bytes::Bytes;
use lucida_core::ErrorKind;
use lucida_models::hub::{RepoId, fetch};

use crate::server::{FIRST_COMMIT, Fault, REPO, SECOND_COMMIT, large_hash};
use crate::{CONFIG, TOKEN, WEIGHTS, WEIGHTS_BYTES, assert_whole, files, of_weights, subject, weights};

#[tokio::test]
async fn what_is_there_is_not_downloaded_again() {
    let subject = subject().await;
    let first = subject.fetch().await.unwrap();
    subject.hub.take_seen();
    assert_eq!(subject.fetch().await.unwrap(), first);
    let paths: Vec<String> = subject
        .hub
        .take_seen()
        .into_iter()
        .map(|seen| seen.path)
        .collect();
    assert_eq!(paths, ["/api/models/owner/clip/revision/main"]);
}

#[tokio::test]
async fn a_new_commit_brings_only_what_it_changed() {
    let subject = subject().await;
    let first = subject.fetch().await.unwrap();
    let mut changed = files();
    changed[2].1 = Bytes::from_static(b"{}");
    subject.hub.push(SECOND_COMMIT, changed);
    subject.hub.take_seen();
    let second = subject.fetch().await.unwrap();
    assert_eq!(second, subject.folder().join("snapshots").join(SECOND_COMMIT));
    assert_eq!(fs::read(second.join(CONFIG)).unwrap(), b"{}");
    assert_eq!(fs::read(second.join(WEIGHTS)).unwrap(), weights());
    assert_whole(&first);
    assert!(of_weights(&subject.hub.take_seen()).is_empty());
}

#[tokio::test]
async fn a_damaged_blob_of_another_snapshot_is_not_linked_again() {
    let subject = subject().await;
    subject.fetch().await.unwrap();
    fs::write(subject.blob(&large_hash(&weights())), vec![0; WEIGHTS_BYTES]).unwrap();
    subject.hub.push(SECOND_COMMIT, files());
    assert_whole(&subject.fetch().await.unwrap());
}

#[tokio::test]
async fn offline_without_the_model_says_what_is_missing() {
    let mut subject = subject().await;
    subject.options.offline = true;
    let error = subject.fetch_error().await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for says in [REPO, "main", "hub.offline", "HF_HUB_OFFLINE"] {
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
    assert!(subject.hub.take_seen().is_empty());

    subject.options.offline = false;
    let snapshot = subject.fetch().await.unwrap();
    fs::remove_file(snapshot.join(WEIGHTS)).unwrap();
    subject.options.offline = true;
    let error = subject.fetch_error().await;
    assert!(
        error.to_string().contains(&format!("lacks {WEIGHTS}:")),
        "{error}"
    );
}

#[tokio::test]
async fn offline_uses_what_is_there_without_asking() {
    let mut subject = subject().await;
    let first = subject.fetch().await.unwrap();
    subject.hub.take_seen();
    subject.options.offline = true;
    assert_eq!(subject.fetch().await.unwrap(), first);
    assert!(subject.hub.take_seen().is_empty());
}

#[tokio::test]
async fn offline_takes_a_snapshot_of_another_tool() {
    let mut subject = subject().await;
    subject.options.offline = true;
    let snapshot = subject.folder().join("snapshots").join(SECOND_COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(subject.folder().join("refs")).unwrap();
    fs::write(subject.folder().join("refs/main"), SECOND_COMMIT).unwrap();
    fs::write(snapshot.join("config.json"), "{}").unwrap();
    let error = subject.fetch_error().await;
    assert!(error.to_string().contains("no weights"), "{error}");
    fs::write(snapshot.join("model.safetensors"), "…").unwrap();
    assert_eq!(subject.fetch().await.unwrap(), snapshot);
}

#[tokio::test]
async fn an_unreachable_hub_is_named_unless_the_model_is_cached() {
    let mut subject = subject().await;
    let hub = subject.options.endpoint.clone();
    subject.unplug();
    let error = subject.fetch_error().await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&subject.options.endpoint), "{error}");

    subject.options.endpoint = hub;
    let first = subject.fetch().await.unwrap();
    subject.unplug();
    assert_eq!(subject.fetch().await.unwrap(), first);
}

#[tokio::test]
async fn a_token_that_has_run_out_leaves_what_is_cached() {
    let subject = subject().await;
    let first = subject.fetch().await.unwrap();
    subject.hub.require(TOKEN);
    assert_eq!(subject.fetch().await.unwrap(), first);
    subject.hub.refuse(StatusCode::NOT_FOUND, "RepoNotFound");
    assert_eq!(subject.fetch_error().await.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_new_commit_that_can_not_be_had_leaves_the_one_that_is_cached() {
    let subject = subject().await;
    let first = subject.fetch().await.unwrap();
    let mut changed = files();
    changed[3].1 = Bytes::from(vec![3; WEIGHTS_BYTES]);
    subject.hub.push(SECOND_COMMIT, changed);
    subject.hub.fail(Fault::Corrupt);
    assert_eq!(subject.fetch().await.unwrap(), first);
    assert_whole(&first);
}

#[tokio::test]
async fn a_pinned_commit_that_is_cached_needs_no_network() {
    let mut subject = subject().await;
    let pinned = RepoId::parse(&format!("{REPO}@{FIRST_COMMIT}")).unwrap();
    let first = fetch(&pinned, &subject.options).await.unwrap();
    assert!(!subject.folder().join("refs").exists());
    subject.hub.push(SECOND_COMMIT, files());
    subject.hub.take_seen();
    assert_eq!(fetch(&pinned, &subject.options).await.unwrap(), first);
    subject.options.revision = FIRST_COMMIT.to_owned();
    assert_eq!(subject.fetch().await.unwrap(), first);
    assert!(subject.hub.take_seen().is_empty());
    subject.unplug();
    assert_eq!(subject.fetch().await.unwrap(), first);
}

#[tokio::test]
async fn a_pinned_commit_that_is_half_there_is_completed() {
    let mut subject = subject().await;
    subject.options.revision = FIRST_COMMIT.to_owned();
    let snapshot = subject.fetch().await.unwrap();
    fs::remove_file(snapshot.join(CONFIG)).unwrap();
    assert_whole(&subject.fetch().await.unwrap());
}
