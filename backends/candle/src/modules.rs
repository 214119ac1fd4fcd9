//! The configurations of candle-transformers' modules for texts, and the refusal of what none of them computes.

use candle_transformers::models::{bert, clip, modernbert, nomic_bert, openclip, qwen3, siglip};
use lucida_core::{Error, ErrorKind};

/// The configuration of a module.
pub(crate) enum Config {
    ModernBert(modernbert::Config),
    NomicBert(nomic_bert::Config),
    Qwen3(qwen3::Config),
    /// The module for BERT, which computes its relatives too.
    Bert(bert::Config),
    Clip(clip::text_model::ClipTextConfig),
    OpenClip(openclip::text_model::Config),
    Siglip(siglip::TextConfig),
}

/// Returns the error of a tower that runs on the processor, and that candle-transformers has no module for.
pub(crate) fn refused_on_card(what: &str) -> Error {
    let message = format!(
        "on a graphics card candle-transformers computes the model, and has no {what}: set `device` to \"cpu\", or run it on \
         the embedder type `onnx`"
    );
    Error::new(ErrorKind::Unsupported, message)
}
