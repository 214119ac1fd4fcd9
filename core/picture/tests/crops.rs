//! What a model sees of a picture is what transformers' `CLIPImageProcessor` with Pillow makes of it.
//!
//! The expected pixels are in `crops/`, written by `crops/make.py`.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;

use image::RgbImage;
use lucida_core::Picture;
use lucida_picture::{CropRecipe, CropSize, ResizeFilter, ResizeTo};

const CLIP: CropRecipe = CropRecipe {
    resize: Some(ResizeTo::ShortSide(32)),
    filter: ResizeFilter::Bicubic,
    crop: Some(CropSize {
        width: 32,
        height: 32,
    }),
};

/// Pillow's weights have 22 bits, here they have up to 15: some values are rounded the other way, up as often as down.
const MOST_OFF_BY_ONE: f64 = 0.02;
const MEAN_TOLERANCE: f64 = 0.01;

/// The same picture as `picture` in `crops/make.py`.
fn picture(width: u32, height: u32) -> Picture {
    let value = |x: u32, y: u32, c: u32| {
        let (x, y, c) = (u64::from(x), u64::from(y), u64::from(c));
        let noise = (x * 7919 + y * 104_729 + c * 1_299_709) * 2_654_435_761 % 4_294_967_296 / 16_777_216;
        let ramp = (x * 3 + y * 5 + c * 80) % 256;
        let edge = if (x / 9 + y / 7 + c).is_multiple_of(3) {
            255
        } else {
            0
        };
        u8::try_from((noise + ramp + 2 * edge) / 4).unwrap()
    };
    let pixel = |x, y| image::Rgb([0, 1, 2].map(|c| value(x, y, c)));
    Picture::new(RgbImage::from_fn(width, height, pixel)).unwrap()
}

#[track_caller]
fn is_what_transformers_sees(recipe: CropRecipe, name: &str, width: u32, height: u32) {
    let file = format!("tests/crops/{name}_{width}x{height}.png");
    let expected = image::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file))
        .unwrap()
        .into_rgb8();
    let seen = recipe.apply(&picture(width, height)).unwrap().into_pixels();
    assert_eq!(seen.dimensions(), expected.dimensions(), "{file}");
    let pairs = seen.iter().zip(expected.iter());
    let steps: Vec<i16> = pairs
        .map(|(&left, &right)| i16::from(left) - i16::from(right))
        .collect();
    assert!(
        steps.iter().all(|step| step.abs() <= 1),
        "{file} differs by more than 1"
    );
    let mean = |steps: &mut dyn Iterator<Item = i16>| {
        let sum: f64 = steps.map(f64::from).sum();
        sum / f64::from(seen.width() * seen.height() * 3)
    };
    let (drift, share) = (
        mean(&mut steps.iter().copied()),
        mean(&mut steps.iter().map(|step| step.abs())),
    );
    assert!(share <= MOST_OFF_BY_ONE, "{file}: {share} of the values differ");
    assert!(
        drift.abs() <= MEAN_TOLERANCE,
        "{file} differs by {drift} on average"
    );
}

#[test]
fn clips_crop_is_the_same_for_every_shape() {
    for (width, height) in [
        (211, 160),
        (160, 211),
        (57, 43),
        (400, 20),
        (21, 401),
        (1, 1),
        (3, 2),
        (25, 20),
        (32, 32),
        (33, 32),
        (64, 97),
    ] {
        is_what_transformers_sees(CLIP, "clip", width, height);
    }
}

#[test]
fn the_other_filters_are_pillows_too() {
    for (name, filter) in [
        ("bilinear", ResizeFilter::Bilinear),
        ("lanczos", ResizeFilter::Lanczos),
    ] {
        is_what_transformers_sees(CropRecipe { filter, ..CLIP }, name, 211, 160);
    }
}

#[test]
fn an_exact_size_squashes() {
    let recipe = CropRecipe {
        resize: Some(ResizeTo::Exact {
            width: 40,
            height: 24,
        }),
        crop: None,
        ..CLIP
    };
    is_what_transformers_sees(recipe, "squash", 211, 160);
}

#[test]
fn a_crop_larger_than_the_picture_is_filled_with_black() {
    let recipe = CropRecipe {
        resize: Some(ResizeTo::ShortSide(20)),
        crop: Some(CropSize {
            width: 32,
            height: 33,
        }),
        ..CLIP
    };
    is_what_transformers_sees(recipe, "padded", 211, 160);
    is_what_transformers_sees(recipe, "padded", 40, 77);
}

#[test]
fn without_a_crop_the_whole_picture_is_seen() {
    is_what_transformers_sees(CropRecipe { crop: None, ..CLIP }, "uncropped", 211, 160);
}
