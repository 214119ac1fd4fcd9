//! The embedder contract, run on the smallest models of the parity fixtures.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use lucida_core::{BuildContext, Embedder, Factory as _};
use lucida_testkit::Fixture;
use lucida_testkit::parity::model_folder;

async fn pair() -> Fixture<dyn Embedder> {
    let settings = serde_json::json!({
        "model": model_folder("clip"), "text_model": model_folder("multilingual"), "threads": 2, "queue_items": 256,
        "preload": false, "idle_unload_secs": 0, "hub": {"offline": true},
    });
    let embedder = lucida_candle::factory()
        .build(&settings, &BuildContext::from_env())
        .await
        .unwrap();
    Fixture::from_arc(embedder)
}

lucida_testkit::embedder_contract!(pair);
