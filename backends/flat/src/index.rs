//! The [`VectorIndex`] on top of the catalog: each call runs on a thread that may block.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use lucida_core::{
    CollectionName, Error, ErrorKind, IndexFilter, PhotoId, Point, Result, ScoredId, VectorIndex,
};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::catalog::Catalog;
use crate::collection::Collection;
use crate::config::FlatConfig;
use crate::search::Search;
use crate::write::{NewPoint, Write};
use crate::writer::stopped;

/// A vector index in a folder, searched and written by this process alone.
///
/// Dropping the last one finishes what is being written and closes the file, which blocks for some milliseconds.
pub struct FlatIndex {
    catalog: Arc<Catalog>,
    /// Searches beyond what the cores can do wait here, in the order in which they came.
    searches: Arc<Semaphore>,
}

impl FlatIndex {
    /// Opens the index, or makes an empty one.
    ///
    /// # Errors
    /// `Unavailable` when another process has it open; `ConfigInvalid` for a file of another program;
    /// `PermissionDenied` and others of the file system; `Internal` (`index_damaged`) when the file is damaged.
    pub async fn open(config: FlatConfig) -> Result<Self> {
        let catalog = blocking(move || Catalog::open(config)).await?;
        Ok(Self {
            searches: Arc::new(Semaphore::new(catalog.searches_at_once())),
            catalog: Arc::new(catalog),
        })
    }

    async fn on_catalog<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Catalog) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let catalog = Arc::clone(&self.catalog);
        blocking(move || call(&catalog)).await
    }

    async fn on<T: Send + 'static>(
        &self,
        collection: &CollectionName,
        call: impl FnOnce(&Catalog, &Arc<Collection>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let collection = collection.clone();
        self.on_catalog(move |catalog| call(catalog, &catalog.get(&collection)?))
            .await
    }

    /// Hands a write over, and waits until it is on the disk.
    async fn write(
        &self,
        collection: &CollectionName,
        make: impl FnOnce(&Collection) -> Result<Write> + Send + 'static,
    ) -> Result<()> {
        let answer = self
            .on(collection, move |catalog, collection| {
                let write = make(collection)?;
                catalog.writer.write(Arc::clone(collection), write)
            })
            .await?;
        answer.await.map_err(|_| stopped())?
    }
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(call)
        .await
        .map_err(|error| Error::internal("a call of the index stopped").with_source(error))?
}

#[async_trait]
impl VectorIndex for FlatIndex {
    async fn ensure(&self, collection: &CollectionName, dimensions: usize) -> Result<()> {
        let collection = collection.clone();
        self.on_catalog(move |catalog| catalog.ensure(&collection, dimensions))
            .await
    }

    async fn upsert(&self, collection: &CollectionName, points: &[Point]) -> Result<()> {
        let points = points.to_vec();
        self.write(collection, move |collection| {
            for point in &points {
                collection.check(&point.vector)?;
            }
            let points = points
                .iter()
                .map(|point| NewPoint::of(point, collection.encode(&point.vector)));
            Ok(Write::Upsert(points.collect()))
        })
        .await
    }

    async fn search(
        &self,
        collection: &CollectionName,
        vector: &[f32],
        filter: &IndexFilter,
        limit: usize,
    ) -> Result<Vec<ScoredId>> {
        let (vector, filter) = (vector.to_vec(), filter.clone());
        let permit = Arc::clone(&self.searches).acquire_owned().await;
        let permit = permit.map_err(|error| Error::internal("the index is closed").with_source(error))?;
        self.on(collection, move |catalog, collection| {
            let search = Search {
                collection,
                readers: &catalog.readers,
                threads: &catalog.threads,
                vector: &vector,
                filter: &filter,
                limit,
            };
            let started = Instant::now();
            let hits = search.run();
            catalog.pace.record(started.elapsed(), collection.count());
            drop(permit);
            hits
        })
        .await
    }

    async fn vector(&self, collection: &CollectionName, id: &PhotoId) -> Result<Option<Vec<f32>>> {
        let photo = id.as_uuid().as_u128();
        self.on(collection, move |catalog, collection| {
            // Most that are asked for are missing, when a library is being filled in.
            if collection.slot(photo).is_none() {
                return Ok(None);
            }
            let vector = catalog
                .readers
                .vector(&collection.tables, collection.dimensions, photo);
            collection.exists()?;
            vector
        })
        .await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[PhotoId]) -> Result<()> {
        let photos = ids.iter().map(|id| id.as_uuid().as_u128()).collect();
        match self.write(collection, move |_| Ok(Write::Delete(photos))).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            deleted => deleted,
        }
    }

    async fn count(&self, collection: &CollectionName) -> Result<u64> {
        self.on(collection, |_, collection| Ok(collection.count() as u64))
            .await
    }

    async fn ids(
        &self,
        collection: &CollectionName,
        after: Option<&PhotoId>,
        limit: usize,
    ) -> Result<Vec<PhotoId>> {
        let after = after.copied();
        self.on(collection, move |_, collection| {
            Ok(collection.ids(after.as_ref(), limit))
        })
        .await
    }

    async fn collections(&self) -> Result<Vec<CollectionName>> {
        Ok(self.catalog.names())
    }

    async fn alias(&self) -> Result<Option<CollectionName>> {
        Ok(self.catalog.alias())
    }

    async fn set_alias(&self, collection: &CollectionName) -> Result<()> {
        let collection = collection.clone();
        self.on_catalog(move |catalog| catalog.set_alias(&collection))
            .await
    }

    fn alias_name(&self) -> &str {
        self.catalog.alias_name()
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<()> {
        let collection = collection.clone();
        self.on_catalog(move |catalog| catalog.drop_collection(&collection))
            .await
    }

    async fn ping(&self) -> Result<()> {
        self.on_catalog(Catalog::ping).await
    }

    fn note(&self) -> Option<String> {
        self.catalog.pace.note()
    }
}
