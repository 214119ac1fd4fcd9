//! A JPEG's segments before its first scan, and what decoders must not be shown of them.
//!
//! Programs leave bytes between segments, write Adobe's segment in odd ways, and use kinds of JPEG that hardly anything
//! reads. What libjpeg reads is brought into the form that every decoder reads; what isn't read is refused by name.

use std::borrow::Cow;

use crate::error::not_read;
use lucida_core::Result;

/// A segment with its marker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) marker: u8,
    /// Where the marker's code is in the file.
    at: usize,
    /// Without the length; cut where the file ends.
    pub(crate) body: &'a [u8],
}

/// Returns the segments up to the first scan; bytes between them are skipped, as libjpeg does.
pub(crate) fn header_segments(bytes: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    const END: u8 = 0xD9;
    const SCAN: u8 = 0xDA;
    let mut position = 2;
    let mut is_over = false;
    std::iter::from_fn(move || {
        loop {
            if is_over {
                return None;
            }
            let at = next_code(bytes, position)?;
            let marker = bytes[at];
            if matches!(marker, 0x01 | 0xD0..=0xD8) {
                position = at + 1;
                continue;
            }
            is_over = matches!(marker, SCAN | END);
            if marker == END {
                return None;
            }
            let length = usize::from(u16::from_be_bytes(*bytes.get(at + 1..)?.first_chunk()?));
            if length < 2 {
                return None;
            }
            let rest = bytes.get(at + 3..)?;
            position = at + 1 + length;
            return Some(Segment {
                marker,
                at,
                body: &rest[..(length - 2).min(rest.len())],
            });
        }
    })
}

/// Finds the code of the next marker; stuffed zeros and fill bytes are none.
fn next_code(bytes: &[u8], mut position: usize) -> Option<usize> {
    loop {
        position += memchr::memchr(0xFF, bytes.get(position..)?)?;
        while *bytes.get(position)? == 0xFF {
            position += 1;
        }
        if bytes[position] != 0 {
            return Some(position);
        }
    }
}

/// Returns the file as every decoder reads it.
///
/// # Errors
/// `Unsupported` (`unsupported_image_type`) for a lossless, hierarchical, arithmetic-coded or 12-bit JPEG, by name.
pub(crate) fn prepared(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    let segments: Vec<Segment<'_>> = header_segments(bytes).collect();
    let Some(frame) = segments.iter().find(|segment| {
        matches!(segment.marker, 0xC0..=0xCF | 0xF7) && !matches!(segment.marker, 0xC4 | 0xC8 | 0xCC)
    }) else {
        return Ok(Cow::Borrowed(bytes));
    };
    refuse_kind(frame)?;
    let components = frame.body.get(5).copied().unwrap_or(0);
    let is_jfif = segments
        .iter()
        .any(|segment| segment.marker == 0xE0 && segment.body.starts_with(b"JFIF\0"));
    let mut changes: Vec<(usize, u8)> = Vec::new();
    for segment in segments.iter().filter(|segment| segment.marker == 0xEE) {
        const TRANSFORM: usize = 11;
        let is_adobe = segment.body.starts_with(b"Adobe");
        match segment.body.get(TRANSFORM).filter(|_| is_adobe) {
            // Too short, or not Adobe's: libjpeg skips it like a comment.
            None => changes.push((segment.at, 0xFE)),
            Some(&transform) => {
                let understood = match (components, transform) {
                    (3, 0) if !is_jfif => 0,
                    (3, _) => 1,
                    (4, 0) => 0,
                    (4, _) => 2,
                    _ => {
                        changes.push((segment.at, 0xFE));
                        continue;
                    }
                };
                if understood != transform {
                    changes.push((segment.at + 3 + TRANSFORM, understood));
                }
            }
        }
    }
    let has_gaps = has_gaps(bytes, &segments);
    if changes.is_empty() && !has_gaps {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut changed = bytes.to_vec();
    for (at, value) in changes {
        changed[at] = value;
    }
    Ok(Cow::Owned(if has_gaps {
        without_gaps(&changed, &segments)
    } else {
        changed
    }))
}

fn refuse_kind(frame: &Segment<'_>) -> Result<()> {
    let kind = match frame.marker {
        0xC0..=0xC2 => match frame.body.first() {
            Some(8) | None => return Ok(()),
            Some(depth) => return refuse(&format!("{depth}-bit JPEG")),
        },
        0xC3 | 0xC7 | 0xCB | 0xCF => "lossless JPEG",
        0xC5 | 0xC6 | 0xCD | 0xCE => "hierarchical JPEG",
        0xF7 => "JPEG-LS",
        _ => "arithmetic-coded JPEG",
    };
    refuse(kind)
}

fn refuse(kind: &str) -> Result<()> {
    Err(not_read(&format!(
        "{kind} is not read: export the photo as ordinary JPEG (8 bits, Huffman-coded) or PNG"
    )))
}

/// Returns whether other bytes than fill bytes stand between segments.
fn has_gaps(bytes: &[u8], segments: &[Segment<'_>]) -> bool {
    let mut end = 2;
    segments.iter().any(|segment| {
        let gap = bytes.get(end..segment.at).unwrap_or_default();
        end = segment.at + 3 + segment.body.len();
        gap.iter().any(|byte| *byte != 0xFF)
    })
}

fn without_gaps(bytes: &[u8], segments: &[Segment<'_>]) -> Vec<u8> {
    let mut joined = bytes[..2].to_vec();
    let mut end = 2;
    for segment in segments {
        end = segment.at + 3 + segment.body.len();
        joined.push(0xFF);
        joined.extend_from_slice(&bytes[segment.at..end]);
    }
    joined.extend_from_slice(&bytes[end..]);
    joined
}

/// Finds the end mark, `EOI`, after the first scan; returns whether there is one.
pub(crate) fn has_end(bytes: &[u8]) -> bool {
    let mut position = 2;
    while let Some(at) = next_code(bytes, position) {
        match bytes[at] {
            0xD9 => return true,
            0x01 | 0xD0..=0xD8 => position = at + 1,
            _ => {
                let Some(length) = bytes.get(at + 1..).and_then(|rest| rest.first_chunk()) else {
                    return false;
                };
                let length = usize::from(u16::from_be_bytes(*length));
                if length < 2 {
                    return true;
                }
                position = at + 1 + length;
            }
        }
    }
    false
}
