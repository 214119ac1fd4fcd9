//! A collection that another program made, read page by page so that its points can be taken over.

use async_trait::async_trait;
use lucida_core::{Error, ErrorKind, ForeignCollection, ForeignPage, ForeignPoint, Result};
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vector_output::Vector;
use qdrant_client::qdrant::with_vectors_selector::SelectorOptions;
use qdrant_client::qdrant::{
    GetCollectionInfoRequest, PointId, RetrievedPoint, ScrollPoints, Value, VectorsOutput, VectorsSelector,
    WithVectorsSelector,
};

use crate::collection::{count, vectors};
use crate::config::QdrantConfig;
use crate::options;
use crate::point::{PHOTO_ID, USER_ID};
use crate::server::Server;

/// The most points that come with one answer.
const PAGE_POINTS: usize = 1000;

/// A collection that another program made. It is only read.
///
/// Its one vector may have a name or none. It may be given by an alias.
#[derive(Debug)]
pub(crate) struct QdrantForeign {
    server: Server,
    config: QdrantConfig,
    name: String,
    /// Empty where the vector has none.
    vector_name: String,
    dimensions: usize,
}

impl QdrantForeign {
    /// Finds a collection on a server.
    ///
    /// # Errors
    /// `NotFound` where there is none; `Unsupported` where it has no vector, several, or several per point;
    /// `ConfigInvalid`, `Unavailable` and `PermissionDenied` by the server.
    pub(crate) async fn open(server: Server, config: QdrantConfig, name: &str) -> Result<Self> {
        let request = GetCollectionInfoRequest {
            collection_name: name.to_owned(),
        };
        let answer = server.client().collection_info(request).await;
        let info = answer.map_err(|error| server.failed(error))?.result;
        let vectors = info.as_ref().map(vectors).unwrap_or_default();
        let unsupported = |what: String| {
            Error::new(
                ErrorKind::Unsupported,
                format!("collection `{name}` of qdrant {what}: only one vector per point can be taken over"),
            )
        };
        let [(vector_name, shape)] = vectors.as_slice() else {
            let mut names: Vec<_> = vectors.iter().map(|(name, _)| format!("`{name}`")).collect();
            names.sort();
            return Err(unsupported(match names.as_slice() {
                [] => "has no dense vector".to_owned(),
                names => format!("has the vectors {}", names.join(", ")),
            }));
        };
        if shape.multivector_config.is_some() {
            return Err(unsupported("has several vectors per point".to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            vector_name: vector_name.clone(),
            dimensions: usize::try_from(shape.size).unwrap_or(usize::MAX),
            server,
            config,
        })
    }

    fn point(&self, mut point: RetrievedPoint) -> ForeignPoint {
        ForeignPoint {
            id: point.id.map(id).unwrap_or_default(),
            photo_id: point.payload.remove(PHOTO_ID).and_then(text),
            user_id: point.payload.remove(USER_ID).and_then(text),
            vector: point.vectors.and_then(|vectors| self.vector(&vectors)),
        }
    }

    fn vector(&self, vectors: &VectorsOutput) -> Option<Vec<f32>> {
        match vectors.get_vector_by_name(&self.vector_name)? {
            Vector::Dense(vector) => Some(vector.data),
            Vector::Sparse(_) | Vector::MultiDense(_) => None,
        }
    }
}

#[async_trait]
impl ForeignCollection for QdrantForeign {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    async fn count(&self) -> Result<u64> {
        count(&self.server, &self.config, &self.name).await
    }

    /// Reads points in the order of their ids, never more than 1000.
    async fn read(&self, from: Option<&str>, limit: usize) -> Result<ForeignPage> {
        let vectors = if self.vector_name.is_empty() {
            SelectorOptions::Enable(true)
        } else {
            SelectorOptions::Include(VectorsSelector {
                names: vec![self.vector_name.clone()],
            })
        };
        let request = ScrollPoints {
            collection_name: self.name.clone(),
            offset: from.map(place),
            limit: u32::try_from(limit.clamp(1, PAGE_POINTS)).ok(),
            with_payload: Some(vec![PHOTO_ID, USER_ID].into()),
            with_vectors: Some(WithVectorsSelector {
                selector_options: Some(vectors),
            }),
            read_consistency: options::consistency(&self.config),
            ..ScrollPoints::default()
        };
        let answer = self.server.client().scroll(request).await;
        let answer = answer.map_err(|error| self.server.failed(error))?;
        Ok(ForeignPage {
            points: answer.result.into_iter().map(|point| self.point(point)).collect(),
            next: answer.next_page_offset.map(id),
        })
    }
}

/// Returns a point's id as a text.
fn id(id: PointId) -> String {
    match id.point_id_options {
        Some(PointIdOptions::Uuid(uuid)) => uuid,
        Some(PointIdOptions::Num(number)) => number.to_string(),
        None => String::new(),
    }
}

/// Returns the id that [`id`] made a text of; the server refuses any other.
fn place(text: &str) -> PointId {
    match text.parse::<u64>() {
        Ok(number) => number.into(),
        Err(_) => text.into(),
    }
}

/// Returns a payload's value as a text, where it is one or a whole number.
fn text(value: Value) -> Option<String> {
    match value.kind? {
        Kind::StringValue(text) => Some(text),
        Kind::IntegerValue(number) => Some(number.to_string()),
        Kind::NullValue(_)
        | Kind::DoubleValue(_)
        | Kind::BoolValue(_)
        | Kind::StructValue(_)
        | Kind::ListValue(_) => None,
    }
}
