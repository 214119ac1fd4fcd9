//! The [`VectorIndex`] over a server's collections and one of its aliases.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use lucida_core::{
    CollectionName, Error, ErrorKind, ForeignCollection, IndexFilter, PhotoId, Point, Result, ScoredId,
    VectorIndex,
};
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::query::Variant as QueryKind;
use qdrant_client::qdrant::vector_input::Variant as InputKind;
use qdrant_client::qdrant::vector_output::Vector as OutputVector;
use qdrant_client::qdrant::{
    CreateAlias, DeleteCollection, DeletePoints, DenseVector, GetPoints, PointId, PointsIdsList,
    PointsOperationResponse, PointsSelector, Query, QueryPoints, ScrollPoints, UpdateStatus, UpsertPoints,
    VectorInput,
};
use uuid::Uuid;

use crate::batch::{BATCH_POINTS, Batches};
use crate::collection::{count, dimensions, missing_indexes};
use crate::config::QdrantConfig;
use crate::directory::{Directory, absent};
use crate::error::is_absent;
use crate::foreign::QdrantForeign;
use crate::point::{photo_id, point_id};
use crate::server::Server;
use crate::{filter, options};

/// How many ids come with one answer.
const PAGE_IDS: usize = 1000;

/// A vector index on a Qdrant server, which other processes may use at the same time.
#[derive(Debug)]
pub struct QdrantIndex {
    server: Server,
    config: QdrantConfig,
    /// The dimensions of collections, which never change while a collection exists.
    known: Mutex<HashMap<CollectionName, usize>>,
}

impl QdrantIndex {
    /// Prepares the index; the server is connected to when it is first needed.
    ///
    /// # Errors
    /// `ConfigInvalid` and those of the file system, for the files of the key and of the certificates.
    pub async fn open(config: QdrantConfig) -> Result<Self> {
        Ok(Self {
            server: Server::open(&config).await?,
            config,
            known: Mutex::default(),
        })
    }

    fn directory(&self) -> Directory<'_> {
        Directory {
            server: &self.server,
            config: &self.config,
        }
    }

    /// Checks vectors against the collection's dimensions before anything is sent: the server may write the points
    /// before a wrong one.
    async fn check(&self, collection: &CollectionName, vectors: &[&[f32]]) -> Result<()> {
        let known = self.known().get(collection).copied();
        let misfit = |size: usize| vectors.iter().find(|vector| vector.len() != size);
        let size = match known {
            Some(size) if misfit(size).is_none() => size,
            // Another process may have dropped the collection and made it anew.
            _ => {
                let info = self
                    .directory()
                    .info(collection)
                    .await?
                    .ok_or_else(|| absent(collection))?;
                dimensions(collection, &info)?
            }
        };
        self.known().insert(collection.clone(), size);
        if let Some(vector) = misfit(size) {
            return Err(Error::invalid(format!(
                "a vector has {} dimensions, collection `{collection}` has {size}",
                vector.len()
            )));
        }
        if vectors
            .iter()
            .all(|vector| vector.iter().all(|number| number.is_finite()))
        {
            Ok(())
        } else {
            Err(Error::invalid(
                "a vector has a number that is not finite: the model that made it is broken",
            ))
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<CollectionName, usize>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees that a write was done, as far as it was to be waited for.
    fn written(&self, answer: PointsOperationResponse) -> Result<()> {
        let status = answer
            .result
            .map_or(UpdateStatus::UnknownUpdateStatus, |result| result.status());
        let (kind, what) = match status {
            UpdateStatus::Acknowledged | UpdateStatus::Completed => return Ok(()),
            UpdateStatus::WaitTimeout => (ErrorKind::Timeout, "did not finish in time"),
            UpdateStatus::ClockRejected | UpdateStatus::UnknownUpdateStatus => {
                (ErrorKind::Unavailable, "did not take it")
            }
        };
        Err(Error::new(
            kind,
            format!("qdrant at {} {what}: a write", self.config.url),
        ))
    }
}

#[async_trait]
impl VectorIndex for QdrantIndex {
    async fn ensure(&self, collection: &CollectionName, size: usize) -> Result<()> {
        if size == 0 {
            return Err(Error::invalid(
                "a collection needs vectors of at least one dimension",
            ));
        }
        let info = match self.directory().info(collection).await? {
            Some(info) => info,
            None => self.directory().create(collection, size).await?,
        };
        let there = dimensions(collection, &info)?;
        if there != size {
            return Err(Error::conflict(format!(
                "collection `{collection}` is for vectors of {there} dimensions, not {size}: drop it, or use another \
                 name"
            )));
        }
        for index in missing_indexes(collection, &info) {
            let made = self.server.client().create_field_index(index).await;
            made.map_err(|error| self.server.failed(error))?;
        }
        self.known().insert(collection.clone(), there);
        Ok(())
    }

    async fn upsert(&self, collection: &CollectionName, points: &[Point]) -> Result<()> {
        let vectors: Vec<&[f32]> = points.iter().map(|point| point.vector.as_slice()).collect();
        self.check(collection, &vectors).await?;
        for points in Batches::of(points) {
            let request = UpsertPoints {
                collection_name: collection.to_string(),
                wait: Some(self.config.wait),
                points,
                ordering: options::ordering(&self.config),
                ..UpsertPoints::default()
            };
            let answer = self.server.client().upsert_points(request).await;
            self.written(answer.map_err(|error| self.server.failed(error))?)?;
        }
        Ok(())
    }

    async fn search(
        &self,
        collection: &CollectionName,
        vector: &[f32],
        filter: &IndexFilter,
        limit: usize,
    ) -> Result<Vec<ScoredId>> {
        self.check(collection, &[vector]).await?;
        if limit == 0 {
            return Ok(Vec::new());
        }
        let request = QueryPoints {
            collection_name: collection.to_string(),
            query: Some(Query {
                variant: Some(QueryKind::Nearest(VectorInput {
                    variant: Some(InputKind::Dense(DenseVector {
                        data: vector.to_vec(),
                    })),
                })),
            }),
            filter: filter::to_server(filter),
            params: Some(options::search(&self.config)),
            limit: Some(limit as u64),
            with_payload: Some(false.into()),
            with_vectors: Some(false.into()),
            read_consistency: options::consistency(&self.config),
            ..QueryPoints::default()
        };
        let answer = self.server.client().query(request).await;
        let hits = answer.map_err(|error| self.server.failed(error))?.result;
        hits.into_iter()
            .map(|hit| {
                Ok(ScoredId {
                    photo_id: photo_id(hit.id)?,
                    score: hit.score.clamp(-1.0, 1.0),
                })
            })
            .collect()
    }

    async fn vector(&self, collection: &CollectionName, id: &PhotoId) -> Result<Option<Vec<f32>>> {
        let request = GetPoints {
            collection_name: collection.to_string(),
            ids: vec![point_id(id)],
            with_payload: Some(false.into()),
            with_vectors: Some(true.into()),
            read_consistency: options::consistency(&self.config),
            ..GetPoints::default()
        };
        let answer = self.server.client().get_points(request).await;
        let points = answer.map_err(|error| self.server.failed(error))?.result;
        let Some(point) = points.into_iter().next() else {
            return Ok(None);
        };
        match point.vectors.and_then(|vectors| vectors.get_vector()) {
            Some(OutputVector::Dense(vector)) => Ok(Some(vector.data)),
            Some(OutputVector::Sparse(_) | OutputVector::MultiDense(_)) | None => Err(Error::internal(
                format!("point {id} of collection `{collection}` has no vector of ours"),
            )),
        }
    }

    async fn delete(&self, collection: &CollectionName, ids: &[PhotoId]) -> Result<()> {
        for ids in ids.chunks(BATCH_POINTS) {
            let request = DeletePoints {
                collection_name: collection.to_string(),
                wait: Some(self.config.wait),
                points: Some(PointsSelector {
                    points_selector_one_of: Some(PointsSelectorOneOf::Points(PointsIdsList {
                        ids: ids.iter().map(point_id).collect(),
                    })),
                }),
                ordering: options::ordering(&self.config),
                ..DeletePoints::default()
            };
            match self.server.client().delete_points(request).await {
                Ok(answer) => self.written(answer)?,
                Err(error) if is_absent(&error) => return Ok(()),
                Err(error) => return Err(self.server.failed(error)),
            }
        }
        Ok(())
    }

    async fn count(&self, collection: &CollectionName) -> Result<u64> {
        count(&self.server, &self.config, collection.as_str()).await
    }

    async fn ids(
        &self,
        collection: &CollectionName,
        after: Option<&PhotoId>,
        limit: usize,
    ) -> Result<Vec<PhotoId>> {
        let mut offset: Option<PointId> = match after.map(next_id) {
            None => None,
            Some(None) => return Ok(Vec::new()),
            Some(Some(next)) => Some(point_id(&next)),
        };
        let mut ids = Vec::new();
        while ids.len() < limit {
            let page = (limit - ids.len()).min(PAGE_IDS);
            let request = ScrollPoints {
                collection_name: collection.to_string(),
                offset: offset.take(),
                limit: u32::try_from(page).ok(),
                with_payload: Some(false.into()),
                with_vectors: Some(false.into()),
                read_consistency: options::consistency(&self.config),
                ..ScrollPoints::default()
            };
            let answer = self.server.client().scroll(request).await;
            let answer = answer.map_err(|error| self.server.failed(error))?;
            for point in answer.result {
                ids.push(photo_id(point.id)?);
            }
            offset = answer.next_page_offset;
            if offset.is_none() {
                break;
            }
        }
        Ok(ids)
    }

    async fn collections(&self) -> Result<Vec<CollectionName>> {
        let all = self.directory().all_collections().await?;
        let mut names: Vec<_> = all
            .iter()
            .filter_map(|name| self.directory().ours(name))
            .collect();
        names.sort();
        Ok(names)
    }

    async fn alias(&self) -> Result<Option<CollectionName>> {
        let alias = &self.config.collection;
        if let Some(target) = self.directory().alias_target().await? {
            return self.directory().ours(&target).map(Some).ok_or_else(|| {
                Error::conflict(format!(
                    "alias `{alias}` of qdrant points to `{target}`, which is not a collection of Lucida: set \
                     index.qdrant.collection to another name, or delete that alias"
                ))
            });
        }
        if self.directory().all_collections().await?.contains(alias) {
            return Err(Error::conflict(format!(
                "`{alias}` is a collection of qdrant, so it can't be lucida's alias: set index.qdrant.collection to \
                 another name, and take its points over with `lucida adopt --collection {alias}`"
            )));
        }
        Ok(None)
    }

    async fn set_alias(&self, collection: &CollectionName) -> Result<()> {
        // Neither somebody's alias nor somebody's collection is taken from them.
        self.alias().await?;
        let create = CreateAlias {
            collection_name: collection.to_string(),
            alias_name: self.config.collection.clone(),
        };
        // An existing alias is moved by this at once. Deleting it in the same request would leave none where the
        // collection turns out to be missing.
        let created = self.server.client().create_alias(create).await;
        created.map(drop).map_err(|error| self.server.failed(error))
    }

    fn alias_name(&self) -> &str {
        &self.config.collection
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<()> {
        // The server would delete the alias with it.
        if self.directory().alias_target().await?.as_deref() == Some(collection.as_str()) {
            return Err(Error::conflict(format!(
                "collection `{collection}` is in use: point alias `{}` to another one first",
                self.config.collection
            )));
        }
        self.known().remove(collection);
        let request = DeleteCollection {
            collection_name: collection.to_string(),
            timeout: None,
        };
        match self.server.client().delete_collection(request).await {
            Err(error) if !is_absent(&error) => Err(self.server.failed(error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn foreign(&self, name: &str) -> Result<Box<dyn ForeignCollection>> {
        let (server, config) = (self.server.clone(), self.config.clone());
        Ok(Box::new(QdrantForeign::open(server, config, name).await?))
    }

    async fn ping(&self) -> Result<()> {
        // The server's health check asks for no key, so it would not tell that ours is wrong.
        self.directory().alias_target().await.map(drop)
    }
}

/// Returns the id after another one; `None` after the last there can be.
fn next_id(id: &PhotoId) -> Option<PhotoId> {
    let next = id.as_uuid().as_u128().checked_add(1)?;
    Some(PhotoId::from_uuid(Uuid::from_u128(next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_id_after_the_last() {
        assert_eq!(next_id(&PhotoId::from_uuid(Uuid::max())), None);
        assert_eq!(
            next_id(&PhotoId::from_uuid(Uuid::nil())),
            Some(PhotoId::from_uuid(Uuid::from_u128(1)))
        );
    }
}
