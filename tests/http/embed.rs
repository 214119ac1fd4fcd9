//! A developer who only wants vectors.

use lucida_testkit::{Fault, jpeg};
use reqwest::multipart::Form;
use serde_json::{Value, json};

use crate::server::{Server, file_form, file_part, send};

const RED: [u8; 3] = [220, 30, 30];
const BLUE: [u8; 3] = [30, 50, 220];

/// How far the length of a vector of f32 may be from 1 for rounding alone.
const UNIT_TOLERANCE: f64 = 1e-5;

fn vector(value: &Value) -> Vec<f64> {
    let vector: Vec<_> = value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect();
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!((length - 1.0).abs() < UNIT_TOLERANCE, "{length}");
    vector
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_and_a_picture_of_it_come_out_close() {
    let server = Server::start().await;
    let text = server
        .post_json("/embed/text", json!({"text": "red"}))
        .await
        .json();
    assert_eq!(
        (&text["model"], &text["dimensions"]),
        (&json!("hash"), &json!(64))
    );
    let red = send(
        server
            .post("/embed/image")
            .multipart(file_form(&jpeg(40, 40, RED), "a.jpg")),
    )
    .await
    .json();
    let blue = send(
        server
            .post("/embed/image")
            .multipart(file_form(&jpeg(40, 40, BLUE), "a.jpg")),
    )
    .await
    .json();
    let of = |answer: &Value| vector(&answer["embedding"]);
    assert_eq!(of(&text).len(), 64);
    assert!(dot(&of(&text), &of(&red)) > dot(&of(&text), &of(&blue)));
    server.assert_spool_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_inputs_give_several_results_in_order() {
    let server = Server::start().await;
    let one = server
        .post_json("/embed/text", json!({"text": "blue"}))
        .await
        .json();
    let many = server
        .post_json("/embed/text", json!({"texts": ["red", "blue"]}))
        .await
        .json();
    assert_eq!(
        many["embeddings"][1], one["embedding"],
        "whatever else is in the call"
    );
    assert_eq!(many["embeddings"].as_array().unwrap().len(), 2);
    let single = server
        .post_json("/embed/text", json!({"texts": ["blue"]}))
        .await
        .json();
    assert_eq!(single["embeddings"], json!([one["embedding"]]));

    let form = Form::new()
        .part("file", file_part(&jpeg(40, 40, RED), "a.jpg"))
        .part("file", file_part(&jpeg(40, 40, BLUE), "b.jpg"));
    let many = send(server.post("/embed/image").multipart(form)).await.json();
    let one = send(
        server
            .post("/embed/image")
            .multipart(file_form(&jpeg(40, 40, BLUE), "b.jpg")),
    )
    .await
    .json();
    assert_eq!(many["embeddings"][1], one["embedding"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_input_is_one_error_in_its_place() {
    let server = Server::start().await;
    server.model.fault_on_text("cursed", Fault::NotANumber);
    let texts = json!({"texts": ["red", "", "cursed", "x".repeat(10_000)]});
    let answer = server.post_json("/embed/text", texts).await.json();
    vector(&answer["embeddings"][0]);
    let error = |place: usize| {
        (
            &answer["embeddings"][place]["error"]["status"],
            &answer["embeddings"][place]["error"]["code"],
        )
    };
    assert_eq!(error(1), (&json!(422), &json!("empty_text")));
    assert_eq!(error(2).0, &json!(500));
    assert_eq!(error(3), (&json!(422), &json!("text_too_long")));

    let whole = jpeg(40, 40, RED);
    let form = Form::new()
        .part("file", file_part(b"words", "a.jpg"))
        .part("file", file_part(&whole, "b.jpg"))
        .part("file", file_part(&whole[..whole.len() / 2], "c.jpg"));
    let answer = send(server.post("/embed/image").multipart(form)).await.json();
    assert_eq!(answer["embeddings"][0]["error"]["code"], "not_an_image");
    vector(&answer["embeddings"][1]);
    assert_eq!(answer["embeddings"][2]["error"]["code"], "truncated_image");
    server.assert_spool_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_bad_input_is_the_answer() {
    let server = Server::start().await;
    for (body, code, field) in [
        (json!({"text": " "}), "empty_text", "text"),
        (json!({"text": "x".repeat(100_000)}), "text_too_long", "text"),
        (json!({}), "missing_field", "text"),
        (json!({"text": "a", "texts": ["b"]}), "invalid_field", "texts"),
        (json!({"texts": []}), "invalid_field", "texts"),
        (
            json!({"texts": ["a", "b", "c", "d", "e"]}),
            "invalid_field",
            "texts",
        ),
        (json!({"texts": ["a", 1]}), "invalid_field", "texts[1]"),
        (json!({"txt": "a"}), "unknown_field", "txt"),
    ] {
        server
            .post_json("/embed/text", body)
            .await
            .problem_of(422, code, field);
    }
    for (form, status, code, field) in [
        (Form::new(), 422, "missing_field", "file"),
        (file_form(b"words", "a.jpg"), 415, "not_an_image", "file"),
        (file_form(b"", "a.jpg"), 422, "empty_file", "file"),
        (
            file_form(&jpeg(40, 40, RED), "a.jpg").text("size", "5"),
            422,
            "unknown_field",
            "size",
        ),
        (
            (0..5).fold(Form::new(), |form, _| {
                form.part("file", file_part(&jpeg(40, 40, RED), "a.jpg"))
            }),
            422,
            "invalid_field",
            "file",
        ),
    ] {
        send(server.post("/embed/image").multipart(form))
            .await
            .problem_of(status, code, field);
    }
    server.assert_spool_is_clean().await;
}
