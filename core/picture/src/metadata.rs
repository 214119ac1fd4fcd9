//! What a file says beside its pixels: EXIF, XMP and the colour profile, wherever a format or a program puts them.
//!
//! The one reader of all three: decoding turns pictures by it, and plugins read the same block.

mod blocks;
mod jpeg;
mod png;

use std::borrow::Cow;

pub(super) use self::blocks::Blocks;
use self::blocks::property;
pub(super) use self::png::chunks as png_chunks;

use super::ImageFormat;
use super::boxes::Boxes;
use super::tiff::directory::{File, tag};
use lucida_core::ColourProfile;

/// Finds the blocks of a file.
pub(super) fn blocks(format: ImageFormat, bytes: &[u8]) -> Blocks<'_> {
    match format {
        ImageFormat::Jpeg => jpeg::blocks(bytes),
        ImageFormat::Png => png::blocks(bytes),
        ImageFormat::Webp => webp(bytes),
        ImageFormat::Tiff => tiff(bytes),
        ImageFormat::Heic => heif(bytes),
        ImageFormat::Gif | ImageFormat::Bmp => Blocks::default(),
    }
}

/// Returns a file's EXIF block from its TIFF header on, whatever the format keeps it in; `None` where there is none.
///
/// A TIFF file is its own block, except a BigTIFF, whose directories are of another form.
#[must_use]
pub fn exif_block(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (bytes, format) = super::recognise(bytes).ok()?;
    let found = blocks(format, bytes);
    let (block, start) = found.exif()?;
    Some(match block {
        Cow::Borrowed(block) => Cow::Borrowed(&block[start..]),
        Cow::Owned(block) => Cow::Owned(block[start..].to_vec()),
    })
}

/// Returns how a file's stored picture must be turned, 1 to 8 as EXIF counts; `None` where the file does not say.
///
/// EXIF goes before XMP. HEIC and AVIF are turned by what their container says, whatever this returns.
#[must_use]
pub fn stored_orientation(bytes: &[u8]) -> Option<u8> {
    let (bytes, format) = super::recognise(bytes).ok()?;
    blocks(format, bytes).orientation()
}

/// Returns a property of a file's XMP, such as `exif:DateTimeOriginal`; `None` where the file has none of that name.
#[must_use]
pub fn xmp_property(bytes: &[u8], name: &str) -> Option<String> {
    let (bytes, format) = super::recognise(bytes).ok()?;
    property(blocks(format, bytes).xmp.as_deref()?, name)
}

/// WebP: the chunks of a RIFF file; of one that is cut off what is there.
fn webp(bytes: &[u8]) -> Blocks<'_> {
    let mut blocks = Blocks::default();
    let mut rest = bytes.get(12..).unwrap_or_default();
    while let Some((header, body)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, size @ ..] = *header;
        let size = usize::try_from(u32::from_le_bytes(size)).unwrap_or(usize::MAX);
        let chunk = &body[..size.min(body.len())];
        match &[a, b, c, d] {
            b"EXIF" => blocks.add_exif(Cow::Borrowed(chunk)),
            b"XMP " => blocks.xmp = Some(Cow::Borrowed(chunk)),
            b"ICCP" => blocks.profile = Some(ColourProfile::icc(chunk)),
            _ => {}
        }
        let padded = size.saturating_add(size % 2);
        rest = body.get(padded..).unwrap_or_default();
    }
    blocks
}

/// TIFF: the file's own first directory.
fn tiff(bytes: &[u8]) -> Blocks<'_> {
    let directory = File::open(bytes).and_then(File::first_directory);
    let value = |tag| directory.as_ref().and_then(|directory| directory.bytes(tag));
    Blocks {
        exif: vec![Cow::Borrowed(bytes)],
        xmp: value(tag::XMP).map(Cow::Borrowed),
        profile: value(tag::ICC_PROFILE).map(ColourProfile::icc),
    }
}

/// Of how many items of a kind the bytes are looked at.
const MAX_ITEMS: usize = 4;

/// HEIC and AVIF: items, and the properties of the primary one.
fn heif(bytes: &[u8]) -> Blocks<'_> {
    let Some(boxes) = Boxes::read(bytes) else {
        return Blocks::default();
    };
    // Items of several parts are joined, so that few of a hostile file are looked at.
    let data = |ids: Vec<u32>| {
        let few = ids.into_iter().take(MAX_ITEMS);
        few.filter_map(|id| boxes.data(id)).collect::<Vec<_>>()
    };
    let xmp = data(boxes.items_of(b"mime", Some(b"application/rdf+xml")));
    let mut profile = None;
    // A grid may leave its colours to its tiles.
    let tiles = boxes.referred(b"dimg", boxes.primary).first().copied();
    for id in [Some(boxes.primary), tiles].into_iter().flatten() {
        let colours = boxes.properties(id).filter(|property| &property.kind == b"colr");
        for property in colours {
            let found = match property.body.split_at_checked(4) {
                Some((b"prof" | b"rICC", icc)) => Some(ColourProfile::icc(icc)),
                Some((b"nclx", &[primaries_high, primaries, transfer_high, transfer, ..])) => {
                    Some(ColourProfile::coded(
                        u16::from_be_bytes([primaries_high, primaries]),
                        u16::from_be_bytes([transfer_high, transfer]),
                    ))
                }
                _ => None,
            };
            // A profile says more than code points do.
            if profile.is_none() || matches!(found, Some(ColourProfile::Icc(_))) {
                profile = found.or(profile);
            }
        }
    }
    Blocks {
        exif: data(boxes.items_of(b"Exif", None)),
        xmp: xmp.into_iter().next(),
        profile,
    }
}
