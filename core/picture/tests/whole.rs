//! Files that lack their last bytes: taken where every pixel is there, refused where one is missing.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use lucida_core::DecodeSize;
use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::{Frame, RgbImage, RgbaImage};
use jpeg_encoder::{ColorType, Encoder};
use lucida_picture::{DecodeOptions, ImageHeader, decode};

const OPTIONS: DecodeOptions = DecodeOptions {
    max_pixels: 1_000_000,
    accept_truncated: false,
    size: DecodeSize::FULL,
};

/// A picture that no coder can guess the rest of.
fn scene() -> RgbImage {
    RgbImage::from_fn(96, 64, |x, y| {
        let mixed = x.wrapping_mul(2_654_435_761).rotate_left(y) ^ y.wrapping_mul(40_503);
        let [red, green, blue, _] = mixed.to_le_bytes();
        image::Rgb([red, green, blue])
    })
}

fn written(format: image::ImageFormat) -> Vec<u8> {
    let mut file = Vec::new();
    scene().write_to(&mut Cursor::new(&mut file), format).unwrap();
    file
}

#[track_caller]
fn is_taken(whole: &[u8], cut: &[u8], what: &str) {
    let header = ImageHeader::read(cut, OPTIONS.max_pixels).unwrap();
    assert!(header.complete, "{what}");
    assert_eq!(
        decode(cut, &OPTIONS).unwrap(),
        decode(whole, &OPTIONS).unwrap(),
        "{what}"
    );
}

#[track_caller]
fn is_refused(cut: &[u8], what: &str) {
    if let Ok(header) = ImageHeader::read(cut, OPTIONS.max_pixels) {
        assert!(!header.complete, "{what}");
    }
    assert_eq!(
        decode(cut, &OPTIONS).unwrap_err().code(),
        "truncated_image",
        "{what}"
    );
}

#[test]
fn a_jpeg_without_its_end_mark_is_taken() {
    for is_progressive in [false, true] {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 90);
        encoder.set_progressive(is_progressive);
        encoder.encode(&scene(), 96, 64, ColorType::Rgb).unwrap();
        let what = format!("progressive: {is_progressive}");
        for missing in [1, 2] {
            is_taken(&file, &file[..file.len() - missing], &what);
        }
        for missing in [30, file.len() / 3, file.len() / 2] {
            is_refused(&file[..file.len() - missing], &what);
        }
        // A decoder gives up at damage, so that nothing behind it makes a difference.
        let mut damaged = file[..file.len() * 2 / 3].to_vec();
        let at = damaged.len() - 200;
        damaged[at..at + 2].copy_from_slice(&[0xFF, 0xC4]);
        is_refused(&damaged, &what);
    }
}

#[test]
fn a_png_without_its_last_chunk_is_taken() {
    let file = written(image::ImageFormat::Png);
    // `IEND` has 12 bytes, and the checksum before it 4.
    for missing in [1, 4, 8, 12, 14, 16] {
        is_taken(
            &file,
            &file[..file.len() - missing],
            &format!("{missing} bytes are missing"),
        );
    }
    for missing in [60, file.len() / 2] {
        is_refused(
            &file[..file.len() - missing],
            &format!("{missing} bytes are missing"),
        );
    }
}

fn gif(frames: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = GifEncoder::new(&mut file);
    for number in 0..frames {
        let frame = RgbaImage::from_fn(40, 30, |x, y| {
            let value = u8::try_from((x * 7 + y * 3 + u32::from(number) * 50) % 256).unwrap();
            image::Rgba([value, 255 - value, value / 2, 255])
        });
        encoder.encode_frame(Frame::new(frame)).unwrap();
    }
    drop(encoder);
    file
}

#[test]
fn a_gif_without_its_trailer_is_taken() {
    let file = gif(1);
    // The trailer, and the end of the data before it.
    for missing in [1, 2] {
        is_taken(
            &file,
            &file[..file.len() - missing],
            &format!("{missing} bytes are missing"),
        );
    }
    is_refused(&file[..file.len() * 2 / 3], "a third is missing");
    let film = gif(3);
    is_taken(&film, &film[..film.len() - 1], "a film without its trailer");
    is_refused(&film[..film.len() - 200], "a film whose last picture is cut");
}

#[test]
fn a_gif_is_as_large_as_its_first_frame_whatever_its_header_says() {
    let pixels = RgbaImage::from_fn(6, 4, |x, y| image::Rgba([x as u8 * 40, y as u8 * 60, 9, 255]));
    let mut whole = Vec::new();
    GifEncoder::new(&mut whole)
        .encode_frame(Frame::new(pixels.clone()))
        .unwrap();
    let colours = decode(&whole, &OPTIONS).unwrap();
    assert_eq!((colours.width(), colours.height()), (6, 4));
    for screen in [[0, 0, 0, 0], [2, 0, 1, 0], [6, 0, 1, 0]] {
        let mut file = whole.clone();
        file[6..10].copy_from_slice(&screen);
        let header = ImageHeader::read(&file, OPTIONS.max_pixels).unwrap();
        assert_eq!((header.width, header.height), (6, 4), "{screen:?}");
        assert_eq!(decode(&file, &OPTIONS).unwrap(), colours, "{screen:?}");
    }
    // A frame without pixels, before the first one that has some, with and without a table of colours.
    let table = 13
        + if whole[10] & 0x80 == 0 {
            0
        } else {
            3 << ((whole[10] & 7) + 1)
        };
    for (flags, colours_of_frame) in [(0, &[][..]), (0x80, &[1, 2, 3, 4, 5, 6])] {
        let descriptor = [&[0x2C, 0, 0, 0, 0, 0, 0, 0, 0, flags][..], colours_of_frame].concat();
        let empty = [&descriptor[..], &[2, 2, 0x4C, 1, 0]].concat();
        let file = [&whole[..table], &empty, &whole[table..]].concat();
        assert_eq!(decode(&file, &OPTIONS).unwrap(), colours, "{flags}");
        is_refused(&file[..file.len() - 12], "cut");
    }
}

#[test]
fn a_webp_that_lacks_what_is_not_its_pixels_is_taken() {
    let mut file = written(image::ImageFormat::WebP);
    let whole = file.clone();
    file.extend(b"EXIF\x64\0\0\0half of it");
    let size = u32::try_from(file.len() - 8 + 90).unwrap();
    file[4..8].copy_from_slice(&size.to_le_bytes());
    is_taken(&whole, &file, "the chunk behind the pixels is cut");
    is_refused(&whole[..whole.len() * 2 / 3], "a third of the pixels is missing");
}

#[test]
fn a_bmp_whose_header_promises_too_much_is_taken() {
    let whole = written(image::ImageFormat::Bmp);
    let mut file = whole.clone();
    let size = u32::try_from(file.len() + 100).unwrap();
    file[2..6].copy_from_slice(&size.to_le_bytes());
    is_taken(&whole, &file, "the size is wrong");
    is_refused(&whole[..whole.len() - 10], "the last row is cut");
}

#[cfg(feature = "heic")]
#[test]
fn a_heic_with_a_cut_box_behind_its_pixels_is_taken() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/heic.heic");
    let whole = std::fs::read(path).unwrap();
    let with_box = [&whole[..], b"\0\0\0\x64free", &[0; 40]].concat();
    is_taken(&whole, &with_box, "the box behind the pixels is cut");
    is_taken(&whole, &[&whole[..], b"\0\0\0"].concat(), "a few bytes follow");
    is_refused(&whole[..whole.len() - 10], "pixels are missing");
}

#[test]
fn a_jpeg_with_an_odd_segment_of_adobes_is_decoded_as_libjpeg_does() {
    let mut file = Vec::new();
    Encoder::new(&mut file, 90)
        .encode(&scene(), 96, 64, ColorType::Rgb)
        .unwrap();
    let plain = decode(&file, &OPTIONS).unwrap();
    // Behind `JFIF`, or in its place.
    let jfif = 4 + usize::from(u16::from_be_bytes([file[4], file[5]]));
    let bare = [&file[..2], &file[jfif..]].concat();
    let with = |file: &[u8], segment: &[u8]| [&file[..2], segment, &file[2..]].concat();
    let adobe = |transform: u8| {
        let body = [b"Adobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat();
        [b"\xFF\xEE\0\x0E".as_slice(), &body].concat()
    };
    for (name, segment) in [
        ("transform 68", adobe(68)),
        ("transform 2 of three colours", adobe(2)),
        ("length 12", b"\xFF\xEE\0\x0CAdobe\0\x64\0\0\0".to_vec()),
        ("length 2", b"\xFF\xEE\0\x02".to_vec()),
        (
            "another program's",
            b"\xFF\xEE\0\x10Ducky\0\x01\0\x04\0\0\0\x3C\0".to_vec(),
        ),
    ] {
        assert_eq!(decode(&with(&bare, &segment), &OPTIONS).unwrap(), plain, "{name}");
        assert_eq!(
            decode(&with(&file, &segment), &OPTIONS).unwrap(),
            plain,
            "{name}, with JFIF"
        );
    }
    assert_eq!(
        decode(&with(&file, &adobe(0)), &OPTIONS).unwrap(),
        plain,
        "JFIF goes before Adobe"
    );
    let untransformed = decode(&with(&bare, &adobe(0)), &OPTIONS).unwrap();
    assert_ne!(untransformed, plain, "transform 0 is RGB as stored");
}

#[test]
fn a_jpeg_with_bytes_between_its_segments_or_before_them_is_decoded() {
    let mut file = Vec::new();
    Encoder::new(&mut file, 90)
        .encode(&scene(), 96, 64, ColorType::Rgb)
        .unwrap();
    let plain = decode(&file, &OPTIONS).unwrap();
    let behind_jfif = 4 + usize::from(u16::from_be_bytes([file[4], file[5]]));
    let junk = [&file[..behind_jfif], b"\0\0\0junk\0", &file[behind_jfif..]].concat();
    assert_eq!(decode(&junk, &OPTIONS).unwrap(), plain);
    let fill = [&file[..behind_jfif], b"\xFF\xFF\xFF", &file[behind_jfif..]].concat();
    assert_eq!(decode(&fill, &OPTIONS).unwrap(), plain);
    assert_eq!(decode(&[b"\r\n", &file[..]].concat(), &OPTIONS).unwrap(), plain);
}

#[test]
fn kinds_of_jpeg_that_are_not_read_are_named() {
    let mut file = Vec::new();
    Encoder::new(&mut file, 90)
        .encode(&scene(), 96, 64, ColorType::Rgb)
        .unwrap();
    let frame = file.windows(2).position(|bytes| bytes == [0xFF, 0xC0]).unwrap();
    for (marker, depth, name) in [
        (0xC9, 8, "arithmetic-coded JPEG"),
        (0xC3, 8, "lossless JPEG"),
        (0xC1, 12, "12-bit JPEG"),
    ] {
        let mut other = file.clone();
        (other[frame + 1], other[frame + 4]) = (marker, depth);
        let error = decode(&other, &OPTIONS).unwrap_err();
        assert_eq!(error.code(), "unsupported_image_type", "{name}");
        assert!(
            error.message().starts_with(&format!("{name} is not read")),
            "{error}"
        );
    }
    let apple = b"\x89PNG\r\n\x1a\n\0\0\0\x04CgBI\x50\0\x20\x02\x2b\xd5\xb3\x7f";
    let error = decode(apple, &OPTIONS).unwrap_err();
    assert!(error.message().contains("CgBI"), "{error}");
}
