//! Text encoders whose layers aren't computed from the weights: what an ONNX export of one needs from its folder.

use std::path::Path;

use lucida_core::{Error, Result};
use serde_json::Value;

use super::{broken, unsupported};

/// The little that is read of such an encoder.
#[derive(Debug, Clone)]
pub(super) struct ExportedConfig {
    /// The length of a row.
    pub(super) hidden: usize,
    /// How many tokens there are positions for.
    pub(super) max_tokens: usize,
    /// Why the weights can't be computed.
    reason: String,
}

/// The names of a row's length, in transformers' configurations and in those of models with code of their own.
const HIDDEN: [&str; 4] = ["hidden_size", "n_embd", "d_model", "dim"];

/// The names of the number of positions.
const POSITIONS: [&str; 3] = ["max_position_embeddings", "n_positions", "max_trained_positions"];

impl ExportedConfig {
    /// Reads the `config.json` of a `name`; `reason` says why its weights can't be computed.
    ///
    /// # Errors
    /// `Internal`, naming the file, for a configuration that doesn't say how long a row is.
    pub(super) fn read(path: &Path, name: &str, config: &Value, reason: String) -> Result<Self> {
        let number = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| config.get(*name).and_then(Value::as_u64))
                .and_then(|number| usize::try_from(number).ok())
                .filter(|&number| number > 0)
        };
        let hidden =
            number(&HIDDEN).ok_or_else(|| broken(path, "doesn't say how long a row is, as `hidden_size`"))?;
        // MPNet counts its positions from behind its padding, as RoBERTa does.
        let skipped = if name == "mpnet" {
            config.get("pad_token_id").and_then(Value::as_u64).unwrap_or(1) + 1
        } else {
            0
        };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Ok(Self {
            hidden,
            max_tokens: number(&POSITIONS).map_or(usize::MAX, |positions| positions.saturating_sub(skipped)),
            reason,
        })
    }

    /// Says why there is no tower to be computed from the weights.
    pub(super) fn refusal(&self, path: &Path) -> Error {
        unsupported(path, &self.reason)
    }
}
