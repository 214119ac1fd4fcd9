//! jina-clip v1 and v2: what their ONNX exports need from the folder (`configuration_clip.py`, `processing_clip.py` and
//! `modeling_clip.py` of `jinaai/jina-clip-implementation`).

use std::collections::BTreeMap;
use std::path::Path;

use lucida_core::Result;
use serde_json::Value;

use super::broken;
use super::fields::Fields;
use super::published_export::PublishedExport;
use crate::export_only::JINA_CLIP;

/// How many tokens both versions were trained for.
const MAX_TOKENS: usize = 8192;

/// The number of tokens at which `encode_text` cuts a text by default.
const USUAL_TOKENS: usize = 512;

/// The length of a vector, and the side of a picture, that a file means which leaves them out.
const USUAL_DIMENSIONS: usize = 768;
const USUAL_IMAGE_SIZE: usize = 224;

/// Each tower in a file of its own.
const VERSION_1: PublishedExport = PublishedExport {
    family: JINA_CLIP,
    repository: "jinaai/jina-clip-v1",
    files: &["onnx/vision_model.onnx", "onnx/text_model.onnx"],
};

/// Both towers in one file, with its weights beside it.
const VERSION_2: PublishedExport = PublishedExport {
    family: JINA_CLIP,
    repository: "jinaai/jina-clip-v2",
    files: &["onnx/model.onnx", "onnx/model.onnx_data"],
};

/// The little that is read of a jina-clip.
#[derive(Debug, Clone)]
pub(super) struct JinaClipConfig {
    /// The length of a vector, of a picture or a text.
    pub(super) dimensions: usize,
    /// The side of a picture in pixels.
    pub(super) image_size: usize,
    /// What the model puts in front of a text, by the name of a task, and by its last word.
    pub(super) prompts: BTreeMap<String, String>,
    /// The export that is published of this version.
    pub(super) export: PublishedExport,
}

impl JinaClipConfig {
    /// Reads the `config.json` of a `jina_clip`.
    ///
    /// # Errors
    /// `Internal`, naming the file, for a value that can't be, and for towers whose vectors have different lengths.
    pub(super) fn read(path: &Path, config: &Value) -> Result<Self> {
        let part = |key: &str| config.get(key).unwrap_or(&Value::Null);
        let whole = Fields::new(path, config);
        let (vision, text) = (
            Fields::new(path, part("vision_config")),
            Fields::new(path, part("text_config")),
        );
        let projects = whole.value("add_projections").and_then(Value::as_bool) == Some(true);
        let dimensions = if projects {
            whole.number(&["projection_dim"], USUAL_DIMENSIONS)?
        } else {
            let images = vision.number(&["embed_dim"], USUAL_DIMENSIONS)?;
            let texts = text.number(&["embed_dim"], USUAL_DIMENSIONS)?;
            if images != texts {
                let problem = format!(
                    "says that a picture's vector has {images} dimensions and a text's {texts}, and has no projections"
                );
                return Err(broken(path, &problem));
            }
            images
        };
        let options = Fields::new(path, text.value("hf_model_config_kwargs").unwrap_or(&Value::Null));
        let instructions = options.value("task_instructions").and_then(Value::as_object);
        let tasks = instructions.into_iter().flatten();
        let prompts = tasks.filter_map(|(task, prompt)| Some((task.clone(), prompt.as_str()?.to_owned())));
        // The second version is built around jina-embeddings-v3, whose tasks have instructions.
        let export = if instructions.is_some() {
            VERSION_2
        } else {
            VERSION_1
        };
        Ok(Self {
            dimensions,
            image_size: vision.number(&["image_size"], USUAL_IMAGE_SIZE)?,
            prompts: with_last_words(prompts.collect()),
            export,
        })
    }

    /// Returns how many tokens a text may have at most, and at how many it is cut where nothing else is said.
    pub(super) const fn token_limits() -> (usize, usize) {
        (MAX_TOKENS, USUAL_TOKENS)
    }
}

/// Names each prompt by the last word of its task too: `query` is `retrieval.query`.
fn with_last_words(prompts: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let words = prompts.iter().filter_map(|(task, prompt)| {
        let (_, word) = task.rsplit_once('.')?;
        Some((word.to_owned(), prompt.clone()))
    });
    let mut all: BTreeMap<_, _> = words.collect();
    all.extend(prompts);
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: &Value) -> Result<JinaClipConfig> {
        JinaClipConfig::read(Path::new("config.json"), config)
    }

    #[test]
    fn the_second_version_has_a_prompt_for_queries() {
        let config = read(&json!({
            "projection_dim": 1024,
            "text_config": {"embed_dim": 1024, "hf_model_config_kwargs": {
                "task_instructions": {"retrieval.query": "Represent the query for retrieving evidence documents: "},
            }},
            "vision_config": {"embed_dim": 1024, "image_size": 512},
        }))
        .unwrap();
        assert_eq!((config.dimensions, config.image_size), (1024, 512));
        assert_eq!(
            config.prompts["query"],
            "Represent the query for retrieving evidence documents: "
        );
        assert_eq!(config.prompts["query"], config.prompts["retrieval.query"]);
        assert_eq!(config.export.repository, "jinaai/jina-clip-v2");

        let first = read(&json!({})).unwrap();
        assert_eq!((first.dimensions, first.image_size), (768, 224));
        assert!(first.prompts.is_empty());
        assert_eq!(first.export.repository, "jinaai/jina-clip-v1");
    }

    #[test]
    fn towers_of_different_lengths_need_projections() {
        let towers = json!({"text_config": {"embed_dim": 512}, "vision_config": {"embed_dim": 768}});
        let error = read(&towers).unwrap_err();
        assert!(
            error.message().contains("768") && error.message().contains("512"),
            "{error}"
        );
        let mut projected = towers;
        projected["add_projections"] = true.into();
        projected["projection_dim"] = 640.into();
        assert_eq!(read(&projected).unwrap().dimensions, 640);
    }
}
