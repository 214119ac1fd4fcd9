//! A client of text-embeddings-inference asks Lucida in its place.

use lucida_api::Auth;
use lucida_core::Scope;
use lucida_plugin_api_tei::{ApiTeiConfig, ApiTeiPlugin};
use serde_json::{Value, json};

use crate::server::{Reply, Server, Setup, send};

async fn server_with(config: ApiTeiConfig) -> Server {
    Setup::new().plugin(ApiTeiPlugin::new(config)).start().await
}

async fn server() -> Server {
    server_with(ApiTeiConfig::default()).await
}

async fn own(server: &Server, texts: Value) -> Value {
    let answer = server.post_json("/embed/text", json!({"texts": texts})).await;
    answer.json()["embeddings"].clone()
}

/// Checks that an answer is a failure in the shape of text-embeddings-inference, and returns its sentence.
#[track_caller]
fn failure(reply: &Reply, status: u16, error_type: &str) -> String {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.header("content-type"), "application/json");
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    assert_eq!(body["error_type"], error_type, "{body}");
    body["error"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_text_and_several_get_a_list_of_vectors() {
    let server = server().await;
    let expected = own(&server, json!(["red", "blue"])).await;
    for path in ["/tei/embed", "/tei", "/tei/"] {
        let several = server.post_json(path, json!({"inputs": ["red", "blue"]})).await;
        assert_eq!(several.json(), expected, "{path}");
    }
    let all_fields = json!({
        "inputs": "red", "truncate": true, "truncation_direction": "Right", "prompt_name": null, "normalize": true,
        "dimensions": 64,
    });
    let one = server.post_json("/tei/embed", all_fields).await;
    assert_eq!(one.json(), json!([expected[0]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn token_ids_are_those_of_the_models_tokenizer() {
    let server = server().await;
    let tokens = server
        .post_json("/tei/tokenize", json!({"inputs": "red blue"}))
        .await
        .json();
    assert_eq!(tokens.as_array().unwrap().len(), 1, "{tokens}");
    assert_eq!(
        (
            &tokens[0][0]["text"],
            &tokens[0][0]["special"],
            &tokens[0][0]["start"]
        ),
        (&json!("red"), &json!(false), &json!(null))
    );
    let ids: Vec<_> = tokens[0]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| &token["id"])
        .collect();
    let expected = own(&server, json!(["red blue"])).await;
    for inputs in [json!(ids), json!([ids])] {
        let answer = server.post_json("/tei/embed", json!({"inputs": inputs})).await;
        assert_eq!(answer.json(), expected);
        let decoded = server.post_json("/tei/decode", json!({"ids": inputs})).await;
        assert_eq!(decoded.json(), json!(["red blue"]));
    }
    let unknown = server
        .post_json("/tei/embed", json!({"inputs": [[u32::MAX]]}))
        .await;
    assert!(failure(&unknown, 422, "Validation").contains("4294967295"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_statuses_and_the_shape_of_text_embeddings_inference() {
    let server = server_with(ApiTeiConfig {
        max_client_batch_size: 2,
        ..ApiTeiConfig::default()
    })
    .await;
    for (path, body, status, words) in [
        (
            "embed",
            json!({"inputs": ["a", "b", "c"]}),
            413,
            "batch size 3 > maximum allowed batch size 2",
        ),
        ("embed", json!({"inputs": []}), 422, "`inputs` is empty"),
        ("embed", json!({}), 422, "missing field `inputs`"),
        (
            "embed",
            json!({"inputs": ["a", " "]}),
            422,
            "`inputs[1]` is empty",
        ),
        (
            "embed",
            json!({"inputs": "a", "normalize": false}),
            422,
            "unit length",
        ),
        (
            "embed",
            json!({"inputs": "a", "truncate": true, "truncation_direction": "left"}),
            422,
            "at their end",
        ),
        (
            "embed",
            json!({"inputs": "a", "prompt_name": "query"}),
            422,
            "`query`",
        ),
        (
            "embed",
            json!({"inputs": "a", "dimensions": 32}),
            422,
            "`dimensions`",
        ),
        ("embed_all", json!({"inputs": "a"}), 422, "single tokens"),
        ("decode", json!({"ids": ["a"]}), 422, "token ids"),
        ("tokenize", json!({"inputs": [1, 2]}), 422, "texts"),
    ] {
        let reply = server.post_json(&format!("/tei/{path}"), body.clone()).await;
        let message = failure(&reply, status, "Validation");
        assert!(message.contains(words), "{body}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_overloaded_and_says_when_to_come_back() {
    let mut setup = Setup::new().plugin(ApiTeiPlugin::new(ApiTeiConfig::default()));
    setup.options.max_concurrent_requests = 1;
    let server = setup.start().await;
    server.model.hold();
    let first = tokio::spawn(send(server.post("/tei/embed").json(&json!({"inputs": "red"}))));
    lucida_testkit::eventually("a request is refused", async || {
        send(server.get("/tei/info")).await.status == 429
    })
    .await;
    let refused = server.post_json("/tei/embed", json!({"inputs": "red"})).await;
    assert!(failure(&refused, 429, "Overloaded").contains("server.max_concurrent_requests"));
    assert!(!refused.header("retry-after").is_empty());
    server.model.release();
    assert_eq!(first.await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_says_what_it_is_and_that_it_runs() {
    let server = server().await;
    let health = send(server.get("/tei/health")).await;
    assert_eq!((health.status, health.body.len()), (200, 0));
    let info = send(server.get("/tei/info")).await.json();
    assert_eq!(
        (
            &info["model_id"],
            &info["max_client_batch_size"],
            &info["auto_truncate"]
        ),
        (&json!("hash"), &json!(2048), &json!(false))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_are_below_the_path_and_of_the_model_that_the_configuration_names() {
    let server = server_with(ApiTeiConfig {
        path: "/models/e5".to_owned(),
        model: Some("e5".to_owned()),
        ..ApiTeiConfig::default()
    })
    .await;
    let missing = server.post_json("/models/e5/embed", json!({"inputs": "a"})).await;
    assert!(failure(&missing, 404, "Validation").contains("`hash`"));
    assert_eq!(
        server
            .post_json("/tei/embed", json!({"inputs": "a"}))
            .await
            .status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_the_calls_and_only_health_is_open() {
    let start = |auth| {
        let config = ApiTeiConfig {
            auth,
            ..ApiTeiConfig::default()
        };
        Setup::new()
            .plugin(ApiTeiPlugin::new(config))
            .key("embedder", "alice", &[Scope::Embed])
            .start()
    };
    let server = start(Auth::Key).await;
    let embed = || server.post("/tei/embed").json(&json!({"inputs": "red"}));
    failure(&send(embed()).await, 401, "Validation");
    assert_eq!(send(embed().bearer_auth("embedder")).await.status, 200);
    assert_eq!(send(server.get("/tei/health")).await.status, 200);
    assert_eq!(send(server.get("/tei/info")).await.status, 401);
    let open = start(Auth::None).await;
    assert_eq!(
        open.post_json("/tei/embed", json!({"inputs": "red"}))
            .await
            .status,
        200
    );
}
