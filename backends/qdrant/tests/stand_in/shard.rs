//! One collection of the stand-in: its points in memory, as they came, compared one by one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::query::Variant as QueryKind;
use qdrant_client::qdrant::vector_input::Variant as InputKind;
use qdrant_client::qdrant::vectors_config::Config as VectorsKind;
use qdrant_client::qdrant::{
    CollectionConfig, CollectionInfo, CollectionParams, CollectionStatus, CountPoints, CreateCollection,
    CreateFieldIndexCollection, DeletePoints, Distance, FieldType, GetPoints, OptimizerStatus,
    PayloadSchemaInfo, PayloadSchemaType, PointId, QueryPoints, RetrievedPoint, ScoredPoint, ScrollPoints,
    UpdateMode, UpsertPoints, VectorParams,
};
use tonic::Status;

use super::filter::Matcher;
use super::point::{Id, Stored};
use super::unimplemented;

/// How many points an answer has where the request doesn't say.
const DEFAULT_LIMIT: u64 = 10;

/// A collection.
pub(crate) struct Collection {
    created: CreateCollection,
    /// What each vector is, by its name; the unnamed one has an empty one.
    vectors: HashMap<String, VectorParams>,
    schema: HashMap<String, PayloadSchemaInfo>,
    points: BTreeMap<Id, Stored>,
}

impl Collection {
    /// Makes an empty collection.
    pub(crate) fn create(request: &CreateCollection) -> Result<Self, Status> {
        if request.sharding_method.is_some() || request.sparse_vectors_config.is_some() {
            return Err(unimplemented("custom sharding and no sparse vectors"));
        }
        let vectors = match request.vectors_config.clone().and_then(|vectors| vectors.config) {
            Some(VectorsKind::Params(vector)) => vec![(String::new(), vector)],
            Some(VectorsKind::ParamsMap(named)) => named.map.into_iter().collect(),
            None => return Err(unimplemented("collections without vectors")),
        };
        for (_, vector) in &vectors {
            check_shape(vector)?;
        }
        Ok(Self {
            created: request.clone(),
            vectors: vectors.into_iter().collect(),
            schema: HashMap::new(),
            points: BTreeMap::new(),
        })
    }

    /// Describes it.
    #[expect(deprecated, reason = "1.12 knows no other field")]
    pub(crate) fn info(&self) -> CollectionInfo {
        let created = self.created.clone();
        CollectionInfo {
            status: CollectionStatus::Green.into(),
            optimizer_status: Some(OptimizerStatus {
                ok: true,
                error: String::new(),
            }),
            segments_count: 1,
            points_count: Some(self.points.len() as u64),
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

    /// Notes that a field of the payload is indexed; filters are the same with and without.
    pub(crate) fn create_index(&mut self, request: &CreateFieldIndexCollection) -> Result<(), Status> {
        let data_type = match request.field_type() {
            FieldType::Keyword => PayloadSchemaType::Keyword,
            FieldType::Datetime => PayloadSchemaType::Datetime,
            other @ (FieldType::Integer
            | FieldType::Float
            | FieldType::Geo
            | FieldType::Text
            | FieldType::Bool
            | FieldType::Uuid) => return Err(unimplemented(&format!("payload index {other:?}"))),
        };
        let info = PayloadSchemaInfo {
            data_type: data_type.into(),
            params: request.field_index_params.clone(),
            points: None,
        };
        self.schema.insert(request.field_name.clone(), info);
        Ok(())
    }

    /// Writes points, each over the one of the same id; all of them, or none where one is wrong.
    pub(crate) fn upsert(&mut self, request: &UpsertPoints) -> Result<(), Status> {
        if request.shard_key_selector.is_some()
            || request.update_filter.is_some()
            || request.update_mode() != UpdateMode::Upsert
        {
            return Err(unimplemented("upserts with conditions"));
        }
        let points = request.points.iter().cloned();
        let points = points
            .map(|point| Stored::read(point, &self.vectors))
            .collect::<Result<Vec<_>, _>>()?;
        self.points.extend(points);
        Ok(())
    }

    /// Deletes points by their ids.
    pub(crate) fn delete(&mut self, request: &DeletePoints) -> Result<(), Status> {
        let selector = request
            .points
            .as_ref()
            .and_then(|points| points.points_selector_one_of.as_ref());
        let Some(PointsSelectorOneOf::Points(points)) = selector else {
            return Err(unimplemented("deletion but by ids"));
        };
        let ids = points.ids.iter().cloned().map(|id| Id::read(Some(id)));
        for id in ids.collect::<Result<Vec<_>, _>>()? {
            self.points.remove(&id);
        }
        Ok(())
    }

    /// Returns points by their ids; absent ones are left out.
    pub(crate) fn retrieve(&self, request: &GetPoints) -> Result<Vec<RetrievedPoint>, Status> {
        let ids = request.ids.iter().cloned().map(|id| Id::read(Some(id)));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        let found = ids
            .iter()
            .filter_map(|id| Some((id, self.points.get(id)?)))
            .map(|(id, point)| {
                point.write(*id, request.with_payload.as_ref(), request.with_vectors.as_ref())
            });
        found.collect()
    }

    /// Returns points in the order of their ids, and where to go on.
    pub(crate) fn scroll(
        &self,
        request: &ScrollPoints,
    ) -> Result<(Vec<RetrievedPoint>, Option<PointId>), Status> {
        if request.order_by.is_some() {
            return Err(unimplemented("scrolling by another order"));
        }
        let limit = limit(request.limit.map(u64::from))?;
        let matcher = Matcher::read(request.filter.as_ref())?;
        let first = match &request.offset {
            Some(offset) => Id::read(Some(offset.clone()))?,
            None => Id::FIRST,
        };
        let mut matching = self
            .points
            .range(first..)
            .filter(|(id, point)| matcher.matches(id, point));
        let page = matching
            .by_ref()
            .take(limit)
            .map(|(id, point)| point.write(*id, request.with_payload.as_ref(), request.with_vectors.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok((page, matching.next().map(|(id, _)| id.write())))
    }

    /// Counts points, exactly.
    pub(crate) fn count(&self, request: &CountPoints) -> Result<u64, Status> {
        let matcher = Matcher::read(request.filter.as_ref())?;
        let matching = self
            .points
            .iter()
            .filter(|(id, point)| matcher.matches(id, point));
        Ok(matching.count() as u64)
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
        let distance = check_size(&self.vectors, &name, vector.data.len())?;
        let limit = limit(request.limit)?;
        let matcher = Matcher::read(request.filter.as_ref())?;
        let mut scored: Vec<_> = self
            .points
            .iter()
            .filter(|(id, point)| matcher.matches(id, point))
            .filter_map(|(id, point)| {
                let stored = point.vectors.get(&name)?;
                Some((similarity(distance, stored, &vector.data), Reverse(*id)))
            })
            .collect();
        scored.sort_by(|left, right| right.0.total_cmp(&left.0).then(right.1.cmp(&left.1)));
        let hits = scored
            .into_iter()
            .take(limit)
            .map(|(score, Reverse(id))| ScoredPoint {
                id: Some(id.write()),
                // Where less is nearer, the score is the distance.
                score: if matches!(distance, Distance::Euclid | Distance::Manhattan) {
                    -score
                } else {
                    score
                },
                ..ScoredPoint::default()
            });
        Ok(hits.collect())
    }
}

fn limit(limit: Option<u64>) -> Result<usize, Status> {
    match limit.unwrap_or(DEFAULT_LIMIT) {
        0 => Err(Status::invalid_argument(
            "Validation error in body: [limit: value 0 invalid, must be 1 or larger]",
        )),
        limit => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
    }
}

/// Checks how many numbers a vector has, and returns how it is compared.
pub(crate) fn check_size(
    vectors: &HashMap<String, VectorParams>,
    name: &str,
    size: usize,
) -> Result<Distance, Status> {
    match vectors.get(name) {
        Some(vector) if vector.size == size as u64 => Ok(vector.distance()),
        Some(vector) => Err(Status::invalid_argument(format!(
            "Wrong input: Vector dimension error: expected dim: {}, got {size}",
            vector.size
        ))),
        None => Err(Status::invalid_argument(format!(
            "Wrong input: Not existing vector name error: {name}"
        ))),
    }
}

fn check_shape(vector: &VectorParams) -> Result<(), Status> {
    if vector.multivector_config.is_some() {
        return Err(unimplemented("several vectors per point"));
    }
    if !(1..=65_536).contains(&vector.size) {
        return Err(Status::invalid_argument(format!(
            "Validation error in body: [size: value {} invalid, must be from 1 to 65536]",
            vector.size
        )));
    }
    if vector.distance() == Distance::UnknownDistance {
        return Err(Status::invalid_argument("Unknown distance"));
    }
    Ok(())
}

/// How near two vectors are, such that more is nearer.
fn similarity(distance: Distance, left: &[f32], right: &[f32]) -> f32 {
    let pairs = || left.iter().zip(right);
    let dot = || pairs().map(|(l, r)| l * r).sum::<f32>();
    match distance {
        Distance::Cosine => {
            let norm = |vector: &[f32]| vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            let norms = norm(left) * norm(right);
            if norms > 0.0 { dot() / norms } else { 0.0 }
        }
        Distance::Dot | Distance::UnknownDistance => dot(),
        Distance::Euclid => -pairs().map(|(l, r)| (l - r).powi(2)).sum::<f32>().sqrt(),
        Distance::Manhattan => -pairs().map(|(l, r)| (l - r).abs()).sum::<f32>(),
    }
}
