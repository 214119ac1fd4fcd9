//! The protocol's points, payloads and filters in the engine's words, and back.

use std::collections::HashMap;

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::vectors::VectorsOptions;
use qdrant_client::qdrant::vectors_output::VectorsOptions as OutputOptions;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions as PayloadOptions;
use qdrant_client::qdrant::with_vectors_selector::SelectorOptions as VectorOptions;
use qdrant_client::qdrant::{
    Condition, DatetimeRange, FieldCondition, Filter, NamedVectorsOutput, PointId, PointStruct,
    RetrievedPoint, Timestamp, Value, Vector, VectorOutput, VectorsOutput, WithPayloadSelector,
    WithVectorsSelector,
};
use qdrant_edge::external::serde_json;
use qdrant_edge::external::uuid::Uuid;
use qdrant_edge::{
    DateTimeWrapper, JsonPath, Match, Payload, PayloadSelector, PointStructPersisted, Range, Record,
    VectorInternal, VectorPersisted, VectorStructInternal, VectorStructPersisted, WithPayloadInterface,
    WithVector,
};
use tonic::Status;

use super::unimplemented;

/// Reads an id.
pub(crate) fn id(id: Option<PointId>) -> Result<qdrant_edge::PointId, Status> {
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Num(number)) => Ok(qdrant_edge::PointId::NumId(number)),
        Some(PointIdOptions::Uuid(uuid)) => Uuid::parse_str(&uuid)
            .map(qdrant_edge::PointId::Uuid)
            .map_err(|_| Status::invalid_argument(format!("Unable to parse UUID: {uuid}"))),
        None => Err(Status::invalid_argument("Malformed PointId: no id")),
    }
}

/// Writes an id.
pub(crate) fn id_back(id: qdrant_edge::PointId) -> PointId {
    match id {
        qdrant_edge::PointId::NumId(number) => PointIdOptions::Num(number),
        qdrant_edge::PointId::Uuid(uuid) => PointIdOptions::Uuid(uuid.to_string()),
    }
    .into()
}

/// Reads a point of a collection with these vectors, by their names; the unnamed one has an empty one.
pub(crate) fn point(
    point: PointStruct,
    sizes: &HashMap<String, usize>,
) -> Result<PointStructPersisted, Status> {
    let dense = |name: &str, vector: Vector| {
        let vector = vector
            .try_into_dense()
            .map_err(|_| unimplemented("vectors that are not dense"))?;
        check_size(sizes, name, vector.len())?;
        Ok::<_, Status>(vector)
    };
    let vectors = point.vectors.and_then(|vectors| vectors.vectors_options);
    let vector = match vectors {
        Some(VectorsOptions::Vector(vector)) => VectorStructPersisted::Single(dense("", vector)?),
        Some(VectorsOptions::Vectors(named)) => {
            let named = named.vectors.into_iter().map(|(name, vector)| {
                let vector = VectorPersisted::Dense(dense(&name, vector)?);
                Ok((name, vector))
            });
            VectorStructPersisted::Named(named.collect::<Result<_, Status>>()?)
        }
        None => return Err(Status::invalid_argument("Expected some vectors")),
    };
    let payload = point.payload.into_iter();
    Ok(PointStructPersisted {
        id: id(point.id)?,
        vector,
        payload: Some(Payload(
            payload.map(|(key, value)| (key, value.into_json())).collect(),
        )),
    })
}

/// Checks how many numbers a vector has.
pub(crate) fn check_size(sizes: &HashMap<String, usize>, name: &str, size: usize) -> Result<(), Status> {
    match sizes.get(name) {
        Some(expected) if *expected == size => Ok(()),
        Some(expected) => Err(Status::invalid_argument(format!(
            "Wrong input: Vector dimension error: expected dim: {expected}, got {size}"
        ))),
        None => Err(Status::invalid_argument(format!(
            "Wrong input: Not existing vector name error: {name}"
        ))),
    }
}

/// Writes a point.
pub(crate) fn point_back(record: Record) -> RetrievedPoint {
    let payload = record.payload.map(|payload| payload.0).unwrap_or_default();
    RetrievedPoint {
        id: Some(id_back(record.id)),
        payload: payload_back(payload),
        vectors: record.vector.map(vectors_back),
        shard_key: None,
        order_value: None,
    }
}

fn payload_back(payload: serde_json::Map<String, serde_json::Value>) -> HashMap<String, Value> {
    payload
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect()
}

#[expect(deprecated, reason = "1.12 knows no other field")]
fn vectors_back(vectors: VectorStructInternal) -> VectorsOutput {
    let dense = |data| VectorOutput {
        data,
        ..VectorOutput::default()
    };
    let options = match vectors {
        VectorStructInternal::Single(vector) => OutputOptions::Vector(dense(vector)),
        VectorStructInternal::MultiDense(_) => OutputOptions::Vector(VectorOutput::default()),
        VectorStructInternal::Named(named) => OutputOptions::Vectors(NamedVectorsOutput {
            vectors: named
                .into_iter()
                .filter_map(|(name, vector)| match vector {
                    VectorInternal::Dense(vector) => Some((name, dense(vector))),
                    VectorInternal::Sparse(_) | VectorInternal::MultiDense(_) => None,
                })
                .collect(),
        }),
    };
    VectorsOutput {
        vectors_options: Some(options),
    }
}

/// Reads which payload to return.
pub(crate) fn with_payload(selector: Option<WithPayloadSelector>) -> Result<WithPayloadInterface, Status> {
    match selector.and_then(|selector| selector.selector_options) {
        None => Ok(WithPayloadInterface::Bool(false)),
        Some(PayloadOptions::Enable(enable)) => Ok(WithPayloadInterface::Bool(enable)),
        Some(PayloadOptions::Include(include)) => {
            let fields = include.fields.iter().map(|field| path(field));
            let selector = PayloadSelector::new_include(fields.collect::<Result<_, _>>()?);
            Ok(WithPayloadInterface::Selector(selector))
        }
        Some(PayloadOptions::Exclude(_)) => Err(unimplemented("payload without some fields")),
    }
}

/// Reads which vectors to return.
pub(crate) fn with_vectors(selector: Option<WithVectorsSelector>) -> WithVector {
    match selector.and_then(|selector| selector.selector_options) {
        None => WithVector::Bool(false),
        Some(VectorOptions::Enable(enable)) => WithVector::Bool(enable),
        Some(VectorOptions::Include(include)) => WithVector::Selector(include.names),
    }
}

/// Reads a payload key.
pub(crate) fn path(key: &str) -> Result<JsonPath, Status> {
    key.parse()
        .map_err(|()| Status::invalid_argument(format!("Invalid JSON path: '{key}'")))
}

/// Reads a filter.
pub(crate) fn filter(filter: Filter) -> Result<qdrant_edge::Filter, Status> {
    if filter.min_should.is_some() {
        return Err(unimplemented("filter with min_should"));
    }
    let conditions = |conditions: Vec<Condition>| {
        let read = conditions
            .into_iter()
            .map(condition)
            .collect::<Result<Vec<_>, Status>>()?;
        Ok::<_, Status>((!read.is_empty()).then_some(read))
    };
    Ok(qdrant_edge::Filter {
        should: conditions(filter.should)?,
        min_should: None,
        must: conditions(filter.must)?,
        must_not: conditions(filter.must_not)?,
    })
}

fn condition(condition: Condition) -> Result<qdrant_edge::Condition, Status> {
    match condition.condition_one_of {
        Some(ConditionOneOf::Field(condition)) => field(condition).map(qdrant_edge::Condition::Field),
        Some(ConditionOneOf::HasId(ids)) => {
            let ids = ids.has_id.into_iter().map(|point| id(Some(point)));
            Ok(qdrant_edge::Condition::HasId(ids.collect::<Result<_, _>>()?))
        }
        Some(ConditionOneOf::Filter(inner)) => filter(inner).map(qdrant_edge::Condition::Filter),
        other => Err(unimplemented(&format!("condition {other:?}"))),
    }
}

fn field(condition: FieldCondition) -> Result<qdrant_edge::FieldCondition, Status> {
    let key = path(&condition.key)?;
    match (
        condition.r#match.and_then(|value| value.match_value),
        condition.datetime_range,
    ) {
        (Some(MatchValue::Keyword(keyword)), None) => {
            Ok(qdrant_edge::FieldCondition::new_match(key, Match::from(keyword)))
        }
        (None, Some(range)) => Ok(qdrant_edge::FieldCondition::new_datetime_range(
            key,
            times(range)?,
        )),
        (other, _) => Err(unimplemented(&format!(
            "condition on `{}`: {other:?}",
            condition.key
        ))),
    }
}

fn times(range: DatetimeRange) -> Result<Range<DateTimeWrapper>, Status> {
    let time = |time: Option<Timestamp>| match time {
        None => Ok(None),
        Some(time) => {
            let micros = time.seconds.checked_mul(1_000_000);
            micros
                .filter(|_| (0..1_000_000_000).contains(&time.nanos))
                .and_then(|micros| micros.checked_add(i64::from(time.nanos / 1000)))
                .and_then(DateTimeWrapper::from_timestamp)
                .map(Some)
                .ok_or_else(|| Status::invalid_argument(format!("Unable to parse timestamp {time}")))
        }
    };
    Ok(Range {
        lt: time(range.lt)?,
        gt: time(range.gt)?,
        gte: time(range.gte)?,
        lte: time(range.lte)?,
    })
}
