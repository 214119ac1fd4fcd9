//! Text encoders whose layers turn queries and keys by their places: from the `config.json` of `ModernBERT`, nomic-bert, GTE,
//! Qwen3-Embedding and `EmbeddingGemma`, and their tensors' names, to an encoder (transformers 5.24; published files
//! have the names of the models' own code too).

mod config;
mod tensors;

pub(super) use self::config::RotaryConfig;

/// The models of these families, by `model_type`.
pub(super) const MODEL_TYPES: [&str; 6] = ["modernbert", "nomic_bert", "new", "gte", "qwen3", "gemma3_text"];

/// The longest text that is computed, in tokens, whatever a file says: attention takes memory by the square of its length.
pub const ROTARY_MAX_TOKENS: usize = 32_768;
