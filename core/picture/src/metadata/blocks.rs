//! The blocks of a file that say more than its pixels, and what they say of its orientation.

use std::borrow::Cow;

use crate::tiff::directory::{File, tag};
use lucida_core::ColourProfile;

/// The blocks of a file, as stored.
#[derive(Default)]
pub(crate) struct Blocks<'a> {
    /// What may be EXIF, the likeliest first.
    pub(super) exif: Vec<Cow<'a, [u8]>>,
    pub(super) xmp: Option<Cow<'a, [u8]>>,
    pub(crate) profile: Option<ColourProfile>,
}

/// A file has one block of EXIF, or a few where programs don't know of each other; a hostile one has millions.
const MAX_EXIF_BLOCKS: usize = 16;

impl<'a> Blocks<'a> {
    /// Adds what may be EXIF, less likely than what was added before.
    pub(super) fn add_exif(&mut self, block: Cow<'a, [u8]>) {
        if self.exif.len() < MAX_EXIF_BLOCKS {
            self.exif.push(block);
        }
    }

    /// Adds what may be EXIF, likelier than what was added before.
    pub(super) fn prefer_exif(&mut self, block: Cow<'a, [u8]>) {
        self.exif.truncate(MAX_EXIF_BLOCKS - 1);
        self.exif.insert(0, block);
    }

    /// Returns the block that holds EXIF, and where in it the TIFF header is; an empty one only where no other is.
    pub(super) fn exif(&self) -> Option<(&Cow<'a, [u8]>, usize)> {
        let found = |block: &'_ Cow<'a, [u8]>| {
            let part = tiff_part(block)?;
            let directory = File::open(part)?.first_directory()?;
            Some((directory.is_empty(), block.len() - part.len()))
        };
        let mut blocks: Vec<_> = self
            .exif
            .iter()
            .filter_map(|block| Some((block, found(block)?)))
            .collect();
        blocks.sort_by_key(|(_, (is_empty, _))| *is_empty);
        blocks.first().map(|&(block, (_, start))| (block, start))
    }

    /// Returns how the stored picture must be turned, 1 to 8 as EXIF counts: EXIF says so, else XMP.
    pub(crate) fn orientation(&self) -> Option<u8> {
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
pub(super) fn property(xmp: &[u8], name: &str) -> Option<String> {
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
