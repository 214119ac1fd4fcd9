//! Points in numbers, in time, and shortened.

use jiff::Timestamp;
use lucida_core::{IndexFilter, PhotoId, Point, VectorIndex};
use lucida_qdrant::{Quantization, ReadConsistency, WriteOrdering};
use lucida_testkit::{collection, point, unit_vector, user};
use qdrant_client::qdrant::{GetPointsBuilder, PointId};

use crate::support::Place;

const DIMENSIONS: usize = 8;

fn points(count: u64) -> Vec<Point> {
    (0..count)
        .map(|seed| point(PhotoId::generate(), &user("alice"), unit_vector(DIMENSIONS, seed)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_fits_one_request_or_one_answer_goes_through_whole() {
    for place in Place::all() {
        let index = place.open().await;
        let name = collection(&index, "main");
        index.ensure(&name, DIMENSIONS).await.unwrap();
        let stored = points(2_300);
        index.upsert(&name, &stored).await.unwrap();
        let ids: Vec<_> = stored.iter().map(|point| point.photo_id).collect();
        assert_eq!(index.count(&name).await.unwrap(), 2_300);
        assert_eq!(index.ids(&name, None, 10_000).await.unwrap(), ids);
        assert_eq!(
            index.ids(&name, Some(&ids[99]), 1_500).await.unwrap(),
            ids[100..1_600]
        );
        index.delete(&name, &ids[..1_200]).await.unwrap();
        assert_eq!(index.ids(&name, None, 10_000).await.unwrap(), ids[1_200..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_compared_to_the_microsecond() {
    for place in Place::all() {
        let index = place.open().await;
        let name = collection(&index, "main");
        index.ensure(&name, DIMENSIONS).await.unwrap();
        let nanos = [-1_001, -1_000, -1, 0, 999, 1_000, 1_720_000_000_123_456_000];
        let time = |nanos: i128| Timestamp::from_nanosecond(nanos).unwrap();
        let mut stored = points(nanos.len() as u64);
        for (point, nanos) in stored.iter_mut().zip(nanos) {
            point.taken_at = Some(time(nanos));
        }
        index.upsert(&name, &stored).await.unwrap();
        let whole = |nanos: i128| nanos.div_euclid(1_000) * 1_000;
        for (from, to) in [
            (-2_000, -1_000),
            (-1_000, 0),
            (-1, 1),
            (0, 1_000),
            (1, 1_001),
            (1_720_000_000_123_456_000, 1_720_000_000_123_457_000),
            (1_720_000_000_123_456_001, i128::from(i64::MAX)),
        ] {
            let filter = IndexFilter {
                taken_from: Some(time(from)),
                taken_to: Some(time(to)),
                ..IndexFilter::default()
            };
            let hits = index
                .search(&name, &stored[0].vector, &filter, 100)
                .await
                .unwrap();
            let mut found: Vec<_> = hits.into_iter().map(|hit| hit.photo_id).collect();
            found.sort();
            // What was stored was cut to the microsecond before it is compared.
            let expected: Vec<_> = stored
                .iter()
                .zip(nanos)
                .filter(|(_, nanos)| (from..to).contains(&whole(*nanos)))
                .map(|(point, _)| point.photo_id)
                .collect();
            assert_eq!(found, expected, "{from} to {to}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_of_shortened_vectors_rank_by_the_whole_ones() {
    for place in Place::all() {
        for (label, quantization) in [("scalar", Quantization::Scalar), ("binary", Quantization::Binary)] {
            let index = place
                .open_with(|config| {
                    config.quantization = quantization;
                    config.quantization_oversampling = 8.0;
                    config.search_ef = Some(128);
                })
                .await;
            let name = collection(&index, label);
            index.ensure(&name, DIMENSIONS).await.unwrap();
            let stored = points(200);
            index.upsert(&name, &stored).await.unwrap();
            let hits = index
                .search(&name, &stored[7].vector, &IndexFilter::default(), 10)
                .await
                .unwrap();
            assert_eq!(hits.len(), 10);
            assert_eq!(hits[0].photo_id, stored[7].photo_id);
            assert!(hits[0].score > 0.999_99, "{hits:?}");
            assert!(
                hits.is_sorted_by(|left, right| left.score >= right.score),
                "{hits:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ordering_and_consistency_is_one_that_the_server_takes() {
    for place in Place::all() {
        for (ordering, consistency) in [
            (WriteOrdering::Weak, ReadConsistency::One),
            (WriteOrdering::Medium, ReadConsistency::Majority),
            (WriteOrdering::Strong, ReadConsistency::Quorum),
            (WriteOrdering::Strong, ReadConsistency::All),
        ] {
            let index = place
                .open_with(|config| {
                    config.write_ordering = ordering;
                    config.read_consistency = consistency;
                })
                .await;
            let name = collection(&index, "main");
            index.ensure(&name, DIMENSIONS).await.unwrap();
            let stored = points(3);
            index.upsert(&name, &stored).await.unwrap();
            assert_eq!(index.count(&name).await.unwrap(), 3);
            let vector = index.vector(&name, &stored[1].photo_id).await.unwrap();
            assert!(vector.is_some());
            let ids: Vec<_> = stored.iter().map(|point| point.photo_id).collect();
            assert_eq!(index.ids(&name, None, 10).await.unwrap(), ids);
            let hits = index
                .search(&name, &stored[1].vector, &IndexFilter::default(), 1)
                .await
                .unwrap();
            assert_eq!(hits[0].photo_id, ids[1]);
            index.delete(&name, &ids).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_lies_on_the_server_as_the_readme_says() {
    for place in Place::all() {
        let index = place.open().await;
        let name = collection(&index, "main");
        index.ensure(&name, DIMENSIONS).await.unwrap();
        let mut stored = points(1).remove(0);
        stored.taken_at = Some(Timestamp::from_microsecond(1_720_000_000_123_456).unwrap());
        stored.tags = ["sea".to_owned(), "dog".to_owned()].into();
        index.upsert(&name, std::slice::from_ref(&stored)).await.unwrap();
        let id = PointId::from(stored.photo_id.to_string());
        let request = GetPointsBuilder::new(name.as_str(), [id]).with_payload(true);
        let found = place.client().get_points(request).await.unwrap().result.remove(0);
        let payload: serde_json::Map<_, _> = found
            .payload
            .into_iter()
            .map(|(key, value)| (key, value.into_json()))
            .collect();
        let expected = serde_json::json!({
            "photo_id": stored.photo_id.to_string(),
            "user_id": "alice",
            "taken_at": "2024-07-03T09:46:40.123456Z",
            "tags": ["dog", "sea"],
        });
        assert_eq!(serde_json::Value::Object(payload), expected);
    }
}
