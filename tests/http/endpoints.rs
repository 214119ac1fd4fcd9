//! A plugin adds calls at paths of its choice, with its own keys, limits and shape of failures.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::Extension;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use lucida_core::{
    Access, BodyKind, BodyLimit, Caller, Deadline, Embeddings, Endpoint, Error, Failure, Hook, KeyPlace,
    Plugin, PluginHost, Refusal, Scope, TextOptions,
};
use lucida_testkit::jpeg;
use serde_json::{Value, json};

use crate::server::{Server, Setup, send};

/// Answers at `/oracle/…`, and at one more path.
struct Oracle {
    name: &'static str,
    path: &'static str,
}

const ORACLE: Oracle = Oracle {
    name: "oracle",
    path: "/ask",
};

fn key(also_in: Option<KeyPlace>) -> Access {
    Access::Key {
        scope: Some(Scope::Embed),
        also_in,
    }
}

fn endpoint(method: Method, path: &str, access: Access, handler: axum::routing::MethodRouter) -> Endpoint {
    let body = if method == Method::POST {
        BodyKind::Any(Some(BodyLimit {
            max_bytes: 100_000,
            setting: "plugins.oracle.max_bytes".to_owned(),
        }))
    } else {
        BodyKind::None
    };
    Endpoint {
        method,
        path: path.to_owned(),
        access,
        body,
        handler,
        operation: json!({
            "summary": "Asks the oracle.",
            "requestBody": { "content": {} },
            "responses": { "200": { "description": "The answer." } },
        }),
    }
}

async fn who(Extension(caller): Extension<Caller>) -> String {
    caller.user_id.to_string()
}

async fn embed(models: Arc<dyn Embeddings>, deadline: Deadline, file: Bytes) -> Result<Json<Value>, Refusal> {
    let model = models.models()[0].model.clone();
    let found = models.picture(&model, file, &deadline).await?;
    let texts = vec!["red".to_owned()];
    let mut text = models
        .texts(&model, texts, &TextOptions::default(), &deadline)
        .await?;
    let text = text.remove(0)?.embedding;
    Ok(Json(json!({
        "picture": found.embedding,
        "size": [found.stored_width, found.stored_height],
        "text": text,
    })))
}

#[async_trait::async_trait]
impl Plugin for Oracle {
    fn name(&self) -> &str {
        self.name
    }

    fn hooks(&self) -> &[Hook] {
        &[]
    }

    fn endpoints(&self, host: PluginHost) -> Vec<Endpoint> {
        let models = host.embeddings;
        let embed = post(move |Extension(deadline): Extension<Deadline>, file: Bytes| {
            embed(Arc::clone(&models), deadline, file)
        });
        let header = KeyPlace::Header("x-oracle".to_owned());
        let in_path = KeyPlace::PathParameter("key".to_owned());
        vec![
            endpoint(Method::GET, self.path, Access::Open, get(who)),
            endpoint(Method::GET, "/oracle/header", key(Some(header)), get(who)),
            endpoint(Method::GET, "/oracle/key/{key}/who", key(Some(in_path)), get(who)),
            endpoint(Method::POST, "/oracle/embed", key(None), embed),
            endpoint(
                Method::GET,
                "/oracle/busy",
                Access::Open,
                get(async || Refusal(Error::overloaded("the oracle sleeps", Duration::from_secs(7)))),
            ),
            endpoint(Method::GET, "/oracle/panic", Access::Open, get(panics)),
        ]
    }

    fn failure_body(&self, failure: &Failure) -> Option<Response> {
        let body = json!({ "oracle": failure.code, "says": failure.message });
        Some(Json(body).into_response())
    }
}

async fn panics() -> &'static str {
    panic!("the tripod fell over")
}

async fn server() -> Server {
    Setup::new()
        .plugin(ORACLE)
        .key("one-key", "alice", &[Scope::Embed])
        .key("other-key", "bob", &[Scope::Read])
        .start()
        .await
}

fn numbers(vector: &Value) -> Vec<f32> {
    serde_json::from_value(vector.clone()).unwrap()
}

fn shape(reply: &crate::server::Reply) -> Value {
    assert_eq!(reply.header("content-type"), "application/json");
    assert!(!reply.header("x-request-id").is_empty());
    serde_json::from_slice(&reply.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_is_open_to_whom_its_plugin_says() {
    let server = server().await;
    assert_eq!(send(server.get("/ask")).await.text(), "local");
    let header = |key: &'static str| send(server.get("/oracle/header").header("x-oracle", key));
    assert_eq!(header("one-key").await.text(), "alice");
    assert_eq!(header("no-key").await.status, 401);
    assert_eq!(header("other-key").await.status, 403);
    assert_eq!(send(server.get("/oracle/key/one-key/who")).await.text(), "alice");
    assert_eq!(send(server.get("/oracle/key/no-key/who")).await.status, 401);
    let usual = server.get("/oracle/key/no-key/who").bearer_auth("one-key");
    assert_eq!(send(usual).await.text(), "alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_has_the_plugins_shape_whoever_refused() {
    let server = server().await;
    let refused = send(server.get("/oracle/header")).await;
    assert_eq!(
        (refused.status, &shape(&refused)["oracle"]),
        (401, &json!("unauthorized"))
    );
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
    let busy = send(server.get("/oracle/busy")).await;
    assert_eq!((busy.status, busy.header("retry-after")), (429, "7"));
    assert_eq!(
        shape(&busy),
        json!({"oracle": "overloaded", "says": "the oracle sleeps"})
    );
    let panicked = send(server.get("/oracle/panic")).await;
    assert_eq!(panicked.status, 500);
    assert!(!shape(&panicked).to_string().contains("tripod"));
    let large = server
        .post("/oracle/embed")
        .bearer_auth("one-key")
        .body(vec![7; 100_001]);
    let large = send(large).await;
    assert_eq!(large.status, 413);
    assert!(
        shape(&large)["says"]
            .as_str()
            .unwrap()
            .contains("plugins.oracle.max_bytes")
    );
    assert_eq!(send(server.get("/healthz")).await.status, 200);
    let metrics = send(server.get("/metrics").bearer_auth("other-key")).await.text();
    assert!(metrics.contains(r#"route="/oracle/key/{key}/who""#), "{metrics}");
    assert!(!metrics.contains("no-key"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_gets_the_embeddings_that_the_server_gives() {
    let server = server().await;
    let picture = jpeg(60, 40, [220, 30, 30]);
    let ask = server.post("/oracle/embed").bearer_auth("one-key").body(picture);
    let answer = send(ask).await.json();
    assert_eq!(answer["size"], json!([60, 40]));
    let text = server
        .post("/embed/text")
        .bearer_auth("one-key")
        .json(&json!({"text": "red"}));
    assert_eq!(
        numbers(&answer["text"]),
        numbers(&send(text).await.json()["embedding"])
    );
    assert_eq!(numbers(&answer["picture"]).len(), 64);
    let wrong = server.post("/oracle/embed").bearer_auth("one-key").body("words");
    assert_eq!(shape(&send(wrong).await)["oracle"], "not_an_image");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_the_plugins_calls() {
    let server = server().await;
    let document = send(server.get("/openapi.json")).await.json();
    let ask = &document["paths"]["/ask"]["get"];
    assert_eq!(
        (&ask["summary"], &ask["tags"]),
        (&json!("Asks the oracle."), &json!(["oracle"]))
    );
    assert_eq!(ask["security"], json!([]));
    let embed = &document["paths"]["/oracle/embed"]["post"];
    assert!(
        embed["description"].as_str().unwrap().contains("`embed`"),
        "{embed}"
    );
    let size = embed["requestBody"]["description"].as_str().unwrap();
    assert!(
        size.contains("100000") && size.contains("plugins.oracle.max_bytes"),
        "{size}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_calls_of_one_path_stop_the_server_at_start_by_name() {
    let named = |name, path| Oracle { name, path };
    for (setup, owner) in [
        (Setup::new().plugin(named("second", "/v1/photos")), "the server"),
        (
            Setup::new().plugin(named("second", "/v1/photos/{photo}")),
            "the server",
        ),
        (
            Setup::new().plugin(named("second", "/gallery/{page}")),
            "the server",
        ),
        (
            Setup::new()
                .plugin(named("first", "/one"))
                .plugin(named("second", "/two")),
            "first",
        ),
    ] {
        let error = setup.start().await.serving.await.unwrap().unwrap_err();
        let message = error.message();
        assert!(
            message.contains("plugin `second`") && message.contains(owner),
            "{message}"
        );
    }
    let server = Setup::new().plugin(named("oracle", "/v1/search/")).start().await;
    assert_eq!(send(server.get("/v1/search/")).await.text(), "local");
}
