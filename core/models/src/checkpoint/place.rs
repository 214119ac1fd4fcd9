//! Where a model is that a setting names: in the cache, in a folder, or on a hub.

use std::path::{Path, PathBuf};

use lucida_core::config::Inspection;
use lucida_core::{BuildContext, Error, ErrorKind, Result};

use super::folder::ModelFolder;
use crate::hub::{Exports, HubConfig, RepoId, fetch};

/// A model's folder, which exists, and what to call the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPlace {
    /// The name for people: the bundled model's, the folder's, or the repository's.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
}

/// What a setting names, before anything is asked for it.
enum Named<'a> {
    Bundled(&'a str),
    Folder(&'a Path),
    Repository(RepoId),
}

impl ModelPlace {
    /// Finds what an embedder's settings name: `model`, and `text_model` where texts have a separate one; `exports` are the
    /// ONNX files that the engine runs.
    ///
    /// # Errors
    /// `Unavailable` for a bundled model or a folder that is missing; otherwise those of [`fetch`]. The field is the key.
    pub async fn find_pair(
        model: &str,
        text_model: Option<&str>,
        hub: &HubConfig,
        exports: Exports,
        context: &BuildContext,
    ) -> Result<(Self, Option<Self>)> {
        let mut found = Self::find("model", model, hub, exports, context).await?;
        if let Some(name) = &context.served_as {
            found.name.clone_from(name);
        }
        let texts = match text_model {
            Some(texts) => Some(Self::find("text_model", texts, hub, exports, context).await?),
            None => None,
        };
        Ok((found, texts))
    }

    /// Finds what an embedder's settings name on this machine, without any network.
    ///
    /// # Errors
    /// `Unavailable` for a bundled model, a folder or a repository that is missing. The field is the key.
    pub fn find_local_pair(
        model: &str,
        text_model: Option<&str>,
        hub: &HubConfig,
        exports: Exports,
        context: &BuildContext,
    ) -> Result<(Self, Option<Self>)> {
        let find = |key: &str, model: &str| {
            let folder = match local_folder(key, model, context)? {
                Some(folder) => folder,
                None => downloaded(key, model, hub, exports)?,
            };
            Ok::<_, Error>(Self {
                name: model.to_owned(),
                folder,
            })
        };
        let texts = text_model.map(|model| find("text_model", model)).transpose()?;
        Ok((find("model", model)?, texts))
    }

    /// Finds the model that the setting `key` names, and fetches it if it is a repository that is still missing.
    ///
    /// A name without a `/` is a model in the cache's `models` folder; a folder that exists is that folder; anything else
    /// that looks like `owner/name` is a repository on a hub.
    ///
    /// # Errors
    /// `Unavailable` for a bundled model or a folder that is missing; otherwise those of [`fetch`]. The field is `key`.
    async fn find(
        key: &str,
        model: &str,
        hub: &HubConfig,
        exports: Exports,
        context: &BuildContext,
    ) -> Result<Self> {
        let folder = match Named::of(model) {
            Named::Bundled(name) => bundled(name, &context.cache_dir.join("models")),
            Named::Folder(folder) => existing(folder),
            Named::Repository(repo) => {
                let folder = fetch(&repo, &hub.options(exports).await?).await?;
                return Ok(Self {
                    name: repo.to_string(),
                    folder,
                });
            }
        };
        let folder = folder.map_err(|error| error.with_field(key))?;
        let name = folder
            .file_name()
            .map_or(model.into(), |name| name.to_string_lossy());
        Ok(Self {
            name: name.into_owned(),
            folder,
        })
    }
}

/// Finds the folder of a model that a setting names, without any network; `None` for a repository on a hub.
///
/// # Errors
/// `Unavailable` for a bundled model or a folder that is missing. The field is `key`.
fn local_folder(key: &str, model: &str, context: &BuildContext) -> Result<Option<PathBuf>> {
    let folder = match Named::of(model) {
        Named::Bundled(name) => bundled(name, &context.cache_dir.join("models")),
        Named::Folder(folder) => existing(folder),
        Named::Repository(_) => return Ok(None),
    };
    folder.map(Some).map_err(|error| error.with_field(key))
}

/// Finds the folder of a repository that was downloaded.
fn downloaded(key: &str, model: &str, hub: &HubConfig, exports: Exports) -> Result<PathBuf> {
    let repo = RepoId::parse(model);
    let folder = repo
        .map(|repo| hub.downloaded(&repo, exports))
        .transpose()?
        .flatten();
    folder.ok_or_else(|| {
        let message =
            format!("`{model}` is not downloaded yet, so its folder can't be opened: start the server once");
        Error::unavailable(message).with_field(key)
    })
}

/// Checks the names of a model and of another one for texts, without looking for them.
///
/// # Errors
/// `ConfigInvalid`, with the key `model` or `text_model`, for an empty name.
pub fn check_names(model: &str, text_model: Option<&str>) -> Result<()> {
    if model.trim().is_empty() {
        return Err(Error::config("model", "is empty: name a model or a folder"));
    }
    if text_model.is_some_and(|model| model.trim().is_empty()) {
        let message = "is empty: name a model, or leave the key out";
        return Err(Error::config("text_model", message));
    }
    Ok(())
}

/// Adds to the `problems` of a check what opening the model's folders finds, if the check does that and found nothing before.
pub fn inspect_folders(
    problems: &mut Vec<Error>,
    context: &BuildContext,
    inspect: impl FnOnce(Inspection) -> Result<()>,
) {
    let Some(inspection) = context.inspection.filter(|_| problems.is_empty()) else {
        return;
    };
    problems.extend(
        inspect(inspection)
            .map_err(|error| error.with_default_field("model"))
            .err(),
    );
}

/// Checks the models that settings name, as far as they are on this machine: that their folders exist, that one in a published
/// layout is readable, and that a library's takes pictures. Reads configuration files, no weights.
///
/// Returns every problem; the field is the key, `model` or `text_model`.
#[must_use]
pub fn check_local_pair(model: &str, text_model: Option<&str>, context: &BuildContext) -> Vec<Error> {
    let pictures = local_folder("model", model, context).and_then(|folder| match folder {
        Some(folder) if ModelFolder::is_one(&folder) => {
            let opened = ModelFolder::open(&folder).map_err(|error| error.with_field("model"))?;
            if context.served_as.is_some() {
                return Ok(());
            }
            takes_pictures(model, &opened)
        }
        Some(_) | None => Ok(()),
    });
    let texts = text_model.map(|model| local_folder("text_model", model, context).map(drop));
    let results = [Some(pictures), texts];
    results.into_iter().flatten().filter_map(Result::err).collect()
}

fn takes_pictures(model: &str, folder: &ModelFolder) -> Result<()> {
    if folder.takes_images() {
        return Ok(());
    }
    let message = format!(
        "the model `{model}` takes only texts, and a library embeds pictures: set `model` to one that takes pictures, and \
         `text_model` to this one if both were made for each other"
    );
    Err(Error::config("model", message))
}

impl<'a> Named<'a> {
    fn of(model: &'a str) -> Self {
        if !model.contains(['/', '\\']) {
            return Self::Bundled(model);
        }
        let path = Path::new(model);
        match RepoId::parse(model) {
            Some(repo) if !path.is_dir() => Self::Repository(repo),
            Some(_) | None => Self::Folder(path),
        }
    }
}

fn existing(folder: &Path) -> Result<PathBuf> {
    if folder.is_dir() {
        return Ok(folder.to_path_buf());
    }
    Err(Error::unavailable(format!(
        "model folder {} does not exist: correct its path, or name a model of a hub as `owner/name`",
        folder.display()
    )))
}

fn bundled(name: &str, models: &Path) -> Result<PathBuf> {
    let folder = models.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let message = format!(
        "model `{name}` not found at {}: {}",
        folder.display(),
        hint(name, models)
    );
    Err(Error::new(ErrorKind::Unavailable, message))
}

fn hint(name: &str, models: &Path) -> String {
    if name == "starter" {
        return "run `lucida setup`".to_owned();
    }
    let mut there: Vec<_> = std::fs::read_dir(models)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .map(|name| format!("`{name}`"))
        .collect();
    there.sort();
    let there = if there.is_empty() {
        "none".to_owned()
    } else {
        there.join(", ")
    };
    format!(
        "the cache has {there}; write a folder elsewhere with a `/`, such as `./{name}`, and a model of a hub as \
         `owner/name`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(cache: &Path) -> HubConfig {
        HubConfig {
            endpoint: None,
            token: None,
            token_file: None,
            revision: None,
            offline: true,
            cache_dir: Some(cache.to_path_buf()),
        }
    }

    async fn find(model: &str, cache: &Path) -> Result<ModelPlace> {
        let context = BuildContext {
            cache_dir: cache.to_path_buf(),
            served_as: None,
            inspection: None,
        };
        ModelPlace::find("model", model, &hub(cache), Exports::Plain, &context).await
    }

    #[tokio::test]
    async fn a_missing_starter_says_how_to_get_it() {
        let cache = tempfile::tempdir().unwrap();
        let error = find("starter", cache.path()).await.unwrap_err();
        assert!(error.message().contains("`lucida setup`"), "{error}");
        assert_eq!(error.field(), Some("model"));
    }

    #[tokio::test]
    async fn an_unknown_name_lists_the_models_that_are_there() {
        let cache = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(cache.path().join("models/starter")).unwrap();
        std::fs::write(cache.path().join("models/starter.stamp"), "key").unwrap();
        let error = find("stater", cache.path()).await.unwrap_err();
        assert!(!error.message().contains("stamp"), "{error}");
        for part in ["`starter`", "`./stater`", "`owner/name`"] {
            assert!(error.message().contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_in_the_cache_and_a_path_is_not() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("models/mine");
        std::fs::create_dir_all(&folder).unwrap();
        let place = ModelPlace {
            name: "mine".to_owned(),
            folder: folder.clone(),
        };
        assert_eq!(find("mine", cache.path()).await.unwrap(), place);
        assert_eq!(find(folder.to_str().unwrap(), cache.path()).await.unwrap(), place);
    }

    #[tokio::test]
    async fn a_path_that_no_repository_can_have_is_a_folder_that_is_missing() {
        let cache = tempfile::tempdir().unwrap();
        for path in ["./models/mine", "/models/mine", "../mine", "a/b/c"] {
            let error = find(path, cache.path()).await.unwrap_err();
            assert!(error.message().contains("does not exist"), "{error}");
            assert!(error.message().contains(path), "{error}");
        }
    }

    #[tokio::test]
    async fn two_words_around_a_slash_are_a_repository() {
        let cache = tempfile::tempdir().unwrap();
        let error = find("somebody/clip", cache.path()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.message().contains("somebody/clip"), "{error}");
    }
}
