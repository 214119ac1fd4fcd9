//! The vectors of sentence-transformers, by ONNX Runtime from the same folders.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::PathBuf;
use std::sync::Arc;

use lucida_core::{BuildContext, Embedder, Factory as _};

async fn open(folder: PathBuf, text_folder: Option<PathBuf>) -> Arc<dyn Embedder> {
    let settings = serde_json::json!({
        "model": folder, "text_model": text_folder, "precision": "fp32", "device": "cpu", "threads": 2,
        "queue_items": 256, "preload": false, "idle_unload_secs": 0, "hub": {"offline": true},
    });
    lucida_onnx::factory()
        .build(&settings, &BuildContext::from_env())
        .await
        .unwrap()
}

lucida_testkit::embedder_parity!(open);
lucida_testkit::graph_parity!(open);
lucida_testkit::text_options_parity!(open);
