//! A model in one of the published layouts: which of its towers is run from an ONNX file and which from the weights.

use std::path::Path;
use std::sync::Arc;

use lucida_core::{BuildContext, Embedder, Result};
use lucida_models::checkpoint::{Checkpoint, CheckpointModel, ModelFolder, ModelPlace, check_pair};
use lucida_models::{BatchOptions, Batched, Model};

use crate::checkpoint::OnnxEngine;
use crate::config::OnnxConfig;
use crate::export::{Export, ImageExport, TextExport};
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
    let model = ModelFolder::open(folder)?;
    let texts = text_folder.map(ModelFolder::open).transpose()?;
    if let Some(texts) = &texts {
        check_pair(&model, texts)?;
    }
    let texts = texts.as_ref().unwrap_or(&model);
    let image = ImageExport::find(&model, compute)?;
    let text = TextExport::find(texts, compute)?;

    let engine = OnnxEngine::new(runtime.clone(), compute, context.cache_dir.clone());
    let limited = engine.limit(options.clone());
    let checkpoint = |folder: &Path, text_folder| {
        Checkpoint::open(name, folder, text_folder)
            .and_then(|checkpoint| CheckpointModel::new(checkpoint, engine))
    };
    let export = |image, text| Export::new(name, image, text, runtime, compute);
    match (image, text) {
        (None, None) => start(checkpoint(folder, text_folder)?, &limited),
        (Some(image), None) if texts.takes_texts() => {
            let visual = export(Some(image), None)?;
            let textual = checkpoint(texts.path(), None)?;
            let image_batch_cost = options.image_batch_cost;
            start(
                Pair { visual, textual },
                &BatchOptions {
                    image_batch_cost,
                    ..limited
                },
            )
        }
        (None, Some(text)) if model.takes_images() => {
            let visual = checkpoint(folder, None)?;
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
        (image, text) => start(export(image, text)?, &options),
    }
}

fn start(model: impl Model, options: &BatchOptions) -> Result<Arc<dyn Embedder>> {
    Ok(Arc::new(Batched::start(model, options)?))
}
