//! Chinese-CLIP: the image tower of a CLIP, and a BERT for texts (`modeling_chinese_clip.py` of transformers 5.24).

use std::path::Path;

use lucida_core::Result;
use serde_json::Value;

use super::bert::EncoderConfig;
use super::clip::{self, VisionConfig, part};
use super::tower::{ImageTower, Pooling, TextFamily, TextTower};
use super::weights::Weights;

/// The configuration of both towers.
#[derive(Debug, Clone)]
pub(super) struct ChineseClipConfig {
    pub(super) vision: VisionConfig,
    text: EncoderConfig,
}

impl ChineseClipConfig {
    /// Reads the `config.json` of a `chinese_clip`.
    ///
    /// # Errors
    /// `Internal`, naming the file, for a value that can't be.
    pub(super) fn read(path: &Path, config: &Value) -> Result<Self> {
        Ok(Self {
            vision: VisionConfig::read(path, config, &part(config, "vision_config"))?,
            text: EncoderConfig::read(path, "bert", &part(config, "text_config"))?,
        })
    }

    /// Returns how many tokens there are positions for.
    pub(super) const fn max_tokens(&self) -> usize {
        self.text.max_tokens()
    }

    /// Returns the length of a vector, of a picture or a text.
    pub(super) const fn dimensions(&self) -> usize {
        self.vision.projection_dim
    }

    /// Locates the image tower's tensors.
    ///
    /// # Errors
    /// `Internal`, naming the tensor that is missing or of another shape, or the value that can't be.
    pub(super) fn image_tower(&self, weights: &Weights, path: &Path) -> Result<ImageTower> {
        clip::image_tower(&self.vision, weights, path)
    }

    /// Locates the text tower's tensors: the first row, projected.
    ///
    /// # Errors
    /// Those of [`ChineseClipConfig::image_tower`].
    pub(super) fn text_tower(&self, weights: &Weights, path: &Path) -> Result<TextTower> {
        let (embedding, encoder) = self.text.locate_at(weights, path, "text_model.")?;
        let sides = [self.dimensions(), self.text.hidden];
        Ok(TextTower {
            family: TextFamily::Plain,
            embedding,
            encoder,
            final_norm: None,
            pooling: vec![Pooling::First],
            projection: Some(weights.linear("text_projection", sides, false)?),
            dense: Vec::new(),
        })
    }
}
