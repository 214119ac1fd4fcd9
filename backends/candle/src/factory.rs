//! From settings to an embedder: checks them, finds the model's folders, reads what they are and starts the threads.

use lucida_core::config::{Inspection, factory_fn};
use lucida_core::{BuildContext, Embedder, Error, ErrorKind, Factory, Result, Settings};
use lucida_models::Batched;
use lucida_models::checkpoint::{
    Checkpoint, CheckpointModel, ModelFolder, ModelPlace, Towers, check_local_pair, check_names,
    inspect_folders,
};
use lucida_models::hub::Exports;

use crate::config::CandleConfig;
use crate::engine::{CandleEngine, PlainEncoder};

/// The word in a config file.
const TYPE_NAME: &str = "candle";

/// Returns the factory of `type = "candle"`.
#[must_use]
pub fn factory() -> impl Factory<dyn Embedder> {
    factory_fn(TYPE_NAME, |config: CandleConfig, context| async move {
        let (model, texts) = ModelPlace::find_pair(
            &config.model,
            config.text_model.as_deref(),
            &config.hub,
            Exports::Unused,
            &context,
        )
        .await?;
        tokio::task::spawn_blocking(move || open(&config, &model, texts.as_ref()))
            .await
            .map_err(|error| Error::internal("opening the model failed").with_source(error))?
    })
}

impl Settings for CandleConfig {
    fn validate(&self) -> Result<()> {
        check_names(&self.model, self.text_model.as_deref())?;
        self.batch_settings().validate()?;
        self.text_settings().validate()?;
        self.device.check_build()?;
        self.hub.validate()
    }

    fn check_local(&self, context: &BuildContext) -> Vec<Error> {
        let mut problems = check_local_pair(&self.model, self.text_model.as_deref(), context);
        problems.extend(
            [self.hub.check_local(), self.device.open().map(drop)]
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
    config: &CandleConfig,
    model: &ModelPlace,
    texts: Option<&ModelPlace>,
) -> Result<Batched<CheckpointModel<CandleEngine>>> {
    check("model", model)?;
    if let Some(texts) = texts {
        check("text_model", texts)?;
    }
    let checkpoint = Checkpoint::open(
        &model.name,
        &model.folder,
        texts.map(|texts| &*texts.folder),
        &config.text_settings(),
    )?;
    let engine = match config.device.open()? {
        Some(device) => CandleEngine::start_on(device, config.thread_count())?,
        None => CandleEngine::start(config.thread_count())?,
    };
    Batched::start(CheckpointModel::new(checkpoint, engine)?, &config.batch_options())
}

/// Opens the folders that the settings name on this machine and locates every tensor, for a check of the configuration.
///
/// # Errors
/// Those of opening the model; `ConfigInvalid` for one that is too large. The field is the key.
pub(crate) fn inspect(config: &CandleConfig, context: &BuildContext, inspection: Inspection) -> Result<()> {
    let (model, texts) = ModelPlace::find_local_pair(
        &config.model,
        config.text_model.as_deref(),
        &config.hub,
        Exports::Unused,
        context,
    )?;
    check("model", &model)?;
    if let Some(texts) = &texts {
        check("text_model", texts)?;
    }
    let text_folder = texts.as_ref().map(|texts| &*texts.folder);
    let towers = Towers::locate(&model.folder, text_folder, &config.text_settings())?;
    PlainEncoder::on(config.device).check(&towers)?;
    inspection.check_size(towers.weight_bytes())
}

/// Refuses what only ONNX Runtime runs, among it the bundled model.
fn check(key: &str, place: &ModelPlace) -> Result<()> {
    if ModelFolder::is_one(&place.folder) {
        return Ok(());
    }
    let message = format!(
        "model folder {} has neither config.json nor modules.json: candle runs the checkpoints that people publish, and the \
         embedder type `onnx` runs the rest",
        place.folder.display()
    );
    Err(Error::new(ErrorKind::Unsupported, message).with_field(key))
}
