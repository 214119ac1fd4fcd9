//! What is fetched, how it comes back after a break, and that it is right.

use std::fs;
use std::sync::Arc;

use axum::http::Method;
use bytes::Bytes;
use lucida_core::ErrorKind;
use lucida_models::hub::Exports;

use crate::server::{FIRST_COMMIT, Fault, REPO, Seen, git_hash, large_hash};
use crate::{WEIGHTS, assert_whole, of_weights, subject, subject_with, weights};

#[tokio::test]
async fn a_model_is_fetched_into_the_layout_that_other_tools_share() {
    let subject = subject().await;
    let snapshot = subject.fetch().await.unwrap();
    assert_eq!(snapshot, subject.folder().join("snapshots").join(FIRST_COMMIT));
    assert_whole(&snapshot);
    assert_eq!(
        fs::read_to_string(subject.folder().join("refs/main")).unwrap(),
        FIRST_COMMIT
    );
    let mut expected = vec![
        large_hash(&weights()),
        git_hash(b"[]"),
        git_hash(b""),
        git_hash(b"{\"model_type\": \"clip\"}"),
    ];
    let mut blobs = subject.names_of_blobs();
    expected.sort();
    blobs.sort();
    assert_eq!(blobs, expected);
}

#[tokio::test]
async fn what_no_model_needs_is_not_asked_for() {
    let subject = subject().await;
    let snapshot = subject.fetch().await.unwrap();
    for name in ["0_CLIPModel/pytorch_model.bin", "tf_model.h5", ".gitattributes"] {
        assert!(!snapshot.join(name).exists(), "{name}");
    }
    let seen = subject.hub.take_seen();
    assert_eq!(of_weights(&seen).len(), 1);
    assert!(!seen.iter().any(|seen| seen.path.contains("tf_model")));
}

#[tokio::test]
async fn a_download_that_was_stopped_goes_on_where_it_was() {
    let subject = subject().await;
    let (call, held) = subject.start_and_hold().await;
    call.abort();
    call.await.unwrap_err();
    subject.hub.take_seen();
    let snapshot = subject.fetch().await.unwrap();
    assert_whole(&snapshot);
    let ranges: Vec<_> = of_weights(&subject.hub.take_seen())
        .into_iter()
        .map(|seen| seen.range)
        .collect();
    assert_eq!(ranges, [Some(format!("bytes={held}-"))]);
}

#[tokio::test]
async fn a_connection_that_breaks_is_taken_up_again() {
    let subject = subject().await;
    subject.hub.fail(Fault::Break(100_000));
    assert_whole(&subject.fetch().await.unwrap());
    let seen = of_weights(&subject.hub.take_seen());
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].range, None);
    let start = seen[1].range.as_deref().unwrap();
    let start: usize = start
        .strip_prefix("bytes=")
        .unwrap()
        .strip_suffix('-')
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=100_000).contains(&start), "{start}");
}

#[tokio::test]
async fn a_store_without_ranges_sends_the_whole_again() {
    let subject = subject().await;
    let (call, _) = subject.start_and_hold().await;
    call.abort();
    call.await.unwrap_err();
    subject.hub.fail(Fault::Whole);
    subject.hub.take_seen();
    assert_whole(&subject.fetch().await.unwrap());
    assert_eq!(of_weights(&subject.hub.take_seen()).len(), 1);
}

#[tokio::test]
async fn a_file_that_other_tools_left_half_is_completed() {
    let subject = subject().await;
    let hash = large_hash(&weights());
    let incomplete = subject.blob(&format!("{hash}.incomplete"));
    fs::create_dir_all(incomplete.parent().unwrap()).unwrap();
    for present in [
        &weights()[..1000],
        &weights()[..],
        &[weights(), weights()].concat()[..],
    ] {
        fs::write(&incomplete, present).unwrap();
        assert_whole(&subject.fetch().await.unwrap());
        assert!(!incomplete.exists());
        fs::remove_file(subject.blob(&hash)).unwrap();
    }
    let ranges: Vec<_> = of_weights(&subject.hub.take_seen())
        .into_iter()
        .map(|seen| seen.range)
        .collect();
    // The second was whole, so that only its hash had to be checked.
    assert_eq!(ranges, [Some("bytes=1000-".to_owned()), None]);
}

#[tokio::test]
async fn a_corrupt_file_is_an_error_that_names_it_and_leaves_nothing() {
    let subject = subject().await;
    subject.hub.fail(Fault::Corrupt);
    let error = subject.fetch_error().await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    for says in [WEIGHTS, REPO, "hash", "hub.endpoint"] {
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
    let hash = large_hash(&weights());
    assert!(
        !subject
            .names_of_blobs()
            .iter()
            .any(|name| name.starts_with(&hash))
    );
    assert!(
        !subject
            .folder()
            .join("snapshots")
            .join(FIRST_COMMIT)
            .join(WEIGHTS)
            .exists()
    );
    assert!(!subject.folder().join("refs/main").exists());
    subject.hub.heal();
    assert_whole(&subject.fetch().await.unwrap());
}

#[tokio::test]
async fn a_mirror_may_have_a_path_of_its_own() {
    let mut subject = subject().await;
    subject.options.endpoint = format!("{}/mirror/", subject.hub.endpoint);
    assert_whole(&subject.fetch().await.unwrap());
    let seen = subject.hub.take_seen();
    assert_eq!(seen[0].path, "/mirror/api/models/owner/clip/revision/main");
}

#[tokio::test]
async fn two_fetches_at_once_download_each_file_once() {
    let subject = Arc::new(subject().await);
    let (first, _) = subject.start_and_hold().await;
    let second = {
        let subject = Arc::clone(&subject);
        tokio::spawn(async move { subject.fetch().await })
    };
    // The second has asked about the file, so that next it waits for the lock.
    let asks = |seen: &Seen| seen.method == Method::HEAD && seen.path.ends_with(WEIGHTS);
    subject.hub.wait_for(2, asks).await;
    subject.hub.release();
    assert_whole(&first.await.unwrap().unwrap());
    assert_whole(&second.await.unwrap().unwrap());
    assert_eq!(of_weights(&subject.hub.take_seen()).len(), 1);
}

/// A repository with weights that no engine computes, and their export.
fn jina_clip() -> Vec<(&'static str, Bytes)> {
    let large = || Bytes::from(vec![3; 5000]);
    vec![
        (
            "config.json",
            Bytes::from_static(b"{\"model_type\": \"jina_clip\"}"),
        ),
        ("model.safetensors", large()),
        ("onnx/model.onnx", large()),
        ("onnx/model.onnx_data", large()),
        ("onnx/model_fp16.onnx", large()),
        ("onnx/model_quantized.onnx", large()),
    ]
}

#[tokio::test]
async fn of_a_family_that_only_an_export_runs_the_export_is_fetched_and_not_the_weights() {
    for (exports, fetched) in [
        (Exports::Plain, &["onnx/model.onnx", "onnx/model.onnx_data"][..]),
        (Exports::Int8, &["onnx/model_quantized.onnx"]),
    ] {
        let mut subject = subject_with(jina_clip()).await;
        subject.options.exports = exports;
        let snapshot = subject.fetch().await.unwrap();
        for (name, _) in jina_clip() {
            let wanted = name == "config.json" || fetched.contains(&name);
            assert_eq!(snapshot.join(name).exists(), wanted, "{exports:?}: {name}");
        }
        // The next start finds it complete.
        subject.options.offline = true;
        assert_eq!(subject.fetch().await.unwrap(), snapshot);
    }
}

#[tokio::test]
async fn a_family_that_only_an_export_runs_is_refused_before_its_download_by_an_engine_without_exports() {
    let mut subject = subject_with(jina_clip()).await;
    subject.options.exports = Exports::Unused;
    let error = subject.fetch_error().await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.message().contains("`onnx`") && error.message().contains(REPO),
        "{error}"
    );
    assert!(of_weights(&subject.hub.take_seen()).is_empty());
}
