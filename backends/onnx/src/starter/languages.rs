//! Texts in other languages than English: which model a text goes through, and the way into the space of the pictures.
//!
//! MiniLM, in whose space the labels of the pictures are, reads English only. A text in another language goes through
//! multilingual-e5-small, and one matrix brings its vector into MiniLM's space. No stored vector is computed that way, so
//! the model's fingerprint says nothing of it. A folder of an earlier version has none of it: all texts count as English.

mod bridge;
mod detector;
mod tower;
mod vocabulary;

use std::sync::{Arc, OnceLock};

use lucida_core::{Result, Token};
use lucida_models::TextInput;
use lucida_models::checkpoint::Tokens;
use safetensors::{Dtype, SafeTensors};

use super::files::FITTED_FILE;
use super::manifest::{LanguageRecipe, Manifest, broken};
use bridge::Bridge;
use detector::Detector;
pub(super) use tower::LanguageTower;
use vocabulary::Vocabulary;

/// What is known of other languages before the model is loaded.
pub(super) struct Languages {
    manifest: Arc<Manifest>,
    recipe: LanguageRecipe,
    detector: Detector,
    bridge: Arc<Bridge>,
    /// Read for the first text that isn't English.
    vocabulary: OnceLock<Vocabulary>,
}

impl Languages {
    /// Reads the detector and the bridge; `None` for a folder that has only English.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`, naming the file.
    pub(super) fn read(manifest: &Arc<Manifest>) -> Result<Option<Self>> {
        let Some(recipe) = manifest.languages() else {
            return Ok(None);
        };
        let bytes = manifest.read_file(FITTED_FILE)?;
        let damaged = || broken(&manifest.path(FITTED_FILE), "holds no detector and bridge");
        let (detector, bridge) = parse(&bytes, manifest.dimensions()).ok_or_else(damaged)?;
        Ok(Some(Self {
            manifest: Arc::clone(manifest),
            recipe: recipe.clone(),
            detector,
            bridge: Arc::new(bridge),
            vocabulary: OnceLock::new(),
        }))
    }

    /// Returns whether a text is for MiniLM.
    pub(super) fn is_english(&self, text: &str) -> bool {
        self.detector.is_english(text)
    }

    /// Splits a text that isn't English into tokens.
    ///
    /// # Errors
    /// `InvalidInput` for a text over the limit that isn't to be cut; `Unavailable` or `Internal`, naming the file, when the
    /// vocabulary can't be read.
    pub(super) fn tokenize(&self, text: TextInput<'_>) -> Result<Tokens> {
        self.vocabulary()?.tokenize(&self.recipe.prompt, text)
    }

    /// Splits a text as [`Self::tokenize`] does, and shows the spelling of the tokens.
    ///
    /// # Errors
    /// Those of `tokenize`.
    pub(super) fn show(&self, text: TextInput<'_>) -> Result<Vec<Token>> {
        self.vocabulary()?.show(&self.recipe.prompt, text)
    }

    fn vocabulary(&self) -> Result<&Vocabulary> {
        if let Some(vocabulary) = self.vocabulary.get() {
            return Ok(vocabulary);
        }
        let vocabulary = Vocabulary::read(&self.manifest, self.recipe.max_tokens)?;
        Ok(self.vocabulary.get_or_init(|| vocabulary))
    }

    /// Returns the matrix, for the tower.
    pub(super) fn bridge(&self) -> Arc<Bridge> {
        Arc::clone(&self.bridge)
    }
}

fn parse(bytes: &[u8], dimensions: usize) -> Option<(Detector, Bridge)> {
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let floats = |name, shape: &[usize]| -> Option<Vec<f32>> {
        let tensor = tensors.tensor(name).ok()?;
        let fits = tensor.dtype() == Dtype::F32 && tensor.shape() == shape;
        let numbers = tensor.data().as_chunks().0.iter();
        let numbers: Vec<_> = numbers.map(|&number| f32::from_le_bytes(number)).collect();
        (fits && numbers.iter().all(|number| number.is_finite())).then_some(numbers)
    };
    let bridge = Bridge {
        start: floats("from", &[dimensions])?,
        matrix: floats("matrix", &[dimensions, dimensions])?,
        target: floats("to", &[dimensions])?,
    };
    let [step, bias] = floats("detector_line", &[2])?[..] else {
        return None;
    };
    let weights = tensors.tensor("detector").ok()?;
    if weights.dtype() != Dtype::I8 || weights.data().is_empty() {
        return None;
    }
    let weights = weights.data().iter().map(|byte| byte.cast_signed()).collect();
    Some((Detector::new(weights, step, bias), bridge))
}
