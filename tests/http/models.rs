//! Several models behind one server: requests choose by name, and each model is in memory when it is needed.

use std::sync::Arc;

use futures::FutureExt;
use lucida_core::{Embedder, Result};
use lucida_models::{ModelPool, ModelSpec};
use lucida_testkit::{HashModel, jpeg};
use reqwest::multipart::Form;
use serde_json::{Value, json};

use crate::server::{Server, Setup, file_part, send};

const RED: [u8; 3] = [220, 30, 30];

fn spec(name: &str) -> ModelSpec {
    let own = name.to_owned();
    ModelSpec {
        name: name.to_owned(),
        preload: false,
        idle_unload: None,
        open: Box::new(move || {
            let model: Result<Arc<dyn Embedder>> = Ok(Arc::new(HashModel::named(&own).start()));
            async { model }.boxed()
        }),
    }
}

/// Starts a server with the library's model `hash` and the further ones `left` and `right/one`.
async fn server() -> (Server, ModelPool) {
    let pool = ModelPool::open(vec![spec("left"), spec("right/one")], None)
        .await
        .map_err(|(_, error)| error)
        .unwrap();
    let mut setup = Setup::new();
    for model in pool.models() {
        setup = setup.model(Arc::clone(model) as Arc<dyn Embedder>);
    }
    (setup.start().await, pool)
}

async fn text(server: &Server, model: Option<&str>) -> Value {
    let body = json!({"text": "red", "model": model});
    server.post_json("/embed/text", body).await.json()
}

async fn picture(server: &Server, model: &str) -> Value {
    let form = Form::new()
        .text("model", model.to_owned())
        .part("file", file_part(&jpeg(32, 32, RED), "red.jpg"));
    send(server.post("/embed/image").multipart(form)).await.json()
}

fn dot(a: &Value, b: &Value) -> f64 {
    let numbers = |value: &Value| -> Vec<f64> { serde_json::from_value(value["embedding"].clone()).unwrap() };
    numbers(a).iter().zip(numbers(b)).map(|(a, b)| a * b).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_by_the_model_that_it_names() {
    let (server, _pool) = server().await;
    assert_eq!(text(&server, None).await["model"], "hash");
    assert_eq!(text(&server, Some("hash")).await, text(&server, None).await);
    for name in ["left", "right/one"] {
        let answer = text(&server, Some(name)).await;
        assert_eq!(answer["model"], name);
        // The picture is in the space of the same model's texts, and in no other's.
        let picture = picture(&server, name).await;
        assert_eq!(picture["model"], name);
        assert!(dot(&answer, &picture) > 0.5);
        assert!(dot(&text(&server, None).await, &picture).abs() < 0.5);
        let openai = json!({"input": ["red", "a red car"], "model": name});
        let openai = server.post_json("/v1/embeddings", openai).await.json();
        assert_eq!(openai["model"], name);
        assert_eq!(openai["data"][0]["embedding"], answer["embedding"]);
        assert_eq!(openai["usage"]["prompt_tokens"], 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_all_models_at_once_are_answered_by_each() {
    let (server, _pool) = server().await;
    let names = ["hash", "left", "right/one"];
    let calls = (0..30).map(|call| text(&server, Some(names[call % 3])));
    for (call, answer) in futures::future::join_all(calls).await.iter().enumerate() {
        assert_eq!(answer["model"], names[call % 3]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_model_is_refused_with_the_list_of_those_there_are() {
    let (server, _pool) = server().await;
    for (path, body) in [
        ("/embed/text", json!({"text": "red", "model": "middle"})),
        ("/v1/embeddings", json!({"input": "red", "model": "middle"})),
        ("/tokenize", json!({"texts": ["red"], "model": "middle"})),
    ] {
        let problem = server
            .post_json(path, body)
            .await
            .problem_of(404, "model_not_found", "model");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("`hash`, `left`, `right/one`"), "{detail}");
    }
    let form = Form::new().text("model", "middle");
    send(server.post("/embed/image").multipart(form))
        .await
        .problem_of(404, "model_not_found", "model");
    send(server.get("/v1/models/middle"))
        .await
        .problem(404, "model_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_names_its_model_before_its_pictures() {
    let (server, _pool) = server().await;
    let form = Form::new()
        .part("file", file_part(&jpeg(32, 32, RED), "red.jpg"))
        .text("model", "left");
    let refused = send(server.post("/embed/image").multipart(form)).await;
    let problem = refused.problem_of(422, "invalid_field", "model");
    assert!(
        problem["detail"].as_str().unwrap().contains("before the first"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_models_says_which_are_in_memory() {
    let (server, _pool) = server().await;
    let models = send(server.get("/v1/models")).await.json();
    let ids: Vec<_> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| &model["id"])
        .collect();
    assert_eq!(ids, ["hash", "left", "right/one"]);
    let one = |model: &str| send(server.get(&format!("/v1/models/{model}")));
    let left = one("left").await.json();
    assert_eq!(left["role"], "named");
    assert_eq!(left["dimensions"], 64);
    assert_eq!(left["modalities"], json!(["image", "text"]));
    assert_eq!(left["loaded"], false);
    assert_eq!(left.get("collection"), None);
    text(&server, Some("left")).await;
    assert_eq!(one("left").await.json()["loaded"], true);
    assert_eq!(one("right%2Fone").await.json()["loaded"], false);
    // As OpenAI's clients write it.
    assert_eq!(one("right/one").await.json()["id"], "right/one");
    one("right/two").await.problem(404, "model_not_found");
    assert_eq!(one("hash").await.json()["configured"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_a_text_are_shown() {
    let (server, _pool) = server().await;
    let body = json!({"texts": ["a red car", "red"], "model": "left"});
    let answer = server.post_json("/tokenize", body).await.json();
    assert_eq!(answer["model"], "left");
    let words = |text: usize| -> Vec<&str> {
        let tokens = answer["tokens"][text].as_array().unwrap();
        tokens
            .iter()
            .map(|token| token["text"].as_str().unwrap())
            .collect()
    };
    assert_eq!(words(0), ["a", "red", "car"]);
    assert_eq!(words(1), ["red"]);
    assert_eq!(answer["tokens"][0][1]["id"], answer["tokens"][1][0]["id"]);
    server
        .post_json("/tokenize", json!({"texts": [" "]}))
        .await
        .problem_of(422, "empty_text", "texts[0]");
}
