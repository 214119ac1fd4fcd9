//! Making collections, and looking closely at those that are there.

use lucida_core::{CollectionName, ErrorKind, VectorIndex};
use lucida_qdrant::Quantization;
use lucida_testkit::collection;
use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::quantization_config;
use qdrant_client::qdrant::vectors_config::Config as VectorsKind;
use qdrant_client::qdrant::{
    CollectionInfo, CreateCollectionBuilder, Distance, PayloadSchemaType, TurboQuantBitSize,
    VectorParamsBuilder,
};

use crate::support::Place;

async fn info(place: &Place, name: &CollectionName) -> CollectionInfo {
    let answer = place.client().collection_info(name.as_str()).await.unwrap();
    answer.result.unwrap()
}

async fn create(place: &Place, name: &CollectionName, size: u64, distance: Distance) {
    let vectors = VectorParamsBuilder::new(size, distance);
    let request = CreateCollectionBuilder::new(name.as_str()).vectors_config(vectors);
    place.client().create_collection(request).await.unwrap();
}

fn assert_indexes(info: &CollectionInfo) {
    let schema = |field: &str| {
        let there = info.payload_schema.get(field);
        there.unwrap_or_else(|| panic!("no index on {field}: {info:?}"))
    };
    for (field, data_type) in [
        ("user_id", PayloadSchemaType::Keyword),
        ("tags", PayloadSchemaType::Keyword),
        ("taken_at", PayloadSchemaType::Datetime),
        ("taken_at_local", PayloadSchemaType::Datetime),
    ] {
        assert_eq!(schema(field).data_type(), data_type, "{field}");
    }
    let Some(IndexParams::KeywordIndexParams(params)) =
        schema("user_id").params.clone().unwrap().index_params
    else {
        panic!("user_id has no parameters: {info:?}");
    };
    assert_eq!(params.is_tenant, Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_of_another_size_or_distance_is_refused_and_left() {
    for place in Place::all() {
        let index = place.open().await;
        let (small, dot) = (collection(&index, "small"), collection(&index, "dot"));
        create(&place, &small, 4, Distance::Cosine).await;
        create(&place, &dot, 8, Distance::Dot).await;
        for (name, words) in [
            (&small, ["4 dimensions", "not 8"]),
            (&dot, ["Dot", "index.qdrant.collection"]),
        ] {
            let error = index.ensure(name, 8).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            for word in words {
                assert!(error.to_string().contains(word), "{error}");
            }
            assert!(info(&place, name).await.payload_schema.is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payload_indexes_are_there_and_an_existing_collection_gets_those_that_it_lacks() {
    for place in Place::all() {
        let index = place.open().await;
        let (ours, bare) = (collection(&index, "ours"), collection(&index, "bare"));
        index.ensure(&ours, 8).await.unwrap();
        assert_indexes(&info(&place, &ours).await);
        create(&place, &bare, 8, Distance::Cosine).await;
        index.ensure(&bare, 8).await.unwrap();
        assert_indexes(&info(&place, &bare).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_ensure_at_once_make_one_collection() {
    for place in Place::all() {
        let (first, second) = (place.open().await, place.open().await);
        for label in ["a", "b", "c"] {
            let name = collection(&first, label);
            let (one, other) = tokio::join!(first.ensure(&name, 8), second.ensure(&name, 8));
            one.unwrap();
            other.unwrap();
            assert_indexes(&info(&place, &name).await);
        }
        assert_eq!(first.collections().await.unwrap().len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(deprecated, reason = "1.12 knows no other fields")]
async fn settings_reach_the_server() {
    for place in Place::all() {
        let index = place
            .open_with(|config| {
                config.shard_number = Some(2);
                config.replication_factor = Some(1);
                config.vectors_on_disk = true;
                config.payload_on_disk = false;
                config.quantization = Quantization::Scalar;
                config.hnsw_m = Some(24);
                config.hnsw_ef_construct = Some(150);
            })
            .await;
        let name = collection(&index, "main");
        index.ensure(&name, 8).await.unwrap();
        let config = info(&place, &name).await.config.unwrap();
        let params = config.params.unwrap();
        assert_eq!(params.shard_number, 2);
        assert_eq!(params.replication_factor, Some(1));
        assert!(!params.on_disk_payload);
        let Some(VectorsKind::Params(vector)) = params.vectors_config.unwrap().config else {
            panic!("the vector has a name");
        };
        assert_eq!(
            (vector.size, vector.distance(), vector.on_disk),
            (8, Distance::Cosine, Some(true))
        );
        let graph = config.hnsw_config.unwrap();
        assert_eq!((graph.m, graph.ef_construct), (Some(24), Some(150)));
        assert_eq!(graph.on_disk, Some(true));
        let quantization = config.quantization_config.unwrap().quantization;
        let Some(quantization_config::Quantization::Scalar(scalar)) = quantization else {
            panic!("{quantization:?} is not scalar");
        };
        assert_eq!(scalar.always_ram, Some(true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn turbo_quantization_has_four_bits_where_the_server_knows_it() {
    for version in ["1.18.0", "1.20.3-dev"] {
        let place = Place::stand_in_of_version(version);
        let index = place
            .open_with(|config| config.quantization = Quantization::Turbo)
            .await;
        let name = collection(&index, "main");
        index.ensure(&name, 8).await.unwrap();
        let config = info(&place, &name).await.config.unwrap();
        let quantization = config.quantization_config.unwrap().quantization;
        let Some(quantization_config::Quantization::Turboquant(turbo)) = quantization else {
            panic!("{quantization:?} is not turbo");
        };
        assert_eq!(turbo.bits(), TurboQuantBitSize::Bits4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn turbo_quantization_is_refused_by_name_on_an_older_server() {
    for version in ["1.17.9", "1.9.0", "unknown"] {
        let place = Place::stand_in_of_version(version);
        let index = place
            .open_with(|config| config.quantization = Quantization::Turbo)
            .await;
        let name = collection(&index, "main");
        let error = index.ensure(&name, 8).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
        assert_eq!(error.field(), Some("index.qdrant.quantization"));
        for word in ["turbo", "1.18", version, "scalar"] {
            assert!(error.message().contains(word), "{error}");
        }
        assert!(index.collections().await.unwrap().is_empty());
        // Other quantizations don't depend on the version.
        place.open().await.ensure(&name, 8).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_collections_under_the_alias_are_listed() {
    for place in Place::all() {
        let index = place.open().await;
        let ours = collection(&index, "main");
        index.ensure(&ours, 8).await.unwrap();
        for other in [
            format!("{}_other", place.alias),
            format!("{}-", place.alias),
            format!("{}-with.dot", place.alias),
        ] {
            let request = CreateCollectionBuilder::new(other)
                .vectors_config(VectorParamsBuilder::new(8, Distance::Cosine));
            place.client().create_collection(request).await.unwrap();
        }
        assert_eq!(index.collections().await.unwrap(), [ours]);
    }
}
