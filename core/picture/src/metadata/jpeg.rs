//! The segments of a JPEG that hold metadata.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::blocks::Blocks;
use crate::jpeg::header_segments;
use lucida_core::ColourProfile;

const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const ICC: &[u8] = b"ICC_PROFILE\0";

/// Finds the blocks among the segments before the first scan, in whatever order they are.
pub(super) fn blocks(bytes: &[u8]) -> Blocks<'_> {
    let mut blocks = Blocks::default();
    let mut profile: BTreeMap<u8, &[u8]> = BTreeMap::new();
    for segment in header_segments(bytes) {
        let body = segment.body;
        match segment.marker {
            0xE1 if body.starts_with(b"Exif\0") => blocks.add_exif(Cow::Borrowed(&body[5..])),
            0xE1 => {
                if let Some(xmp) = body.strip_prefix(XMP) {
                    blocks.xmp.get_or_insert(Cow::Borrowed(xmp));
                }
            }
            // A profile that is longer than a segment comes in numbered parts.
            0xE2 => {
                if let Some([number, _count, part @ ..]) = body.strip_prefix(ICC) {
                    profile.entry(*number).or_insert(part);
                }
            }
            _ => {}
        }
    }
    let parts: Vec<&[u8]> = profile.into_values().collect();
    blocks.profile = (!parts.is_empty()).then(|| ColourProfile::icc(&parts.concat()));
    blocks
}
