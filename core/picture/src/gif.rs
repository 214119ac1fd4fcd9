//! GIFs whose headers disagree with their first frame, as some writers leave them; browsers and Pillow show them whole.

use std::borrow::Cow;

/// Where the width and the height of the logical screen are.
const SCREEN: usize = 6;

/// Returns a file whose first frame has pixels and fits the logical screen: frames without pixels before it are left
/// out, and the screen is enlarged.
///
/// A file that can't be followed comes back as it is; the decoder refuses it.
pub(super) fn prepared(bytes: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = FirstFrame::find(bytes) else {
        return Cow::Borrowed(bytes);
    };
    let screen = [side(bytes, SCREEN), side(bytes, SCREEN + 2)];
    let needed = [0, 1].map(|axis| screen[axis].max(first.ends[axis]));
    if first.empty.is_empty() && needed == screen {
        return Cow::Borrowed(bytes);
    }
    let mut file = Vec::with_capacity(bytes.len());
    let mut kept = 0;
    for (start, end) in first.empty {
        file.extend_from_slice(&bytes[kept..start]);
        kept = end;
    }
    file.extend_from_slice(&bytes[kept..]);
    for (axis, side) in needed.into_iter().enumerate() {
        let at = SCREEN + axis * 2;
        file[at..at + 2].copy_from_slice(&side.to_le_bytes());
    }
    Cow::Owned(file)
}

/// The first frame that has pixels.
struct FirstFrame {
    /// Its right and its lower edge on the screen.
    ends: [u16; 2],
    /// The frames without pixels before it: from the descriptor to the end of the data.
    empty: Vec<(usize, usize)>,
}

impl FirstFrame {
    fn find(bytes: &[u8]) -> Option<Self> {
        let mut at = 13 + table_bytes(*bytes.get(10)?);
        let mut empty = Vec::new();
        loop {
            match bytes.get(at)? {
                0x21 => at = sub_blocks_end(bytes, at + 2)?,
                0x2C => {
                    let flags = *bytes.get(at + 9)?;
                    let [left, top, width, height] = [1, 3, 5, 7].map(|offset| side(bytes, at + offset));
                    if width > 0 && height > 0 {
                        let ends = [left.saturating_add(width), top.saturating_add(height)];
                        return Some(Self { ends, empty });
                    }
                    let end = sub_blocks_end(bytes, at + 11 + table_bytes(flags))?;
                    empty.push((at, end));
                    at = end;
                }
                _ => return None,
            }
        }
    }
}

/// Returns the size of the colour table that a descriptor's flags announce.
const fn table_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        3 << ((flags & 7) + 1)
    }
}

fn side(bytes: &[u8], at: usize) -> u16 {
    let side = bytes.get(at..).and_then(|rest| rest.first_chunk());
    side.map_or(0, |side| u16::from_le_bytes(*side))
}

fn sub_blocks_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*bytes.get(at)?) {
            0 => return Some(at + 1),
            length => at += 1 + length,
        }
    }
}
