//! [`Photos`], the library as HTTP handlers, workers and the command line see it: what each service offers.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use crate::adopt::{AdoptReport, OnNews as OnAdoptNews, Originals};
use crate::damage::StorageReport;
use crate::decoder::Decoder;
use crate::edit::PhotoEdit;
use crate::ingest::{self};
use crate::models::ModelStatus;
use crate::parts::{IngestOptions, Parts};
use crate::readiness::Readiness;
use crate::rebuild::{OnNews as OnRebuildNews, RebuildOptions, RebuildReport};
use crate::reconcile::{self, CheckOptions, CheckReport, OnNews as OnCheckNews};
use crate::records::PhotoPage;
use crate::services::Services;
use crate::spool::SpoolWriter;
use crate::upload::{UploadDetails, Uploaded};
use crate::workers::Workers;
use lucida_core::{
    Blob, DeadLetter, DerivedBlob, Embedder, Embeddings, Error, Fetcher, OutboxEvent, Photo, PhotoId,
    PhotoQuery, Picture, Plugin, PluginHost, Result, SearchLimits, SearchQuery, SearchResult, Stats, TagList,
    UserId,
};

/// The library: every request about photos goes through one of its services.
#[derive(Clone)]
pub struct Photos {
    inner: Arc<Services>,
}

impl Photos {
    /// Builds the services; opens and starts nothing.
    ///
    /// # Errors
    /// `ConfigInvalid` for a model that takes no pictures; `InvalidInput` when the index's alias can't name a collection.
    pub fn new(parts: Parts, options: IngestOptions) -> Result<Self> {
        let info = parts.embedder.describe();
        if !info.modalities.image {
            let model = &info.model;
            return Err(Error::config(
                "embedder",
                format!(
                    "the model `{model}` takes only texts, and a library embeds pictures: set `model` to one that takes \
                     pictures, and `text_model` to this one if both were made for each other"
                ),
            ));
        }
        let services = Services::new(parts, options)?;
        ingest::show_counters();
        reconcile::show_counters();
        Ok(Self {
            inner: Arc::new(services),
        })
    }

    /// Returns the configured model.
    #[must_use]
    pub fn embedder(&self) -> &Arc<dyn Embedder> {
        self.inner.models.configured()
    }

    /// Returns the plugins, in the order of their hooks.
    #[must_use]
    pub fn plugins(&self) -> &[Arc<dyn Plugin>] {
        self.inner.plugins.all()
    }

    /// Returns what the calls of plugins may use; `embeddings` are the models that they choose by name, `search_limits` what
    /// the server allows its own callers.
    #[must_use]
    pub fn plugin_host(&self, embeddings: Arc<dyn Embeddings>, search_limits: SearchLimits) -> PluginHost {
        let plugins = &self.inner.plugins;
        plugins.host(Arc::new(self.clone()), embeddings, search_limits)
    }

    /// Returns what fetches files that clients name by URL, where a plugin does.
    #[must_use]
    pub fn fetcher(&self) -> Option<Arc<dyn Fetcher>> {
        self.inner.plugins.fetcher()
    }

    /// Returns what decodes pictures.
    pub(crate) fn decoder(&self) -> &Decoder {
        &self.inner.decoder
    }

    /// Makes sure that the library knows the configured model, once; the next call retries after a failure.
    ///
    /// # Errors
    /// Those of the index and the metadata store; `Conflict` when the model's collection has other dimensions.
    pub async fn prepare(&self) -> Result<()> {
        self.inner.models.prepare().await
    }

    /// Returns a user's photo.
    ///
    /// # Errors
    /// `NotFound` when the photo does not exist, belongs to another user, or is being deleted.
    pub async fn photo(&self, user: &UserId, id: &PhotoId) -> Result<Photo> {
        self.inner.records.of_user(user, id).await
    }

    /// Lists a user's photos, except for those being deleted.
    ///
    /// # Errors
    /// `InvalidInput` for a limit of 0 or a filter without a user.
    pub async fn list(&self, query: &PhotoQuery) -> Result<PhotoPage> {
        self.inner.records.list(query).await
    }

    /// Opens a photo's original, or a range of its bytes.
    ///
    /// # Errors
    /// `Internal` when it is missing (`blob_missing`) or has another size (`blob_damaged`); those of the store.
    pub async fn content(&self, photo: &Photo, range: Option<Range<u64>>) -> Result<Blob> {
        self.inner.blobs.content(photo, range).await
    }

    /// Checks that a photo's original exists in its right size, without reading it.
    ///
    /// # Errors
    /// Those of [`Photos::content`].
    pub async fn check_content(&self, photo: &Photo) -> Result<()> {
        self.inner.blobs.check_content(photo).await
    }

    /// Opens a blob that a plugin made from a photo, by `plugin/name`.
    ///
    /// # Errors
    /// `NotFound` when the photo has none of that name; `Internal` when it is missing (`blob_missing`) or has another size
    /// (`blob_damaged`); those of the store.
    pub async fn derived(&self, photo: &Photo, name: &str) -> Result<(DerivedBlob, Blob)> {
        self.inner.blobs.derived(photo, name).await
    }

    /// Starts an upload.
    ///
    /// # Errors
    /// I/O errors of the spool folder by kind.
    pub async fn spool(&self) -> Result<SpoolWriter> {
        self.inner.spool.create().await
    }

    /// Takes a photo in: once this returns, the photo survives anything except for the loss of its store.
    ///
    /// # Errors
    /// `InvalidInput` for what is not a whole picture (`truncated_image`), has too many pixels (`too_many_pixels`), or has the
    /// name of another format where names are strict (`type_mismatch`); a plugin's refusal; those of the stores. An original
    /// that is stored by then stays, without a record.
    pub async fn upload(
        &self,
        user: &UserId,
        spool: SpoolWriter,
        details: UploadDetails,
    ) -> Result<Uploaded> {
        self.inner.intake.upload(user, spool, details).await
    }

    /// Decodes an upload that is only to be embedded, no larger than the models need it, and removes its file.
    ///
    /// # Errors
    /// Those of [`lucida_picture::decode`].
    pub async fn decode_upload(&self, spool: SpoolWriter) -> Result<Arc<Picture>> {
        self.inner.search.decode_upload(spool).await
    }

    /// Changes a user's photo; searches use the change once this returns, or soon after where the index is unavailable.
    ///
    /// A job goes into the queue first. If the edit is interrupted, that job brings manifest and index in line with the
    /// record.
    ///
    /// # Errors
    /// `NotFound` when the user has no such photo; `InvalidInput` for more tags than a photo may have; those of the
    /// metadata store and the queue, with nothing changed.
    pub async fn edit(&self, user: &UserId, id: &PhotoId, edit: &PhotoEdit) -> Result<Photo> {
        self.inner.editing.edit(user, id, edit).await
    }

    /// Deletes a user's photo. Once this returns no request shows it any more; what is left of it may be removed later.
    ///
    /// # Errors
    /// `NotFound` when the user has no such photo; those of the metadata store.
    pub async fn delete(&self, user: &UserId, id: &PhotoId) -> Result<()> {
        self.inner.deletion.delete(user, id).await
    }

    /// Gives a failed photo new tries.
    ///
    /// # Errors
    /// `NotFound` when the user has no such photo; `Conflict` (`not_failed`) when it has not failed; those of the
    /// metadata store.
    pub async fn retry(&self, user: &UserId, id: &PhotoId) -> Result<Photo> {
        self.inner.records.retry(user, id).await
    }

    /// Finds a user's photos.
    ///
    /// # Errors
    /// `InvalidInput` for an empty or too long text; `NotFound` for a photo that is not the user's; `Conflict`
    /// (`not_ready`) for one that is not embedded yet; a plugin's refusal; those of the model and the stores.
    pub async fn search(&self, query: SearchQuery) -> Result<SearchResult> {
        self.inner.search.search(query).await
    }

    /// Waits until a photo is ready, failed or gone, or the time is up; returns its record.
    ///
    /// # Errors
    /// `NotFound` when it is gone; those of the metadata store.
    pub async fn wait_until_settled(&self, id: &PhotoId, at_most: Duration) -> Result<Photo> {
        self.inner.settled.wait(id, at_most).await
    }

    /// Lists the models that the library has vectors of, the serving one first.
    ///
    /// # Errors
    /// Those of the index and the metadata store.
    pub async fn models(&self) -> Result<Vec<ModelStatus>> {
        self.inner.models.statuses().await
    }

    /// Asks every component for its health, all at once.
    pub async fn readiness(&self) -> Readiness {
        self.inner.health.check().await
    }

    /// Returns what the last comparisons of any process found in the blob store.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub async fn storage_report(&self) -> Result<StorageReport> {
        self.inner.damage.report().await
    }

    /// Compares everything, reports what it finds as it goes, and repairs it if asked to.
    ///
    /// No original is deleted unless a deletion or a duplicate is recorded for it, or `forget_unknown` is their number. The
    /// progress is saved in the metadata store.
    ///
    /// # Errors
    /// `Conflict` when `forget_unknown` is another number than was found, with nothing deleted; those of the stores, at
    /// the first call that fails.
    pub async fn check<'a>(
        &'a self,
        options: &CheckOptions,
        on_news: &'a mut OnCheckNews<'a>,
    ) -> Result<CheckReport> {
        self.inner.reconciler.check(options, on_news).await
    }

    /// Creates a record for every original that has none. Existing records stay as they are.
    ///
    /// Each record is that of a photo right after its upload: workers bring it to ready again, with the vector that the
    /// index still has. It may be repeated, and resumes where an earlier run was interrupted.
    ///
    /// # Errors
    /// Those of the stores, at the first call that fails.
    pub async fn rebuild<'a>(
        &'a self,
        options: &'a RebuildOptions,
        on_news: &'a mut OnRebuildNews<'a>,
    ) -> Result<RebuildReport> {
        self.inner.rebuild.run(options, on_news).await
    }

    /// Compares a sample of a foreign collection with the configured model and, unless `only_look`, adopts its vectors.
    ///
    /// It may be repeated: adopted vectors stay as they are.
    ///
    /// # Errors
    /// `Unsupported` by an index that reads no foreign collections; `NotFound` for a missing one; `Conflict`
    /// (`other_vectors`) where the vectors are another model's, with nothing written; those of the stores.
    pub async fn adopt(
        &self,
        collection: &str,
        originals: &Originals,
        only_look: bool,
        on_news: &mut OnAdoptNews<'_>,
    ) -> Result<AdoptReport> {
        self.inner
            .adoption
            .run(collection, originals, only_look, on_news)
            .await
    }

    /// Lists jobs that were given up, at most `limit`.
    ///
    /// # Errors
    /// Those of the queue.
    pub async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        self.inner.records.dead_letters(limit).await
    }

    /// Lists events that were given up, at most `limit`.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub async fn dead_events(&self, limit: usize) -> Result<Vec<OutboxEvent>> {
        self.inner.records.dead_events(limit).await
    }

    /// Counts a user's photos and all jobs.
    ///
    /// # Errors
    /// Those of the metadata store and the queue.
    pub async fn stats(&self, user: &UserId) -> Result<Stats> {
        self.inner.counts.of_user(user).await
    }

    /// Counts a user's photos by tag, at most `limit` tags.
    ///
    /// # Errors
    /// `InvalidInput` for a limit of 0; those of the metadata store.
    pub async fn tags(&self, user: &UserId, limit: usize) -> Result<TagList> {
        self.inner.counts.tags(user, limit).await
    }

    /// Sets the gauges that count photos and jobs; an unavailable component leaves its gauges unchanged.
    pub async fn report_gauges(&self) {
        self.inner.counts.set_gauges().await;
    }

    /// Starts the workers, the delivery of events, the reconciler, the scrub and the model switch; they stop when `shutdown` is cancelled, each
    /// worker after its photo.
    pub fn start_workers(&self, shutdown: &CancellationToken) -> Workers {
        let services = &self.inner;
        let tasks = TaskTracker::new();
        for number in 0..services.workers {
            let (worker, stop) = (services.worker.clone(), shutdown.clone());
            let span = info_span!("worker", number);
            tasks.spawn(async move { worker.run_until(stop).await }.instrument(span));
        }
        for deliverer in &services.deliverers {
            let (deliverer, stop) = (deliverer.clone(), shutdown.clone());
            deliverer.show_counters();
            tasks.spawn(async move { deliverer.run_until(stop).await });
        }
        let (reconciler, stop) = (services.reconciler.clone(), shutdown.clone());
        tasks.spawn(async move { reconciler.run_until(stop).await });
        let (scrub, stop) = (services.scrub.clone(), shutdown.clone());
        tasks.spawn(async move { scrub.run_until(stop).await });
        let (switch, stop) = (services.model_switch.clone(), shutdown.clone());
        tasks.spawn(async move { switch.run_until(stop).await });
        tasks.close();
        Workers {
            tasks,
            plugins: services.plugins.clone(),
        }
    }
}
