//! A checkpoint as a [`Model`]: everything about it that is the same whatever computes its towers.

use std::path::Path;

use lucida_core::{
    DecodeSize, EmbedderInfo, Error, ErrorKind, Fingerprint, Modalities, Picture, Result, TextInfo, Token,
    TowerKind,
};

use super::folder::ModelFolder;
use super::identity::WeightsId;
use super::recipe::{ImageRecipe, Pixels};
use super::tokenizer::{TextTokenizer, Tokens};
use super::tower::{ImageTower, TextTower};
use crate::model::{Model, TextInput, Tower};

/// Enough for some pages of text; the models that are read here look at its first 77 to 512 tokens.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// Changes whenever other numbers come out of the same weights and the same recipe.
const PREPROCESSING: &str = "checkpoint-1";

/// What computes towers.
pub trait Engine: Send + Sync + 'static {
    /// An image tower in memory.
    type Image: Tower<Input = Pixels>;
    /// A text tower in memory.
    type Text: Tower<Input = Tokens>;

    /// Returns what its numbers are rounded to, such as `fp32`. Two engines that say the same give vectors that differ by
    /// less than what rounding does, so these may share an index.
    fn numbers(&self) -> &str;

    /// Checks that the engine computes a text tower, before anything of it is loaded.
    ///
    /// # Errors
    /// `Unsupported`, naming the family and the engine that computes it.
    fn check_text(&self, _tower: &TextTower) -> Result<()> {
        Ok(())
    }

    /// Loads an image tower.
    ///
    /// # Errors
    /// Those of [`Model::load_visual`].
    fn load_image(&self, tower: &ImageTower, recipe: &ImageRecipe) -> Result<Self::Image>;

    /// Loads a text tower.
    ///
    /// # Errors
    /// Those of [`Model::load_textual`].
    fn load_text(&self, tower: &TextTower) -> Result<Self::Text>;
}

/// The towers of one model, located, and the preparation of their inputs.
pub struct Checkpoint {
    name: String,
    image: Option<(ImageTower, ImageRecipe)>,
    text: Option<(TextTower, TextTokenizer)>,
    dimensions: usize,
    weights: WeightsId,
    weight_bytes: u64,
}

impl Checkpoint {
    /// Reads a model called `name` from `folder`, and its text tower from `text_folder` where that is another one.
    ///
    /// # Errors
    /// Those of [`ModelFolder`]; `ConfigInvalid` when the two folders' vectors have different lengths, or when the second
    /// has no text tower.
    pub fn open(name: &str, folder: &Path, text_folder: Option<&Path>) -> Result<Self> {
        let model = ModelFolder::open(folder)?;
        let texts = text_folder.map(ModelFolder::open).transpose()?;
        if let Some(texts) = &texts {
            check_pair(&model, texts)?;
        }
        let texts = texts.as_ref().unwrap_or(&model);
        let image = if model.takes_images() {
            Some((model.image_tower()?, model.image_recipe()?))
        } else {
            None
        };
        let text = if texts.takes_texts() {
            Some((texts.text_tower()?, texts.tokenizer()?))
        } else {
            None
        };
        let dimensions = match &image {
            Some(_) => model.image_dimensions()?,
            None => texts.text_dimensions()?,
        };
        // An index holds vectors of pictures: another text tower for the same space leaves them what they are.
        let tensors = match (&image, &text) {
            (Some((tower, _)), _) => tower.tensors(),
            (None, Some((tower, _))) => tower.tensors(),
            (None, None) => Vec::new(),
        };
        let weights = WeightsId::of(&tensors)?;
        let of_texts = text.as_ref().map(|(tower, _)| tower.tensors());
        let of_images = image.as_ref().map(|(tower, _)| tower.tensors());
        let all = of_images.iter().chain(&of_texts).flatten();
        let weight_bytes = all.map(|tensor| tensor.size_bytes() as u64).sum();
        Ok(Self {
            name: name.to_owned(),
            image,
            text,
            dimensions,
            weights,
            weight_bytes,
        })
    }

    fn describe(&self, numbers: &str) -> EmbedderInfo {
        let recipe = self.image.as_ref().map(|(_, recipe)| recipe);
        let preprocessing = match recipe {
            Some(recipe) => format!("{PREPROCESSING} {numbers} {recipe:?}"),
            None => format!("{PREPROCESSING} {numbers}"),
        };
        EmbedderInfo {
            model: self.name.clone(),
            // By the numbers alone: a folder that is moved or renamed holds the same model.
            fingerprint: Fingerprint::derive("checkpoint", self.weights.as_bytes(), &preprocessing),
            dimensions: self.dimensions,
            modalities: Modalities {
                image: self.image.is_some(),
                text: self.text.is_some(),
            },
            max_text_bytes: MAX_TEXT_BYTES,
            texts: TextInfo::default(),
            decode_size: recipe.map_or(DecodeSize::FULL, ImageRecipe::decode_size),
        }
    }

    fn image(&self) -> Result<&(ImageTower, ImageRecipe)> {
        self.image.as_ref().ok_or_else(|| self.lacks(TowerKind::Image))
    }

    fn text(&self) -> Result<&(TextTower, TextTokenizer)> {
        self.text.as_ref().ok_or_else(|| self.lacks(TowerKind::Text))
    }

    fn lacks(&self, tower: TowerKind) -> Error {
        let message = format!("model `{}` has no {} tower", self.name, tower.as_str());
        Error::new(ErrorKind::Unsupported, message)
    }
}

/// Checks that a text tower of its own can belong to a model.
///
/// # Errors
/// `ConfigInvalid` where one of the folders lacks its tower, or their vectors have different lengths.
pub fn check_pair(model: &ModelFolder, texts: &ModelFolder) -> Result<()> {
    let (ours, theirs) = (model.path().display(), texts.path().display());
    if !model.takes_images() {
        return Err(Error::config(
            "text_model",
            format!("can't be added to {ours}, which takes no pictures: set `model` to {theirs} alone"),
        ));
    }
    if !texts.takes_texts() {
        return Err(Error::config(
            "text_model",
            format!("is {theirs}, which has no text tower"),
        ));
    }
    let (images, texts) = (model.image_dimensions()?, texts.text_dimensions()?);
    if images != texts {
        return Err(Error::config(
            "text_model",
            format!(
                "is {theirs}, whose vectors have {texts} dimensions, and those of {ours} have {images}: choose a text model \
                 that was trained for the same space"
            ),
        ));
    }
    Ok(())
}

/// A checkpoint and what computes it.
pub struct CheckpointModel<E> {
    checkpoint: Checkpoint,
    engine: E,
}

impl<E: Engine> CheckpointModel<E> {
    /// Puts the two together.
    ///
    /// # Errors
    /// Those of [`Engine::check_text`].
    pub fn new(checkpoint: Checkpoint, engine: E) -> Result<Self> {
        if let Some((tower, _)) = &checkpoint.text {
            engine.check_text(tower)?;
        }
        Ok(Self { checkpoint, engine })
    }
}

impl<E: Engine> Model for CheckpointModel<E> {
    type Visual = E::Image;
    type Textual = E::Text;

    fn describe(&self) -> EmbedderInfo {
        self.checkpoint.describe(self.engine.numbers())
    }

    fn weight_bytes(&self) -> Option<u64> {
        Some(self.checkpoint.weight_bytes)
    }

    fn tokenize(&self, text: TextInput<'_>) -> Result<Vec<Token>> {
        self.checkpoint.text()?.1.show(text)
    }

    fn decode_tokens(&self, ids: &[u32]) -> Result<String> {
        self.checkpoint.text()?.1.decode(ids)
    }

    fn prepare_image(&self, picture: &Picture) -> Result<Pixels> {
        self.checkpoint.image()?.1.prepare(picture)
    }

    fn prepare_text(&self, text: TextInput<'_>) -> Result<Tokens> {
        self.checkpoint.text()?.1.tokenize(text)
    }

    fn load_visual(&self) -> Result<E::Image> {
        let (tower, recipe) = self.checkpoint.image()?;
        self.engine.load_image(tower, recipe)
    }

    fn load_textual(&self) -> Result<E::Text> {
        self.engine.load_text(&self.checkpoint.text()?.0)
    }
}
