//! `starter.json`: the recipe, and the hash of each file of the model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lucida_core::{Error, ErrorKind, Result};
use serde::Deserialize;

use super::files::{LANGUAGES_FILES, MANIFEST_FILE};

/// The schema of the manifest that this version reads.
const SCHEMA: u32 = 1;

/// What all the numbers of the model follow from; `labels.safetensors` is computed from these at conversion and
/// differs in its last bits from one processor to another, which should not make another model of it.
const SOURCES: [&str; 4] = ["image.onnx", "labels.txt", "text.onnx", "tokenizer.json"];

/// A model folder whose manifest has been read and makes sense.
#[derive(Debug)]
pub(super) struct Manifest {
    folder: PathBuf,
    content: Content,
}

#[derive(Debug, Deserialize)]
struct Content {
    schema: u32,
    model: String,
    dimensions: usize,
    image: ImageRecipe,
    text: TextRecipe,
    labels: LabelRecipe,
    /// Missing in a folder of an earlier version, which reads English only.
    languages: Option<LanguageRecipe>,
    blake3: BTreeMap<String, String>,
}

/// How a picture becomes a vector.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ImageRecipe {
    /// The side of the classifier's input.
    pub(super) size_pixels: u32,
    /// Subtracted from each value.
    pub(super) mean: f32,
    /// Divides what is left.
    pub(super) scale: f32,
    /// By how much the short side is larger than the crop.
    crop_resize: f64,
    /// How many labels the classifier knows.
    pub(super) classes: usize,
    /// The power of a probability that is its weight.
    pub(super) probability_power: f64,
    /// How many of the likeliest labels count.
    pub(super) top_labels: usize,
}

impl ImageRecipe {
    /// Returns the short side that a picture is resized to before the centre is cropped.
    pub(super) fn short_side_pixels(&self) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the manifest was checked: both factors are positive and small"
        )]
        let side = (f64::from(self.size_pixels) * self.crop_resize).round() as u32;
        side
    }
}

/// How a text becomes a vector.
#[derive(Debug, Deserialize)]
struct TextRecipe {
    max_tokens: usize,
}

/// How a text that isn't English becomes tokens.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct LanguageRecipe {
    /// What the model was trained to find before a query.
    pub(super) prompt: String,
    /// How many tokens of a text are read, the prompt counted.
    pub(super) max_tokens: usize,
}

/// What the label vectors were computed from.
#[derive(Debug, Deserialize)]
struct LabelRecipe {
    prompts: Vec<String>,
}

impl Manifest {
    /// Reads and checks `starter.json`.
    ///
    /// # Errors
    /// `Unavailable` when it is missing, `Internal` when it can't be used, naming the file.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST_FILE);
        let bytes = read(&path)?;
        let content: Content = serde_json::from_slice(&bytes)
            .map_err(|error| broken(&path, "is not a starter manifest").with_source(error))?;
        if content.schema != SCHEMA {
            let problem = format!("has schema {}, and this version reads {SCHEMA}", content.schema);
            return Err(broken(&path, &problem));
        }
        let image = &content.image;
        let listed = |files: &[&str]| files.iter().all(|file| content.blake3.contains_key(*file));
        let languages_make_sense = content
            .languages
            .as_ref()
            .is_none_or(|languages| (16..=512).contains(&languages.max_tokens) && listed(&LANGUAGES_FILES));
        let sensible = content.dimensions > 0
            && (1..=4096).contains(&image.size_pixels)
            && (1.0..=4.0).contains(&image.crop_resize)
            && image.mean.is_finite()
            && image.scale.is_normal()
            && image.probability_power.is_finite()
            && image.probability_power > 0.0
            && (1..=image.classes).contains(&image.top_labels)
            && (3..=512).contains(&content.text.max_tokens)
            && listed(&SOURCES)
            && languages_make_sense;
        if !sensible {
            return Err(broken(&path, "has a recipe or a file list that can't be"));
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            content,
        })
    }

    /// Returns the model's name.
    pub(super) fn model(&self) -> &str {
        &self.content.model
    }

    /// Returns the length of its vectors.
    pub(super) const fn dimensions(&self) -> usize {
        self.content.dimensions
    }

    /// Returns how pictures are treated.
    pub(super) const fn image(&self) -> &ImageRecipe {
        &self.content.image
    }

    /// Returns how many tokens of a text are read.
    pub(super) const fn max_tokens(&self) -> usize {
        self.content.text.max_tokens
    }

    /// Returns how texts in other languages than English are treated; `None` where they can't be read.
    pub(super) const fn languages(&self) -> Option<&LanguageRecipe> {
        self.content.languages.as_ref()
    }

    /// Returns the folder of the files.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns what identifies the weights: the hashes of all that the stored vectors follow from, and the recipe. Cheap,
    /// since the files themselves are held against their hashes when they are read. The model for other languages isn't
    /// part of it: it embeds queries, and no picture.
    pub(super) fn weights_id(&self) -> Vec<u8> {
        let image = &self.content.image;
        let mut id = format!(
            "{} {} {} {} {} {} {} {:?}",
            image.size_pixels,
            image.mean,
            image.scale,
            image.crop_resize,
            image.probability_power,
            image.top_labels,
            self.content.text.max_tokens,
            self.content.labels.prompts
        );
        for file in SOURCES {
            id.push(' ');
            id.push_str(&self.content.blake3[file]);
        }
        id.into_bytes()
    }

    /// Returns a file's full path, for errors.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Reads a file and checks that it is the one that the manifest means.
    ///
    /// # Errors
    /// `Unavailable` when it is missing, `Internal` when it is another, naming the file.
    pub(super) fn read_file(&self, file: &str) -> Result<Vec<u8>> {
        let bytes = read(&self.path(file))?;
        self.check(file, blake3::hash(&bytes))?;
        Ok(bytes)
    }

    /// Checks that a file is the one that the manifest means, without keeping it in memory.
    ///
    /// # Errors
    /// Those of [`Self::read_file`].
    pub(super) fn check_file(&self, file: &str) -> Result<()> {
        let path = self.path(file);
        let mut hasher = blake3::Hasher::new();
        std::fs::File::open(&path)
            .and_then(|content| hasher.update_reader(content).map(drop))
            .map_err(|error| unreadable(&path, error))?;
        self.check(file, hasher.finalize())
    }

    fn check(&self, file: &str, found: blake3::Hash) -> Result<()> {
        let path = self.path(file);
        match self.content.blake3.get(file) {
            Some(expected) if *expected == found.to_hex().as_str() => Ok(()),
            Some(_) => Err(broken(&path, "is damaged or from another version")),
            None => Err(broken(&path, "is not listed in starter.json")),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let message = format!("{} can't be read: run `lucida setup`", path.display());
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}

/// An error about a file of the model that is there but can't be used.
pub(super) fn broken(path: &Path, problem: &str) -> Error {
    Error::internal(format!(
        "{} {problem}: delete its folder and run `lucida setup`",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(change: impl FnOnce(&mut serde_json::Value)) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut hashes = serde_json::Map::new();
        for file in SOURCES {
            std::fs::write(folder.path().join(file), file).unwrap();
            hashes.insert(
                file.to_owned(),
                blake3::hash(file.as_bytes()).to_hex().as_str().into(),
            );
        }
        let mut manifest = serde_json::json!({
            "schema": SCHEMA, "model": "starter", "dimensions": 384,
            "image": {
                "size_pixels": 260, "mean": 127.0, "scale": 128.0, "crop_resize": 1.14, "classes": 1000,
                "probability_power": 0.5, "top_labels": 50,
            },
            "text": { "max_tokens": 256 }, "labels": { "prompts": ["{}"] }, "blake3": hashes,
        });
        change(&mut manifest);
        std::fs::write(folder.path().join(MANIFEST_FILE), manifest.to_string()).unwrap();
        folder
    }

    #[test]
    fn a_file_that_was_changed_is_named() {
        let folder = folder_with(|_| {});
        let manifest = Manifest::read(folder.path()).unwrap();
        assert_eq!(manifest.read_file("text.onnx").unwrap(), b"text.onnx");
        std::fs::write(folder.path().join("text.onnx"), "other").unwrap();
        let error = manifest.read_file("text.onnx").unwrap_err();
        assert!(error.message().contains("text.onnx is damaged"), "{error}");
    }

    #[test]
    fn a_missing_file_is_unavailable_and_says_how_to_get_it() {
        let folder = folder_with(|_| {});
        let manifest = Manifest::read(folder.path()).unwrap();
        std::fs::remove_file(folder.path().join("image.onnx")).unwrap();
        let error = manifest.read_file("image.onnx").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains("lucida setup"), "{error}");
    }

    #[test]
    fn a_recipe_that_can_not_be_is_refused() {
        for (pointer, value) in [
            ("/schema", 2.into()),
            ("/dimensions", 0.into()),
            ("/image/top_labels", 1001.into()),
            ("/image/scale", 0.0.into()),
            ("/image/size_pixels", 0.into()),
            ("/text/max_tokens", 100_000.into()),
            ("/blake3", serde_json::json!({})),
            // The files of the languages aren't listed.
            (
                "/languages",
                serde_json::json!({"prompt": "query: ", "max_tokens": 256}),
            ),
        ] {
            let folder = folder_with(|manifest| match manifest.pointer_mut(pointer) {
                Some(place) => *place = value,
                None => manifest[&pointer[1..]] = value,
            });
            let error = Manifest::read(folder.path()).unwrap_err();
            assert!(error.message().contains(MANIFEST_FILE), "{pointer}: {error}");
        }
    }

    #[test]
    fn the_weights_id_changes_with_the_weights_and_the_recipe() {
        let id = |change: fn(&mut serde_json::Value)| {
            let folder = folder_with(change);
            Manifest::read(folder.path()).unwrap().weights_id()
        };
        let base = id(|_| {});
        assert_eq!(base, id(|_| {}));
        assert_ne!(
            base,
            id(|manifest| manifest["blake3"]["image.onnx"] = "00".into())
        );
        assert_ne!(base, id(|manifest| manifest["image"]["top_labels"] = 20.into()));
        assert_eq!(
            base,
            id(|manifest| manifest["blake3"]["languages.onnx"] = "00".into()),
            "stored vectors don't follow from the model for other languages"
        );
        assert_ne!(
            base,
            id(|manifest| manifest["labels"]["prompts"][0] = "a {}".into())
        );
    }
}
