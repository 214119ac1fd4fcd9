//! A tool that only knows Ollama gets vectors from Lucida.

use std::collections::BTreeMap;

use lucida_api::Auth;
use lucida_core::Scope;
use lucida_plugin_api_ollama::{ApiOllamaConfig, ApiOllamaPlugin};
use serde_json::{Value, json};

use crate::server::{Reply, Server, Setup, send};

fn plugin(auth: Auth) -> ApiOllamaPlugin {
    ApiOllamaPlugin::new(ApiOllamaConfig {
        models: BTreeMap::from([("nomic-embed-text".to_owned(), "hash".to_owned())]),
        auth,
    })
}

async fn server() -> Server {
    Setup::new().plugin(plugin(Auth::Key)).start().await
}

#[track_caller]
fn failure(reply: &Reply, status: u16) -> String {
    assert_eq!(reply.status, status, "{}", reply.text());
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["error"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_text_and_several_get_vectors_and_durations() {
    let server = server().await;
    let own = server
        .post_json("/embed/text", json!({"texts": ["red", "blue"]}))
        .await
        .json();
    for name in [
        "hash",
        "hash:latest",
        "nomic-embed-text",
        "nomic-embed-text:latest",
    ] {
        let body = json!({
            "model": name, "input": ["red", "blue"], "truncate": true, "keep_alive": "5m", "dimensions": 64,
            "options": {"num_ctx": 512}, "later_field": 1,
        });
        let answer = server.post_json("/api/embed", body).await.json();
        assert_eq!(answer["model"], name);
        assert_eq!(answer["embeddings"], own["embeddings"]);
        assert!(answer["total_duration"].as_u64().unwrap() > 0, "{answer}");
        assert_eq!(answer["prompt_eval_count"], 2);
    }
    let one = json!({"model": "hash", "input": "red", "keep_alive": 0});
    let one = server.post_json("/api/embed", one).await.json();
    assert_eq!(one["embeddings"], json!([own["embeddings"][0]]));
    let older = json!({"model": "hash", "prompt": "red"});
    let older = server.post_json("/api/embeddings", older).await.json();
    assert_eq!(older, json!({"embedding": own["embeddings"][0]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_content_type_is_read_as_ollamas_documentation_sends_it() {
    let server = server().await;
    let request = server
        .post("/api/embed")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(r#"{"model": "hash", "input": "red"}"#);
    assert_eq!(
        send(request).await.json()["embeddings"].as_array().unwrap().len(),
        1
    );
    let bare = server
        .post("/api/embed")
        .body(r#"{"model": "hash", "input": "red"}"#);
    assert_eq!(send(bare).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_input_asks_for_the_model_alone() {
    let server = server().await;
    for input in [json!(""), json!([]), json!(null)] {
        let answer = server
            .post_json("/api/embed", json!({"model": "hash", "input": input}))
            .await;
        assert_eq!(answer.json()["embeddings"], json!([]));
    }
    let older = server
        .post_json("/api/embeddings", json!({"model": "hash"}))
        .await;
    assert_eq!(older.json(), json!({"embedding": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_and_described() {
    let server = server().await;
    let tags = send(server.get("/api/tags")).await.json();
    let names: Vec<_> = tags["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["hash:latest", "nomic-embed-text:latest"]);
    assert_eq!(tags["models"][0]["model"], "hash:latest");
    for field in ["modified_at", "size", "digest", "details"] {
        assert!(!tags["models"][0][field].is_null(), "{field}: {tags}");
    }
    for body in [
        json!({"model": "nomic-embed-text"}),
        json!({"name": "hash:latest"}),
    ] {
        let shown = server.post_json("/api/show", body).await.json();
        assert_eq!(shown["capabilities"], json!(["embedding"]));
        assert_eq!(shown["model_info"]["lucida.embedding_length"], 64);
    }
    let version = send(server.get("/api/version")).await.json();
    assert!(
        version["version"].as_str().unwrap().starts_with("0."),
        "{version}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_ollamas_shape() {
    let server = server().await;
    for (path, body, status, words) in [
        (
            "/api/embed",
            json!({"model": "llama3", "input": "red"}),
            404,
            "`hash`, `nomic-embed-text`",
        ),
        ("/api/embed", json!({"input": "red"}), 422, "model is required"),
        ("/api/show", json!({}), 422, "model is required"),
        (
            "/api/embed",
            json!({"model": "hash", "input": 5}),
            422,
            "`input` must be a text",
        ),
        (
            "/api/embed",
            json!({"model": "hash", "input": ["a", 5]}),
            422,
            "`input[1]`",
        ),
        (
            "/api/embed",
            json!({"model": "hash", "input": ["a", " "]}),
            422,
            "`input[1]` is empty",
        ),
        (
            "/api/embed",
            json!({"model": "hash", "input": "a", "dimensions": 3}),
            422,
            "`dimensions`",
        ),
    ] {
        let reply = server.post_json(path, body.clone()).await;
        let message = failure(&reply, status);
        assert!(message.contains(words), "{body}: {message}");
    }
    let broken = send(server.post("/api/embed").body("{")).await;
    assert!(failure(&broken, 400).contains("not valid JSON"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gallery_stays_at_the_root_and_a_key_opens_the_calls() {
    let server = Setup::new()
        .plugin(plugin(Auth::Key))
        .key("embedder", "alice", &[Scope::Embed])
        .start()
        .await;
    let root = send(server.get("/")).await;
    assert!(root.header("content-type").starts_with("text/html"));
    failure(&send(server.get("/api/tags")).await, 401);
    let tags = server.get("/api/tags").bearer_auth("embedder");
    assert_eq!(send(tags).await.status, 200);
    let open = Setup::new()
        .plugin(plugin(Auth::None))
        .key("embedder", "alice", &[Scope::Embed])
        .start()
        .await;
    let body = json!({"model": "hash", "input": "red"});
    assert_eq!(open.post_json("/api/embed", body).await.status, 200);
}
