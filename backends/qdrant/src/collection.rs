//! What a collection is made with, how an existing one is read, and the payload indexes that it needs.

use lucida_core::{CollectionName, Error, Result};
use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::quantization_config::Quantization as QuantizationKind;
use qdrant_client::qdrant::vectors_config::Config as VectorsKind;
use qdrant_client::qdrant::{
    BinaryQuantization, CollectionInfo, CountPoints, CreateCollection, CreateFieldIndexCollection,
    DatetimeIndexParams, Distance, FieldType, HnswConfigDiff, KeywordIndexParams, PayloadIndexParams,
    PayloadSchemaInfo, PayloadSchemaType, QuantizationConfig, QuantizationType, ScalarQuantization,
    TurboQuantBitSize, TurboQuantization, VectorParams, VectorsConfig,
};

use crate::config::{QdrantConfig, Quantization};
use crate::options;
use crate::point::{TAGS, TAKEN_AT, TAKEN_AT_LOCAL, USER_ID};
use crate::server::Server;

/// Outliers beyond this share of the numbers don't widen what a byte has to cover.
const SCALAR_QUANTILE: f32 = 0.99;

/// Below this, a bit per number loses too much of a vector.
const BINARY_DIMENSIONS: usize = 1_024;

/// Asks for a collection of unit vectors compared by cosine.
#[expect(
    deprecated,
    reason = "1.12 knows no other fields; later servers read them too"
)]
pub(crate) fn creation(
    collection: &CollectionName,
    dimensions: usize,
    config: &QdrantConfig,
) -> CreateCollection {
    let vectors = VectorParams {
        size: dimensions as u64,
        distance: Distance::Cosine.into(),
        on_disk: Some(config.vectors_on_disk),
        ..VectorParams::default()
    };
    CreateCollection {
        collection_name: collection.to_string(),
        vectors_config: Some(VectorsConfig {
            config: Some(VectorsKind::Params(vectors)),
        }),
        hnsw_config: Some(HnswConfigDiff {
            m: config.hnsw_m,
            ef_construct: config.hnsw_ef_construct,
            on_disk: Some(config.vectors_on_disk),
            ..HnswConfigDiff::default()
        }),
        shard_number: config.shard_number,
        replication_factor: config.replication_factor,
        write_consistency_factor: config.write_consistency_factor,
        on_disk_payload: Some(config.payload_on_disk),
        quantization_config: quantization(config),
        ..CreateCollection::default()
    }
}

#[expect(
    deprecated,
    reason = "1.12 knows no other fields; later servers read them too"
)]
fn quantization(config: &QdrantConfig) -> Option<QuantizationConfig> {
    let always_ram = Some(config.quantization_always_ram);
    let kind = match config.quantization {
        Quantization::None => return None,
        Quantization::Scalar => QuantizationKind::Scalar(ScalarQuantization {
            r#type: QuantizationType::Int8.into(),
            quantile: Some(SCALAR_QUANTILE),
            always_ram,
            ..ScalarQuantization::default()
        }),
        Quantization::Turbo => QuantizationKind::Turboquant(TurboQuantization {
            always_ram,
            bits: Some(TurboQuantBitSize::Bits4.into()),
            ..TurboQuantization::default()
        }),
        Quantization::Binary => QuantizationKind::Binary(BinaryQuantization {
            always_ram,
            ..BinaryQuantization::default()
        }),
    };
    Some(QuantizationConfig {
        quantization: Some(kind),
    })
}

/// Returns why the quantization doesn't suit vectors of so many dimensions.
pub(crate) fn quantization_warning(config: &QdrantConfig, dimensions: usize) -> Option<String> {
    (config.quantization == Quantization::Binary && dimensions < BINARY_DIMENSIONS).then(|| {
        format!(
            "index.qdrant.quantization is `binary`, which needs {BINARY_DIMENSIONS} dimensions or more; the model has \
             {dimensions}, so searches miss photos: use `scalar`, or `turbo` on Qdrant 1.18 and newer"
        )
    })
}

/// Returns the vectors that a collection is for: each one's name, empty for the unnamed one, and its shape.
pub(crate) fn vectors(info: &CollectionInfo) -> Vec<(String, VectorParams)> {
    let config = info.config.as_ref().and_then(|config| config.params.as_ref());
    match config.and_then(|params| params.vectors_config.as_ref()?.config.clone()) {
        Some(VectorsKind::Params(vector)) => vec![(String::new(), vector)],
        Some(VectorsKind::ParamsMap(named)) => named.map.into_iter().collect(),
        None => Vec::new(),
    }
}

/// Returns how many numbers the vectors of one of our collections have.
///
/// # Errors
/// `Conflict` where it isn't for one unnamed vector compared by cosine.
pub(crate) fn dimensions(collection: &CollectionName, info: &CollectionInfo) -> Result<usize> {
    let vectors = vectors(info);
    let other = |what: &str| {
        Err(Error::conflict(format!(
            "collection `{collection}` {what}: drop it, or set index.qdrant.collection to another name"
        )))
    };
    match vectors.as_slice() {
        [(name, vector)] if name.is_empty() && vector.multivector_config.is_none() => {
            if vector.distance() == Distance::Cosine {
                Ok(usize::try_from(vector.size).unwrap_or(usize::MAX))
            } else {
                let distance = vector.distance().as_str_name();
                other(&format!("compares by {distance}, not by Cosine"))
            }
        }
        _ => other("is not for one vector without a name"),
    }
}

/// Returns the requests for the payload indexes that a collection lacks.
pub(crate) fn missing_indexes(
    collection: &CollectionName,
    info: &CollectionInfo,
) -> Vec<CreateFieldIndexCollection> {
    let keyword = |is_tenant: Option<bool>| {
        IndexParams::KeywordIndexParams(KeywordIndexParams {
            is_tenant,
            ..KeywordIndexParams::default()
        })
    };
    // Ranges of time get no links of their own in the graph: few ask for them, and all would pay for them.
    let time = IndexParams::DatetimeIndexParams(DatetimeIndexParams {
        enable_hnsw: Some(false),
        ..DatetimeIndexParams::default()
    });
    [
        (USER_ID, FieldType::Keyword, keyword(Some(true))),
        (TAGS, FieldType::Keyword, keyword(None)),
        (TAKEN_AT, FieldType::Datetime, time.clone()),
        (TAKEN_AT_LOCAL, FieldType::Datetime, time),
    ]
    .into_iter()
    .filter(|(field, kind, params)| {
        let there = info.payload_schema.get(*field);
        !there.is_some_and(|there| serves(there, *kind, params))
    })
    .map(|(field, kind, params)| CreateFieldIndexCollection {
        collection_name: collection.to_string(),
        wait: Some(true),
        field_name: field.to_owned(),
        field_type: Some(kind.into()),
        field_index_params: Some(PayloadIndexParams {
            index_params: Some(params),
        }),
        ..CreateFieldIndexCollection::default()
    })
    .collect()
}

/// Returns whether an existing index does what is wanted of it.
fn serves(there: &PayloadSchemaInfo, kind: FieldType, wanted: &IndexParams) -> bool {
    let wanted_type = if kind == FieldType::Datetime {
        PayloadSchemaType::Datetime
    } else {
        PayloadSchemaType::Keyword
    };
    let there_tenant = there
        .params
        .as_ref()
        .and_then(|params| params.index_params.as_ref())
        .is_some_and(is_tenant);
    there.data_type() == wanted_type && there_tenant == is_tenant(wanted)
}

fn is_tenant(params: &IndexParams) -> bool {
    let IndexParams::KeywordIndexParams(keyword) = params else {
        return false;
    };
    keyword.is_tenant == Some(true)
}

/// Counts the points of a collection, exactly.
pub(crate) async fn count(server: &Server, config: &QdrantConfig, collection: &str) -> Result<u64> {
    let request = CountPoints {
        collection_name: collection.to_owned(),
        exact: Some(true),
        read_consistency: options::consistency(config),
        ..CountPoints::default()
    };
    let answer = server.client().count(request).await;
    let result = answer.map_err(|error| server.failed(error))?.result;
    Ok(result.unwrap_or_default().count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> CollectionName {
        CollectionName::new("photos-1").unwrap()
    }

    fn fields(info: &CollectionInfo) -> Vec<String> {
        let requests = missing_indexes(&name(), info);
        requests.into_iter().map(|request| request.field_name).collect()
    }

    #[test]
    fn an_index_of_another_type_or_without_the_tenant_is_made_anew() {
        let mut info = CollectionInfo::default();
        assert_eq!(fields(&info), [USER_ID, TAGS, TAKEN_AT, TAKEN_AT_LOCAL]);
        for request in missing_indexes(&name(), &info) {
            let data_type = if request.field_type() == FieldType::Datetime {
                PayloadSchemaType::Datetime
            } else {
                PayloadSchemaType::Keyword
            };
            let schema = PayloadSchemaInfo {
                data_type: data_type.into(),
                params: request.field_index_params,
                points: None,
            };
            info.payload_schema.insert(request.field_name, schema);
        }
        assert!(fields(&info).is_empty());
        info.payload_schema.get_mut(USER_ID).unwrap().params = None;
        info.payload_schema.get_mut(TAKEN_AT).unwrap().data_type = PayloadSchemaType::Float.into();
        assert_eq!(fields(&info), [USER_ID, TAKEN_AT]);
    }

    #[test]
    fn binary_quantization_of_short_vectors_is_warned_of() {
        let config = |quantization| QdrantConfig {
            quantization,
            ..QdrantConfig::default()
        };
        let warning = quantization_warning(&config(Quantization::Binary), 512).unwrap();
        for word in ["1024", "512", "`scalar`", "index.qdrant.quantization"] {
            assert!(warning.contains(word), "{warning}");
        }
        assert_eq!(quantization_warning(&config(Quantization::Binary), 1_024), None);
        for other in [Quantization::None, Quantization::Scalar, Quantization::Turbo] {
            assert_eq!(quantization_warning(&config(other), 512), None);
        }
    }

    #[test]
    fn another_distance_or_named_vectors_are_a_conflict() {
        let info = |config: VectorsKind| {
            let mut info = CollectionInfo::default();
            let params = info.config.get_or_insert_default().params.get_or_insert_default();
            params.vectors_config = Some(VectorsConfig { config: Some(config) });
            info
        };
        let vector = |distance: Distance| VectorParams {
            size: 8,
            distance: distance.into(),
            ..VectorParams::default()
        };
        let ours = info(VectorsKind::Params(vector(Distance::Cosine)));
        assert_eq!(dimensions(&name(), &ours).unwrap(), 8);
        let named = [("clip".to_owned(), vector(Distance::Cosine))];
        for (other, word) in [
            (VectorsKind::Params(vector(Distance::Dot)), "Dot"),
            (
                VectorsKind::ParamsMap(
                    named
                        .into_iter()
                        .collect::<std::collections::HashMap<_, _>>()
                        .into(),
                ),
                "name",
            ),
        ] {
            let error = dimensions(&name(), &info(other)).unwrap_err();
            assert_eq!(error.kind(), lucida_core::ErrorKind::Conflict);
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
