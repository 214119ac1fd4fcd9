//! A model folder: which layout it has, and what can be read from it.

use std::path::{Path, PathBuf};

use lucida_core::{Error, Result, TextInfo};
use serde_json::Value;

use super::bert::{self, EncoderConfig};
use super::chinese_clip::ChineseClipConfig;
use super::clip::{self, ClipConfig};
use super::exported::ExportedConfig;
use super::family::{self, unknown};
use super::immich::{self, ImmichConfig};
use super::modules::{self, MODULES_FILE, Modules};
use super::openclip::{self, OpenClipConfig};
use super::recipe::{ImageRecipe, Usual};
use super::rotary::{self, RotaryConfig};
use super::siglip::{self, SiglipConfig};
use super::texts::{self, TextSettings};
use super::tokenizer::{Cleaning, Padding, TextRules, TextTokenizer};
use super::tower::{Dense, ImageEncoder, Pooling, TextFamily, TextTower};
use super::weights::Weights;
use super::{broken, missing, read_json, unsupported};

const CONFIG_FILE: &str = "config.json";

/// A folder in one of the published layouts: a CLIP, SigLIP or text encoder of transformers, a sentence-transformers model
/// around one, an OpenCLIP model, or
/// one of Immich's ONNX exports. Opening it reads its small files; weights are mapped when a tower is asked for.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    root: PathBuf,
    /// Where `config.json`, the weights and the tokenizer are.
    model: PathBuf,
    kind: Kind,
    modules: Option<Modules>,
    settings: TextSettings,
}

#[derive(Debug, Clone)]
enum Kind {
    Clip(ClipConfig),
    ChineseClip(Box<ChineseClipConfig>),
    Siglip(SiglipConfig),
    OpenClip(Box<OpenClipConfig>),
    Immich(Box<ImmichConfig>),
    Encoder(EncoderConfig),
    Rotary(RotaryConfig),
    /// A text encoder that only an ONNX export computes.
    Exported(ExportedConfig),
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
        [MODULES_FILE, CONFIG_FILE, openclip::CONFIG_FILE]
            .iter()
            .any(|name| folder.join(name).is_file())
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
        if ImmichConfig::is_in(folder) {
            return Ok(Self {
                root: folder.to_path_buf(),
                model: folder.to_path_buf(),
                kind: Kind::Immich(Box::new(ImmichConfig::read(folder)?)),
                modules: None,
                settings: TextSettings::default(),
            });
        }
        let path = model.join(openclip::CONFIG_FILE);
        if path.is_file() && !is_transformers(&model)? {
            let config = OpenClipConfig::read(&path)?;
            return Ok(Self {
                root: folder.to_path_buf(),
                model,
                kind: Kind::OpenClip(Box::new(config)),
                modules,
                settings: TextSettings::default(),
            });
        }
        let path = model.join(CONFIG_FILE);
        let config: Value = read_json(&path)?;
        let kind = match config.get("model_type").and_then(Value::as_str) {
            Some("clip" | "clip_vision_model" | "clip_text_model") => {
                Kind::Clip(ClipConfig::read(&path, &config)?)
            }
            Some("chinese_clip") => Kind::ChineseClip(Box::new(ChineseClipConfig::read(&path, &config)?)),
            Some(name) if siglip::MODEL_TYPES.contains(&name) => {
                Kind::Siglip(SiglipConfig::read(&path, &config)?)
            }
            Some(name) if bert::MODEL_TYPES.contains(&name) => match bert::other_positions(&config) {
                Some(reason) => Kind::Exported(ExportedConfig::read(&path, name, &config, reason)?),
                None => Kind::Encoder(EncoderConfig::read(&path, name, &config)?),
            },
            Some(name) if rotary::MODEL_TYPES.contains(&name) => {
                if name == "qwen3" && modules.is_none() {
                    return Err(unsupported(
                        &path,
                        "is of a Qwen3 that writes texts: only one with a `modules.json`, such as Qwen3-Embedding, has vectors",
                    ));
                }
                Kind::Rotary(RotaryConfig::read(&path, name, &config)?)
            }
            Some(name) if let Some(reason) = family::exported_only(name, &model) => {
                Kind::Exported(ExportedConfig::read(&path, name, &config, reason)?)
            }
            Some(name) => return Err(unknown(&path, name)),
            None => return Err(broken(&path, "has no `model_type`")),
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
        Ok(TextInfo {
            max_tokens: Some(tokenizer.max_tokens()),
            ..texts::info(&self.root, &self.model, &self.settings)?
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
        match &self.kind {
            Kind::OpenClip(_) => openclip::WEIGHT_FILES
                .iter()
                .any(|name| self.model.join(name).is_file()),
            Kind::Immich(_) | Kind::Exported(_) => false,
            Kind::Clip(_) | Kind::ChineseClip(_) | Kind::Siglip(_) | Kind::Encoder(_) | Kind::Rotary(_) => {
                Weights::are_in(&self.model)
            }
        }
    }

    /// Tells whether the model takes pictures.
    #[must_use]
    pub const fn takes_images(&self) -> bool {
        match &self.kind {
            Kind::Clip(config) => config.vision.is_some(),
            Kind::Siglip(config) => config.vision.is_some(),
            Kind::ChineseClip(_) | Kind::OpenClip(_) | Kind::Immich(_) => true,
            Kind::Encoder(_) | Kind::Rotary(_) | Kind::Exported(_) => false,
        }
    }

    /// Tells whether the model takes texts.
    #[must_use]
    pub const fn takes_texts(&self) -> bool {
        match &self.kind {
            Kind::Clip(config) => config.text.is_some(),
            Kind::Siglip(config) => config.text.is_some(),
            Kind::ChineseClip(_)
            | Kind::OpenClip(_)
            | Kind::Immich(_)
            | Kind::Encoder(_)
            | Kind::Rotary(_)
            | Kind::Exported(_) => true,
        }
    }

    /// Reads how a picture becomes the image tower's input.
    ///
    /// # Errors
    /// `Unsupported` for a model without an image tower, and otherwise those of [`ModelFolder::open`].
    pub fn image_recipe(&self) -> Result<ImageRecipe> {
        match &self.kind {
            Kind::Clip(ClipConfig {
                vision: Some(config), ..
            }) => ImageRecipe::read(&self.model, config.image_size, Usual::Clip),
            Kind::ChineseClip(config) => {
                ImageRecipe::read(&self.model, config.vision.image_size, Usual::Clip)
            }
            Kind::Siglip(SiglipConfig {
                vision: Some(config), ..
            }) => ImageRecipe::read(&self.model, config.image_size, Usual::Siglip),
            Kind::OpenClip(config) => {
                let path = self.config_path();
                ImageRecipe::of_open_clip(&path, &config.preprocessing, config.image_size(&path)?)
            }
            Kind::Immich(config) => ImageRecipe::of_open_clip(
                &immich::preprocessing_path(&self.root),
                &config.preprocessing,
                config.image_size,
            ),
            Kind::Clip(_) | Kind::Siglip(_) | Kind::Encoder(_) | Kind::Rotary(_) | Kind::Exported(_) => {
                Err(self.lacks("image"))
            }
        }
    }

    fn config_path(&self) -> PathBuf {
        self.model.join(match &self.kind {
            Kind::OpenClip(_) => openclip::CONFIG_FILE,
            Kind::Clip(_)
            | Kind::ChineseClip(_)
            | Kind::Siglip(_)
            | Kind::Immich(_)
            | Kind::Encoder(_)
            | Kind::Rotary(_)
            | Kind::Exported(_) => CONFIG_FILE,
        })
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
            Kind::Immich(_) => Err(self.is_export()),
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
        let rules = match &self.kind {
            Kind::Clip(config) => TextRules {
                max_positions: config
                    .text
                    .as_ref()
                    .ok_or_else(|| self.lacks("text"))?
                    .max_position_embeddings,
                max_tokens: None,
                cleaning: Cleaning::None,
                padding: None,
                excludes_prompt: false,
                limit: self.settings.max_tokens,
            },
            Kind::Siglip(config) => {
                let text = config.text.as_ref().ok_or_else(|| self.lacks("text"))?;
                TextRules {
                    max_positions: text.max_position_embeddings,
                    // Whatever else the tokenizer says: the model was trained with texts of this length.
                    max_tokens: Some(text.max_position_embeddings),
                    cleaning: family::siglip_cleaning(&self.model)?,
                    padding: Some(Padding::Own),
                    excludes_prompt: false,
                    limit: self.settings.max_tokens,
                }
            }
            Kind::OpenClip(config) => TextRules {
                max_positions: config.context_length(),
                max_tokens: Some(config.context_length()),
                cleaning: if config.canonicalizes() {
                    Cleaning::OpenClip
                } else {
                    Cleaning::None
                },
                padding: config.sees_padding().then_some(if config.has_own_tokenizer() {
                    Padding::Zero
                } else {
                    Padding::Own
                }),
                excludes_prompt: false,
                limit: self.settings.max_tokens,
            },
            Kind::Immich(config) => {
                let rules = TextRules {
                    max_positions: config.context_length,
                    max_tokens: Some(config.context_length),
                    cleaning: if config.canonicalizes {
                        Cleaning::OpenClip
                    } else {
                        Cleaning::None
                    },
                    // As Immich does, whatever the model sees of it: some graphs take texts of this length only.
                    padding: Some(Padding::Own),
                    excludes_prompt: false,
                    limit: self.settings.max_tokens,
                };
                return TextTokenizer::read(&immich::tokenizer_folder(&self.root), rules);
            }
            Kind::ChineseClip(config) => self.sentence_rules(config.max_tokens())?,
            Kind::Encoder(config) => self.sentence_rules(config.max_tokens())?,
            Kind::Rotary(config) => self.sentence_rules(config.max_tokens)?,
            Kind::Exported(config) => self.sentence_rules(config.max_tokens)?,
        };
        TextTokenizer::read(&self.model, rules)
    }

    fn sentence_rules(&self, max_positions: usize) -> Result<TextRules> {
        let file = SentenceFile::read(&self.model)?;
        Ok(TextRules {
            max_positions,
            max_tokens: file.max_seq_length,
            cleaning: if file.do_lower_case {
                Cleaning::Lowercase
            } else {
                Cleaning::None
            },
            padding: None,
            excludes_prompt: self.excludes_prompt()?,
            limit: self.settings.max_tokens,
        })
    }

    fn excludes_prompt(&self) -> Result<bool> {
        let pooling = self.modules.as_ref().and_then(|modules| modules.pooling.as_ref());
        pooling.map_or(Ok(false), |folder| modules::excludes_prompt(folder))
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
            Kind::Immich(_) => Err(self.is_export()),
            Kind::Exported(config) => Err(config.refusal(&path)),
            Kind::Clip(_) | Kind::Siglip(_) => Err(self.lacks("text")),
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

    /// Tells whether the model is a text encoder of the BERT families, which something follows.
    #[must_use]
    pub const fn has_text_head(&self) -> bool {
        match &self.kind {
            Kind::Clip(_) | Kind::ChineseClip(_) | Kind::Siglip(_) | Kind::OpenClip(_) | Kind::Immich(_) => {
                false
            }
            Kind::Encoder(_) | Kind::Rotary(_) | Kind::Exported(_) => true,
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
        match &self.kind {
            Kind::Clip(ClipConfig {
                vision: Some(config), ..
            }) => Ok(config.projection_dim),
            Kind::Siglip(SiglipConfig {
                vision: Some(config), ..
            }) => Ok(config.dimensions()),
            Kind::ChineseClip(config) => Ok(config.dimensions()),
            Kind::OpenClip(config) => Ok(config.dimensions),
            Kind::Immich(config) => Ok(config.dimensions),
            Kind::Clip(_) | Kind::Siglip(_) | Kind::Encoder(_) | Kind::Rotary(_) | Kind::Exported(_) => {
                Err(self.lacks("image"))
            }
        }
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
            Kind::Clip(_) | Kind::Siglip(_) => Err(self.lacks("text")),
            Kind::Encoder(_) | Kind::Rotary(_) | Kind::Exported(_) => {
                let head = self.text_head()?;
                let pooled = self.hidden()? * head.pooling.len();
                Ok(head.dense.last().map_or(pooled, |step| step.linear.outputs()))
            }
        }
    }

    /// Returns the length of a text encoder's rows.
    fn hidden(&self) -> Result<usize> {
        match &self.kind {
            Kind::Encoder(config) => Ok(config.hidden),
            Kind::Rotary(config) => Ok(config.hidden),
            Kind::Exported(config) => Ok(config.hidden),
            Kind::Clip(_) | Kind::ChineseClip(_) | Kind::Siglip(_) | Kind::OpenClip(_) | Kind::Immich(_) => {
                Err(unsupported(
                    &self.root,
                    "has no text encoder with a head of its own",
                ))
            }
        }
    }

    fn is_export(&self) -> Error {
        unsupported(
            &self.root,
            "is an ONNX export of Immich, which has no weights of its own: the engine `onnx` runs it",
        )
    }

    fn lacks(&self, tower: &str) -> Error {
        unsupported(&self.root, &format!("has no {tower} tower"))
    }
}

/// Tells whether a folder with an `open_clip_config.json` is a transformers model too, whose weights are read then: the
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
