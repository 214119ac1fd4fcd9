//! nomic-embed-vision v1 and v1.5: what their ONNX exports need from the folder, and from the text model of their space,
//! nomic-embed-text (`modeling_hf_nomic_bert.py` of `nomic-ai/nomic-bert-2048`, and the models' own pages).

use std::collections::BTreeMap;
use std::path::{Component, Path};

use lucida_core::Result;
use serde_json::Value;

use super::fields::Fields;
use super::published_export::PublishedExport;
use crate::export_only::NOMIC_VISION;

/// The repository of the text model in the space of the pictures.
pub(super) const TEXT_MODEL: &str = "nomic-ai/nomic-embed-text-v1.5";

const EXPORT: PublishedExport = PublishedExport {
    family: NOMIC_VISION,
    repository: "nomic-ai/nomic-embed-vision-v1.5",
    files: &["onnx/model.onnx"],
};

/// What the text model was trained with in front of a search's words, and of what is found.
const PROMPTS: [(&str, &str); 2] = [("query", "search_query: "), ("document", "search_document: ")];

/// The names of the models whose texts aren't normalised before their length is. Nothing in their files differs from
/// version 1.5.
const FIRST_VERSION: [&str; 2] = ["nomic-embed-vision-v1", "nomic-embed-text-v1"];

/// The little that is read of a nomic-embed-vision.
#[derive(Debug, Clone)]
pub(super) struct NomicVisionConfig {
    /// The length of a vector.
    pub(super) dimensions: usize,
    /// The side of a picture in pixels.
    pub(super) image_size: usize,
    /// The published export.
    pub(super) export: PublishedExport,
}

impl NomicVisionConfig {
    /// Reads the `config.json` of an image tower.
    ///
    /// # Errors
    /// `Internal`, naming the file, for a value that can't be.
    pub(super) fn read(path: &Path, config: &Value) -> Result<Self> {
        let fields = Fields::new(path, config);
        Ok(Self {
            dimensions: fields.number(&["n_embd", "hidden_size"], 768)?,
            image_size: fields.number(&["img_size", "image_size"], 224)?,
            export: EXPORT,
        })
    }
}

/// Returns the prompts of the text model.
pub(super) fn prompts() -> BTreeMap<String, String> {
    PROMPTS
        .map(|(name, prompt)| (name.to_owned(), prompt.to_owned()))
        .into()
}

/// Returns whether the mean of a text's vector is subtracted from its numbers before they get unit length: in version 1.5
/// they go through a layer normalisation without weights, `F.layer_norm`. The first version is known by its name, of a
/// folder or of a repository in a hub's cache.
pub(super) fn centres_texts(images: &Path, texts: &Path) -> bool {
    !is_first_version(images) && !is_first_version(texts)
}

fn is_first_version(folder: &Path) -> bool {
    folder.components().any(|part| match part {
        Component::Normal(name) => {
            // A hub's cache has `models--nomic-ai--nomic-embed-vision-v1`.
            let name = name.to_string_lossy();
            let name = name.rsplit("--").next().unwrap_or_default();
            FIRST_VERSION.contains(&name)
        }
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_version_is_known_by_its_name() {
        let texts = Path::new("models/texts");
        for (images, centres) in [
            ("models/nomic-embed-vision-v1", false),
            (
                "cache/models--nomic-ai--nomic-embed-vision-v1/snapshots/0af1",
                false,
            ),
            ("models/nomic-embed-vision-v1.5", true),
            (
                "cache/models--nomic-ai--nomic-embed-vision-v1.5/snapshots/0af1",
                true,
            ),
            ("./mine", true),
        ] {
            assert_eq!(centres_texts(Path::new(images), texts), centres, "{images}");
        }
        assert!(!centres_texts(
            Path::new("./mine"),
            Path::new("models/nomic-embed-text-v1")
        ));
    }
}
