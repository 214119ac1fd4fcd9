//! What people see of a picture: on white, in sRGB. What models see stays as it is stored.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage, Rgba, RgbaImage};
use lucida_core::{DecodeSize, Picture};
use lucida_picture::{DecodeOptions, decode, for_people};
use moxcms::ColorProfile;

const OPTIONS: DecodeOptions = DecodeOptions {
    max_pixels: 1_000_000,
    accept_truncated: false,
    size: DecodeSize::FULL,
};

/// What JPEG's rounding may move a colour by.
const TOLERANCE: u8 = 4;

/// A profile in which red is green and green is red: whoever ignores it shows wrong colours.
fn swapped() -> Vec<u8> {
    let mut profile = ColorProfile::new_srgb();
    profile.cicp = None;
    std::mem::swap(&mut profile.red_colorant, &mut profile.green_colorant);
    profile.encode().unwrap()
}

#[track_caller]
fn is_close(found: [u8; 3], expected: [u8; 3], what: &str) {
    let worst = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| found.abs_diff(expected))
        .max();
    assert!(
        worst.unwrap() <= TOLERANCE,
        "{what}: {found:?} and not {expected:?}"
    );
}

#[track_caller]
fn shows_swapped(file: &[u8], what: &str) {
    let picture = decode(file, &OPTIONS).unwrap();
    is_close(
        picture.pixels().get_pixel(3, 3).0,
        [220, 10, 10],
        &format!("{what}, to models"),
    );
    for (width, height) in [(16, 16), (8, 8)] {
        let shown = for_people(&picture, width, height).unwrap();
        is_close(
            shown.pixels().get_pixel(3, 3).0,
            [10, 220, 10],
            &format!("{what}, to people"),
        );
    }
}

#[test]
fn a_picture_with_a_profile_is_shown_in_srgb() {
    let red = RgbImage::from_pixel(16, 16, Rgb([220, 10, 10]));
    let mut png = Vec::new();
    let mut encoder = PngEncoder::new(&mut png);
    encoder.set_icc_profile(swapped()).unwrap();
    encoder
        .write_image(&red, 16, 16, ExtendedColorType::Rgb8)
        .unwrap();
    shows_swapped(&png, "PNG");
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 100);
    encoder.set_icc_profile(swapped()).unwrap();
    encoder
        .write_image(&red, 16, 16, ExtendedColorType::Rgb8)
        .unwrap();
    shows_swapped(&jpeg, "JPEG");
    let mut webp = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut webp);
    encoder.set_icc_profile(swapped()).unwrap();
    encoder
        .write_image(&red, 16, 16, ExtendedColorType::Rgb8)
        .unwrap();
    shows_swapped(&webp, "WebP");
}

#[test]
fn a_profile_of_srgb_changes_next_to_nothing_and_a_broken_one_nothing() {
    let picture = Picture::gradient(32, 32);
    for (profile, most) in [
        (ColorProfile::new_srgb().encode().unwrap(), 1),
        (b"no profile at all".to_vec(), 0),
        (vec![0; 200], 0),
    ] {
        let mut png = Vec::new();
        let mut encoder = PngEncoder::new(&mut png);
        encoder.set_icc_profile(profile).unwrap();
        encoder
            .write_image(picture.pixels(), 32, 32, ExtendedColorType::Rgb8)
            .unwrap();
        let decoded = decode(&png, &OPTIONS).unwrap();
        let shown = for_people(&decoded, 32, 32).unwrap();
        let pairs = shown.pixels().iter().zip(picture.pixels().iter());
        let worst = pairs.map(|(left, right)| left.abs_diff(*right)).max().unwrap();
        assert!(worst <= most, "{worst}");
    }
}

#[test]
fn black_letters_on_nothing_are_shown_on_white() {
    let letters = RgbaImage::from_fn(16, 16, |x, _| Rgba([0, 0, 0, if x < 8 { 255 } else { 0 }]));
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&letters, 16, 16, ExtendedColorType::Rgba8)
        .unwrap();
    let picture = decode(&png, &OPTIONS).unwrap();
    assert!(
        picture.pixels().pixels().all(|pixel| pixel.0 == [0; 3]),
        "models see black"
    );
    let shown = for_people(&picture, 16, 16).unwrap();
    assert_eq!(shown.pixels().get_pixel(2, 8).0, [0; 3]);
    assert_eq!(shown.pixels().get_pixel(13, 8).0, [255; 3]);
    let small = for_people(&picture, 4, 4).unwrap();
    assert!(small.pixels().get_pixel(3, 1).0[0] > 240);
}

#[test]
fn a_png_of_16_bits_with_small_values_is_not_black_to_people() {
    let colours = [[200_u16, 20, 20], [20, 200, 20], [20, 20, 200], [255, 255, 255]];
    for has_alpha in [false, true] {
        let samples: Vec<u8> = colours
            .iter()
            .flat_map(|colour| colour.iter().copied().chain(has_alpha.then_some(u16::MAX)))
            .flat_map(u16::to_ne_bytes)
            .collect();
        let kind = if has_alpha {
            ExtendedColorType::Rgba16
        } else {
            ExtendedColorType::Rgb16
        };
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(&samples, 2, 2, kind)
            .unwrap();
        let picture = decode(&png, &OPTIONS).unwrap();
        assert!(
            picture.pixels().iter().all(|value| *value <= 1),
            "as models see it"
        );
        let shown = for_people(&picture, 2, 2).unwrap();
        let shown: Vec<[u8; 3]> = shown.pixels().pixels().map(|pixel| pixel.0).collect();
        assert_eq!(shown, [[200, 20, 20], [20, 200, 20], [20, 20, 200], [255; 3]]);
    }
}

#[test]
fn half_transparent_is_half_white() {
    let glass = RgbaImage::from_pixel(4, 4, Rgba([200, 100, 0, 128]));
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&glass, 4, 4, ExtendedColorType::Rgba8)
        .unwrap();
    let picture = decode(&png, &OPTIONS).unwrap();
    let shown = for_people(&picture, 4, 4).unwrap();
    assert_eq!(shown.pixels().get_pixel(1, 1).0, [227, 177, 127]);
}
