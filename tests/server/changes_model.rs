//! The model is changed on one machine: killed in the middle, it goes on, and the running server is told to go back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::drawn::photo;
use crate::process::{Server, run};

const PHOTOS: u64 = 40;
const PATIENCE: Duration = Duration::from_secs(120);

/// One of the small models of core's tests.
fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("core/testkit/testdata/parity/models")
        .join(name)
}

async fn searched_by(server: &Server) -> String {
    let found = server.search_text("colours", 100).await;
    assert!(
        found["hits"].as_array().unwrap().len() as u64 >= PHOTOS,
        "{found}"
    );
    found["model"].as_str().unwrap().to_owned()
}

/// Returns the model of a role, as the server lists it.
async fn listed(server: &Server, role: &str) -> Option<Value> {
    let models = server.json("/v1/models").await;
    let models = models["data"].as_array().unwrap().clone();
    models.into_iter().find(|model| model["role"] == role)
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_model_outlives_a_kill_and_is_taken_back_while_the_server_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (model("clip"), model("clip-laion"));
    let settings = |model: &Path| {
        vec![
            ("embedder.type", "candle".to_owned()),
            ("embedder.candle.model", model.display().to_string()),
            ("ingest.model_change_photos_per_sec", "8".to_owned()),
        ]
    };
    let (old, new) = (settings(&old), settings(&new));
    let start = async |settings: &[(&'static str, String)]| {
        let settings: Vec<_> = settings
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        Server::start(dir.path(), &settings).await
    };
    let server = start(&old).await;
    for number in 0..PHOTOS {
        let answer = server.upload(photo(number), "photo.jpg", true).await.unwrap();
        assert_eq!(answer.status(), 201);
    }
    let before = searched_by(&server).await;
    assert!(server.stop());

    let mut server = start(&new).await;
    for _ in 0..2 {
        let filled = listed(&server, "filling").await.unwrap()["vectors"]
            .as_u64()
            .unwrap();
        until("it has come further", async || {
            let filling = listed(&server, "filling").await.unwrap();
            assert_eq!(filling["photos"], PHOTOS);
            filling["vectors"].as_u64().unwrap() > filled + 3
        })
        .await;
        assert_eq!(searched_by(&server).await, before);
        server.kill();
        server = start(&new).await;
    }
    until("searches use the new model", async || {
        searched_by(&server).await != before
    })
    .await;
    let after = searched_by(&server).await;
    until("it is over", async || {
        listed(&server, "serving").await.unwrap().get("photos").is_none()
    })
    .await;
    assert_eq!(listed(&server, "serving").await.unwrap()["vectors"], PHOTOS);

    // The server holds the index, so it does what the command asks for.
    let environment: Vec<_> = new.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let command = |arguments: &[&str]| {
        let output = run(dir.path(), &environment, arguments);
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (done, said) = command(&["models", "rollback"]);
    assert!(done && said.contains("done by the running server"), "{said}");
    until("searches use the old model again", async || {
        searched_by(&server).await == before
    })
    .await;
    until("it has caught up", async || {
        listed(&server, "serving").await.unwrap().get("photos").is_none()
    })
    .await;
    let (done, said) = command(&["models", "drop", &before]);
    assert!(!done && said.contains("serves searches"), "{said}");
    let (done, said) = command(&["models"]);
    assert!(!done && said.contains("/v1/models"), "{said}");
    assert!(server.stop());

    // It stays so, although another model is configured, until an operator says otherwise.
    let (done, said) = command(&["models"]);
    assert!(
        done && said.starts_with(&format!("serving   {before}  40 vectors")),
        "{said}"
    );
    let (done, said) = command(&["models", "activate", &after]);
    assert!(done && said.contains("from now on"), "{said}");
    let (done, said) = command(&["models", "drop", &before]);
    assert!(done, "{said}");
    let server = start(&new).await;
    assert_eq!(searched_by(&server).await, after);
    assert!(server.stop());
    let (clean, said) = command(&["check", "--grace-secs", "0"]);
    assert!(clean, "{said}");
}
