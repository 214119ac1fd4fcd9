//! One server with three models of different families and engines: asked in turn and at once, unloaded and loaded again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lucida_testkit::eventually;
use lucida_testkit::parity::{Expected, SAME};
use serde_json::{Value, json};

use crate::process::{Server, free_address};

/// The models by the names that requests use, and the fixtures that they are.
const MODELS: [(&str, &str); 3] = [("clip", "clip"), ("words", "xlm-roberta"), ("pictures", "siglip")];

fn fixture(name: &str) -> PathBuf {
    lucida_testkit::parity::model_folder(name)
}

async fn start(dir: &Path) -> Server {
    let config = format!(
        "[embedder]\ntype = \"candle\"\n[embedder.candle]\nmodel = \"{}\"\n\
         [[models]]\nname = \"words\"\ntype = \"candle\"\nmodel = \"{}\"\nidle_unload_secs = 1\n\
         prompts = {{ query = \"query: \" }}\ntruncate_dimensions = true\n\
         [[models]]\nname = \"pictures\"\ntype = \"onnx\"\nmodel = \"{}\"\nidle_unload_secs = 0\n",
        fixture("clip").display(),
        fixture("xlm-roberta").display(),
        fixture("siglip").display(),
    );
    std::fs::write(dir.join("several.toml"), config).unwrap();
    let listen = free_address();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucida"));
    command
        .current_dir(dir)
        .stdin(Stdio::null())
        .args(["serve", "--config", "several.toml", "--set"])
        .arg(format!("server.listen={listen}"));
    Server::spawn(command, dir, &listen).await
}

async fn embed(server: &Server, body: &Value) -> Vec<f64> {
    let answer = server
        .client
        .post(format!("{}/embed/text", server.url))
        .json(body);
    let answer = answer.send().await.unwrap();
    assert!(
        answer.status().is_success(),
        "{body}: {}",
        answer.text().await.unwrap()
    );
    let answer: Value = answer.json().await.unwrap();
    serde_json::from_value(answer["embedding"].clone()).unwrap()
}

async fn model(server: &Server, name: &str) -> Value {
    server.json(&format!("/v1/models/{name}")).await
}

/// Checks that a vector is the one that the family's own library gives.
fn assert_is(vector: &[f64], expected: &[f64]) {
    let cosine: f64 = vector.iter().zip(expected).map(|(a, b)| a * b).sum();
    assert_eq!(vector.len(), expected.len());
    assert!(cosine > SAME, "{cosine}");
}

#[tokio::test(flavor = "multi_thread")]
async fn models_of_three_families_are_served_side_by_side_and_leave_memory_when_idle() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    for name in ["words", "pictures"] {
        let listed = model(&server, name).await;
        assert_eq!(
            (&listed["role"], &listed["loaded"]),
            (&json!("named"), &json!(false)),
            "{listed}"
        );
        assert!(listed["weight_bytes"].as_u64().unwrap() > 0);
    }
    assert_eq!(model(&server, "words").await["modalities"], json!(["text"]));

    // The library's own model goes by the name of its folder.
    let expected = Expected::read();
    let labels = ["english", "german", "japanese", "mixed-case"];
    let ask = async |name: &str, fixture: &str, label: &str| {
        let body = json!({"text": expected.texts[label], "model": name});
        assert_is(&embed(&server, &body).await, &expected.of(fixture).texts[label]);
    };
    for label in labels {
        for (name, fixture) in MODELS {
            ask(name, fixture, label).await;
        }
    }
    let calls = (0..60).map(|call| {
        let (name, fixture) = MODELS[call % 3];
        ask(name, fixture, labels[call % 4])
    });
    futures::future::join_all(calls).await;

    let query = json!({"text": "a dog", "model": "words", "input_type": "query", "dimensions": 8});
    let short = embed(&server, &query).await;
    assert_eq!(short.len(), 8);
    let spelt = json!({"text": "query: a dog", "model": "words", "dimensions": 8});
    assert_eq!(embed(&server, &spelt).await, short);

    eventually("the idle model is unloaded", async || {
        model(&server, "words").await["loaded"] == json!(false)
    })
    .await;
    assert_eq!(model(&server, "pictures").await["loaded"], json!(true));
    assert_eq!(model(&server, "clip").await["loaded"], json!(true));
    assert_eq!(
        embed(&server, &query).await,
        short,
        "loaded again, it gives the same bits"
    );
    let metrics = server.get("/metrics").await.unwrap().text().await.unwrap();
    let opened = |name: &str| {
        let series = format!("lucida_model_opened_total{{model=\"{name}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap().parse::<u64>().unwrap()
    };
    assert!(opened("words") >= 2, "{}", opened("words"));
    assert_eq!(opened("pictures"), 1);
    assert!(server.stop());
}
