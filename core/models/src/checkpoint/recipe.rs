//! How a model wants its pictures: transformers' `preprocessor_config.json`, and OpenCLIP's `preprocess_cfg`.

use std::fmt;
use std::path::Path;

use lucida_core::{DecodeSize, Picture, Result};
use lucida_picture::{Centring, CropRecipe, CropSize, Normaliser, ResizeFilter, ResizeTo};
use serde::Deserialize;
use serde_json::Value;

use super::immich::square_side;
use super::openclip::{Preprocessing, clip_mean, clip_std};
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
    centring: Centring,
    size_pixels: u32,
    normaliser: Normaliser,
}

/// Whose values a file has where it leaves some out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usual {
    /// `CLIPImageProcessor`: the short side, bicubic, the centre.
    Clip,
    /// `SiglipImageProcessor`: both sides, bicubic, all of it.
    Siglip,
}

/// The file. A key that is left out and one that is null are the same.
#[derive(Deserialize)]
struct RecipeFile {
    do_resize: Option<bool>,
    size: Option<Size>,
    resample: Option<u32>,
    do_center_crop: Option<bool>,
    crop_size: Option<Size>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

/// A size by its number alone, as older files have it, or by the names of its sides.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Number(u32),
    ShortSide { shortest_edge: u32 },
    Sides { height: u32, width: u32 },
}

/// Pillow's number of the bicubic filter.
const BICUBIC: u32 = 3;

/// From a byte to the unit interval.
const RESCALE_FACTOR: f64 = 1.0 / 255.0;

impl ImageRecipe {
    /// Reads `preprocessor_config.json`, else the image's part of `processor_config.json`, for a model whose input has
    /// sides of `image_size`, or of whatever the file says.
    ///
    /// # Errors
    /// `Unavailable` when both are missing; `Internal`, naming the file, for values that can't be, or that make pictures
    /// of another size than the model takes; `Unsupported` for a filter that is not read.
    pub(super) fn read(folder: &Path, image_size: Option<usize>, usual: Usual) -> Result<Self> {
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
        let image_size = match image_size {
            Some(size) => size,
            None => file
                .side(usual)
                .and_then(|side| usize::try_from(side).ok())
                .ok_or_else(|| broken(&path, "doesn't say how large the model's pictures are"))?,
        };
        file.recipe(&path, image_size, usual)
    }

    /// Reads the `preprocessor_config.json` of a `JinaCLIPImageProcessor`, whose keys and transforms are OpenCLIP's.
    ///
    /// # Errors
    /// Those of [`ImageRecipe::read`].
    pub(super) fn read_jina_clip(folder: &Path, image_size: usize) -> Result<Self> {
        let path = folder.join("preprocessor_config.json");
        if !path.is_file() {
            return Err(missing(&path, "what the model does to a picture"));
        }
        let value: Value = read_json(&path)?;
        let side = square_side(&path, &value)?;
        if side != image_size {
            let problem =
                format!("makes pictures of {side} x {side}, and the model takes {image_size} x {image_size}");
            return Err(broken(&path, &problem));
        }
        let preprocessing = serde_json::from_value(value)
            .map_err(|error| broken(&path, "has a value that can't be").with_source(error))?;
        Self::of_open_clip(&path, &preprocessing, image_size)
    }

    /// Makes the recipe of an OpenCLIP model, whose file is `path`.
    ///
    /// # Errors
    /// `Unsupported`, naming the key, for a way to resize or a filter that isn't read; `Internal` for a value that can't be.
    pub(super) fn of_open_clip(
        path: &Path,
        preprocessing: &Preprocessing,
        image_size: usize,
    ) -> Result<Self> {
        let side = u32::try_from(image_size).map_err(|_| broken(path, "has a size that can't be"))?;
        let filter = match preprocessing.interpolation.as_str() {
            "bilinear" => ResizeFilter::Bilinear,
            // What it does when it doesn't train.
            "bicubic" | "random" => ResizeFilter::Bicubic,
            other => {
                return Err(unsupported(
                    path,
                    &format!("has the interpolation `{other}`; these are read: bicubic, bilinear"),
                ));
            }
        };
        let square = Some(CropSize {
            width: side,
            height: side,
        });
        let (resize, crop) = match preprocessing.resize_mode.as_str() {
            "shortest" => (ResizeTo::ShortSide(side), square),
            "longest" => {
                let grey = &preprocessing.fill_color;
                let fill = if grey.is_null() {
                    Some(0)
                } else {
                    grey.as_u64().and_then(|grey| u8::try_from(grey).ok())
                };
                let fill =
                    fill.ok_or_else(|| broken(path, "has a `fill_color` that is not a grey from 0 to 255"))?;
                (ResizeTo::LongSide { side, fill }, square)
            }
            "squash" => (
                ResizeTo::Exact {
                    width: side,
                    height: side,
                },
                None,
            ),
            other => {
                return Err(unsupported(
                    path,
                    &format!("has the resize mode `{other}`; these are read: shortest, longest, squash"),
                ));
            }
        };
        if preprocessing.std.contains(&0.0) {
            return Err(broken(path, "has a `std` of 0"));
        }
        Ok(Self {
            crop: CropRecipe {
                resize: Some(resize),
                filter,
                crop,
            },
            centring: Centring::HalfToEven,
            size_pixels: side,
            normaliser: Normaliser::new(RESCALE_FACTOR, preprocessing.mean, preprocessing.std),
        })
    }

    /// Cuts the odd pixel of a crop off where Immich's machine learning does, which rounds the offset down (`crop_pil` in
    /// `machine-learning/immich_ml/models/transforms.py` of Immich 1.132 to 3): vectors that Immich has stored stay comparable.
    pub(super) fn cropped_as_by_immich(self) -> Self {
        Self {
            centring: Centring::Down,
            ..self
        }
    }

    /// Returns the side of the model's square input.
    #[must_use]
    pub const fn size_pixels(&self) -> u32 {
        self.size_pixels
    }

    /// Returns the size of picture that is enough.
    #[must_use]
    pub fn decode_size(&self) -> DecodeSize {
        self.crop.decode_size()
    }

    /// Resizes and crops a picture; computes, so not on an async thread.
    ///
    /// # Errors
    /// `InvalidInput` for a picture too long to be resized.
    pub fn prepare(&self, picture: &Picture) -> Result<Pixels> {
        let seen = self.crop.apply_centred(picture, self.centring)?;
        Ok(Pixels(seen.into_pixels().into_raw()))
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
        write!(f, "{:?} {:?}", self.crop, self.normaliser)?;
        match self.centring {
            Centring::Down => Ok(()),
            centring @ Centring::HalfToEven => write!(f, " {centring:?}"),
        }
    }
}

impl RecipeFile {
    /// Returns the side of what the recipe makes, where it says so.
    fn side(&self, usual: Usual) -> Option<u32> {
        let crops = self.do_center_crop.unwrap_or(usual == Usual::Clip);
        let size = if crops { self.crop_size } else { self.size };
        match size? {
            Size::Number(side) => Some(side),
            Size::ShortSide { shortest_edge } => crops.then_some(shortest_edge),
            Size::Sides { height, .. } => Some(height),
        }
    }

    fn recipe(&self, path: &Path, image_size: usize, usual_values: Usual) -> Result<ImageRecipe> {
        let (do_resize, do_rescale, do_normalize) = (
            self.do_resize.unwrap_or(true),
            self.do_rescale.unwrap_or(true),
            self.do_normalize.unwrap_or(true),
        );
        let is_clip = usual_values == Usual::Clip;
        let do_center_crop = self.do_center_crop.unwrap_or(is_clip);
        let (image_mean, image_std) = if is_clip {
            (clip_mean(), clip_std())
        } else {
            ([0.5; 3], [0.5; 3])
        };
        let (image_mean, image_std) = (
            self.image_mean.unwrap_or(image_mean),
            self.image_std.unwrap_or(image_std),
        );
        let resize = self.size.filter(|_| do_resize).map(|size| match size {
            Size::Number(side) | Size::ShortSide { shortest_edge: side } => ResizeTo::ShortSide(side),
            Size::Sides { height, width } => ResizeTo::Exact { width, height },
        });
        let crop = self.crop_size.filter(|_| do_center_crop).map(|size| match size {
            Size::Number(side) | Size::ShortSide { shortest_edge: side } => (side, side),
            Size::Sides { height, width } => (width, height),
        });
        let usual = u32::try_from(image_size).map_err(|_| broken(path, "has a size that can't be"))?;
        let resize = if do_resize && resize.is_none() {
            Some(if is_clip {
                ResizeTo::ShortSide(usual)
            } else {
                ResizeTo::Exact {
                    width: usual,
                    height: usual,
                }
            })
        } else {
            resize
        };
        let crop = if do_center_crop {
            crop.or(Some((usual, usual)))
        } else {
            None
        };
        let made = crop.or(match resize {
            Some(ResizeTo::Exact { width, height }) => Some((width, height)),
            Some(ResizeTo::ShortSide(_) | ResizeTo::LongSide { .. }) | None => None,
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
        if image_std.contains(&0.0) {
            return Err(broken(path, "has an `image_std` of 0"));
        }
        let factor = if do_rescale {
            self.rescale_factor.unwrap_or(RESCALE_FACTOR)
        } else {
            1.0
        };
        let (mean, std) = if do_normalize {
            (image_mean, image_std)
        } else {
            ([0.0; 3], [1.0; 3])
        };
        Ok(ImageRecipe {
            centring: Centring::Down,
            crop: CropRecipe {
                resize,
                filter: ResizeFilter::from_pillow(self.resample.unwrap_or(BICUBIC)).map_err(|error| {
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
            .recipe(Path::new("preprocessor_config.json"), 224, Usual::Clip)
    }

    #[test]
    fn a_siglip_takes_the_whole_picture_whatever_its_shape() {
        let recipe = |file: Value| {
            serde_json::from_value::<RecipeFile>(file)
                .unwrap()
                .recipe(Path::new("preprocessor_config.json"), 224, Usual::Siglip)
                .unwrap()
        };
        let usual = recipe(json!({}));
        let whole = Some(ResizeTo::Exact {
            width: 224,
            height: 224,
        });
        assert_eq!((usual.crop.resize, usual.crop.crop), (whole, None));
        assert_eq!(usual.crop.filter, ResizeFilter::Bicubic);
        let second =
            recipe(json!({"resample": 2, "size": {"height": 224, "width": 224}, "do_center_crop": null}));
        assert_eq!(second.crop.filter, ResizeFilter::Bilinear);
        let mut planes = [0.0; 3 * 224 * 224];
        let white = Pixels(vec![255; 3 * 224 * 224]);
        usual.planes(&white, &mut planes);
        assert!(planes.iter().all(|number| (number - 1.0).abs() < 1e-6));
    }

    #[test]
    fn a_way_to_resize_that_open_clip_has_and_is_not_read_is_named() {
        let recipe = |mode: &str, interpolation: &str| {
            let preprocessing = Preprocessing {
                resize_mode: mode.to_owned(),
                interpolation: interpolation.to_owned(),
                ..Preprocessing::default()
            };
            ImageRecipe::of_open_clip(Path::new("open_clip_config.json"), &preprocessing, 224)
        };
        let usual = recipe("shortest", "bicubic").unwrap();
        assert_eq!(usual.crop, self::recipe(&json!({})).unwrap().crop);
        assert_eq!(usual.centring, Centring::HalfToEven);
        assert_eq!(usual.cropped_as_by_immich().centring, Centring::Down);
        let squashed = recipe("squash", "bilinear").unwrap();
        assert_eq!(squashed.crop.crop, None);
        for (mode, interpolation) in [("naflex", "bicubic"), ("shortest", "lanczos")] {
            let error = recipe(mode, interpolation).unwrap_err();
            let named = if mode == "naflex" { mode } else { interpolation };
            assert!(error.message().contains(named), "{error}");
        }
    }

    #[test]
    fn an_open_clip_by_the_long_side_fills_the_rest_with_its_grey() {
        let read = |settings: Value| {
            let preprocessing: Preprocessing = serde_json::from_value(settings).unwrap();
            ImageRecipe::of_open_clip(Path::new("open_clip_config.json"), &preprocessing, 224)
        };
        for (fill_color, fill) in [(json!(null), 0), (json!(0), 0), (json!(128), 128)] {
            let recipe = read(json!({"resize_mode": "longest", "fill_color": fill_color})).unwrap();
            assert_eq!(recipe.crop.resize, Some(ResizeTo::LongSide { side: 224, fill }));
            let pixels = recipe.prepare(&Picture::gradient(200, 100)).unwrap();
            assert_eq!(pixels.as_bytes().len(), 3 * 224 * 224);
            assert_eq!(pixels.as_bytes()[..3], [fill; 3]);
        }
        let error = read(json!({"resize_mode": "longest", "fill_color": 300})).unwrap_err();
        assert!(error.message().contains("`fill_color`"), "{error}");
        // Of no use to the other ways.
        assert!(read(json!({"resize_mode": "squash", "fill_color": [0, 0, 0]})).is_ok());
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
