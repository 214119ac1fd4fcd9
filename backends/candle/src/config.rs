//! What `[embedder.candle]` in a config file can say.

use std::collections::BTreeMap;

use lucida_models::checkpoint::TextSettings;
use lucida_models::hub::HubConfig;
use lucida_models::{BatchOptions, BatchSettings};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::device::ComputeDevice;

/// The settings of the candle embedder.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CandleConfig {
    /// The model: a repository on a hub, such as `"sentence-transformers/clip-ViT-B-32"`, a folder, with a `/` in it, such
    /// as `"./models/mine"`, or a name in the cache's `models` folder.
    pub model: String,
    /// Another model for texts, in the same space as the one for pictures.
    #[schemars(example = &"sentence-transformers/clip-ViT-B-32-multilingual-v1")]
    pub text_model: Option<String>,
    /// The device: `"cpu"`; `"cuda"`, or `"cuda:1"` for the second card, in a build with the feature `cuda`; `"metal"` in one
    /// with the feature `metal`. Both are untested on hardware.
    pub device: ComputeDevice,
    /// The threads that compute a batch, and the inputs that are prepared at a time; 0 is one per core.
    pub threads: usize,
    /// The most inputs that wait in each lane of each tower; more are answered with 429.
    pub queue_items: usize,
    /// Whether the model is loaded at start (`true`) or when it is first needed (`false`).
    pub preload: bool,
    /// After how many idle seconds a tower is unloaded from memory; 0 is never.
    pub idle_unload_secs: u64,
    /// What is put before a text, by names that requests choose with `prompt_name`; `input_type` chooses `query`, or `document`
    /// (also called `passage`): `{ query = "query: ", document = "passage: " }`. They complete those of the model's folder.
    pub prompts: BTreeMap<String, String>,
    /// At how many tokens a text is cut, or refused if the request says `truncate = false`. Without it, the model's folder
    /// decides.
    #[schemars(example = &512)]
    pub max_tokens: Option<usize>,
    /// Whether requests may ask for fewer `dimensions` than the model's vectors have, although its folder doesn't say that it
    /// was trained for it.
    pub truncate_dimensions: bool,
    /// How models are downloaded from a hub.
    pub hub: HubConfig,
}

impl Default for CandleConfig {
    fn default() -> Self {
        Self {
            model: "sentence-transformers/clip-ViT-B-32".to_owned(),
            text_model: None,
            device: ComputeDevice::Cpu,
            threads: 0,
            queue_items: 256,
            preload: true,
            idle_unload_secs: 0,
            prompts: BTreeMap::new(),
            max_tokens: None,
            truncate_dimensions: false,
            hub: HubConfig::default(),
        }
    }
}

/// How many pictures are computed at once: beyond this they gain no speed, and a search waits for more of them.
const IMAGE_BATCH: usize = 4;

/// How many tokens of texts are computed at once.
const TEXT_BATCH_TOKENS: usize = 128;

impl CandleConfig {
    /// Returns the number of threads, with 0 resolved to the cores of this machine.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        self.batch_settings().thread_count()
    }

    /// Returns how the model's inputs are queued.
    pub(crate) fn batch_options(&self) -> BatchOptions {
        self.batch_settings().options(IMAGE_BATCH, TEXT_BATCH_TOKENS)
    }

    /// Returns what is said of texts.
    pub(crate) fn text_settings(&self) -> TextSettings {
        TextSettings {
            prompts: self.prompts.clone(),
            max_tokens: self.max_tokens,
            truncate_dimensions: self.truncate_dimensions,
            ..TextSettings::default()
        }
    }

    /// Returns the settings of batches.
    pub(crate) fn batch_settings(&self) -> BatchSettings {
        BatchSettings {
            threads: self.threads,
            queue_items: self.queue_items,
            preload: self.preload,
            idle_unload_secs: self.idle_unload_secs,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lucida_core::Result;
    use lucida_core::config::parse;
    use serde_json::{Value, json};

    use super::*;

    fn with(key: &str, value: Value) -> Result<CandleConfig> {
        let mut settings = json!({
            "model": "clip", "threads": 0, "queue_items": 256, "preload": true, "idle_unload_secs": 0,
            "hub": {"offline": true},
        });
        settings[key] = value;
        parse(&settings)
    }

    #[test]
    fn a_value_that_can_not_be_is_refused_by_its_key() {
        for (key, value, says) in [
            ("model", json!(" "), "empty"),
            ("text_model", json!(""), "empty"),
            ("queue_items", json!(0), "0"),
            ("threads", json!(5000), "5000"),
            ("precision", json!("int8"), "unknown field `precision`"),
            ("device", json!("gpu"), "expected `cpu`, `cuda`"),
        ] {
            let error = with(key, value).unwrap_err();
            assert_eq!(error.kind(), lucida_core::ErrorKind::ConfigInvalid);
            assert_eq!(error.field(), Some(key), "{error}");
            assert!(error.message().contains(says), "{error}");
        }
    }

    #[test]
    fn zero_threads_are_the_cores_of_the_machine() {
        assert!(with("threads", json!(0)).unwrap().thread_count() >= 1);
        assert_eq!(with("threads", json!(3)).unwrap().thread_count(), 3);
    }

    #[test]
    fn zero_seconds_never_unload() {
        let unload = |seconds: u64| {
            with("idle_unload_secs", json!(seconds))
                .unwrap()
                .batch_options()
                .idle_unload
        };
        assert_eq!(unload(0), None);
        assert_eq!(unload(90), Some(Duration::from_secs(90)));
    }
}
