//! Whether a picture's file reaches to its end, told from its structure without decoding.
//!
//! A decoder fills what is missing with grey and says nothing; a photo cut short by a broken transfer should be
//! noticed at upload. What a format does not mark, or a structure that can't be followed, counts as complete:
//! then the decoder decides.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use super::ImageFormat;

/// Walks the file's structure to its end mark. `reader` stands at the file's start.
pub(super) fn is_complete(
    format: ImageFormat,
    mut reader: impl BufRead + Seek,
    size_bytes: u64,
) -> io::Result<bool> {
    let walked = match format {
        ImageFormat::Jpeg => jpeg(&mut reader),
        ImageFormat::Png => png(&mut reader, size_bytes),
        ImageFormat::Gif => gif(&mut reader),
        ImageFormat::Webp => webp(&mut reader, size_bytes),
        ImageFormat::Bmp => bmp(&mut reader, size_bytes),
        ImageFormat::Tiff => Ok(true),
        ImageFormat::Heic => heic(&mut reader, size_bytes),
    };
    match walked {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        other => other,
    }
}

fn bytes<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut buffer = [0; N];
    reader.read_exact(&mut buffer)?;
    Ok(buffer)
}

/// Skips by reading, so that a skip beyond the end is noticed.
fn skip(reader: &mut impl Read, count: u64) -> io::Result<()> {
    let skipped = io::copy(&mut reader.take(count), &mut io::sink())?;
    if skipped == count {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// JPEG, ITU T.81 annex B: marker segments up to `EOI`; entropy-coded data follows each `SOS`.
fn jpeg(reader: &mut impl BufRead) -> io::Result<bool> {
    let _soi: [u8; 2] = bytes(reader)?;
    loop {
        let marker = next_marker(reader)?;
        match marker {
            0xD9 => return Ok(true),
            0x01 | 0xD0..=0xD8 => {}
            _ => {
                let length = u64::from(u16::from_be_bytes(bytes(reader)?));
                if length < 2 {
                    return Ok(true);
                }
                skip(reader, length - 2)?;
            }
        }
    }
}

/// Returns the next marker that is no stuffed zero, fill byte or restart, whatever bytes come before it.
fn next_marker(reader: &mut impl BufRead) -> io::Result<u8> {
    loop {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(position) = memchr::memchr(0xFF, available) else {
            let count = available.len();
            reader.consume(count);
            continue;
        };
        reader.consume(position + 1);
        let mut code = 0xFF;
        while code == 0xFF {
            [code] = bytes(reader)?;
        }
        if !matches!(code, 0x00 | 0xD0..=0xD7) {
            return Ok(code);
        }
    }
}

/// PNG, section 5: chunks up to `IEND`.
fn png(reader: &mut (impl Read + Seek), size_bytes: u64) -> io::Result<bool> {
    let mut position = 8;
    loop {
        reader.seek(SeekFrom::Start(position))?;
        let length = u64::from(u32::from_be_bytes(bytes(reader)?));
        let kind: [u8; 4] = bytes(reader)?;
        position += 12 + length;
        if position > size_bytes {
            return Ok(false);
        }
        if &kind == b"IEND" {
            return Ok(true);
        }
    }
}

/// GIF89a: blocks up to the trailer.
fn gif(reader: &mut impl Read) -> io::Result<bool> {
    let table = |flags: u8| {
        if flags & 0x80 == 0 {
            0
        } else {
            3 << ((flags & 7) + 1)
        }
    };
    let screen: [u8; 13] = bytes(reader)?;
    skip(reader, table(screen[10]))?;
    loop {
        match bytes(reader)? {
            [0x3B] => return Ok(true),
            [0x21] => {
                let _label: [u8; 1] = bytes(reader)?;
            }
            [0x2C] => {
                let descriptor: [u8; 9] = bytes(reader)?;
                skip(reader, table(descriptor[8]) + 1)?;
            }
            [_] => return Ok(true),
        }
        loop {
            let [length] = bytes(reader)?;
            if length == 0 {
                break;
            }
            skip(reader, u64::from(length))?;
        }
    }
}

/// WebP: the RIFF header tells the size of all that follows it.
fn webp(reader: &mut impl Read, size_bytes: u64) -> io::Result<bool> {
    let header: [u8; 8] = bytes(reader)?;
    let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    Ok(u64::from(size) + 8 <= size_bytes)
}

/// HEIC, ISO 14496-12 section 4.2: boxes that tell their sizes, side by side to the end.
fn heic(reader: &mut (impl Read + Seek), size_bytes: u64) -> io::Result<bool> {
    let mut position = 0;
    while position < size_bytes {
        reader.seek(SeekFrom::Start(position))?;
        let short = u64::from(u32::from_be_bytes(bytes(reader)?));
        let _kind: [u8; 4] = bytes(reader)?;
        let length = match short {
            // The last box may reach to the end, however far that is.
            0 => return Ok(true),
            1 => u64::from_be_bytes(bytes(reader)?),
            length => length,
        };
        if length < 8 {
            return Ok(true);
        }
        position = position.saturating_add(length);
    }
    Ok(position == size_bytes)
}

/// BMP: the file header tells the size of the file; some writers leave it 0.
fn bmp(reader: &mut impl Read, size_bytes: u64) -> io::Result<bool> {
    let header: [u8; 6] = bytes(reader)?;
    let size = u32::from_le_bytes([header[2], header[3], header[4], header[5]]);
    Ok(u64::from(size) <= size_bytes)
}
