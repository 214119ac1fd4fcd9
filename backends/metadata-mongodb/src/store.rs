//! The ledger in mongodb.

use async_trait::async_trait;
use lucida_core::{
    ContentHash, Inserted, MetadataStore, Photo, PhotoId, PhotoQuery, Record, Result, StateCounts, UserId,
};
use serde_json::Value;

use crate::config::MongodbConfig;
use crate::error::unwritten;

/// Keeps the ledger in mongodb.
#[derive(Debug)]
pub struct MongodbMetadata {
    config: MongodbConfig,
}

impl MongodbMetadata {
    /// Opens the store and makes what it needs in it.
    ///
    /// # Errors
    /// `Unavailable`, naming the store, where it can't be reached.
    pub async fn open(config: MongodbConfig) -> Result<Self> {
        Ok(Self { config })
    }
}

#[async_trait]
impl MetadataStore for MongodbMetadata {
    async fn insert(&self, _photo: &Photo) -> Result<Inserted> {
        Err(unwritten(&self.config, "insert"))
    }

    async fn get(&self, _id: &PhotoId) -> Result<Option<Photo>> {
        Err(unwritten(&self.config, "get"))
    }

    async fn get_many(&self, _ids: &[PhotoId]) -> Result<Vec<Photo>> {
        Err(unwritten(&self.config, "get_many"))
    }

    async fn find_by_hash(&self, _user: &UserId, _hash: &ContentHash) -> Result<Option<Photo>> {
        Err(unwritten(&self.config, "find_by_hash"))
    }

    async fn update(&self, _photo: &Photo) -> Result<Photo> {
        Err(unwritten(&self.config, "update"))
    }

    async fn list(&self, _query: &PhotoQuery) -> Result<Vec<Photo>> {
        Err(unwritten(&self.config, "list"))
    }

    async fn delete(&self, _id: &PhotoId) -> Result<()> {
        Err(unwritten(&self.config, "delete"))
    }

    async fn count_by_state(&self, _user: Option<&UserId>) -> Result<StateCounts> {
        Err(unwritten(&self.config, "count_by_state"))
    }

    async fn record(&self, _name: &str) -> Result<Option<Record>> {
        Err(unwritten(&self.config, "record"))
    }

    async fn put_record(&self, _name: &str, _value: &Value, _expected: Option<u64>) -> Result<u64> {
        Err(unwritten(&self.config, "put_record"))
    }

    async fn delete_record(&self, _name: &str) -> Result<()> {
        Err(unwritten(&self.config, "delete_record"))
    }

    async fn ping(&self) -> Result<()> {
        Err(unwritten(&self.config, "ping"))
    }
}
