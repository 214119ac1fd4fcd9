//! The boxes of HEIC and AVIF files, ISO 14496-12 and 23008-12: which items there are, and where their bytes are.

use std::borrow::Cow;

/// A file's boxes as far as its pictures and what describes them go.
pub(super) struct Boxes<'a> {
    file: &'a [u8],
    pub(super) primary: u32,
    items: Vec<Item>,
    properties: Vec<Property<'a>>,
    /// An item and the properties that it has, in order.
    associations: Vec<(u32, Vec<usize>)>,
    /// Kind, from, to.
    references: Vec<([u8; 4], u32, Vec<u32>)>,
    inline: &'a [u8],
}

struct Item {
    id: u32,
    kind: [u8; 4],
    content_type: Vec<u8>,
    /// Whether the extents are in the `idat` box.
    is_inline: bool,
    /// Start and length; a length of 0 goes to the end.
    extents: Vec<(u64, u64)>,
}

/// A property of items.
#[derive(Clone, Copy)]
pub(super) struct Property<'a> {
    pub(super) kind: [u8; 4],
    pub(super) body: &'a [u8],
}

/// A file has no more boxes or items than this; a damaged count would. Items are looked up one by one.
const MAX_COUNT: usize = 1 << 14;

impl<'a> Boxes<'a> {
    /// Reads the `meta` box; `None` where there is none, or it can't be followed.
    pub(super) fn read(file: &'a [u8]) -> Option<Self> {
        let meta = children(file).find(|property| &property.kind == b"meta")?;
        let mut boxes = Self {
            file,
            primary: 0,
            items: Vec::new(),
            properties: Vec::new(),
            associations: Vec::new(),
            references: Vec::new(),
            inline: &[],
        };
        for child in children(meta.body.get(4..)?) {
            match &child.kind {
                b"pitm" => boxes.primary = primary(child.body).unwrap_or(0),
                b"iinf" => drop(boxes.read_kinds(child.body)),
                b"iloc" => drop(boxes.read_places(child.body)),
                b"iref" => drop(boxes.read_references(child.body)),
                b"iprp" => drop(boxes.read_properties(child.body)),
                b"idat" => boxes.inline = child.body,
                _ => {}
            }
        }
        Some(boxes)
    }

    /// Returns the items of a kind, those first that describe the primary item.
    pub(super) fn items_of(&self, kind: &[u8; 4], content_type: Option<&[u8]>) -> Vec<u32> {
        let mut ids: Vec<u32> = self
            .items
            .iter()
            .filter(|item| {
                item.kind == *kind && content_type.is_none_or(|wanted| item.content_type == wanted)
            })
            .map(|item| item.id)
            .collect();
        let describes = |id: u32| {
            self.references
                .iter()
                .any(|(kind, from, to)| kind == b"cdsc" && *from == id && to.contains(&self.primary))
        };
        ids.sort_by_cached_key(|id| !describes(*id));
        ids
    }

    /// Returns the items that a reference of `kind` leads to from `id`.
    pub(super) fn referred(&self, kind: &[u8; 4], id: u32) -> &[u32] {
        self.references
            .iter()
            .find(|(found, from, _)| found == kind && *from == id)
            .map_or(&[], |(_, _, to)| to)
    }

    /// Returns the items from which a reference of `kind` leads to `id`.
    pub(super) fn referring(&self, kind: &[u8; 4], id: u32) -> Vec<u32> {
        self.references
            .iter()
            .filter(|(found, _, to)| found == kind && to.contains(&id))
            .map(|(_, from, _)| *from)
            .collect()
    }

    /// Returns an item's properties in order.
    pub(super) fn properties(&self, id: u32) -> impl Iterator<Item = Property<'a>> + '_ {
        let places = self
            .associations
            .iter()
            .find(|(item, _)| *item == id)
            .map_or(&[][..], |(_, places)| places);
        places
            .iter()
            .filter_map(|place| self.properties.get(place.checked_sub(1)?).copied())
    }

    /// Returns whether all of an item's bytes are in the file.
    pub(super) fn is_whole(&self, id: u32) -> bool {
        self.item(id).is_some_and(|item| {
            let source = if item.is_inline { self.inline } else { self.file };
            let is_within =
                |&(start, length): &(u64, u64)| start.saturating_add(length) <= source.len() as u64;
            !item.extents.is_empty() && item.extents.iter().all(is_within)
        })
    }

    /// Returns an item's bytes; `None` where a part of them is beyond the end of the file.
    pub(super) fn data(&self, id: u32) -> Option<Cow<'a, [u8]>> {
        let item = self.item(id)?;
        let source = if item.is_inline { self.inline } else { self.file };
        let part = |&(start, length): &(u64, u64)| {
            let rest = source.get(usize::try_from(start).ok()?..)?;
            match usize::try_from(length).ok()? {
                0 => Some(rest),
                length => rest.get(..length),
            }
        };
        match &item.extents[..] {
            [] => None,
            [extent] => part(extent).map(Cow::Borrowed),
            extents => {
                let mut joined = Vec::new();
                for extent in extents {
                    let part = part(extent)?;
                    // Overlapping extents could make much of little.
                    if joined.len() + part.len() > self.file.len() {
                        return None;
                    }
                    joined.extend_from_slice(part);
                }
                Some(Cow::Owned(joined))
            }
        }
    }

    fn item(&self, id: u32) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }

    fn item_mut(&mut self, id: u32) -> &mut Item {
        let at = self.items.iter().position(|item| item.id == id);
        let at = at.unwrap_or_else(|| {
            self.items.push(Item {
                id,
                kind: [0; 4],
                content_type: Vec::new(),
                is_inline: false,
                extents: Vec::new(),
            });
            self.items.len() - 1
        });
        &mut self.items[at]
    }

    fn read_kinds(&mut self, body: &[u8]) -> Option<()> {
        let mut reader = Bytes(body);
        let (version, _) = reader.version()?;
        reader.number(if version == 0 { 2 } else { 4 })?;
        for entry in children(reader.0).take(MAX_COUNT) {
            let mut reader = Bytes(entry.body);
            let (version, _) = reader.version()?;
            if version < 2 {
                continue;
            }
            let id = reader.u32(if version == 2 { 2 } else { 4 })?;
            reader.number(2)?;
            let kind = *reader.0.first_chunk()?;
            reader.0 = &reader.0[4..];
            let _name = reader.text();
            let content_type = reader.text().to_vec();
            let item = self.item_mut(id);
            (item.kind, item.content_type) = (kind, content_type);
        }
        Some(())
    }

    fn read_places(&mut self, body: &[u8]) -> Option<()> {
        let mut reader = Bytes(body);
        let (version, _) = reader.version()?;
        let sizes = reader.number(2)?;
        let size = |shift: u32| ((sizes >> shift) & 15) as usize;
        let (offset_size, length_size, base_size) = (size(12), size(8), size(4));
        let index_size = if version == 0 { 0 } else { size(0) };
        let count = reader.number(if version < 2 { 2 } else { 4 })?;
        for _ in 0..count.min(MAX_COUNT as u64) {
            let id = reader.u32(if version < 2 { 2 } else { 4 })?;
            let method = if version == 0 { 0 } else { reader.number(2)? & 15 };
            reader.number(2)?;
            let base = reader.number(base_size)?;
            let extent_count = match (index_size, offset_size, length_size) {
                // They would take no room in the file, however many there are.
                (0, 0, 0) => reader.number(2)?.min(1),
                _ => reader.number(2)?,
            };
            let mut extents = Vec::new();
            for _ in 0..extent_count {
                reader.number(index_size)?;
                let (offset, length) = (reader.number(offset_size)?, reader.number(length_size)?);
                extents.push((base.checked_add(offset)?, length));
            }
            let item = self.item_mut(id);
            (item.is_inline, item.extents) = (method == 1, extents);
        }
        Some(())
    }

    fn read_references(&mut self, body: &[u8]) -> Option<()> {
        let mut reader = Bytes(body);
        let (version, _) = reader.version()?;
        let size = if version == 0 { 2 } else { 4 };
        for entry in children(reader.0).take(MAX_COUNT) {
            let mut reader = Bytes(entry.body);
            let from = reader.u32(size)?;
            let count = reader.number(2)?;
            let to: Option<Vec<u32>> = (0..count).map(|_| reader.u32(size)).collect();
            self.references.push((entry.kind, from, to?));
        }
        Some(())
    }

    fn read_properties(&mut self, body: &'a [u8]) -> Option<()> {
        for child in children(body) {
            match &child.kind {
                b"ipco" => self.properties = children(child.body).take(MAX_COUNT).collect(),
                b"ipma" => {
                    let mut reader = Bytes(child.body);
                    let (version, flags) = reader.version()?;
                    let count = reader.number(4)?;
                    for _ in 0..count.min(MAX_COUNT as u64) {
                        let id = reader.u32(if version == 0 { 2 } else { 4 })?;
                        let properties = reader.number(1)?;
                        let mut places = Vec::new();
                        for _ in 0..properties {
                            // The highest bit says that the property must be understood.
                            let place = if flags & 1 == 1 {
                                reader.number(2)? & 0x7FFF
                            } else {
                                reader.number(1)? & 0x7F
                            };
                            places.push(usize::try_from(place).ok()?);
                        }
                        self.associations.push((id, places));
                    }
                }
                _ => {}
            }
        }
        Some(())
    }
}

fn primary(body: &[u8]) -> Option<u32> {
    let mut reader = Bytes(body);
    let (version, _) = reader.version()?;
    reader.u32(if version == 0 { 2 } else { 4 })
}

/// Returns the boxes that lie side by side in `body`; one that is cut off comes with what is left of it.
fn children(body: &[u8]) -> impl Iterator<Item = Property<'_>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let mut reader = Bytes(rest);
        let short = reader.number(4)?;
        let kind = *reader.0.first_chunk()?;
        reader.0 = &reader.0[4..];
        let length = match short {
            0 => rest.len() as u64,
            1 => reader.number(8)?,
            length => length,
        };
        let header = rest.len() - reader.0.len();
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        let body = rest.get(header..length)?;
        rest = &rest[length..];
        Some(Property { kind, body })
    })
}

/// Reads numbers, the highest byte first.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Reads a number of 0 to 8 bytes.
    fn number(&mut self, size: usize) -> Option<u64> {
        let (bytes, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        (size <= 8).then(|| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn u32(&mut self, size: usize) -> Option<u32> {
        u32::try_from(self.number(size)?).ok()
    }

    fn version(&mut self) -> Option<(u64, u64)> {
        let word = self.number(4)?;
        Some((word >> 24, word & 0xFF_FFFF))
    }

    /// Reads a text that ends with a zero.
    fn text(&mut self) -> &'a [u8] {
        let end = memchr::memchr(0, self.0).unwrap_or(self.0.len());
        let text = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
        [&length[..], kind, body].concat()
    }

    #[test]
    fn items_whose_parts_take_no_room_in_the_file_take_none_in_memory() {
        let mut places = vec![0; 4];
        // Sizes of 0 for offsets, lengths and bases.
        places.extend([0, 0]);
        let count = 1000_u16;
        places.extend(count.to_be_bytes());
        for id in 0..count {
            places.extend(id.to_be_bytes());
            // The file itself, and as many parts as can be written.
            places.extend([0, 0, 0xFF, 0xFF]);
        }
        let meta = [&[0; 4][..], &boxed(b"iloc", &places)].concat();
        let file = [boxed(b"ftyp", b"heic\0\0\0\0"), boxed(b"meta", &meta)].concat();
        let boxes = Boxes::read(&file).unwrap();
        assert_eq!(boxes.items.len(), 1000);
        assert!(boxes.items.iter().all(|item| item.extents.len() <= 1));
    }
}
