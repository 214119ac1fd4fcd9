//! The chunks of a PNG that hold metadata, before or after its pixels.

use std::borrow::Cow;
use std::io::Read;

use super::blocks::Blocks;
use lucida_core::ColourProfile;

/// The blocks of a file are not larger, all together; a few compressed bytes could be.
const MAX_BYTES: u64 = 16 << 20;

/// One chunk, without its checksum.
pub(crate) struct Chunk<'a> {
    pub(crate) kind: [u8; 4],
    /// Cut where the file ends.
    pub(crate) body: &'a [u8],
    /// Whether the body and its checksum end within the file.
    pub(crate) is_whole: bool,
}

/// Returns the chunks in order; the last one may be cut off.
pub(crate) fn chunks(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (&[a, b, c, d, kind @ ..], body) = rest.split_first_chunk::<8>()?;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let chunk = Chunk {
            kind,
            body: &body[..length.min(body.len())],
            is_whole: length.saturating_add(4) <= body.len(),
        };
        rest = body.get(length.saturating_add(4)..).unwrap_or_default();
        Some(chunk)
    })
}

/// Finds the blocks among all chunks; `eXIf` goes before what programs hide in texts.
pub(super) fn blocks(bytes: &[u8]) -> Blocks<'_> {
    let mut blocks = Blocks::default();
    let (mut icc, mut coded) = (None, None);
    let mut room = Room(MAX_BYTES);
    for chunk in chunks(bytes) {
        match &chunk.kind {
            b"eXIf" | b"zxIf" => blocks.prefer_exif(Cow::Borrowed(chunk.body)),
            b"tEXt" | b"zTXt" | b"iTXt" => text(&chunk, &mut blocks, &mut room),
            b"iCCP" => icc = profile(chunk.body, &mut room),
            b"cICP" => {
                if let [primaries, transfer, ..] = *chunk.body {
                    coded = Some(ColourProfile::coded(primaries.into(), transfer.into()));
                }
            }
            b"IEND" => break,
            _ => {}
        }
    }
    blocks.profile = coded.or(icc);
    blocks
}

/// How many bytes the blocks of a file may still expand to.
struct Room(u64);

impl Room {
    /// Expands a block; `None` for one that is damaged, or has no room.
    fn inflate(&mut self, compressed: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut reader = flate2::read::ZlibDecoder::new(compressed).take(self.0);
        let read = reader.read_to_end(&mut bytes);
        self.0 -= bytes.len() as u64;
        read.ok().filter(|_| self.0 > 0).map(|_| bytes)
    }
}

fn profile(body: &[u8], room: &mut Room) -> Option<ColourProfile> {
    let name_end = memchr::memchr(0, body)?;
    let compressed = body.get(name_end + 2..)?;
    Some(ColourProfile::icc(&room.inflate(compressed)?))
}

fn text<'a>(chunk: &Chunk<'a>, blocks: &mut Blocks<'a>, room: &mut Room) {
    let Some(name_end) = memchr::memchr(0, chunk.body) else {
        return;
    };
    let (name, rest) = (&chunk.body[..name_end], &chunk.body[name_end + 1..]);
    let is_wanted =
        name == b"XML:com.adobe.xmp" || name.to_ascii_lowercase().starts_with(b"raw profile type ");
    if !is_wanted {
        return;
    }
    let Some(text) = text_of(chunk.kind, rest, room) else {
        return;
    };
    if name == b"XML:com.adobe.xmp" {
        blocks.xmp.get_or_insert(text);
        return;
    }
    let Some(block) = raw_profile(&text) else {
        return;
    };
    match name[b"raw profile type ".len()..].to_ascii_lowercase().as_slice() {
        b"exif" => blocks.add_exif(Cow::Owned(block)),
        b"xmp" => {
            blocks.xmp.get_or_insert(Cow::Owned(block));
        }
        // What was the segment of a JPEG, which may be either.
        b"app1" if block.starts_with(b"Exif") => blocks.add_exif(Cow::Owned(block)),
        b"app1" => {
            blocks.xmp.get_or_insert(Cow::Owned(block));
        }
        _ => {}
    }
}

/// Returns a text chunk's text, after its keyword.
fn text_of<'a>(kind: [u8; 4], rest: &'a [u8], room: &mut Room) -> Option<Cow<'a, [u8]>> {
    match (&kind, rest) {
        (b"tEXt", text) => Some(Cow::Borrowed(text)),
        (b"zTXt", [0, compressed @ ..]) => room.inflate(compressed).map(Cow::Owned),
        (b"iTXt", [is_compressed, _method, rest @ ..]) => {
            // A language and a translated keyword come before the text.
            let mut text = rest;
            for _ in 0..2 {
                text = text.get(memchr::memchr(0, text)? + 1..)?;
            }
            if *is_compressed == 1 {
                room.inflate(text).map(Cow::Owned)
            } else {
                Some(Cow::Borrowed(text))
            }
        }
        _ => None,
    }
}

/// Reads a profile as ImageMagick writes it into a text: a name, a length, and the bytes in hexadecimal.
fn raw_profile(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    if text.len() as u64 > MAX_BYTES {
        return None;
    }
    let mut words = text.split_ascii_whitespace();
    let _name = words.next()?;
    let length: usize = words.next()?.parse().ok()?;
    let digit = |byte: u8| u8::try_from((byte as char).to_digit(16)?).ok();
    let digits: Option<Vec<u8>> = words.flat_map(str::bytes).map(digit).collect();
    let pairs = digits?;
    let pairs = pairs.as_chunks().0.iter();
    let mut bytes: Vec<u8> = pairs.map(|[high, low]| high * 16 + low).collect();
    bytes.truncate(length);
    (!bytes.is_empty()).then_some(bytes)
}
