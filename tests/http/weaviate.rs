//! A Weaviate server asks Lucida in the place of its multi2vec-clip container.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lucida_api::Auth;
use lucida_core::Scope;
use lucida_plugin_api_weaviate::{ApiWeaviateConfig, ApiWeaviatePlugin};
use lucida_testkit::jpeg;
use serde_json::{Value, json};

use crate::server::{Reply, Server, Setup, file_form, send};

const RED: [u8; 3] = [220, 30, 30];

async fn server_with(config: ApiWeaviateConfig) -> Server {
    Setup::new()
        .plugin(ApiWeaviatePlugin::new(config))
        .key("embedder", "alice", &[Scope::Embed])
        .start()
        .await
}

async fn server() -> Server {
    server_with(ApiWeaviateConfig {
        auth: Auth::None,
        ..ApiWeaviateConfig::default()
    })
    .await
}

/// Sends a body as Weaviate's client does: without a content type.
async fn vectorize(server: &Server, body: Value) -> Reply {
    send(server.post("/vectorize").body(body.to_string())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_pictures_get_the_vectors_that_lucida_itself_gives() {
    let server = server().await;
    let picture = jpeg(48, 32, RED);
    let texts = server
        .post("/embed/text")
        .json(&json!({"texts": ["red", "blue"]}));
    let texts = send(texts.header("x-api-key", "embedder")).await.json();
    let image = server
        .post("/embed/image")
        .multipart(file_form(&picture, "a.jpg"));
    let image = send(image.header("x-api-key", "embedder")).await.json();
    let picture = STANDARD.encode(&picture);
    let both = json!({"texts": ["red", "blue"], "images": [picture]});
    assert_eq!(
        vectorize(&server, both).await.json(),
        json!({"textVectors": texts["embeddings"], "imageVectors": [image["embedding"]]})
    );
    // What Weaviate has none of is null.
    let texts_only = vectorize(&server, json!({"texts": ["red"], "images": null})).await;
    assert_eq!(
        texts_only.json(),
        json!({"textVectors": [texts["embeddings"][0]], "imageVectors": []})
    );
    let images_only = vectorize(&server, json!({"texts": null, "images": [picture, picture]})).await;
    assert_eq!(
        images_only.json(),
        json!({"textVectors": [], "imageVectors": [image["embedding"], image["embedding"]]})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_fails_is_named_in_the_shape_that_weaviate_reads() {
    let server = server().await;
    let picture = STANDARD.encode(jpeg(48, 32, RED));
    let words = STANDARD.encode("words");
    for (body, status, message) in [
        (json!({"images": [picture, words]}), 415, "images[1]: "),
        (
            json!({"images": [picture, "*"]}),
            422,
            "`images[1]` is not valid base64",
        ),
        (json!({"texts": ["red", ""]}), 422, "`texts[1]` is empty"),
        (json!({"texts": "red"}), 422, "`texts`"),
    ] {
        let reply = vectorize(&server, body.clone()).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        let answer: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(message), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weaviate_sees_that_the_server_runs_and_what_its_model_is() {
    let server = server().await;
    for path in ["/.well-known/live", "/.well-known/ready"] {
        let reply = send(server.get(path)).await;
        assert_eq!((reply.status, reply.body.len()), (204, 0), "{path}");
    }
    let meta = send(server.get("/meta")).await.json();
    assert_eq!(
        (&meta["model"], &meta["dimensions"]),
        (&json!("hash"), &json!(64))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_the_plugins_own_limit_hold() {
    let server = server_with(ApiWeaviateConfig {
        max_body_bytes: 1000,
        ..ApiWeaviateConfig::default()
    })
    .await;
    assert_eq!(vectorize(&server, json!({"texts": ["red"]})).await.status, 401);
    let large = json!({"images": ["A".repeat(2000)]}).to_string();
    let large = server
        .post("/vectorize")
        .header("x-api-key", "embedder")
        .body(large);
    let refused = send(large).await;
    assert_eq!(refused.status, 413);
    assert!(refused.text().contains("max_body_bytes"), "{}", refused.text());
}
