//! A model in one of the published layouts: which of its towers is run from an ONNX file and which from the weights.

use std::path::Path;
use std::sync::Arc;

use lucida_core::{BuildContext, Embedder, Error, Result};
use lucida_models::checkpoint::{
    Checkpoint, CheckpointModel, ImageEncoder, ModelFolder, ModelPlace, TextSettings, Towers, check_pair,
    fast_vit_refusal,
};
use lucida_models::{BatchOptions, Batched, Model};

use crate::centred::Centred;
use crate::checkpoint::OnnxEngine;
use crate::config::OnnxConfig;
use crate::export::{self, Export, ImageExport, TextExport};
use crate::pair::Pair;
use crate::runtime::Runtime;

/// Opens it: each tower from an ONNX file of its folder where there is one to be taken, else from the
/// weights.
///
/// # Errors
/// Those of [`ModelFolder`] and of both ways to run a tower; `ConfigInvalid` where the text model is of another space.
pub(crate) fn open(
    config: &OnnxConfig,
    place: &ModelPlace,
    text_place: Option<&ModelPlace>,
    runtime: Runtime,
    context: &BuildContext,
) -> Result<Arc<dyn Embedder>> {
    let (name, compute, options) = (&place.name, config.compute(), config.batch_options());
    let (folder, text_folder) = (&place.folder, text_place.map(|place| &*place.folder));
    let settings = config.text_settings();
    let Found {
        model,
        texts,
        image,
        text,
    } = Found::look(config, place, text_place)?;
    let centres = texts.as_ref().is_some_and(|texts| model.centres_texts(texts));
    let text_settings = if texts.is_some() {
        model.pair_settings(&settings)
    } else {
        settings.clone()
    };
    let texts = texts.as_ref().unwrap_or(&model);

    let engine = OnnxEngine::new(runtime.clone(), compute, context.cache_dir.clone());
    let limited = engine.limit(options.clone());
    let checkpoint = |folder: &Path, text_folder, settings: &TextSettings| {
        Checkpoint::open(name, folder, text_folder, settings)
            .and_then(|checkpoint| CheckpointModel::new(checkpoint, engine))
    };
    let export = |image, text| Export::new(name, image, text, runtime.clone(), compute);
    match (image, text) {
        (None, None) => start(checkpoint(folder, text_folder, &settings)?, &limited),
        (Some(image), None) if texts.takes_texts() => {
            let visual = export(Some(image), None)?;
            let textual = checkpoint(texts.path(), None, &text_settings)?;
            let image_batch_cost = options.image_batch_cost;
            let options = BatchOptions {
                image_batch_cost,
                ..limited
            };
            start_pair(visual, textual, centres, &options)
        }
        (None, Some(text)) if model.takes_images() => {
            let visual = checkpoint(folder, None, &settings)?;
            let textual = export(None, Some(text))?;
            let text_batch_cost = options.text_batch_cost;
            start(
                Pair { visual, textual },
                &BatchOptions {
                    text_batch_cost,
                    ..limited
                },
            )
        }
        (Some(image), Some(text)) if centres => {
            let (visual, textual) = (export(Some(image), None)?, export(None, Some(text))?);
            start_pair(visual, textual, centres, &options)
        }
        (image, text) => start(export(image, text)?, &options),
    }
}

/// Locates every tensor that [`open`] would use, and recognises every graph; returns the size of the weights in bytes.
///
/// # Errors
/// Those of [`open`].
pub(crate) fn inspect(
    config: &OnnxConfig,
    place: &ModelPlace,
    text_place: Option<&ModelPlace>,
) -> Result<u64> {
    let (folder, text_folder) = (&place.folder, text_place.map(|place| &*place.folder));
    let Found {
        model,
        texts,
        image,
        text,
    } = Found::look(config, place, text_place)?;
    let texts = texts.as_ref().unwrap_or(&model);
    let settings = config.text_settings();
    let of_checkpoint = match (&image, &text) {
        (None, None) => Some(Towers::locate(folder, text_folder, &settings)?),
        (Some(_), None) if texts.takes_texts() => Some(Towers::locate(texts.path(), None, &settings)?),
        (None, Some(_)) if model.takes_images() => Some(Towers::locate(folder, None, &settings)?),
        (Some(_) | None, Some(_) | None) => None,
    };
    if let Some(towers) = &of_checkpoint
        && let Some(ImageEncoder::FastVit(_)) = towers.image()
    {
        return Err(fast_vit_refusal());
    }
    let of_exports = export::weight_bytes(image.as_ref(), text.as_ref()).unwrap_or(0);
    Ok(of_checkpoint.map_or(0, |towers| towers.weight_bytes()) + of_exports)
}

/// The folders of a model, and the exports among their files.
struct Found {
    model: ModelFolder,
    /// That of a text model of its own.
    texts: Option<ModelFolder>,
    image: Option<ImageExport>,
    text: Option<TextExport>,
}

impl Found {
    fn look(config: &OnnxConfig, place: &ModelPlace, text_place: Option<&ModelPlace>) -> Result<Self> {
        let (settings, compute) = (config.text_settings(), config.compute());
        let open = |place: &ModelPlace, settings: &TextSettings| {
            Ok::<_, Error>(ModelFolder::open(&place.folder)?.with_text_settings(settings))
        };
        let model = open(place, &settings)?;
        let texts = text_place
            .map(|place| open(place, &model.pair_settings(&settings)))
            .transpose()?;
        if let Some(texts) = &texts {
            check_pair(&model, texts)?;
        }
        Ok(Self {
            image: ImageExport::find(&model, compute)?,
            text: TextExport::find(texts.as_ref().unwrap_or(&model), compute)?,
            model,
            texts,
        })
    }
}

/// Starts pictures by one model and texts by another, whose vectors are centred where their family's are.
fn start_pair(
    visual: impl Model,
    textual: impl Model,
    centres: bool,
    options: &BatchOptions,
) -> Result<Arc<dyn Embedder>> {
    if centres {
        let textual = Centred(textual);
        return start(Pair { visual, textual }, options);
    }
    start(Pair { visual, textual }, options)
}

fn start(model: impl Model, options: &BatchOptions) -> Result<Arc<dyn Embedder>> {
    Ok(Arc::new(Batched::start(model, options)?))
}
