//! Runs ONNX files that somebody else exported: Optimum's, Transformers.js's, sentence-transformers' and Qdrant's layouts.
//!
//! `files` finds a tower's file by its name, `onnx_file` reads what it takes and gives, and the towers recognise that.
//! Pictures and texts are prepared as the folder says, like those of a checkpoint.
//!
//! Every input is computed by itself: nothing is known of a foreign graph, and 8-bit ones scale by all of a batch.

mod extract;
mod files;
mod image_tower;
mod onnx_file;
mod tensor_info;
#[cfg(test)]
mod test_graph;
mod text_tower;

use std::path::PathBuf;

use lucida_core::{
    DecodeSize, EmbedderInfo, Error, ErrorKind, Fingerprint, Modalities, Picture, Result, TextInfo, Token,
    TowerKind,
};
use lucida_models::checkpoint::{ImageRecipe, ModelFolder, Pixels, TextTokenizer, Tokens, max_text_bytes};
use lucida_models::{Model, TextInput};

use crate::device::Compute;
use crate::runtime::Runtime;
use image_tower::ImageTower;
use onnx_file::OnnxFile;
use text_tower::TextTower;

/// Changes whenever other numbers come out of the same file and the same recipe.
const PREPROCESSING: &str = "export-1";

/// An exported image tower that was recognised.
pub(crate) struct ImageExport {
    file: PathBuf,
    plan: image_tower::Plan,
    recipe: ImageRecipe,
    dimensions: usize,
}

impl ImageExport {
    /// Finds the image tower among a folder's ONNX files; `None` where there is none to be taken.
    ///
    /// # Errors
    /// `ConfigInvalid` where it is there in other number formats only; `Internal`, naming the file and listing what it
    /// takes and gives, where that isn't known or isn't what the folder says.
    pub(crate) fn find(folder: &ModelFolder, compute: Compute) -> Result<Option<Self>> {
        if !folder.takes_images() {
            return Ok(None);
        }
        let Some(file) = files::find(folder, TowerKind::Image, compute.precision)? else {
            return Ok(None);
        };
        let (recipe, dimensions) = (folder.image_recipe()?, folder.image_dimensions()?);
        let graph = OnnxFile::read(&file)?;
        Ok(Some(Self {
            plan: image_tower::Plan::of(
                &graph,
                recipe.size_pixels() as usize,
                dimensions,
                folder.takes_first_row(),
            )?,
            file,
            recipe,
            dimensions,
        }))
    }
}

/// An exported text tower that was recognised.
pub(crate) struct TextExport {
    file: PathBuf,
    plan: text_tower::Plan,
    tokenizer: TextTokenizer,
    texts: TextInfo,
    dimensions: usize,
}

impl TextExport {
    /// Finds the text tower, as [`ImageExport::find`] does the other.
    ///
    /// # Errors
    /// Those of [`ImageExport::find`].
    pub(crate) fn find(folder: &ModelFolder, compute: Compute) -> Result<Option<Self>> {
        if !folder.takes_texts() {
            return Ok(None);
        }
        let Some(file) = files::find(folder, TowerKind::Text, compute.precision)? else {
            return Ok(None);
        };
        let (tokenizer, dimensions) = (folder.tokenizer()?, folder.text_dimensions()?);
        let texts = folder.text_info(&tokenizer)?;
        let head = folder.has_text_head().then(|| folder.text_head()).transpose()?;
        let graph = OnnxFile::read(&file)?;
        Ok(Some(Self {
            plan: text_tower::Plan::of(&graph, head, tokenizer.max_tokens(), dimensions)?,
            file,
            tokenizer,
            texts,
            dimensions,
        }))
    }
}

/// Exported towers as a model: both of them, or one.
pub(crate) struct Export {
    image: Option<ImageExport>,
    text: Option<TextExport>,
    runtime: Runtime,
    compute: Compute,
    info: EmbedderInfo,
}

impl Export {
    /// Makes a model called `name` of what was found.
    ///
    /// # Errors
    /// `Unavailable` for a file that can't be read any more, `Unsupported` without any tower.
    pub(crate) fn new(
        name: &str,
        image: Option<ImageExport>,
        text: Option<TextExport>,
        runtime: Runtime,
        compute: Compute,
    ) -> Result<Self> {
        let of_image = image.as_ref().map(|image| (&image.file, image.dimensions));
        let of_text = text.as_ref().map(|text| (&text.file, text.dimensions));
        // An index holds vectors of pictures: another text tower for the same space leaves them what they are.
        let (file, dimensions) = of_image
            .or(of_text)
            .ok_or_else(|| lacks(name, TowerKind::Image))?;
        let recipe = image.as_ref().map(|image| &image.recipe);
        let preprocessing = format!("{PREPROCESSING} {} {recipe:?}", compute.precision.as_str());
        let texts = text.as_ref().map(|text| text.texts.clone()).unwrap_or_default();
        let info = EmbedderInfo {
            model: name.to_owned(),
            fingerprint: Fingerprint::derive(
                "export",
                OnnxFile::read(file)?.hash()?.as_bytes(),
                &preprocessing,
            ),
            dimensions,
            modalities: Modalities {
                image: image.is_some(),
                text: text.is_some(),
            },
            max_text_bytes: max_text_bytes(&texts),
            texts,
            decode_size: recipe.map_or(DecodeSize::FULL, ImageRecipe::decode_size),
        };
        Ok(Self {
            image,
            text,
            runtime,
            compute,
            info,
        })
    }

    fn image(&self) -> Result<&ImageExport> {
        self.image
            .as_ref()
            .ok_or_else(|| lacks(&self.info.model, TowerKind::Image))
    }

    fn text(&self) -> Result<&TextExport> {
        self.text
            .as_ref()
            .ok_or_else(|| lacks(&self.info.model, TowerKind::Text))
    }
}

fn lacks(model: &str, tower: TowerKind) -> Error {
    let message = format!("model `{model}` has no {} tower", tower.as_str());
    Error::new(ErrorKind::Unsupported, message)
}

/// Returns the size of the weights of exports in bytes; `None` where a file can't be read any more.
pub(crate) fn weight_bytes(image: Option<&ImageExport>, text: Option<&TextExport>) -> Option<u64> {
    let of_image = image.map(|image| &image.file);
    let of_text = text.map(|text| &text.file);
    // Of a graph of both towers each is loaded with its own part of the weights.
    let of_text = of_text.filter(|file| Some(file) != of_image.as_ref());
    let files = of_image.into_iter().chain(of_text);
    files.map(|file| OnnxFile::read(file).ok()?.size_bytes()).sum()
}

impl Model for Export {
    type Visual = ImageTower;
    type Textual = TextTower;

    fn describe(&self) -> EmbedderInfo {
        self.info.clone()
    }

    fn weight_bytes(&self) -> Option<u64> {
        weight_bytes(self.image.as_ref(), self.text.as_ref())
    }

    fn tokenize(&self, text: TextInput<'_>) -> Result<Vec<Token>> {
        self.text()?.tokenizer.show(text)
    }

    fn decode_tokens(&self, ids: &[u32]) -> Result<String> {
        self.text()?.tokenizer.decode(ids)
    }

    fn prepare_image(&self, picture: &Picture) -> Result<Pixels> {
        self.image()?.recipe.prepare(picture)
    }

    fn prepare_text(&self, text: TextInput<'_>) -> Result<Tokens> {
        self.text()?.tokenizer.tokenize(text)
    }

    fn load_visual(&self) -> Result<ImageTower> {
        let ImageExport {
            file, plan, recipe, ..
        } = self.image()?;
        ImageTower::load(&self.runtime, self.compute, &OnnxFile::read(file)?, plan, recipe)
    }

    fn load_textual(&self) -> Result<TextTower> {
        let TextExport { file, plan, .. } = self.text()?;
        TextTower::load(&self.runtime, self.compute, &OnnxFile::read(file)?, plan)
    }
}
