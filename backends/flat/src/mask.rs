//! The places of a chunk: how slots map to them, and sets of them.

/// How many points a chunk has at most: few enough to copy in a moment.
pub(crate) const CHUNK: usize = 2_048;

/// Which points of a chunk are meant, a bit for each.
pub(crate) type Mask = [u64; CHUNK / 64];

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
