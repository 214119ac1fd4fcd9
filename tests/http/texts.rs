//! Texts with a prompt, of another length, and longer than the model takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use lucida_core::{Matryoshka, TextInfo};
use lucida_testkit::HashModel;
use serde_json::{Value, json};

use crate::server::{Server, Setup, send};

/// Starts a server with the library's model, which has no prompts, and the further ones `e5` and `nested`.
async fn server() -> Server {
    let e5 = HashModel::named("e5").with_texts(TextInfo {
        max_tokens: Some(6),
        prompts: BTreeMap::from([
            ("query".to_owned(), "asked ".to_owned()),
            ("passage".to_owned(), "told ".to_owned()),
        ]),
        default_prompt: None,
        matryoshka: Matryoshka::Any,
    });
    let nested = HashModel::named("nested").with_texts(TextInfo {
        prompts: BTreeMap::from([("query".to_owned(), "asked ".to_owned())]),
        default_prompt: Some("query".to_owned()),
        matryoshka: Matryoshka::Lengths(vec![16, 32]),
        ..TextInfo::default()
    });
    Setup::new()
        .model(Arc::new(e5.start()))
        .model(Arc::new(nested.start()))
        .start()
        .await
}

async fn embed(server: &Server, body: Value) -> Value {
    server.post_json("/embed/text", body).await.json()
}

fn numbers(answer: &Value) -> Vec<f64> {
    serde_json::from_value(answer["embedding"].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_and_a_document_get_the_prompts_of_the_model() {
    let server = server().await;
    let plain = async |text: &str| numbers(&embed(&server, json!({"text": text, "model": "e5"})).await);
    let (asked, told) = (plain("asked red").await, plain("told red").await);
    for (key, value, expected) in [
        ("input_type", "query", &asked),
        ("input_type", "search_query", &asked),
        ("prompt_name", "query", &asked),
        ("input_type", "document", &told),
        ("input_type", "search_document", &told),
        ("input_type", "passage", &told),
        ("prompt_name", "passage", &told),
    ] {
        let body = json!({"text": "red", "model": "e5", key: value});
        assert_eq!(&numbers(&embed(&server, body).await), expected, "{key} {value}");
    }
    assert_ne!(plain("red").await, asked);
    let null = json!({"text": "red", "model": "e5", "input_type": null, "prompt_name": null, "dimensions": null, "truncate": null});
    assert_eq!(numbers(&embed(&server, null).await), plain("red").await);

    // A model without prompts has nothing put before its texts; one with a default prompt has that.
    let own = numbers(&embed(&server, json!({"text": "red"})).await);
    assert_eq!(
        numbers(&embed(&server, json!({"text": "red", "input_type": "query"})).await),
        own
    );
    let nested = async |mut body: Value| {
        body["model"] = json!("nested");
        numbers(&embed(&server, body).await)
    };
    let query = nested(json!({"text": "red", "input_type": "query"})).await;
    assert_eq!(nested(json!({"text": "red"})).await, query);
    assert_ne!(
        nested(json!({"text": "red", "input_type": "document"})).await,
        query
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_gives_the_prompt_itself_or_none_to_a_model_with_a_default() {
    let server = server().await;
    let nested = async |mut body: Value| {
        body["model"] = json!("nested");
        numbers(&embed(&server, body).await)
    };
    let without = nested(json!({"text": "red", "prompt": ""})).await;
    // The model has no prompt for documents.
    let document = nested(json!({"text": "red", "input_type": "document"})).await;
    assert_eq!(without, document);
    assert_ne!(nested(json!({"text": "red"})).await, without);
    let null = nested(json!({"text": "red", "prompt": null})).await;
    assert_eq!(null, nested(json!({"text": "red"})).await);
    assert_eq!(
        nested(json!({"text": "red", "prompt": "asked "})).await,
        nested(json!({"text": "red"})).await
    );
    let literal = nested(json!({"text": "red", "prompt": "query"})).await;
    assert_eq!(literal, nested(json!({"text": "queryred", "prompt": ""})).await);

    let tokens = async |body: Value| server.post_json("/tokenize", body).await.json()["tokens"][0].clone();
    let seen = tokens(json!({"texts": ["red"], "model": "nested", "prompt": ""})).await;
    assert_eq!(seen, tokens(json!({"texts": ["red"]})).await);
    for path in ["/embed/text", "/tokenize"] {
        let ask = async |body: Value| server.post_json(path, body).await;
        ask(json!({"texts": ["red"], "model": "nested", "prompt": "", "prompt_name": "query"}))
            .await
            .problem_of(422, "invalid_field", "prompt_name");
        ask(json!({"texts": ["red"], "model": "nested", "prompt": "a".repeat(100_000)}))
            .await
            .problem_of(422, "text_too_long", "prompt");
    }
}

#[cfg(feature = "plugin-api-openai")]
#[tokio::test(flavor = "multi_thread")]
async fn an_openai_client_asks_a_model_with_a_default_prompt_for_none() {
    let server = server().await;
    let ask = async |body: Value| {
        let answer = server.post_json("/v1/embeddings", body).await.json();
        answer["data"][0]["embedding"].clone()
    };
    let without = ask(json!({"input": "red", "model": "nested", "prompt": ""})).await;
    // The model has no prompt for documents.
    let document = ask(json!({"input": "red", "model": "nested", "input_type": "document"})).await;
    assert_eq!(without, document);
    let by_default = ask(json!({"input": "red", "model": "nested"})).await;
    assert_ne!(without, by_default);
    assert_eq!(
        ask(json!({"input": "red", "model": "nested", "prompt": null})).await,
        by_default
    );
    server
        .post_json(
            "/v1/embeddings",
            json!({"input": "red", "model": "nested", "prompt": "", "input_type": "query"}),
        )
        .await
        .problem_of(422, "invalid_field", "input_type");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_prompt_is_refused_with_the_names_of_the_known() {
    let server = server().await;
    for path in ["/embed/text", "/tokenize"] {
        let ask = async |body: Value| server.post_json(path, body).await;
        let problem = ask(json!({"texts": ["red"], "model": "e5", "prompt_name": "question"}))
            .await
            .problem_of(422, "unknown_prompt", "prompt_name");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("`passage`, `query`"), "{detail}");
        ask(json!({"texts": ["red"], "prompt_name": "query"}))
            .await
            .problem_of(422, "unknown_prompt", "prompt_name");
        let problem = ask(json!({"texts": ["red"], "input_type": "image"}))
            .await
            .problem_of(422, "invalid_field", "input_type");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("`query` or `document`")
        );
        ask(json!({"texts": ["red"], "model": "e5", "input_type": "query", "prompt_name": "query"}))
            .await
            .problem_of(422, "invalid_field", "input_type");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shorter_vectors_are_the_first_numbers_scaled_to_unit_length() {
    let server = server().await;
    let whole = numbers(&embed(&server, json!({"text": "red car", "model": "e5"})).await);
    let answer = embed(
        &server,
        json!({"text": "red car", "model": "e5", "dimensions": 10}),
    )
    .await;
    assert_eq!(answer["dimensions"], 10);
    let norm = whole[..10]
        .iter()
        .map(|number| number * number)
        .sum::<f64>()
        .sqrt();
    for (number, whole) in numbers(&answer).iter().zip(&whole) {
        assert!((number - whole / norm).abs() < 1e-6, "{number} {whole}");
    }
    assert_eq!(numbers(&answer).len(), 10);
    let same = embed(
        &server,
        json!({"text": "red car", "model": "e5", "dimensions": 64}),
    )
    .await;
    assert_eq!(numbers(&same), whole);

    for (model, dimensions, words) in [
        ("e5", 0, "1 to 64"),
        ("e5", 65, "1 to 64"),
        ("nested", 8, "16, 32 and its own 64"),
        ("hash", 32, "wasn't trained"),
    ] {
        let body = json!({"texts": ["red"], "model": model, "dimensions": dimensions});
        let problem =
            server
                .post_json("/embed/text", body)
                .await
                .problem_of(422, "invalid_field", "dimensions");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words) && detail.contains(model), "{detail}");
    }
    let body = json!({"text": "red", "model": "nested", "dimensions": 16});
    assert_eq!(numbers(&embed(&server, body).await).len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_over_the_limit_is_cut_or_refused_as_the_request_says() {
    let server = server().await;
    let long = "one two three four five six seven";
    let cut = numbers(&embed(&server, json!({"text": long, "model": "e5"})).await);
    let start = numbers(
        &embed(
            &server,
            json!({"text": "one two three four five six", "model": "e5"}),
        )
        .await,
    );
    assert_eq!(cut, start);
    let problem = server
        .post_json(
            "/embed/text",
            json!({"text": long, "model": "e5", "truncate": false}),
        )
        .await
        .problem_of(422, "text_too_long", "text");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("7 tokens") && detail.contains("takes 6"),
        "{detail}"
    );
    // Of several texts only the long one fails.
    let answer = embed(
        &server,
        json!({"texts": ["one", long], "model": "e5", "truncate": false}),
    )
    .await;
    assert!(answer["embeddings"][0].is_array());
    assert_eq!(answer["embeddings"][1]["error"]["code"], "text_too_long");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_shown_with_those_of_the_prompt() {
    let server = server().await;
    let body = json!({"texts": ["red car"], "model": "e5", "input_type": "query"});
    let answer = server.post_json("/tokenize", body).await.json();
    let words: Vec<_> = answer["tokens"][0]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| token["text"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["asked", "red", "car"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_listed_with_what_requests_may_say_of_its_texts() {
    let server = server().await;
    let model = async |name: &str| send(server.get(&format!("/v1/models/{name}"))).await.json();
    let e5 = model("e5").await;
    assert_eq!(e5["prompts"], json!({"passage": "told ", "query": "asked "}));
    assert_eq!(
        (&e5["max_tokens"], &e5["shorter_dimensions"]),
        (&json!(6), &json!("any"))
    );
    let nested = model("nested").await;
    assert_eq!(nested["default_prompt"], "query");
    assert_eq!(nested["shorter_dimensions"], json!([16, 32]));
    let hash = model("hash").await;
    for key in ["prompts", "default_prompt", "shorter_dimensions", "max_tokens"] {
        assert!(hash.get(key).is_none(), "{hash}");
    }
}
