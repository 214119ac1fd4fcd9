//! How a model wants its pictures: transformers' `preprocessor_config.json`.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{broken, missing, read_json, unsupported};
use crate::error::Result;
use crate::picture::{Picture, Region, ResizeFilter, resize};

/// A picture as a model sees it, before it is normalised: `(size, size, 3)` u8, 0 to 255. Four times smaller than the
/// floats that it becomes, since many of them may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels(Vec<u8>);

/// From a picture to the numbers of a model's input.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRecipe {
    size_pixels: u32,
    mean: [f32; 3],
    /// What is left after the mean is divided by it.
    deviation: [f32; 3],
}

#[derive(Deserialize)]
struct RecipeFile {
    #[serde(default = "yes")]
    do_resize: bool,
    size: Option<Value>,
    #[serde(default = "bicubic")]
    resample: u8,
    #[serde(default = "yes")]
    do_center_crop: bool,
    crop_size: Option<Value>,
    #[serde(default = "yes")]
    do_rescale: bool,
    #[serde(default = "rescale")]
    rescale_factor: f64,
    #[serde(default = "yes")]
    do_normalize: bool,
    #[serde(default = "clip_mean")]
    image_mean: [f32; 3],
    #[serde(default = "clip_deviation")]
    image_std: [f32; 3],
}

const fn yes() -> bool {
    true
}
const fn bicubic() -> u8 {
    3
}
const fn rescale() -> f64 {
    1.0 / 255.0
}
const fn clip_mean() -> [f32; 3] {
    [0.481_454_66, 0.457_827_5, 0.408_210_73]
}
const fn clip_deviation() -> [f32; 3] {
    [0.268_629_54, 0.261_302_6, 0.275_777_1]
}

impl ImageRecipe {
    /// Reads `preprocessor_config.json`, else the image's part of `processor_config.json`.
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
        Self::of(&path, &file, image_size)
    }

    fn of(path: &Path, file: &RecipeFile, image_size: usize) -> Result<Self> {
        let _ = (
            &file.size,
            &file.crop_size,
            file.resample,
            file.do_resize,
            file.do_center_crop,
        );
        if !file.do_rescale || !file.do_normalize || file.rescale_factor <= 0.0 {
            return Err(unsupported(path, "does not scale or normalise its pictures"));
        }
        let size_pixels = u32::try_from(image_size).map_err(|_| broken(path, "has a size that can't be"))?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a factor of a picture's values fits f32"
        )]
        let scale = (1.0 / file.rescale_factor) as f32;
        Ok(Self {
            size_pixels,
            mean: file.image_mean.map(|mean| mean * scale),
            deviation: file.image_std.map(|deviation| deviation * scale),
        })
    }

    /// Returns the side of the model's square input.
    #[must_use]
    pub const fn size_pixels(&self) -> u32 {
        self.size_pixels
    }

    /// Returns the short side in pixels from which a picture may be decoded at a smaller scale without harm.
    #[must_use]
    pub const fn decode_short_side_pixels(&self) -> Option<u32> {
        Some(self.size_pixels * 2)
    }

    /// Resizes and crops a picture; computes, so not on an async thread.
    ///
    /// # Errors
    /// `InvalidInput` for a picture that can't be resized.
    pub fn prepare(&self, picture: &Picture) -> Result<Pixels> {
        let region = Region::centre_crop(picture, self.size_pixels, self.size_pixels);
        let resized = resize(
            picture,
            region,
            self.size_pixels,
            self.size_pixels,
            ResizeFilter::Bicubic,
        )?;
        Ok(Pixels(resized.into_pixels().into_raw()))
    }

    /// Writes `(size, size, 3)` u8 as `(3, size, size)` f32, `(value - mean) / deviation`, into `planes`.
    pub fn planes(&self, pixels: &Pixels, planes: &mut [f32]) {
        let count = pixels.0.len() / 3;
        for (channel, plane) in planes.chunks_exact_mut(count).take(3).enumerate() {
            let (mean, deviation) = (self.mean[channel], self.deviation[channel]);
            for (value, pixel) in plane.iter_mut().zip(pixels.0.chunks_exact(3)) {
                *value = (f32::from(pixel[channel]) - mean) / deviation;
            }
        }
    }
}
