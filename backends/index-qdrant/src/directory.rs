//! What there is on the server: collections, and where the alias points.

use lucida_core::{CollectionName, Error, Result};
use qdrant_client::qdrant::{
    CollectionInfo, GetCollectionInfoRequest, ListAliasesRequest, ListCollectionsRequest,
};
use tonic::Code;

use crate::collection::creation;
use crate::index::QdrantIndex;

impl QdrantIndex {
    /// Reads a collection; `None` where there is none.
    pub(crate) async fn info(&self, collection: &CollectionName) -> Result<Option<CollectionInfo>> {
        let request = GetCollectionInfoRequest {
            collection_name: collection.to_string(),
        };
        match self.server.collections().get(request).await {
            Ok(answer) => Ok(answer.into_inner().result),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(self.server.failed(status)),
        }
    }

    /// Makes a collection, and returns what is there then: another process may have made it at the same moment.
    pub(crate) async fn create(
        &self,
        collection: &CollectionName,
        dimensions: usize,
    ) -> Result<CollectionInfo> {
        let request = creation(collection, dimensions, &self.config);
        let created = self.server.collections().create(request).await;
        match (self.info(collection).await?, created) {
            (Some(info), _) => Ok(info),
            (None, Err(status)) => Err(self.server.failed(status)),
            (None, Ok(_)) => Err(absent(collection)),
        }
    }

    /// Returns the name of the collection that the alias points to, whoever made it.
    pub(crate) async fn alias_target(&self) -> Result<Option<String>> {
        let answer = self
            .server
            .collections()
            .list_aliases(ListAliasesRequest {})
            .await;
        let aliases = answer
            .map_err(|status| self.server.failed(status))?
            .into_inner()
            .aliases;
        let ours = aliases
            .into_iter()
            .find(|alias| alias.alias_name == self.config.collection);
        Ok(ours.map(|alias| alias.collection_name))
    }

    /// Returns the names of all collections of the server.
    pub(crate) async fn all_collections(&self) -> Result<Vec<String>> {
        let answer = self.server.collections().list(ListCollectionsRequest {}).await;
        let collections = answer
            .map_err(|status| self.server.failed(status))?
            .into_inner()
            .collections;
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

/// Says that a collection isn't there.
pub(crate) fn absent(collection: &CollectionName) -> Error {
    Error::not_found(format!("qdrant has no collection `{collection}`"))
}
