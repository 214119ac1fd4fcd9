//! Stores that are unavailable: killed and started again, never there, or without their bucket.

use std::fs;

use bytes::Bytes;
use futures::{StreamExt, stream};
use lucida_core::{ErrorKind, Storage, stream_of};
use lucida_testkit::eventually;
use serde_json::json;

use crate::support::{
    MIB, PART, content, data, key, names, open, own_minio, read, settings, unfinished, with,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_killed_and_started_again_serves_the_same_storage() {
    let Some(mut server) = own_minio() else { return };
    let storage = open(&settings(&server.url())).await;
    for round in 0..3 {
        for (name, length) in [("small", 1000), ("large", 2 * PART)] {
            let name = format!("{round}/{name}");
            storage
                .put(&key(&name), stream_of(content(length)))
                .await
                .unwrap();
        }
        server.kill().unwrap();
        let error = storage.ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let error = read(&storage, "0/small").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let error = storage.put(&key("late"), stream_of("x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(
            error
                .to_string()
                .contains("start the store, or set storage.s3.endpoint"),
            "{error}"
        );
        server.start_again().unwrap();
        eventually("the store answers again", async || storage.ping().await.is_ok()).await;
        for past in 0..=round {
            let small = read(&storage, &format!("{past}/small")).await.unwrap();
            assert_eq!(small, content(1000));
            let large = read(&storage, &format!("{past}/large")).await.unwrap();
            assert!(
                large == content(2 * PART),
                "other bytes after {} deaths",
                round + 1
            );
        }
    }
    assert_eq!(names(&storage).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_whose_middle_the_store_dies_fails_and_can_be_repeated() {
    let Some(mut server) = own_minio() else { return };
    let storage = open(&settings(&server.url())).await;
    let (sent, mut reached) = tokio::sync::mpsc::channel(1);
    let (go_on, killed) = tokio::sync::oneshot::channel();
    let pieces: Vec<_> = content(3 * PART)
        .chunks(MIB)
        .map(Bytes::copy_from_slice)
        .collect();
    let rest = pieces.clone();
    let body = stream::iter(pieces)
        .chain(
            stream::once(async move {
                sent.send(()).await.unwrap();
                killed.await.unwrap();
                stream::iter(rest)
            })
            .flatten(),
        )
        .map(Ok)
        .boxed();
    let put = tokio::spawn({
        let storage = storage.clone();
        async move { storage.put(&key("photo"), body).await }
    });
    reached.recv().await.unwrap();
    eventually("the store knows of it", async || unfinished(&server) == 1).await;
    server.kill().unwrap();
    go_on.send(()).unwrap();
    let error = put.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    server.start_again().unwrap();
    eventually("the store answers again", async || storage.ping().await.is_ok()).await;
    assert_eq!(names(&storage).await, Vec::<String>::new());
    storage
        .put(&key("photo"), stream_of(content(6 * PART)))
        .await
        .unwrap();
    assert!(read(&storage, "photo").await.unwrap() == content(6 * PART));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there_at_start_is_waited_for() {
    // Nothing listens on the port of a listener that has gone.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let storage = open(&settings(&endpoint)).await;
    let error = storage.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(
        error
            .to_string()
            .starts_with(&format!("writing to the store: no answer from {endpoint}: ")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_silent_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let settings = with(settings(&endpoint), json!({ "read_timeout_secs": 1 }));
    let storage = open(&settings).await;
    let error = storage.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_bucket_no_blob_is_called_missing() {
    let Some(server) = own_minio() else { return };
    let storage = open(&settings(&server.url())).await;
    storage.put(&key("photo"), stream_of("x")).await.unwrap();
    fs::remove_dir_all(data(&server).join(lucida_test_servers::BUCKET)).unwrap();
    let errors = [
        storage.stat(&key("photo")).await.unwrap_err(),
        read(&storage, "photo").await.unwrap_err(),
        storage.put(&key("photo"), stream_of("y")).await.unwrap_err(),
        storage.ping().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(
            error.to_string().contains("create it or set storage.s3.bucket"),
            "{error}"
        );
    }
}
