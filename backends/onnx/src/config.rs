//! What `[embedder.onnx]` in a config file can say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lucida_models::checkpoint::TextSettings;
use lucida_models::hub::{Exports, HubConfig};
use lucida_models::{BatchOptions, BatchSettings};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::device::{Compute, Device, Precision};

/// The settings of the ONNX Runtime embedder.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OnnxConfig {
    /// The model: a name in the cache's `models` folder, such as `"starter"`, a folder, with a `/` in it, such as
    /// `"./models/mine"`, or a repository on a hub, such as `"sentence-transformers/clip-ViT-B-32"`.
    pub model: String,
    /// Another model for texts, in the same space as the one for pictures.
    #[schemars(example = &"sentence-transformers/clip-ViT-B-32-multilingual-v1")]
    pub text_model: Option<String>,
    /// The number format for computing: `"fp32"`; `"int8"` on the device `"cpu"`, more than twice as fast and a quarter of
    /// the size; `"bf16"` on OpenVINO. Weights are converted when the model is first loaded.
    pub precision: Precision,
    /// The device: `"cpu"`, `"openvino"` (also the processor, with Intel's kernels; `lucida setup --openvino` downloads its
    /// library), or `"cuda"`, which is untested: `library` must name an ONNX Runtime that was built for it.
    pub device: Device,
    /// The ONNX Runtime library. Without it, the library is searched for in `ORT_DYLIB_PATH`, the cache, next to the program
    /// and in the system's folders.
    #[schemars(example = &"/opt/onnxruntime/lib/libonnxruntime.so")]
    pub library: Option<PathBuf>,
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

impl Default for OnnxConfig {
    fn default() -> Self {
        Self {
            model: "starter".to_owned(),
            text_model: None,
            precision: Precision::Fp32,
            device: Device::Cpu,
            library: None,
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

impl OnnxConfig {
    /// Returns the number of threads, with 0 resolved to the cores of this machine.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        self.batch_settings().thread_count()
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

    /// Returns which ONNX files are fetched from a hub, where it has no weights that are computed.
    pub(crate) const fn exports(&self) -> Exports {
        match self.precision {
            // bf16 is a way to compute with f32 weights.
            Precision::Fp32 | Precision::Bf16 => Exports::Plain,
            Precision::Int8 => Exports::Int8,
        }
    }

    /// Returns what a session computes on, and how.
    pub(crate) fn compute(&self) -> Compute {
        Compute {
            device: self.device,
            precision: self.precision,
            threads: self.thread_count(),
        }
    }

    /// Returns how the model's inputs are queued; a batch costs at most one, for models that compute each input by itself:
    /// a search should not wait for more than the one under way.
    pub(crate) fn batch_options(&self) -> BatchOptions {
        self.batch_settings().options(1, 1)
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

    fn settings() -> Value {
        json!({
            "model": "starter", "precision": "fp32", "device": "cpu", "threads": 0, "queue_items": 256,
            "preload": true, "idle_unload_secs": 0, "hub": {"offline": true},
        })
    }

    fn with(key: &str, value: Value) -> Result<OnnxConfig> {
        let mut settings = settings();
        settings[key] = value;
        parse(&settings)
    }

    #[test]
    fn a_value_that_can_not_be_is_refused_by_its_key() {
        for (key, value, says) in [
            ("model", json!(" "), "empty"),
            ("queue_items", json!(0), "0"),
            ("threads", json!(5000), "5000"),
            (
                "precision",
                json!("fp8"),
                "expected one of `fp32`, `bf16`, `int8`",
            ),
            (
                "device",
                json!("gpu"),
                "expected one of `cpu`, `openvino`, `cuda`",
            ),
            ("text_model", json!(""), "empty"),
        ] {
            let error = with(key, value).unwrap_err();
            assert_eq!(error.kind(), lucida_core::ErrorKind::ConfigInvalid);
            assert_eq!(error.field(), Some(key), "{error}");
            assert!(error.message().contains(says), "{error}");
        }
    }

    #[test]
    fn a_pair_of_device_and_precision_that_does_not_exist_is_refused_by_both_names() {
        let pair = |device: &str, precision: &str| {
            let mut settings = settings();
            settings["device"] = json!(device);
            settings["precision"] = json!(precision);
            parse::<OnnxConfig>(&settings)
        };
        for (device, precision) in [
            ("cpu", "fp32"),
            ("cpu", "int8"),
            ("openvino", "bf16"),
            ("cuda", "fp32"),
        ] {
            pair(device, precision).unwrap();
        }
        for (device, precision) in [("cpu", "bf16"), ("openvino", "int8"), ("cuda", "int8")] {
            let error = pair(device, precision).unwrap_err();
            assert_eq!(error.field(), Some("precision"));
            let says = format!("`{precision}` can't be computed on the device `{device}`");
            assert!(error.message().contains(&says), "{error}");
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
