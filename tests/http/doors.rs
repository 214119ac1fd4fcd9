//! The APIs of several products on one server, at once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lucida_plugin_api_immich::{ApiImmichConfig, ApiImmichPlugin};
use lucida_plugin_api_ollama::{ApiOllamaConfig, ApiOllamaPlugin};
use lucida_plugin_api_tei::{ApiTeiConfig, ApiTeiPlugin};
use lucida_plugin_api_weaviate::{ApiWeaviateConfig, ApiWeaviatePlugin};
use lucida_testkit::jpeg;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::server::{Server, Setup, file_form, send};

async fn server() -> Server {
    Setup::new()
        .plugin(ApiImmichPlugin::new(ApiImmichConfig::default()))
        .plugin(ApiTeiPlugin::new(ApiTeiConfig::default()))
        .plugin(ApiOllamaPlugin::new(ApiOllamaConfig::default()))
        .plugin(ApiWeaviatePlugin::new(ApiWeaviateConfig::default()))
        .start()
        .await
}

fn immich(server: &Server, kind: &str, part: Part) -> reqwest::RequestBuilder {
    let entries = json!({"clip": {kind: {"modelName": "hash"}}}).to_string();
    let input = if kind == "visual" { "image" } else { "text" };
    let form = Form::new().text("entries", entries).part(input, part);
    server.post("/predict").multipart(form)
}

fn of_string(vector: &Value) -> Value {
    serde_json::from_str(vector.as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_gets_the_same_vectors_from_one_server_at_the_same_time() {
    let server = server().await;
    let picture = jpeg(40, 40, [220, 30, 30]);
    let own = server
        .post_json("/embed/text", json!({"text": "a red car"}))
        .await;
    let own_text = own.json()["embedding"].clone();
    let own = send(
        server
            .post("/embed/image")
            .multipart(file_form(&picture, "a.jpg")),
    )
    .await;
    let own_picture = own.json()["embedding"].clone();
    let base64 = STANDARD.encode(&picture);
    let round = async || {
        let text = "a red car";
        let (openai, immich_text, immich_picture, tei, ollama, weaviate) = tokio::join!(
            server.post_json("/v1/embeddings", json!({"input": text})),
            send(immich(&server, "textual", Part::text(text))),
            send(immich(
                &server,
                "visual",
                Part::bytes(picture.to_vec()).file_name("blob")
            )),
            server.post_json("/tei/embed", json!({"inputs": text})),
            server.post_json("/api/embed", json!({"model": "hash", "input": text})),
            server.post_json("/vectorize", json!({"texts": [text], "images": [base64]})),
        );
        assert_eq!(openai.json()["data"][0]["embedding"], own_text);
        assert_eq!(of_string(&immich_text.json()["clip"]), own_text);
        assert_eq!(of_string(&immich_picture.json()["clip"]), own_picture);
        assert_eq!(tei.json()[0], own_text);
        assert_eq!(ollama.json()["embeddings"][0], own_text);
        assert_eq!(weaviate.json()["textVectors"][0], own_text);
        assert_eq!(weaviate.json()["imageVectors"][0], own_picture);
    };
    futures::future::join_all((0..8).map(|_| round())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_the_shape_of_its_own_client() {
    let server = server().await;
    let members = |reply: &crate::server::Reply| -> Vec<String> {
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        body.as_object().unwrap().keys().cloned().collect()
    };
    let openai = server.post_json("/v1/embeddings", json!({"input": ""})).await;
    assert!(openai.problem(422, "empty_text")["error"]["message"].is_string());
    let immich = send(
        server
            .post("/predict")
            .multipart(Form::new().text("entries", "{")),
    )
    .await;
    assert_eq!(
        (immich.status, members(&immich)),
        (422, vec!["detail".to_owned()])
    );
    let tei = server.post_json("/tei/embed", json!({"inputs": ""})).await;
    assert_eq!(
        (tei.status, members(&tei)),
        (422, vec!["error".to_owned(), "error_type".to_owned()])
    );
    let ollama = server
        .post_json("/api/embed", json!({"model": "hash", "input": " "}))
        .await;
    assert_eq!((ollama.status, members(&ollama)), (422, vec!["error".to_owned()]));
    let weaviate = server.post_json("/vectorize", json!({"texts": [""]})).await;
    assert_eq!(
        (weaviate.status, members(&weaviate)),
        (422, vec!["error".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_every_call_with_its_plugin() {
    let server = server().await;
    let document = send(server.get("/openapi.json")).await.json();
    for (path, method, tag) in [
        ("/v1/embeddings", "post", "embed"),
        ("/predict", "post", "api-immich"),
        ("/ping", "get", "api-immich"),
        ("/tei/embed", "post", "api-tei"),
        ("/tei/info", "get", "api-tei"),
        ("/api/embed", "post", "api-ollama"),
        ("/api/tags", "get", "api-ollama"),
        ("/vectorize", "post", "api-weaviate"),
        ("/.well-known/ready", "get", "api-weaviate"),
    ] {
        let call = &document["paths"][path][method];
        assert_eq!(call["tags"], json!([tag]), "{path}");
        assert!(call["summary"].is_string(), "{path}");
    }
}
