//! TIFF: the first picture of a file, in nearly every form that programs write.
//!
//! Strips and tiles, chunky and planar, 1 to 64 bits, grey, palette, RGB, CMYK, YCbCr and Lab, compressed by any of
//! `Compression`. Pieces are expanded one at a time, so beside the picture only one of them is in memory.

mod colour;
pub(super) mod directory;
mod fax;
mod layout;
mod piece;

use image::RgbImage;
use zune_core::colorspace::ColorSpace;

use colour::{Painter, Reader, YCbCr};
use directory::{Directory, File, tag};
use layout::{Alpha, Colour, Compression, Format, Layout, Refusal};

use super::canvas::{Canvas, Decoded, DeepGrey, divisor_for, is_hidden};
use super::error::{corrupt, not_read, truncated};
use lucida_core::{DecodeSize, Error, Result};

/// The most bytes that a piece may have when expanded.
const MAX_PIECE_BYTES: usize = 2 << 30;

/// Returns width and height in pixels as stored.
///
/// # Errors
/// Those of [`super::decode`].
pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32)> {
    let (file, directory) = open(bytes)?;
    let layout = Layout::read(file, &directory).map_err(refused)?;
    Ok((layout.width, layout.height))
}

/// Decodes the first picture; a missing rest is an error unless `accept_truncated`.
///
/// The picture is reduced by averaging while it is read, to a fraction that meets `size`.
///
/// # Errors
/// Those of [`super::decode`].
pub(super) fn decode(bytes: &[u8], accept_truncated: bool, size: DecodeSize) -> Result<Decoded> {
    let (file, directory) = open(bytes)?;
    let layout = Layout::read(file, &directory).map_err(refused)?;
    if layout.compression == Compression::OldJpeg {
        return old_jpeg(file, &directory, &layout);
    }
    let tables = directory.bytes(tag::JPEG_TABLES);
    let decoding = Decoding {
        file,
        layout: &layout,
        tables,
        accept_truncated,
    };
    let is_deep_grey = matches!(layout.colour, Colour::Grey(_))
        && (layout.bits > 8 || layout.format == Format::Float)
        && !matches!(layout.compression, Compression::Jpeg | Compression::WebP);
    if is_deep_grey {
        decoding.deep_grey()
    } else {
        let divisor = divisor_for(layout.width, layout.height, size);
        decoding.colours(divisor)
    }
}

/// Returns whether every strip and tile reaches to its end within the file.
pub(super) fn has_all_pieces(bytes: &[u8]) -> bool {
    let Ok((file, directory)) = open(bytes) else {
        return true;
    };
    let Ok(layout) = Layout::read(file, &directory) else {
        return true;
    };
    layout
        .offsets
        .iter()
        .zip(&layout.byte_counts)
        .all(|(offset, count)| offset.saturating_add(*count) <= bytes.len() as u64)
}

fn open(bytes: &[u8]) -> Result<(File<'_>, Directory<'_>)> {
    let file = File::open(bytes).ok_or_else(truncated)?;
    let directory = file.first_directory().ok_or_else(truncated)?;
    if let Some(name) = raw_name(&directory) {
        return Err(not_read(&format!(
            "{name} raw is not read: export the photo as JPEG, or as TIFF"
        )));
    }
    Ok((file, directory))
}

/// Recognises the raw files of cameras, which are TIFFs whose first picture is a small preview.
fn raw_name(directory: &Directory<'_>) -> Option<&'static str> {
    const COLOUR_FILTER_ARRAY: u64 = 32803;
    const LINEAR_RAW: u64 = 34892;
    const CAMERA_COMPRESSIONS: [u64; 4] = [32767, 32769, 32770, 34713];
    const MAKERS: [(&[u8], &str); 11] = [
        (b"nikon", "Nikon"),
        (b"canon", "Canon"),
        (b"sony", "Sony"),
        (b"pentax", "Pentax"),
        (b"ricoh", "Ricoh"),
        (b"samsung", "Samsung"),
        (b"hasselblad", "Hasselblad"),
        (b"phase one", "Phase One"),
        (b"leica", "Leica"),
        (b"kodak", "Kodak"),
        (b"eastman kodak", "Kodak"),
    ];
    let make = directory
        .bytes(tag::MAKE)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let maker = || {
        MAKERS
            .iter()
            .find(|(start, _)| make.starts_with(start))
            .map(|(_, name)| *name)
    };
    if directory.has(tag::DNG_VERSION) {
        return Some("DNG");
    }
    let is_raw = directory
        .number(tag::PHOTOMETRIC)
        .is_some_and(|kind| [COLOUR_FILTER_ARRAY, LINEAR_RAW].contains(&kind))
        || directory
            .number(tag::COMPRESSION)
            .is_some_and(|kind| CAMERA_COMPRESSIONS.contains(&kind));
    // The raw picture is in a directory below that of the preview.
    let is_preview = directory.has(tag::SUB_DIRECTORIES)
        && (directory.number(tag::NEW_SUBFILE_TYPE).unwrap_or(0) & 1 == 1
            || directory.number(tag::COMPRESSION) == Some(6)
            || !directory.has(tag::WIDTH));
    if is_raw {
        return Some(maker().unwrap_or("camera"));
    }
    maker().filter(|_| is_preview)
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Damaged(what) => corrupt(&format!("the picture can't be decoded: {what}")),
        Refusal::Unread(kind) => not_read(&format!("{kind} is not read: export the photo as JPEG or PNG")),
    }
}

struct Decoding<'a> {
    file: File<'a>,
    layout: &'a Layout,
    tables: Option<&'a [u8]>,
    accept_truncated: bool,
}

/// All planes of a piece, as one or more bands of rows.
struct Bands {
    planes: Vec<piece::Samples>,
    /// Bytes of a row in each plane.
    row_bytes: usize,
}

impl Decoding<'_> {
    /// Expands the piece at `index` of a plane, with all its planes.
    fn bands(&self, index: usize, rows: u32, needed_rows: u32) -> Result<Bands> {
        let layout = self.layout;
        let planes = if layout.is_planar { layout.samples } else { 1 };
        let per_plane = layout.pieces_across() as usize * layout.pieces_down() as usize;
        if piece::piece_bytes(layout, rows).is_none_or(|bytes| bytes > MAX_PIECE_BYTES) {
            return Err(corrupt("the picture can't be decoded: a part of it is too large"));
        }
        let mut bands = Vec::with_capacity(planes);
        let mut row_bytes = 0;
        for plane in 0..planes {
            let at = plane * per_plane + index;
            let stored = self.stored(layout.offsets[at], layout.byte_counts[at]);
            let samples = match piece::expand(layout, self.tables, stored, rows) {
                Ok(samples) => samples,
                Err(Refusal::Damaged(_)) if self.accept_truncated => piece::Samples {
                    bytes: Vec::new(),
                    bits: layout.bits,
                    colour: layout.colour,
                    is_in_file_order: true,
                },
                Err(refusal) => return Err(refused(refusal)),
            };
            row_bytes = piece::row_bytes(layout.piece_width, layout.piece_samples(), samples.bits)
                .ok_or_else(|| corrupt("the picture can't be decoded: a row of it is too long"))?;
            let needed = if layout.is_subsampled() {
                piece::piece_bytes(layout, needed_rows).unwrap_or(usize::MAX)
            } else {
                row_bytes.saturating_mul(needed_rows as usize)
            };
            if samples.bytes.len() < needed && !self.accept_truncated {
                return Err(truncated());
            }
            bands.push(samples);
        }
        let mut bands = Bands {
            planes: bands,
            row_bytes,
        };
        for samples in &mut bands.planes {
            self.undo_prediction(samples, row_bytes)?;
        }
        Ok(bands)
    }

    fn stored(&self, offset: u64, count: u64) -> &[u8] {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.file.bytes.get(start..).unwrap_or_default();
        &rest[..usize::try_from(count).unwrap_or(usize::MAX).min(rest.len())]
    }

    /// TIFF 6.0 section 14, and Adobe's technical note 3 for floating point.
    fn undo_prediction(&self, samples: &mut piece::Samples, row_bytes: usize) -> Result<()> {
        let step = self.layout.piece_samples();
        if !samples.is_in_file_order || row_bytes == 0 {
            return Ok(());
        }
        let size = self.layout.bits as usize / 8;
        match (self.layout.predictor, self.layout.bits) {
            (1 | 0, _) => {}
            (2, 8 | 16 | 32 | 64) => {
                for row in samples.bytes.chunks_mut(row_bytes) {
                    for at in step..row.len() / size {
                        let sum = self
                            .sample(row, at, size)
                            .wrapping_add(self.sample(row, at - step, size));
                        self.set_sample(row, at, size, sum);
                    }
                }
            }
            (3, 16 | 32 | 64) => {
                for row in samples.bytes.chunks_exact_mut(row_bytes) {
                    for at in step..row.len() {
                        row[at] = row[at].wrapping_add(row[at - step]);
                    }
                    let count = row.len() / size;
                    let mixed = row.to_vec();
                    for at in 0..count {
                        for byte in 0..size {
                            // The most significant bytes of all samples come first.
                            let place = if self.file.is_little_endian {
                                size - 1 - byte
                            } else {
                                byte
                            };
                            row[at * size + place] = mixed[byte * count + at];
                        }
                    }
                }
            }
            (other, bits) => {
                return Err(not_read(&format!(
                    "a TIFF with predictor {other} at {bits} bits is not read: export the photo as JPEG or PNG"
                )));
            }
        }
        Ok(())
    }

    fn sample(&self, row: &[u8], at: usize, size: usize) -> u64 {
        let bytes = &row[at * size..(at + 1) * size];
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if self.file.is_little_endian {
            bytes.iter().rev().fold(0, add)
        } else {
            bytes.iter().fold(0, add)
        }
    }

    fn set_sample(&self, row: &mut [u8], at: usize, size: usize, value: u64) {
        let bytes = &mut row[at * size..(at + 1) * size];
        if self.file.is_little_endian {
            bytes.copy_from_slice(&value.to_le_bytes()[..size]);
        } else {
            bytes.copy_from_slice(&value.to_be_bytes()[8 - size..]);
        }
    }

    /// Decodes what becomes 8 bits sample by sample; deep colours that are all but black also brightened.
    fn colours(&self, divisor: u32) -> Result<Decoded> {
        let mut decoded = self.painted(divisor, 1.0)?;
        let is_deep = self.layout.colour == Colour::Rgb
            && self.layout.bits > 8
            && !matches!(self.layout.compression, Compression::Jpeg | Compression::WebP);
        let brightest = decoded.pixels.iter().copied().max().unwrap_or(0);
        if is_deep && is_hidden((f32::from(brightest) + 0.5) / 255.0) {
            let brightest = self.brightest()?;
            if is_hidden(brightest) {
                decoded.brightened = Some(self.painted(divisor, 1.0 / brightest)?.pixels);
            }
        }
        Ok(decoded)
    }

    /// Returns the brightest of all colours as a part of the range.
    fn brightest(&self) -> Result<f32> {
        let layout = self.layout;
        let reader = self.reader(1.0);
        let (step, mut brightest) = (layout.piece_samples(), 0.0_f32);
        let count = layout.piece_width as usize * step;
        for (index, place) in layout.pieces().enumerate() {
            let needed_rows = place.rows.min(layout.height - place.y);
            let bands = self.bands(index, place.rows, needed_rows)?;
            // What follows the three colours is opacity or unknown.
            for plane in bands.planes.iter().take(3) {
                let rows = plane.bytes.chunks_exact(bands.row_bytes.max(1));
                for row in rows.take(needed_rows as usize) {
                    let values = reader.parts(row, count).into_iter().enumerate();
                    let colours = values.filter(|(at, value)| at % step < 3 && value.is_finite());
                    brightest = colours.fold(brightest, |most, (_, value)| most.max(value));
                }
            }
        }
        Ok(brightest)
    }

    fn reader(&self, gain: f32) -> Reader<'_> {
        Reader {
            layout: self.layout,
            is_little_endian: self.file.is_little_endian,
            gain,
        }
    }

    /// Decodes what becomes 8 bits sample by sample; deep samples are multiplied by `gain`.
    fn painted(&self, divisor: u32, gain: f32) -> Result<Decoded> {
        let layout = self.layout;
        let has_alpha = layout.alpha != Alpha::None;
        let mut canvas = Canvas::new(layout.width, layout.height, divisor, has_alpha);
        let (mut rgb, mut alpha) = (Vec::new(), Vec::new());
        for (index, place) in layout.pieces().enumerate() {
            let needed_rows = place.rows.min(layout.height - place.y);
            let bands = self.bands(index, place.rows, needed_rows)?;
            let width = layout.piece_width as usize;
            if layout.is_subsampled() {
                self.paint_subsampled(&bands.planes[0].bytes, place, needed_rows, &mut canvas);
                continue;
            }
            let colour = bands.planes[0].colour;
            let painter = Painter { layout, colour };
            for row in 0..needed_rows {
                let Some(samples) = self.row_samples(&bands, row as usize, width, gain) else {
                    break;
                };
                painter.row(&samples, &mut rgb, &mut alpha);
                canvas.paint(place.x, place.y + row, &rgb, has_alpha.then_some(&alpha[..]));
            }
        }
        let mut decoded = canvas.finish();
        // Writers that don't mean it leave the fourth sample 0 everywhere.
        decoded.alpha = decoded
            .alpha
            .filter(|alpha| alpha.iter().any(|&value| value != 0));
        Ok(decoded)
    }

    /// Returns a row's samples of all planes, pixel by pixel, in 8 bits.
    fn row_samples(&self, bands: &Bands, row: usize, width: usize, gain: f32) -> Option<Vec<u8>> {
        let layout = self.layout;
        let colour = bands.planes[0].colour;
        let reader = self.reader(gain);
        let of_plane = |samples: &piece::Samples| {
            let row = samples
                .bytes
                .get(row * bands.row_bytes..(row + 1) * bands.row_bytes)?;
            let count = width * layout.piece_samples();
            let is_bytes = samples.bits == 8 && layout.format != Format::Float;
            Some(if is_bytes {
                row[..count].to_vec()
            } else {
                reader.bytes(row, count, colour)
            })
        };
        let mut planes = bands.planes.iter().map(of_plane);
        if !layout.is_planar {
            return planes.next()?;
        }
        let planes: Option<Vec<_>> = planes.collect();
        let planes = planes?;
        let mut samples = Vec::with_capacity(width * planes.len());
        for x in 0..width {
            samples.extend(planes.iter().map(|plane| plane[x]));
        }
        Some(samples)
    }

    /// Paints units of several lumas and the two chromas that they share.
    fn paint_subsampled(&self, bytes: &[u8], place: layout::Piece, rows: u32, canvas: &mut Canvas) {
        let layout = self.layout;
        let (across, down) = layout.subsampling;
        let unit_bytes = (across * down) as usize + 2;
        let units_across = layout.piece_width.div_ceil(across);
        let convert = YCbCr::new(layout.luma);
        for (at, unit) in bytes.chunks_exact(unit_bytes).enumerate() {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            let (left, top) = (at % units_across * across, at / units_across * down);
            let [blue, red] = [unit[unit_bytes - 2], unit[unit_bytes - 1]];
            for y in 0..down.min(rows.saturating_sub(top)) {
                let lumas = &unit[(y * across) as usize..][..across as usize];
                let pixels: Vec<u8> = lumas
                    .iter()
                    .flat_map(|&luma| convert.rgb([luma, blue, red]))
                    .collect();
                let seen = layout.piece_width.saturating_sub(left).min(across) as usize;
                canvas.paint(place.x + left, place.y + top + y, &pixels[..seen * 3], None);
            }
        }
    }

    /// Decodes grey of more than 8 bits, which is scaled once all of it is known.
    fn deep_grey(&self) -> Result<Decoded> {
        let layout = self.layout;
        let (width, height) = (layout.width as usize, layout.height as usize);
        let is_ranged = layout.format == Format::Unsigned && layout.bits <= 16;
        let largest = layout.largest();
        let is_inverted = layout.colour == Colour::Grey(true) && is_ranged;
        let mut values = vec![0.0; width * height];
        let has_alpha = layout.alpha != Alpha::None;
        let mut alpha = has_alpha.then(|| vec![255; width * height]);
        let reader = self.reader(1.0);
        for (index, place) in layout.pieces().enumerate() {
            let needed_rows = place.rows.min(layout.height - place.y);
            let bands = self.bands(index, place.rows, needed_rows)?;
            let (step, count) = (layout.piece_samples(), layout.piece_width as usize);
            let x = place.x as usize;
            let seen = count.min(width - x);
            for row in 0..needed_rows as usize {
                let line = |plane: usize| {
                    let bytes = &bands.planes[plane].bytes;
                    bytes.get(row * bands.row_bytes..(row + 1) * bands.row_bytes)
                };
                let Some(samples) = line(0) else { break };
                let start = (place.y as usize + row) * width + x;
                let numbers = reader.numbers(samples, count * step);
                for (target, number) in values[start..][..seen]
                    .iter_mut()
                    .zip(numbers.iter().step_by(step))
                {
                    *target = if is_inverted { largest - number } else { *number };
                }
                if let Some(alpha) = &mut alpha {
                    let (plane, first) = if layout.is_planar { (1, 0) } else { (0, 1) };
                    let Some(samples) = line(plane) else { break };
                    let bytes = reader.bytes(samples, count * step, layout.colour);
                    let opacities = bytes.iter().skip(first).step_by(step);
                    for (target, opacity) in alpha[start..][..seen].iter_mut().zip(opacities) {
                        *target = *opacity;
                    }
                }
            }
        }
        let grey = DeepGrey {
            width: layout.width,
            height: layout.height,
            values,
            range: is_ranged.then_some(largest),
            alpha,
        };
        Ok(grey.finish())
    }
}

/// Decodes the JPEG that a file of before 1995 keeps whole.
fn old_jpeg(file: File<'_>, directory: &Directory<'_>, layout: &Layout) -> Result<Decoded> {
    let unread =
        || not_read("a TIFF with old-style JPEG in pieces is not read: export the photo as JPEG or PNG");
    let rest_at = |offset: u64| file.bytes.get(usize::try_from(offset).ok()?..);
    let stream = directory
        .number(tag::JPEG_INTERCHANGE)
        .and_then(|offset| {
            let rest = rest_at(offset)?;
            let length = directory.number(tag::JPEG_INTERCHANGE_LENGTH).unwrap_or(0);
            let length = usize::try_from(length).unwrap_or(0);
            Some(if length > 0 && length <= rest.len() {
                &rest[..length]
            } else {
                rest
            })
        })
        .filter(|stream| stream.starts_with(&[0xFF, 0xD8]));
    let strip = layout.offsets.first().and_then(|&offset| rest_at(offset));
    let mut candidates = Vec::new();
    if let Some(stream) = stream {
        candidates.push(stream.to_vec());
        // The stream may be the headers alone, and the strip the data.
        if let Some(strip) = strip {
            let headers = stream.strip_suffix(&[0xFF, 0xD9]).unwrap_or(stream);
            candidates.push([headers, strip].concat());
        }
    }
    if let Some(strip) = strip.filter(|strip| strip.starts_with(&[0xFF, 0xD8])) {
        candidates.push(strip.to_vec());
    }
    let space = if layout.samples == 1 {
        ColorSpace::Luma
    } else {
        ColorSpace::RGB
    };
    for candidate in candidates {
        let at_most = (layout.width, layout.height);
        let Some((pixels, width, height)) = piece::decode_jpeg(&candidate, space, at_most) else {
            continue;
        };
        if (width, height) != (layout.width as usize, layout.height as usize) {
            continue;
        }
        let pixels = if space == ColorSpace::Luma {
            pixels.iter().flat_map(|&value| [value; 3]).collect()
        } else {
            pixels
        };
        let pixels = RgbImage::from_raw(layout.width, layout.height, pixels).ok_or_else(unread)?;
        return Ok(Decoded::opaque(pixels));
    }
    Err(unread())
}
