//! Model folders in the layouts that people publish, read once for every engine.
//!
//! [`ModelFolder`] tells what a folder holds. Its [`ImageTower`] and [`TextTower`] are whole descriptions, tensor by
//! tensor, of what is to be computed: an engine that can run these few structures runs every model that is read here.
//! Each [`Tensor`] knows in which file its bytes are and where, and gives them mapped, so that an engine need not copy.
//!
//! No weight is ever made up: a tensor that is missing, or whose shape is not what the configuration says, is an error
//! that names it.

mod activation;
mod bert;
mod chinese_clip;
mod clip;
mod exported;
mod family;
mod fast_vit;
mod fields;
mod folder;
mod identity;
mod image_encoder;
mod immich;
mod jina_clip;
mod kind;
mod model;
mod modules;
mod nomic_vision;
mod openclip;
mod place;
mod published_export;
mod recipe;
mod rotary;
mod siglip;
mod tensor;
mod text_rules;
mod texts;
mod tokenizer;
mod tower;
mod weights;

use std::path::Path;

use serde::de::DeserializeOwned;

pub use fast_vit::FastVitTower;
pub use folder::{ModelFolder, TextHead};
pub use identity::WeightsId;
pub use image_encoder::ImageEncoder;
pub use model::{Checkpoint, CheckpointModel, Engine, Towers, check_pair, fast_vit_refusal, max_text_bytes};
pub use place::{ModelPlace, check_local_pair, check_names, inspect_folders};
pub use recipe::{ImageRecipe, Pixels};
pub use rotary::ROTARY_MAX_TOKENS;
pub use tensor::{ElementType, Tensor, map_file};
pub use texts::TextSettings;
pub use tokenizer::{TextTokenizer, Tokens};
pub use tower::{
    Activation, Attention, AttentionPool, Dense, DistanceBuckets, Encoder, EncoderLayer, HeadNorms,
    ImagePooling, ImageTower, LayerNorm, Layout, Linear, NormKind, NormPlacement, OutputNorms,
    PatchEmbedding, Places, Pooling, Rotary, ScoreBias, TextFamily, TextTower, TokenEmbedding,
};

use lucida_core::{Error, ErrorKind, Result};

/// A file or folder that exists and is not what it should be.
fn broken(path: &Path, problem: &str) -> Error {
    Error::internal(format!("{} {problem}", path.display()))
}

/// A file or folder that is missing.
fn missing(path: &Path, what: &str) -> Error {
    Error::unavailable(format!(
        "{} does not exist: expected {what} there",
        path.display()
    ))
}

/// Something well formed that this version has no way to compute.
fn unsupported(path: &Path, problem: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{} {problem}", path.display()))
}

/// Checks that a size is a multiple of another and neither is 0.
fn divides(path: &Path, whole: usize, part: usize) -> Result<()> {
    if part == 0 || whole == 0 || !whole.is_multiple_of(part) {
        return Err(broken(
            path,
            &format!("says that {whole} is divided into {part} parts"),
        ));
    }
    Ok(())
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(missing(path, "a part of the model"));
        }
        Err(error) => return Err(broken(path, "can't be read").with_source(error)),
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| broken(path, "is not what it should be").with_source(error))
}
