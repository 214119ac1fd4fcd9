//! A TIFF file's directories: tags and their values, in both byte orders, classic and BigTIFF.
//!
//! Read here since `tiff` 0.11 refuses a file before its tags can be asked for when anything of its first picture is
//! unusual (mixed depths, no photometric interpretation, counts that don't match).

/// Tags of a picture, by their numbers in TIFF 6.0 and its supplements.
pub(crate) mod tag {
    pub(crate) const NEW_SUBFILE_TYPE: u16 = 254;
    pub(crate) const WIDTH: u16 = 256;
    pub(crate) const HEIGHT: u16 = 257;
    pub(crate) const BITS_PER_SAMPLE: u16 = 258;
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC: u16 = 262;
    pub(crate) const FILL_ORDER: u16 = 266;
    pub(crate) const MAKE: u16 = 271;
    pub(crate) const STRIP_OFFSETS: u16 = 273;
    pub(crate) const ORIENTATION: u16 = 274;
    pub(crate) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(crate) const ROWS_PER_STRIP: u16 = 278;
    pub(crate) const STRIP_BYTE_COUNTS: u16 = 279;
    pub(crate) const PLANAR_CONFIGURATION: u16 = 284;
    pub(crate) const T4_OPTIONS: u16 = 292;
    pub(crate) const PREDICTOR: u16 = 317;
    pub(crate) const COLOUR_MAP: u16 = 320;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_HEIGHT: u16 = 323;
    pub(crate) const TILE_OFFSETS: u16 = 324;
    pub(crate) const TILE_BYTE_COUNTS: u16 = 325;
    pub(crate) const SUB_DIRECTORIES: u16 = 330;
    pub(crate) const EXTRA_SAMPLES: u16 = 338;
    pub(crate) const SAMPLE_FORMAT: u16 = 339;
    pub(crate) const JPEG_TABLES: u16 = 347;
    pub(crate) const JPEG_INTERCHANGE: u16 = 513;
    pub(crate) const JPEG_INTERCHANGE_LENGTH: u16 = 514;
    pub(crate) const YCBCR_COEFFICIENTS: u16 = 529;
    pub(crate) const YCBCR_SUBSAMPLING: u16 = 530;
    pub(crate) const XMP: u16 = 700;
    pub(crate) const ICC_PROFILE: u16 = 34675;
    pub(crate) const DNG_VERSION: u16 = 50706;
}

/// No picture has this many tags; a damaged count would.
const MAX_ENTRIES: usize = 4096;

/// A TIFF file whose header was read.
#[derive(Clone, Copy)]
pub(crate) struct File<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) is_little_endian: bool,
    is_big_tiff: bool,
    first: u64,
}

/// One directory: a picture's tags.
pub(crate) struct Directory<'a> {
    file: File<'a>,
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    tag: u16,
    kind: u16,
    /// As stored; cut where the file ends.
    value: &'a [u8],
}

impl<'a> File<'a> {
    /// Reads the header; `None` for a file of another kind.
    pub(crate) fn open(bytes: &'a [u8]) -> Option<Self> {
        let is_little_endian = match bytes.get(..2)? {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let mut file = Self {
            bytes,
            is_little_endian,
            is_big_tiff: false,
            first: 0,
        };
        match file.u16(2)? {
            42 => file.first = u64::from(file.u32(4)?),
            43 if file.u16(4)? == 8 => {
                file.is_big_tiff = true;
                file.first = file.u64(8)?;
            }
            _ => return None,
        }
        Some(file)
    }

    /// Reads the first directory; of one that is cut off the tags that are there. `None` where there is none.
    pub(crate) fn first_directory(self) -> Option<Directory<'a>> {
        self.directory(self.first)
    }

    fn directory(self, offset: u64) -> Option<Directory<'a>> {
        let start = usize::try_from(offset).ok()?;
        let (count, mut at, entry_bytes) = if self.is_big_tiff {
            (usize::try_from(self.u64(start)?).ok()?, start.checked_add(8)?, 20)
        } else {
            (usize::from(self.u16(start)?), start.checked_add(2)?, 12)
        };
        let mut entries = Vec::new();
        for _ in 0..count.min(MAX_ENTRIES) {
            let Some(entry) = self.entry(at) else { break };
            entries.push(entry);
            at += entry_bytes;
        }
        Some(Directory { file: self, entries })
    }

    fn entry(self, at: usize) -> Option<Entry<'a>> {
        let (tag, kind) = (self.u16(at)?, self.u16(at + 2)?);
        let (count, place, inline) = if self.is_big_tiff {
            (self.u64(at + 4)?, at + 12, 8)
        } else {
            (u64::from(self.u32(at + 4)?), at + 8, 4)
        };
        let size = usize::try_from(count.checked_mul(size_of(kind) as u64)?).ok()?;
        let start = if size <= inline {
            place
        } else if self.is_big_tiff {
            usize::try_from(self.u64(place)?).ok()?
        } else {
            self.u32(place)? as usize
        };
        let rest = self.bytes.get(start..).unwrap_or_default();
        Some(Entry {
            tag,
            kind,
            value: &rest[..size.min(rest.len())],
        })
    }

    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(|bytes| self.to_u16(bytes))
    }

    fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(|bytes| self.to_u32(bytes))
    }

    fn u64(self, at: usize) -> Option<u64> {
        self.array(at).map(|bytes| self.to_u64(bytes))
    }

    pub(crate) const fn to_u16(self, bytes: [u8; 2]) -> u16 {
        if self.is_little_endian {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        }
    }

    pub(crate) const fn to_u32(self, bytes: [u8; 4]) -> u32 {
        if self.is_little_endian {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        }
    }

    pub(crate) const fn to_u64(self, bytes: [u8; 8]) -> u64 {
        if self.is_little_endian {
            u64::from_le_bytes(bytes)
        } else {
            u64::from_be_bytes(bytes)
        }
    }
}

impl<'a> Directory<'a> {
    /// Returns a tag's value as it is stored.
    pub(crate) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        self.entry(tag).map(|entry| entry.value)
    }

    /// Returns whether there is no tag at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns whether a tag is present.
    pub(crate) fn has(&self, tag: u16) -> bool {
        self.entry(tag).is_some()
    }

    /// Returns a tag's first whole number.
    pub(crate) fn number(&self, tag: u16) -> Option<u64> {
        self.numbers(tag).first().copied()
    }

    /// Returns a tag's whole numbers; none where it is absent or of another type.
    pub(crate) fn numbers(&self, tag: u16) -> Vec<u64> {
        let Some(entry) = self.entry(tag) else {
            return Vec::new();
        };
        let file = self.file;
        let value = entry.value;
        match entry.kind {
            1 | 6 | 7 => value.iter().map(|&byte| u64::from(byte)).collect(),
            3 | 8 => value
                .as_chunks()
                .0
                .iter()
                .map(|bytes| u64::from(file.to_u16(*bytes)))
                .collect(),
            4 | 9 | 13 => value
                .as_chunks()
                .0
                .iter()
                .map(|bytes| u64::from(file.to_u32(*bytes)))
                .collect(),
            16..=18 => value
                .as_chunks()
                .0
                .iter()
                .map(|bytes| file.to_u64(*bytes))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Returns a tag's rational numbers.
    pub(crate) fn rationals(&self, tag: u16) -> Vec<f64> {
        let Some(entry) = self.entry(tag).filter(|entry| entry.kind == 5) else {
            return Vec::new();
        };
        let pairs = entry.value.as_chunks::<8>().0.iter();
        pairs
            .map(|pair| {
                let [a, b, c, d, e, f, g, h] = *pair;
                let over = f64::from(self.file.to_u32([e, f, g, h]));
                f64::from(self.file.to_u32([a, b, c, d])) / over
            })
            .collect()
    }

    fn entry(&self, tag: u16) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }
}

/// The size of a value in bytes; those of unknown types are skipped.
const fn size_of(kind: u16) -> usize {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 1,
    }
}
