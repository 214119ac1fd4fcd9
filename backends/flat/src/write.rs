//! What is written: points as the database keeps them, the slots they take, and the changes that a commit makes.

use std::collections::BTreeSet;

use lucida_core::{Point, UserId, local_microsecond};

use crate::code::Code;
use crate::columns::NO_TIME;
use crate::filter::floor_micros;

/// A point, encoded.
#[derive(Debug)]
pub(crate) struct NewPoint {
    pub(crate) photo: u128,
    pub(crate) owner: UserId,
    /// Microseconds since 1970, or [`NO_TIME`].
    pub(crate) taken_at: i64,
    /// The same of a clock without a zone, where that is known.
    pub(crate) taken_at_local: Option<i64>,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) code: Code,
    pub(crate) vector: Vec<f32>,
}

impl NewPoint {
    /// Makes the point that is stored with a code of the vector.
    pub(crate) fn of(point: &Point, code: Code) -> Self {
        Self {
            photo: point.photo_id.as_uuid().as_u128(),
            owner: point.user_id.clone(),
            taken_at: point.taken_at.map_or(NO_TIME, floor_micros),
            taken_at_local: point.taken_at_local.map(local_microsecond),
            tags: point.tags.clone(),
            code,
            vector: point.vector.clone(),
        }
    }
}

/// What a caller wants written.
#[derive(Debug)]
pub(crate) enum Write {
    /// Points, each over the one of the same photo.
    Upsert(Vec<NewPoint>),
    /// Photos whose points go.
    Delete(Vec<u128>),
}

impl Write {
    /// Counts what is in it.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Upsert(points) => points.len(),
            Self::Delete(photos) => photos.len(),
        }
    }
}

/// What a commit has changed.
#[derive(Debug)]
pub(crate) enum Change {
    /// A point is at a slot.
    Put {
        /// Where.
        slot: u32,
        /// Which.
        point: NewPoint,
    },
    /// A slot is free.
    Remove {
        /// Which.
        slot: u32,
        /// The photo whose point was in it.
        photo: u128,
    },
}

/// Which slots are free. Only the writer takes and gives any.
#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) free: Vec<u32>,
    /// The first that was never used.
    pub(crate) next: u32,
}
