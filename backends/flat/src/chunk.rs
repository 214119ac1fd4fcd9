//! A few thousand points of a collection in memory.
//!
//! A search takes the chunks as they are and keeps them until it is done; a write that comes meanwhile copies what it
//! changes of the few chunks that it touches. So neither waits for the other, and a search sees one state.

use std::sync::Arc;

use crate::columns::Columns;
use crate::sketch::{Bits, Sketch};

/// How many points a chunk has at most: few enough to copy in a moment.
pub(crate) const CHUNK: usize = 2_048;

/// Which points of a chunk are meant, a bit for each.
pub(crate) type Mask = [u64; CHUNK / 64];

/// Points with neighbouring slots.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunk {
    pub(crate) columns: Arc<Columns>,
    pub(crate) codes: Arc<Codes>,
    /// There once the collection has a sketch.
    pub(crate) bits: Option<Arc<Bits>>,
}

/// The codes of a chunk, one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Codes {
    pub(crate) scales: Vec<f32>,
    /// `(points, dimensions)`.
    pub(crate) values: Vec<i8>,
}

impl Codes {
    /// Returns the code at a place of the chunk.
    pub(crate) fn get(&self, place: usize, dimensions: usize) -> (f32, &[i8]) {
        let start = place * dimensions;
        (self.scales[place], &self.values[start..start + dimensions])
    }

    /// Writes the code at a place, which may be behind the last.
    pub(crate) fn set(&mut self, place: usize, scale: f32, values: &[i8]) {
        let dimensions = values.len();
        if place >= self.scales.len() {
            self.scales.resize(place + 1, 0.0);
            self.values.resize((place + 1) * dimensions, 0);
        }
        self.scales[place] = scale;
        self.values[place * dimensions..(place + 1) * dimensions].copy_from_slice(values);
    }
}

impl Chunk {
    /// Writes a code, and its bits where the collection has a sketch.
    pub(crate) fn set_code(&mut self, place: usize, scale: f32, values: &[i8], sketch: Option<&Sketch>) {
        let dimensions = values.len();
        let same = place < self.codes.scales.len() && self.codes.get(place, dimensions) == (scale, values);
        if !same {
            Arc::make_mut(&mut self.codes).set(place, scale, values);
        }
        let missing = self.bits.as_ref().is_none_or(|bits| bits.len() <= place);
        if let Some(sketch) = sketch.filter(|_| !same || missing) {
            let bits = Arc::make_mut(self.bits.get_or_insert_default());
            sketch.set(bits, place, scale, values);
        }
    }
}

/// Returns the slot at a place of the chunk number `at`.
#[expect(clippy::cast_possible_truncation, reason = "slots are 32 bits")]
pub(crate) fn slot(at: usize, place: usize) -> u32 {
    (at * CHUNK + place) as u32
}

/// Returns the number of the chunk that has a slot, and the place in it: the inverse of [`slot`].
pub(crate) fn position(slot: u32) -> (usize, usize) {
    (slot as usize / CHUNK, slot as usize % CHUNK)
}

/// Calls `each` with the places that a mask means, in ascending order.
#[inline(always)]
pub(crate) fn places(mask: &Mask, mut each: impl FnMut(usize)) {
    for (number, word) in mask.iter().enumerate() {
        let mut word = *word;
        while word != 0 {
            each(number * 64 + word.trailing_zeros() as usize);
            word &= word - 1;
        }
    }
}

/// Counts the points that a mask means.
pub(crate) fn count(mask: &Mask) -> usize {
    mask.iter().map(|word| word.count_ones() as usize).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_position() {
        for number in [0, 1, CHUNK - 1, CHUNK, 3 * CHUNK + 5] {
            let number = u32::try_from(number).unwrap();
            let (at, place) = position(number);
            assert!(place < CHUNK);
            assert_eq!(slot(at, place), number);
        }
    }
}
