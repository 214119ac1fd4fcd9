//! Whether all pixels of a picture are in its file.
//!
//! A decoder fills what is missing with grey and says nothing; a photo cut short by a broken transfer should be
//! noticed at upload. A file that reaches the end mark of its format is whole, which is known from its structure without
//! decoding. One that doesn't may still hold every pixel: then it is decoded to find out, and repaired for decoders that
//! insist on the mark.

use std::io::Cursor;

use image::ImageReader;
use zune_core::bytestream::ZCursor;
use zune_core::options::DecoderOptions;

use super::boxes::Boxes;
use super::metadata::png_chunks;
use super::{ImageFormat, jpeg, png_rows, tiff};
use lucida_core::DecodeSize;

/// How much of a picture its file holds.
#[derive(Debug)]
pub(super) enum Completeness {
    /// All of it.
    Whole,
    /// All pixels, but not the end that the format asks for: these bytes have it.
    Repaired(Vec<u8>),
    /// Pixels are missing; the bytes are what a decoder gets that shall do what it can.
    Cut(Vec<u8>),
}

/// What is put in place of missing data: where that makes a difference, pixels were missing. Both differ in each bit.
const FILLS: [u8; 2] = [0x00, 0xFE];

/// A decoder reads no further ahead than this.
const FILL_BYTES: usize = 4096;

/// Looks at a file's structure, and at its pixels where the structure ends too early.
pub(super) fn inspect(format: ImageFormat, bytes: &[u8]) -> Completeness {
    match format {
        ImageFormat::Jpeg => jpeg_file(bytes),
        ImageFormat::Png => png(bytes),
        ImageFormat::Gif => gif(bytes),
        ImageFormat::Webp => webp(bytes),
        ImageFormat::Bmp => bmp(bytes),
        ImageFormat::Tiff => {
            // Counts that are too large are common; then the pieces themselves decide.
            if tiff::has_all_pieces(bytes) || tiff::decode(bytes, false, DecodeSize::ANY).is_ok() {
                Completeness::Whole
            } else {
                Completeness::Cut(bytes.to_vec())
            }
        }
        ImageFormat::Heic => heif(bytes),
    }
}

/// Decodes a file with each of two fills; the same pixels mean that the fill was not looked at.
fn is_filled_alike(make: impl Fn(&[u8]) -> Vec<u8>, decode: impl Fn(Vec<u8>) -> Option<Vec<u8>>) -> bool {
    let decoded = |fill: u8| Some(blake3::hash(&decode(make(&[fill; FILL_BYTES]))?));
    let [first, second] = FILLS;
    decoded(first).is_some_and(|pixels| decoded(second) == Some(pixels))
}

/// Decodes a JPEG that must be sound: another is given up halfway, whatever follows.
fn strict_jpeg(file: Vec<u8>) -> Option<Vec<u8>> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(file), options)
        .decode()
        .ok()
}

fn webp_pixels(file: Vec<u8>) -> Option<Vec<u8>> {
    let reader = ImageReader::with_format(Cursor::new(file), image::ImageFormat::WebP);
    Some(reader.decode().ok()?.into_bytes())
}

/// JPEG, ITU T.81 annex B: marker segments up to `EOI`; entropy-coded data follows each `SOS`.
fn jpeg_file(bytes: &[u8]) -> Completeness {
    const END: [u8; 2] = [0xFF, 0xD9];
    if jpeg::has_end(bytes) {
        return Completeness::Whole;
    }
    // What is left of a cut end mark is not data.
    let data = bytes.strip_suffix(&[0xFF]).unwrap_or(bytes);
    let repaired = [data, &END].concat();
    let Ok(prepared) = jpeg::prepared(data) else {
        return Completeness::Cut(repaired);
    };
    if is_filled_alike(|fill| [&*prepared, fill, &END].concat(), strict_jpeg) {
        Completeness::Repaired(repaired)
    } else {
        Completeness::Cut(repaired)
    }
}

/// PNG, section 5: chunks up to `IEND`.
fn png(bytes: &[u8]) -> Completeness {
    let mut repaired = bytes[..bytes.len().min(8)].to_vec();
    for chunk in png_chunks(bytes) {
        if &chunk.kind == b"IEND" {
            if chunk.is_whole {
                return Completeness::Whole;
            }
            break;
        }
        // Of what is cut off only pixels are worth keeping.
        if chunk.is_whole || &chunk.kind == b"IDAT" {
            push_chunk(&mut repaired, chunk.kind, chunk.body);
        }
    }
    push_chunk(&mut repaired, *b"IEND", &[]);
    if png_rows::has_all_rows(&repaired) {
        Completeness::Repaired(repaired)
    } else {
        Completeness::Cut(repaired)
    }
}

fn push_chunk(file: &mut Vec<u8>, kind: [u8; 4], body: &[u8]) {
    let mut crc = flate2::Crc::new();
    crc.update(&kind);
    crc.update(body);
    file.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    file.extend(kind);
    file.extend(body);
    file.extend(crc.sum().to_be_bytes());
}

/// GIF89a: blocks up to the trailer.
fn gif(bytes: &[u8]) -> Completeness {
    const TRAILER: u8 = 0x3B;
    let table = |flags: u8| {
        if flags & 0x80 == 0 {
            0
        } else {
            3 << ((flags & 7) + 1)
        }
    };
    let cut = || Completeness::Cut(bytes.to_vec());
    let Some(screen) = bytes.first_chunk::<13>() else {
        return cut();
    };
    let mut at = 13 + table(screen[10]);
    let mut has_picture = false;
    let repaired = |end: usize| [&bytes[..end], &[TRAILER]].concat();
    loop {
        let block = at;
        let (data, pixels) = match bytes.get(at) {
            // What follows is not the picture's.
            Some(&TRAILER) => return Completeness::Whole,
            None if has_picture => return Completeness::Repaired(repaired(bytes.len())),
            Some(0x21) => (at + 2, None),
            Some(0x2C) => {
                let Some(descriptor) = bytes.get(at + 1..).and_then(|rest| rest.first_chunk::<9>()) else {
                    return if has_picture {
                        Completeness::Repaired(repaired(block))
                    } else {
                        cut()
                    };
                };
                let side =
                    |low: usize| usize::from(u16::from_le_bytes([descriptor[low], descriptor[low + 1]]));
                (at + 10 + table(descriptor[8]) + 1, Some(side(4) * side(6)))
            }
            // A block of no kind: the decoder decides.
            Some(_) => return Completeness::Whole,
            None => return cut(),
        };
        let (data_bytes, end) = sub_blocks(bytes, data);
        match (end, pixels) {
            (Some(end), pixels) => {
                at = end;
                has_picture |= pixels.is_some();
            }
            (None, None) if has_picture => return Completeness::Repaired(repaired(block)),
            (None, None) => return cut(),
            (None, Some(pixels)) => {
                let depth = bytes.get(data - 1).copied().unwrap_or(0);
                let mut file = bytes[..data.min(bytes.len())].to_vec();
                for part in data_bytes.chunks(255) {
                    file.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
                    file.extend_from_slice(part);
                }
                file.extend([0, TRAILER]);
                return if gif_pixels(depth, &data_bytes, pixels) >= pixels {
                    Completeness::Repaired(file)
                } else {
                    Completeness::Cut(file)
                };
            }
        }
    }
}

/// Joins the data from sub-blocks; also returns where they end, `None` where the file ends before them.
fn sub_blocks(bytes: &[u8], mut at: usize) -> (Vec<u8>, Option<usize>) {
    let mut joined = Vec::new();
    while let Some(&length) = bytes.get(at) {
        if length == 0 {
            return (joined, Some(at + 1));
        }
        let rest = &bytes[at + 1..];
        let length = usize::from(length);
        joined.extend_from_slice(&rest[..length.min(rest.len())]);
        at += 1 + length;
    }
    (joined, None)
}

/// Counts the pixels that compressed data holds, up to `at_most`.
fn gif_pixels(depth: u8, data: &[u8], at_most: usize) -> usize {
    if !(1..=8).contains(&depth) {
        return 0;
    }
    let mut decoder = weezl::decode::Decoder::new(weezl::BitOrder::Lsb, depth);
    let (mut input, mut pixels) = (data, 0);
    let mut buffer = [0; 4096];
    while pixels < at_most {
        let result = decoder.decode_bytes(input, &mut buffer);
        input = &input[result.consumed_in..];
        pixels += result.consumed_out;
        if !matches!(result.status, Ok(weezl::LzwStatus::Ok)) || result.consumed_in + result.consumed_out == 0
        {
            break;
        }
    }
    pixels
}

/// WebP: the RIFF header holds the size of all that follows it.
fn webp(bytes: &[u8]) -> Completeness {
    let cut = || Completeness::Cut(bytes.to_vec());
    let Some(&[_, _, _, _, a, b, c, d, ..]) = bytes.first_chunk::<12>() else {
        return cut();
    };
    let size = u64::from(u32::from_le_bytes([a, b, c, d]));
    if size + 8 <= bytes.len() as u64 {
        return Completeness::Whole;
    }
    let mut end = 12;
    let mut has_picture = false;
    while let Some(&[a, b, c, d, size @ ..]) = bytes.get(end..).and_then(|rest| rest.first_chunk::<8>()) {
        let size = u32::from_le_bytes(size) as usize;
        let kind = [a, b, c, d];
        let is_picture = matches!(&kind, b"VP8 " | b"VP8L" | b"ANMF");
        let body_end = end + 8 + size;
        if body_end <= bytes.len() {
            has_picture |= is_picture;
            end = body_end + size % 2;
            continue;
        }
        if !is_picture || &kind == b"ANMF" {
            break;
        }
        // The pixels themselves are cut, or only what pads them.
        let make = |fill: &[u8]| {
            let body = [&bytes[end + 8..], fill].concat();
            riff(&bytes[12..end], kind, &body)
        };
        return if is_filled_alike(make, webp_pixels) {
            Completeness::Repaired(make(&[]))
        } else {
            Completeness::Cut(make(&[]))
        };
    }
    let end = end.min(bytes.len());
    let mut repaired = bytes[..end].to_vec();
    if repaired.len() % 2 == 1 {
        repaired.push(0);
    }
    let size = u32::try_from(repaired.len() - 8).unwrap_or(u32::MAX);
    repaired[4..8].copy_from_slice(&size.to_le_bytes());
    // An animation that is cut lacks pictures, though not the first.
    let is_animated = bytes.get(end..end + 4) == Some(b"ANMF");
    if has_picture && !is_animated {
        Completeness::Repaired(repaired)
    } else {
        Completeness::Cut(repaired)
    }
}

fn riff(chunks: &[u8], kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
    file.extend_from_slice(chunks);
    file.extend(kind);
    file.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    file.extend_from_slice(body);
    if body.len() % 2 == 1 {
        file.push(0);
    }
    let size = u32::try_from(file.len() - 8).unwrap_or(u32::MAX);
    file[4..8].copy_from_slice(&size.to_le_bytes());
    file
}

/// BMP: pixels of a known size at a known place; the file's own size in its header is often wrong.
fn bmp(bytes: &[u8]) -> Completeness {
    let u32_at = |at: usize| {
        bytes
            .get(at..)?
            .first_chunk()
            .map(|number| u32::from_le_bytes(*number))
    };
    let u16_at = |at: usize| {
        bytes
            .get(at..)?
            .first_chunk()
            .map(|number| u16::from_le_bytes(*number))
    };
    let needed = || -> Option<u64> {
        let offset = u64::from(u32_at(10)?);
        let (width, height, bits, compression) = match u32_at(14)? {
            12 => (u16_at(18)?.into(), u16_at(20)?.into(), u16_at(24)?, 0),
            _ => (
                u32_at(18)?,
                u32_at(22)?.cast_signed().unsigned_abs(),
                u16_at(28)?,
                u32_at(30)?,
            ),
        };
        let row = (u64::from(width) * u64::from(bits)).div_ceil(32) * 4;
        // The size of run-lengths is not known in advance.
        matches!(compression, 0 | 3 | 6).then(|| row.saturating_mul(height.into()).saturating_add(offset))
    };
    let size = bytes.len() as u64;
    let stated = u32_at(2).map(u64::from);
    let is_whole = match needed() {
        Some(needed) => needed <= size,
        None if stated.is_some_and(|stated| stated <= size) => true,
        None => ImageReader::with_format(Cursor::new(bytes), image::ImageFormat::Bmp)
            .decode()
            .is_ok(),
    };
    if is_whole {
        Completeness::Whole
    } else {
        Completeness::Cut(bytes.to_vec())
    }
}

/// HEIC, ISO 14496-12 section 4.2: boxes with their sizes, side by side to the end.
fn heif(bytes: &[u8]) -> Completeness {
    let mut at = 0_usize;
    let cut_box = loop {
        let Some(header) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) else {
            // A few bytes behind the last box are no picture.
            if at == bytes.len() {
                return Completeness::Whole;
            }
            break at;
        };
        let [a, b, c, d, ..] = *header;
        let length = match u32::from_be_bytes([a, b, c, d]) {
            // The last box may reach to the end, however far that is.
            0 => return Completeness::Whole,
            1 => match bytes.get(at + 8..).and_then(|rest| rest.first_chunk()) {
                Some(length) => u64::from_be_bytes(*length),
                None => break at,
            },
            length => length.into(),
        };
        if length < 8 {
            return Completeness::Whole;
        }
        match usize::try_from(length)
            .ok()
            .and_then(|length| at.checked_add(length))
        {
            Some(next) if next <= bytes.len() => at = next,
            _ => break at,
        }
    };
    // All items that make the picture may come before the cut.
    let is_there = Boxes::read(bytes).is_some_and(|boxes| {
        let tiles = boxes.referred(b"dimg", boxes.primary);
        let alpha = boxes.referring(b"auxl", boxes.primary);
        let items = tiles.iter().chain(&alpha).chain([&boxes.primary]);
        boxes.is_whole(boxes.primary) && items.into_iter().all(|id| boxes.is_whole(*id))
    });
    if !is_there {
        return Completeness::Cut(bytes.to_vec());
    }
    let is_data = bytes.get(cut_box + 4..cut_box + 8) == Some(b"mdat");
    let rest = u32::try_from(bytes.len() - cut_box).ok();
    match rest.filter(|_| is_data && bytes[cut_box..].first_chunk() != Some(&[0, 0, 0, 1])) {
        Some(rest) => {
            let mut repaired = bytes.to_vec();
            repaired[cut_box..cut_box + 4].copy_from_slice(&rest.to_be_bytes());
            Completeness::Repaired(repaired)
        }
        None => Completeness::Repaired(bytes[..cut_box].to_vec()),
    }
}
