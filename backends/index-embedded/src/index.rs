//! The [`VectorIndex`] on top of the catalog: each call runs on a thread that may block.

use std::sync::Arc;

use async_trait::async_trait;
use lucida_core::PhotoId;
use lucida_core::{CollectionName, IndexFilter, Point, ScoredId, VectorIndex};
use lucida_core::{Error, Result};
use tokio::task::spawn_blocking;

use crate::catalog::Catalog;
use crate::collection::Collection;
use crate::config::EmbeddedConfig;

/// A vector index in a folder, searched and written by this process alone.
///
/// Dropping the last one flushes and closes it, which blocks for some milliseconds; up to ten seconds while segments
/// are being optimised.
pub struct EmbeddedIndex {
    catalog: Arc<Catalog>,
}

impl EmbeddedIndex {
    /// Opens the index, or makes an empty one.
    ///
    /// # Errors
    /// `Unavailable` when another process has it open; `PermissionDenied` and others of the file system;
    /// `Internal` when files are damaged.
    pub async fn open(config: EmbeddedConfig) -> Result<Self> {
        let catalog = blocking(move || Catalog::open(config)).await?;
        Ok(Self {
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
        call: impl FnOnce(&Collection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let collection = collection.clone();
        self.on_catalog(move |catalog| call(&*catalog.get(&collection)?))
            .await
    }
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(call)
        .await
        .map_err(|error| Error::internal("the index's engine failed").with_source(error))?
}

#[async_trait]
impl VectorIndex for EmbeddedIndex {
    async fn ensure(&self, collection: &CollectionName, dimensions: usize) -> Result<()> {
        let collection = collection.clone();
        self.on_catalog(move |catalog| catalog.ensure(&collection, dimensions))
            .await
    }

    async fn upsert(&self, collection: &CollectionName, points: &[Point]) -> Result<()> {
        let points = points.to_vec();
        self.on(collection, move |collection| collection.upsert(&points))
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
        self.on(collection, move |collection| {
            collection.search(vector, &filter, limit)
        })
        .await
    }

    async fn vector(&self, collection: &CollectionName, id: &PhotoId) -> Result<Option<Vec<f32>>> {
        let id = *id;
        self.on(collection, move |collection| collection.vector(&id))
            .await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[PhotoId]) -> Result<()> {
        let ids = ids.to_vec();
        let deleted = self
            .on(collection, move |collection| collection.delete(&ids))
            .await;
        match deleted {
            Err(error) if error.kind() == lucida_core::ErrorKind::NotFound => Ok(()),
            deleted => deleted,
        }
    }

    async fn count(&self, collection: &CollectionName) -> Result<u64> {
        self.on(collection, Collection::count).await
    }

    async fn ids(
        &self,
        collection: &CollectionName,
        after: Option<&PhotoId>,
        limit: usize,
    ) -> Result<Vec<PhotoId>> {
        let after = after.copied();
        self.on(collection, move |collection| {
            collection.ids(after.as_ref(), limit)
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
}
