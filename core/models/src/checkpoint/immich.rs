//! The ONNX exports that Immich publishes below `immich-app/`: `visual/model.onnx` and `textual/model.onnx`, with OpenCLIP's
//! configuration beside them (`immich_ml/models/clip` of Immich 2). Their graphs are another engine's; what is read here is
//! what happens to a picture and a text before.

use std::path::{Path, PathBuf};

use lucida_core::Result;
use serde::Deserialize;
use serde_json::Value;

use super::openclip::Preprocessing;
use super::{broken, read_json, unsupported};

/// The folders of the two towers.
const VISUAL: &str = "visual";
const TEXTUAL: &str = "textual";

/// What Immich's `config.json` and `visual/preprocess_cfg.json` say.
#[derive(Debug, Clone)]
pub(super) struct ImmichConfig {
    pub(super) dimensions: usize,
    pub(super) image_size: usize,
    pub(super) preprocessing: Preprocessing,
    pub(super) context_length: usize,
    /// Whether a text's punctuation is removed and its letters lowercased.
    pub(super) canonicalizes: bool,
}

#[derive(Deserialize)]
struct File {
    embed_dim: usize,
    #[serde(default)]
    text_cfg: Text,
}

#[derive(Deserialize)]
#[serde(default)]
struct Text {
    context_length: usize,
    tokenizer_kwargs: Option<Value>,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            context_length: 77,
            tokenizer_kwargs: None,
        }
    }
}

impl ImmichConfig {
    /// Returns whether a folder is one of these exports.
    pub(super) fn is_in(folder: &Path) -> bool {
        preprocessing_path(folder).is_file()
    }

    /// Reads both files.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`, naming the file that is missing or damaged; `Unsupported` for pictures that aren't
    /// squares.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let File { embed_dim, text_cfg } = read_json(&folder.join("config.json"))?;
        let path = preprocessing_path(folder);
        let preprocessing: Value = read_json(&path)?;
        let side = square_side(&path, &preprocessing)?;
        let clean = text_cfg
            .tokenizer_kwargs
            .as_ref()
            .and_then(|options| options.get("clean"));
        Ok(Self {
            dimensions: embed_dim,
            image_size: side,
            preprocessing: serde_json::from_value(preprocessing)
                .map_err(|error| broken(&path, "has a value that can't be").with_source(error))?,
            context_length: text_cfg.context_length,
            canonicalizes: clean.and_then(Value::as_str) == Some("canonicalize"),
        })
    }
}

/// Reads the side of a square picture, `size`: one number, or two that are the same.
///
/// # Errors
/// `Unsupported` for pictures that aren't squares; `Internal` for a value that can't be. Both name the file.
pub(super) fn square_side(path: &Path, preprocessing: &Value) -> Result<usize> {
    let side = match preprocessing.get("size") {
        Some(Value::Array(sides)) => match sides.as_slice() {
            [height, width] if height == width => height.as_u64(),
            _ => {
                return Err(unsupported(
                    path,
                    "takes pictures that are not squares, which are not read",
                ));
            }
        },
        Some(side) => side.as_u64(),
        None => None,
    };
    side.and_then(|side| usize::try_from(side).ok())
        .filter(|&side| side > 0)
        .ok_or_else(|| broken(path, "has a `size` that can't be"))
}

/// Returns the file that says what happens to a picture.
pub(super) fn preprocessing_path(folder: &Path) -> PathBuf {
    folder.join(VISUAL).join("preprocess_cfg.json")
}

/// Returns the folder of the tokenizer.
pub(super) fn tokenizer_folder(folder: &Path) -> PathBuf {
    folder.join(TEXTUAL)
}
