//! What a receiver gets, how its answers are taken, and which receivers are not called at all.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use hmac::{Hmac, Mac as _};
use lucida_core::config::Settings as _;
use lucida_core::{ErrorKind, EventKind, OutboxEvent, Photo, PhotoState, Plugin, Result, Secret};
use lucida_egress::Lookup;
use lucida_plugin_webhook::{WebhookConfig, WebhookPlugin};
use lucida_testkit::{Fixture, photo, user};
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn config(changes: &Value) -> WebhookConfig {
    let mut settings = json!({ "url": "https://example.org/lucida", "secret": SECRET });
    for (key, value) in changes.as_object().unwrap() {
        settings[key] = value.clone();
    }
    serde_json::from_value(settings).unwrap()
}

async fn fixture() -> Fixture<dyn Plugin> {
    Fixture::new(WebhookPlugin::open(config(&json!({}))).await.unwrap())
}

lucida_testkit::plugin_contract!(fixture);

/// What one call had.
#[derive(Clone)]
struct Call {
    headers: HeaderMap,
    body: Bytes,
}

/// A server on the loopback interface, which keeps what it gets.
struct Receiver {
    port: u16,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Receiver {
    async fn start() -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&calls);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let keep = move |answer: fn() -> Response| {
            let kept = Arc::clone(&kept);
            post(async move |headers: HeaderMap, body: Bytes| {
                kept.lock().unwrap().push(Call { headers, body });
                answer()
            })
        };
        let app = Router::new()
            .route("/ok", keep(|| StatusCode::NO_CONTENT.into_response()))
            .route("/gone", keep(|| StatusCode::GONE.into_response()))
            .route("/refused", keep(|| StatusCode::BAD_REQUEST.into_response()))
            .route("/moved", keep(|| Redirect::temporary("/ok").into_response()))
            .route(
                "/busy",
                keep(|| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "120")]).into_response()),
            )
            .route("/slow", post(async || std::future::pending::<()>().await));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { port, calls }
    }

    /// Returns a plugin that calls a path of this server, which the settings allow by name.
    async fn plugin(&self, path: &str, changes: Value) -> WebhookPlugin {
        let mut settings = json!({
            "url": format!("http://127.0.0.1:{}{path}", self.port), "hosts": ["127.0.0.1"], "timeout_secs": 60
        });
        for (key, value) in changes.as_object().unwrap() {
            settings[key] = value.clone();
        }
        WebhookPlugin::open(config(&settings)).await.unwrap()
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

fn event(kind: EventKind, state: PhotoState) -> (Photo, OutboxEvent) {
    let mut photo = photo(&user("alice"));
    photo.state = state;
    let created_at = "2025-06-01T12:00:00.123456Z".parse().unwrap();
    let event = OutboxEvent::new("webhook", kind, &photo, created_at).unwrap();
    (photo, event)
}

fn ready() -> OutboxEvent {
    event(EventKind::Ready, PhotoState::Ready).1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_gets_each_kind_of_event_signed() {
    let receiver = Receiver::start().await;
    let plugin = receiver.plugin("/ok", json!({})).await;
    let kinds = [
        (EventKind::Ready, PhotoState::Ready, "ready"),
        (EventKind::Failed, PhotoState::Failed, "failed"),
        (EventKind::Deleted, PhotoState::Deleting, "deleted"),
    ];
    for (at, (kind, state, name)) in kinds.into_iter().enumerate() {
        let (photo, event) = event(kind, state);
        plugin.deliver(&event).await.unwrap();
        let Call { headers, body } = receiver.calls()[at].clone();
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let message: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(message["id"], event.id.to_string());
        assert_eq!(message["type"], format!("photo.{name}"));
        assert_eq!(message["created_at"], "2025-06-01T12:00:00.123456Z");
        assert_eq!(message["user"], "alice");
        assert_eq!(message["photo"]["id"], photo.id.to_string());
        assert_eq!(message["photo"]["state"], name);
        assert_eq!(message["photo"].get("blob"), None);
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("webhook-id"), event.id.to_string());
        let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
        let mut hmac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        hmac.update(format!("{}.{}.", event.id, header("webhook-timestamp")).as_bytes());
        hmac.update(&body);
        let signature = STANDARD.encode(hmac.finalize().into_bytes());
        assert_eq!(header("webhook-signature"), format!("v1,{signature}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_says_decides_about_the_next_attempt() {
    let receiver = Receiver::start().await;
    let refused = async |path: &str, changes: Value| {
        let plugin = receiver.plugin(path, changes).await;
        plugin.deliver(&ready()).await.unwrap_err()
    };
    let gone = refused("/gone", json!({})).await;
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    let bad = refused("/refused", json!({})).await;
    assert_eq!(
        (bad.kind(), bad.retry_after()),
        (ErrorKind::Unavailable, None),
        "{bad}"
    );
    let busy = refused("/busy", json!({})).await;
    assert_eq!(busy.retry_after().map(|wait| wait.as_secs()), Some(120), "{busy}");
    let moved = refused("/moved", json!({})).await;
    assert!(
        moved.to_string().contains("redirects are not followed"),
        "{moved}"
    );
    let slow = refused("/slow", json!({ "timeout_secs": 1 })).await;
    assert_eq!(slow.kind(), ErrorKind::Timeout, "{slow}");
    // One for each but the slow one: the redirect led nowhere.
    assert_eq!(receiver.calls().len(), 4);
    drop(receiver);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let plugin = WebhookPlugin::open(config(&json!({ "url": url, "hosts": ["127.0.0.1"] })))
        .await
        .unwrap();
    let away = plugin.deliver(&ready()).await.unwrap_err();
    assert_eq!(away.kind(), ErrorKind::Unavailable, "{away}");
}

/// A name whose addresses are these, whatever the network says.
fn resolving(addresses: &[&str]) -> Lookup {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Arc::new(move |_| std::future::ready(Ok(addresses.clone())).boxed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_this_machine_is_called_only_if_it_is_allowed_by_name() {
    let receiver = Receiver::start().await;
    let url = format!("http://receiver.example:{}/ok", receiver.port);
    let deliver = async |hosts: Value| -> Result<()> {
        let config = config(&json!({ "url": url, "hosts": hosts }));
        let plugin = WebhookPlugin::with_lookup(config, resolving(&["127.0.0.1"])).await?;
        plugin.deliver(&ready()).await
    };
    let refused = deliver(json!([])).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    assert!(!refused.to_string().contains("127.0.0.1"), "{refused}");
    assert_eq!(receiver.calls().len(), 0);
    deliver(json!(["*.example"])).await.unwrap();
    assert_eq!(receiver.calls().len(), 1);
}

#[test]
fn settings_that_can_not_work_are_refused_at_start() {
    let refused = |changes: Value| {
        let error = config(&changes).validate().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
        assert!(!error.to_string().contains("whsec_"), "{error}");
        error.field().unwrap().to_owned()
    };
    for url in [
        "http://127.0.0.1:9000/",
        "http://0x7f.1/",
        "https://[::1]/",
        "http://169.254.169.254/latest",
        "ftp://example.org/",
        "https://user:password@example.org/",
        "no url",
    ] {
        assert_eq!(refused(json!({ "url": url })), "url", "{url}");
    }
    assert_eq!(refused(json!({ "hosts": ["other.example"] })), "url");
    assert_eq!(refused(json!({ "hosts": ["not a host"] })), "hosts[0]");
    assert_eq!(refused(json!({ "secret": "hunter2" })), "secret");
    assert_eq!(refused(json!({ "secret": null })), "secret");
    assert_eq!(refused(json!({ "secret_file": "/run/key" })), "secret_file");
    assert_eq!(refused(json!({ "events": [] })), "events");
    assert_eq!(refused(json!({ "events": ["ready", "ready"] })), "events[1]");
    assert_eq!(refused(json!({ "name": "a/b" })), "name");
    assert_eq!(refused(json!({ "attempts": 0 })), "attempts");
    assert_eq!(
        refused(json!({ "retry_min_secs": 60, "retry_max_secs": 30 })),
        "retry_max_secs"
    );
    config(&json!({ "url": "http://127.0.0.1:9000/", "hosts": ["127.0.0.1"] }))
        .validate()
        .unwrap();
    config(&json!({})).validate().unwrap();
}

#[tokio::test]
async fn the_key_may_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let opened = async || {
        let settings = WebhookConfig {
            secret: None,
            secret_file: Some(file.clone()),
            ..config(&json!({}))
        };
        WebhookPlugin::open(settings).await.map(drop)
    };
    let missing = opened().await.unwrap_err();
    assert_eq!(missing.field(), Some("secret_file"), "{missing}");
    std::fs::write(&file, "hunter2\n").unwrap();
    let wrong = opened().await.unwrap_err();
    assert_eq!(wrong.field(), Some("secret_file"), "{wrong}");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    opened().await.unwrap();
    let shown = format!("{:?}", config(&json!({ "secret": Secret::new(SECRET).expose() })));
    assert!(!shown.contains("MfKQ"), "{shown}");
}
