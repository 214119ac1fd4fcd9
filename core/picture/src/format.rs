//! Recognises the format of a picture by its bytes, and names those that are known and not read.

use lucida_core::{Error, ErrorKind, ImageFormat, Result};

use crate::error::not_read;
use crate::heic;

/// Recognises the format by a file's first bytes (32 are enough).
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
    if let Some((name, advice)) = unread(start) {
        return Err(not_read(&format!("{name} is not read: {advice}")));
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
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("the file is not an image: send {}", heic::READ_FORMATS),
    )
    .with_code("not_an_image")
    .with_field("file"))
}

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

/// How many bytes are enough to recognise a format.
pub(super) const SNIFFED_BYTES: usize = 32;

/// Finds the start of a JPEG; a few bytes of something else before it do no harm to libjpeg's users.
fn jpeg_start(start: &[u8]) -> Option<usize> {
    start.windows(3).position(|bytes| bytes == b"\xFF\xD8\xFF")
}

fn is_heic(start: &[u8]) -> bool {
    matches!(
        start.get(4..12),
        Some(
            b"ftypheic"
                | b"ftypheix"
                | b"ftypheim"
                | b"ftypheis"
                | b"ftyphevc"
                | b"ftyphevx"
                | b"ftyphevm"
                | b"ftyphevs"
                | b"ftypmif1"
                | b"ftypmsf1"
        )
    )
}

/// Names a format that is known but not read, with what to do instead.
fn unread(start: &[u8]) -> Option<(&'static str, &'static str)> {
    const RAW: &str = "export the photo as JPEG, or as TIFF";
    const PICTURE: &str = "export it as JPEG or PNG";
    const VIDEO: &str = "send photos, or a frame of it as JPEG";
    /// What a file starts with.
    const STARTS: [(&[u8], &str, &str); 30] = [
        (b"FUJIFILMCCD-RAW", "Fujifilm raw", RAW),
        (b"IIRO", "Olympus raw", RAW),
        (b"IIRS", "Olympus raw", RAW),
        (b"MMOR", "Olympus raw", RAW),
        (b"IIU\0", "Panasonic raw", RAW),
        (b"FOVb", "Sigma raw", RAW),
        (b"\0MRM", "Minolta raw", RAW),
        (b"\xFF\x0A", "JPEG XL", PICTURE),
        (b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL", PICTURE),
        (b"\0\0\0\x0CjP  \r\n\x87\n", "JPEG 2000", PICTURE),
        (b"\xFF\x4F\xFF\x51", "JPEG 2000", PICTURE),
        (b"II\xBC\x01", "JPEG XR", PICTURE),
        (b"8BPS", "Photoshop's PSD", PICTURE),
        (b"gimp xcf", "GIMP's XCF", PICTURE),
        (b"\0\0\x01\0", "ICO", PICTURE),
        (b"\0\0\x02\0\0\0\0\0", "TGA", PICTURE),
        (b"icns", "ICNS", PICTURE),
        (b"BPG\xFB", "BPG", PICTURE),
        (b"\x0A\x05\x01", "PCX", PICTURE),
        (b"AT&TFORM", "DjVu", PICTURE),
        (b"%PDF", "PDF", "export its pages as JPEG or PNG"),
        (b"%!PS", "PostScript", PICTURE),
        (b"\xC5\xD0\xD3\xC6", "EPS", PICTURE),
        (b"<svg", "SVG", PICTURE),
        (b"\x1A\x45\xDF\xA3", "Matroska or WebM video", VIDEO),
        (b"OggS", "Ogg", VIDEO),
        (b"FLV\x01", "Flash video", VIDEO),
        (b"\0\0\x01\xBA", "MPEG video", VIDEO),
        (b"\0\0\x01\xB3", "MPEG video", VIDEO),
        (b"PK\x03\x04", "ZIP", "unpack it and send the photos"),
    ];
    let known = STARTS.iter().find(|(bytes, _, _)| start.starts_with(bytes));
    if let Some((_, name, advice)) = known {
        return Some((name, advice));
    }
    if start.get(8..10) == Some(b"CR") && start.starts_with(b"II*\0") {
        return Some(("Canon raw", RAW));
    }
    if start.starts_with(b"RIFF") && start.get(8..11) == Some(b"AVI") {
        return Some(("AVI video", VIDEO));
    }
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with("<svg") || text.starts_with("<!doctype svg") {
        return Some(("SVG", PICTURE));
    }
    if start.get(4..8) != Some(b"ftyp") {
        // Older films begin with their boxes at once.
        let is_film = matches!(start.get(4..8), Some(b"moov" | b"mdat" | b"wide"));
        return is_film.then_some(("QuickTime video", VIDEO));
    }
    let brands = start.get(8..).unwrap_or_default().as_chunks::<4>().0;
    let has = |brand: &[u8; 4]| brands.contains(brand);
    match brands.first()? {
        // Where the first brand names only the container, those behind it say what the file is.
        b"mif1" | b"msf1" | b"miaf" if has(b"avif") || has(b"avis") => Some(("AVIF", PICTURE)),
        b"avif" | b"avis" => Some(("AVIF", PICTURE)),
        b"crx " => Some(("Canon raw", RAW)),
        b"qt  " => Some(("QuickTime video", VIDEO)),
        b"jp2 " | b"jpx " => Some(("JPEG 2000", PICTURE)),
        b"isom" | b"iso2" | b"iso4" | b"iso5" | b"iso6" | b"mp41" | b"mp42" | b"avc1" | b"M4V " | b"3gp4"
        | b"3gp5" | b"3gp6" | b"3g2a" | b"MSNV" | b"dash" => Some(("MP4 video", VIDEO)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heic_is_recognised_by_its_brands() {
        for brands in [b"ftypheic\0\0\0\0mif1heic", b"ftypmif1\0\0\0\0mif1heic"] {
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
            (b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL"),
            (b"\0\0\0\x0CjP  \r\n\x87\n", "JPEG 2000"),
            (b"8BPS\0\x01", "PSD"),
            (b"%PDF-1.7", "PDF"),
            (b"\xEF\xBB\xBF <svg xmlns=", "SVG"),
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
    }
}
