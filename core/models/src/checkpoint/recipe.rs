//! How a model wants its pictures: transformers' `preprocessor_config.json`.

use std::fmt;
use std::path::Path;

use lucida_core::picture::{CropRecipe, CropSize, Normaliser, ResizeFilter, ResizeTo};
use lucida_core::{Picture, Result};
use serde::Deserialize;
use serde_json::Value;

use super::{broken, missing, read_json, unsupported};

/// A picture as a model sees it, before it is normalised: `(size, size, 3)` u8, 0 to 255. Four times smaller than the
/// floats that it becomes, since many of them may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels(Vec<u8>);

impl Pixels {
    /// Returns the values, rows first, three for each pixel.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// From a picture to the numbers of a model's input, a square.
#[derive(Clone, PartialEq)]
pub struct ImageRecipe {
    crop: CropRecipe,
    size_pixels: u32,
    normaliser: Normaliser,
}

/// The file; what it leaves out has the value that transformers' `CLIPImageProcessor` gives it.
#[derive(Deserialize)]
struct RecipeFile {
    #[serde(default = "yes")]
    do_resize: bool,
    size: Option<Size>,
    #[serde(default = "bicubic")]
    resample: u32,
    #[serde(default = "yes")]
    do_center_crop: bool,
    crop_size: Option<Size>,
    #[serde(default = "yes")]
    do_rescale: bool,
    #[serde(default = "byte_to_unit")]
    rescale_factor: f64,
    #[serde(default = "yes")]
    do_normalize: bool,
    #[serde(default = "clip_mean")]
    image_mean: [f32; 3],
    #[serde(default = "clip_std")]
    image_std: [f32; 3],
}

/// A size by its number alone, as older files have it, or by the names of its sides.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Number(u32),
    ShortSide { shortest_edge: u32 },
    Sides { height: u32, width: u32 },
}

const fn yes() -> bool {
    true
}
const fn bicubic() -> u32 {
    3
}
const fn byte_to_unit() -> f64 {
    1.0 / 255.0
}
const fn clip_mean() -> [f32; 3] {
    [0.481_454_66, 0.457_827_5, 0.408_210_73]
}
const fn clip_std() -> [f32; 3] {
    [0.268_629_54, 0.261_302_6, 0.275_777_1]
}

impl ImageRecipe {
    /// Reads `preprocessor_config.json`, else the image's part of `processor_config.json`, for a model whose input has
    /// sides of `image_size`.
    ///
    /// # Errors
    /// `Unavailable` when neither is there; `Internal`, naming the file, for values that can't be, or that make pictures
    /// of another size than the model takes; `Unsupported` for a filter that is not read.
    pub(super) fn read(folder: &Path, image_size: usize) -> Result<Self> {
        let own = folder.join("preprocessor_config.json");
        let joint = folder.join("processor_config.json");
        let (path, value) = if own.is_file() {
            let value: Value = read_json(&own)?;
            (own, value)
        } else if joint.is_file() {
            let mut value: Value = read_json(&joint)?;
            let part = value.get_mut("image_processor").map(Value::take);
            let part = part.ok_or_else(|| broken(&joint, "has no `image_processor`"))?;
            (joint, part)
        } else {
            return Err(missing(&own, "what the model does to a picture"));
        };
        let file: RecipeFile = serde_json::from_value(value)
            .map_err(|error| broken(&path, "has a value that can't be").with_source(error))?;
        file.recipe(&path, image_size)
    }

    /// Returns the side of the model's square input.
    #[must_use]
    pub const fn size_pixels(&self) -> u32 {
        self.size_pixels
    }

    /// Returns the short side in pixels from which a picture may be decoded at a smaller scale without harm.
    #[must_use]
    pub fn decode_short_side_pixels(&self) -> Option<u32> {
        self.crop.decode_short_side_pixels()
    }

    /// Resizes and crops a picture; computes, so not on an async thread.
    ///
    /// # Errors
    /// `InvalidInput` for a picture too long to be resized.
    pub fn prepare(&self, picture: &Picture) -> Result<Pixels> {
        Ok(Pixels(self.crop.apply(picture)?.into_pixels().into_raw()))
    }

    /// Writes a prepared picture as `(3, size, size)` f32, normalised, into `planes`.
    ///
    /// # Panics
    /// When `planes` hasn't this length.
    pub fn planes(&self, pixels: &Pixels, planes: &mut [f32]) {
        self.normaliser.write(&pixels.0, planes);
    }
}

impl fmt::Debug for ImageRecipe {
    /// Says everything that the numbers follow from, since a model's fingerprint is made of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.crop, self.normaliser)
    }
}

impl RecipeFile {
    fn recipe(&self, path: &Path, image_size: usize) -> Result<ImageRecipe> {
        let resize = self.size.filter(|_| self.do_resize).map(|size| match size {
            Size::Number(side) | Size::ShortSide { shortest_edge: side } => ResizeTo::ShortSide(side),
            Size::Sides { height, width } => ResizeTo::Exact { width, height },
        });
        let crop = self
            .crop_size
            .filter(|_| self.do_center_crop)
            .map(|size| match size {
                Size::Number(side) | Size::ShortSide { shortest_edge: side } => (side, side),
                Size::Sides { height, width } => (width, height),
            });
        let usual = u32::try_from(image_size).map_err(|_| broken(path, "has a size that can't be"))?;
        let resize = if self.do_resize && resize.is_none() {
            Some(ResizeTo::ShortSide(usual))
        } else {
            resize
        };
        let crop = if self.do_center_crop {
            crop.or(Some((usual, usual)))
        } else {
            None
        };
        let made = crop.or(match resize {
            Some(ResizeTo::Exact { width, height }) => Some((width, height)),
            Some(ResizeTo::ShortSide(_)) | None => None,
        });
        if made != Some((usual, usual)) {
            let problem = match made {
                Some((width, height)) => format!("makes pictures of {width} x {height}"),
                None => "makes pictures of every shape".to_owned(),
            };
            return Err(broken(
                path,
                &format!("{problem}, and the model takes {usual} x {usual}"),
            ));
        }
        if self.image_std.contains(&0.0) {
            return Err(broken(path, "has an `image_std` of 0"));
        }
        let factor = if self.do_rescale { self.rescale_factor } else { 1.0 };
        let (mean, std) = if self.do_normalize {
            (self.image_mean, self.image_std)
        } else {
            ([0.0; 3], [1.0; 3])
        };
        Ok(ImageRecipe {
            crop: CropRecipe {
                resize,
                filter: ResizeFilter::from_pillow(self.resample).map_err(|error| {
                    unsupported(path, "has a `resample` that is not read").with_source(error)
                })?,
                crop: crop.map(|(width, height)| CropSize { width, height }),
            },
            size_pixels: usual,
            normaliser: Normaliser::new(factor, mean, std),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recipe(file: &Value) -> Result<ImageRecipe> {
        serde_json::from_value::<RecipeFile>(file.clone())
            .unwrap()
            .recipe(Path::new("preprocessor_config.json"), 224)
    }

    #[test]
    fn old_and_new_files_say_the_same() {
        let old = json!({"size": 224, "crop_size": 224, "resample": 3, "do_center_crop": true});
        let new = json!({"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}});
        assert_eq!(recipe(&old).unwrap(), recipe(&new).unwrap());
        assert_eq!(recipe(&old).unwrap(), recipe(&json!({})).unwrap());
    }

    #[test]
    fn what_changes_the_numbers_changes_the_identity() {
        let usual = format!("{:?}", recipe(&json!({})).unwrap());
        for change in [
            json!({"resample": 2}),
            json!({"size": 256}),
            json!({"size": {"height": 224, "width": 224}}),
            json!({"image_mean": [0.5, 0.5, 0.5]}),
            json!({"do_normalize": false}),
            json!({"do_rescale": false}),
        ] {
            assert_ne!(format!("{:?}", recipe(&change).unwrap()), usual, "{change}");
        }
    }

    #[test]
    fn a_recipe_for_another_size_than_the_model_takes_is_refused() {
        for (file, says) in [
            (json!({"crop_size": 256}), "256 x 256"),
            (json!({"do_center_crop": false}), "every shape"),
            (
                json!({"do_center_crop": false, "size": {"height": 200, "width": 224}}),
                "224 x 200",
            ),
            (json!({"image_std": [0.2, 0.0, 0.2]}), "image_std"),
            (json!({"resample": 17}), "resample"),
        ] {
            let error = recipe(&file).unwrap_err();
            assert!(error.message().contains(says), "{error}");
        }
    }
}
