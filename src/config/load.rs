//! Reads the layers, checks each by itself, and merges them.

use std::path::PathBuf;

use figment::Figment;

use super::assignment::{self, Flag};
use super::check::{self, Strings};
use super::finding::{Finding, Findings};
use super::loaded::Config;
use super::merged::{self, Merged};
use super::reading::Reading;
use super::toml::Toml;
use super::{defaults, root};
use crate::registry::Registry;
use crate::schema::ValueKind;

/// What a configuration is read from, besides the defaults and the registry's layers.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file given with `--config`.
    pub file: Option<PathBuf>,
    /// Variables by name; those that can't be meant are left alone.
    pub variables: Vec<(String, String)>,
    /// Settings from the command line.
    pub flags: Vec<Flag>,
}

impl Sources {
    /// Takes the variables of this process.
    #[must_use]
    pub fn with_environment(mut self) -> Self {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        self.variables
            .extend(std::env::vars_os().map(|(name, value)| (text(name), text(value))));
        self
    }
}

impl Config {
    /// Reads, checks and merges all layers.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn load(registry: &Registry, sources: &Sources) -> Result<Self, Findings> {
        let schema = root::schema(registry);
        let mut layers = Layers {
            schema: &schema,
            figment: Figment::new(),
            findings: Vec::new(),
        };
        let text = defaults::toml(&schema);
        let defaults = Toml::parse(merged::DEFAULTS, defaults::NAME, &text)?;
        layers.merge(&Figment::from(defaults), merged::DEFAULTS, Strings::Typed);
        if let Some(path) = &sources.file {
            layers.merge(&Figment::from(Toml::file(path)?), "config file", Strings::Typed);
        }
        for layer in &registry.config_layers {
            layers.merge(&layer(), "custom layer", Strings::Texts);
        }
        let (variables, wrong) = assignment::variables(&sources.variables, &schema);
        layers.findings.extend(wrong);
        for variable in &variables {
            layers.merge(&Figment::from(variable), "environment", Strings::Texts);
        }
        for flag in &sources.flags {
            layers.merge(&Figment::from(flag.assignment()), "command line", Strings::Texts);
        }
        let (merged, findings) = (Merged::new(layers.figment), layers.findings);
        Reading {
            merged: &merged,
            in_layers: findings.len(),
            findings,
        }
        .config(registry, &schema)
    }
}

/// The layers, merged one after the other.
struct Layers<'a> {
    schema: &'a ValueKind,
    figment: Figment,
    findings: Vec<Finding>,
}

impl Layers<'_> {
    /// Checks a layer by itself, so that a mistake is found even where a later layer hides it, and merges it.
    fn merge(&mut self, layer: &Figment, name: &str, strings: Strings) {
        let (checked, findings) = check::layer(name, layer, strings, self.schema);
        self.figment = std::mem::take(&mut self.figment).merge(checked);
        self.findings.extend(findings);
    }
}

#[cfg(test)]
#[cfg(all(
    feature = "storage-disk",
    feature = "metadata-sqlite",
    feature = "index-embedded",
    feature = "queue-sqlite",
    feature = "embedder-onnx",
    feature = "plugin-exif",
    feature = "plugin-thumbnail"
))]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::config::ModelSelection;

    /// Loads a file; its name is cut off from the findings.
    fn load(text: &str) -> Result<Config, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let sources = Sources {
            file: Some(file.path().to_path_buf()),
            ..Sources::default()
        };
        let place = format!("{}:", file.path().display());
        Config::load(&Registry::default(), &sources)
            .map_err(|findings| findings.to_string().replace(&place, ""))
    }

    #[test]
    fn a_further_model_has_its_name_its_times_and_the_keys_of_its_type() {
        let text = "[[models]]\nname = \"e5\"\ntype = \"onnx\"\nmodel = \"intfloat/multilingual-e5-small\"\n\
                    idle_unload_secs = \"2m\"\n[models.hub]\noffline = true\n";
        let config = load(text).unwrap();
        let [ModelSelection { model, selection }] = &config.models[..] else {
            panic!("{} models", config.models.len());
        };
        assert_eq!((model.name.as_str(), model.preload), ("e5", false));
        assert_eq!(model.idle_unload(), Some(Duration::from_secs(120)));
        assert_eq!((selection.path(), selection.type_name()), ("models[0]", "onnx"));
        let expected = json!({
            "model": "intfloat/multilingual-e5-small", "preload": false, "idle_unload_secs": 120, "hub": {"offline": true},
        });
        assert_eq!(selection.settings(), &expected);
        let shown = config.show();
        for line in [
            "[[models]]",
            "name = \"e5\"",
            "idle_unload_secs = 120",
            "preload = false",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
    }

    #[test]
    fn a_mistake_in_a_further_model_is_found_with_its_key_and_line() {
        for (text, finding) in [
            (
                "[[models]]\nname = \"e5\"\ntype = \"onix\"\n",
                "3: models[0].type: embedder type `onix` is unknown; this build has: candle, onnx, remote; did you mean `onnx`?",
            ),
            (
                "[[models]]\ntype = \"onnx\"\n",
                "1: models[0].name: must be set, such as \"e5\"",
            ),
            (
                "[[models]]\nname = \"e5\"\ntype = \"onnx\"\nprecison = \"int8\"\n",
                "4: models[0].precison: unknown key; did you mean `models[0].precision`?",
            ),
            (
                "[[models]]\nname = \"e5\"\ntype = \"onnx\"\nqueue_items = 0\n",
                "4: models[0].queue_items: is 0: let at least 1 input wait",
            ),
            (
                "[[models]]\nname = \"e5\"\ntype = \"onnx\"\n[[models]]\nname = \"e5\"\ntype = \"onnx\"\n",
                "5: models[1].name: another model is already named `e5`",
            ),
        ] {
            assert_eq!(load(text).err().as_deref(), Some(finding), "{text}");
        }
        let unnamed = load("[[models]]\nname = \"e 5\"\ntype = \"onnx\"\n")
            .err()
            .unwrap();
        assert!(
            unnamed.starts_with("2: models[0].name: must have 1 to 100"),
            "{unnamed}"
        );
    }
}
