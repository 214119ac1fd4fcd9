//! Points as the server keeps them: the photo's id, its unit vector, and the payload that searches filter by.

use std::collections::HashMap;

use jiff::Timestamp;
use lucida_core::{Error, PhotoId, Point, Result, cut_local};
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::vectors::VectorsOptions;
use qdrant_client::qdrant::{ListValue, PointId, PointStruct, Value, Vector, Vectors, value};
use uuid::Uuid;

/// The payload keys.
pub(crate) const PHOTO_ID: &str = "photo_id";
pub(crate) const USER_ID: &str = "user_id";
pub(crate) const TAKEN_AT: &str = "taken_at";
/// What the clock showed where the photo was taken, written as if it were UTC.
pub(crate) const TAKEN_AT_LOCAL: &str = "taken_at_local";
pub(crate) const TAGS: &str = "tags";

/// Turns a point into what the server takes.
pub(crate) fn to_server(point: &Point) -> PointStruct {
    let mut payload: HashMap<String, Value> = HashMap::from([
        (PHOTO_ID.to_owned(), point.photo_id.to_string().into()),
        (USER_ID.to_owned(), point.user_id.as_str().into()),
    ]);
    if let Some(time) = point.taken_at.and_then(whole_micros) {
        payload.insert(TAKEN_AT.to_owned(), format!("{time:.6}").into());
    }
    if let Some(local) = point.taken_at_local {
        payload.insert(
            TAKEN_AT_LOCAL.to_owned(),
            format!("{:.6}Z", cut_local(local)).into(),
        );
    }
    if !point.tags.is_empty() {
        let values = point.tags.iter().map(|tag| tag.as_str().into()).collect();
        let tags = value::Kind::ListValue(ListValue { values });
        payload.insert(TAGS.to_owned(), tags.into());
    }
    PointStruct {
        id: Some(point_id(&point.photo_id)),
        payload,
        vectors: Some(Vectors {
            vectors_options: Some(VectorsOptions::Vector(vector(point.vector.clone()))),
        }),
    }
}

#[expect(deprecated, reason = "1.12 knows no other field; later servers read it too")]
fn vector(data: Vec<f32>) -> Vector {
    Vector {
        data,
        ..Vector::default()
    }
}

/// Returns the server's id of a photo.
pub(crate) fn point_id(id: &PhotoId) -> PointId {
    PointIdOptions::Uuid(id.to_string()).into()
}

/// Returns the photo of an id of the server.
pub(crate) fn photo_id(id: Option<PointId>) -> Result<PhotoId> {
    let foreign = |id: String| {
        Error::internal(format!(
            "point {id} is not a photo: another program writes to the collection"
        ))
    };
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Uuid(uuid)) => Uuid::try_parse(&uuid)
            .map(PhotoId::from_uuid)
            .map_err(|_| foreign(uuid)),
        Some(PointIdOptions::Num(number)) => Err(foreign(number.to_string())),
        None => Err(foreign("without an id".to_owned())),
    }
}

/// Cuts a time to the microsecond below, the resolution of the server's time index.
fn whole_micros(time: Timestamp) -> Option<Timestamp> {
    micros(time.as_nanosecond().div_euclid(1000))
}

/// Returns the first microsecond at or after a time, for bounds of ranges over times that were cut; `None` where that
/// is after all times.
pub(crate) fn next_micros(time: Timestamp) -> Option<Timestamp> {
    micros(-(-time.as_nanosecond()).div_euclid(1000))
}

fn micros(micros: i128) -> Option<Timestamp> {
    Timestamp::from_microsecond(i64::try_from(micros).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use lucida_core::UserId;

    use super::*;

    #[test]
    fn times_are_cut_down_and_bounds_are_cut_up() {
        for (nanos, below, above) in [(0, 0, 0), (1, 0, 1), (1000, 1, 1), (-1, -1, 0), (-1000, -1, -1)] {
            let time = Timestamp::from_nanosecond(nanos).unwrap();
            assert_eq!(whole_micros(time).unwrap().as_microsecond(), below, "{nanos}");
            assert_eq!(next_micros(time).unwrap().as_microsecond(), above, "{nanos}");
        }
        assert_eq!(next_micros(Timestamp::MAX), None);
    }

    #[test]
    fn the_payload_has_what_searches_filter_by() {
        let point = Point {
            photo_id: PhotoId::from_uuid(Uuid::nil()),
            vector: vec![1.0],
            user_id: UserId::local(),
            taken_at: Timestamp::from_nanosecond(-1).ok(),
            taken_at_local: Some("1970-01-01T00:59:59.9999999".parse().unwrap()),
            tags: ["sea".to_owned()].into(),
        };
        let payload = to_server(&point).payload;
        let text = |key: &str| payload[key].as_str().unwrap();
        assert_eq!(text(PHOTO_ID), "00000000-0000-0000-0000-000000000000");
        assert_eq!(text(USER_ID), "local");
        assert_eq!(text(TAKEN_AT), "1969-12-31T23:59:59.999999Z");
        assert_eq!(text(TAKEN_AT_LOCAL), "1970-01-01T00:59:59.999999Z");
        assert_eq!(payload[TAGS].as_list().unwrap()[0].as_str().unwrap(), "sea");
    }

    #[test]
    fn a_point_with_a_number_is_no_photo() {
        let error = photo_id(Some(PointIdOptions::Num(5).into())).unwrap_err();
        assert!(error.to_string().contains("point 5"), "{error}");
    }
}
