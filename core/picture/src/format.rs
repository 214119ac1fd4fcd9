//! Recognises the format of a picture by its bytes.

use lucida_core::{Error, ErrorKind, ImageFormat, Result};

use crate::error::not_read;
use crate::heic;
use crate::unread::{self, is_heic};

/// Recognises the format by a file's first bytes, of which 1,024 are enough.
///
/// # Errors
/// `InvalidInput` (`empty_file`) for no bytes; `Unsupported` with `unsupported_image_type` for a picture or a
/// document of another format, by its name, and with `not_an_image` for anything else.
pub fn sniff(start: &[u8]) -> Result<ImageFormat> {
    if start.is_empty() {
        return Err(Error::invalid("the file is empty")
            .with_code("empty_file")
            .with_field("file"));
    }
    if let Some(unread) = unread::by_start(start) {
        return Err(not_read(&unread.refusal()));
    }
    match image::guess_format(start) {
        Ok(image::ImageFormat::Jpeg) => return Ok(ImageFormat::Jpeg),
        Ok(image::ImageFormat::Png) => return Ok(ImageFormat::Png),
        Ok(image::ImageFormat::WebP) => return Ok(ImageFormat::Webp),
        Ok(image::ImageFormat::Gif) => return Ok(ImageFormat::Gif),
        Ok(image::ImageFormat::Bmp) => return Ok(ImageFormat::Bmp),
        Ok(image::ImageFormat::Tiff) => return Ok(ImageFormat::Tiff),
        Ok(other) => {
            let name = format!("{other:?}").to_uppercase();
            return Err(not_read(&format!(
                "{name} is not read: send {}",
                heic::READ_FORMATS
            )));
        }
        Err(_) => {}
    }
    // `image` doesn't know BigTIFF.
    if start.starts_with(b"II+\0\x08\0") || start.starts_with(b"MM\0+\0\x08") {
        return Ok(ImageFormat::Tiff);
    }
    if is_heic(start) {
        return Ok(ImageFormat::Heic);
    }
    if jpeg_start(start).is_some() {
        return Ok(ImageFormat::Jpeg);
    }
    if let Some(unread) = unread::by_shape(start) {
        return Err(not_read(&unread.refusal()));
    }
    let message = if start.len() >= MIN_ZEROS && start.iter().all(|byte| *byte == 0) {
        "the file begins with zeros alone, as a broken copy does: copy it again, or restore it from a backup"
            .to_owned()
    } else {
        format!("the file is not an image: send {}", heic::READ_FORMATS)
    };
    Err(Error::new(ErrorKind::Unsupported, message)
        .with_code("not_an_image")
        .with_field("file"))
}

/// So many zeros are no start of anything.
const MIN_ZEROS: usize = 32;

/// Returns the `image` crate's name of the format; `None` for one that it does not read.
pub(crate) const fn library_format(format: ImageFormat) -> Option<image::ImageFormat> {
    match format {
        ImageFormat::Jpeg => Some(image::ImageFormat::Jpeg),
        ImageFormat::Png => Some(image::ImageFormat::Png),
        ImageFormat::Webp => Some(image::ImageFormat::WebP),
        ImageFormat::Gif => Some(image::ImageFormat::Gif),
        ImageFormat::Bmp => Some(image::ImageFormat::Bmp),
        ImageFormat::Tiff => Some(image::ImageFormat::Tiff),
        ImageFormat::Heic => None,
    }
}

/// Finds a file's picture and its format.
///
/// # Errors
/// Those of [`sniff`].
pub(super) fn recognise(bytes: &[u8]) -> Result<(&[u8], ImageFormat)> {
    let start = &bytes[..bytes.len().min(SNIFFED_BYTES)];
    let format = sniff(start)?;
    let skipped = if format == ImageFormat::Jpeg {
        jpeg_start(start).unwrap_or(0)
    } else {
        0
    };
    Ok((&bytes[skipped..], format))
}

/// How many bytes are enough to recognise a format; text comes before what names an SVG.
pub(super) const SNIFFED_BYTES: usize = 1024;

/// How many bytes of a JPEG's file may come before it and its first marker; further behind it is the cover of a song or
/// the preview of another format.
const JPEG_WITHIN_BYTES: usize = 32;

/// Finds the start of a JPEG; a few bytes of something else before it do no harm to libjpeg's users.
fn jpeg_start(start: &[u8]) -> Option<usize> {
    let start = &start[..start.len().min(JPEG_WITHIN_BYTES)];
    start.windows(3).position(|bytes| bytes == b"\xFF\xD8\xFF")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heic_is_recognised_by_its_brands() {
        for brands in [
            b"ftypheic\0\0\0\0mif1heic",
            b"ftypmif1\0\0\0\0mif1heic",
            b"ftypmif2\0\0\0\0mif2heic",
            b"ftyphevc\0\0\0\0iso8hevc",
        ] {
            let file = [b"\0\0\0\x18", &brands[..]].concat();
            assert_eq!(sniff(&file).unwrap(), ImageFormat::Heic);
        }
    }

    #[test]
    fn a_jpeg_behind_a_few_bytes_of_something_else_is_found() {
        let file = b"\r\n\xFF\xD8\xFF\xE0rest";
        let (bytes, format) = recognise(file).unwrap();
        assert_eq!((bytes, format), (&file[2..], ImageFormat::Jpeg));
    }

    #[test]
    fn a_format_that_is_not_read_is_named() {
        for (start, name) in [
            (&b"\0\0\0\x18ftypavif\0\0\0\0avifmif1"[..], "AVIF"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
            (b"\0\0\0\x18ftypcrx \0\0\0\0crx isom", "Canon raw"),
            (b"II*\0\x10\0\0\0CR\x02\0", "Canon raw"),
            (b"FUJIFILMCCD-RAW 0201", "Fujifilm raw"),
            (b"IIU\0\x18\0\0\0", "Panasonic raw"),
            (b"II\x1A\0\0\0HEAPCCDR", "Canon raw"),
            (b"\0\0\0\x18ftypiso8\0\0\0\0iso8mp41", "MP4 video"),
            (b"\0\0\0\x18ftypXAVC\0\0\0\0XAVCmp42", "MP4 video"),
            (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42", "MP4 sound"),
            (b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", "Windows Media"),
            (
                b"ID3\x03\0\0\0\0\x0F\x76APIC\0\0\0\0\0\0\0image/jpeg\0\x03\0\xFF\xD8\xFF",
                "MP3",
            ),
            (b"\x76\x2F\x31\x01\x02\0\0\0", "OpenEXR"),
            (b"#?RADIANCE\n", "Radiance HDR"),
            (b"qoif\0\0\0\x01", "QOI"),
            (b"P6 2 2 255\n", "PNM"),
            (b"\x01\xDA\x01\x01\0\x03", "SGI"),
            (b"#define a_width 2\n", "XBM"),
            (b"/* XPM */", "XPM"),
            (b"\0\x05\x16\x07\0\x02\0\0", "AppleDouble"),
            (b"\x1F\x8B\x08", "gzip"),
            (b"\0\0\x0A\0\0\0\0\0\0\0\0\0\x40\0\x40\0\x18\0", "TGA"),
            (b"\x04\x01\x01\0\0\0\x01\x18\0\0\0\0\x40\0\x40\0\x08\0name", "TGA"),
            (b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL"),
            (b"\0\0\0\x0CjP  \r\n\x87\n", "JPEG 2000"),
            (b"8BPS\0\x01", "PSD"),
            (b"%PDF-1.7", "PDF"),
            (b"\xEF\xBB\xBF <svg xmlns=", "SVG"),
            (
                b"<?xml version=\"1.0\"?>\n<!-- Created with Inkscape (http://www.inkscape.org/) -->\n<svg/>",
                "SVG",
            ),
            (b"<!DOCTYPE html>\n<title>404</title>", "HTML"),
            (b"\r\n<html><body>not found", "HTML"),
            (b"\0\0\x01\0\x01\0", "ICO"),
            (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2", "MP4 video"),
            (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "QuickTime video"),
        ] {
            let error = sniff(start).unwrap_err();
            assert_eq!(error.code(), "unsupported_image_type", "{name}");
            let message = error.message();
            assert!(
                message.contains(name) && message.contains("is not read"),
                "{message}"
            );
        }
    }

    #[test]
    fn what_is_not_an_image_is_refused_as_that() {
        let code = |bytes: &[u8]| sniff(bytes).unwrap_err().code();
        assert_eq!(code(b""), "empty_file");
        assert_eq!(code(b"hello, world, this is text"), "not_an_image");
        assert_eq!(code(b"<?xml version=\"1.0\"?><gpx/>"), "not_an_image");
        let zeros = sniff(&[0; 100]).unwrap_err();
        assert_eq!(zeros.code(), "not_an_image");
        assert!(zeros.message().contains("copy it again"), "{zeros}");
    }
}
