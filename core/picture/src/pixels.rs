//! Turns what a decoder made upright, and makes of it what people should see.

use std::borrow::Cow;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage};
use lucida_core::{ColourProfile, Layers, Picture, Result};

use crate::canvas::Decoded;
use crate::profile::to_srgb;
use crate::resize::{Region, ResizeFilter, resize};

/// Turns what a decoder made upright; `orientation` is 1 to 8 as EXIF counts.
///
/// # Errors
/// `InvalidInput` (`corrupt_image`) for a picture without pixels.
pub(crate) fn upright(
    decoded: Decoded,
    orientation: Option<u8>,
    profile: Option<ColourProfile>,
) -> Result<Picture> {
    let Decoded {
        pixels,
        alpha,
        brightened,
    } = decoded;
    let orientation = orientation.and_then(Orientation::from_exif);
    let turn = |mut image: DynamicImage| {
        if let Some(orientation) = orientation {
            image.apply_orientation(orientation);
        }
        image
    };
    let turn_grey = |grey: GrayImage| turn(DynamicImage::ImageLuma8(grey)).into_luma8();
    Picture::from_layers(Layers {
        pixels: turn(DynamicImage::ImageRgb8(pixels)).into_rgb8(),
        alpha: alpha.map(turn_grey),
        brightened: brightened.map(|colours| turn(DynamicImage::ImageRgb8(colours)).into_rgb8()),
        profile,
    })
}

/// Returns the picture as people should see it, no larger than `width` × `height`: on white where it is
/// transparent, in sRGB whatever its profile is, and brightened where more than 8 bits are all but black. Computes.
///
/// # Errors
/// `InvalidInput` for a size without pixels.
pub fn for_people(picture: &Picture, width: u32, height: u32) -> Result<Cow<'_, Picture>> {
    let mut shown = on_white(picture)?;
    if (width, height) != (picture.width(), picture.height()) {
        let region = Region::whole(&shown);
        shown = Cow::Owned(resize(&shown, region, width, height, ResizeFilter::Lanczos)?);
    }
    let Some(profile) = picture.profile() else {
        return Ok(shown);
    };
    let mut pixels = shown.into_owned().into_pixels();
    to_srgb(profile, &mut pixels);
    Ok(Cow::Owned(Picture::new(pixels)?))
}

/// Returns the picture on white, brightened.
fn on_white(picture: &Picture) -> Result<Cow<'_, Picture>> {
    if picture.alpha().is_none() && picture.brightened().is_none() {
        return Ok(Cow::Borrowed(picture));
    }
    let mut pixels = picture.brightened().unwrap_or(picture.pixels()).clone();
    if let Some(alpha) = picture.alpha() {
        for (pixel, &alpha) in pixels.as_chunks_mut::<3>().0.iter_mut().zip(alpha.as_raw()) {
            let (opaque, clear) = (u32::from(alpha), 255 - u32::from(alpha));
            for value in pixel {
                *value = ((u32::from(*value) * opaque + 255 * clear + 127) / 255) as u8;
            }
        }
    }
    Ok(Cow::Owned(Picture::new(pixels)?))
}
