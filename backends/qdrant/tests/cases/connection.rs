//! Servers that are unavailable, slow, or want another key.

use std::path::Path;
use std::process::Command;

use lucida_core::config::Secret;
use lucida_core::{Error, ErrorKind, IndexFilter, PhotoId, VectorIndex};
use lucida_qdrant::{QdrantConfig, QdrantIndex};
use lucida_testkit::{collection, eventually, point, unit_vector, user};

use tonic::transport::Identity;

use crate::stand_in::{Options, StandIn, VERSION};
use crate::support::{ANY_PORT, config, start};

const DIMENSIONS: usize = 8;
const KEY: &str = "the-right-key-of-a-test";

async fn open(url: &str, change: impl FnOnce(&mut QdrantConfig)) -> QdrantIndex {
    let mut config = config(url, "photo_embeddings");
    config.api_key = None;
    change(&mut config);
    QdrantIndex::open(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_comes_back_with_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let stand_in = start(ANY_PORT, folder.path(), None);
    let address = stand_in.address();
    let url = format!("http://{address}");
    let index = open(&url, |_| {}).await;
    let name = collection(&index, "main");
    index.ensure(&name, DIMENSIONS).await.unwrap();
    index.set_alias(&name).await.unwrap();
    let stored = point(PhotoId::generate(), &user("alice"), unit_vector(DIMENSIONS, 1));
    index.upsert(&name, std::slice::from_ref(&stored)).await.unwrap();

    let mut running = Some(stand_in);
    for _ in 0..3 {
        // It ends with its connections open, in the middle of whatever they carry.
        drop(running.take());
        let away = index.count(&name).await.unwrap_err();
        assert_eq!(away.kind(), ErrorKind::Unavailable, "{away}");
        assert!(away.to_string().contains(&url), "{away}");
        running = Some(start(address, folder.path(), None));
        eventually("the index answers again", async || match index.alias().await {
            Ok(alias) => alias.as_ref() == Some(&name),
            Err(error) if error.is_transient() => false,
            Err(error) => panic!("{error}"),
        })
        .await;
        let hits = index
            .search(&name, &stored.vector, &IndexFilter::default(), 5)
            .await;
        assert_eq!(hits.unwrap()[0].photo_id, stored.photo_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_or_does_not_answer_is_told_apart() {
    let silent = std::net::TcpListener::bind(ANY_PORT).unwrap();
    let slow = format!("http://{}", silent.local_addr().unwrap());
    let index = open(&slow, |config| config.request_timeout_ms = 200).await;
    let error = index.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains(&slow), "{error}");

    let gone = std::net::TcpListener::bind(ANY_PORT)
        .unwrap()
        .local_addr()
        .unwrap();
    let index = open(&format!("http://{gone}"), |_| {}).await;
    let error = index.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(&gone.to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_asked_for_and_a_wrong_one_is_told_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let stand_in = start(ANY_PORT, folder.path(), Some(KEY));
    let url = format!("http://{}", stand_in.address());
    let wrong = "a-wrong-key-of-a-test";
    let refused = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("index.qdrant.api_key"), "{text}");
        assert!(!text.contains(KEY) && !text.contains(wrong), "{text}");
    };
    for key in [None, Some(wrong)] {
        let index = open(&url, |config| config.api_key = key.map(Secret::new)).await;
        assert!(!format!("{index:?}").contains(wrong));
        let name = collection(&index, "main");
        refused(index.ping().await.unwrap_err());
        refused(index.ensure(&name, DIMENSIONS).await.unwrap_err());
        refused(index.count(&name).await.unwrap_err());
    }
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    for index in [
        open(&url, |config| config.api_key = Some(Secret::new(KEY))).await,
        open(&url, |config| config.api_key_file = Some(file)).await,
    ] {
        index.ping().await.unwrap();
        index
            .ensure(&collection(&index, "main"), DIMENSIONS)
            .await
            .unwrap();
    }
}

/// Not a test by itself: another process, whose `SSL_CERT_FILE` is its parent's choice, calls the server at this variable.
#[tokio::test(flavor = "multi_thread")]
async fn calls_a_server_with_tls() {
    let Ok(url) = std::env::var(TLS_URL) else { return };
    let index = open(&url, |_| {}).await;
    let called = match index.ping().await {
        Ok(()) => index.ensure(&collection(&index, "main"), DIMENSIONS).await,
        Err(error) => Err(error),
    };
    match called {
        Ok(()) => println!("\ncalled"),
        Err(error) => println!("\n{}: {error}", error.kind()),
    }
}

const TLS_URL: &str = "LUCIDA_TEST_QDRANT_TLS_URL";

#[tokio::test(flavor = "multi_thread")]
async fn an_https_url_trusts_the_authorities_of_ssl_cert_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name);
    let read = |name: &str| std::fs::read(file(name)).unwrap();
    let stand_in = StandIn::start(Options {
        listen: ANY_PORT,
        data: folder.path().to_owned(),
        api_key: None,
        version: VERSION,
        tls: Some(Identity::from_pem(read("server.pem"), read("server.key"))),
    })
    .unwrap();
    let url = format!("https://{}", stand_in.address());
    let untrusted = format!(
        "unavailable: qdrant at {url} has a certificate that is not trusted: set the variable SSL_CERT_FILE to a PEM \
         file with its authority"
    );
    for (authority, said) in [("ca.pem", "called"), ("other-ca.pem", untrusted.as_str())] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "cases::connection::calls_a_server_with_tls",
                "--nocapture",
            ])
            .env(TLS_URL, &url)
            .env("SSL_CERT_FILE", file(authority))
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&child.stdout);
        assert!(
            output.lines().any(|line| line.starts_with(said)),
            "{authority}: {output}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_behind_an_https_url_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let stand_in = start(ANY_PORT, folder.path(), None);
    let url = format!("https://{}", stand_in.address());
    let error = open(&url, |_| {}).await.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains("does not answer with TLS"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_there_or_hold_nothing_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let gone = folder.path().join("gone");
    let url = "https://127.0.0.1:6334";
    for (path, change) in [
        (
            &empty,
            (|config, path| config.api_key_file = Some(path)) as fn(&mut QdrantConfig, _),
        ),
        (&gone, |config, path| config.api_key_file = Some(path)),
    ] {
        let mut config = config(url, "photo_embeddings");
        config.api_key = None;
        change(&mut config, path.clone());
        let error = QdrantIndex::open(config).await.unwrap_err();
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    }
}
