//! What plugins are asked in the life of a photo, and what becomes of a failure: what the plugin asked for.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::fault::Fault;
use crate::hosted::Hosted;
use lucida_core::{
    BlobKey, DerivedBlob, Embeddings, EnrichInput, Enrichment, Error, ErrorKind, Event, Fetcher, Hit, Hook,
    Library, MetadataStore, OnFailure, Photo, Plugin, PluginHost, Result, SearchLimits, SearchQuery, Storage,
    Upload, clean_tag, stream_of,
};

/// Returns whether a failure is the plugin's considered answer to what a user sent.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidInput | ErrorKind::PermissionDenied
    )
}

/// The plugins, in the order of their hooks.
#[derive(Clone)]
pub(crate) struct Plugins {
    plugins: Arc<[Arc<dyn Plugin>]>,
    hosted: Arc<[Hosted]>,
    storage: Arc<dyn Storage>,
    metadata: Arc<dyn MetadataStore>,
    /// The events that plugins are taking.
    events: TaskTracker,
}

impl Plugins {
    pub(crate) fn new(
        plugins: Vec<Arc<dyn Plugin>>,
        storage: Arc<dyn Storage>,
        metadata: Arc<dyn MetadataStore>,
    ) -> Self {
        Self {
            hosted: plugins.iter().map(Hosted::new).collect(),
            plugins: plugins.into(),
            storage,
            metadata,
            events: TaskTracker::new(),
        }
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> &[Arc<dyn Plugin>] {
        &self.plugins
    }

    /// Returns what their calls may use.
    pub(crate) fn host(
        &self,
        library: Arc<dyn Library>,
        embeddings: Arc<dyn Embeddings>,
        search_limits: SearchLimits,
    ) -> PluginHost {
        PluginHost {
            metadata: Arc::clone(&self.metadata),
            storage: Arc::clone(&self.storage),
            library,
            search_limits,
            embeddings,
            fetcher: self.fetcher(),
        }
    }

    /// Returns what fetches files by URL, where a plugin does.
    pub(crate) fn fetcher(&self) -> Option<Arc<dyn Fetcher>> {
        self.plugins.iter().find_map(|plugin| plugin.fetcher())
    }

    pub(crate) fn with_hook(&self, hook: Hook) -> impl Iterator<Item = &Hosted> {
        self.hosted
            .iter()
            .filter(move |plugin| plugin.hooks().contains(&hook))
    }

    pub(crate) async fn inspect(&self, upload: &Upload) -> Result<()> {
        for plugin in self.with_hook(Hook::Inspect) {
            let (theirs, upload) = (plugin.plugin(), upload.clone());
            let result = plugin
                .call(Hook::Inspect, async move { theirs.inspect(&upload).await })
                .await;
            if let Err(error) = result {
                if is_refusal(&error) || plugin.on_failure(Hook::Inspect) == OnFailure::Fail {
                    return Err(error);
                }
                warn!(%error, "plugin failed to inspect an upload");
            }
        }
        Ok(())
    }

    /// Lets every enriching plugin add to the photo; what they made is kept before the photo names it.
    pub(crate) async fn enrich(&self, input: &mut EnrichInput) -> Result<(), Fault> {
        for plugin in self.with_hook(Hook::Enrich) {
            let (theirs, seen) = (plugin.plugin(), input.clone());
            let enriched = plugin
                .call(Hook::Enrich, async move { theirs.enrich(&seen).await })
                .await;
            let kept = match enriched {
                Ok(enrichment) => {
                    self.keep_enrichment(plugin.name(), enrichment, &mut input.photo)
                        .await?
                }
                Err(error) => Err(error),
            };
            if let Err(error) = kept {
                if plugin.on_failure(Hook::Enrich) == OnFailure::Fail {
                    return Err(Fault::of_plugin(error));
                }
                warn!(%error, photo_id = %input.photo.id, "plugin failed to enrich a photo");
                let note = json!({ "error": { "code": error.code(), "message": error.to_string() } });
                input.photo.attributes.insert(plugin.name().to_owned(), note);
            }
        }
        Ok(())
    }

    /// Keeps what a plugin made. The outer failure is the store's, and the photo's try ends with it whatever the
    /// plugin said of its own; the inner one is the plugin's.
    async fn keep_enrichment(
        &self,
        plugin: &str,
        enrichment: Enrichment,
        photo: &mut Photo,
    ) -> Result<Result<()>> {
        for (name, blob) in enrichment.blobs {
            let key = match BlobKey::derived(&photo.id, plugin, &name) {
                Ok(key) => key,
                Err(error) => {
                    return Ok(Err(error
                        .with_kind(ErrorKind::Internal)
                        .context(format!("plugin `{plugin}` names a blob `{name}`"))));
                }
            };
            let size_bytes = self.storage.put(&key, stream_of(blob.bytes)).await?;
            let derived = DerivedBlob {
                key,
                content_type: blob.content_type,
                size_bytes,
            };
            photo.derived.insert(format!("{plugin}/{name}"), derived);
        }
        match enrichment.attributes {
            Some(attributes) => photo.attributes.insert(plugin.to_owned(), attributes),
            None => photo.attributes.remove(plugin),
        };
        for tag in enrichment.tags {
            match clean_tag(&tag) {
                Ok(tag) => _ = photo.tags.insert(tag),
                Err(error) => warn!(%error, plugin, "leaving out a plugin's tag"),
            }
        }
        photo.taken_at = photo.taken_at.or(enrichment.taken_at);
        photo.taken_at_local = photo.taken_at_local.or_else(|| photo.camera_time());
        Ok(Ok(()))
    }

    pub(crate) async fn query(&self, query: SearchQuery) -> Result<SearchQuery> {
        let mut query = query;
        for plugin in self.with_hook(Hook::Query) {
            let (theirs, asked) = (plugin.plugin(), query.clone());
            match plugin
                .call(Hook::Query, async move { theirs.query(asked).await })
                .await
            {
                Ok(changed) => query = changed,
                Err(error) if is_refusal(&error) || plugin.on_failure(Hook::Query) == OnFailure::Fail => {
                    return Err(error);
                }
                Err(error) => warn!(%error, "plugin failed to change a search"),
            }
        }
        Ok(query)
    }

    pub(crate) async fn rerank(&self, query: &SearchQuery, hits: Vec<Hit>) -> Result<Vec<Hit>> {
        let mut hits = hits;
        for plugin in self.with_hook(Hook::Rerank) {
            let (theirs, query, found) = (plugin.plugin(), query.clone(), hits.clone());
            match plugin
                .call(Hook::Rerank, async move { theirs.rerank(&query, found).await })
                .await
            {
                Ok(reranked) => hits = reranked,
                Err(error) if plugin.on_failure(Hook::Rerank) == OnFailure::Fail => return Err(error),
                Err(error) => warn!(%error, "plugin failed to rerank hits"),
            }
        }
        Ok(hits)
    }

    /// Sends an event to the plugins, without waiting for them.
    pub(crate) fn send(&self, event: Event) {
        for plugin in self.with_hook(Hook::Event) {
            let (plugin, theirs, event) = (plugin.clone(), plugin.plugin(), event.clone());
            self.events.spawn(async move {
                if let Err(error) = plugin
                    .call(Hook::Event, async move { theirs.event(&event).await })
                    .await
                {
                    warn!(%error, "plugin failed to take an event");
                }
            });
        }
    }

    /// Waits for the plugins that are still taking an event.
    pub(crate) async fn finish_events(&self, at_most: Duration) {
        self.events.close();
        // What is not done by then is dropped with the process.
        let _ = tokio::time::timeout(at_most, self.events.wait()).await;
        self.events.reopen();
    }
}
