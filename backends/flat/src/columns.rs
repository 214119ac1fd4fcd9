//! What searches filter by, a column each.

use crate::mask::{CHUNK, Mask};
use crate::tags::NO_TAGS;

/// The time of a point without one: below every time that there is.
pub(crate) const NO_TIME: i64 = i64::MIN;

/// The columns of a chunk.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// Which places hold a point.
    pub(crate) live: Mask,
    pub(crate) photos: Vec<u128>,
    pub(crate) owners: Vec<u32>,
    /// Microseconds since 1970, or [`NO_TIME`].
    pub(crate) taken_at: Vec<i64>,
    /// The same of a clock without a zone: what it showed where the photo was taken, or in UTC.
    pub(crate) local_time: Vec<i64>,
    pub(crate) tags: Vec<u32>,
}

/// What the columns say of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) photo: u128,
    pub(crate) owner: u32,
    pub(crate) taken_at: i64,
    pub(crate) local_time: i64,
    pub(crate) tags: u32,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            live: [0; CHUNK / 64],
            photos: Vec::new(),
            owners: Vec::new(),
            taken_at: Vec::new(),
            local_time: Vec::new(),
            tags: Vec::new(),
        }
    }
}

impl Columns {
    /// Returns whether a place holds a point.
    pub(crate) fn is_live(&self, place: usize) -> bool {
        self.live[place / 64] >> (place % 64) & 1 == 1
    }

    /// Writes a point, at a place that may be behind the last.
    pub(crate) fn set(&mut self, place: usize, facts: &Facts) {
        if place >= self.photos.len() {
            self.photos.resize(place + 1, 0);
            self.owners.resize(place + 1, 0);
            self.taken_at.resize(place + 1, NO_TIME);
            self.local_time.resize(place + 1, NO_TIME);
            self.tags.resize(place + 1, NO_TAGS);
        }
        self.photos[place] = facts.photo;
        self.owners[place] = facts.owner;
        self.taken_at[place] = facts.taken_at;
        self.local_time[place] = facts.local_time;
        self.tags[place] = facts.tags;
        self.live[place / 64] |= 1 << (place % 64);
    }

    /// Frees a place.
    pub(crate) fn clear(&mut self, place: usize) {
        self.live[place / 64] &= !(1 << (place % 64));
    }
}
