//! Vectors in qdrant.

use async_trait::async_trait;
use lucida_core::{CollectionName, IndexFilter, PhotoId, Point, Result, ScoredId, VectorIndex};

use crate::config::QdrantConfig;
use crate::error::unwritten;

/// Keeps vectors in qdrant.
#[derive(Debug)]
pub struct QdrantIndex {
    config: QdrantConfig,
}

impl QdrantIndex {
    /// Opens the index.
    ///
    /// # Errors
    /// `Unavailable`, naming the index, where it can't be reached.
    pub async fn open(config: QdrantConfig) -> Result<Self> {
        Ok(Self { config })
    }
}

#[async_trait]
impl VectorIndex for QdrantIndex {
    async fn ensure(&self, _collection: &CollectionName, _dimensions: usize) -> Result<()> {
        Err(unwritten(&self.config, "ensure"))
    }

    async fn upsert(&self, _collection: &CollectionName, _points: &[Point]) -> Result<()> {
        Err(unwritten(&self.config, "upsert"))
    }

    async fn search(
        &self,
        _collection: &CollectionName,
        _vector: &[f32],
        _filter: &IndexFilter,
        _limit: usize,
    ) -> Result<Vec<ScoredId>> {
        Err(unwritten(&self.config, "search"))
    }

    async fn vector(&self, _collection: &CollectionName, _id: &PhotoId) -> Result<Option<Vec<f32>>> {
        Err(unwritten(&self.config, "vector"))
    }

    async fn delete(&self, _collection: &CollectionName, _ids: &[PhotoId]) -> Result<()> {
        Err(unwritten(&self.config, "delete"))
    }

    async fn count(&self, _collection: &CollectionName) -> Result<u64> {
        Err(unwritten(&self.config, "count"))
    }

    async fn ids(
        &self,
        _collection: &CollectionName,
        _after: Option<&PhotoId>,
        _limit: usize,
    ) -> Result<Vec<PhotoId>> {
        Err(unwritten(&self.config, "ids"))
    }

    async fn collections(&self) -> Result<Vec<CollectionName>> {
        Err(unwritten(&self.config, "collections"))
    }

    async fn alias(&self) -> Result<Option<CollectionName>> {
        Err(unwritten(&self.config, "alias"))
    }

    async fn set_alias(&self, _collection: &CollectionName) -> Result<()> {
        Err(unwritten(&self.config, "set_alias"))
    }

    fn alias_name(&self) -> &str {
        "photo_embeddings"
    }

    async fn drop_collection(&self, _collection: &CollectionName) -> Result<()> {
        Err(unwritten(&self.config, "drop_collection"))
    }

    async fn ping(&self) -> Result<()> {
        Err(unwritten(&self.config, "ping"))
    }
}
