//! What a file says beside its pixels: EXIF, XMP and the colour profile, wherever a format or a program puts them.
//!
//! The one reader of all three: decoding turns pictures by it, and plugins read the same block.

mod jpeg;
mod png;

use std::borrow::Cow;

pub(super) use png::chunks as png_chunks;

use super::ImageFormat;
use super::boxes::Boxes;
use super::tiff::directory::{File, tag};
use lucida_core::ColourProfile;

/// The blocks of a file, as stored.
#[derive(Default)]
pub(super) struct Blocks<'a> {
    /// What may be EXIF, the likeliest first.
    exif: Vec<Cow<'a, [u8]>>,
    xmp: Option<Cow<'a, [u8]>>,
    pub(super) profile: Option<ColourProfile>,
}

impl<'a> Blocks<'a> {
    /// Finds the blocks of a file.
    pub(super) fn read(format: ImageFormat, bytes: &'a [u8]) -> Self {
        match format {
            ImageFormat::Jpeg => jpeg::blocks(bytes),
            ImageFormat::Png => png::blocks(bytes),
            ImageFormat::Webp => webp(bytes),
            ImageFormat::Tiff => tiff(bytes),
            ImageFormat::Heic => heif(bytes),
            ImageFormat::Gif | ImageFormat::Bmp => Self::default(),
        }
    }

    /// Returns the block that holds EXIF, and where in it the TIFF header is.
    fn exif(&self) -> Option<(&Cow<'a, [u8]>, usize)> {
        self.exif.iter().find_map(|block| {
            let part = tiff_part(block)?;
            File::open(part)?.first_directory()?;
            Some((block, block.len() - part.len()))
        })
    }

    /// Returns how the stored picture must be turned, 1 to 8 as EXIF counts: EXIF says so, else XMP.
    pub(super) fn orientation(&self) -> Option<u8> {
        let of_exif = self.exif().and_then(|(block, start)| {
            let number = File::open(&block[start..])?
                .first_directory()?
                .number(tag::ORIENTATION)?;
            u8::try_from(number).ok()
        });
        of_exif
            .filter(|turn| (1..=8).contains(turn))
            .or_else(|| xmp_orientation(self.xmp.as_deref()?))
    }
}

/// Returns a file's EXIF block from its TIFF header on, whatever the format keeps it in; `None` where there is none.
///
/// A TIFF file is its own block, except a BigTIFF, whose directories are of another form.
#[must_use]
pub fn exif_block(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (bytes, format) = super::recognise(bytes).ok()?;
    let blocks = Blocks::read(format, bytes);
    let (block, start) = blocks.exif()?;
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
    Blocks::read(format, bytes).orientation()
}

/// Returns a property of a file's XMP, such as `exif:DateTimeOriginal`; `None` where the file has none of that name.
#[must_use]
pub fn xmp_property(bytes: &[u8], name: &str) -> Option<String> {
    let (bytes, format) = super::recognise(bytes).ok()?;
    property(Blocks::read(format, bytes).xmp.as_deref()?, name)
}

/// Programs put up to so many bytes before a block's TIFF header: an offset, a marker with a length, `Exif\0\0`.
const MAX_PREFIX_BYTES: usize = 64;

/// Finds the TIFF header at or shortly after a block's start.
fn tiff_part(block: &[u8]) -> Option<&[u8]> {
    let is_start = |bytes: &[u8]| bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*");
    if is_start(block) || block.starts_with(b"II+\0") || block.starts_with(b"MM\0+") {
        return Some(block);
    }
    // In HEIC an offset says where the header is.
    let offset = block
        .first_chunk()
        .map(|offset| u32::from_be_bytes(*offset) as usize);
    let pointed = offset.and_then(|offset| block.get(offset.checked_add(4)?..));
    if let Some(pointed) = pointed.filter(|pointed| is_start(pointed)) {
        return Some(pointed);
    }
    (0..block.len().min(MAX_PREFIX_BYTES))
        .map(|start| &block[start..])
        .find(|part| is_start(part))
}

/// Reads `tiff:Orientation`.
fn xmp_orientation(xmp: &[u8]) -> Option<u8> {
    let turn = property(xmp, "tiff:Orientation")?.parse().ok()?;
    (1..=8).contains(&turn).then_some(turn)
}

/// Reads a simple property, as an attribute or an element, without entities: numbers and times have none.
fn property(xmp: &[u8], name: &str) -> Option<String> {
    memchr::memmem::find_iter(xmp, name).find_map(|at| {
        let rest = xmp.get(at + name.len()..)?.trim_ascii_start();
        let (value, end) = match rest.split_first()? {
            (b'=', rest) => {
                let (quote, rest) = rest.trim_ascii_start().split_first()?;
                matches!(quote, b'"' | b'\'').then_some((rest, *quote))?
            }
            (b'>', rest) => (rest, b'<'),
            _ => return None,
        };
        let value = &value[..memchr::memchr(end, value)?];
        let value = std::str::from_utf8(value).ok()?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    })
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
            b"EXIF" => blocks.exif.push(Cow::Borrowed(chunk)),
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

/// HEIC and AVIF: items, and the properties of the primary one.
fn heif(bytes: &[u8]) -> Blocks<'_> {
    let Some(boxes) = Boxes::read(bytes) else {
        return Blocks::default();
    };
    let data = |ids: Vec<u32>| {
        ids.into_iter()
            .filter_map(|id| boxes.data(id))
            .collect::<Vec<_>>()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xmp_has_the_orientation_as_attribute_or_as_element() {
        for (xmp, expected) in [
            ("<rdf:Description tiff:Orientation=\"6\"/>", Some(6)),
            ("<rdf:Description tiff:Orientation = '3'/>", Some(3)),
            ("<tiff:Orientation>8</tiff:Orientation>", Some(8)),
            ("<tiff:Orientation> 2 </tiff:Orientation>", Some(2)),
            ("<tiff:Orientation>0</tiff:Orientation>", None),
            ("<tiff:Orientation>12</tiff:Orientation>", None),
            ("<tiff:Orientation/>", None),
            ("tiff:Orientation", None),
        ] {
            assert_eq!(xmp_orientation(xmp.as_bytes()), expected, "{xmp}");
        }
    }
}
