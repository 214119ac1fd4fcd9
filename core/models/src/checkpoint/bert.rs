//! The BERT, `DistilBERT`, `RoBERTa`, MPNet and jina-bert families: from transformers' `config.json` and their tensors' names to an encoder.

mod config;
mod tensors;

pub(super) use self::config::{EncoderConfig, other_positions};

/// The models of these families, by `model_type`.
pub(super) const MODEL_TYPES: [&str; 6] = [
    "bert",
    "distilbert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "mpnet",
];
