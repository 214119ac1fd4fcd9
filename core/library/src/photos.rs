//! [`Photos`], the service that HTTP handlers, workers and the command line use, and what it is made of.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OnceCell};
use tokio_util::task::TaskTracker;

use crate::damage::Damage;
use crate::decode_budget::DecodeBudget;
use crate::embed::EmbedRequest;
use crate::models::{ModelSource, ViewCache};
use crate::{ingest, reconcile};
use lucida_core::{
    Backoff, Blob, CollectionName, Deadline, DerivedBlob, Embedder, Embeddings, Error, ErrorKind, JobQueue,
    Lane, MetadataStore, Photo, PhotoId, PhotoQuery, PhotoState, Plugin, QueueCounts, Result, StateCounts,
    Storage, UserId, VectorIndex, metrics,
    picture::{self, DecodeOptions, Picture},
};

/// What a server is made of.
#[derive(Clone)]
pub struct Parts {
    /// Where the bytes of photos are stored.
    pub storage: Arc<dyn Storage>,
    /// The metadata store.
    pub metadata: Arc<dyn MetadataStore>,
    /// The vectors.
    pub index: Arc<dyn VectorIndex>,
    /// What is to be done.
    pub queue: Arc<dyn JobQueue>,
    /// The model.
    pub embedder: Arc<dyn Embedder>,
    /// How the model can be opened again, and what opens the library's other ones; without it those stay closed.
    pub model_source: Option<ModelSource>,
    /// The plugins, in the order of their hooks.
    pub plugins: Vec<Arc<dyn Plugin>>,
}

/// How photos are taken in.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// The most pixels a picture may have.
    pub max_pixels: u64,
    /// Whether a truncated picture is taken as far as it goes.
    pub accept_truncated: bool,
    /// Whether a file is refused whose name promises another format than its bytes hold.
    pub strict_names: bool,
    /// How much memory pictures take while they are decoded, in bytes, for all together; one that needs more is decoded
    /// alone.
    pub decode_memory_bytes: u64,
    /// Where uploads are written until they are known to be photos.
    pub spool_dir: PathBuf,
    /// How many photos are worked on at once in this process; 0 leaves the work to others.
    pub workers: usize,
    /// The wait before the second try, and the longest one.
    pub backoff: Backoff,
    /// After how many failed tries that are not a store's fault a photo is given up.
    pub max_attempts: u32,
    /// How often the reconciler looks for pending photos without a job and unfinished deletions.
    pub reconcile_interval: Duration,
    /// How often the reconciler compares all three stores.
    pub deep_reconcile_interval: Duration,
    /// How old an unknown blob or spool file must be before it is removed.
    pub orphan_grace: Duration,
    /// How many photos a second are given to the workers while a change of the model goes on; 0 is as many as they take.
    pub model_change_photos_per_sec: u32,
    /// How many bytes of originals a second are read again in the background and compared with their hashes; 0 is none.
    pub scrub_bytes_per_sec: u64,
}

/// The service: everything that can be done with photos.
#[derive(Clone)]
pub struct Photos {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) parts: Parts,
    pub(crate) options: IngestOptions,
    pub(crate) collection: CollectionName,
    pub(crate) registered: OnceCell<()>,
    pub(crate) view: ViewCache,
    pub(crate) decoding: DecodeBudget,
    pub(crate) settled: Mutex<HashMap<PhotoId, Arc<Notify>>>,
    pub(crate) model_health: tokio::sync::Mutex<Option<(Instant, Option<String>)>>,
    /// Plugins that are being told of something.
    pub(crate) events: TaskTracker,
    /// This process, for leases.
    pub(crate) holder: String,
}

/// A page of a list of photos.
#[derive(Debug, Clone, PartialEq)]
pub struct PhotoPage {
    /// The photos.
    pub photos: Vec<Photo>,
    /// Where the next page goes on, `None` after the last.
    pub next: Option<PhotoId>,
}

/// What a user has, and what serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The user's photos by state.
    pub photos: StateCounts,
    /// The jobs of all users.
    pub queue: QueueCounts,
    /// The name of the model that searches use.
    pub model: String,
}

impl Photos {
    /// Puts a service together; opens and starts nothing.
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
        let fingerprint = &parts.embedder.describe().fingerprint;
        let collection = CollectionName::for_fingerprint(parts.index.alias_name(), fingerprint)?;
        ingest::show_counters();
        reconcile::show_counters();
        let memory_bytes = options.decode_memory_bytes;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Self {
            inner: Arc::new(Inner {
                parts,
                options,
                collection,
                registered: OnceCell::new(),
                view: ViewCache::default(),
                decoding: DecodeBudget::new(cores, memory_bytes),
                settled: Mutex::new(HashMap::new()),
                model_health: tokio::sync::Mutex::new(None),
                events: TaskTracker::new(),
                holder: uuid::Uuid::now_v7().to_string(),
            }),
        })
    }

    /// Returns what the service is made of.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.inner.parts
    }

    /// Returns how photos are taken in.
    #[must_use]
    pub fn options(&self) -> &IngestOptions {
        &self.inner.options
    }

    /// Returns the collection that belongs to the configured model; searches may use another one.
    #[must_use]
    pub fn collection(&self) -> &CollectionName {
        &self.inner.collection
    }

    /// Returns the models by name, for plugins.
    #[must_use]
    pub fn embeddings(&self) -> Arc<dyn Embeddings> {
        Arc::new(self.clone())
    }

    /// Begins a request for embeddings of the configured model.
    #[must_use]
    pub fn embed_request(&self, deadline: Deadline) -> EmbedRequest {
        EmbedRequest::new(Arc::clone(&self.parts().embedder), deadline)
    }

    /// Makes sure that the library knows the configured model, once; a failure is tried again at the next call.
    ///
    /// # Errors
    /// Those of the index and the ledger; `Conflict` when the model's collection has other dimensions.
    pub async fn prepare(&self) -> Result<()> {
        self.inner
            .registered
            .get_or_try_init(|| self.register_model())
            .await?;
        Ok(())
    }

    /// Returns a user's photo.
    ///
    /// # Errors
    /// `NotFound` when there is none of that id, it is another user's, or it is being deleted.
    pub async fn photo(&self, user: &UserId, id: &PhotoId) -> Result<Photo> {
        let found = self.parts().metadata.get(id).await?;
        found
            .filter(|photo| photo.user_id == *user && photo.state != PhotoState::Deleting)
            .ok_or_else(|| Error::not_found(format!("photo `{id}` not found")).with_code("photo_not_found"))
    }

    /// Lists a user's photos; those being deleted are never shown.
    ///
    /// # Errors
    /// `InvalidInput` for a limit of 0 or a filter without a user.
    pub async fn list(&self, query: &PhotoQuery) -> Result<PhotoPage> {
        if query.filter.user_id.is_none() {
            return Err(Error::invalid("a list of photos is always one user's"));
        }
        let mut query = query.clone();
        if query.filter.states.is_empty() {
            query.filter.states = vec![PhotoState::Pending, PhotoState::Ready, PhotoState::Failed];
        }
        query.filter.states.retain(|state| *state != PhotoState::Deleting);
        if query.filter.states.is_empty() {
            return Ok(PhotoPage {
                photos: Vec::new(),
                next: None,
            });
        }
        let limit = query.limit;
        query.limit = limit.saturating_add(usize::from(limit > 0));
        let mut photos = self.parts().metadata.list(&query).await?;
        let more = photos.len() > limit;
        photos.truncate(limit);
        let next = photos.last().filter(|_| more).map(|photo| photo.id);
        Ok(PhotoPage { photos, next })
    }

    /// Opens a photo's original, or a range of its bytes.
    ///
    /// # Errors
    /// `Internal` when the store has lost it (`blob_missing`) or has it in another size (`blob_damaged`); those of the
    /// store.
    pub async fn content(&self, photo: &Photo, range: Option<std::ops::Range<u64>>) -> Result<Blob> {
        let damage = match self.parts().storage.get(&photo.blob, range).await {
            Ok(blob) if blob.size_bytes == photo.size_bytes => return Ok(blob),
            Ok(_) => Damage::WrongSize,
            Err(error) if error.kind() == ErrorKind::NotFound => Damage::Missing,
            // The range may begin after the end of what is left of it.
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                self.stat_original(photo).await?.ok_or(error)?
            }
            Err(error) => return Err(error),
        };
        self.note_damage(&photo.id, Some(damage)).await;
        Err(damage.error(photo))
    }

    /// Checks that a photo's original exists in its right size, without reading it.
    ///
    /// # Errors
    /// Those of [`Photos::content`].
    pub async fn check_content(&self, photo: &Photo) -> Result<()> {
        let Some(damage) = self.stat_original(photo).await? else {
            return Ok(());
        };
        self.note_damage(&photo.id, Some(damage)).await;
        Err(damage.error(photo))
    }

    /// Opens a blob that a plugin made from a photo, by `plugin/name`.
    ///
    /// # Errors
    /// `NotFound` when the photo has none of that name; `Internal` when the store has lost it (`blob_missing`) or has it in
    /// another size (`blob_damaged`); those of the store.
    pub async fn derived(&self, photo: &Photo, name: &str) -> Result<(DerivedBlob, Blob)> {
        let derived = photo
            .derived
            .get(name)
            .ok_or_else(|| Error::not_found(format!("the photo has no `{name}`")))?;
        let blob = self
            .parts()
            .storage
            .get(&derived.key, None)
            .await
            .map_err(|error| {
                if error.kind() == ErrorKind::NotFound {
                    lost_derived(name, "is missing from the store", "blob_missing")
                } else {
                    error
                }
            })?;
        if blob.size_bytes != derived.size_bytes {
            return Err(lost_derived(
                name,
                "has another size than it was stored with",
                "blob_damaged",
            ));
        }
        Ok((derived.clone(), blob))
    }

    /// Counts what a user has.
    ///
    /// # Errors
    /// Those of the metadata store and the queue.
    pub async fn stats(&self, user: &UserId) -> Result<Stats> {
        let photos = self.parts().metadata.count_by_state(Some(user)).await?;
        let queue = self.parts().queue.counts().await?;
        Ok(Stats {
            photos,
            queue,
            model: self.view().await?.serving.embedder.describe().model.clone(),
        })
    }

    /// Sets the gauges that count photos and jobs; a part that can't be asked leaves its gauges as they were.
    pub async fn report_gauges(&self) {
        if let Ok(counts) = self.parts().metadata.count_by_state(None).await {
            for state in PhotoState::ALL {
                metrics::PHOTOS.set(gauge(counts.get(state)), &[state.as_str()]);
            }
        }
        if let Ok(report) = self.storage_report().await {
            report.set_gauges();
        }
        if let Ok(counts) = self.parts().queue.counts().await {
            let QueueCounts {
                ready,
                delayed,
                in_flight,
                dead,
            } = counts;
            for (state, count) in [
                ("ready", ready),
                ("delayed", delayed),
                ("in_flight", in_flight),
                ("dead", dead),
            ] {
                metrics::QUEUE_JOBS.set(gauge(count), &[state]);
            }
        }
    }

    /// Waits until a photo is ready, failed or gone, or the time is up; returns it as it is then.
    ///
    /// # Errors
    /// `NotFound` when it is gone; those of the metadata store.
    pub async fn wait_until_settled(&self, id: &PhotoId, at_most: Duration) -> Result<Photo> {
        // Another process may do the work, so a look now and then is needed besides the notification.
        const LOOK_EVERY: Duration = Duration::from_millis(500);
        let deadline = tokio::time::Instant::now() + at_most;
        loop {
            let notify = Arc::clone(self.lock_settled().entry(*id).or_default());
            let notified = notify.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            let photo = self.parts().metadata.get(id).await?;
            let photo = photo.ok_or_else(|| Error::not_found(format!("photo `{id}` not found")))?;
            let now = tokio::time::Instant::now();
            if photo.state != PhotoState::Pending || now >= deadline {
                self.forget_waiter(id, &notify);
                return Ok(photo);
            }
            let wait = LOOK_EVERY.min(deadline - now);
            // Either way the metadata store is asked again.
            let _ = tokio::time::timeout(wait, notified).await;
        }
    }

    pub(crate) fn lock_settled(&self) -> std::sync::MutexGuard<'_, HashMap<PhotoId, Arc<Notify>>> {
        self.inner.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget_waiter(&self, id: &PhotoId, notify: &Arc<Notify>) {
        let mut settled = self.lock_settled();
        // The map and this waiter hold one each; further ones are other waiters.
        if Arc::strong_count(notify) <= 2 {
            settled.remove(id);
        }
    }

    pub(crate) fn notify_settled(&self, id: &PhotoId) {
        if let Some(notify) = self.lock_settled().remove(id) {
            notify.notify_waiters();
        }
    }

    /// Decodes on a blocking thread once a permit is free; `None` for the short side asks for full size.
    pub(crate) async fn decode<B>(
        &self,
        lane: Lane,
        short_side_pixels: Option<u32>,
        read: impl FnOnce() -> Result<B> + Send + 'static,
    ) -> Result<(Arc<Picture>, B)>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let options = DecodeOptions {
            max_pixels: self.options().max_pixels,
            accept_truncated: self.options().accept_truncated,
            short_side_pixels,
        };
        let failed = |error| Error::internal("decoding a picture failed").with_source(error);
        let look = move || {
            let bytes = read()?;
            let header = picture::ImageHeader::peek(bytes.as_ref())?;
            Ok::<_, Error>((bytes, picture::memory_bytes(&header, short_side_pixels)))
        };
        let (bytes, memory_bytes) = tokio::task::spawn_blocking(look).await.map_err(failed)??;
        let place = self.inner.decoding.enter(lane, memory_bytes).await?;
        let work = move || {
            let picture = picture::decode(bytes.as_ref(), &options)?;
            let kept = place.shrink_to(picture.pixels().as_raw().len() as u64);
            // A worker has one picture, and its memory stays taken until that is done with. A call may bring many, which
            // must not wait for each other.
            let picture = match lane {
                Lane::Background => picture.holding(Arc::new(kept)),
                Lane::Interactive => picture,
            };
            Ok((Arc::new(picture), bytes))
        };
        tokio::task::spawn_blocking(work).await.map_err(failed)?
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) const fn gauge(count: u64) -> f64 {
    count as f64
}

/// Returns the short side in pixels that is enough for two who look at a picture; `None` is full size.
pub(crate) fn larger_short_side(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    Some(one?.max(other?))
}

/// A derived blob that the store has lost or damaged can be made again from the original.
fn lost_derived(name: &str, what: &str, code: &'static str) -> Error {
    Error::internal(format!(
        "the photo's `{name}` {what}: `lucida check --repair` makes it again"
    ))
    .with_code(code)
}
