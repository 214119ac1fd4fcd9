//! Webhooks of the real server: signed, in order, and none lost when the receiver or the server dies.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use lucida_testkit::eventually;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::clients::{Clients, Runtime};
use crate::drawn::photo;
use crate::process::{Server, free_address, run};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A call, as the receiver got it.
#[derive(Clone)]
struct Call {
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    fn message(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What receives the webhooks; it may be stopped and started again on the same address.
struct Receiver {
    address: String,
    calls: Arc<Mutex<Vec<Call>>>,
    running: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Returns one that does not listen yet.
    fn new() -> Self {
        Self {
            address: free_address(),
            calls: Arc::default(),
            running: None,
        }
    }

    async fn start(&mut self) {
        let listener = TcpListener::bind(&self.address).await.unwrap();
        let keep = async |State(calls): State<Arc<Mutex<Vec<Call>>>>, headers: HeaderMap, body: Bytes| {
            calls.lock().unwrap().push(Call { headers, body });
            StatusCode::OK
        };
        let app = Router::new()
            .route("/hook", post(keep))
            .with_state(Arc::clone(&self.calls));
        self.running = Some(tokio::spawn(
            async move { axum::serve(listener, app).await.unwrap() },
        ));
    }

    /// Returns the settings of a server that sends to this receiver.
    fn plugins(&self, changes: &str) -> String {
        format!(
            "[{{type = \"webhook\", url = \"http://{}/hook\", secret = \"{SECRET}\", hosts = [\"127.0.0.1\"], \
             timeout_secs = 5, retry_min_secs = 1, retry_max_secs = 2{changes}}}]",
            self.address
        )
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Returns the types of each photo's events in the order in which they came first.
    fn events(&self) -> BTreeMap<String, Vec<String>> {
        let mut seen = Vec::new();
        let mut events = BTreeMap::<String, Vec<String>>::new();
        for call in self.calls() {
            let message = call.message();
            assert_eq!(call.headers["webhook-id"], message["id"].as_str().unwrap());
            if seen.contains(&message["id"]) {
                continue;
            }
            seen.push(message["id"].clone());
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            events
                .entry(text(&message["photo"]["id"]))
                .or_default()
                .push(text(&message["type"]));
        }
        events
    }
}

async fn upload(server: &Server, seed: u64) -> String {
    let answer = server.upload(photo(seed), "photo.jpg", true).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let photo: Value = answer.json().await.unwrap();
    photo["id"].as_str().unwrap().to_owned()
}

async fn delete(server: &Server, id: &str) {
    let url = format!("{}/v1/photos/{id}", server.url);
    let answer = server.client.delete(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
}

/// Runs `lucida events` with these arguments.
fn events(dir: &Path, plugins: &str, arguments: &[&str]) -> String {
    let arguments = [&["events"], arguments].concat();
    let output = run(dir, &[("plugins", plugins)], &arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn no_webhook_is_lost_when_receiver_and_server_die() {
    let dir = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::new();
    let plugins = receiver.plugins("");
    let settings = [("plugins", plugins.as_str())];

    // Nobody listens: everything waits, and survives the server.
    let server = Server::start(dir.path(), &settings).await;
    let mut kept = Vec::new();
    let mut deleted = Vec::new();
    for seed in 0..6 {
        let id = upload(&server, seed).await;
        if seed % 2 == 0 {
            delete(&server, &id).await;
            deleted.push(id);
        } else {
            kept.push(id);
        }
    }
    server.kill();

    receiver.start().await;
    let server = Server::start(dir.path(), &settings).await;
    let all_came = async |kept: &[String], deleted: &[String]| {
        eventually("all webhooks have come, in order", async || {
            let events = receiver.events();
            kept.iter()
                .all(|id| events.get(id).is_some_and(|types| types == &["photo.ready"]))
                && deleted.iter().all(|id| {
                    events
                        .get(id)
                        .is_some_and(|types| types == &["photo.ready", "photo.deleted"])
                })
        })
        .await;
    };
    all_came(&kept, &deleted).await;

    // Killed while webhooks are on their way.
    for seed in 6..12 {
        kept.push(upload(&server, seed).await);
    }
    server.kill();
    let server = Server::start(dir.path(), &settings).await;
    all_came(&kept, &deleted).await;
    let messages = receiver.calls();
    let states = messages
        .iter()
        .map(Call::message)
        .filter(|message| message["type"] == "photo.deleted");
    assert!(
        states
            .into_iter()
            .all(|message| message["photo"]["state"] == "deleted")
    );
    assert!(server.stop());
    assert_eq!(events(dir.path(), &plugins, &[]), "no event was given up\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_webhook_is_shown_and_sent_again_by_command() {
    let dir = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::new();
    let plugins = receiver.plugins(", attempts = 2, events = [\"ready\"]");
    let server = Server::start(dir.path(), &[("plugins", plugins.as_str())]).await;
    let id = upload(&server, 1).await;
    let list = || events(dir.path(), &plugins, &["list"]);
    eventually("the event is dead", async || list().contains(&id)).await;
    let shown = list();
    assert!(
        shown.contains("webhook") && shown.contains("2 attempts"),
        "{shown}"
    );
    let metadata = async || {
        let ready = server.json("/readyz").await;
        let parts = ready["parts"].as_array().unwrap().clone();
        parts.into_iter().find(|part| part["part"] == "metadata").unwrap()
    };
    let part = metadata().await;
    assert_eq!(part["status"], "ok");
    assert!(part["note"].as_str().unwrap().contains("lucida events"), "{part}");
    let metrics = server.get("/metrics").await.unwrap().text().await.unwrap();
    for line in [
        "lucida_outbox_events{plugin=\"webhook\",state=\"dead\"} 1",
        "lucida_outbox_events{plugin=\"webhook\",state=\"pending\"} 0",
        "lucida_outbox_deliveries_total{plugin=\"webhook\",outcome=\"dead\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }

    receiver.start().await;
    let event = shown.split_whitespace().next().unwrap();
    events(dir.path(), &plugins, &["retry", event]);
    eventually("the webhook has come", async || {
        receiver.events().contains_key(&id)
    })
    .await;
    eventually("the note is gone", async || metadata().await["note"].is_null()).await;
    assert_eq!(list(), "no event was given up\n");
    assert!(server.stop());
}

#[test]
fn a_receiver_on_this_machine_is_refused_unless_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let plugins =
        format!("[{{type = \"webhook\", url = \"http://127.0.0.1:9/hook\", secret = \"{SECRET}\"}}]");
    let refused = run(dir.path(), &[("plugins", &plugins)], &["config", "check"]);
    let text =
        String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success(), "{text}");
    assert!(
        text.contains("plugins[0].url") && text.contains("not public"),
        "{text}"
    );
    assert!(!text.contains(SECRET), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_of_standard_webhooks_verifies_the_signature() {
    let Some(clients) = Clients::or_skip() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::new();
    receiver.start().await;
    let plugins = receiver.plugins("");
    let server = Server::start(dir.path(), &[("plugins", plugins.as_str())]).await;
    upload(&server, 1).await;
    eventually("the webhook has come", async || !receiver.calls().is_empty()).await;
    let call = receiver.calls().remove(0);
    let headers: BTreeMap<&str, &str> = call
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    let file = dir.path().join("call.json");
    let body = String::from_utf8(call.body.to_vec()).unwrap();
    std::fs::write(&file, json!({ "headers": headers, "body": body }).to_string()).unwrap();
    let mut command = clients.command("webhook_receiver.py", Runtime::Python);
    let output = command.args([SECRET, file.to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(text.trim(), "photo.ready verified, changed body refused");
    assert!(server.stop());
}
