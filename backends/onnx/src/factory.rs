//! From settings to an embedder: checks them, finds the model's folders and their layout, and starts the threads.

use std::sync::Arc;

use lucida_core::config::{Inspection, factory_fn};
use lucida_core::{BuildContext, Embedder, Error, Factory, Result, Settings};
use lucida_models::Batched;
use lucida_models::checkpoint::{ModelPlace, check_local_pair, check_names, inspect_folders};

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
        let (model, texts) = ModelPlace::find_pair(
            &config.model,
            config.text_model.as_deref(),
            &config.hub,
            config.exports(),
            &context,
        )
        .await?;
        tokio::task::spawn_blocking(move || open(&config, &model, texts.as_ref(), &context))
            .await
            .map_err(|error| Error::internal("opening the model failed").with_source(error))?
    })
}

impl Settings for OnnxConfig {
    fn validate(&self) -> Result<()> {
        check_names(&self.model, self.text_model.as_deref())?;
        self.batch_settings().validate()?;
        self.text_settings().validate()?;
        let (device, precision) = (self.device, self.precision);
        if !device.precisions().contains(&precision) {
            let offered: Vec<_> = device
                .precisions()
                .iter()
                .map(|offered| offered.as_str())
                .collect();
            let message = format!(
                "`{}` can't be computed on the device `{}`, which offers {}",
                precision.as_str(),
                device.as_str(),
                offered.join(", ")
            );
            return Err(Error::config("precision", message));
        }
        self.hub.validate()
    }

    fn check_local(&self, context: &BuildContext) -> Vec<Error> {
        let runtime = Runtime::find(self.device, self.library.as_deref(), context)
            .map_err(|error| error.with_field("library"));
        let mut problems = check_local_pair(&self.model, self.text_model.as_deref(), context);
        problems.extend(
            [self.hub.check_local(), runtime]
                .into_iter()
                .filter_map(Result::err),
        );
        inspect_folders(&mut problems, context, |inspection| {
            inspect(self, context, inspection)
        });
        problems
    }
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
    let (model, texts) = ModelPlace::find_local_pair(
        &config.model,
        config.text_model.as_deref(),
        &config.hub,
        config.exports(),
        context,
    )?;
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
