//! A model folder: which layout it has, and what can be read from it.

use std::path::{Path, PathBuf};

use lucida_core::{Error, Result, TextInfo};

use super::clip::{self, ClipConfig};
use super::family;
use super::image_encoder::ImageEncoder;
use super::immich;
use super::kind::{CONFIG_FILE, Kind};
use super::modules::{self, MODULES_FILE, Modules};
use super::nomic_vision;
use super::openclip;
use super::recipe::{ImageRecipe, Usual};
use super::siglip::{self, SiglipConfig};
use super::text_rules;
use super::texts::{self, TextSettings};
use super::tokenizer::{TextRules, TextTokenizer};
use super::tower::{Dense, Pooling, TextFamily, TextTower};
use super::weights::Weights;
use super::{broken, missing, unsupported};

/// A folder in one of the published layouts: a CLIP, SigLIP or text encoder of transformers, a sentence-transformers model
/// around one, an OpenCLIP model, or an ONNX export of Immich's, of a jina-clip or of a nomic-embed-vision. Opening it reads
/// its small files; weights are mapped when a tower is asked for.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    root: PathBuf,
    /// Where `config.json`, the weights and the tokenizer are.
    model: PathBuf,
    kind: Kind,
    modules: Option<Modules>,
    settings: TextSettings,
}

/// What follows a text encoder: how its rows become one, and what is done to that.
#[derive(Debug, Clone)]
pub struct TextHead {
    /// How rows become one; several are joined end to end.
    pub pooling: Vec<Pooling>,
    /// The steps after that.
    pub dense: Vec<Dense>,
}

impl ModelFolder {
    /// Returns whether a folder looks like one of the layouts, so that an error about it is worth more than the next guess.
    #[must_use]
    pub fn is_one(folder: &Path) -> bool {
        [MODULES_FILE, CONFIG_FILE, openclip::CONFIG_FILE]
            .iter()
            .any(|name| folder.join(name).is_file())
    }

    /// Reads what a folder is.
    ///
    /// # Errors
    /// `Unavailable` for a folder or a file that is missing; `Internal` for a file that is damaged or says what can't
    /// be; `Unsupported` for a model or a module that is not read. Each names the file.
    pub fn open(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(missing(folder, "the model's folder"));
        }
        let modules = folder
            .join(MODULES_FILE)
            .is_file()
            .then(|| Modules::read(folder))
            .transpose()?;
        let model = modules
            .as_ref()
            .map_or(folder, |modules| &modules.transformer)
            .to_path_buf();
        let kind = Kind::read(folder, &model, modules.is_some())?;
        // Immich's folder is read as a whole.
        let (model, modules) = if matches!(kind, Kind::Immich(_)) {
            (folder.to_path_buf(), None)
        } else {
            (model, modules)
        };
        Ok(Self {
            root: folder.to_path_buf(),
            model,
            kind,
            modules,
            settings: TextSettings::default(),
        })
    }

    /// Puts what a configuration says of texts in place of what the folder says.
    #[must_use]
    pub fn with_text_settings(mut self, settings: &TextSettings) -> Self {
        self.settings = settings.clone();
        self
    }

    /// Reads what requests may say of texts; `tokenizer` is that of the folder.
    ///
    /// # Errors
    /// `Internal` for a damaged file.
    pub fn text_info(&self, tokenizer: &TextTokenizer) -> Result<TextInfo> {
        let mut settings = self.settings.clone();
        if let Kind::JinaClip(config) = &self.kind {
            settings.family_prompts.extend(config.prompts.clone());
        }
        Ok(TextInfo {
            max_tokens: Some(tokenizer.max_tokens()),
            ..texts::info(&self.root, &self.model, &settings)?
        })
    }

    /// Adds to what a configuration says of texts what is known of those of a model whose text tower is another folder's:
    /// the prompts of nomic-embed-text, beside nomic-embed-vision.
    #[must_use]
    pub fn pair_settings(&self, settings: &TextSettings) -> TextSettings {
        let mut settings = settings.clone();
        if matches!(self.kind, Kind::NomicVision(_)) {
            settings.family_prompts.extend(nomic_vision::prompts());
        }
        settings
    }

    /// Returns whether the mean of a text's vector is subtracted from its numbers before they get unit length, where the texts
    /// are of another folder: so the texts of nomic-embed-text v1.5 come into the space of its pictures.
    #[must_use]
    pub fn centres_texts(&self, texts: &Self) -> bool {
        matches!(self.kind, Kind::NomicVision(_)) && nomic_vision::centres_texts(&self.root, &texts.root)
    }

    /// Returns whether the texts are those of a nomic-bert.
    pub(super) fn is_nomic_bert(&self) -> bool {
        matches!(&self.kind, Kind::Rotary(config) if config.family() == TextFamily::NomicBert)
    }

    /// Returns the text model that belongs to the pictures of this model, where it has none itself and its family names one.
    pub(super) const fn named_text_model(&self) -> Option<&'static str> {
        self.kind.named_text_model()
    }

    /// Returns whether a picture's vector is the first row of what its tower gives, in an export of it.
    #[must_use]
    pub const fn takes_first_row(&self) -> bool {
        matches!(self.kind, Kind::NomicVision(_))
    }

    /// Returns whether the model takes pictures.
    #[must_use]
    pub const fn takes_images(&self) -> bool {
        self.kind.takes_images()
    }

    /// Returns whether the model takes texts.
    #[must_use]
    pub const fn takes_texts(&self) -> bool {
        self.kind.takes_texts()
    }

    /// Returns whether the model is a text encoder of the BERT families, which something follows.
    #[must_use]
    pub const fn has_text_head(&self) -> bool {
        self.kind.hidden().is_some()
    }

    /// Returns the folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Returns the folder that has `config.json`, the tokenizer and the weights: the same one, or that of the first module.
    #[must_use]
    pub fn model_path(&self) -> &Path {
        &self.model
    }

    /// Returns whether the folder has the weights themselves, and not only an export of them.
    #[must_use]
    pub fn has_weights(&self) -> bool {
        match &self.kind {
            Kind::OpenClip(_) => openclip::WEIGHT_FILES
                .iter()
                .any(|name| self.model.join(name).is_file()),
            Kind::Immich(_) | Kind::JinaClip(_) | Kind::NomicVision(_) | Kind::Exported(_) => false,
            Kind::Clip(_) | Kind::ChineseClip(_) | Kind::Siglip(_) | Kind::Encoder(_) | Kind::Rotary(_) => {
                Weights::are_in(&self.model)
            }
        }
    }

    /// Reads how a picture becomes the image tower's input.
    ///
    /// # Errors
    /// `Unsupported` for a model without an image tower, and otherwise those of [`ModelFolder::open`].
    pub fn image_recipe(&self) -> Result<ImageRecipe> {
        match &self.kind {
            Kind::Clip(ClipConfig {
                vision: Some(config),
                is_bare,
                ..
            }) => {
                let says = !is_bare || self.has_weights();
                ImageRecipe::read(&self.model, says.then_some(config.image_size), Usual::Clip)
            }
            Kind::ChineseClip(config) => {
                ImageRecipe::read(&self.model, Some(config.vision.image_size), Usual::Clip)
            }
            Kind::Siglip(SiglipConfig {
                vision: Some(config), ..
            }) => ImageRecipe::read(&self.model, Some(config.image_size), Usual::Siglip),
            Kind::OpenClip(config) => {
                let path = self.config_path();
                ImageRecipe::of_open_clip(&path, &config.preprocessing, config.image_size(&path)?)
            }
            Kind::Immich(config) => {
                let path = immich::preprocessing_path(&self.root);
                let recipe = ImageRecipe::of_open_clip(&path, &config.preprocessing, config.image_size)?;
                Ok(recipe.cropped_as_by_immich())
            }
            Kind::JinaClip(config) => ImageRecipe::read_jina_clip(&self.model, config.image_size),
            Kind::NomicVision(config) => ImageRecipe::read(&self.model, Some(config.image_size), Usual::Clip),
            Kind::Clip(_) | Kind::Siglip(_) | Kind::Encoder(_) | Kind::Rotary(_) | Kind::Exported(_) => {
                Err(self.lacks("image"))
            }
        }
    }

    fn config_path(&self) -> PathBuf {
        self.model.join(self.kind.config_file())
    }

    fn weights(&self) -> Result<Weights> {
        match &self.kind {
            Kind::OpenClip(_) => Weights::open_one(&self.model, &openclip::WEIGHT_FILES),
            Kind::Immich(_) => Err(self.is_export()),
            Kind::Encoder(_) | Kind::Rotary(_)
                if !Weights::are_in(&self.model) && family::has_export(&self.model) =>
            {
                Err(unsupported(
                    &self.model,
                    "has an ONNX export and no weights beside it: the engine `onnx` runs it",
                ))
            }
            Kind::Clip(_)
            | Kind::ChineseClip(_)
            | Kind::Siglip(_)
            | Kind::Encoder(_)
            | Kind::Rotary(_)
            | Kind::JinaClip(_)
            | Kind::NomicVision(_)
            | Kind::Exported(_) => Weights::open(&self.model),
        }
    }

    /// Locates the image tower's tensors.
    ///
    /// # Errors
    /// `Unsupported` for a model without an image tower; `Unavailable` when the folder has no weights; `Internal`, naming
    /// the tensor that is missing, has another shape than the configuration says, or the file that is damaged.
    pub fn image_encoder(&self) -> Result<ImageEncoder> {
        let path = self.config_path();
        match &self.kind {
            Kind::Clip(ClipConfig {
                vision: Some(config), ..
            }) => clip::image_tower(config, &self.weights()?, &path).map(ImageEncoder::from),
            Kind::Siglip(SiglipConfig {
                vision: Some(config), ..
            }) => siglip::image_tower(config, &self.weights()?, &path).map(ImageEncoder::from),
            Kind::ChineseClip(config) => config
                .image_tower(&self.weights()?, &path)
                .map(ImageEncoder::from),
            Kind::OpenClip(config) => config.image_encoder(&self.weights()?, &path),
            Kind::Immich(_) | Kind::JinaClip(_) | Kind::NomicVision(_) => Err(self.is_export()),
            Kind::Clip(_) | Kind::Siglip(_) | Kind::Encoder(_) | Kind::Rotary(_) | Kind::Exported(_) => {
                Err(self.lacks("image"))
            }
        }
    }

    /// Reads the tokenizer.
    ///
    /// # Errors
    /// `Unsupported` for a model without a text tower, and otherwise those of [`ModelFolder::open`].
    pub fn tokenizer(&self) -> Result<TextTokenizer> {
        let pooling = self
            .modules
            .as_ref()
            .and_then(|modules| modules.pooling.as_deref());
        let rules = text_rules::of(&self.kind, &self.model, pooling)?.ok_or_else(|| self.lacks("text"))?;
        let rules = TextRules {
            limit: self.settings.max_tokens,
            ..rules
        };
        if matches!(self.kind, Kind::Immich(_)) {
            return TextTokenizer::read(&immich::tokenizer_folder(&self.root), rules);
        }
        TextTokenizer::read(&self.model, rules)
    }

    /// Locates the text tower's tensors.
    ///
    /// # Errors
    /// Those of [`ModelFolder::image_encoder`].
    pub fn text_tower(&self) -> Result<TextTower> {
        let path = self.config_path();
        match &self.kind {
            Kind::Clip(ClipConfig {
                text: Some(config), ..
            }) => clip::text_tower(config, &self.weights()?, &path),
            Kind::Siglip(SiglipConfig {
                text: Some(config), ..
            }) => siglip::text_tower(config, &self.weights()?, &path),
            Kind::ChineseClip(config) => config.text_tower(&self.weights()?, &path),
            Kind::OpenClip(config) => config.text_tower(&self.weights()?, &path),
            Kind::Immich(_) | Kind::JinaClip(_) => Err(self.is_export()),
            Kind::Exported(config) => Err(config.refusal(&path)),
            Kind::Clip(_) | Kind::Siglip(_) | Kind::NomicVision(_) => Err(self.lacks("text")),
            Kind::Encoder(config) => {
                let TextHead { pooling, dense } = self.text_head()?;
                let (embedding, encoder) = config.locate(&self.weights()?, &path)?;
                Ok(TextTower {
                    family: TextFamily::Plain,
                    embedding,
                    encoder,
                    final_norm: None,
                    pooling,
                    projection: None,
                    dense,
                })
            }
            Kind::Rotary(config) => {
                let TextHead { pooling, dense } = self.text_head()?;
                let (embedding, encoder, final_norm) = config.locate(&self.weights()?)?;
                Ok(TextTower {
                    family: config.family(),
                    embedding,
                    encoder,
                    final_norm,
                    pooling,
                    projection: None,
                    dense,
                })
            }
        }
    }

    /// Reads what follows a text encoder of the BERT families, for an engine that has a graph of the encoder itself. A
    /// folder without modules is pooled by the mean, as sentence-transformers does.
    ///
    /// # Errors
    /// `Unsupported` for CLIP, whose tower has no such head; otherwise those of [`ModelFolder::image_encoder`].
    pub fn text_head(&self) -> Result<TextHead> {
        let hidden = self.hidden()?;
        let modules = self.modules.as_ref();
        let pooling = match modules.and_then(|modules| modules.pooling.as_ref()) {
            Some(folder) => modules::pooling(folder)?,
            None => vec![Pooling::Mean],
        };
        let dense = modules.map_or(&[][..], |modules| &modules.dense);
        let dense = dense
            .iter()
            .map(|folder| modules::dense(folder))
            .collect::<Result<Vec<_>>>()?;
        let mut width = hidden * pooling.len();
        for (step, folder) in dense
            .iter()
            .zip(modules.map_or(&[][..], |modules| &modules.dense))
        {
            if step.linear.inputs() != width {
                let problem = format!(
                    "takes {} numbers, and the step before it gives {width}",
                    step.linear.inputs()
                );
                return Err(broken(folder, &problem));
            }
            width = step.linear.outputs();
        }
        Ok(TextHead { pooling, dense })
    }

    /// Returns the length of the vectors of pictures.
    ///
    /// # Errors
    /// `Unsupported` for a model without an image tower.
    pub fn image_dimensions(&self) -> Result<usize> {
        self.kind.image_dimensions().ok_or_else(|| self.lacks("image"))
    }

    /// Returns the length of the vectors of texts.
    ///
    /// # Errors
    /// Those of [`ModelFolder::text_head`].
    pub fn text_dimensions(&self) -> Result<usize> {
        match &self.kind {
            Kind::Clip(ClipConfig {
                text: Some(config), ..
            }) => Ok(config.projection_dim),
            Kind::Siglip(SiglipConfig {
                text: Some(config), ..
            }) => Ok(config.projection_size),
            Kind::ChineseClip(config) => Ok(config.dimensions()),
            Kind::OpenClip(config) => Ok(config.dimensions),
            Kind::Immich(config) => Ok(config.dimensions),
            Kind::JinaClip(config) => Ok(config.dimensions),
            Kind::Clip(_) | Kind::Siglip(_) | Kind::NomicVision(_) => Err(self.lacks("text")),
            Kind::Encoder(_) | Kind::Rotary(_) | Kind::Exported(_) => {
                let head = self.text_head()?;
                let pooled = self.hidden()? * head.pooling.len();
                Ok(head.dense.last().map_or(pooled, |step| step.linear.outputs()))
            }
        }
    }

    /// Returns the length of a text encoder's rows.
    fn hidden(&self) -> Result<usize> {
        let none = || unsupported(&self.root, "has no text encoder with a separate head");
        self.kind.hidden().ok_or_else(none)
    }

    fn is_export(&self) -> Error {
        if let Some(export) = self.kind.published_export() {
            return export.refusal(&self.config_path(), &self.model);
        }
        unsupported(
            &self.root,
            "is an ONNX export of Immich, which has no weights of its own: the engine `onnx` runs it",
        )
    }

    fn lacks(&self, tower: &str) -> Error {
        unsupported(&self.root, &format!("has no {tower} tower"))
    }
}
