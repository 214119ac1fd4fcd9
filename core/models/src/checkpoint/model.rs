//! A checkpoint as a [`Model`]: everything about it that is the same whatever computes its towers.

use std::path::Path;

use lucida_core::{
    DecodeSize, EmbedderInfo, Error, ErrorKind, Fingerprint, Modalities, Picture, Result, TextInfo, Token,
    TowerKind,
};

use super::fast_vit::FastVitTower;
use super::folder::ModelFolder;
use super::identity::WeightsId;
use super::image_encoder::ImageEncoder;
use super::recipe::{ImageRecipe, Pixels};
use super::texts::TextSettings;
use super::tokenizer::{TextTokenizer, Tokens};
use super::tower::{ImageTower, TextTower};
use crate::model::{Model, TextInput, Tower};

/// Enough for some pages of text, where a model looks at the first tokens only.
const LEAST_TEXT_BYTES: usize = 16 * 1024;

/// More than a token has in any language: the text of a model that takes thousands of tokens may be as long as those.
const BYTES_PER_TOKEN: usize = 16;

/// Returns how long a text may be that a model is given.
#[must_use]
pub fn max_text_bytes(texts: &TextInfo) -> usize {
    let tokens = texts.max_tokens.unwrap_or(0);
    tokens.saturating_mul(BYTES_PER_TOKEN).max(LEAST_TEXT_BYTES)
}

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

    /// Checks that the engine computes FastViTs, before anything of one is loaded.
    ///
    /// # Errors
    /// `Unsupported`, naming the engine that does.
    fn check_fast_vit(&self) -> Result<()> {
        Err(fast_vit_refusal())
    }

    /// Loads a FastViT.
    ///
    /// # Errors
    /// Those of [`Model::load_visual`].
    fn load_fast_vit(&self, _tower: &FastVitTower, _recipe: &ImageRecipe) -> Result<Self::Image> {
        self.check_fast_vit()?;
        Err(Error::internal("the engine has no way to load a FastViT"))
    }

    /// Checks that the engine computes an image tower, before anything of it is loaded.
    ///
    /// # Errors
    /// `Unsupported`, naming what the engine lacks and the one that computes it.
    fn check_image(&self, _tower: &ImageTower) -> Result<()> {
        Ok(())
    }

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

/// Says of a FastViT which engine computes it, for one that has none.
#[must_use]
pub fn fast_vit_refusal() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the model's image tower is a FastViT, which the embedder type `candle` computes; `onnx` runs an ONNX export of it, \
         such as those below `immich-app/`",
    )
}

/// The towers of one model, located, and the preparation of their inputs.
pub struct Towers {
    image: Option<(ImageEncoder, ImageRecipe)>,
    text: Option<(TextTower, TextTokenizer)>,
    texts: TextInfo,
    dimensions: usize,
}

impl Towers {
    /// Locates the towers of the model in `folder`, the one for texts in `text_folder` where that is another one. Reads no
    /// weights.
    ///
    /// # Errors
    /// Those of [`ModelFolder`]; `ConfigInvalid` when the two folders' vectors have different lengths, or when the second
    /// has no text tower.
    pub fn locate(folder: &Path, text_folder: Option<&Path>, settings: &TextSettings) -> Result<Self> {
        let model = ModelFolder::open(folder)?.with_text_settings(settings);
        let texts = text_folder
            .map(|folder| {
                Ok::<_, Error>(ModelFolder::open(folder)?.with_text_settings(&model.pair_settings(settings)))
            })
            .transpose()?;
        if let Some(texts) = &texts {
            check_pair(&model, texts)?;
        }
        let texts = texts.as_ref().unwrap_or(&model);
        let image = if model.takes_images() {
            Some((model.image_encoder()?, model.image_recipe()?))
        } else {
            None
        };
        let text = if texts.takes_texts() {
            Some((texts.text_tower()?, texts.tokenizer()?))
        } else {
            None
        };
        let text_info = match &text {
            Some((_, tokenizer)) => texts.text_info(tokenizer)?,
            None => TextInfo::default(),
        };
        let dimensions = match &image {
            Some(_) => model.image_dimensions()?,
            None => texts.text_dimensions()?,
        };
        Ok(Self {
            image,
            text,
            texts: text_info,
            dimensions,
        })
    }

    /// Returns what takes pictures, if there is something.
    #[must_use]
    pub fn image(&self) -> Option<&ImageEncoder> {
        self.image.as_ref().map(|(encoder, _)| encoder)
    }

    /// Returns the text tower, if there is one.
    #[must_use]
    pub fn text(&self) -> Option<&TextTower> {
        self.text.as_ref().map(|(tower, _)| tower)
    }

    /// Returns the size of the weights in bytes.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        let of_texts = self.text.as_ref().map(|(tower, _)| tower.tensors());
        let of_images = self.image.as_ref().map(|(tower, _)| tower.tensors());
        let all = of_images.iter().chain(&of_texts).flatten();
        all.map(|tensor| tensor.size_bytes() as u64).sum()
    }

    /// Hashes the weights that the vectors of an index depend on: another text tower for the same space leaves the vectors
    /// of pictures what they are.
    fn weights(&self) -> Result<WeightsId> {
        WeightsId::of(&match (&self.image, &self.text) {
            (Some((tower, _)), _) => tower.tensors(),
            (None, Some((tower, _))) => tower.tensors(),
            (None, None) => Vec::new(),
        })
    }
}

/// A model by name, its towers located.
pub struct Checkpoint {
    name: String,
    towers: Towers,
    weights: WeightsId,
}

impl Checkpoint {
    /// Reads a model called `name` from `folder`, and its text tower from `text_folder` where that is another one.
    ///
    /// # Errors
    /// Those of [`Towers::locate`]; `Internal`, naming the file, for weights that can't be read.
    pub fn open(
        name: &str,
        folder: &Path,
        text_folder: Option<&Path>,
        settings: &TextSettings,
    ) -> Result<Self> {
        let towers = Towers::locate(folder, text_folder, settings)?;
        Ok(Self {
            name: name.to_owned(),
            weights: towers.weights()?,
            towers,
        })
    }

    fn describe(&self, numbers: &str) -> EmbedderInfo {
        let recipe = self.towers.image.as_ref().map(|(_, recipe)| recipe);
        let preprocessing = match recipe {
            Some(recipe) => format!("{PREPROCESSING} {numbers} {recipe:?}"),
            None => format!("{PREPROCESSING} {numbers}"),
        };
        EmbedderInfo {
            model: self.name.clone(),
            // By the numbers alone: a folder that is moved or renamed holds the same model.
            fingerprint: Fingerprint::derive("checkpoint", self.weights.as_bytes(), &preprocessing),
            dimensions: self.towers.dimensions,
            modalities: Modalities {
                image: self.towers.image.is_some(),
                text: self.towers.text.is_some(),
            },
            max_text_bytes: max_text_bytes(&self.towers.texts),
            texts: self.towers.texts.clone(),
            decode_size: recipe.map_or(DecodeSize::FULL, ImageRecipe::decode_size),
        }
    }

    fn image(&self) -> Result<&(ImageEncoder, ImageRecipe)> {
        let image = self.towers.image.as_ref();
        image.ok_or_else(|| self.lacks(TowerKind::Image))
    }

    fn text(&self) -> Result<&(TextTower, TextTokenizer)> {
        let text = self.towers.text.as_ref();
        text.ok_or_else(|| self.lacks(TowerKind::Text))
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
    if let Some(named) = model.named_text_model()
        && !texts.is_nomic_bert()
    {
        return Err(Error::config(
            "text_model",
            format!("is {theirs}, whose texts aren't in the space of {ours}: set it to `{named}`"),
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
    /// Those of [`Engine::check_image`], [`Engine::check_fast_vit`] and [`Engine::check_text`].
    pub fn new(checkpoint: Checkpoint, engine: E) -> Result<Self> {
        match checkpoint.towers.image() {
            Some(ImageEncoder::Vit(tower)) => engine.check_image(tower)?,
            Some(ImageEncoder::FastVit(_)) => engine.check_fast_vit()?,
            None => {}
        }
        if let Some(tower) = checkpoint.towers.text() {
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
        Some(self.checkpoint.towers.weight_bytes())
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
        match tower {
            ImageEncoder::Vit(tower) => self.engine.load_image(tower, recipe),
            ImageEncoder::FastVit(tower) => self.engine.load_fast_vit(tower, recipe),
        }
    }

    fn load_textual(&self) -> Result<E::Text> {
        self.engine.load_text(&self.checkpoint.text()?.0)
    }
}
