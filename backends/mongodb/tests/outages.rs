//! What becomes of the metadata store in MongoDB while its server is unavailable, refuses, or loses an answer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/relay.rs"]
mod relay;
mod support;

use lucida_core::config::parse;
use lucida_core::{Error, ErrorKind, Inserted, MetadataStore, PhotoState};
use lucida_mongodb::{MongodbConfig, MongodbMetadata};
use lucida_test_servers::{Kind, Programs, Server};
use lucida_testkit::{eventually, photo, user};
use relay::Relay;
use serde_json::json;
use support::{Scratch, config, server};

const PASSWORD: &str = "hunter-2-and-more";

/// What an error shows to whoever looks at it.
fn shown(error: &Error) -> String {
    format!("{error} {error:?} {:?}", error.field())
}

async fn refused(config: MongodbConfig) -> Error {
    let error = MongodbMetadata::open(config)
        .await
        .err()
        .expect("it can't be opened");
    assert!(!shown(&error).contains(PASSWORD), "{error}");
    error
}

async fn through_relay(scratch: &Scratch) -> (Relay, MongodbMetadata) {
    let (relay, uri) = Relay::start(&scratch.uri).await;
    let store = MongodbMetadata::open(config(&uri, &scratch.database))
        .await
        .unwrap();
    (relay, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_and_started_again_serves_the_same_store() {
    let Some(programs) = Programs::or_skip(&[Kind::Ferretdb]) else {
        return;
    };
    let mut server = Server::start(Kind::Ferretdb, &programs).unwrap();
    let uri = format!("{}?serverSelectionTimeoutMS=600", server.url());
    let store = MongodbMetadata::open(config(&uri, "lucida_test_killed"))
        .await
        .unwrap();
    let mut kept = vec![photo(&user("alice"))];
    store.insert(&kept[0]).await.unwrap();
    for _ in 0..3 {
        server.kill().unwrap();
        for _ in 0..2 {
            let error = store.ping().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            let error = store.get(&kept[0].id).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
        server.start_again().unwrap();
        eventually("the metadata store answers again", async || {
            store.ping().await.is_ok()
        })
        .await;
        let more = photo(&user("alice"));
        assert_eq!(store.insert(&more).await.unwrap(), Inserted::New(more.clone()));
        kept.push(more);
        let ids: Vec<_> = kept.iter().map(|photo| photo.id).collect();
        assert_eq!(store.get_many(&ids).await.unwrap(), kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_whose_answer_was_lost_finds_its_own_record_when_it_is_repeated() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let (relay, store) = through_relay(&scratch).await;
    let mine = photo(&user("alice"));
    relay.lose_next_answer();
    // Of a replica set the driver has repeated it already, and the server has known it again.
    match store.insert(&mine).await {
        Ok(inserted) => assert_eq!(inserted, Inserted::New(mine.clone())),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
    }
    assert!(relay.has_lost());
    let inserted = store.insert(&mine).await.unwrap();
    assert_eq!(inserted, Inserted::Existing(mine));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_answer_was_lost_is_made_once() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    let (relay, store) = through_relay(&scratch).await;
    let mut mine = photo(&user("alice"));
    store.insert(&mine).await.unwrap();
    store.put_record("lease", &json!("mine"), None).await.unwrap();
    mine.state = PhotoState::Ready;
    relay.lose_next_answer();
    let first = store.update(&mine).await;
    assert!(first.is_ok() || first.is_err_and(|error| error.kind() == ErrorKind::Unavailable));
    assert!(relay.has_lost());
    let error = store.update(&mine).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    mine.version = 2;
    assert_eq!(store.get(&mine.id).await.unwrap(), Some(mine));
    relay.lose_next_answer();
    let first = store.put_record("lease", &json!("mine still"), Some(1)).await;
    assert!(first.is_ok() || first.is_err_and(|error| error.kind() == ErrorKind::Unavailable));
    assert!(relay.has_lost());
    let record = store.record("lease").await.unwrap().unwrap();
    assert_eq!((record.version, record.value), (2, json!("mine still")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_at_the_start_is_unavailable() {
    let uri = format!("mongodb://lucida:{PASSWORD}@127.0.0.1:9/?serverSelectionTimeoutMS=300");
    let error = refused(config(&uri, "lucida")).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("127.0.0.1:9"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_permission_denied_and_not_shown() {
    let Some(uri) = server() else { return };
    let user = format!("mongodb://nobody:{PASSWORD}@");
    let hosts = uri.rsplit_once('@').map_or(uri.as_str(), |(_, hosts)| hosts);
    let uri = format!("{user}{}", hosts.trim_start_matches("mongodb://"));
    let error = refused(config(&uri, "lucida_test_refused")).await;
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("metadata.mongodb.uri"), "{error}");
}

#[test]
fn a_wrong_connection_string_is_refused_offline_and_not_shown() {
    for (uri, hint) in [
        (
            format!("mongodb://lucida:{PASSWORD}/1@db/"),
            "two hexadecimal digits",
        ),
        (
            format!("mongodb://lucida:{PASSWORD}@db:port/"),
            "is not a connection string",
        ),
        (
            format!("postgres://lucida:{PASSWORD}@db/"),
            "is not a connection string",
        ),
        (PASSWORD.to_owned(), "is not a connection string"),
        (String::new(), "is not a connection string"),
        (
            format!(
                "mongodb://lucida:{PASSWORD}@db/?tlsCertificateKeyFilePassword={PASSWORD}&retryWrites=perhaps"
            ),
            "after its `?`",
        ),
        (format!("mongodb://lucida:{PASSWORD}@db/?w=1"), "`w`"),
        (
            format!("mongodb://lucida:{PASSWORD}@db/?w=majority&journal=false"),
            "`journal`",
        ),
        (
            format!("mongodb://lucida:{PASSWORD}@db/?readConcernLevel=local"),
            "`readConcernLevel`",
        ),
        (
            format!("mongodb://lucida:{PASSWORD}@db/?readPreference=secondary"),
            "`readPreference`",
        ),
    ] {
        let error = parse::<MongodbConfig>(&settings(json!({ "uri": uri }))).unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::ConfigInvalid, Some("uri")),
            "{uri}"
        );
        assert!(!shown(&error).contains(PASSWORD), "{error}");
        assert!(error.to_string().contains(hint), "{uri}: {error}");
    }
}

#[test]
fn settings_that_can_not_be_are_refused_by_name() {
    for (change, field) in [
        (json!({ "uri": null }), "uri"),
        (json!({ "uri_file": "/run/secrets/uri" }), "uri"),
        (json!({ "database": "" }), "database"),
        (json!({ "database": "a.b" }), "database"),
        (json!({ "database": "é".repeat(40) }), "database"),
        (json!({ "collection_prefix": "system." }), "collection_prefix"),
        (json!({ "collection_prefix": "a$" }), "collection_prefix"),
        (json!({ "max_connections": 0 }), "max_connections"),
        (json!({ "min_connections": 51 }), "min_connections"),
        (json!({ "operation_timeout_ms": 0 }), "operation_timeout_ms"),
    ] {
        let error = parse::<MongodbConfig>(&settings(change.clone())).unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::ConfigInvalid, Some(field)),
            "{change}"
        );
    }
    for uri in [
        "mongodb://db1,db2:27018/?replicaSet=rs0&w=majority&readConcernLevel=majority&readPreference=primary",
        "mongodb+srv://lucida:p%40ss@cluster.example.org/?retryWrites=true&w=majority&appName=photos",
    ] {
        parse::<MongodbConfig>(&settings(json!({ "uri": uri }))).unwrap();
    }
    let shown = format!(
        "{:?}",
        config(&format!("mongodb://lucida:{PASSWORD}@db"), "lucida")
    );
    assert!(!shown.contains(PASSWORD), "{shown}");
}

/// Settings with all that is needed, changed.
fn settings(change: serde_json::Value) -> serde_json::Value {
    let mut settings = json!({
        "uri": "mongodb://127.0.0.1", "database": "lucida", "collection_prefix": "", "max_connections": 50,
        "min_connections": 1, "max_idle_secs": 300, "connect_timeout_ms": 3_000, "server_selection_timeout_ms": 5_000,
        "operation_timeout_ms": 8_000,
    });
    for (key, value) in change.as_object().unwrap() {
        settings[key] = value.clone();
    }
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_string_may_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("uri");
    let in_file = |database: &str| {
        let mut config = config("unused", database);
        config.uri = None;
        config.uri_file = Some(file.clone());
        config
    };
    let error = refused(in_file("lucida")).await;
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::ConfigInvalid, Some("uri_file")),
        "{error}"
    );
    std::fs::write(&file, PASSWORD).unwrap();
    let error = refused(in_file("lucida")).await;
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::ConfigInvalid, Some("uri_file")),
        "{error}"
    );
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(&uri);
    std::fs::write(&file, format!("{uri}\n")).unwrap();
    let store = MongodbMetadata::open(in_file(&scratch.database)).await.unwrap();
    store.ping().await.unwrap();
}
