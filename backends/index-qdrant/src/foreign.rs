//! A collection that another program made, read page by page so that its points can be taken over.

use std::fmt;

use lucida_core::{Error, ErrorKind, Result};
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vector_output::Vector;
use qdrant_client::qdrant::with_vectors_selector::SelectorOptions;
use qdrant_client::qdrant::{
    self, CountPoints, GetCollectionInfoRequest, PointId, RetrievedPoint, ScrollPoints, Value, VectorsOutput,
    VectorsSelector, WithVectorsSelector,
};

use crate::collection::vectors;
use crate::config::QdrantConfig;
use crate::options;
use crate::point::{PHOTO_ID, USER_ID};
use crate::server::Server;

/// The most points that come with one answer.
const PAGE_POINTS: usize = 1000;

/// How a collection compares vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// By the angle between them, whatever their lengths. The server keeps them at unit length.
    Cosine,
    /// By their inner product, which is the cosine where all have unit length.
    Dot,
    /// By the straight line between them.
    Euclid,
    /// By the sum of the differences of their numbers.
    Manhattan,
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::Euclid => "euclid",
            Self::Manhattan => "manhattan",
        })
    }
}

/// A point as another program wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignPoint {
    /// The server's id, a UUID or a number, for messages.
    pub id: String,
    /// `photo_id` of the payload, where it is a text or a whole number.
    pub photo_id: Option<String>,
    /// `user_id` of the payload, where it is a text or a whole number.
    pub user_id: Option<String>,
    /// The vector, `(dimensions,)` f32, of any length; `None` where the point has none.
    pub vector: Option<Vec<f32>>,
}

/// Where a walk through a collection goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignCursor(PointId);

/// Some points, in the order of their ids.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignPage {
    /// The points.
    pub points: Vec<ForeignPoint>,
    /// Where to go on; `None` after the last page.
    pub next: Option<ForeignCursor>,
}

/// A collection that another program made. It is only read.
///
/// Its one vector may have a name or none. It may be given by an alias.
#[derive(Debug)]
pub struct ForeignCollection {
    server: Server,
    config: QdrantConfig,
    name: String,
    /// Empty where the vector has none.
    vector_name: String,
    dimensions: usize,
    distance: Distance,
}

impl ForeignCollection {
    /// Finds a collection on the server that the settings name.
    ///
    /// # Errors
    /// `NotFound` where there is none; `Unsupported` where it has no vector, several, or several per point;
    /// `ConfigInvalid`, `Unavailable` and `PermissionDenied` by the server.
    pub async fn open(config: QdrantConfig, name: &str) -> Result<Self> {
        let server = Server::open(&config).await?;
        let request = GetCollectionInfoRequest {
            collection_name: name.to_owned(),
        };
        let answer = server.collections().get(request).await;
        let info = answer
            .map_err(|status| server.failed(status))?
            .into_inner()
            .result;
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
        let distance = match shape.distance() {
            qdrant::Distance::Cosine => Distance::Cosine,
            qdrant::Distance::Dot => Distance::Dot,
            qdrant::Distance::Euclid => Distance::Euclid,
            qdrant::Distance::Manhattan => Distance::Manhattan,
            qdrant::Distance::UnknownDistance => {
                return Err(unsupported("compares in a way that is not known".to_owned()));
            }
        };
        Ok(Self {
            name: name.to_owned(),
            vector_name: vector_name.clone(),
            dimensions: usize::try_from(shape.size).unwrap_or(usize::MAX),
            distance,
            server,
            config,
        })
    }

    /// Returns the name it was opened by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how many numbers its vectors have.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Returns how it compares vectors.
    #[must_use]
    pub fn distance(&self) -> Distance {
        self.distance
    }

    /// Counts its points, exactly.
    ///
    /// # Errors
    /// `NotFound` where it is gone; `Unavailable` and `PermissionDenied` by the server.
    pub async fn count(&self) -> Result<u64> {
        let request = CountPoints {
            collection_name: self.name.clone(),
            exact: Some(true),
            read_consistency: options::consistency(&self.config),
            ..CountPoints::default()
        };
        let answer = self.server.points().count(request).await;
        let result = answer
            .map_err(|status| self.server.failed(status))?
            .into_inner()
            .result;
        Ok(result.unwrap_or_default().count)
    }

    /// Reads points in the order of their ids: the first ones, or from where a page before ended. A page has `limit`
    /// points at most, and never more than 1000.
    ///
    /// # Errors
    /// `NotFound` where it is gone; `Unavailable` and `PermissionDenied` by the server.
    pub async fn read(&self, from: Option<&ForeignCursor>, limit: usize) -> Result<ForeignPage> {
        let vectors = if self.vector_name.is_empty() {
            SelectorOptions::Enable(true)
        } else {
            SelectorOptions::Include(VectorsSelector {
                names: vec![self.vector_name.clone()],
            })
        };
        let request = ScrollPoints {
            collection_name: self.name.clone(),
            offset: from.map(|cursor| cursor.0.clone()),
            limit: u32::try_from(limit.clamp(1, PAGE_POINTS)).ok(),
            with_payload: Some(vec![PHOTO_ID, USER_ID].into()),
            with_vectors: Some(WithVectorsSelector {
                selector_options: Some(vectors),
            }),
            read_consistency: options::consistency(&self.config),
            ..ScrollPoints::default()
        };
        let answer = self.server.points().scroll(request).await;
        let answer = answer.map_err(|status| self.server.failed(status))?.into_inner();
        Ok(ForeignPage {
            points: answer.result.into_iter().map(|point| self.point(point)).collect(),
            next: answer.next_page_offset.map(ForeignCursor),
        })
    }

    fn point(&self, mut point: RetrievedPoint) -> ForeignPoint {
        ForeignPoint {
            id: match point.id.and_then(|id| id.point_id_options) {
                Some(PointIdOptions::Uuid(uuid)) => uuid,
                Some(PointIdOptions::Num(number)) => number.to_string(),
                None => String::new(),
            },
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
