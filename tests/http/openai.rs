//! An OpenAI client asks Lucida for vectors: texts, token ids and pictures.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lucida_plugin_api_openai::{ApiOpenaiConfig, ApiOpenaiPlugin, TokenIds};
use lucida_testkit::jpeg;
use serde_json::{Value, json};

use crate::server::{Server, Setup, file_form, send};

const RED: [u8; 3] = [220, 30, 30];

async fn embeddings(server: &Server, body: Value) -> Value {
    server.post_json("/v1/embeddings", body).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openai_client_gets_what_it_expects() {
    let server = Server::start().await;
    let plain = server
        .post_json("/embed/text", json!({"texts": ["red", "blue"]}))
        .await
        .json();
    let answer = server
        .post_json(
            "/v1/embeddings",
            json!({"input": ["red", "blue"], "model": "hash"}),
        )
        .await
        .json();
    assert_eq!(answer["object"], "list");
    assert_eq!(answer["model"], "hash");
    assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 0);
    for place in 0..2 {
        let item = &answer["data"][place];
        assert_eq!(
            (&item["object"], &item["index"]),
            (&json!("embedding"), &json!(place))
        );
        assert_eq!(item["embedding"], plain["embeddings"][place]);
    }
    let request = json!({"input": "red", "encoding_format": "base64", "user": "me", "dimensions": 64});
    let packed = server.post_json("/v1/embeddings", request).await.json();
    let bytes = STANDARD
        .decode(packed["data"][0]["embedding"].as_str().unwrap())
        .unwrap();
    let numbers: Vec<_> = bytes
        .chunks(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    let expected: Vec<f32> = serde_json::from_value(plain["embeddings"][0].clone()).unwrap();
    assert_eq!(numbers, expected);

    for (body, status, code, field) in [
        (
            json!({"input": "red", "model": "text-embedding-3-small"}),
            404,
            "model_not_found",
            "model",
        ),
        (
            json!({"input": "red", "dimensions": 32}),
            422,
            "invalid_field",
            "dimensions",
        ),
        (json!({"input": [1, "a"]}), 422, "invalid_field", "input"),
        (json!({"input": []}), 422, "invalid_field", "input"),
        (json!({"input": ["red", ""]}), 422, "empty_text", "input[1]"),
        (
            json!({"input": "red", "encoding_format": "hex"}),
            422,
            "invalid_field",
            "encoding_format",
        ),
        (
            json!({"input": "red", "temperature": 1}),
            422,
            "unknown_field",
            "temperature",
        ),
        (json!({}), 422, "missing_field", "input"),
    ] {
        let problem = server
            .post_json("/v1/embeddings", body)
            .await
            .problem_of(status, code, field);
        let error = &problem["error"];
        assert_eq!(error["type"], "invalid_request_error", "{problem}");
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &json!(field)));
        assert_eq!(error["message"], problem["detail"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openai_client_may_send_as_many_texts_as_openai_takes() {
    let server = Server::start().await;
    let texts = |count: usize| (0..count).map(|number| format!("t{number}")).collect::<Vec<_>>();
    let answer = server
        .post_json("/v1/embeddings", json!({"input": texts(2048)}))
        .await
        .json();
    let data = answer["data"].as_array().unwrap();
    assert_eq!((data.len(), &data[2047]["index"]), (2048, &json!(2047)));
    let last = server
        .post_json("/embed/text", json!({"text": "t2047"}))
        .await
        .json();
    assert_eq!(data[2047]["embedding"], last["embedding"]);
    let problem = server
        .post_json("/v1/embeddings", json!({"input": texts(2049)}))
        .await
        .problem_of(422, "invalid_field", "input");
    assert!(problem["detail"].as_str().unwrap().contains("2048"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openai_client_without_a_key_gets_the_error_in_openais_shape() {
    let server = Setup::new()
        .key("some-key", "alice", &[lucida_core::Scope::Embed])
        .start()
        .await;
    let problem = server
        .post_json("/v1/embeddings", json!({"input": "red"}))
        .await
        .problem(401, "unauthorized");
    let error = &problem["error"];
    assert_eq!(
        (&error["type"], &error["code"], &error["param"]),
        (
            &json!("invalid_request_error"),
            &json!("unauthorized"),
            &json!(null)
        )
    );
    let other = server.post_json("/embed/text", json!({"text": "red"})).await;
    assert!(other.problem(401, "unauthorized").get("error").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_in_the_forms_of_infinity_and_vllm_get_the_vectors_of_embed_image() {
    let server = Server::start().await;
    let picture = jpeg(40, 40, RED);
    let form = file_form(&picture, "a.jpg");
    let own = send(server.post("/embed/image").multipart(form)).await.json();
    let uri = format!("data:image/jpeg;base64,{}", STANDARD.encode(&picture));
    let part = json!({"type": "image_url", "image_url": {"url": uri}});
    for body in [
        json!({"input": uri, "modality": "image"}),
        json!({"input": [uri], "modality": "image"}),
        json!({"input": [part]}),
        json!({"messages": [{"role": "user", "content": [part]}], "model": "hash"}),
    ] {
        let answer = embeddings(&server, body).await;
        assert_eq!(answer["data"][0]["embedding"], own["embedding"]);
        assert_eq!(answer["usage"]["total_tokens"], 0);
    }
    let mixed = json!({"input": [{"type": "text", "text": "red"}, part, {"type": "text", "text": "blue"}]});
    let mixed = embeddings(&server, mixed).await;
    assert_eq!(mixed["data"][1]["embedding"], own["embedding"]);
    let texts = embeddings(&server, json!({"input": ["red", "blue"]})).await;
    assert_eq!(mixed["data"][0]["embedding"], texts["data"][0]["embedding"]);
    assert_eq!(mixed["data"][2]["embedding"], texts["data"][1]["embedding"]);
    assert_eq!(mixed["usage"], texts["usage"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_can_not_be_read_is_refused_with_its_place() {
    let server = Server::start().await;
    let part = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let words = format!("data:text/plain;base64,{}", STANDARD.encode("words"));
    for (input, status, code, field) in [
        (
            json!(["https://example.com/a.jpg"]),
            422,
            "invalid_field",
            "input[0]",
        ),
        (
            json!([part("http://127.0.0.1/a.jpg")]),
            422,
            "invalid_field",
            "input[0]",
        ),
        (json!([words]), 415, "not_an_image", "input[0]"),
    ] {
        let problem = server
            .post_json("/v1/embeddings", json!({"input": input, "modality": "image"}))
            .await
            .problem_of(status, code, field);
        assert_eq!(problem["error"]["param"], field, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_another_models_name_is_answered_by_the_model_that_stands_for_it() {
    let names = BTreeMap::from([("text-embedding-3-small".to_owned(), "hash".to_owned())]);
    let server = Setup::without_plugins()
        .plugin(ApiOpenaiPlugin::new(ApiOpenaiConfig {
            models: names,
            ..ApiOpenaiConfig::default()
        }))
        .start()
        .await;
    let answer = embeddings(
        &server,
        json!({"input": "red", "model": "text-embedding-3-small"}),
    )
    .await;
    assert_eq!(answer["model"], "hash");
    let problem = server
        .post_json("/v1/embeddings", json!({"input": "red", "model": "ada"}))
        .await
        .problem_of(404, "model_not_found", "model");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("`hash`, `text-embedding-3-small`"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn token_ids_are_read_by_the_models_tokenizer_only_where_the_configuration_says_so() {
    let server = Server::start().await;
    for (input, field) in [(json!([1, 2]), "input"), (json!(["red", [1, 2]]), "input[1]")] {
        let problem = server
            .post_json("/v1/embeddings", json!({"input": input}))
            .await
            .problem_of(422, "invalid_field", field);
        let message = problem["error"]["message"].as_str().unwrap();
        assert!(message.contains("check_embedding_ctx_length"), "{message}");
    }
    let server = Setup::without_plugins()
        .plugin(ApiOpenaiPlugin::new(ApiOpenaiConfig {
            token_ids: TokenIds::Model,
            ..ApiOpenaiConfig::default()
        }))
        .start()
        .await;
    let tokens = server
        .post_json("/tokenize", json!({"texts": ["red blue", "blue"]}))
        .await
        .json();
    let ids = |place: usize| -> Vec<u64> {
        let tokens = tokens["tokens"][place].as_array().unwrap();
        tokens.iter().map(|token| token["id"].as_u64().unwrap()).collect()
    };
    let texts = embeddings(&server, json!({"input": ["red blue", "blue"]})).await;
    let several = embeddings(&server, json!({"input": [ids(0), ids(1)]})).await;
    assert_eq!(several, texts);
    let one = embeddings(&server, json!({"input": ids(0)})).await;
    assert_eq!(one["data"][0], texts["data"][0]);
    server
        .post_json("/v1/embeddings", json!({"input": ["red", [u32::MAX]]}))
        .await
        .problem_of(422, "invalid_input", "input[1]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_plugin_says_how_to_add_it() {
    let server = Setup::without_plugins().start().await;
    let problem = server
        .post_json("/v1/embeddings", json!({"input": "red"}))
        .await
        .problem(404, "not_found");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("`type = \"api-openai\"`"),
        "{problem}"
    );
}
