//! The vectors of sentence-transformers, from each published layout.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::PathBuf;
use std::sync::Arc;

use lucida_core::{BuildContext, Embedder, Factory as _};

async fn open(model: PathBuf, text_model: Option<PathBuf>) -> Arc<dyn Embedder> {
    let settings = serde_json::json!({
        "model": model, "text_model": text_model, "threads": 2, "queue_items": 256, "preload": false,
        "idle_unload_secs": 0, "hub": {"offline": true},
    });
    lucida_candle::factory()
        .build(&settings, &BuildContext::from_env())
        .await
        .unwrap()
}

lucida_testkit::embedder_parity!(open);
lucida_testkit::convolution_parity!(open);
lucida_testkit::text_options_parity!(open);
