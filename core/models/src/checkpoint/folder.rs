//! A model folder: which layout it has, and what can be read from it.

use std::path::{Path, PathBuf};

use lucida_core::{Error, Result};
use serde_json::Value;

use super::bert::{self, EncoderConfig};
use super::clip::{self, ClipConfig};
use super::modules::{self, MODULES_FILE, Modules};
use super::recipe::ImageRecipe;
use super::tokenizer::{TextRules, TextTokenizer};
use super::tower::{Dense, ImageTower, Pooling, TextTower};
use super::weights::Weights;
use super::{broken, missing, read_json, unsupported};

const CONFIG_FILE: &str = "config.json";

/// A folder in one of the published layouts: a transformers CLIP or text encoder, or a sentence-transformers model around
/// one. Opening it reads its small files; weights are mapped when a tower is asked for.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    root: PathBuf,
    /// Where `config.json`, the weights and the tokenizer are.
    model: PathBuf,
    kind: Kind,
    modules: Option<Modules>,
}

#[derive(Debug, Clone)]
enum Kind {
    Clip(ClipConfig),
    Encoder(EncoderConfig),
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
    /// Tells whether a folder looks like one of the layouts, so that an error about it is worth more than the next guess.
    #[must_use]
    pub fn is_one(folder: &Path) -> bool {
        folder.join(MODULES_FILE).is_file() || folder.join(CONFIG_FILE).is_file()
    }

    /// Reads what a folder is.
    ///
    /// # Errors
    /// `Unavailable` for a folder or a file that is not there; `Internal` for a file that is damaged or says what can't
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
        let path = model.join(CONFIG_FILE);
        let config: Value = read_json(&path)?;
        let kind = match config.get("model_type").and_then(Value::as_str) {
            Some("clip" | "clip_vision_model" | "clip_text_model") => {
                Kind::Clip(ClipConfig::read(&path, &config)?)
            }
            Some(name) if bert::MODEL_TYPES.contains(&name) => {
                Kind::Encoder(EncoderConfig::read(&path, name, &config)?)
            }
            Some(name) => {
                let known = bert::MODEL_TYPES.join(", ");
                return Err(unsupported(
                    &path,
                    &format!(
                        "is of a `{name}`; this version reads clip, clip_vision_model, clip_text_model, {known}"
                    ),
                ));
            }
            None => return Err(broken(&path, "has no `model_type`")),
        };
        Ok(Self {
            root: folder.to_path_buf(),
            model,
            kind,
            modules,
        })
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

    /// Tells whether the folder has the weights themselves, and not only an export of them.
    #[must_use]
    pub fn has_weights(&self) -> bool {
        Weights::are_in(&self.model)
    }

    /// Tells whether the model takes pictures.
    #[must_use]
    pub const fn takes_images(&self) -> bool {
        match &self.kind {
            Kind::Clip(config) => config.vision.is_some(),
            Kind::Encoder(_) => false,
        }
    }

    /// Tells whether the model takes texts.
    #[must_use]
    pub const fn takes_texts(&self) -> bool {
        match &self.kind {
            Kind::Clip(config) => config.text.is_some(),
            Kind::Encoder(_) => true,
        }
    }

    /// Reads how a picture becomes the image tower's input.
    ///
    /// # Errors
    /// `Unsupported` for a model without an image tower, and otherwise those of [`ModelFolder::open`].
    pub fn image_recipe(&self) -> Result<ImageRecipe> {
        let config = self.vision()?;
        ImageRecipe::read(&self.model, config.image_size)
    }

    /// Locates the image tower's tensors.
    ///
    /// # Errors
    /// `Unsupported` for a model without an image tower; `Unavailable` when the folder has no weights; `Internal`, naming
    /// the tensor that is missing, has another shape than the configuration says, or the file that is damaged.
    pub fn image_tower(&self) -> Result<ImageTower> {
        let config = self.vision()?;
        clip::image_tower(
            config,
            &Weights::open(&self.model)?,
            &self.model.join(CONFIG_FILE),
        )
    }

    /// Reads the tokenizer.
    ///
    /// # Errors
    /// `Unsupported` for a model without a text tower, and otherwise those of [`ModelFolder::open`].
    pub fn tokenizer(&self) -> Result<TextTokenizer> {
        let rules = match &self.kind {
            Kind::Clip(_) => TextRules {
                max_positions: self.clip_text()?.max_position_embeddings,
                max_tokens: None,
                lowercase: false,
            },
            Kind::Encoder(config) => {
                let file = SentenceFile::read(&self.model)?;
                TextRules {
                    max_positions: config.max_tokens(),
                    max_tokens: file.max_seq_length,
                    lowercase: file.do_lower_case,
                }
            }
        };
        TextTokenizer::read(&self.model, rules)
    }

    /// Locates the text tower's tensors.
    ///
    /// # Errors
    /// Those of [`ModelFolder::image_tower`].
    pub fn text_tower(&self) -> Result<TextTower> {
        let path = self.model.join(CONFIG_FILE);
        match &self.kind {
            Kind::Clip(_) => clip::text_tower(self.clip_text()?, &Weights::open(&self.model)?, &path),
            Kind::Encoder(config) => {
                let TextHead { pooling, dense } = self.text_head()?;
                let (embedding, encoder) = config.locate(&Weights::open(&self.model)?, &path)?;
                Ok(TextTower {
                    embedding,
                    encoder,
                    final_norm: None,
                    pooling,
                    projection: None,
                    dense,
                })
            }
        }
    }

    /// Tells whether the model is a text encoder of the BERT families, which something follows.
    #[must_use]
    pub const fn has_text_head(&self) -> bool {
        match &self.kind {
            Kind::Clip(_) => false,
            Kind::Encoder(_) => true,
        }
    }

    /// Reads what follows a text encoder of the BERT families, for an engine that has a graph of the encoder itself. A
    /// folder without modules is pooled by the mean, as sentence-transformers does.
    ///
    /// # Errors
    /// `Unsupported` for CLIP, whose tower has no such head; otherwise those of [`ModelFolder::image_tower`].
    pub fn text_head(&self) -> Result<TextHead> {
        let Kind::Encoder(config) = &self.kind else {
            return Err(unsupported(
                &self.root,
                "has no text encoder with a head of its own",
            ));
        };
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
        let mut width = config.hidden * pooling.len();
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
        Ok(self.vision()?.projection_dim)
    }

    /// Returns the length of the vectors of texts.
    ///
    /// # Errors
    /// Those of [`ModelFolder::text_head`].
    pub fn text_dimensions(&self) -> Result<usize> {
        match &self.kind {
            Kind::Clip(_) => Ok(self.clip_text()?.projection_dim),
            Kind::Encoder(config) => {
                let head = self.text_head()?;
                Ok(head
                    .dense
                    .last()
                    .map_or(config.hidden * head.pooling.len(), |step| step.linear.outputs()))
            }
        }
    }

    fn vision(&self) -> Result<&clip::VisionConfig> {
        let config = match &self.kind {
            Kind::Clip(config) => config.vision.as_ref(),
            Kind::Encoder(_) => None,
        };
        config.ok_or_else(|| self.lacks("image"))
    }

    fn clip_text(&self) -> Result<&clip::TextConfig> {
        let config = match &self.kind {
            Kind::Clip(config) => config.text.as_ref(),
            Kind::Encoder(_) => None,
        };
        config.ok_or_else(|| self.lacks("text"))
    }

    fn lacks(&self, tower: &str) -> Error {
        unsupported(&self.root, &format!("has no {tower} tower"))
    }
}

/// `sentence_bert_config.json`, by whichever of its names.
#[derive(Debug, Default, serde::Deserialize)]
struct SentenceFile {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

impl SentenceFile {
    /// The names that sentence-transformers looks for, in its order.
    const NAMES: [&str; 5] = ["bert", "roberta", "distilbert", "camembert", "xlm-roberta"];

    fn read(folder: &Path) -> Result<Self> {
        let paths = Self::NAMES.map(|name| folder.join(format!("sentence_{name}_config.json")));
        match paths.iter().find(|path| path.is_file()) {
            Some(path) => read_json(path),
            None => Ok(Self::default()),
        }
    }
}
