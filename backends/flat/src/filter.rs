//! A search's filter as bits over the points of a chunk.

use jiff::Timestamp;

use crate::chunk::Chunk;
use crate::columns::NO_TIME;
use crate::mask::Mask;
use crate::tags::NumberSet;

/// Which points a search may find, in the numbers of a collection.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    /// Nothing can meet the filter.
    pub(crate) nothing: bool,
    pub(crate) owner: Option<u32>,
    /// Microseconds since 1970; the first is included, the second is not.
    pub(crate) taken_from: Option<i64>,
    pub(crate) taken_to: Option<i64>,
    /// The same of local times.
    pub(crate) local_from: Option<i64>,
    pub(crate) local_to: Option<i64>,
    pub(crate) tags: Option<NumberSet>,
    /// Slots that are excluded.
    pub(crate) exclude: Vec<u32>,
}

impl Matcher {
    /// Returns which points of a chunk meet the filter, apart from those that are excluded one by one.
    pub(crate) fn matching(&self, chunk: &Chunk) -> Mask {
        let columns = &chunk.columns;
        let mut mask = columns.live;
        if self.nothing {
            mask.fill(0);
            return mask;
        }
        if let Some(owner) = self.owner {
            keep(&mut mask, &columns.owners, |of| of == owner);
        }
        keep_range(&mut mask, &columns.taken_at, self.taken_from, self.taken_to);
        keep_range(&mut mask, &columns.local_time, self.local_from, self.local_to);
        if let Some(tags) = &self.tags {
            keep(&mut mask, &columns.tags, |set| tags.contains(set));
        }
        mask
    }
}

/// Keeps the times from `from` on, before `to`.
fn keep_range(mask: &mut Mask, column: &[i64], from: Option<i64>, to: Option<i64>) {
    if from.is_none() && to.is_none() {
        return;
    }
    let from = from.unwrap_or(NO_TIME + 1);
    // Open at the end, the last time of all counts too.
    let (end, open) = (to.unwrap_or(i64::MAX), to.is_none());
    keep(mask, column, |time| {
        time >= from && (time < end || open) && time != NO_TIME
    });
}

fn keep<T: Copy>(mask: &mut Mask, column: &[T], fits: impl Fn(T) -> bool) {
    for (word, values) in mask.iter_mut().zip(column.chunks(64)) {
        if *word == 0 {
            continue;
        }
        let bits = values
            .iter()
            .enumerate()
            .fold(0_u64, |bits, (at, value)| bits | u64::from(fits(*value)) << at);
        *word &= bits;
    }
}

/// Cuts a time to the microsecond below.
pub(crate) fn floor_micros(time: Timestamp) -> i64 {
    clamp(time.as_nanosecond().div_euclid(1000))
}

/// Returns the first microsecond at or after a time, for bounds of ranges over times that were cut.
pub(crate) fn ceil_micros(time: Timestamp) -> i64 {
    clamp(-(-time.as_nanosecond()).div_euclid(1000))
}

fn clamp(micros: i128) -> i64 {
    i64::try_from(micros).unwrap_or(if micros < 0 { NO_TIME + 1 } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_down_and_bounds_are_cut_up() {
        for (nanos, floor, ceil) in [(0, 0, 0), (1, 0, 1), (1000, 1, 1), (-1, -1, 0), (-1000, -1, -1)] {
            let time = Timestamp::from_nanosecond(nanos).unwrap();
            assert_eq!(floor_micros(time), floor, "{nanos}");
            assert_eq!(ceil_micros(time), ceil, "{nanos}");
        }
    }
}
