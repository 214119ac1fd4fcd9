//! The bundled `starter` model: pictures and texts in the space of sentences, by way of ImageNet's labels.
//!
//! ConSE (Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings", ICLR 2014): a
//! classifier gives the likeliest labels of a picture, and the picture's vector is the mean of those labels'
//! sentence vectors, weighted by their probability. The folder is made by `convert.py` of the crate `lucida-setup`.

mod consensus;
mod files;
mod image_tower;
mod languages;
mod manifest;
mod text_tower;

use std::path::Path;
use std::sync::Arc;

use lucida_core::{
    DecodeSize, EmbedderInfo, Error, Fingerprint, Modalities, Picture, Result, TextInfo, Token,
};
use lucida_models::checkpoint::TextTokenizer;
use lucida_models::{Model, TextInput, Tower};
use tracing::warn;

use crate::device::{Compute, Precision};
use crate::pixels::{self, Region};
use crate::runtime::Runtime;
use files::LANGUAGES_FILES;
pub(crate) use files::MANIFEST_FILE;
use image_tower::{ImageTower, Views};
use languages::{LanguageTower, Languages};
use manifest::Manifest;
use text_tower::{TextTower, Words};

/// Changes whenever other numbers come out of the same weights: the views, the filter, the averaging, the pooling.
const PREPROCESSING: &str = "starter-1 crop+squash bicubic conse";

/// Enough for a page of text; the model itself reads the first 256 tokens.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The starter model: a folder that was read, and a runtime to run it.
pub(crate) struct Starter {
    name: String,
    manifest: Arc<Manifest>,
    runtime: Runtime,
    tokenizer: TextTokenizer,
    /// `None` in a folder of an earlier version, which reads English only.
    languages: Option<Languages>,
    compute: Compute,
}

impl Starter {
    /// Reads the manifest and the tokenizer, and calls the model `name`, else what the manifest does. The towers read their graphs when they are loaded.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`, naming the file that is missing or not what the manifest says.
    pub(crate) fn open(
        folder: &Path,
        name: Option<&str>,
        runtime: Runtime,
        compute: Compute,
    ) -> Result<Self> {
        let manifest = Arc::new(Manifest::read(folder)?);
        let tokenizer = text_tower::read_tokenizer(&manifest)?;
        let languages = Languages::read(&manifest)?;
        if languages.is_none() {
            warn!(
                folder = %folder.display(),
                "the starter model is of an earlier version, which reads English only: run `lucida setup`, which adds other \
                 languages and leaves stored vectors as they are"
            );
        }
        Ok(Self {
            name: name.unwrap_or(manifest.model()).to_owned(),
            manifest,
            runtime,
            tokenizer,
            languages,
            compute,
        })
    }

    /// The way of a text that isn't English; `None` for one that goes through MiniLM.
    fn other_language(&self, text: TextInput<'_>) -> Option<&Languages> {
        self.languages
            .as_ref()
            .filter(|languages| !languages.is_english(text.text))
    }
}

/// Returns the size of the graphs' files in bytes, with that of the model for other languages; `None` where one is missing.
fn weight_bytes(manifest: &Manifest) -> Option<u64> {
    let mut files = vec![image_tower::GRAPH_FILE, text_tower::GRAPH_FILE];
    if manifest.languages().is_some() {
        files.extend(LANGUAGES_FILES);
    }
    let sizes = files.into_iter().map(|file| manifest.path(file).metadata().ok());
    sizes.map(|file| Some(file?.len())).sum()
}

impl Starter {
    /// Reads everything but the graphs; returns the size of these in bytes.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`, naming the file.
    pub(crate) fn inspect(folder: &Path) -> Result<u64> {
        let manifest = Arc::new(Manifest::read(folder)?);
        text_tower::read_tokenizer(&manifest)?;
        Languages::read(&manifest)?;
        weight_bytes(&manifest).ok_or_else(|| {
            let message = format!(
                "the starter model at {} lacks a graph: run `lucida setup`",
                folder.display()
            );
            Error::unavailable(message)
        })
    }
}

impl Model for Starter {
    type Visual = ImageTower;
    type Textual = TextTower;

    fn describe(&self) -> EmbedderInfo {
        let manifest = &self.manifest;
        let preprocessing = match self.compute.precision {
            Precision::Fp32 => PREPROCESSING.to_owned(),
            Precision::Bf16 | Precision::Int8 => {
                format!("{PREPROCESSING} {}", self.compute.precision.as_str())
            }
        };
        EmbedderInfo {
            model: self.name.clone(),
            fingerprint: Fingerprint::derive(manifest.model(), &manifest.weights_id(), &preprocessing),
            dimensions: manifest.dimensions(),
            modalities: Modalities {
                image: true,
                text: true,
            },
            max_text_bytes: MAX_TEXT_BYTES,
            texts: TextInfo {
                max_tokens: Some(self.tokenizer.max_tokens()),
                ..TextInfo::default()
            },
            // Twice what the crop needs leaves the filter enough to average.
            decode_size: DecodeSize::short_side(manifest.image().short_side_pixels() * 2),
        }
    }

    fn weight_bytes(&self) -> Option<u64> {
        weight_bytes(&self.manifest)
    }

    fn tokenize(&self, text: TextInput<'_>) -> Result<Vec<Token>> {
        match self.other_language(text) {
            Some(languages) => languages.show(text),
            None => self.tokenizer.show(text),
        }
    }

    fn decode_tokens(&self, ids: &[u32]) -> Result<String> {
        self.tokenizer.decode(ids)
    }

    fn prepare_image(&self, picture: &Picture) -> Result<Views> {
        let recipe = self.manifest.image();
        let (size, short_side) = (recipe.size_pixels, recipe.short_side_pixels());
        let crop = Region::centre_crop(picture, size, short_side);
        Ok(Views([
            pixels::resize(picture, crop, size)?,
            pixels::resize(picture, Region::whole(picture), size)?,
        ]))
    }

    fn prepare_text(&self, text: TextInput<'_>) -> Result<Words> {
        match self.other_language(text) {
            Some(languages) => languages.tokenize(text).map(Words::Other),
            None => self.tokenizer.tokenize(text).map(Words::English),
        }
    }

    fn load_visual(&self) -> Result<ImageTower> {
        ImageTower::load(&self.manifest, &self.runtime, self.compute)
    }

    fn load_textual(&self) -> Result<TextTower> {
        let languages = self.languages.as_ref();
        let languages =
            languages.map(|languages| LanguageTower::new(languages, &self.runtime, self.compute.threads));
        TextTower::load(&self.manifest, &self.runtime, self.compute, languages)
    }
}

// Both towers compute each input by itself, so that nothing else in a batch can change a vector: ONNX Runtime may
// choose another kernel for another batch size, and padded texts were seen to differ in the last bit.
const _: () = {
    const fn is_tower<T: Tower>() {}
    is_tower::<ImageTower>();
    is_tower::<TextTower>();
};
