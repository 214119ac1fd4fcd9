//! Finds the EXIF block of a file and takes it apart.

use std::io::Cursor;

use exif::{Error, Exif, Reader};
use tracing::debug;

/// What some writers of WebP put before the block, as JPEG does.
const JPEG_PREFIX: &[u8] = b"Exif\0\0";

/// Finds and parses the block; `None` where there is none, or none that can be understood at all. Of a block that
/// is damaged in part, the sound part counts.
pub(crate) fn find(file: &[u8]) -> Option<Exif> {
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    let parsed = match webp_block(file) {
        Some(block) => reader.read_raw(block.strip_prefix(JPEG_PREFIX).unwrap_or(block).to_vec()),
        None => reader.read_from_container(&mut Cursor::new(jpeg_header(file))),
    };
    let parsed = parsed.or_else(|error| {
        error.distill_partial_result(|errors| {
            debug!(errors = errors.len(), "EXIF is damaged in part");
        })
    });
    match parsed {
        Ok(exif) => Some(exif),
        Err(Error::NotFound(_)) => None,
        Err(error) => {
            debug!(%error, "no EXIF can be read");
            None
        }
    }
}

/// Cuts a JPEG before its compressed data, behind which no EXIF comes; leaves other files whole.
fn jpeg_header(file: &[u8]) -> &[u8] {
    const SOI: &[u8] = &[0xff, 0xd8];
    const SOS: u8 = 0xda;
    if !file.starts_with(SOI) {
        return file;
    }
    let mut at = SOI.len();
    while let Some([0xff, marker, high, low]) = file.get(at..at + 4) {
        if *marker == SOS {
            return &file[..at];
        }
        at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
    }
    file
}

/// Finds the `EXIF` chunk of a WebP file.
fn webp_block(file: &[u8]) -> Option<&[u8]> {
    if file.get(..4)? != b"RIFF" || file.get(8..12)? != b"WEBP" {
        return None;
    }
    let mut rest = file.get(12..)?;
    while let (Some(name), Some(size)) = (rest.get(..4), rest.get(4..8)) {
        let size = usize::try_from(u32::from_le_bytes(size.try_into().ok()?)).ok()?;
        let end = size.checked_add(8)?;
        if name == b"EXIF" {
            return rest.get(8..end);
        }
        rest = rest.get(end.checked_add(size % 2)?..)?;
    }
    None
}
