//! Collections of other programs.

use std::collections::HashMap;

use lucida_core::{ErrorKind, ForeignCollection, ForeignPoint, Result, VectorIndex};
use lucida_qdrant::QdrantIndex;
use qdrant_client::Payload;
use qdrant_client::qdrant::{
    CreateCollectionBuilder, Distance, PointId, PointStruct, UpsertPointsBuilder, VectorParams,
    VectorParamsBuilder, Vectors, VectorsConfigBuilder,
};
use serde_json::json;

use crate::support::{Place, config};

async fn create(place: &Place, name: &str, vectors: &[(&str, VectorParams)]) {
    let mut config = VectorsConfigBuilder::default();
    for (name, params) in vectors {
        if name.is_empty() {
            config.add_vector_params(*params);
        } else {
            config.add_named_vector_params(*name, *params);
        }
    }
    let request = CreateCollectionBuilder::new(name).vectors_config(config);
    place.client().create_collection(request).await.unwrap();
}

async fn write(place: &Place, name: &str, points: Vec<PointStruct>) {
    let request = UpsertPointsBuilder::new(name, points).wait(true);
    place.client().upsert_points(request).await.unwrap();
}

async fn open(place: &Place, name: &str) -> Result<Box<dyn ForeignCollection>> {
    let index = QdrantIndex::open(config(&place.url, "ours")).await?;
    index.foreign(name).await
}

async fn read_all(foreign: &dyn ForeignCollection, limit: usize) -> Vec<ForeignPoint> {
    let (mut points, mut from) = (Vec::new(), None);
    loop {
        let page = foreign.read(from.as_deref(), limit).await.unwrap();
        assert!(page.points.len() <= limit);
        points.extend(page.points);
        from = page.next;
        if from.is_none() {
            return points;
        }
    }
}

fn point(id: impl Into<PointId>, vectors: impl Into<Vectors>, payload: serde_json::Value) -> PointStruct {
    PointStruct::new(id, vectors, Payload::try_from(payload).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_read_page_by_page_with_whatever_ids_it_has() {
    let uuid = "0190a6d4-7d6c-7000-8000-000000000001";
    for place in Place::all() {
        let name = place.alias.as_str();
        create(
            &place,
            name,
            &[("", VectorParamsBuilder::new(2, Distance::Dot).build())],
        )
        .await;
        let mut points: Vec<_> = (0..25_u64)
            .map(|number| {
                let payload =
                    json!({ "photo_id": format!("photo-{number}"), "user_id": number, "other": "x" });
                point(number, vec![number as f32, 3.0], payload)
            })
            .collect();
        points.push(point(uuid, vec![0.5, 0.5], json!({ "user_id": ["no", "text"] })));
        write(&place, name, points).await;
        let foreign = open(&place, name).await.unwrap();
        assert_eq!(foreign.dimensions(), 2);
        assert_eq!(foreign.count().await.unwrap(), 26);
        for limit in [1, 10, 26, 1_000] {
            let read = read_all(&*foreign, limit).await;
            assert_eq!(read.len(), 26, "in pages of {limit}");
            for (number, point) in read[..25].iter().enumerate() {
                let expected = ForeignPoint {
                    id: number.to_string(),
                    photo_id: Some(format!("photo-{number}")),
                    user_id: Some(number.to_string()),
                    vector: Some(vec![number as f32, 3.0]),
                };
                assert_eq!(*point, expected);
            }
            let expected = ForeignPoint {
                id: uuid.to_owned(),
                photo_id: None,
                user_id: None,
                vector: Some(vec![0.5, 0.5]),
            };
            assert_eq!(read[25], expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_vector_may_have_a_name() {
    for place in Place::all() {
        let name = place.alias.as_str();
        create(
            &place,
            name,
            &[("clip", VectorParamsBuilder::new(2, Distance::Cosine).build())],
        )
        .await;
        let vectors = HashMap::from([("clip".to_owned(), vec![0.6_f32, 0.8])]);
        write(
            &place,
            name,
            vec![point(7, vectors, json!({ "photo_id": "p", "user_id": "alice" }))],
        )
        .await;
        let foreign = open(&place, name).await.unwrap();
        assert_eq!(foreign.dimensions(), 2);
        let read = read_all(&*foreign, 10).await;
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].photo_id.as_deref(), Some("p"));
        let vector = read[0].vector.as_deref().unwrap();
        assert!(
            (vector[0] - 0.6).abs() < 1e-6 && (vector[1] - 0.8).abs() < 1e-6,
            "{vector:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_vectors_or_none_are_refused_and_an_absent_collection_is_not_found() {
    for place in Place::all() {
        let name = place.alias.as_str();
        let error = open(&place, name).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        let vector = VectorParamsBuilder::new(2, Distance::Cosine).build();
        create(&place, name, &[("image", vector), ("text", vector)]).await;
        let error = open(&place, name).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("`image`, `text`"), "{error}");
    }
}
