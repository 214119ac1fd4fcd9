//! The embedder contract, run on the smallest models of the parity fixtures.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use lucida_core::testkit::Fixture;
use lucida_core::testkit::parity::model_folder;
use lucida_core::{BuildContext, Embedder, Factory as _};

async fn pair() -> Fixture<dyn Embedder> {
    let settings = serde_json::json!({
        "model": model_folder("clip"), "text_model": model_folder("multilingual"), "threads": 2, "queue_items": 256,
        "preload": false, "idle_unload_secs": 0, "hub": {"offline": true},
    });
    let embedder = lucida_embedder_candle::factory()
        .build(&settings, &BuildContext::from_env())
        .await
        .unwrap();
    Fixture::from_arc(embedder)
}

lucida_core::embedder_contract!(pair);
