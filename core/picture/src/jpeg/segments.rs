//! What goes before a JPEG's entropy-coded data: the frame and the tables, ITU T.81 annex B.

use super::huffman::Huffman;

/// The end of a scan's header where it holds all 64 coefficients, whole.
const ALL_COEFFICIENTS: [u8; 3] = [0, 63, 0];

/// One colour of a picture.
pub(super) struct Component {
    id: u8,
    /// Blocks in a unit, across and down.
    pub(super) sampling: (usize, usize),
    /// Which tables it uses.
    pub(super) quantisation: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

/// A sequential picture in one scan, up to its entropy-coded data.
pub(super) struct Frame<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Grey, or luma and the two chromas.
    pub(super) components: Vec<Component>,
    /// The most blocks that a component has in a unit, across and down.
    pub(super) sampling: (usize, usize),
    /// In the stored order of coefficients.
    pub(super) quantisation: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<Huffman>; 4],
    pub(super) ac: [Option<Huffman>; 4],
    /// Units between restarts, 0 for none.
    pub(super) restart_interval: usize,
    /// From the first entropy-coded byte to the end of the file.
    pub(super) data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the segments up to the scan; `None` for a file that is damaged or of another kind.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut frame = Self {
            width: 0,
            height: 0,
            components: Vec::new(),
            sampling: (1, 1),
            quantisation: [const { None }; 4],
            dc: [const { None }; 4],
            ac: [const { None }; 4],
            restart_interval: 0,
            data: &[],
        };
        let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
        loop {
            rest = rest.strip_prefix(&[0xFF])?;
            // Any number of fill bytes may go before a marker.
            let filled = rest.iter().take_while(|&&byte| byte == 0xFF).count();
            let (marker, behind) = rest.get(filled..)?.split_first()?;
            let length = usize::from(u16::from_be_bytes(*behind.first_chunk()?));
            let (segment, behind) = behind.split_at_checked(length)?;
            let segment = segment.get(2..)?;
            match marker {
                0xC0 | 0xC1 => frame.read_frame(segment)?,
                0xC4 => frame.read_codes(segment)?,
                0xDB => frame.read_quantisation(segment)?,
                0xDD => frame.restart_interval = u16::from_be_bytes(segment.try_into().ok()?).into(),
                0xDA => {
                    frame.read_scan(segment)?;
                    frame.data = behind;
                    return Some(frame);
                }
                // Adobe's segment tells of RGB that was not transformed.
                0xEE if segment.starts_with(b"Adobe") && segment.get(11) == Some(&0) => return None,
                // Comments and what applications keep.
                0xE0..=0xEF | 0xFE => {}
                // Progressive, lossless and arithmetic-coded pictures, and markers that have no place here.
                _ => return None,
            }
            rest = behind;
        }
    }

    fn read_frame(&mut self, segment: &[u8]) -> Option<()> {
        let (&[8, height_high, height_low, width_high, width_low, count], rest) =
            segment.split_first_chunk()?
        else {
            return None;
        };
        if !self.components.is_empty() || !matches!(count, 1 | 3) || rest.len() != usize::from(count) * 3 {
            return None;
        }
        self.height = u16::from_be_bytes([height_high, height_low]).into();
        self.width = u16::from_be_bytes([width_high, width_low]).into();
        for &[id, sampling, quantisation] in rest.as_chunks().0 {
            let sampling = match count {
                // Blocks of a lone component are stored one by one, whatever its sampling says.
                1 => (1, 1),
                _ => (usize::from(sampling >> 4), usize::from(sampling & 15)),
            };
            if !(1..=4).contains(&sampling.0) || !(1..=4).contains(&sampling.1) {
                return None;
            }
            let (across, down) = self.sampling;
            self.sampling = (across.max(sampling.0), down.max(sampling.1));
            self.components.push(Component {
                id,
                sampling,
                quantisation: index(quantisation)?,
                dc: 0,
                ac: 0,
            });
        }
        let ids: Vec<u8> = self.components.iter().map(|component| component.id).collect();
        (self.width > 0 && self.height > 0 && ids != *b"RGB").then_some(())
    }

    fn read_codes(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let count = counts.iter().map(|&count| usize::from(count)).sum();
            let (values, rest) = rest.split_at_checked(count)?;
            let tables = match kind >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            tables[index(kind & 15)?] = Some(Huffman::new(*counts, values)?);
            segment = rest;
        }
        Some(())
    }

    fn read_quantisation(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            let (table, rest) = match kind >> 4 {
                0 => {
                    let (values, rest) = rest.split_first_chunk::<64>()?;
                    (values.map(u16::from), rest)
                }
                1 => {
                    let (values, rest) = rest.split_first_chunk::<128>()?;
                    let mut table = [0; 64];
                    for (entry, value) in table.iter_mut().zip(values.as_chunks().0) {
                        *entry = u16::from_be_bytes(*value);
                    }
                    (table, rest)
                }
                _ => return None,
            };
            self.quantisation[index(kind & 15)?] = Some(table);
            segment = rest;
        }
        Some(())
    }

    /// The one scan must hold every component, whole.
    fn read_scan(&mut self, segment: &[u8]) -> Option<()> {
        let (&count, rest) = segment.split_first()?;
        let (choices, rest) = rest.split_at_checked(usize::from(count) * 2)?;
        if self.components.is_empty()
            || usize::from(count) != self.components.len()
            || rest != ALL_COEFFICIENTS
        {
            return None;
        }
        for (component, [id, tables]) in self.components.iter_mut().zip(choices.as_chunks().0) {
            if component.id != *id {
                return None;
            }
            (component.dc, component.ac) = (index(tables >> 4)?, index(tables & 15)?);
        }
        Some(())
    }
}

/// The number of a table.
fn index(number: u8) -> Option<usize> {
    (number < 4).then_some(number.into())
}
