//! A layer of configuration: a folder with one file per key, as Kubernetes mounts a ConfigMap or a Secret.
//!
//! The file `storage.mirror.first` in the folder sets `storage.mirror.first`. A missing folder is an empty layer.

use std::fs;
use std::io;
use std::path::PathBuf;

use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

/// The folder.
pub(crate) struct Mounted {
    folder: PathBuf,
}

impl Mounted {
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::from(format!("can't read {}: {error}", self.folder.display()))
    }
}

impl Provider for Mounted {
    fn metadata(&self) -> Metadata {
        let folder = self.folder.clone();
        // What messages and `config show` name as the place of a value: its file.
        Metadata::from("mounted folder", self.folder.as_path())
            .interpolater(move |_, keys| folder.join(keys.join(".")).display().to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
            entries => entries.map_err(|error| self.failed(&error))?,
        };
        let mut values = Dict::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.failed(&error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Kubernetes keeps its own files beside the keys, all of which begin with two dots.
            if name.starts_with('.') || !entry.path().is_file() {
                continue;
            }
            let text = fs::read_to_string(entry.path()).map_err(|error| self.failed(&error))?;
            let keys: Vec<&str> = name.split('.').collect();
            set(&mut values, &keys, text.trim_end());
        }
        Ok(Map::from([(Profile::Default, values)]))
    }
}

/// Sets a text at a path of table keys; Lucida gives it the type of its key.
fn set(values: &mut Dict, keys: &[&str], text: &str) {
    match keys {
        [] => {}
        [last] => {
            values.insert((*last).to_owned(), Value::from(text));
        }
        [first, rest @ ..] => {
            let entry = values.remove(*first).and_then(Value::into_dict);
            let mut table = entry.unwrap_or_default();
            set(&mut table, rest, text);
            values.insert((*first).to_owned(), Value::from(table));
        }
    }
}

#[cfg(test)]
mod tests {
    use lucida::Registry;
    use lucida::config::{Config, Flag, Sources};

    use super::*;

    fn registry(files: &[(&str, &str)]) -> (Registry, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let registry = Registry::default()
            .with_storage(crate::mirror::factory())
            .with_config_layer(Mounted::new(folder.path()));
        (registry, folder)
    }

    #[test]
    fn a_mounted_file_sets_its_key_over_the_config_file_and_below_flags() {
        let (registry, folder) = registry(&[
            ("storage.type", "mirror\n"),
            ("storage.mirror.first", "/mnt/first\n"),
            ("storage.mirror.second", "/mnt/second\n"),
            ("server.max_upload_bytes", "64MiB\n"),
            ("search.default_limit", "7\n"),
        ]);
        let file = folder.path().join("..file.toml");
        fs::write(&file, "[server]\nmax_upload_bytes = 5\nmax_embed_items = 6\n").unwrap();
        let sources = Sources {
            file: Some(file),
            flags: vec![Flag::parse("search.default_limit=8").unwrap()],
            ..Sources::default()
        };
        let config = Config::load(&registry, &sources).unwrap();
        assert_eq!(config.storage.type_name(), "mirror");
        assert_eq!(config.storage.settings()["second"], "/mnt/second");
        assert_eq!(config.server.max_upload_bytes, 64 << 20);
        assert_eq!(config.server.max_embed_items, 6);
        assert_eq!(config.search.default_limit, 8);
        let place = folder.path().join("server.max_upload_bytes");
        let line = format!("max_upload_bytes = 67108864  # {}", place.display());
        let shown = config.show();
        assert!(shown.lines().any(|shown| shown == line), "{shown}");
    }

    #[test]
    fn a_mistake_in_a_mounted_file_names_the_file_and_the_nearest_key() {
        let (registry, folder) = registry(&[("server.lisen", "8080")]);
        let findings = Config::load(&registry, &Sources::default()).unwrap_err();
        let place = folder.path().join("server.lisen");
        assert_eq!(
            findings.to_string(),
            format!(
                "{}: server.lisen: unknown key; did you mean `server.listen`?",
                place.display()
            )
        );
    }

    #[test]
    fn a_missing_folder_changes_nothing() {
        let registry = Registry::default().with_config_layer(Mounted::new("/no/such/folder"));
        Config::load(&registry, &Sources::default()).unwrap();
    }
}
