//! What previews look like, and what a config file may say.

#![expect(
    clippy::unwrap_used,
    reason = "what can't be made or read fails its test by panicking"
)]

use std::sync::Arc;

use image::{Rgb, RgbImage};
use lucida_core::{BuildContext, DecodeSize, EnrichInput, Enrichment, ErrorKind, Factory, Picture, Plugin};
use lucida_plugin_thumbnail::{ThumbnailConfig, ThumbnailPlugin};
use lucida_testkit::{Fixture, photo, picture, user};
use serde_json::json;

async fn fixture() -> Fixture<dyn Plugin> {
    Fixture::new(ThumbnailPlugin::default())
}

lucida_testkit::plugin_contract!(fixture);

async fn enrich(config: ThumbnailConfig, picture: Arc<Picture>) -> Enrichment {
    let input = EnrichInput {
        photo: photo(&user("alice")),
        picture,
        original: bytes::Bytes::new(),
    };
    ThumbnailPlugin::new(config).enrich(&input).await.unwrap()
}

fn sizes(sizes_pixels: &[u32]) -> ThumbnailConfig {
    ThumbnailConfig {
        sizes_pixels: sizes_pixels.to_vec(),
        ..ThumbnailConfig::default()
    }
}

/// Decodes a preview, checking that it is what it says.
fn decoded(enrichment: &Enrichment, name: &str) -> RgbImage {
    let blob = &enrichment.blobs[name];
    assert_eq!(blob.content_type, "image/jpeg");
    let decoded = image::load_from_memory_with_format(&blob.bytes, image::ImageFormat::Jpeg).unwrap();
    decoded.into_rgb8()
}

#[tokio::test]
async fn a_black_letter_on_nothing_is_shown_on_white() {
    let letter = image::RgbaImage::from_fn(400, 400, |x, _| {
        image::Rgba([0, 0, 0, if x < 200 { 255 } else { 0 }])
    });
    let mut file = std::io::Cursor::new(Vec::new());
    letter.write_to(&mut file, image::ImageFormat::Png).unwrap();
    let options = lucida_picture::DecodeOptions {
        max_pixels: 1_000_000,
        accept_truncated: false,
        size: DecodeSize::FULL,
    };
    let picture = lucida_picture::decode(file.get_ref(), &options).unwrap();
    let made = enrich(sizes(&[400, 100]), Arc::new(picture)).await;
    for (name, side) in [("400.jpg", 400), ("100.jpg", 100)] {
        let preview = decoded(&made, name);
        assert!(
            preview.get_pixel(side / 4, 50).0.iter().all(|value| *value < 10),
            "{name}"
        );
        assert!(
            preview
                .get_pixel(side * 3 / 4, 50)
                .0
                .iter()
                .all(|value| *value > 245),
            "{name}"
        );
    }
}

#[tokio::test]
async fn each_size_is_a_jpeg_whose_long_side_it_is() {
    let wide = enrich(sizes(&[100, 320, 640]), picture(1600, 1200, [30, 60, 200])).await;
    let names: Vec<_> = wide.blobs.keys().map(String::as_str).collect();
    assert_eq!(names, ["100.jpg", "320.jpg", "640.jpg"]);
    for (name, dimensions) in [
        ("100.jpg", (100, 75)),
        ("320.jpg", (320, 240)),
        ("640.jpg", (640, 480)),
    ] {
        assert_eq!(decoded(&wide, name).dimensions(), dimensions);
    }
    assert!(wide.attributes.is_none() && wide.tags.is_empty() && wide.taken_at.is_none());
    let tall = enrich(sizes(&[320]), picture(1000, 3000, [30, 60, 200])).await;
    assert_eq!(decoded(&tall, "320.jpg").dimensions(), (107, 320));
}

#[tokio::test]
async fn a_preview_is_never_larger_than_the_photo() {
    let small = enrich(sizes(&[100, 320, 1280]), picture(200, 150, [200, 60, 30])).await;
    assert_eq!(decoded(&small, "100.jpg").dimensions(), (100, 75));
    assert_eq!(decoded(&small, "320.jpg").dimensions(), (200, 150));
    assert_eq!(small.blobs["320.jpg"], small.blobs["1280.jpg"]);
    let exact = enrich(sizes(&[320]), picture(320, 10, [200, 60, 30])).await;
    assert_eq!(decoded(&exact, "320.jpg").dimensions(), (320, 10));
}

#[tokio::test]
async fn the_thinnest_photo_keeps_a_pixel_of_width() {
    for (width, height, expected) in [
        (1, 5000, (1, 64)),
        (5000, 1, (64, 1)),
        (1, 1, (1, 1)),
        (65, 65, (64, 64)),
    ] {
        let thin = enrich(sizes(&[64]), picture(width, height, [10, 200, 10])).await;
        assert_eq!(decoded(&thin, "64.jpg").dimensions(), expected);
    }
}

/// JPEG changes colours a little.
const COLOUR_TOLERANCE: u8 = 12;

fn assert_colour(preview: &RgbImage, x: u32, y: u32, expected: [u8; 3]) {
    let got = preview.get_pixel(x, y).0;
    let is_near = got
        .iter()
        .zip(expected)
        .all(|(got, expected)| got.abs_diff(expected) <= COLOUR_TOLERANCE);
    assert!(is_near, "{got:?} at {x},{y} is not {expected:?}");
}

#[tokio::test]
async fn every_preview_shows_the_whole_photo_upright() {
    let corners = [[220, 20, 20], [20, 200, 20], [20, 20, 220], [230, 230, 230]];
    let pixels = RgbImage::from_fn(900, 600, |x, y| {
        Rgb(corners[usize::from(x >= 450) + 2 * usize::from(y >= 300)])
    });
    let picture = Arc::new(Picture::new(pixels).unwrap());
    let made = enrich(sizes(&[60, 300, 1200]), picture).await;
    for name in ["60.jpg", "300.jpg", "1200.jpg"] {
        let preview = decoded(&made, name);
        let (width, height) = preview.dimensions();
        let (left, right, top, bottom) = (width / 4, width * 3 / 4, height / 4, height * 3 / 4);
        for (at, (x, y)) in [(left, top), (right, top), (left, bottom), (right, bottom)]
            .into_iter()
            .enumerate()
        {
            assert_colour(&preview, x, y, corners[at]);
        }
    }
}

#[tokio::test]
async fn fine_detail_is_averaged_and_not_skipped() {
    // A fine checkerboard is grey from afar; a filter that skips pixels would show black or white.
    let pixels = RgbImage::from_fn(
        1024,
        1024,
        |x, y| Rgb([if (x + y) % 2 == 0 { 0 } else { 254 }; 3]),
    );
    let picture = Arc::new(Picture::new(pixels).unwrap());
    let made = enrich(sizes(&[64, 256]), picture).await;
    for name in ["64.jpg", "256.jpg"] {
        let preview = decoded(&made, name);
        for at in [5, 20, 31, 50] {
            assert_colour(&preview, at, at, [127; 3]);
        }
    }
}

#[tokio::test]
async fn a_higher_quality_keeps_more() {
    let gradient = Arc::new(Picture::gradient(700, 500));
    let quality = |quality| ThumbnailConfig {
        quality,
        ..sizes(&[512])
    };
    let low = enrich(quality(30), Arc::clone(&gradient)).await;
    let high = enrich(quality(95), gradient).await;
    let bytes = |made: &Enrichment| made.blobs["512.jpg"].bytes.len();
    assert!(
        bytes(&low) < bytes(&high),
        "{} is not below {}",
        bytes(&low),
        bytes(&high)
    );
}

fn check(settings: &serde_json::Value) -> lucida_core::Result<()> {
    let factory = lucida_plugin_thumbnail::factory();
    Factory::<dyn Plugin>::check(&factory, settings)
}

#[tokio::test]
async fn every_setting_has_a_default() {
    let factory = lucida_plugin_thumbnail::factory();
    assert_eq!(factory.type_name(), "thumbnail");
    let plugin: Arc<dyn Plugin> = factory
        .build(&json!({}), &BuildContext::from_env())
        .await
        .unwrap();
    assert_eq!(plugin.name(), "thumbnail");
    let input = EnrichInput {
        photo: photo(&user("alice")),
        picture: picture(2000, 1000, [1, 2, 3]),
        original: bytes::Bytes::new(),
    };
    let made = plugin.enrich(&input).await.unwrap();
    assert_eq!(decoded(&made, "320.jpg").dimensions(), (320, 160));
    assert_eq!(decoded(&made, "1280.jpg").dimensions(), (1280, 640));
}

#[test]
fn settings_that_make_no_sense_are_refused_by_path() {
    for (settings, path) in [
        (json!({"sizes_pixels": []}), "sizes_pixels"),
        (json!({"sizes_pixels": [320, 4]}), "sizes_pixels[1]"),
        (json!({"sizes_pixels": [100_000]}), "sizes_pixels[0]"),
        (json!({"sizes_pixels": [320, 640, 320]}), "sizes_pixels[2]"),
        (json!({"sizes_pixels": [320, "big"]}), "sizes_pixels[1]"),
        (json!({"quality": 0}), "quality"),
        (json!({"quality": 101}), "quality"),
        (json!({"quality": 300}), "quality"),
    ] {
        let error = check(&settings).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert_eq!(error.field(), Some(path), "{error}");
    }
    let unknown = check(&json!({"size": 320})).unwrap_err();
    assert!(unknown.to_string().contains("size"), "{unknown}");
}

/// How far the levels of a preview made from a larger one may be from those of one made from the photo, in the mean: 0 to
/// 255; an eye sees no difference below about 2.
const CHAIN_TOLERANCE: f64 = 1.0;

#[tokio::test]
async fn a_preview_looks_the_same_whether_or_not_there_is_a_larger_one() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/photos/coffee.jpg");
    let photo = image::open(sample).unwrap().into_rgb8();
    assert!(photo.width().max(photo.height()) >= 400);
    // Circles ever closer to each other: each distance that a filter could alias.
    let circles = RgbImage::from_fn(2000, 1500, |x, y| {
        let (x, y) = (f64::from(x) - 1000.0, f64::from(y) - 750.0);
        let level = 127.5 + 100.0 * ((x * x + y * y) / 1500.0).cos();
        Rgb([level as u8; 3])
    });
    for (name, pixels, small) in [("photo", photo, 100), ("circles", circles, 320)] {
        let picture = Arc::new(Picture::new(pixels).unwrap());
        let settings = |sizes_pixels: &[u32]| ThumbnailConfig {
            quality: 100,
            ..sizes(sizes_pixels)
        };
        let direct = enrich(settings(&[small]), Arc::clone(&picture)).await;
        let chained = enrich(settings(&[small, 2 * small, 4 * small]), picture).await;
        let file = format!("{small}.jpg");
        let (direct, chained) = (decoded(&direct, &file), decoded(&chained, &file));
        assert_eq!(direct.dimensions(), chained.dimensions());
        let levels = direct.as_raw().iter().zip(chained.as_raw());
        let sum: u64 = levels
            .map(|(direct, chained)| u64::from(direct.abs_diff(*chained)))
            .sum();
        let mean = sum as f64 / direct.as_raw().len() as f64;
        assert!(mean < CHAIN_TOLERANCE, "{name}: {mean}");
    }
}
