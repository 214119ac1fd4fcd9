//! From settings to an embedder: finds the model's folders, tells their layout and starts the threads.

use std::sync::Arc;

use lucida_core::config::{Inspection, factory_fn};
use lucida_core::{BuildContext, Embedder, Error, Factory, Result};
use lucida_models::Batched;
use lucida_models::checkpoint::ModelPlace;

use crate::config::OnnxConfig;
use crate::device::Precision;
use crate::published;
use crate::runtime::Runtime;
use crate::starter::{MANIFEST_FILE, Starter};

/// The word in a config file.
const TYPE_NAME: &str = "onnx";

/// Returns the factory of `type = "onnx"`.
#[must_use]
pub fn factory() -> impl Factory<dyn Embedder> {
    factory_fn(TYPE_NAME, |config: OnnxConfig, context| async move {
        let (model, texts) =
            ModelPlace::find_pair(&config.model, config.text_model.as_deref(), &config.hub, &context).await?;
        tokio::task::spawn_blocking(move || open(&config, &model, texts.as_ref(), &context))
            .await
            .map_err(|error| Error::internal("opening the model failed").with_source(error))?
    })
}

fn open(
    config: &OnnxConfig,
    model: &ModelPlace,
    texts: Option<&ModelPlace>,
    context: &BuildContext,
) -> Result<Arc<dyn Embedder>> {
    let runtime = Runtime::load(config.device, config.library.as_deref(), context)?;
    if model.folder.join(MANIFEST_FILE).is_file() {
        check_starter(config)?;
        let model = Starter::open(
            &model.folder,
            context.served_as.as_deref(),
            runtime,
            config.compute(),
        )?;
        return Ok(Arc::new(Batched::start(model, &config.batch_options())?));
    }
    published::open(config, model, texts, runtime, context)
}

/// Opens the folders that the settings name on this machine, for a check of the configuration: every tensor is located and
/// every graph recognised.
///
/// # Errors
/// Those of opening the model; `ConfigInvalid` for one that is too large. The field is the key, where one is to blame.
pub(crate) fn inspect(config: &OnnxConfig, context: &BuildContext, inspection: Inspection) -> Result<()> {
    let (model, texts) =
        ModelPlace::find_local_pair(&config.model, config.text_model.as_deref(), &config.hub, context)?;
    let bytes = if model.folder.join(MANIFEST_FILE).is_file() {
        check_starter(config)?;
        Starter::inspect(&model.folder)?
    } else {
        published::inspect(config, &model, texts.as_ref())?
    };
    inspection.check_size(bytes)
}

/// Refuses what the starter model has no use for: its graphs are complete, and its pictures are in the space of its texts.
fn check_starter(config: &OnnxConfig) -> Result<()> {
    if config.text_model.is_some() {
        let message = "can't be added to the starter model, whose pictures are in the space of its own texts";
        return Err(Error::config("text_model", message));
    }
    if config.precision == Precision::Int8 {
        let message = "`int8` can't be made of the starter model: set it to \"fp32\"";
        return Err(Error::config("precision", message));
    }
    config
        .text_settings()
        .refuse("has no meaning for the starter model, whose texts have no prompts and are cut at 256 tokens")
}
