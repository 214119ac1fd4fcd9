//! `tokenizer_config.json`, and the error of files that make no tokenizer.

use std::path::Path;

use lucida_core::Error;
use serde::Deserialize;
use serde_json::Value;

use crate::checkpoint::broken;

/// A special token, which is written as itself or as a table with its content.
pub(super) fn special(settings: &Value, key: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Table {
        content: String,
    }
    let value = settings.get(key)?;
    match value.as_str() {
        Some(token) => Some(token.to_owned()),
        None => serde_json::from_value::<Table>(value.clone())
            .ok()
            .map(|table| table.content),
    }
}

/// Returns the error of a file that makes no tokenizer.
pub(super) fn unusable(path: &Path, error: tokenizers::Error) -> Error {
    broken(path, "is not a usable tokenizer").with_source(error)
}
