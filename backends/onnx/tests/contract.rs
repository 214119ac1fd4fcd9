//! The embedder contract, run on the starter model; see `tests/starter/main.rs` for where it comes from.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;

use lucida_core::{BuildContext, Embedder, Factory as _};
use lucida_testkit::Fixture;
use tokio::sync::OnceCell;

/// Loading takes longer than most of the tests, so they share one.
static STARTER: OnceCell<Arc<dyn Embedder>> = OnceCell::const_new();

async fn starter() -> Fixture<dyn Embedder> {
    let settings = serde_json::json!({
        "model": "starter", "precision": "fp32", "device": "cpu", "threads": 2, "queue_items": 256,
        "preload": false, "idle_unload_secs": 0, "hub": {"offline": true},
    });
    let embedder = STARTER
        .get_or_init(|| async {
            lucida_onnx::factory()
                .build(&settings, &BuildContext::from_env())
                .await
                .unwrap()
        })
        .await;
    Fixture::from_arc(Arc::clone(embedder))
}

lucida_testkit::embedder_contract!(starter);
