//! From settings to an embedder: finds the model's folder, tells its layout and starts it.

use std::path::{Path, PathBuf};

use lucida_core::config::factory_fn;
use lucida_core::{Batched, BuildContext, Embedder, Error, ErrorKind, Factory, Result};

use crate::config::OnnxConfig;
use crate::runtime::Runtime;
use crate::starter::{MANIFEST_FILE, Starter};

/// The word in a config file.
const TYPE_NAME: &str = "onnx";

/// Returns the factory of `type = "onnx"`.
#[must_use]
pub fn factory() -> impl Factory<dyn Embedder> {
    factory_fn(TYPE_NAME, |config: OnnxConfig, context| async move {
        tokio::task::spawn_blocking(move || open(&config, &context))
            .await
            .map_err(|error| Error::internal("opening the model failed").with_source(error))?
    })
}

fn open(config: &OnnxConfig, context: &BuildContext) -> Result<Batched<Starter>> {
    let folder = resolve(&config.model, context)?;
    let runtime = Runtime::load(config.device, config.library.as_deref(), context)?;
    let model = Starter::open(&folder, runtime, config.compute())?;
    Batched::start(model, &config.batch_options())
}

/// Returns the model's folder, which is there and has a layout that is read.
fn resolve(model: &str, context: &BuildContext) -> Result<PathBuf> {
    let models = context.cache_dir.join("models");
    let named = !model.contains(['/', '\\']);
    let folder = if named {
        models.join(model)
    } else {
        PathBuf::from(model)
    };
    if folder.join(MANIFEST_FILE).is_file() {
        return Ok(folder);
    }
    let place = folder.display();
    let message = match (folder.is_dir(), named) {
        (true, _) => format!(
            "model folder {place} has no {MANIFEST_FILE}: the starter model's layout is the only one that is read"
        ),
        (false, true) => format!("model `{model}` is not at {place}: {}", hint(model, &models)),
        (false, false) => format!("model folder {place} does not exist"),
    };
    Err(Error::new(ErrorKind::Unavailable, message).with_field("model"))
}

fn hint(model: &str, models: &Path) -> String {
    if model == "starter" {
        return "run `cargo xtask setup`".to_owned();
    }
    let mut there: Vec<_> = std::fs::read_dir(models)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(format!("`{}`", entry.ok()?.file_name().to_str()?)))
        .filter(|name| !name.starts_with("`."))
        .collect();
    there.sort();
    let there = if there.is_empty() {
        "none".to_owned()
    } else {
        there.join(", ")
    };
    format!("models there: {there}; a folder elsewhere is written with a `/`, such as `./{model}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(folder: &tempfile::TempDir) -> BuildContext {
        BuildContext {
            cache_dir: folder.path().to_path_buf(),
        }
    }

    #[test]
    fn a_missing_starter_says_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = resolve("starter", &context(&folder)).unwrap_err();
        assert!(error.message().contains("cargo xtask setup"), "{error}");
    }

    #[test]
    fn an_unknown_name_lists_the_models_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("models/starter")).unwrap();
        let error = resolve("stater", &context(&folder)).unwrap_err();
        assert!(error.message().contains("`starter`"), "{error}");
        assert!(error.message().contains("`./stater`"), "{error}");
    }

    #[test]
    fn a_folder_of_another_layout_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        let error = resolve(folder.path().to_str().unwrap(), &context(&folder)).unwrap_err();
        assert!(error.message().contains("starter.json"), "{error}");
    }

    #[test]
    fn a_name_is_looked_up_in_the_cache_and_a_path_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("models/mine");
        std::fs::create_dir_all(&model).unwrap();
        std::fs::write(model.join(MANIFEST_FILE), "{}").unwrap();
        assert_eq!(resolve("mine", &context(&folder)).unwrap(), model);
        assert_eq!(
            resolve(model.to_str().unwrap(), &context(&folder)).unwrap(),
            model
        );
    }
}
