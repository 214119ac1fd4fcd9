//! Writes TIFF files of every form, with pixels that are known.

#![expect(
    clippy::unwrap_used,
    reason = "a file that can't be made fails its test by panicking"
)]
#![expect(unreachable_pub, reason = "the module is private to its test")]

use std::io::Write;

/// The size of the picture; odd, so that rows don't end with a byte, and four times something for patterns.
pub const WIDTH: usize = 5;
pub const HEIGHT: usize = 4;

/// The colour of a pixel: another one everywhere.
pub fn colour(x: usize, y: usize) -> [u8; 3] {
    [x * 50, y * 60, (x + y) * 25].map(|value| u8::try_from(value).unwrap())
}

/// How a file is laid out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form {
    is_big_endian: bool,
    is_big_tiff: bool,
    is_planar: bool,
    is_tiled: bool,
}

impl Form {
    pub fn all() -> impl Iterator<Item = Self> {
        (0..16).map(|number| Self {
            is_big_endian: number & 1 != 0,
            is_big_tiff: number & 2 != 0,
            is_planar: number & 4 != 0,
            is_tiled: number & 8 != 0,
        })
    }
}

/// A file to be written.
pub struct Tiff {
    form: Form,
    photometric: u64,
    depth: u32,
    samples: usize,
    pub size: (usize, usize),
    pub compression: u64,
    pub predictor: u64,
    pub format: u64,
    pub extra: Option<u64>,
    pub palette: Vec<[u8; 3]>,
    pub subsampling: Option<[u64; 2]>,
    pub fax_options: Option<u64>,
    pub orientation: Option<u64>,
    pub is_bit_reversed: bool,
    pub tables: Option<Vec<u8>>,
    pub interchange: bool,
    pub count_too_large: bool,
    pub raw_of: Option<&'static str>,
}

/// Rows of a strip, and both sides of a tile.
const ROWS: usize = 3;
const TILE: usize = 16;

impl Tiff {
    pub fn new(form: Form, photometric: u64, depth: u32, samples: usize) -> Self {
        Self {
            form,
            photometric,
            depth,
            samples,
            size: (WIDTH, HEIGHT),
            compression: 1,
            predictor: 1,
            format: 1,
            extra: None,
            palette: Vec::new(),
            subsampling: None,
            fax_options: None,
            orientation: None,
            is_bit_reversed: false,
            tables: None,
            interchange: false,
            count_too_large: false,
            raw_of: None,
        }
    }

    /// Writes the picture whose samples are given pixel by pixel.
    pub fn write(&self, samples: &[u64]) -> Vec<u8> {
        let (stored, rows) = self.stored(samples);
        self.write_pieces(&stored, rows)
    }

    /// Writes one strip, or several, as they are.
    pub fn write_stored(&self, pieces: &[Vec<u8>]) -> Vec<u8> {
        let rows = if pieces.len() == 1 { self.size.1 } else { ROWS };
        self.write_pieces(pieces, rows)
    }

    /// Returns the strips or tiles as stored, and how many rows each has.
    pub fn stored(&self, samples: &[u64]) -> (Vec<Vec<u8>>, usize) {
        let (width, height) = self.size;
        assert_eq!(samples.len(), width * height * self.samples);
        let planes: Vec<Vec<usize>> = if self.form.is_planar {
            (0..self.samples).map(|sample| vec![sample]).collect()
        } else {
            vec![(0..self.samples).collect()]
        };
        let (piece_width, rows) = if self.form.is_tiled {
            (TILE, TILE)
        } else {
            (width, ROWS)
        };
        let mut pieces = Vec::new();
        for plane in &planes {
            for top in (0..height).step_by(rows) {
                let seen = if self.form.is_tiled {
                    rows
                } else {
                    rows.min(height - top)
                };
                let mut bytes = Vec::new();
                for y in top..top + seen {
                    let row: Vec<u64> = (0..piece_width)
                        .flat_map(|x| plane.iter().map(move |sample| (x, sample)))
                        .map(|(x, sample)| {
                            let at = (y * width + x) * self.samples + sample;
                            if x < width && y < height { samples[at] } else { 0 }
                        })
                        .collect();
                    let row = self.differences(&row, plane.len());
                    bytes.extend(packed(&row, self.depth, row.len(), !self.form.is_big_endian));
                }
                let bytes: Vec<u8> = if self.is_bit_reversed {
                    bytes.iter().map(|byte: &u8| byte.reverse_bits()).collect()
                } else {
                    bytes
                };
                pieces.push(compressed(&bytes, self.compression));
            }
        }
        (pieces, rows)
    }

    fn differences(&self, row: &[u64], step: usize) -> Vec<u64> {
        if self.predictor != 2 {
            return row.to_vec();
        }
        let mask = u64::MAX >> (64 - self.depth);
        let differ = |at: usize| {
            if at < step {
                row[at]
            } else {
                row[at].wrapping_sub(row[at - step]) & mask
            }
        };
        (0..row.len()).map(differ).collect()
    }

    fn write_pieces(&self, pieces: &[Vec<u8>], rows: usize) -> Vec<u8> {
        let is_big = self.form.is_big_tiff;
        let mut file = Vec::new();
        let start = if is_big { 16 } else { 8 };
        file.resize(start, 0);
        let mut offsets = Vec::new();
        for piece in pieces {
            offsets.push(file.len() as u64);
            file.extend(piece);
        }
        let more = if self.count_too_large { 1_000_000 } else { 0 };
        let counts: Vec<u64> = pieces.iter().map(|piece| piece.len() as u64 + more).collect();
        let (width, height) = self.size;
        let mut tags: Vec<(u16, u16, Vec<u64>)> = vec![
            (256, 4, vec![width as u64]),
            (257, 4, vec![height as u64]),
            (258, 3, vec![self.depth.into(); self.samples]),
            (259, 3, vec![self.compression]),
            (262, 3, vec![self.photometric]),
            (277, 3, vec![self.samples as u64]),
            (284, 3, vec![if self.form.is_planar { 2 } else { 1 }]),
            (317, 3, vec![self.predictor]),
            (339, 3, vec![self.format; self.samples]),
        ];
        if self.form.is_tiled {
            tags.push((322, 3, vec![TILE as u64]));
            tags.push((323, 3, vec![TILE as u64]));
            tags.push((324, 4, offsets.clone()));
            tags.push((325, 4, counts));
        } else {
            tags.push((273, 4, offsets.clone()));
            tags.push((278, 4, vec![rows as u64]));
            tags.push((279, 4, counts));
        }
        if !self.palette.is_empty() {
            let channel = |channel: usize| {
                self.palette
                    .iter()
                    .map(move |colour| u64::from(colour[channel]) * 257)
            };
            tags.push((320, 3, (0..3).flat_map(channel).collect()));
        }
        if self.is_bit_reversed {
            tags.push((266, 3, vec![2]));
        }
        if let Some(make) = self.raw_of {
            tags.push((254, 4, vec![1]));
            tags.push((271, 2, make.bytes().map(u64::from).chain([0]).collect()));
            tags.push((330, 4, vec![1234]));
        }
        tags.extend(self.extra.map(|extra| (338, 3, vec![extra])));
        tags.extend(self.orientation.map(|orientation| (274, 3, vec![orientation])));
        tags.extend(self.fax_options.map(|options| (292, 4, vec![options])));
        tags.extend(self.subsampling.map(|sampling| (530, 3, sampling.to_vec())));
        let tables = self.tables.iter();
        tags.extend(tables.map(|tables| (347, 7, tables.iter().map(|byte| u64::from(*byte)).collect())));
        if self.interchange {
            tags.push((513, 4, vec![offsets[0]]));
            tags.push((514, 4, vec![pieces[0].len() as u64]));
        }
        tags.sort_by_key(|(tag, _, _)| *tag);
        self.write_directory(file, &tags)
    }

    fn write_directory(&self, mut file: Vec<u8>, tags: &[(u16, u16, Vec<u64>)]) -> Vec<u8> {
        let is_big = self.form.is_big_tiff;
        let inline = if is_big { 8 } else { 4 };
        let mut entries = Vec::new();
        for (tag, kind, values) in tags {
            let size = match kind {
                3 => 2,
                4 => 4,
                _ => 1,
            };
            let mut bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| self.number(*value, size))
                .collect();
            if bytes.len() > inline {
                let offset = file.len() as u64;
                file.extend(&bytes);
                bytes = self.number(offset, inline);
            }
            bytes.resize(inline, 0);
            entries.extend(self.number((*tag).into(), 2));
            entries.extend(self.number((*kind).into(), 2));
            entries.extend(self.number(values.len() as u64, inline));
            entries.extend(bytes);
        }
        let directory = file.len() as u64;
        file.extend(self.number(tags.len() as u64, if is_big { 8 } else { 2 }));
        file.extend(entries);
        file.extend(vec![0; inline]);
        let mut header = if self.form.is_big_endian {
            b"MM".to_vec()
        } else {
            b"II".to_vec()
        };
        if is_big {
            header.extend([43, 8, 0].iter().flat_map(|number| self.number(*number, 2)));
            header.extend(self.number(directory, 8));
        } else {
            header.extend(self.number(42, 2));
            header.extend(self.number(directory, 4));
        }
        file[..header.len()].copy_from_slice(&header);
        file
    }

    fn number(&self, value: u64, size: usize) -> Vec<u8> {
        if self.form.is_big_endian {
            value.to_be_bytes()[8 - size..].to_vec()
        } else {
            value.to_le_bytes()[..size].to_vec()
        }
    }
}

/// Packs a row's samples: whole bytes in the file's order, others bit by bit from the highest.
pub fn packed(samples: &[u64], depth: u32, count: usize, is_little_endian: bool) -> Vec<u8> {
    if depth.is_multiple_of(8) && depth != 24 {
        let size = depth as usize / 8;
        let number = |value: &u64| {
            if is_little_endian {
                value.to_le_bytes()[..size].to_vec()
            } else {
                value.to_be_bytes()[8 - size..].to_vec()
            }
        };
        return samples[..count].iter().flat_map(number).collect();
    }
    let text: String = samples[..count]
        .iter()
        .map(|value| format!("{value:0width$b}", width = depth as usize))
        .collect();
    bits(&text)
}

/// Packs digits of 0 and 1; the last byte is filled with zeros.
pub fn bits(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| *byte != b' ')
        .map(|byte| byte - b'0')
        .collect();
    digits
        .chunks(8)
        .map(|chunk| {
            chunk
                .iter()
                .enumerate()
                .fold(0, |byte, (at, bit)| byte | bit << (7 - at))
        })
        .collect()
}

fn compressed(bytes: &[u8], compression: u64) -> Vec<u8> {
    match compression {
        5 => weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8)
            .encode(bytes)
            .unwrap(),
        8 | 32946 => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        32773 => bytes
            .chunks(100)
            .flat_map(|chunk| {
                let is_run = chunk.len() > 1 && chunk.iter().all(|byte| *byte == chunk[0]);
                let count = u8::try_from(chunk.len() - 1).unwrap();
                if is_run {
                    vec![count.wrapping_neg(), chunk[0]]
                } else {
                    [&[count], chunk].concat()
                }
            })
            .collect(),
        50000 => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
        _ => bytes.to_vec(),
    }
}

/// Takes the tables out of a JPEG; returns a JPEG of the tables alone, and one without them.
pub fn without_tables(jpeg: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut tables, mut rest) = (vec![0xFF, 0xD8], vec![0xFF, 0xD8]);
    let mut at = 2;
    loop {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        let segment = &jpeg[at..at + 2 + length];
        match segment[1] {
            0xDB | 0xC4 => tables.extend(segment),
            0xDA => {
                rest.extend(&jpeg[at..]);
                tables.extend([0xFF, 0xD9]);
                return (tables, rest);
            }
            _ => rest.extend(segment),
        }
        at += 2 + length;
    }
}
