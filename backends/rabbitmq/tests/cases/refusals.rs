//! What is refused, and that no refusal prints the password.

use std::fs;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lucida_core::config::parse;
use lucida_core::{BuildContext, ErrorKind, Factory};
use lucida_rabbitmq::{RabbitmqConfig, RabbitmqQueue, factory};
use serde_json::json;

use crate::support::{Proxy, Scratch, channel, config, server};

const PASSWORD: &str = "hunter2/%:@ü";

fn with_password(uri: &AMQPUri) -> AMQPUri {
    let mut uri = uri.clone();
    uri.authority.userinfo.password = PASSWORD.to_owned();
    uri
}

/// Asserts that opening fails like this, and that nothing printed has the password, plain or encoded.
async fn assert_refused(settings: RabbitmqConfig, kind: ErrorKind, words: &str) {
    let printed = format!("{settings:?}");
    let error = RabbitmqQueue::open(settings).await.err().expect("it is refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    for text in [printed, error.to_string(), format!("{error:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_and_not_told() {
    let Some(uri) = server() else { return };
    let wrong = with_password(&uri);
    assert_refused(
        config(&wrong, "unused"),
        ErrorKind::PermissionDenied,
        "correct user and password in queue.rabbitmq.uri",
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("uri");
    fs::write(&file, format!("{wrong}\n")).unwrap();
    let mut settings = config(&uri, "unused");
    (settings.uri, settings.uri_file) = (None, Some(file));
    assert_refused(settings, ErrorKind::PermissionDenied, "ACCESS_REFUSED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_host_that_is_not_there_is_refused() {
    let Some(mut uri) = server() else { return };
    uri.vhost = "nowhere".to_owned();
    assert_refused(
        config(&uri, "unused"),
        ErrorKind::PermissionDenied,
        "correct the path of queue.rabbitmq.uri",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uri_is_read_from_a_file() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("uri");
    fs::write(&file, format!("{}\n", scratch.uri)).unwrap();
    let settings = json!({
        "uri_file": file, "queue": scratch.queue, "heartbeat_secs": 10, "connect_timeout_ms": 5_000,
    });
    let queue = factory()
        .build(&settings, &BuildContext::from_env())
        .await
        .unwrap();
    queue.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_made_otherwise_is_refused_by_name() {
    let Some(uri) = server() else { return };
    let scratch = Scratch::new(uri);
    let (_connection, channel) = channel(&scratch.uri).await;
    let declared = channel.queue_declare(
        scratch.queue.as_str().into(),
        QueueDeclareOptions::durable(),
        FieldTable::default(),
    );
    declared.await.unwrap();
    let settings = config(&scratch.uri, &scratch.queue);
    let words = format!("declaring the queue `{}`", scratch.queue);
    assert_refused(settings, ErrorKind::ConfigInvalid, &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_is_named() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let uri = with_password(&format!("amqp://lucida@{address}").parse().unwrap());
    let words = format!("connecting to RabbitMQ at {address}: RabbitMQ is unavailable");
    assert_refused(config(&uri, "unused"), ErrorKind::Unavailable, &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let proxy = Proxy::start(&format!("amqp://lucida@{address}").parse().unwrap()).await;
    for scheme in ["amqp", "amqps"] {
        let uri = proxy.uri.to_string().replacen("amqp", scheme, 1);
        let mut settings = config(&with_password(&uri.parse().unwrap()), "unused");
        settings.connect_timeout_ms = 300;
        assert_refused(settings, ErrorKind::Unavailable, "did not answer within 300 ms").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_port_is_no_tls_port() {
    let Some(uri) = server() else { return };
    let uri = with_password(&uri).to_string().replacen("amqp", "amqps", 1);
    let settings = config(&uri.parse().unwrap(), "unused");
    assert_refused(settings, ErrorKind::ConfigInvalid, "TLS").await;
}

#[test]
fn bad_settings_are_refused_by_their_name() {
    let good = json!({
        "uri": "amqp://lucida:hunter2@broker/photos",
        "queue": "lucida.photos",
        "heartbeat_secs": 10,
        "connect_timeout_ms": 5_000,
    });
    parse::<RabbitmqConfig>(&good).unwrap();
    for (change, field) in [
        (json!({ "uri": null }), "uri"),
        (json!({ "uri_file": "/run/secrets/uri" }), "uri"),
        (json!({ "uri": "hunter2" }), "uri"),
        (json!({ "uri": "http://lucida:hunter2@broker" }), "uri"),
        (json!({ "queue": "" }), "queue"),
        (json!({ "queue": "amq.photos" }), "queue"),
        (json!({ "queue": "q".repeat(201) }), "queue"),
        (json!({ "heartbeat_secs": 0 }), "heartbeat_secs"),
        (json!({ "heartbeat_secs": 70_000 }), "heartbeat_secs"),
        (json!({ "connect_timeout_ms": 0 }), "connect_timeout_ms"),
    ] {
        let mut settings = good.clone();
        let settings_map = settings.as_object_mut().unwrap();
        settings_map.extend(change.as_object().unwrap().clone());
        let error = parse::<RabbitmqConfig>(&settings).unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::ConfigInvalid, Some(field)),
            "{change}"
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
