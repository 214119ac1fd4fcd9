//! What a folder holds: its layout and its family, as its small files say.

use std::path::Path;

use lucida_core::Result;
use serde_json::Value;

use super::bert::{self, EncoderConfig};
use super::chinese_clip::ChineseClipConfig;
use super::clip::ClipConfig;
use super::exported::ExportedConfig;
use super::family::{self, unknown};
use super::immich::ImmichConfig;
use super::jina_clip::JinaClipConfig;
use super::nomic_vision::{self, NomicVisionConfig};
use super::openclip::{self, OpenClipConfig};
use super::published_export::PublishedExport;
use super::rotary::{self, RotaryConfig};
use super::siglip::{self, SiglipConfig};
use super::weights::Weights;
use super::{broken, read_json, unsupported};
use crate::export_only::{JINA_CLIP, is_nomic_vision};

/// The file that describes a model of transformers.
pub(super) const CONFIG_FILE: &str = "config.json";

/// What a folder holds.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Clip(ClipConfig),
    ChineseClip(Box<ChineseClipConfig>),
    Siglip(SiglipConfig),
    OpenClip(Box<OpenClipConfig>),
    Immich(Box<ImmichConfig>),
    Encoder(EncoderConfig),
    Rotary(RotaryConfig),
    /// Both towers, by the published ONNX export alone.
    JinaClip(Box<JinaClipConfig>),
    /// An image tower, by the published ONNX export alone.
    NomicVision(NomicVisionConfig),
    /// A text encoder that only an ONNX export computes.
    Exported(ExportedConfig),
}

impl Kind {
    /// Reads what a folder holds; `model` is the folder of its first module, or the same one.
    ///
    /// # Errors
    /// Those of [`super::ModelFolder::open`].
    pub(super) fn read(folder: &Path, model: &Path, has_modules: bool) -> Result<Self> {
        if ImmichConfig::is_in(folder) {
            return Ok(Self::Immich(Box::new(ImmichConfig::read(folder)?)));
        }
        let path = model.join(openclip::CONFIG_FILE);
        if path.is_file() && !is_transformers(model)? {
            return Ok(Self::OpenClip(Box::new(OpenClipConfig::read(&path)?)));
        }
        let path = model.join(CONFIG_FILE);
        let config: Value = read_json(&path)?;
        Ok(match config.get("model_type").and_then(Value::as_str) {
            Some("clip" | "clip_vision_model" | "clip_text_model") => {
                Self::Clip(ClipConfig::read(&path, &config)?)
            }
            Some(JINA_CLIP) => Self::JinaClip(Box::new(JinaClipConfig::read(&path, &config)?)),
            Some(_) if is_nomic_vision(&config) => {
                Self::NomicVision(NomicVisionConfig::read(&path, &config)?)
            }
            Some("chinese_clip") => Self::ChineseClip(Box::new(ChineseClipConfig::read(&path, &config)?)),
            Some(name) if siglip::MODEL_TYPES.contains(&name) => {
                Self::Siglip(SiglipConfig::read(&path, &config)?)
            }
            Some(name) if bert::MODEL_TYPES.contains(&name) => match bert::other_positions(&config) {
                Some(reason) => Self::Exported(ExportedConfig::read(&path, name, &config, reason)?),
                None => Self::Encoder(EncoderConfig::read(&path, name, &config)?),
            },
            Some(name) if rotary::MODEL_TYPES.contains(&name) => {
                if name == "qwen3" && !has_modules {
                    return Err(unsupported(
                        &path,
                        "is of a Qwen3 that writes texts: only one with a `modules.json`, such as Qwen3-Embedding, has vectors",
                    ));
                }
                Self::Rotary(RotaryConfig::read(&path, name, &config)?)
            }
            Some(name) if let Some(reason) = family::exported_only(name, model) => {
                Self::Exported(ExportedConfig::read(&path, name, &config, reason)?)
            }
            Some(name) => return Err(unknown(&path, name)),
            None => return Err(broken(&path, "has no `model_type`")),
        })
    }

    /// Returns whether the model takes pictures.
    pub(super) const fn takes_images(&self) -> bool {
        match self {
            Self::Clip(config) => config.vision.is_some(),
            Self::Siglip(config) => config.vision.is_some(),
            Self::ChineseClip(_)
            | Self::OpenClip(_)
            | Self::Immich(_)
            | Self::JinaClip(_)
            | Self::NomicVision(_) => true,
            Self::Encoder(_) | Self::Rotary(_) | Self::Exported(_) => false,
        }
    }

    /// Returns whether the model takes texts.
    pub(super) const fn takes_texts(&self) -> bool {
        match self {
            Self::Clip(config) => config.text.is_some(),
            Self::Siglip(config) => config.text.is_some(),
            Self::ChineseClip(_)
            | Self::OpenClip(_)
            | Self::Immich(_)
            | Self::Encoder(_)
            | Self::Rotary(_)
            | Self::JinaClip(_)
            | Self::Exported(_) => true,
            Self::NomicVision(_) => false,
        }
    }

    /// Returns the text model that belongs to the pictures of this model, where it has none itself and its family names one.
    pub(super) const fn named_text_model(&self) -> Option<&'static str> {
        match self {
            Self::NomicVision(_) => Some(nomic_vision::TEXT_MODEL),
            Self::Clip(_)
            | Self::ChineseClip(_)
            | Self::Siglip(_)
            | Self::OpenClip(_)
            | Self::Immich(_)
            | Self::Encoder(_)
            | Self::Rotary(_)
            | Self::JinaClip(_)
            | Self::Exported(_) => None,
        }
    }

    /// Returns the export that is computed in place of the weights.
    pub(super) fn published_export(&self) -> Option<&PublishedExport> {
        match self {
            Self::JinaClip(config) => Some(&config.export),
            Self::NomicVision(config) => Some(&config.export),
            Self::Clip(_)
            | Self::ChineseClip(_)
            | Self::Siglip(_)
            | Self::OpenClip(_)
            | Self::Immich(_)
            | Self::Encoder(_)
            | Self::Rotary(_)
            | Self::Exported(_) => None,
        }
    }

    /// Returns the name of the file that describes the model.
    pub(super) const fn config_file(&self) -> &'static str {
        match self {
            Self::OpenClip(_) => openclip::CONFIG_FILE,
            Self::Clip(_)
            | Self::ChineseClip(_)
            | Self::Siglip(_)
            | Self::Immich(_)
            | Self::Encoder(_)
            | Self::Rotary(_)
            | Self::JinaClip(_)
            | Self::NomicVision(_)
            | Self::Exported(_) => CONFIG_FILE,
        }
    }

    /// Returns the length of the vectors of pictures; `None` for a model without an image tower.
    pub(super) const fn image_dimensions(&self) -> Option<usize> {
        match self {
            Self::Clip(ClipConfig {
                vision: Some(config), ..
            }) => Some(config.projection_dim),
            Self::Siglip(SiglipConfig {
                vision: Some(config), ..
            }) => Some(config.dimensions()),
            Self::ChineseClip(config) => Some(config.dimensions()),
            Self::OpenClip(config) => Some(config.dimensions),
            Self::Immich(config) => Some(config.dimensions),
            Self::JinaClip(config) => Some(config.dimensions),
            Self::NomicVision(config) => Some(config.dimensions),
            Self::Clip(_) | Self::Siglip(_) | Self::Encoder(_) | Self::Rotary(_) | Self::Exported(_) => None,
        }
    }

    /// Returns the length of the rows of a text encoder that something follows; `None` for other models.
    pub(super) const fn hidden(&self) -> Option<usize> {
        match self {
            Self::Encoder(config) => Some(config.hidden),
            Self::Rotary(config) => Some(config.hidden),
            Self::Exported(config) => Some(config.hidden),
            Self::Clip(_)
            | Self::ChineseClip(_)
            | Self::Siglip(_)
            | Self::OpenClip(_)
            | Self::Immich(_)
            | Self::JinaClip(_)
            | Self::NomicVision(_) => None,
        }
    }
}

/// Returns whether a folder with an `open_clip_config.json` is a transformers model too, whose weights are read then: the
/// same repository often has both.
fn is_transformers(folder: &Path) -> Result<bool> {
    let path = folder.join(CONFIG_FILE);
    let has_open_clip = openclip::WEIGHT_FILES
        .iter()
        .any(|name| folder.join(name).is_file());
    if !path.is_file() || (has_open_clip && !Weights::are_in(folder)) {
        return Ok(false);
    }
    let config: Value = read_json(&path)?;
    let name = config.get("model_type").and_then(Value::as_str);
    Ok(name.is_some_and(|name| {
        name.starts_with("clip") || name == "chinese_clip" || siglip::MODEL_TYPES.contains(&name)
    }))
}
