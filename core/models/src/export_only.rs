//! Families whose weights no engine computes, so that only an ONNX export of a model runs: what both the reading of folders
//! and the download need to know.

use serde_json::Value;

/// The `model_type` of jina-clip v1 and v2.
pub(crate) const JINA_CLIP: &str = "jina_clip";

/// The `model_type` of DeBERTa v2 and v3.
pub(crate) const DEBERTA: &str = "deberta-v2";

/// The architecture of nomic-embed-vision, whose `model_type` is that of the text model, `nomic_bert`.
pub(crate) const NOMIC_VISION: &str = "NomicVisionModel";

/// Returns whether a `config.json` is that of an image tower of Nomic's.
pub(crate) fn is_nomic_vision(config: &Value) -> bool {
    let names = config.get("architectures").and_then(Value::as_array);
    names
        .into_iter()
        .flatten()
        .any(|name| name.as_str() == Some(NOMIC_VISION))
}

/// Tells of a model by its `config.json` whether no engine computes its weights, whatever else its repository has.
pub(crate) fn is_export_only(config: &Value) -> bool {
    match config.get("model_type").and_then(Value::as_str) {
        Some(JINA_CLIP | DEBERTA) => true,
        Some(_) | None => is_nomic_vision(config),
    }
}
