//! The blob store goes away and comes back: it costs nothing meanwhile, searches answer, and nothing is restarted.

use std::path::Path;

use crate::process::Server;
use lucida_testkit::{eventually, jpeg};

/// Longer than the test takes, so that nothing but `/readyz` ends it.
const OPEN_MS: &str = "600000";

async fn status(server: &Server, path: &str) -> u16 {
    server.get(path).await.unwrap().status().as_u16()
}

async fn breaker_is(server: &Server, open: u8) -> bool {
    let text = server.get("/metrics").await.unwrap().text().await.unwrap();
    let line = format!("lucida_breaker_open{{part=\"storage\"}} {open}");
    text.lines().any(|found| found == line)
}

fn rename(dir: &Path, from: &str, to: &str) {
    std::fs::rename(dir.join("data").join(from), dir.join("data").join(to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_store_that_is_away_holds_up_nothing_else_and_comes_back_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("resilience.storage.breaker_open_ms", OPEN_MS)];
    let server = Server::start(dir.path(), &settings).await;
    let photo = jpeg(300, 200, [220, 30, 30]).to_vec();
    let answer = server.upload(photo.clone(), "red.jpg", true).await.unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    let id = answer.json::<serde_json::Value>().await.unwrap()["id"].clone();
    let content = format!("/v1/photos/{}/content", id.as_str().unwrap());
    assert!(breaker_is(&server, 0).await);

    rename(dir.path(), "photos", "unplugged");
    // As many as the settings say, unless the reconciler's first look is still about: to it a folder that isn't there is
    // one without blobs, which counts as an answer.
    let mut shade = 0_u8;
    eventually("the breaker opens", async || {
        shade = shade.wrapping_add(1);
        let other = jpeg(300, 200, [shade, 30, 220]).to_vec();
        let answer = server.upload(other, "blue.jpg", false).await.unwrap();
        assert_eq!(answer.status(), 503, "{}", answer.text().await.unwrap());
        breaker_is(&server, 1).await
    })
    .await;
    let refused = server.get(&content).await.unwrap();
    let seconds: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((500..=600).contains(&seconds), "{seconds}");
    let detail = refused.text().await.unwrap();
    assert!(
        detail.contains("the storage did not answer"),
        "{detail} names what is unavailable"
    );
    let found = server.search_text("red", 5).await;
    assert_eq!(found["hits"][0]["photo"]["id"], id, "{found}");
    assert_eq!(status(&server, "/readyz").await, 503);
    assert_eq!(
        status(&server, "/readyz?parts=metadata,index,queue,embedder").await,
        200
    );

    rename(dir.path(), "unplugged", "photos");
    assert_eq!(status(&server, "/readyz").await, 200);
    let original = server.get(&content).await.unwrap();
    assert_eq!(original.status(), 200);
    assert!(original.bytes().await.unwrap() == photo);
    assert!(breaker_is(&server, 0).await);
    assert!(server.stop());
}
