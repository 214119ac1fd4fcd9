//! Points as the journal and the engine keep them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lucida_core::Point;
use lucida_core::{Error, Result};
use lucida_core::{PhotoId, UserId};
use qdrant_edge::external::serde_json::{Map, Value};
use qdrant_edge::{
    DateTimeWrapper, PointId, PointStruct, PointStructPersisted, Record, VectorStructInternal,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The payload keys, the same as a Qdrant server's collection would have.
pub(crate) const PHOTO_ID: &str = "photo_id";
pub(crate) const USER_ID: &str = "user_id";
pub(crate) const TAKEN_AT: &str = "taken_at";
pub(crate) const TAGS: &str = "tags";

/// A point as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredPoint {
    pub(crate) id: Uuid,
    pub(crate) user_id: UserId,
    /// Microseconds since 1970, the resolution of the engine's time index.
    pub(crate) taken_at: Option<i64>,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) vector: Vec<f32>,
}

impl From<&Point> for StoredPoint {
    fn from(point: &Point) -> Self {
        Self {
            id: *point.photo_id.as_uuid(),
            user_id: point.user_id.clone(),
            taken_at: point.taken_at.map(floor_micros),
            tags: point.tags.clone(),
            vector: point.vector.clone(),
        }
    }
}

impl StoredPoint {
    /// Turns it into what the engine takes.
    pub(crate) fn into_engine(self) -> PointStructPersisted {
        let mut payload = Map::new();
        payload.insert(PHOTO_ID.into(), Value::String(self.id.hyphenated().to_string()));
        payload.insert(USER_ID.into(), Value::String(self.user_id.into()));
        if let Some(time) = self
            .taken_at
            .and_then(|micros| Timestamp::from_microsecond(micros).ok())
        {
            payload.insert(TAKEN_AT.into(), Value::String(format!("{time:.6}")));
        }
        if !self.tags.is_empty() {
            let tags = self.tags.into_iter().map(Value::String).collect();
            payload.insert(TAGS.into(), Value::Array(tags));
        }
        PointStruct::new(PointId::Uuid(self.id), self.vector, Value::Object(payload)).into()
    }

    /// Reads it back from a record that was asked for with payload and vector.
    pub(crate) fn from_engine(record: Record) -> Result<Self> {
        let id = *photo_id(record.id)?.as_uuid();
        let damaged = |what: &str| Error::internal(format!("point {id} of the index has no {what}"));
        let vector = dense(record.vector).ok_or_else(|| damaged("vector"))?;
        let payload = record.payload.ok_or_else(|| damaged("payload"))?.0;
        let text = |key: &str| payload.get(key).and_then(Value::as_str);
        Ok(Self {
            id,
            user_id: UserId::new(text(USER_ID).ok_or_else(|| damaged("user"))?)?,
            taken_at: text(TAKEN_AT)
                .and_then(|time| time.parse::<Timestamp>().ok())
                .map(floor_micros),
            tags: match payload.get(TAGS) {
                Some(Value::Array(tags)) => tags
                    .iter()
                    .filter_map(|tag| tag.as_str().map(str::to_owned))
                    .collect(),
                _ => BTreeSet::new(),
            },
            vector,
        })
    }
}

/// Returns the engine's id of a photo.
pub(crate) fn engine_id(id: &PhotoId) -> PointId {
    PointId::Uuid(*id.as_uuid())
}

/// Returns the photo of an id of the engine.
pub(crate) fn photo_id(id: PointId) -> Result<PhotoId> {
    match id {
        PointId::Uuid(uuid) => Ok(PhotoId::from_uuid(uuid)),
        PointId::NumId(number) => Err(Error::internal(format!(
            "point {number} of the index is no photo: the folder was written by something else"
        ))),
    }
}

/// Returns the one dense vector of a record.
pub(crate) fn dense(vector: Option<VectorStructInternal>) -> Option<Vec<f32>> {
    match vector? {
        VectorStructInternal::Single(vector) => Some(vector),
        VectorStructInternal::MultiDense(_) | VectorStructInternal::Named(_) => None,
    }
}

/// Cuts a time to the microsecond below.
pub(crate) fn floor_micros(time: Timestamp) -> i64 {
    clamp(time.as_nanosecond().div_euclid(1000))
}

/// Returns the first microsecond at or after a time, for bounds of ranges over times that were cut.
pub(crate) fn ceil_micros(time: Timestamp) -> Option<DateTimeWrapper> {
    DateTimeWrapper::from_timestamp(clamp(-(-time.as_nanosecond()).div_euclid(1000)))
}

fn clamp(micros: i128) -> i64 {
    i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_down_and_bounds_are_cut_up() {
        for (nanos, floor, ceil) in [(0, 0, 0), (1, 0, 1), (1000, 1, 1), (-1, -1, 0), (-1000, -1, -1)] {
            let time = Timestamp::from_nanosecond(nanos).unwrap();
            assert_eq!(floor_micros(time), floor, "{nanos}");
            assert_eq!(ceil_micros(time).unwrap().timestamp(), ceil, "{nanos}");
        }
    }

    #[test]
    fn the_payload_has_the_time_to_the_microsecond() {
        let point = StoredPoint {
            id: Uuid::nil(),
            user_id: UserId::local(),
            taken_at: Some(-1),
            tags: BTreeSet::from(["sea".to_owned()]),
            vector: vec![1.0],
        };
        let payload = point.into_engine().payload.unwrap().0;
        assert_eq!(payload[TAKEN_AT], "1969-12-31T23:59:59.999999Z");
        assert_eq!(payload[PHOTO_ID], "00000000-0000-0000-0000-000000000000");
        assert_eq!(payload[USER_ID], "local");
        assert_eq!(payload[TAGS][0], "sea");
    }
}
