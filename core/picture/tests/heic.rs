//! HEIC: the pixels that Pillow with libheif gives, upright, and never more of them than are taken.
//!
//! The pictures and Pillow's answers are in `pictures/`, written by `pictures/make.py`.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};

use lucida_core::{DecodeSize, ImageFormat, Picture};
use lucida_picture::{DecodeOptions, decode, for_people, probe};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A conversion to RGB may be rounded at another step.
const TOLERANCE: u8 = 1;

/// Colours at half the resolution are interpolated here and repeated by libheif, which shows in a picture as small and
/// colourful as these; on photos of phones the mean is below 0.4. Swapped colours give 56 and more.
const HALF_COLOUR_MEAN_TOLERANCE: f64 = 8.0;

const OPTIONS: DecodeOptions = DecodeOptions {
    max_pixels: 1_000_000,
    accept_truncated: false,
    size: DecodeSize::FULL,
};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/pictures")
        .join(name)
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

/// Returns by how much each value differs from Pillow's.
#[track_caller]
fn differences(stem: &str) -> Vec<u8> {
    let picture = decode(&file(&format!("{stem}.heic")), &OPTIONS).unwrap();
    let expected = decode(&file(&format!("{stem}.expected.png")), &OPTIONS).unwrap();
    assert_eq!(
        picture.pixels().dimensions(),
        expected.pixels().dimensions(),
        "{stem}"
    );
    let pairs = picture.pixels().iter().zip(expected.pixels().iter());
    pairs.map(|(left, right)| left.abs_diff(*right)).collect()
}

#[track_caller]
fn is_what_pillow_makes(stem: &str) {
    let worst = differences(stem).into_iter().max().unwrap();
    assert!(worst <= TOLERANCE, "{stem} differs by up to {worst}");
}

#[test]
fn every_kind_of_pixel_becomes_what_pillow_makes_of_it() {
    for stem in ["heic", "heic_grey", "heic_alpha", "heic_tiny"] {
        is_what_pillow_makes(stem);
    }
    let half = differences("heic_half_colour");
    let count = f64::from(u32::try_from(half.len()).unwrap());
    let mean = half.into_iter().map(f64::from).sum::<f64>() / count;
    assert!(mean <= HALF_COLOUR_MEAN_TOLERANCE, "{mean}");
}

#[test]
fn every_orientation_comes_out_upright_and_is_turned_once() {
    for orientation in 2..=8 {
        is_what_pillow_makes(&format!("heic_turned_{orientation}"));
    }
}

#[test]
fn the_header_tells_the_size_as_seen() {
    let header = probe(&path("heic_turned_6.heic"), OPTIONS.max_pixels).unwrap();
    assert_eq!(header.format, ImageFormat::Heic);
    assert_eq!((header.width, header.height), (16, 24));
    assert!(header.complete);
}

#[test]
fn a_profile_counts_for_people_and_not_for_models() {
    let picture = decode(&file("heic_wide.heic"), &OPTIONS).unwrap();
    let [red, green, _] = picture.pixels().get_pixel(30, 30).0;
    assert!(red > 210 && green < 20, "as stored: {red}, {green}");
    let shown = for_people(&picture, 32, 32).unwrap();
    let [red, green, _] = shown.pixels().get_pixel(15, 15).0;
    assert!(
        red < 20 && green > 210,
        "the profile swaps red and green: {red}, {green}"
    );
}

#[test]
fn opacity_is_kept_for_people() {
    let picture = decode(&file("heic_alpha.heic"), &OPTIONS).unwrap();
    let (width, height) = (picture.width(), picture.height());
    let shown = for_people(&picture, width, height).unwrap();
    // The first pixels are all but transparent, the last ones opaque.
    assert!(shown.pixels().get_pixel(2, 0).0.iter().all(|value| *value > 245));
    let (x, y) = (width - 1, height - 1);
    let pairs = shown
        .pixels()
        .get_pixel(x, y)
        .0
        .into_iter()
        .zip(picture.pixels().get_pixel(x, y).0);
    assert!(
        pairs
            .into_iter()
            .all(|(shown, stored)| shown.abs_diff(stored) <= 8)
    );
}

#[test]
fn pixels_that_are_stored_but_not_seen_count() {
    // The encoder fills 17 x 3 pixels up to its smallest picture.
    let (seen, stored) = (17 * 3, 64 * 64);
    for (max_pixels, is_taken) in [
        (stored, true),
        (stored - 1, false),
        (seen, false),
        (seen - 1, false),
    ] {
        let options = DecodeOptions {
            max_pixels,
            ..OPTIONS
        };
        let code = decode(&file("heic_tiny.heic"), &options).map_err(|error| error.code());
        assert_eq!(code.is_ok(), is_taken, "{max_pixels}");
        assert!(is_taken || code.unwrap_err() == "too_many_pixels");
    }
}

#[test]
fn a_truncated_file_is_refused() {
    let whole = file("heic.heic");
    for keep in [40, whole.len() / 2, whole.len() - 3] {
        let error = decode(&whole[..keep], &OPTIONS).unwrap_err();
        assert_eq!(error.code(), "truncated_image", "cut at {keep}");
    }
}

#[test]
fn a_damaged_file_gives_a_picture_or_an_error() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let whole = file("heic_half_colour.heic");
    for _ in 0..300 {
        let mut damaged = whole.clone();
        for _ in 0..random.random_range(1..5) {
            let at = random.random_range(12..damaged.len());
            damaged[at] = random.random();
        }
        let options = DecodeOptions {
            accept_truncated: true,
            ..OPTIONS
        };
        if let Ok(picture) = decode(&damaged, &options).map(Picture::into_pixels) {
            assert!(u64::from(picture.width()) * u64::from(picture.height()) <= OPTIONS.max_pixels);
        }
    }
}
