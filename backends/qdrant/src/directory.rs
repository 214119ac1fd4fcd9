//! The server's collections, and where the alias points.

use lucida_core::{CollectionName, Error, Result};
use qdrant_client::qdrant::{CollectionInfo, GetCollectionInfoRequest};

use crate::collection::{creation, quantization_warning};
use crate::config::{QdrantConfig, Quantization};
use crate::error::is_absent;
use crate::server::Server;
use crate::version::Version;

/// The first release with `turbo` quantization. An older one would create the collection without any.
const TURBO_SINCE: Version = Version::new(1, 18);

/// The collections of a server.
pub(crate) struct Directory<'a> {
    pub(crate) server: &'a Server,
    pub(crate) config: &'a QdrantConfig,
}

impl Directory<'_> {
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

    /// Creates a collection, and returns what exists then: another process may have created it at the same moment.
    ///
    /// # Errors
    /// `ConfigInvalid` for a quantization that the server is too old for.
    pub(crate) async fn create(
        &self,
        collection: &CollectionName,
        dimensions: usize,
    ) -> Result<CollectionInfo> {
        if self.config.quantization == Quantization::Turbo {
            self.check_turbo().await?;
        }
        if let Some(warning) = quantization_warning(self.config, dimensions) {
            tracing::warn!(%collection, "{warning}");
        }
        let request = creation(collection, dimensions, self.config);
        let created = self.server.client().create_collection(request).await;
        match (self.info(collection).await?, created) {
            (Some(info), _) => Ok(info),
            (None, Err(error)) => Err(self.server.failed(error)),
            (None, Ok(_)) => Err(absent(collection)),
        }
    }

    async fn check_turbo(&self) -> Result<()> {
        let version = self.server.version().await?;
        if Version::parse(&version).is_some_and(|version| version >= TURBO_SINCE) {
            return Ok(());
        }
        Err(Error::config(
            "index.qdrant.quantization",
            format!(
                "`turbo` needs Qdrant {TURBO_SINCE} or newer, and the server at {} is {version}: upgrade it, or use \
                 `scalar`",
                self.config.url
            ),
        ))
    }

    /// Returns the name of the collection that the alias points to, whoever created it.
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

/// Returns the error of a missing collection.
pub(crate) fn absent(collection: &CollectionName) -> Error {
    Error::not_found(format!("qdrant has no collection `{collection}`"))
}
