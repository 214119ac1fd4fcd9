//! A library on memory parts, with stores that can be switched off.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(unreachable_pub, reason = "the module is private to its test")]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use lucida_core::{
    Backoff, Blob, BlobKey, BlobStat, ByteStream, CollectionName, DeadLetter, Delivery, Embedder, Error,
    IndexFilter, Job, JobQueue, Photo, PhotoId, Plugin, Point, QueueCounts, Result, ScoredId, SearchInput,
    SearchQuery, Storage, UserId, VectorIndex,
};
use lucida_library::{
    CheckOptions, IngestOptions, ModelRecipe, ModelSource, OpenModel, Parts, Photos, UploadDetails, Uploaded,
    Workers,
};
use lucida_memory::{MemoryIndex, MemoryMetadata, MemoryQueue, MemoryStorage};
use lucida_models::Model;
use lucida_testkit::{Controls, HashModel};
use tokio_util::sync::CancellationToken;

/// A part that answers `Unavailable` while it is switched off.
pub struct Switchable<T> {
    pub inner: T,
    away: AtomicBool,
    list_away: AtomicBool,
    /// How many calls succeed before it is unavailable.
    calls_left: AtomicUsize,
}

impl<T> Switchable<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            away: AtomicBool::new(false),
            list_away: AtomicBool::new(false),
            calls_left: AtomicUsize::new(usize::MAX),
        }
    }

    pub fn switch_off(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    pub fn switch_on(&self) {
        self.away.store(false, Ordering::SeqCst);
        self.list_away.store(false, Ordering::SeqCst);
        self.calls_left.store(usize::MAX, Ordering::SeqCst);
    }

    /// Switches it off after so many calls.
    pub fn fail_after(&self, calls: usize) {
        self.calls_left.store(calls, Ordering::SeqCst);
    }

    fn there(&self) -> Result<&T> {
        let count = |left: usize| match left {
            usize::MAX => Some(left),
            _ => left.checked_sub(1),
        };
        let counted = self
            .calls_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
        if self.away.load(Ordering::SeqCst) || counted.is_err() {
            Err(Error::unavailable("switched off"))
        } else {
            Ok(&self.inner)
        }
    }
}

impl Switchable<MemoryStorage> {
    /// Lets only the listing of originals fail.
    pub fn switch_off_list(&self) {
        self.list_away.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Storage for Switchable<MemoryStorage> {
    async fn put(&self, key: &BlobKey, body: ByteStream) -> Result<u64> {
        self.there()?.put(key, body).await
    }
    async fn get(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<Blob> {
        self.there()?.get(key, range).await
    }
    async fn stat(&self, key: &BlobKey) -> Result<BlobStat> {
        self.there()?.stat(key).await
    }
    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.there()?.delete(key).await
    }
    fn list(&self, prefix: &str) -> BoxStream<'static, Result<BlobStat>> {
        if prefix.starts_with(BlobKey::ORIGINALS) && self.list_away.load(Ordering::SeqCst) {
            let away = Err(Error::unavailable("switched off"));
            return futures::stream::iter([away]).boxed();
        }
        self.inner.list(prefix)
    }
    async fn ping(&self) -> Result<()> {
        self.there()?.ping().await
    }
}

#[async_trait]
impl JobQueue for Switchable<MemoryQueue> {
    async fn publish(&self, job: &Job, delay: Duration) -> Result<()> {
        self.there()?.publish(job, delay).await
    }
    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>> {
        self.there()?.receive(wait).await
    }
    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.there()?.ack(delivery).await
    }
    async fn retry(&self, delivery: &Delivery, delay: Duration) -> Result<()> {
        self.there()?.retry(delivery, delay).await
    }
    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        self.there()?.dead_letter(delivery, reason).await
    }
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        self.there()?.dead_letters(limit).await
    }
    async fn remove_dead_letters(&self, photo_id: &PhotoId) -> Result<u64> {
        self.there()?.remove_dead_letters(photo_id).await
    }
    async fn counts(&self) -> Result<QueueCounts> {
        self.there()?.counts().await
    }
    async fn ping(&self) -> Result<()> {
        self.there()?.ping().await
    }
}

/// An index that answers every write with an error, and notes it.
struct FailingUpserts {
    inner: Arc<dyn VectorIndex>,
    error: Box<dyn Fn() -> Error + Send + Sync>,
}

#[async_trait]
impl VectorIndex for FailingUpserts {
    async fn ensure(&self, collection: &CollectionName, dimensions: usize) -> Result<()> {
        self.inner.ensure(collection, dimensions).await
    }
    async fn upsert(&self, _: &CollectionName, _: &[Point]) -> Result<()> {
        Err((self.error)())
    }
    async fn search(
        &self,
        collection: &CollectionName,
        vector: &[f32],
        filter: &IndexFilter,
        limit: usize,
    ) -> Result<Vec<ScoredId>> {
        self.inner.search(collection, vector, filter, limit).await
    }
    async fn vector(&self, collection: &CollectionName, id: &PhotoId) -> Result<Option<Vec<f32>>> {
        self.inner.vector(collection, id).await
    }
    async fn delete(&self, collection: &CollectionName, ids: &[PhotoId]) -> Result<()> {
        self.inner.delete(collection, ids).await
    }
    async fn count(&self, collection: &CollectionName) -> Result<u64> {
        self.inner.count(collection).await
    }
    async fn ids(
        &self,
        collection: &CollectionName,
        after: Option<&PhotoId>,
        limit: usize,
    ) -> Result<Vec<PhotoId>> {
        self.inner.ids(collection, after, limit).await
    }
    async fn collections(&self) -> Result<Vec<CollectionName>> {
        self.inner.collections().await
    }
    async fn alias(&self) -> Result<Option<CollectionName>> {
        self.inner.alias().await
    }
    async fn set_alias(&self, collection: &CollectionName) -> Result<()> {
        self.inner.set_alias(collection).await
    }
    fn alias_name(&self) -> &str {
        self.inner.alias_name()
    }
    async fn drop_collection(&self, collection: &CollectionName) -> Result<()> {
        self.inner.drop_collection(collection).await
    }
    async fn ping(&self) -> Result<()> {
        self.inner.ping().await
    }
    fn note(&self) -> Option<String> {
        Some("every write fails".to_owned())
    }
}

/// A check that mends nothing and looks at everything.
pub const CHECK: CheckOptions = CheckOptions {
    repair: false,
    forget_unknown: None,
    verify: None,
    resume: false,
    grace: Duration::ZERO,
};

/// A library to be tested; its workers stop with it.
pub struct Library {
    pub photos: Photos,
    pub parts: Parts,
    pub options: IngestOptions,
    pub storage: Arc<Switchable<MemoryStorage>>,
    pub queue: Arc<Switchable<MemoryQueue>>,
    pub model: Arc<Controls>,
    pub alice: UserId,
    pub bob: UserId,
    shutdown: CancellationToken,
    _spool: Arc<tempfile::TempDir>,
}

impl Library {
    pub fn new() -> Self {
        Self::with_plugins(Vec::new())
    }

    pub fn with_plugins(plugins: Vec<Arc<dyn Plugin>>) -> Self {
        let spool = Arc::new(tempfile::tempdir().unwrap());
        let storage = Arc::new(Switchable::new(MemoryStorage::new()));
        let queue = Arc::new(Switchable::new(MemoryQueue::new()));
        let model = HashModel::new();
        let controls = model.controls();
        let parts = Parts {
            storage: storage.clone(),
            metadata: Arc::new(MemoryMetadata::new()),
            index: Arc::new(MemoryIndex::new()),
            queue: queue.clone(),
            model_source: Some(source(&model)),
            embedder: Arc::new(model.start()),
            plugins,
        };
        let options = options(&spool);
        Self {
            photos: Photos::new(parts.clone(), options.clone()).unwrap(),
            parts,
            options,
            storage,
            queue,
            model: controls,
            alice: UserId::new("alice").unwrap(),
            bob: UserId::new("bob").unwrap(),
            shutdown: CancellationToken::new(),
            _spool: spool,
        }
    }

    /// The same stores, where a leftover blob need not be old to be removed.
    pub fn without_grace(&self) -> Self {
        self.with_options(|options| options.orphan_grace = Duration::ZERO)
    }

    /// The same stores in another process.
    pub fn again(&self) -> Self {
        self.with_options(|_| {})
    }

    /// The same stores in another process with other options.
    pub fn with_options(&self, change: impl FnOnce(&mut IngestOptions)) -> Self {
        let mut options = self.options.clone();
        change(&mut options);
        self.opened(HashModel::new(), options)
    }

    /// The same stores in another process, to which the index's writes fail.
    pub fn with_failing_upserts(&self, error: impl Fn() -> Error + Send + Sync + 'static) -> Self {
        let index = FailingUpserts {
            inner: Arc::clone(&self.parts.index),
            error: Box::new(error),
        };
        self.again().with_parts(|parts| parts.index = Arc::new(index))
    }

    /// The same blobs, none of which the metadata store knows, and none too young to be removed.
    pub fn with_empty_metadata(&self) -> Self {
        self.without_grace().with_parts(|parts| {
            parts.metadata = Arc::new(MemoryMetadata::new());
            parts.index = Arc::new(MemoryIndex::new());
            parts.queue = Arc::new(MemoryQueue::new());
        })
    }

    /// The same process with other components.
    pub fn with_parts(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(&mut self.parts);
        self.photos = Photos::new(self.parts.clone(), self.options.clone()).unwrap();
        self
    }

    /// The collection of the configured model.
    pub fn collection(&self) -> CollectionName {
        let fingerprint = &self.parts.embedder.describe().fingerprint;
        CollectionName::for_fingerprint(self.parts.index.alias_name(), fingerprint).unwrap()
    }

    /// The same stores under another model.
    pub fn with_model(&self, model: HashModel) -> Self {
        self.opened(model, self.options.clone())
    }

    fn opened(&self, model: HashModel, options: IngestOptions) -> Self {
        let controls = model.controls();
        let parts = Parts {
            model_source: Some(source(&model)),
            embedder: Arc::new(model.start()),
            ..self.parts.clone()
        };
        Self {
            photos: Photos::new(parts.clone(), options.clone()).unwrap(),
            parts,
            options,
            storage: Arc::clone(&self.storage),
            queue: Arc::clone(&self.queue),
            model: controls,
            alice: self.alice.clone(),
            bob: self.bob.clone(),
            shutdown: CancellationToken::new(),
            _spool: Arc::clone(&self._spool),
        }
    }

    pub fn start(&self) -> Workers {
        self.photos.start_workers(&self.shutdown)
    }

    pub async fn stop(&self, workers: Workers) {
        self.shutdown.cancel();
        workers.finished().await;
    }

    pub async fn upload(&self, user: &UserId, bytes: &Bytes) -> Result<Uploaded> {
        self.upload_with(user, bytes, UploadDetails::default()).await
    }

    pub async fn upload_with(
        &self,
        user: &UserId,
        bytes: &Bytes,
        details: UploadDetails,
    ) -> Result<Uploaded> {
        let mut spool = self.photos.spool().await?;
        for piece in bytes.chunks(1000) {
            spool.write(Bytes::copy_from_slice(piece)).await?;
        }
        self.photos.upload(user, spool, details).await
    }

    /// Uploads and returns the photo's record.
    pub async fn uploaded(&self, user: &UserId, bytes: &Bytes) -> Photo {
        self.upload(user, bytes).await.unwrap().photo().clone()
    }

    /// Uploads and waits until the photo is ready or failed.
    pub async fn settle(&self, user: &UserId, bytes: &Bytes) -> Photo {
        let id = self.upload(user, bytes).await.unwrap().photo().id;
        self.settled(&id).await
    }

    pub async fn settled(&self, id: &PhotoId) -> Photo {
        self.photos
            .wait_until_settled(id, Duration::from_secs(120))
            .await
            .unwrap()
    }

    pub async fn found_by_text(&self, user: &UserId, text: &str) -> Vec<PhotoId> {
        self.found(user, SearchInput::Text(text.to_owned()))
            .await
            .unwrap()
    }

    pub async fn found(&self, user: &UserId, input: SearchInput) -> Result<Vec<PhotoId>> {
        let query = SearchQuery {
            user_id: user.clone(),
            input,
            filter: Default::default(),
            limit: 10,
        };
        Ok(self
            .photos
            .search(query)
            .await?
            .hits
            .into_iter()
            .map(|hit| hit.photo.id)
            .collect())
    }

    /// Counts the files in the spool folder.
    pub fn spooled(&self) -> usize {
        std::fs::read_dir(self._spool.path()).unwrap().count()
    }
}

fn options(spool: &tempfile::TempDir) -> IngestOptions {
    IngestOptions {
        max_pixels: 1_000_000,
        accept_truncated: false,
        strict_names: false,
        decode_memory_bytes: 1 << 30,
        spool_dir: spool.path().to_owned(),
        workers: 2,
        backoff: Backoff {
            min: Duration::from_millis(5),
            max: Duration::from_millis(50),
        },
        max_attempts: 3,
        reconcile_interval: Duration::from_millis(200),
        deep_reconcile_interval: Duration::from_secs(3600),
        orphan_grace: Duration::from_secs(3600),
        model_change_photos_per_sec: 0,
        scrub_bytes_per_sec: 0,
    }
}

/// What opens the models of tests again, by their names.
struct HashModels;

#[async_trait]
impl OpenModel for HashModels {
    async fn open(&self, recipe: &ModelRecipe) -> Result<Arc<dyn Embedder>> {
        let name = recipe.settings["name"].as_str().unwrap();
        if name.contains("gone") {
            return Err(Error::unavailable("the model's folder is not there"));
        }
        Ok(Arc::new(HashModel::named(name).start()))
    }
}

fn source(model: &HashModel) -> ModelSource {
    let name = Model::describe(model).model;
    ModelSource {
        recipe: ModelRecipe {
            type_name: "hash".to_owned(),
            settings: serde_json::json!({ "name": name }),
        },
        opener: Arc::new(HashModels),
    }
}
