//! The guard around a metadata store.

use async_trait::async_trait;
use serde_json::Value;

use super::Guarded;
use lucida_core::{
    ContentHash, Inserted, MetadataStore, Photo, PhotoId, PhotoQuery, Record, Result, StateCounts, TagCount,
    UserId,
};

#[async_trait]
impl MetadataStore for Guarded<dyn MetadataStore> {
    async fn insert(&self, photo: &Photo) -> Result<Inserted> {
        self.guard.call("insert", || self.inner.insert(photo)).await
    }

    async fn get(&self, id: &PhotoId) -> Result<Option<Photo>> {
        self.guard.call("get", || self.inner.get(id)).await
    }

    async fn get_many(&self, ids: &[PhotoId]) -> Result<Vec<Photo>> {
        self.guard.call("get_many", || self.inner.get_many(ids)).await
    }

    async fn find_by_hash(&self, user: &UserId, hash: &ContentHash) -> Result<Option<Photo>> {
        self.guard
            .call("find_by_hash", || self.inner.find_by_hash(user, hash))
            .await
    }

    async fn update(&self, photo: &Photo) -> Result<Photo> {
        self.guard.call("update", || self.inner.update(photo)).await
    }

    async fn list(&self, query: &PhotoQuery) -> Result<Vec<Photo>> {
        self.guard.call("list", || self.inner.list(query)).await
    }

    async fn delete(&self, id: &PhotoId) -> Result<()> {
        self.guard.call("delete", || self.inner.delete(id)).await
    }

    async fn count_by_state(&self, user: Option<&UserId>) -> Result<StateCounts> {
        self.guard
            .call("count_by_state", || self.inner.count_by_state(user))
            .await
    }

    async fn count_by_tag(&self, user: &UserId, limit: usize) -> Result<Vec<TagCount>> {
        self.guard
            .call("count_by_tag", || self.inner.count_by_tag(user, limit))
            .await
    }

    async fn record(&self, name: &str) -> Result<Option<Record>> {
        self.guard.call("record", || self.inner.record(name)).await
    }

    async fn put_record(&self, name: &str, value: &Value, expected: Option<u64>) -> Result<u64> {
        self.guard
            .call("put_record", || self.inner.put_record(name, value, expected))
            .await
    }

    async fn delete_record(&self, name: &str) -> Result<()> {
        self.guard
            .call("delete_record", || self.inner.delete_record(name))
            .await
    }

    async fn ping(&self) -> Result<()> {
        self.guard.ping(self.inner.ping()).await
    }
}
