//! One collection of the stand-in, on one shard of the engine.

use std::collections::HashMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::query::Variant as QueryKind;
use qdrant_client::qdrant::vector_input::Variant as InputKind;
use qdrant_client::qdrant::vectors_config::Config as VectorsKind;
use qdrant_client::qdrant::{
    CollectionConfig, CollectionInfo, CollectionParams, CollectionStatus, CountPoints, CreateCollection,
    CreateFieldIndexCollection, DeletePoints, FieldType, GetPoints, OptimizerStatus, PayloadSchemaInfo,
    PayloadSchemaType, PointId, QueryPoints, RetrievedPoint, ScoredPoint, ScrollPoints, UpdateMode,
    UpsertPoints, VectorParams,
};
use qdrant_edge::{
    CountRequest, CreateIndex, DatetimeIndexParams, Distance, EdgeConfig, EdgeShard, EdgeVectorParams,
    FieldIndexOperations, KeywordIndexParams, NamedQuery, OperationError, PayloadFieldSchema,
    PayloadSchemaParams, PointInsertOperations, PointOperations, QueryEnum, QueryRequest, ScoringQuery,
    ScrollRequest, SearchParams, UpdateOperation, VectorInternal, WalOptions,
};
use tonic::Status;

use super::{convert, unimplemented};

/// How many points an answer has where the request doesn't say.
const DEFAULT_LIMIT: u64 = 10;
/// The engine's log is never read, so its files are small.
const LOG_FILE_BYTES: usize = 2 << 20;

/// A collection.
pub(crate) struct Collection {
    created: CreateCollection,
    /// How many numbers each vector has, by its name; the unnamed one has an empty one.
    sizes: HashMap<String, usize>,
    schema: HashMap<String, PayloadSchemaInfo>,
    shard: EdgeShard,
    folder: PathBuf,
}

impl Collection {
    /// Makes an empty collection in a folder that isn't there.
    pub(crate) fn create(folder: &Path, request: &CreateCollection) -> Result<Self, Status> {
        if request.sharding_method.is_some() || request.sparse_vectors_config.is_some() {
            return Err(unimplemented("custom sharding and no sparse vectors"));
        }
        let vectors = match request.vectors_config.clone().and_then(|vectors| vectors.config) {
            Some(VectorsKind::Params(vector)) => vec![(String::new(), vector)],
            Some(VectorsKind::ParamsMap(named)) => named.map.into_iter().collect(),
            None => return Err(unimplemented("collections without vectors")),
        };
        let mut config = EdgeConfig::builder().wal_options(WalOptions {
            segment_capacity: LOG_FILE_BYTES,
            segment_queue_len: 0,
            retain_closed: NonZeroUsize::MIN,
        });
        let mut sizes = HashMap::new();
        for (name, vector) in vectors {
            sizes.insert(name.clone(), usize::try_from(vector.size).unwrap_or(usize::MAX));
            config = config.vector(name, shape(&vector)?);
        }
        fs::create_dir_all(folder).map_err(|error| internal(&error))?;
        Ok(Self {
            created: request.clone(),
            sizes,
            schema: HashMap::new(),
            shard: EdgeShard::new(folder, config.build()).map_err(failed)?,
            folder: folder.to_owned(),
        })
    }

    /// Deletes it. The engine flushes when it is closed, so its files go after it.
    pub(crate) fn discard(self) -> Result<(), Status> {
        let Self { shard, folder, .. } = self;
        drop(shard);
        fs::remove_dir_all(folder).map_err(|error| internal(&error))
    }

    /// Describes it.
    #[expect(deprecated, reason = "1.12 knows no other field")]
    pub(crate) fn info(&self) -> CollectionInfo {
        let created = self.created.clone();
        let points = self.shard.info().points_count as u64;
        CollectionInfo {
            status: CollectionStatus::Green.into(),
            optimizer_status: Some(OptimizerStatus {
                ok: true,
                error: String::new(),
            }),
            segments_count: 1,
            points_count: Some(points),
            indexed_vectors_count: Some(0),
            payload_schema: self.schema.clone(),
            config: Some(CollectionConfig {
                params: Some(CollectionParams {
                    shard_number: created.shard_number.unwrap_or(1),
                    replication_factor: Some(created.replication_factor.unwrap_or(1)),
                    write_consistency_factor: Some(created.write_consistency_factor.unwrap_or(1)),
                    on_disk_payload: created.on_disk_payload.unwrap_or(true),
                    vectors_config: created.vectors_config,
                    ..CollectionParams::default()
                }),
                hnsw_config: created.hnsw_config,
                quantization_config: created.quantization_config,
                ..CollectionConfig::default()
            }),
            ..CollectionInfo::default()
        }
    }

    /// Indexes a field of the payload.
    pub(crate) fn create_index(&mut self, request: &CreateFieldIndexCollection) -> Result<(), Status> {
        let params = request
            .field_index_params
            .as_ref()
            .and_then(|params| params.index_params.as_ref());
        let (data_type, schema) = match (request.field_type(), params) {
            (FieldType::Keyword, Some(IndexParams::KeywordIndexParams(params))) => {
                let params = KeywordIndexParams {
                    is_tenant: params.is_tenant,
                    ..KeywordIndexParams::default()
                };
                (PayloadSchemaType::Keyword, PayloadSchemaParams::Keyword(params))
            }
            (FieldType::Keyword, None) => (
                PayloadSchemaType::Keyword,
                PayloadSchemaParams::Keyword(KeywordIndexParams::default()),
            ),
            (FieldType::Datetime, _) => (
                PayloadSchemaType::Datetime,
                PayloadSchemaParams::Datetime(DatetimeIndexParams::default()),
            ),
            (other, _) => return Err(unimplemented(&format!("payload index {other:?}"))),
        };
        self.update(UpdateOperation::FieldIndexOperation(
            FieldIndexOperations::CreateIndex(CreateIndex {
                field_name: convert::path(&request.field_name)?,
                field_schema: Some(PayloadFieldSchema::FieldParams(schema)),
            }),
        ))?;
        let info = PayloadSchemaInfo {
            data_type: data_type.into(),
            params: request.field_index_params.clone(),
            points: None,
        };
        self.schema.insert(request.field_name.clone(), info);
        Ok(())
    }

    /// Writes points, each over the one of the same id.
    pub(crate) fn upsert(&self, request: &UpsertPoints) -> Result<(), Status> {
        if request.shard_key_selector.is_some()
            || request.update_filter.is_some()
            || request.update_mode() != UpdateMode::Upsert
        {
            return Err(unimplemented("upserts with conditions"));
        }
        let points = request.points.iter().cloned();
        let points = points
            .map(|point| convert::point(point, &self.sizes))
            .collect::<Result<Vec<_>, _>>()?;
        self.update(UpdateOperation::PointOperation(PointOperations::UpsertPoints(
            PointInsertOperations::PointsList(points),
        )))
    }

    /// Deletes points by their ids.
    pub(crate) fn delete(&self, request: &DeletePoints) -> Result<(), Status> {
        let selector = request
            .points
            .as_ref()
            .and_then(|points| points.points_selector_one_of.as_ref());
        let Some(PointsSelectorOneOf::Points(points)) = selector else {
            return Err(unimplemented("deletion but by ids"));
        };
        let ids = points.ids.iter().cloned().map(|id| convert::id(Some(id)));
        self.update(UpdateOperation::PointOperation(PointOperations::DeletePoints {
            ids: ids.collect::<Result<_, _>>()?,
        }))
    }

    fn update(&self, operation: UpdateOperation) -> Result<(), Status> {
        self.shard.update(operation).map_err(failed)
    }

    /// Returns points by their ids; absent ones are left out.
    pub(crate) fn retrieve(&self, request: &GetPoints) -> Result<Vec<RetrievedPoint>, Status> {
        let ids = request.ids.iter().cloned().map(|id| convert::id(Some(id)));
        let records = self
            .shard
            .retrieve(
                &ids.collect::<Result<Vec<_>, _>>()?,
                Some(convert::with_payload(request.with_payload.clone())?),
                Some(convert::with_vectors(request.with_vectors.clone())),
            )
            .map_err(failed)?;
        Ok(records.into_iter().map(convert::point_back).collect())
    }

    /// Returns points in the order of their ids, and where to go on.
    pub(crate) fn scroll(
        &self,
        request: &ScrollPoints,
    ) -> Result<(Vec<RetrievedPoint>, Option<PointId>), Status> {
        if request.order_by.is_some() {
            return Err(unimplemented("scrolling by another order"));
        }
        let limit = self.limit(request.limit.map(u64::from))?;
        if limit == 0 {
            return Ok((Vec::new(), None));
        }
        let (records, next) = self
            .shard
            .scroll(ScrollRequest {
                offset: request
                    .offset
                    .clone()
                    .map(|id| convert::id(Some(id)))
                    .transpose()?,
                limit: Some(limit),
                filter: request.filter.clone().map(convert::filter).transpose()?,
                with_payload: Some(convert::with_payload(request.with_payload.clone())?),
                with_vector: convert::with_vectors(request.with_vectors.clone()),
                order_by: None,
            })
            .map_err(failed)?;
        let points = records.into_iter().map(convert::point_back).collect();
        Ok((points, next.map(convert::id_back)))
    }

    /// Counts points, exactly.
    pub(crate) fn count(&self, request: &CountPoints) -> Result<u64, Status> {
        let count = self.shard.count(CountRequest {
            filter: request.filter.clone().map(convert::filter).transpose()?,
            exact: true,
        });
        count.map(|count| count as u64).map_err(failed)
    }

    /// Returns the points nearest to a vector, best first.
    pub(crate) fn query(&self, request: &QueryPoints) -> Result<Vec<ScoredPoint>, Status> {
        if !request.prefetch.is_empty() || request.offset.is_some() || request.score_threshold.is_some() {
            return Err(unimplemented("queries with prefetch, offset or score_threshold"));
        }
        let nearest = match request.query.clone().and_then(|query| query.variant) {
            Some(QueryKind::Nearest(input)) => input.variant,
            _ => None,
        };
        let Some(InputKind::Dense(vector)) = nearest else {
            return Err(unimplemented("queries but for what is nearest to a dense vector"));
        };
        let name = request.using.clone().unwrap_or_default();
        convert::check_size(&self.sizes, &name, vector.data.len())?;
        let limit = self.limit(request.limit)?;
        if limit == 0 {
            return Ok(Vec::new());
        }
        let params = request.params.clone().unwrap_or_default();
        let hits = self
            .shard
            .query(QueryRequest {
                prefetches: Vec::new(),
                query: Some(ScoringQuery::Vector(QueryEnum::Nearest(NamedQuery::new(
                    VectorInternal::Dense(vector.data),
                    name,
                )))),
                filter: request.filter.clone().map(convert::filter).transpose()?,
                score_threshold: None,
                limit,
                offset: 0,
                params: Some(SearchParams {
                    hnsw_ef: params.hnsw_ef.and_then(|ef| usize::try_from(ef).ok()),
                    exact: params.exact.unwrap_or_default(),
                    ..SearchParams::default()
                }),
                with_vector: convert::with_vectors(request.with_vectors.clone()),
                with_payload: convert::with_payload(request.with_payload.clone())?,
            })
            .map_err(failed)?;
        Ok(hits
            .into_iter()
            .map(|hit| ScoredPoint {
                id: Some(convert::id_back(hit.id)),
                score: hit.score,
                version: hit.version,
                ..ScoredPoint::default()
            })
            .collect())
    }

    /// Bounds a limit by the number of points, because the engine reserves memory for as many.
    fn limit(&self, limit: Option<u64>) -> Result<usize, Status> {
        match limit.unwrap_or(DEFAULT_LIMIT) {
            0 => Err(Status::invalid_argument(
                "Validation error in body: [limit: value 0 invalid, must be 1 or larger]",
            )),
            limit => {
                let points = self.shard.info().points_count;
                Ok(usize::try_from(limit).map_or(points, |limit| limit.min(points)))
            }
        }
    }
}

fn shape(vector: &VectorParams) -> Result<EdgeVectorParams, Status> {
    if vector.multivector_config.is_some() {
        return Err(unimplemented("several vectors per point"));
    }
    let size = usize::try_from(vector.size).unwrap_or(usize::MAX);
    if !(1..=65_536).contains(&size) {
        return Err(Status::invalid_argument(format!(
            "Validation error in body: [size: value {size} invalid, must be from 1 to 65536]"
        )));
    }
    let distance = match vector.distance() {
        qdrant_client::qdrant::Distance::Cosine => Distance::Cosine,
        qdrant_client::qdrant::Distance::Dot => Distance::Dot,
        qdrant_client::qdrant::Distance::Euclid => Distance::Euclid,
        qdrant_client::qdrant::Distance::Manhattan => Distance::Manhattan,
        qdrant_client::qdrant::Distance::UnknownDistance => {
            return Err(Status::invalid_argument("Unknown distance"));
        }
    };
    Ok(EdgeVectorParams::builder(size, distance).build())
}

fn failed(error: OperationError) -> Status {
    internal(&error)
}

fn internal(error: &dyn std::error::Error) -> Status {
    Status::internal(format!("Service internal error: {error}"))
}
