//! Large JPEGs are decoded at a smaller scale: at the right one, to the same picture, and never from a damaged file.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;

use image::RgbImage;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use lucida_core::{DecodeSize, Picture};
use lucida_picture::{DecodeOptions, decode};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What a pixel may differ by from the mean of those that it stands for: the shorter transform leaves out the
/// frequencies that a mean only weakens, and chroma is not interpolated first.
const PIXEL_TOLERANCE: f64 = 12.0;

/// What all pixels may differ by on average; a scale, a shift or a wrong table gives 10 and more.
const MEAN_TOLERANCE: f64 = 2.5;

const FULL: DecodeOptions = DecodeOptions {
    max_pixels: 1_000_000,
    accept_truncated: false,
    size: DecodeSize::FULL,
};

fn at_least(short_side_pixels: u32) -> DecodeOptions {
    DecodeOptions {
        size: DecodeSize::short_side(short_side_pixels),
        ..FULL
    }
}

/// Soft waves of every colour, the same nowhere.
fn scene(width: u32, height: u32) -> RgbImage {
    let wave = |angle: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "28 to 228"
        )]
        let value = (128.0 + 100.0 * angle.sin()) as u8;
        value
    };
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        image::Rgb([
            wave(0.05 * x + 0.02 * y),
            wave(0.06 * y - 0.03 * x),
            wave(0.02 * x + 0.04 * y),
        ])
    })
}

fn encoded(
    pixels: &RgbImage,
    sampling: SamplingFactor,
    set: impl FnOnce(&mut Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 90);
    encoder.set_sampling_factor(sampling);
    set(&mut encoder);
    let side = |side: u32| u16::try_from(side).unwrap();
    encoder
        .encode(
            pixels,
            side(pixels.width()),
            side(pixels.height()),
            ColorType::Rgb,
        )
        .unwrap();
    file
}

fn plain(width: u32, height: u32) -> Vec<u8> {
    encoded(&scene(width, height), SamplingFactor::R_4_2_0, |_| {})
}

/// Compares with the means of the full picture's pixels; at the right and the lower edge there may be fewer.
#[track_caller]
fn is_the_same_at_a_scale(file: &[u8], divisor: u32, what: &str) {
    let full = decode(file, &FULL).unwrap();
    let short = full.width().min(full.height()).div_ceil(divisor);
    let small = decode(file, &at_least(short)).unwrap();
    let size = (full.width().div_ceil(divisor), full.height().div_ceil(divisor));
    assert_eq!(small.pixels().dimensions(), size, "{what}");
    let (mut sum, mut count) = (0.0, 0.0);
    for (x, y, pixel) in small.pixels().enumerate_pixels() {
        for colour in 0..3 {
            let expected = mean(&full, (x, y), divisor, colour);
            let difference = (f64::from(pixel[colour]) - expected).abs();
            assert!(
                difference <= PIXEL_TOLERANCE,
                "{what}: {difference} at {x}, {y}, colour {colour}"
            );
            sum += difference;
            count += 1.0;
        }
    }
    assert!(
        sum / count <= MEAN_TOLERANCE,
        "{what}: {} on average",
        sum / count
    );
}

fn mean(full: &Picture, (x, y): (u32, u32), divisor: u32, colour: usize) -> f64 {
    let across = x * divisor..((x + 1) * divisor).min(full.width());
    let down = y * divisor..((y + 1) * divisor).min(full.height());
    let count = f64::from((across.end - across.start) * (down.end - down.start));
    let values = down.flat_map(|y| across.clone().map(move |x| (x, y)));
    values
        .map(|(x, y)| f64::from(full.pixels().get_pixel(x, y)[colour]))
        .sum::<f64>()
        / count
}

#[test]
fn the_smallest_scale_that_is_large_enough_is_taken() {
    let file = plain(643, 481);
    for (short_side_pixels, expected) in [
        (1000, (643, 481)),
        (242, (643, 481)),
        (241, (322, 241)),
        (122, (322, 241)),
        (121, (161, 121)),
        (62, (161, 121)),
        (61, (81, 61)),
        (0, (81, 61)),
    ] {
        let picture = decode(&file, &at_least(short_side_pixels)).unwrap();
        assert_eq!(picture.pixels().dimensions(), expected, "{short_side_pixels}");
    }
}

#[test]
fn every_scale_shows_the_same_picture_whatever_the_sampling() {
    for (name, sampling) in [
        ("4:4:4", SamplingFactor::R_4_4_4),
        ("4:4:0", SamplingFactor::R_4_4_0),
        ("4:2:2", SamplingFactor::R_4_2_2),
        ("4:2:0", SamplingFactor::R_4_2_0),
    ] {
        for (width, height) in [(320, 240), (333, 251)] {
            let file = encoded(&scene(width, height), sampling, |_| {});
            for divisor in [2, 4, 8] {
                let what = format!("{name} {width} x {height} at 1/{divisor}");
                is_the_same_at_a_scale(&file, divisor, &what);
            }
        }
    }
}

#[test]
fn restarts_are_read() {
    let pixels = scene(333, 251);
    for interval in [1, 7, 21, 1000] {
        let file = encoded(&pixels, SamplingFactor::R_4_2_0, |encoder| {
            encoder.set_restart_interval(interval);
        });
        is_the_same_at_a_scale(&file, 4, &format!("restarts after {interval}"));
    }
}

#[test]
fn a_grey_jpeg_is_read() {
    let grey = image::imageops::grayscale(&scene(333, 251));
    let mut file = Vec::new();
    Encoder::new(&mut file, 90)
        .encode(&grey, 333, 251, ColorType::Luma)
        .unwrap();
    for divisor in [2, 4, 8] {
        is_the_same_at_a_scale(&file, divisor, &format!("grey at 1/{divisor}"));
    }
}

#[test]
fn a_jpeg_of_one_pixel_is_read() {
    let file = plain(1, 1);
    let picture = decode(&file, &at_least(1)).unwrap();
    assert_eq!(picture.pixels().dimensions(), (1, 1));
}

#[test]
fn other_kinds_are_decoded_in_full() {
    let scene = scene(320, 240);
    let progressive = encoded(&scene, SamplingFactor::R_4_2_0, |encoder| {
        encoder.set_progressive(true);
    });
    // This encoder gives each component a scan of its own then.
    let scans = encoded(&scene, SamplingFactor::R_4_2_0, |encoder| {
        encoder.set_optimized_huffman_tables(true);
    });
    // A quarter of the luma's resolution would take 16 pixels from a block of chroma.
    let coarse = encoded(&scene, SamplingFactor::R_4_1_1, |_| {});
    for file in [progressive, scans] {
        let full = decode(&file, &FULL).unwrap();
        assert_eq!(decode(&file, &at_least(60)).unwrap(), full);
    }
    let full = decode(&coarse, &FULL).unwrap();
    assert_eq!(decode(&coarse, &at_least(120)).unwrap(), full);
    for name in [
        "cmyk.jpg",
        "cmyk_plain.jpg",
        "ycck.jpg",
        "rgb_untransformed.jpg",
        "progressive.jpg",
        "rgba.png",
        "rgba_lossless.webp",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/pictures")
            .join(name);
        let file = std::fs::read(path).unwrap();
        let full = decode(&file, &FULL).unwrap();
        assert_eq!(decode(&file, &at_least(1)).unwrap(), full, "{name}");
    }
}

#[test]
fn orientation_is_applied_to_the_smaller_picture() {
    let turned = encoded(&scene(320, 240), SamplingFactor::R_4_2_0, |encoder| {
        let exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        encoder.add_exif_metadata(exif).unwrap();
    });
    let small = decode(&turned, &at_least(60)).unwrap();
    assert_eq!(small.pixels().dimensions(), (60, 80));
    let upright = decode(&plain(320, 240), &at_least(60)).unwrap();
    let rotated = image::imageops::rotate90(upright.pixels());
    assert_eq!(*small.pixels(), rotated);
}

#[test]
fn too_many_pixels_are_refused_at_any_scale() {
    let options = DecodeOptions {
        max_pixels: 320 * 240 - 1,
        ..at_least(10)
    };
    let error = decode(&plain(320, 240), &options).unwrap_err();
    assert_eq!(error.code(), "too_many_pixels");
}

#[test]
fn a_truncated_file_is_refused_or_decoded_in_full() {
    let file = plain(320, 240);
    let cut = &file[..file.len() * 2 / 3];
    assert_eq!(decode(cut, &at_least(60)).unwrap_err().code(), "truncated_image");
    let options = DecodeOptions {
        accept_truncated: true,
        ..at_least(60)
    };
    let expected = DecodeOptions {
        size: DecodeSize::FULL,
        ..options
    };
    assert_eq!(
        decode(cut, &options).unwrap(),
        decode(cut, &expected).unwrap(),
        "where a part is missing, only the full decoder knows what to do"
    );
}

#[test]
fn restarts_that_are_lost_or_out_of_order_leave_it_to_the_full_decoder() {
    let file = encoded(&scene(320, 240), SamplingFactor::R_4_2_0, |encoder| {
        encoder.set_restart_interval(20);
    });
    let second = file.windows(2).position(|bytes| bytes == [0xFF, 0xD1]).unwrap();
    let mut swapped = file.clone();
    swapped[second + 1] = 0xD5;
    let mut lost = file;
    lost.drain(second..second + 2);
    for damaged in [swapped, lost] {
        let full = decode(&damaged, &FULL).map(Picture::into_pixels);
        let small = decode(&damaged, &at_least(60)).map(Picture::into_pixels);
        assert_eq!(small.ok(), full.ok());
    }
}

#[test]
fn a_damaged_file_gives_a_picture_of_the_right_size_or_an_error() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let whole = [
        plain(160, 120),
        encoded(&scene(161, 119), SamplingFactor::R_4_2_2, |encoder| {
            encoder.set_restart_interval(3);
        }),
    ];
    for round in 0..400 {
        let mut file = whole[round % whole.len()].clone();
        // Half of the rounds damage the tables, which are short.
        let end = if round % 4 < 2 { file.len() } else { 700 };
        for _ in 0..random.random_range(1..5) {
            let at = random.random_range(2..end);
            file[at] = random.random();
        }
        let options = DecodeOptions {
            accept_truncated: round % 3 == 0,
            ..at_least(30)
        };
        if let Ok(picture) = decode(&file, &options) {
            assert!(u64::from(picture.width()) * u64::from(picture.height()) <= options.max_pixels);
        }
    }
}
