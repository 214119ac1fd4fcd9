//! One strip or tile of a TIFF: from its stored bytes to its packed samples.

use std::io::Read;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

use super::fax;
use super::layout::{Colour, Compression, Layout, Refusal};

/// Packed samples, rows one after another; fewer rows where the data ends early.
pub(super) struct Samples {
    pub(super) bytes: Vec<u8>,
    pub(super) bits: u32,
    pub(super) colour: Colour,
    /// Whether samples of 16 bits and more are in the byte order of the file.
    pub(super) is_in_file_order: bool,
}

/// Expands a piece of `rows` rows of which `stored` are the bytes.
pub(super) fn expand(
    layout: &Layout,
    tables: Option<&[u8]>,
    stored: &[u8],
    rows: u32,
) -> Result<Samples, Refusal> {
    let reversed: Vec<u8>;
    let is_reversed = layout.is_bit_reversed
        && !matches!(
            layout.compression,
            Compression::Jpeg | Compression::WebP | Compression::Zstd
        );
    let stored = if is_reversed {
        reversed = stored.iter().map(|byte| byte.reverse_bits()).collect();
        &reversed[..]
    } else {
        stored
    };
    let length = piece_bytes(layout, rows).ok_or(Refusal::Damaged("a part of the picture is too large"))?;
    let plain = |bytes| Samples {
        bytes,
        bits: layout.bits,
        colour: layout.colour,
        is_in_file_order: true,
    };
    Ok(match layout.compression {
        Compression::None => plain(stored[..length.min(stored.len())].to_vec()),
        Compression::Huffman | Compression::Fax3 | Compression::Fax4 => {
            let options = layout.fax_options;
            plain(fax::decode(
                stored,
                layout.compression,
                options,
                layout.piece_width,
                rows,
            ))
        }
        Compression::Lzw => plain(lzw(stored, length)),
        Compression::Deflate => plain(read_up_to(flate2::read::ZlibDecoder::new(stored), length)),
        Compression::PackBits => plain(pack_bits(stored, length)),
        Compression::Zstd => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(stored)
                .map_err(|_| Refusal::Damaged("a part of the picture is not Zstandard"))?;
            plain(read_up_to(decoder, length))
        }
        Compression::Jpeg => jpeg(layout, tables, stored, rows)?,
        Compression::WebP => webp(layout, stored, rows)?,
        Compression::OldJpeg => {
            return Err(Refusal::Unread("a TIFF with old-style JPEG in pieces".to_owned()));
        }
    })
}

/// Returns how many bytes a piece has when expanded.
pub(super) fn piece_bytes(layout: &Layout, rows: u32) -> Option<usize> {
    if layout.is_subsampled() {
        let (across, down) = layout.subsampling;
        let units = layout.piece_width.div_ceil(across) as usize * rows.div_ceil(down) as usize;
        return units.checked_mul((across * down) as usize + 2);
    }
    row_bytes(layout.piece_width, layout.piece_samples(), layout.bits)?.checked_mul(rows as usize)
}

/// Returns how many bytes a row has.
pub(super) fn row_bytes(width: u32, samples: usize, bits: u32) -> Option<usize> {
    let bits = u64::from(width)
        .checked_mul(samples as u64)?
        .checked_mul(u64::from(bits))?;
    usize::try_from(bits.div_ceil(8)).ok()
}

impl Layout {
    /// Returns whether chroma is stored once for several pixels, in units that mix luma and chroma.
    pub(super) fn is_subsampled(&self) -> bool {
        self.colour == Colour::YCbCr
            && self.subsampling != (1, 1)
            && !self.is_planar
            && self.bits == 8
            && self.samples == 3
            && !matches!(
                self.compression,
                Compression::Jpeg | Compression::OldJpeg | Compression::WebP
            )
    }
}

/// Reads up to `length` bytes; what comes before an error counts.
fn read_up_to(reader: impl Read, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Pieces that end early are found by their length.
    let _ = reader.take(length as u64).read_to_end(&mut bytes);
    bytes
}

fn lzw(stored: &[u8], length: usize) -> Vec<u8> {
    use weezl::{BitOrder, LzwStatus, decode::Configuration};
    // Before TIFF 6.0 some writers began with the lowest bit; the first code is always the one to clear the table.
    let is_old = matches!(stored, [0, second, ..] if second & 1 == 1);
    let configuration = if is_old {
        Configuration::new(BitOrder::Lsb, 8)
    } else {
        Configuration::with_tiff_size_switch(BitOrder::Msb, 8)
    };
    let mut decoder = configuration.with_yield_on_full_buffer(true).build();
    let mut bytes = vec![0; length];
    let (mut input, mut written) = (stored, 0);
    while written < length {
        let result = decoder.decode_bytes(input, &mut bytes[written..]);
        input = &input[result.consumed_in..];
        written += result.consumed_out;
        match result.status {
            Ok(LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 => {}
            _ => break,
        }
    }
    bytes.truncate(written);
    bytes
}

/// TIFF 6.0 section 9.
fn pack_bits(mut stored: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length
        && let Some((&header, rest)) = stored.split_first()
    {
        stored = match header {
            0..=127 => {
                let (literal, rest) = rest.split_at((usize::from(header) + 1).min(rest.len()));
                bytes.extend_from_slice(literal);
                rest
            }
            128 => rest,
            129..=255 => {
                let Some((&value, rest)) = rest.split_first() else {
                    break;
                };
                bytes.resize(bytes.len() + 257 - usize::from(header), value);
                rest
            }
        };
    }
    bytes.truncate(length);
    bytes
}

/// Joins the tables that all pieces share and a piece, and says what its components are: TIFF does so in a tag, JPEG in a
/// segment of Adobe's.
fn joined(layout: &Layout, tables: Option<&[u8]>, stored: &[u8]) -> Option<Vec<u8>> {
    let body = stored.strip_prefix(&[0xFF, 0xD8])?;
    let transform = u8::from(layout.colour == Colour::YCbCr);
    let mut file = vec![0xFF, 0xD8];
    if let Some(tables) = tables.and_then(|tables| tables.strip_prefix(&[0xFF, 0xD8])) {
        let tables = tables.strip_suffix(&[0xFF, 0xD9]).unwrap_or(tables);
        file.extend_from_slice(tables);
    }
    if layout.piece_samples() > 1 && find_adobe(body).is_none() {
        file.extend_from_slice(&[0xFF, 0xEE, 0, 14]);
        file.extend_from_slice(b"Adobe\0\x64\0\0\0\0");
        file.push(transform);
    }
    let start = file.len();
    file.extend_from_slice(body);
    if let Some(at) = find_adobe(body) {
        // The tag of the TIFF is the truth, as libtiff has it.
        file[start + at + 15] = transform;
    }
    Some(file)
}

/// Finds Adobe's segment among those before the frame; returns where its marker is.
fn find_adobe(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(&[0xFF, marker, high, low]) = body.get(at..at + 4) {
        if marker == 0xEE && body.get(at + 4..at + 9) == Some(b"Adobe") && body.len() > at + 15 {
            return Some(at);
        }
        if (0xC0..=0xC2).contains(&marker) || marker == 0xDA {
            return None;
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
    None
}

/// Decodes a JPEG to its components as they are; luma and chroma become RGB.
fn jpeg(layout: &Layout, tables: Option<&[u8]>, stored: &[u8], rows: u32) -> Result<Samples, Refusal> {
    let damaged = || Refusal::Damaged("a part of the picture is not JPEG");
    let file = joined(layout, tables, stored).ok_or_else(damaged)?;
    let samples = layout.piece_samples();
    let (space, colour) = match (layout.colour, samples) {
        (_, 1) => (ColorSpace::Luma, layout.colour),
        (Colour::YCbCr, 3) | (Colour::Rgb, 3) => (ColorSpace::RGB, Colour::Rgb),
        (Colour::Cmyk, 4) => (ColorSpace::CMYK, Colour::Cmyk),
        _ => {
            return Err(Refusal::Unread(format!(
                "a TIFF of JPEGs with {samples} components"
            )));
        }
    };
    if layout.bits != 8 {
        return Err(Refusal::Unread(format!("a TIFF of {}-bit JPEGs", layout.bits)));
    }
    // Encoders fill the last units.
    let filled = |side: u32| side.saturating_add(32);
    let at_most = (filled(layout.piece_width), filled(layout.piece_height));
    let (pixels, width, height) = decode_jpeg(&file, space, at_most).ok_or_else(damaged)?;
    Ok(Samples {
        bytes: fit(
            &pixels,
            width * samples,
            height,
            layout.piece_width as usize * samples,
            rows,
        ),
        bits: 8,
        colour,
        is_in_file_order: false,
    })
}

/// Decodes a JPEG that is no larger than `at_most` into `space`; returns its bytes, width and height.
pub(super) fn decode_jpeg(
    file: &[u8],
    space: ColorSpace,
    at_most: (u32, u32),
) -> Option<(Vec<u8>, usize, usize)> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(space)
        .set_strict_mode(false)
        .set_max_width(at_most.0 as usize)
        .set_max_height(at_most.1 as usize);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_headers().ok()?;
    let info = decoder.info()?;
    let pixels = decoder.decode().ok()?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    (pixels.len() == width * height * space.num_components()).then_some((pixels, width, height))
}

fn webp(layout: &Layout, stored: &[u8], rows: u32) -> Result<Samples, Refusal> {
    let damaged = || Refusal::Damaged("a part of the picture is not WebP");
    let mut decoder = image_webp::WebPDecoder::new(std::io::Cursor::new(stored)).map_err(|_| damaged())?;
    let (width, height) = decoder.dimensions();
    if width > layout.piece_width || height > layout.piece_height || layout.bits != 8 {
        return Err(damaged());
    }
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or_else(damaged)?];
    decoder.read_image(&mut pixels).map_err(|_| damaged())?;
    let samples = layout.piece_samples();
    let mut bytes = Vec::with_capacity(pixels.len() / channels * samples);
    for pixel in pixels.chunks_exact(channels) {
        bytes.extend((0..samples).map(|at| pixel.get(at).copied().unwrap_or(255)));
    }
    Ok(Samples {
        bytes: fit(
            &bytes,
            width as usize * samples,
            height as usize,
            layout.piece_width as usize * samples,
            rows,
        ),
        bits: 8,
        colour: layout.colour,
        is_in_file_order: false,
    })
}

/// Brings rows to another length: what is too long is cut, what is too short is filled with zeros.
fn fit(rows: &[u8], length: usize, count: usize, wanted: usize, at_most: u32) -> Vec<u8> {
    let count = count.min(at_most as usize);
    if length == wanted {
        return rows[..length * count].to_vec();
    }
    let mut fitted = vec![0; wanted * count];
    for (from, to) in rows.chunks_exact(length).zip(fitted.chunks_exact_mut(wanted)) {
        let common = length.min(wanted);
        to[..common].copy_from_slice(&from[..common]);
    }
    fitted
}
