//! How a TIFF's pixels are stored: sizes, depths, colours and where the pieces are.

use super::directory::{Directory, File, tag};

/// How pixels are compressed, by the numbers of TIFF 6.0 and of libtiff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// Rows of runs, each from a byte of its own.
    Huffman,
    /// CCITT T.4, one- or two-dimensional.
    Fax3,
    /// CCITT T.6.
    Fax4,
    Lzw,
    OldJpeg,
    Jpeg,
    Deflate,
    PackBits,
    Zstd,
    WebP,
}

/// What samples mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    /// Grey; true where 0 is white.
    Grey(bool),
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
    /// CIE L*a*b*; true where a and b are signed.
    Lab(bool),
}

/// What numbers samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Unsigned,
    Signed,
    Float,
}

/// What a sample behind those of the colour is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    None,
    /// The colour is multiplied by it.
    Associated,
    Unassociated,
}

/// Why a picture isn't read.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The file contradicts itself, or lacks what a picture needs.
    Damaged(&'static str),
    /// A kind that is known and not read.
    Unread(String),
}

/// A piece of the picture: a strip or a tile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) x: u32,
    pub(super) y: u32,
    /// Of the rows that are seen; a tile may be wider and higher.
    pub(super) rows: u32,
}

/// All that is needed to read the first picture of a file.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bits: u32,
    pub(super) samples: usize,
    pub(super) format: Format,
    pub(super) colour: Colour,
    pub(super) alpha: Alpha,
    pub(super) compression: Compression,
    pub(super) predictor: u64,
    pub(super) is_planar: bool,
    /// Of each strip or tile, in pixels.
    pub(super) piece_width: u32,
    pub(super) piece_height: u32,
    pub(super) offsets: Vec<u64>,
    pub(super) byte_counts: Vec<u64>,
    pub(super) is_bit_reversed: bool,
    pub(super) fax_options: u64,
    /// How many pixels share a chroma sample, across and down.
    pub(super) subsampling: (u32, u32),
    /// How much of red, green and blue makes the luma.
    pub(super) luma: [f64; 3],
    /// Red, green and blue of each index, in 8 bits.
    pub(super) palette: Vec<[u8; 3]>,
}

/// The most samples that a pixel may have; more of them are no picture.
const MAX_SAMPLES: u64 = 16;

/// ITU-R BT.601, the default of TIFF 6.0.
const LUMA: [f64; 3] = [0.299, 0.587, 0.114];

impl Layout {
    pub(super) fn read(file: File<'_>, directory: &Directory<'_>) -> Result<Self, Refusal> {
        let side = |tag, name| {
            let side = directory.number(tag).and_then(|side| u32::try_from(side).ok());
            side.filter(|side| *side > 0).ok_or(Refusal::Damaged(name))
        };
        let width = side(tag::WIDTH, "the width is missing")?;
        let height = side(tag::HEIGHT, "the height is missing")?;
        let photometric = directory.number(tag::PHOTOMETRIC).unwrap_or(0);
        let colour = colour(photometric)?;
        let stored = directory.number(tag::COMPRESSION).unwrap_or(1);
        let compression = compression(stored)?;
        let mut depths = directory.numbers(tag::BITS_PER_SAMPLE);
        if depths.is_empty() {
            depths.push(1);
        }
        let colours = match colour {
            Colour::Grey(_) | Colour::Palette => 1,
            Colour::Rgb | Colour::YCbCr | Colour::Lab(_) => 3,
            Colour::Cmyk => 4,
        };
        let samples = match directory.number(tag::SAMPLES_PER_PIXEL) {
            Some(samples @ 1..=MAX_SAMPLES) => samples,
            // Some writers leave it out where the depths say it.
            None => (depths.len() as u64).clamp(1, MAX_SAMPLES),
            Some(0) => return Err(Refusal::Damaged("a pixel has no samples")),
            Some(more) => return Err(Refusal::Unread(format!("a TIFF with {more} samples per pixel"))),
        };
        let samples = usize::try_from(samples).unwrap_or(1);
        if samples < colours {
            return Err(Refusal::Damaged(
                "a pixel has fewer samples than its colour needs",
            ));
        }
        depths.truncate(samples);
        if depths.iter().any(|depth| *depth != depths[0]) {
            return Err(Refusal::Unread("a TIFF whose samples differ in depth".to_owned()));
        }
        let bits = u32::try_from(depths[0])
            .ok()
            .filter(|bits| (1..=64).contains(bits));
        let bits = bits.ok_or(Refusal::Damaged("the depth of the samples is out of range"))?;
        let format = match directory.number(tag::SAMPLE_FORMAT).unwrap_or(1) {
            2 => Format::Signed,
            3 => Format::Float,
            _ => Format::Unsigned,
        };
        if format == Format::Float && !matches!(bits, 16 | 32 | 64) {
            return Err(Refusal::Unread(format!(
                "a TIFF with {bits}-bit floating point samples"
            )));
        }
        let subsampling = match directory.numbers(tag::YCBCR_SUBSAMPLING)[..] {
            [across @ (1 | 2 | 4), down @ (1 | 2 | 4)] => (across as u32, down as u32),
            _ => (2, 2),
        };
        let luma = directory.rationals(tag::YCBCR_COEFFICIENTS);
        let mut layout = Self {
            width,
            height,
            bits,
            samples,
            format,
            colour,
            alpha: alpha(directory, samples, colours, colour),
            compression,
            predictor: directory.number(tag::PREDICTOR).unwrap_or(1),
            is_planar: directory.number(tag::PLANAR_CONFIGURATION) == Some(2) && samples > 1,
            piece_width: width,
            piece_height: height,
            offsets: directory.numbers(tag::STRIP_OFFSETS),
            byte_counts: directory.numbers(tag::STRIP_BYTE_COUNTS),
            is_bit_reversed: directory.number(tag::FILL_ORDER) == Some(2),
            fax_options: directory.number(tag::T4_OPTIONS).unwrap_or(0),
            subsampling,
            luma: luma
                .try_into()
                .ok()
                .filter(|luma: &[f64; 3]| luma.iter().all(|part| (0.001..1.0).contains(part)))
                .unwrap_or(LUMA),
            palette: Vec::new(),
        };
        // A picture of the old style may have no pieces at all.
        if compression != Compression::OldJpeg {
            layout.place_pieces(file, directory)?;
        }
        if colour == Colour::Palette {
            layout.palette = palette(directory, bits)?;
        }
        Ok(layout)
    }

    fn place_pieces(&mut self, file: File<'_>, directory: &Directory<'_>) -> Result<(), Refusal> {
        if let (Some(width), Some(height)) = (
            directory.number(tag::TILE_WIDTH),
            directory.number(tag::TILE_HEIGHT),
        ) {
            let side = |side: u64| {
                u32::try_from(side)
                    .ok()
                    .filter(|side| (1..=1 << 16).contains(side))
            };
            (self.piece_width, self.piece_height) = side(width)
                .zip(side(height))
                .ok_or(Refusal::Damaged("the size of the tiles is out of range"))?;
            // Some writers name them as strips.
            if directory.has(tag::TILE_OFFSETS) {
                self.offsets = directory.numbers(tag::TILE_OFFSETS);
                self.byte_counts = directory.numbers(tag::TILE_BYTE_COUNTS);
            }
        } else if let Some(rows) = directory.number(tag::ROWS_PER_STRIP) {
            self.piece_height = u32::try_from(rows).unwrap_or(u32::MAX).clamp(1, self.height);
        }
        // A tile may be larger than a small picture, but a few bytes of a file must not become much more than that.
        let area = |width: u32, height: u32| u64::from(width) * u64::from(height);
        if area(self.piece_width, self.piece_height)
            > area(self.width, self.height).saturating_mul(4) + (1 << 22)
        {
            return Err(Refusal::Damaged("the tiles are much larger than the picture"));
        }
        let planes = if self.is_planar { self.samples } else { 1 };
        let needed = self.pieces_across() as usize * self.pieces_down() as usize * planes;
        if self.offsets.len() < needed {
            return Err(Refusal::Damaged("a part of the picture has no place in the file"));
        }
        self.offsets.truncate(needed);
        // What follows the start of a piece is cut at the end of the file.
        self.byte_counts.resize(needed, 0);
        for (offset, count) in self.offsets.iter().zip(&mut self.byte_counts) {
            if *count == 0 {
                *count = (file.bytes.len() as u64).saturating_sub(*offset);
            }
        }
        Ok(())
    }

    pub(super) const fn pieces_across(&self) -> u32 {
        self.width.div_ceil(self.piece_width)
    }

    pub(super) const fn pieces_down(&self) -> u32 {
        self.height.div_ceil(self.piece_height)
    }

    /// Returns the pieces in their order within a plane.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        let is_tiled = self.piece_width != self.width || self.pieces_across() > 1;
        (0..self.pieces_down()).flat_map(move |row| {
            (0..self.pieces_across()).map(move |column| {
                let y = row * self.piece_height;
                let seen = self.piece_height.min(self.height - y);
                Piece {
                    x: column * self.piece_width,
                    y,
                    rows: if is_tiled { self.piece_height } else { seen },
                }
            })
        })
    }

    /// Returns the samples of a pixel within one piece.
    pub(super) const fn piece_samples(&self) -> usize {
        if self.is_planar { 1 } else { self.samples }
    }

    /// Returns the largest value of an unsigned sample.
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to 24 bits, and scaled further up"
    )]
    pub(super) const fn largest(&self) -> f32 {
        (u64::MAX >> (64 - self.bits)) as f32
    }
}

fn colour(photometric: u64) -> Result<Colour, Refusal> {
    match photometric {
        0 => Ok(Colour::Grey(true)),
        // 4 is a mask of one bit.
        1 | 4 => Ok(Colour::Grey(false)),
        2 => Ok(Colour::Rgb),
        3 => Ok(Colour::Palette),
        5 => Ok(Colour::Cmyk),
        6 => Ok(Colour::YCbCr),
        8 => Ok(Colour::Lab(true)),
        9 => Ok(Colour::Lab(false)),
        other => Err(Refusal::Unread(format!(
            "a TIFF whose colours are of kind {other} (PhotometricInterpretation)"
        ))),
    }
}

fn compression(stored: u64) -> Result<Compression, Refusal> {
    match stored {
        1 => Ok(Compression::None),
        2 => Ok(Compression::Huffman),
        3 => Ok(Compression::Fax3),
        4 => Ok(Compression::Fax4),
        5 => Ok(Compression::Lzw),
        6 => Ok(Compression::OldJpeg),
        7 => Ok(Compression::Jpeg),
        8 | 32946 => Ok(Compression::Deflate),
        32773 => Ok(Compression::PackBits),
        50000 => Ok(Compression::Zstd),
        50001 => Ok(Compression::WebP),
        other => {
            let name = match other {
                34925 => "LZMA",
                34712 | 33003 | 33005 => "JPEG 2000",
                34887 => "LERC",
                50002 => "JPEG XL",
                34676 | 34677 => "LogLuv",
                34661 => "JBIG",
                32809 => "ThunderScan",
                32766 => "NeXT",
                _ => return Err(Refusal::Unread(format!("a TIFF with compression {other}"))),
            };
            Err(Refusal::Unread(format!("a TIFF with {name} compression")))
        }
    }
}

fn alpha(directory: &Directory<'_>, samples: usize, colours: usize, colour: Colour) -> Alpha {
    if samples <= colours {
        return Alpha::None;
    }
    match directory.number(tag::EXTRA_SAMPLES) {
        Some(1) => Alpha::Associated,
        Some(2) => Alpha::Unassociated,
        // A fourth sample that isn't explained is taken for opacity, as Pillow does.
        None if colour == Colour::Rgb => Alpha::Unassociated,
        Some(_) | None => Alpha::None,
    }
}

/// All reds come first, then all greens and all blues, in 16 bits; some writers use the lower 8 of them only.
fn palette(directory: &Directory<'_>, bits: u32) -> Result<Vec<[u8; 3]>, Refusal> {
    if bits > 16 {
        return Err(Refusal::Damaged("a palette for more than 16 bits"));
    }
    let map = directory.numbers(tag::COLOUR_MAP);
    let count = map.len() / 3;
    if count == 0 {
        return Err(Refusal::Damaged("the palette is missing"));
    }
    let shift = if map.iter().any(|value| *value > 255) {
        8
    } else {
        0
    };
    let byte = |at: usize| u8::try_from(map[at] >> shift).unwrap_or(u8::MAX);
    Ok((0..count)
        .map(|at| [byte(at), byte(count + at), byte(2 * count + at)])
        .collect())
}
