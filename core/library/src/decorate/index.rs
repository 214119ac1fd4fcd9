//! The guard around a vector index.

use async_trait::async_trait;

use super::Guarded;
use lucida_core::{
    CollectionName, ForeignCollection, IndexFilter, PhotoId, Point, Result, ScoredId, VectorIndex,
};

#[async_trait]
impl VectorIndex for Guarded<dyn VectorIndex> {
    async fn ensure(&self, collection: &CollectionName, dimensions: usize) -> Result<()> {
        self.guard
            .call("ensure", || self.inner.ensure(collection, dimensions))
            .await
    }

    async fn upsert(&self, collection: &CollectionName, points: &[Point]) -> Result<()> {
        self.guard
            .call("upsert", || self.inner.upsert(collection, points))
            .await
    }

    async fn search(
        &self,
        collection: &CollectionName,
        vector: &[f32],
        filter: &IndexFilter,
        limit: usize,
    ) -> Result<Vec<ScoredId>> {
        self.guard
            .call("search", || self.inner.search(collection, vector, filter, limit))
            .await
    }

    async fn vector(&self, collection: &CollectionName, id: &PhotoId) -> Result<Option<Vec<f32>>> {
        self.guard
            .call("vector", || self.inner.vector(collection, id))
            .await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[PhotoId]) -> Result<()> {
        self.guard
            .call("delete", || self.inner.delete(collection, ids))
            .await
    }

    async fn count(&self, collection: &CollectionName) -> Result<u64> {
        self.guard.call("count", || self.inner.count(collection)).await
    }

    async fn ids(
        &self,
        collection: &CollectionName,
        after: Option<&PhotoId>,
        limit: usize,
    ) -> Result<Vec<PhotoId>> {
        self.guard
            .call("ids", || self.inner.ids(collection, after, limit))
            .await
    }

    async fn collections(&self) -> Result<Vec<CollectionName>> {
        self.guard.call("collections", || self.inner.collections()).await
    }

    async fn alias(&self) -> Result<Option<CollectionName>> {
        self.guard.call("alias", || self.inner.alias()).await
    }

    async fn set_alias(&self, collection: &CollectionName) -> Result<()> {
        self.guard
            .call("set_alias", || self.inner.set_alias(collection))
            .await
    }

    fn alias_name(&self) -> &str {
        self.inner.alias_name()
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<()> {
        self.guard
            .call("drop_collection", || self.inner.drop_collection(collection))
            .await
    }

    async fn foreign(&self, name: &str) -> Result<Box<dyn ForeignCollection>> {
        self.guard.call("foreign", || self.inner.foreign(name)).await
    }

    async fn ping(&self) -> Result<()> {
        self.guard.ping(self.inner.ping()).await
    }

    fn note(&self) -> Option<String> {
        self.inner.note()
    }
}
