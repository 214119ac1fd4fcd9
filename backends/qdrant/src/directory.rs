//! The server's collections, and where the alias points.

use lucida_core::{CollectionName, Error, Result};
use qdrant_client::qdrant::{CollectionInfo, GetCollectionInfoRequest};

use crate::collection::creation;
use crate::error::is_absent;
use crate::index::QdrantIndex;

impl QdrantIndex {
    /// Reads a collection; `None` where there is none.
    pub(crate) async fn info(&self, collection: &CollectionName) -> Result<Option<CollectionInfo>> {
        let request = GetCollectionInfoRequest {
            collection_name: collection.to_string(),
        };
        match self.server.client().collection_info(request).await {
            Ok(answer) => Ok(answer.result),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.server.failed(error)),
        }
    }

    /// Makes a collection, and returns what is there then: another process may have made it at the same moment.
    pub(crate) async fn create(
        &self,
        collection: &CollectionName,
        dimensions: usize,
    ) -> Result<CollectionInfo> {
        let request = creation(collection, dimensions, &self.config);
        let created = self.server.client().create_collection(request).await;
        match (self.info(collection).await?, created) {
            (Some(info), _) => Ok(info),
            (None, Err(error)) => Err(self.server.failed(error)),
            (None, Ok(_)) => Err(absent(collection)),
        }
    }

    /// Returns the name of the collection that the alias points to, whoever made it.
    pub(crate) async fn alias_target(&self) -> Result<Option<String>> {
        let answer = self.server.client().list_aliases().await;
        let aliases = answer.map_err(|error| self.server.failed(error))?.aliases;
        let ours = aliases
            .into_iter()
            .find(|alias| alias.alias_name == self.config.collection);
        Ok(ours.map(|alias| alias.collection_name))
    }

    /// Returns the names of all collections of the server.
    pub(crate) async fn all_collections(&self) -> Result<Vec<String>> {
        let answer = self.server.client().list_collections().await;
        let collections = answer.map_err(|error| self.server.failed(error))?.collections;
        Ok(collections
            .into_iter()
            .map(|collection| collection.name)
            .collect())
    }

    /// Returns a name where it is one that our collections have.
    pub(crate) fn ours(&self, name: &str) -> Option<CollectionName> {
        let fingerprint = name.strip_prefix(&self.config.collection)?.strip_prefix('-')?;
        if fingerprint.is_empty() {
            return None;
        }
        CollectionName::new(name).ok()
    }
}

/// Makes the error of a missing collection.
pub(crate) fn absent(collection: &CollectionName) -> Error {
    Error::not_found(format!("qdrant has no collection `{collection}`"))
}
