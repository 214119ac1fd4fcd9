//! What goes with every read and write, by the settings.

use qdrant_client::qdrant::{
    QuantizationSearchParams, ReadConsistency, ReadConsistencyType, SearchParams, WriteOrdering,
    WriteOrderingType, read_consistency,
};

use crate::config::{self, QdrantConfig, Quantization};

/// Returns the order in which replicas apply writes.
pub(crate) fn ordering(config: &QdrantConfig) -> Option<WriteOrdering> {
    let kind = match config.write_ordering {
        config::WriteOrdering::Weak => WriteOrderingType::Weak,
        config::WriteOrdering::Medium => WriteOrderingType::Medium,
        config::WriteOrdering::Strong => WriteOrderingType::Strong,
    };
    Some(WriteOrdering { r#type: kind.into() })
}

/// Returns how many replicas answer a read; `None` for one.
pub(crate) fn consistency(config: &QdrantConfig) -> Option<ReadConsistency> {
    let kind = match config.read_consistency {
        config::ReadConsistency::One => return None,
        config::ReadConsistency::Majority => ReadConsistencyType::Majority,
        config::ReadConsistency::Quorum => ReadConsistencyType::Quorum,
        config::ReadConsistency::All => ReadConsistencyType::All,
    };
    Some(ReadConsistency {
        value: Some(read_consistency::Value::Type(kind.into())),
    })
}

/// Returns how the graph and shortened vectors are searched.
pub(crate) fn search(config: &QdrantConfig) -> SearchParams {
    let shortened = config.quantization != Quantization::None;
    SearchParams {
        hnsw_ef: config.search_ef,
        quantization: shortened.then(|| QuantizationSearchParams {
            rescore: Some(true),
            oversampling: Some(config.quantization_oversampling),
            ..QuantizationSearchParams::default()
        }),
        ..SearchParams::default()
    }
}
