//! A point of the stand-in, and the protocol's words for it.

use std::collections::HashMap;

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::vectors::VectorsOptions;
use qdrant_client::qdrant::vectors_output::VectorsOptions as OutputOptions;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions as PayloadOptions;
use qdrant_client::qdrant::with_vectors_selector::SelectorOptions as VectorOptions;
use qdrant_client::qdrant::{
    Distance, NamedVectorsOutput, PointId, PointStruct, RetrievedPoint, Value, Vector, VectorOutput,
    VectorParams, VectorsOutput, WithPayloadSelector, WithVectorsSelector,
};
use tonic::Status;
use uuid::Uuid;

use super::shard::check_size;
use super::unimplemented;

/// An id, in the order of a server: numbers first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Id {
    Number(u64),
    Uuid(Uuid),
}

impl Id {
    /// The first of all.
    pub(crate) const FIRST: Self = Self::Number(0);

    /// Reads an id.
    pub(crate) fn read(id: Option<PointId>) -> Result<Self, Status> {
        match id.and_then(|id| id.point_id_options) {
            Some(PointIdOptions::Num(number)) => Ok(Self::Number(number)),
            Some(PointIdOptions::Uuid(uuid)) => Uuid::parse_str(&uuid)
                .map(Self::Uuid)
                .map_err(|_| Status::invalid_argument(format!("Unable to parse UUID: {uuid}"))),
            None => Err(Status::invalid_argument("Malformed PointId: no id")),
        }
    }

    /// Writes an id.
    pub(crate) fn write(self) -> PointId {
        match self {
            Self::Number(number) => PointIdOptions::Num(number),
            Self::Uuid(uuid) => PointIdOptions::Uuid(uuid.to_string()),
        }
        .into()
    }
}

/// What is kept of a point.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// By name; the unnamed one has an empty one.
    pub(crate) vectors: HashMap<String, Vec<f32>>,
    pub(crate) payload: HashMap<String, Value>,
}

impl Stored {
    /// Reads a point of a collection with these vectors.
    pub(crate) fn read(
        point: PointStruct,
        vectors: &HashMap<String, VectorParams>,
    ) -> Result<(Id, Self), Status> {
        let dense = |name: String, vector: Vector| {
            let mut vector = vector
                .try_into_dense()
                .map_err(|_| unimplemented("vectors that are not dense"))?;
            // A server keeps vectors that are compared by their cosine at length 1.
            if check_size(vectors, &name, vector.len())? == Distance::Cosine {
                let norm = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
                if norm > 0.0 {
                    vector.iter_mut().for_each(|number| *number /= norm);
                }
            }
            Ok::<_, Status>((name, vector))
        };
        let vectors = match point.vectors.and_then(|vectors| vectors.vectors_options) {
            Some(VectorsOptions::Vector(vector)) => HashMap::from([dense(String::new(), vector)?]),
            Some(VectorsOptions::Vectors(named)) => {
                let named = named.vectors.into_iter();
                named
                    .map(|(name, vector)| dense(name, vector))
                    .collect::<Result<_, Status>>()?
            }
            None => return Err(Status::invalid_argument("Expected some vectors")),
        };
        let payload = point.payload;
        Ok((Id::read(point.id)?, Self { vectors, payload }))
    }

    /// Writes what is asked for of the point.
    pub(crate) fn write(
        &self,
        id: Id,
        payload: Option<&WithPayloadSelector>,
        vectors: Option<&WithVectorsSelector>,
    ) -> Result<RetrievedPoint, Status> {
        Ok(RetrievedPoint {
            id: Some(id.write()),
            payload: self.payload(payload)?,
            vectors: self.vectors(vectors),
            shard_key: None,
            order_value: None,
        })
    }

    fn payload(&self, selector: Option<&WithPayloadSelector>) -> Result<HashMap<String, Value>, Status> {
        let fields = |wanted: &dyn Fn(&String) -> bool| {
            let fields = self.payload.iter().filter(|(key, _)| wanted(key));
            fields.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        match selector.and_then(|selector| selector.selector_options.as_ref()) {
            None | Some(PayloadOptions::Enable(false)) => Ok(HashMap::new()),
            Some(PayloadOptions::Enable(true)) => Ok(fields(&|_| true)),
            Some(PayloadOptions::Include(include)) => Ok(fields(&|key| include.fields.contains(key))),
            Some(PayloadOptions::Exclude(_)) => Err(unimplemented("payload without some fields")),
        }
    }

    #[expect(deprecated, reason = "1.12 knows no other field")]
    fn vectors(&self, selector: Option<&WithVectorsSelector>) -> Option<VectorsOutput> {
        let dense = |data: &[f32]| VectorOutput {
            data: data.to_vec(),
            ..VectorOutput::default()
        };
        let wanted = |name: &String| match selector.and_then(|selector| selector.selector_options.as_ref()) {
            None | Some(VectorOptions::Enable(false)) => false,
            Some(VectorOptions::Enable(true)) => true,
            Some(VectorOptions::Include(include)) => include.names.contains(name),
        };
        let vectors: HashMap<_, _> = self.vectors.iter().filter(|(name, _)| wanted(name)).collect();
        let options = match vectors.get(&String::new()) {
            _ if vectors.is_empty() => return None,
            Some(vector) => OutputOptions::Vector(dense(vector)),
            None => OutputOptions::Vectors(NamedVectorsOutput {
                vectors: vectors
                    .into_iter()
                    .map(|(name, vector)| (name.clone(), dense(vector)))
                    .collect(),
            }),
        };
        Some(VectorsOutput {
            vectors_options: Some(options),
        })
    }
}
