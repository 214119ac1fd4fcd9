//! Files with an EXIF block of one's own.

#![expect(
    clippy::unwrap_used,
    reason = "a file that can't be made fails its test by panicking"
)]

use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Field, In, Rational, Tag, Value};

/// Makes a field of the main picture.
pub(crate) fn field(tag: Tag, value: Value) -> Field {
    Field {
        tag,
        ifd_num: In::PRIMARY,
        value,
    }
}

pub(crate) fn text(tag: Tag, text: &str) -> Field {
    field(tag, Value::Ascii(vec![text.as_bytes().to_vec()]))
}

pub(crate) fn short(tag: Tag, number: u16) -> Field {
    field(tag, Value::Short(vec![number]))
}

pub(crate) fn byte(tag: Tag, number: u8) -> Field {
    field(tag, Value::Byte(vec![number]))
}

pub(crate) fn rationals(tag: Tag, numbers: &[(u32, u32)]) -> Field {
    let numbers = numbers.iter().map(|(num, denom)| Rational {
        num: *num,
        denom: *denom,
    });
    field(tag, Value::Rational(numbers.collect()))
}

/// Writes a bare block, which is a TIFF file without a picture.
pub(crate) fn block(fields: &[Field], little_endian: bool) -> Vec<u8> {
    let mut writer = Writer::new();
    for field in fields {
        writer.push_field(field);
    }
    let mut block = Cursor::new(Vec::new());
    writer.write(&mut block, little_endian).unwrap();
    block.into_inner()
}

/// Puts a block into a JPEG, as the segment after its start.
pub(crate) fn jpeg(block: &[u8]) -> Vec<u8> {
    let picture = lucida_testkit::jpeg(48, 32, [200, 40, 40]);
    let length = u16::try_from(block.len() + 8).unwrap();
    let mut file = picture[..2].to_vec();
    file.extend([0xff, 0xe1]);
    file.extend(length.to_be_bytes());
    file.extend(b"Exif\0\0");
    file.extend(block);
    file.extend(&picture[2..]);
    file
}

/// Puts a block into a PNG, as its second chunk; the checksums are left out, nobody looks at them here.
pub(crate) fn png(block: &[u8]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in [(b"IHDR", [0; 13].as_slice()), (b"eXIf", block), (b"IEND", &[])] {
        file.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
        file.extend(name);
        file.extend(content);
        file.extend([0; 4]);
    }
    file
}

/// Puts a block into a WebP, after a chunk of odd length; some writers put a prefix before the block.
pub(crate) fn webp(block: &[u8], prefix: &[u8]) -> Vec<u8> {
    let mut chunks = b"WEBP".to_vec();
    for (name, content) in [(b"VP8 ", vec![0; 5]), (b"EXIF", [prefix, block].concat())] {
        chunks.extend(name);
        chunks.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        chunks.extend(&content);
        if content.len() % 2 == 1 {
            chunks.push(0);
        }
    }
    let mut file = b"RIFF".to_vec();
    file.extend(u32::try_from(chunks.len()).unwrap().to_le_bytes());
    file.extend(chunks);
    file
}
