//! Every kind of pixel becomes the RGB that Pillow's `convert("RGB")` makes of it, which the models were trained on.
//!
//! The pictures and Pillow's answers are in `pictures/`, written by `pictures/make.py`.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;

use lucida_core::{DecodeSize, Picture};
use lucida_picture::{DecodeOptions, decode};

/// What a JPEG decoder may differ by: each rounds its cosine transform in its own way.
const JPEG_TOLERANCE: u8 = 1;

/// As above, and a step of chroma is 1.8 steps of blue, which are rounded again.
const YCBCR_TOLERANCE: u8 = 3;

fn read(name: &str) -> Picture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/pictures")
        .join(name);
    let options = DecodeOptions {
        max_pixels: 1_000_000,
        accept_truncated: false,
        size: DecodeSize::FULL,
    };
    decode(&std::fs::read(path).unwrap(), &options).unwrap()
}

#[track_caller]
fn is_what_pillow_makes(name: &str, tolerance: u8) {
    let (stem, _) = name.split_once('.').unwrap();
    let (picture, expected) = (read(name), read(&format!("{stem}.expected.png")));
    assert_eq!(picture.pixels().dimensions(), expected.pixels().dimensions());
    let pairs = picture.pixels().iter().zip(expected.pixels().iter());
    let worst = pairs.map(|(left, right)| left.abs_diff(*right)).max().unwrap();
    assert!(worst <= tolerance, "{name} differs by up to {worst}");
}

#[test]
fn grey_is_spread() {
    is_what_pillow_makes("grey.png", 0);
    is_what_pillow_makes("grey_lossy.jpg", JPEG_TOLERANCE);
}

#[test]
fn alpha_is_dropped_and_not_blended() {
    for name in ["grey_alpha.png", "rgba.png", "rgba_lossless.webp"] {
        is_what_pillow_makes(name, 0);
    }
}

#[test]
fn a_palette_gives_its_colours_transparent_or_not() {
    for name in [
        "palette.png",
        "palette_one_transparent.png",
        "palette_alpha.png",
        "palette_transparent.gif",
    ] {
        is_what_pillow_makes(name, 0);
    }
}

#[test]
fn one_bit_is_black_and_white() {
    is_what_pillow_makes("one_bit.png", 0);
    is_what_pillow_makes("one_bit_fax.tif", 0);
}

#[test]
fn sixteen_bits_are_scaled_and_rounded() {
    for name in ["grey16.png", "grey_alpha16.png", "rgb16.png", "rgba16.png"] {
        is_what_pillow_makes(name, 0);
    }
}

#[test]
fn inks_become_colours_with_adobes_inversion_and_without() {
    for name in ["cmyk.jpg", "cmyk_plain.jpg", "ycck.jpg"] {
        is_what_pillow_makes(name, JPEG_TOLERANCE);
    }
}

#[test]
fn a_jpeg_of_any_build_gives_its_colours() {
    is_what_pillow_makes("rgb_untransformed.jpg", JPEG_TOLERANCE);
    is_what_pillow_makes("progressive.jpg", YCBCR_TOLERANCE);
    is_what_pillow_makes("half_colour.jpg", YCBCR_TOLERANCE);
}
